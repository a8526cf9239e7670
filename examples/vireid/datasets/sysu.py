"""SYSU-MM01: the tree `cam{1..6}/{identity}/{picture}.jpg` with its lists in `exp/`, and its four tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from vireid.config import Draw, Split
from vireid.datasets.counts import verify
from vireid.datasets.dataset import Count, DataSet, Task, Trial
from vireid.datasets.gallery import TRIALS, Search, gallery_draw
from vireid.datasets.items import INFRARED, VISIBLE, Items
from vireid.datasets.tree import check_tree, read_folders, read_identities

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
MODALITY = dict.fromkeys(VISIBLE_CAMERAS, VISIBLE) | dict.fromkeys(INFRARED_CAMERAS, INFRARED)
CAMERAS = tuple(sorted(MODALITY))
LISTS = ("train_id.txt", "val_id.txt", "test_id.txt")

# The published counts, which show whether a copy of the real set is complete.
PUBLISHED_TRAIN_IMAGES = (22258, 11909)
PUBLISHED_TEST_CAMERAS = {1: (56, 1374), 2: (56, 1565), 3: (93, 1883), 4: (94, 1918), 5: (95, 1918), 6: (96, 1920)}


@dataclass(frozen=True)
class Sysu(DataSet):
    """The images of a SYSU-MM01 directory, sorted by camera, identity and file name.

    The queries of all tasks are the infrared images of `test`; the ten galleries are sampled from its visible images,
    as `draw` says. Published results have `scored` "test": `train` has the training and validation identities, as is
    usual, and `test` the test identities. To choose settings, use "validation": `train` has the training identities
    only, and `test` the validation identities.
    """

    name: ClassVar[str] = "SYSU-MM01"
    modalities: ClassVar[tuple[str, str]] = ("visible", "infrared")
    cameras: ClassVar[tuple[tuple[int, int], ...]] = tuple((camera, MODALITY[camera]) for camera in CAMERAS)
    published_identities: ClassVar[tuple[int, int]] = (395, 96)

    draw: Draw = "official"
    scored: Split = "test"
    """The split whose identities `test` has."""

    @property
    def split(self) -> str:
        return "" if self.scored == "test" else f"split {self.scored}"

    @property
    def tasks(self) -> dict[str, Task]:
        settings: dict[str, tuple[Search, int]] = {
            "all_single": ("all", 1),
            "all_multi": ("all", 10),
            "indoor_single": ("indoor", 1),
            "indoor_multi": ("indoor", 10),
        }
        return {name: self._task(search, shots) for name, (search, shots) in settings.items()}

    @property
    def reading(self) -> dict[str, str]:
        return {"gallery_draw": self.draw} | ({} if self.scored == "test" else {"split": self.scored})

    @property
    def readings(self) -> dict[str, DataSet]:
        """Both ways to draw galleries; the official one only where it was asked for, as it needs its file."""
        draws: tuple[Draw, ...] = ("official", "seeded") if self.draw == "official" else ("seeded",)
        return {draw: self if draw == self.draw else replace(self, draw=draw) for draw in draws}

    def title(self, trials: int) -> str:
        people = "" if self.scored == "test" else f" of {self.scored}"
        return f"SYSU-MM01{people}, infrared → visible, %: mean of {trials} {self.draw} draws"

    def published(self) -> list[Count]:
        rows = [
            Count(
                f"{name} train images", int((self.train.modality == modality).sum()), PUBLISHED_TRAIN_IMAGES[modality]
            )
            for modality, name in enumerate(self.modalities)
        ]
        for camera, (identities, images) in PUBLISHED_TEST_CAMERAS.items():
            seen = self.test.identity[self.test.camera == camera]
            rows.append(Count(f"camera {camera}'s test identities", len(np.unique(seen)), identities))
            rows.append(Count(f"camera {camera}'s test images", len(seen), images))
        return rows

    def _task(self, search: Search, shots: int) -> Task:
        queries = np.flatnonzero(self.test.modality == INFRARED)

        def trial(number: int) -> Trial:
            gallery = gallery_draw(self, number, search=search, shots=shots, draw=self.draw)
            return Trial(queries, gallery, exclusion(self.test.camera[queries], self.test.camera[gallery]))

        return Task(trial, TRIALS, "identities")


def read_sysu(root: str | Path, *, draw: Draw = "official", scored: Split = "test", complete: bool = True) -> Sysu:
    """Read the data directory `root` and check it with `verify`.

    Args:
        draw: how galleries are sampled; see `gallery_draw`.
        scored: "validation" scores the validation identities, and does not train on them; see `Sysu`.
        complete: see `verify`.

    Raises:
        FileNotFoundError: the root, a camera's directory or a list in `exp/` is missing; one message names them all.
        ValueError: a list cannot be read, or `verify` rejects the data set.
    """
    root = Path(root)
    check_tree("read_sysu", root, [f"cam{camera}" for camera in CAMERAS], [f"exp/{name}" for name in LISTS])
    # Without validation identities, only their list may be blank.
    blank = "val_id.txt" if scored == "test" else None
    train, validation, test = (read_identities(root / "exp" / name, blank=name == blank) for name in LISTS)
    train_identities, test = (tuple(sorted({*train, *validation})), test) if scored == "test" else (train, validation)
    sysu = Sysu(
        root=root,
        train=_read_images(root, CAMERAS, train_identities),
        test=_read_images(root, CAMERAS, test),
        train_identities=train_identities,
        test_identities=test,
        draw=draw,
        scored=scored,
    )
    verify(sysu, complete=complete)
    return sysu


def exclusion(query_cameras: ArrayLike, gallery_cameras: ArrayLike) -> Tensor:
    """[q g], true where a gallery image is hidden from a query: cameras 3 and 2 stand at the same place.

    All images of camera 2 are hidden from queries of camera 3.
    """
    query, gallery = torch.as_tensor(np.array(query_cameras)), torch.as_tensor(np.array(gallery_cameras))
    return (query == 3)[:, None] & (gallery == 2)[None, :]


def _read_images(root: Path, cameras: Iterable[int], identities: Sequence[int]) -> Items:
    return Items(
        item
        for camera in cameras
        for item in read_folders(root / f"cam{camera}", identities, camera=camera, modality=MODALITY[camera])
    )
