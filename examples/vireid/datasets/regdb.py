"""RegDB: ten splits of 412 identities, in lists in `idx/`; one model is trained and tested on each split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vireid.datasets.counts import verify
from vireid.datasets.dataset import Count, DataSet, Task, Trial
from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.datasets.tree import check_labels, check_tree, person_of, read_labelled

TRIALS = range(1, 11)
IDENTITIES = 206  # in each half
PICTURES = 10  # of each identity in each modality


@dataclass(frozen=True)
class RegDB(DataSet):
    """The images of one RegDB split, training and test in the order of their lists, the visible images first.

    The identity of an image is the number of its folder. No gallery images are hidden, and CMC counts images, as usual
    in the field (`eval_regdb` of the AGW family of code gives all queries camera 1 and all gallery images camera 2, so
    that nothing is removed).
    """

    name: ClassVar[str] = "RegDB"
    modalities: ClassVar[tuple[str, str]] = ("visible", "thermal")
    cameras: ClassVar[tuple[tuple[int, int], ...]] = ((1, VISIBLE), (2, INFRARED))
    published_identities: ClassVar[tuple[int, int]] = (IDENTITIES, IDENTITIES)

    trial: int = 1

    @property
    def tasks(self) -> dict[str, Task]:
        return {
            "visible_to_thermal": self._task(VISIBLE, INFRARED),
            "thermal_to_visible": self._task(INFRARED, VISIBLE),
        }

    @property
    def reading(self) -> dict[str, str]:
        return {"trial": str(self.trial)}

    @property
    def split(self) -> str:
        return f"trial {self.trial}"

    def title(self, trials: int) -> str:
        return f"RegDB, %: trial {self.trial} of {len(TRIALS)}"

    def published(self) -> list[Count]:
        counts = []
        for half, items in (("train", self.train), ("test", self.test)):
            for modality, name in enumerate(self.modalities):
                pictures = np.unique(items.identity[items.modality == modality], return_counts=True)[1]
                whole = int((pictures == PICTURES).sum())
                counts.append(Count(f"{name} {half} images", int(pictures.sum()), IDENTITIES * PICTURES))
                counts.append(Count(f"{half} identities with {PICTURES} {name} images", whole, IDENTITIES))
        return counts

    def _task(self, query: int, gallery: int) -> Task:
        rows = Trial(np.flatnonzero(self.test.modality == query), np.flatnonzero(self.test.modality == gallery))
        return Task(lambda _: rows, 1, "images")


def read_regdb(root: str | Path, trial: int, *, complete: bool = True) -> RegDB:
    """Read the lists of one trial and check their images with `verify`.

    Args:
        trial: 1 .. 10.
        complete: see `verify`.

    Raises:
        FileNotFoundError: the root or a list of this trial is missing; one message names them all.
        ValueError: for another trial; a list cannot be read, or gives one label to two identities or two labels to one
            (the folder is the identity); or `verify` rejects the data set.
    """
    if trial not in TRIALS:
        raise ValueError(f"read_regdb: `trial` must be {TRIALS[0]} .. {TRIALS[-1]}; got {trial}")
    root = Path(root)
    lists = {half: [f"idx/{half}_{m}_{trial}.txt" for m in RegDB.modalities] for half in ("train", "test")}
    check_tree("read_regdb", root, [], [*lists["train"], *lists["test"]])
    train, test = (_read_half(root, [root / name for name in lists[half]]) for half in ("train", "test"))
    data = RegDB(root, train, test, tuple(train.identities.tolist()), tuple(test.identities.tolist()), trial)
    verify(data, complete=complete)
    return data


def _read_half(root: Path, lists: list[Path]) -> Items:
    listed = [read_labelled(path) for path in lists]
    check_labels([pair for pairs in listed for pair in pairs], lists)
    return Items(
        Item(root / image, person_of(image, lists[modality]), camera, modality)
        for (camera, modality), pairs in zip(RegDB.cameras, listed, strict=True)
        for image, _ in pairs
    )
