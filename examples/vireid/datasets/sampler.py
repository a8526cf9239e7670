"""Sampling of batches: P identities, each with K visible and K infrared images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vireid.datasets.items import INFRARED, VISIBLE, Items

# Two streams of random numbers, so that neither depends on how many numbers the other uses.
_ORDER, _IMAGES = 0, 1


class CrossModalSampler:
    """Batches of rows of `items`: `identities` with both modalities, and `images` of each identity and modality.

    A batch has the visible rows, then the infrared rows, in the same order of identities: rows i and i + P·K have the
    same identity. Each round goes through the identities in a new order, P at a time. If P does not divide their
    number, the last identities of the order are left out of the round. If an identity has fewer than K images in a
    modality, images of it are repeated in the batch.

    Batch i is a function of `seed` and i only, so that a resumed run gets the same batches. Several processes share a
    batch by complete identities, P / world_size each. The union of their batches is the batch of one process.

    Args:
        items: the training images.
        identities: P, over all processes.
        images: K, in each modality.
        seed: not negative.
        rank, world_size: the index of this process, and the number of processes.

    Raises:
        ValueError: for settings that no batch can satisfy.

    Example:
        >>> rows = CrossModalSampler(items, 8, 4, seed=0).batch(17)  # doctest: +SKIP
        >>> labels, modality = items.labels[rows], items.modality[rows]  # doctest: +SKIP
    """

    def __init__(
        self, items: Items, identities: int, images: int, *, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        for name, value in {"identities": identities, "images": images, "world_size": world_size}.items():
            if value < 1:
                raise ValueError(f"CrossModalSampler: `{name}` must be at least 1; got {value}")
        if seed < 0:
            raise ValueError(f"CrossModalSampler: `seed` must not be negative; got {seed}")
        if not 0 <= rank < world_size:
            raise ValueError(f"CrossModalSampler: `rank` must be 0 .. world_size-1 = {world_size - 1}; got {rank}")
        if identities % world_size:
            raise ValueError(
                f"CrossModalSampler: `identities` must be a multiple of world_size = {world_size}, as processes do not "
                f"share identities; got {identities}"
            )
        visible, infrared = (_rows_by_label(items, modality) for modality in (VISIBLE, INFRARED))
        both = sorted(visible.keys() & infrared.keys())
        if identities > len(both):
            raise ValueError(
                f"CrossModalSampler: `identities` must be at most {len(both)}: of {len(items.identities)}, only these "
                f"have images in both modalities; got {identities}"
            )
        self.identities, self.images, self.seed = identities, images, seed
        self.rank, self.world_size = rank, world_size
        self._rows = {VISIBLE: [visible[label] for label in both], INFRARED: [infrared[label] for label in both]}

    @property
    def share(self) -> NDArray[np.int64]:
        """[2 · P/world_size · K]: the rows of the complete batch that are in this process' batch."""
        places = np.arange(2 * self.identities * self.images).reshape(2, self.identities, self.images)
        own = self.identities // self.world_size
        return places[:, self.rank * own : (self.rank + 1) * own].reshape(-1)

    def batch(self, index: int) -> NDArray[np.int64]:
        """Rows [2 · P/world_size · K] of batch `index`, from 0."""
        if index < 0:
            raise ValueError(f"CrossModalSampler: `index` must not be negative; got {index}")
        a_round, position = divmod(index, len(self._rows[VISIBLE]) // self.identities)
        order = np.random.default_rng((self.seed, _ORDER, a_round)).permutation(len(self._rows[VISIBLE]))
        people = order[position * self.identities : (position + 1) * self.identities]
        # Each process samples the complete batch and keeps its share: images do not depend on the number of processes.
        random = np.random.default_rng((self.seed, _IMAGES, index))
        drawn = np.stack([[self._draw(self._rows[m][p], random) for p in people] for m in (VISIBLE, INFRARED)])
        return drawn.reshape(-1)[self.share]

    def _draw(self, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        return random.choice(rows, self.images, replace=len(rows) < self.images)


def _rows_by_label(items: Items, modality: int) -> dict[int, NDArray[np.int64]]:
    rows = np.flatnonzero(items.modality == modality)
    rows = rows[np.argsort(items.labels[rows], kind="stable")]
    labels, starts = np.unique(items.labels[rows], return_index=True)
    return dict(zip(labels.tolist(), np.split(rows, starts[1:]), strict=True)) if len(rows) else {}
