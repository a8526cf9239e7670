"""The images of a data set: `Item`, one image, and `Items`, the columns of many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

VISIBLE = 0
INFRARED = 1
MODALITIES = {"visible": VISIBLE, "infrared": INFRARED}


@dataclass(frozen=True, slots=True)
class Item:
    """One image file, with its identity, camera and modality (0 visible, 1 infrared).

    `identity` and `camera` are the numbers of the data set; `Items.labels` has the labels 0 .. k-1 of training.
    """

    path: Path
    identity: int
    camera: int
    modality: int


class Items:
    """A sequence of items, with each of their fields as an array of one row per item.

    Example:
        >>> items = Items([Item(Path("a.jpg"), 7, 1, VISIBLE), Item(Path("b.jpg"), 4, 3, INFRARED)])
        >>> items.labels.tolist(), items.select(items.modality == INFRARED).paths
        ([1, 0], [PosixPath('b.jpg')])
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = tuple(items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __getitem__(self, index: int) -> Item:
        return self._items[index]

    def __repr__(self) -> str:
        visible, infrared = (int((self.modality == modality).sum()) for modality in (VISIBLE, INFRARED))
        return f"Items({len(self.identities)} identities, {visible} visible + {infrared} infrared images)"

    @property
    def paths(self) -> list[Path]:
        return [item.path for item in self._items]

    @cached_property
    def identity(self) -> NDArray[np.int64]:
        """[n]: the data set's number of the identity."""
        return self._column("identity")

    @cached_property
    def camera(self) -> NDArray[np.int64]:
        """[n]: the data set's number of the camera."""
        return self._column("camera")

    @cached_property
    def modality(self) -> NDArray[np.int64]:
        """[n]: 0 visible, 1 infrared."""
        return self._column("modality")

    @cached_property
    def identities(self) -> NDArray[np.int64]:
        """[k]: the distinct identities, ascending; row `y` is the identity that has label `y`."""
        return np.unique(self.identity)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n]: the identities renumbered 0 .. k-1 in ascending order, as a classifier needs them."""
        return np.searchsorted(self.identities, self.identity)

    def select(self, rows: ArrayLike) -> Items:
        """The items that a mask [n] of bools keeps, or the rows that an array of integers lists, in its order.

        Labels are renumbered: a selection has labels 0 .. k-1 for its identities.
        """
        index = np.asarray(rows)
        if index.dtype == np.bool_:
            if index.shape != (len(self),):
                raise ValueError(f"Items.select: a mask must be (n,) = ({len(self)},); got {index.shape}")
            index = np.flatnonzero(index)
        elif index.ndim != 1 or (index.size and not np.issubdtype(index.dtype, np.integer)):
            raise ValueError(
                f"Items.select: `rows` must be a mask of bools or one axis of integers; got {index.dtype} {index.shape}"
            )
        return Items(self._items[row] for row in index.tolist())

    def _column(self, field: str) -> NDArray[np.int64]:
        return np.fromiter((getattr(item, field) for item in self._items), dtype=np.int64, count=len(self._items))
