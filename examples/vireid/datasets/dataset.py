"""The interface of a data set: training images, test images, and evaluation tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vireid.datasets.items import Items

Rows = NDArray[np.int64]
"""Rows [n] of `DataSet.test`."""


class Trial(NamedTuple):
    """One ranking: each image of `query` searches in `gallery`."""

    query: Rows
    gallery: Rows
    exclude: Tensor | None = None
    """[q g], true where a gallery image is hidden from a query."""


class Task(NamedTuple):
    """A named evaluation, whose results are the mean over its trials."""

    trial: Callable[[int], Trial]
    """From the number of a trial, from 0, to the trial."""
    trials: int
    cmc_over: Literal["images", "identities"]
    """Whether CMC counts images or identities; see `concordant.rank_metrics`."""


class Count(NamedTuple):
    """A count that was found, beside the published count of the complete data set."""

    what: str
    found: int
    published: int


@dataclass(frozen=True)
class DataSet(ABC):
    """The images of a data directory, and the tasks that score them.

    `train` has both modalities of the training identities; `test` has the images of both modalities of all tasks, so
    that each is decoded and embedded once. The identities are those of the lists.
    """

    name: ClassVar[str]
    cameras: ClassVar[tuple[tuple[int, int], ...]]
    """Pairs of a camera and its modality, in the order of the table of counts."""
    published_identities: ClassVar[tuple[int, int] | None]
    """Numbers of training and of test identities in the complete data set; None if none is published."""

    root: Path
    train: Items
    test: Items
    train_identities: tuple[int, ...]
    test_identities: tuple[int, ...]

    @property
    @abstractmethod
    def modalities(self) -> tuple[str, str]:
        """Names of modality 0 and 1."""

    @property
    @abstractmethod
    def tasks(self) -> dict[str, Task]:
        """The evaluations by name, in the order of the table."""

    @property
    @abstractmethod
    def reading(self) -> dict[str, str]:
        """The variant of the protocol, for metrics.json."""

    @property
    def readings(self) -> dict[str, DataSet]:
        """Every variant of the protocol by its name, this one first: the same images, scored in other ways."""
        return {" ".join(f"{name} {value}" for name, value in self.reading.items()): self}

    @property
    def split(self) -> str:
        """The split that weights must have been trained on for this test; saved with them. Empty for a single split."""
        return ""

    @abstractmethod
    def title(self, trials: int) -> str:
        """The title of a table of results, means over a number of trials: the data set and the protocol's variant."""

    @abstractmethod
    def published(self) -> list[Count]:
        """All published counts except those of identities."""
