"""Which images make a batch: P identities, each with K visible and K infrared images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vireid.datasets.items import INFRARED, VISIBLE, Items

# The two uses of random numbers, kept apart so that neither draw depends on how many numbers the other took.
_ORDER, _IMAGES = 0, 1


class CrossModalSampler:
    """Batches of rows of `items`: `identities` persons that have both modalities, `images` of each in each.

    The rows of a batch are the visible ones, then the infrared ones, in the same order of identities: row i and row
    i + P·K show one person. Every round goes through the identities in a new order, P at a time; where P does not
    divide their number, the last few of that order wait for another round. Of a person with fewer than K images in
    a modality, some appear more than once in a batch.

    Batch i is a function of `seed` and i alone, so a run that goes on at step i gets the batch that it would have
    got. Several processes share a batch by whole identities, P / world_size each, and the union of their batches
    is the batch of one process.

    Args:
        items: the training images.
        identities: P, in all processes together.
        images: K, in each modality.
        seed: not negative.
        rank, world_size: this process, and how many there are.

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
                f"CrossModalSampler: whole identities go to each process, so `identities` must be a multiple of "
                f"world_size = {world_size}; got {identities}"
            )
        visible, infrared = (_rows_by_label(items, modality) for modality in (VISIBLE, INFRARED))
        both = sorted(visible.keys() & infrared.keys())
        if identities > len(both):
            raise ValueError(
                f"CrossModalSampler: `identities` must be at most {len(both)}, as many of the {len(items.identities)} "
                f"as have images in both modalities; got {identities}"
            )
        self.identities, self.images, self.seed = identities, images, seed
        self.rank, self.world_size = rank, world_size
        self._rows = {VISIBLE: [visible[label] for label in both], INFRARED: [infrared[label] for label in both]}

    @property
    def share(self) -> NDArray[np.int64]:
        """[2 · P/world_size · K]: which rows of one process' batch are in this process' batch."""
        places = np.arange(2 * self.identities * self.images).reshape(2, self.identities, self.images)
        own = self.identities // self.world_size
        return places[:, self.rank * own : (self.rank + 1) * own].reshape(-1)

    def batch(self, index: int) -> NDArray[np.int64]:
        """Rows [2 · P/world_size · K] of batch `index`, any number from 0."""
        if index < 0:
            raise ValueError(f"CrossModalSampler: a batch's index must not be negative; got {index}")
        a_round, position = divmod(index, len(self._rows[VISIBLE]) // self.identities)
        order = np.random.default_rng((self.seed, _ORDER, a_round)).permutation(len(self._rows[VISIBLE]))
        people = order[position * self.identities : (position + 1) * self.identities]
        # Every process draws the whole batch and keeps its share: the images cannot depend on how many processes run.
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
