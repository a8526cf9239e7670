"""What a data set is to training, evaluation and reports: images to train on, images to test on, and tasks."""

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
    """One ranking: every image of `query` searches in `gallery`."""

    query: Rows
    gallery: Rows
    exclude: Tensor | None = None
    """[q g], true where a gallery image must not be shown to a query."""


class Task(NamedTuple):
    """A named evaluation, whose results are the mean over its trials."""

    trial: Callable[[int], Trial]
    """The trial of a number from 0."""
    trials: int
    cmc_over: Literal["images", "identities"]
    """What CMC counts; see `concordant.rank_metrics`."""


class Count(NamedTuple):
    """A number that is published of the whole data set, beside what was found."""

    what: str
    found: int
    published: int


@dataclass(frozen=True)
class DataSet(ABC):
    """The images of one tree, and how they are scored.

    `train` has both modalities of the identities to train on; `test` every image of both modalities that a task may
    use, so that each is decoded and embedded once. The identities are those that the lists name.
    """

    name: ClassVar[str]
    modalities: ClassVar[tuple[str, str]]
    """The data set's words for modality 0 and 1."""
    cameras: ClassVar[tuple[tuple[int, int], ...]]
    """Each camera with a modality that it has, in the order of the counts' table."""
    published_identities: ClassVar[tuple[int, int]]
    """How many identities the whole data set trains on and tests on."""

    root: Path
    train: Items
    test: Items
    train_identities: tuple[int, ...]
    test_identities: tuple[int, ...]

    @property
    @abstractmethod
    def tasks(self) -> dict[str, Task]:
        """The evaluations by name, in the order of the table."""

    @property
    @abstractmethod
    def reading(self) -> dict[str, str]:
        """Which of the protocol's variants the results are of; metrics.json has it beside them."""

    @property
    def split(self) -> str:
        """What weights must have been trained on to be tested here; saved with them. Empty if there is one split."""
        return ""

    @abstractmethod
    def title(self, trials: int) -> str:
        """What stands over a table of results that are means over so many trials: the data set and the reading."""

    @abstractmethod
    def published(self) -> list[Count]:
        """Every published count but that of the identities."""
