"""LLCM: nine cameras by day and night; training images are in lists, test images in folders by camera and identity."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vireid.config import Reading
from vireid.datasets.counts import verify
from vireid.datasets.dataset import Count, DataSet, Rows, Task, Trial
from vireid.datasets.gallery import TRIALS, group_rows, seeded_draw
from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.datasets.tree import (
    check_labels,
    check_tree,
    entries,
    person_of,
    read_folders,
    read_identities,
    read_labelled,
    refuse_others,
)

CAMERAS = {VISIBLE: (1, 2, 3, 4, 5, 6, 7, 8, 9), INFRARED: (1, 2, 4, 5, 6, 7, 8, 9)}
FOLDERS = ("vis", "nir")  # of modality 0 and 1
PUBLISHED_TRAIN_IMAGES = (16946, 13975)
PUBLISHED_TEST_IMAGES = (8680, 7166)
CAMERA = re.compile(r"_c(\d+)(?=[_.])")


@dataclass(frozen=True)
class LLCM(DataSet):
    """The images of an LLCM directory: `train` in the order of its lists, `test` by modality, camera and identity.

    The identity of an image is the number of its folder. The camera of a training image is in its file name
    (`0001_c01_s185535_f7010_vis.jpg`), and 0 without one. CMC counts identities, as `eval_llcm` of the data set's
    authors does (github.com/ZYK100/LLCM, AGW/eval_metrics.py).

    Variants of the protocol:
        paper: queries are all images of one modality; the gallery has one random image per identity and camera of the
            other modality, sampled ten times. Gallery images of the query's identity *and* camera are removed.
        swapped: the authors' test.py for "VIS to IR": it passes the two sets of features to `eval_llcm` in the other
            order, so that the sampled near-infrared images search in all visible images. Results updated on their
            page, and of those who use that code, are of this variant; it has a higher rank-1 and a lower mAP than the
            paper's table. Near-infrared to visible is as in the paper.
        camera-strict: as paper, but all gallery images of the query's camera are removed, of any identity.
    """

    name: ClassVar[str] = "LLCM"
    modalities: ClassVar[tuple[str, str]] = ("visible", "near-infrared")
    cameras: ClassVar[tuple[tuple[int, int], ...]] = tuple((c, m) for m, cameras in CAMERAS.items() for c in cameras)
    published_identities: ClassVar[tuple[int, int]] = (713, 351)

    variant: Reading = "paper"

    @property
    def tasks(self) -> dict[str, Task]:
        return {
            "visible_to_nir": self._task(VISIBLE, drawn="query" if self.variant == "swapped" else "gallery"),
            "nir_to_visible": self._task(INFRARED, drawn="gallery"),
        }

    @property
    def reading(self) -> dict[str, str]:
        return {"reading": self.variant}

    @property
    def readings(self) -> dict[str, DataSet]:
        known: tuple[Reading, ...] = ("paper", "swapped", "camera-strict")
        ordered = sorted(known, key=lambda name: name != self.variant)
        return {name: self if name == self.variant else replace(self, variant=name) for name in ordered}

    def title(self, trials: int) -> str:
        return f"LLCM, {self.variant} reading, %: mean of {trials} draws"

    def published(self) -> list[Count]:
        return [
            Count(f"{name} {half} images", int((items.modality == modality).sum()), published[modality])
            for half, items, published in (
                ("train", self.train, PUBLISHED_TRAIN_IMAGES),
                ("test", self.test, PUBLISHED_TEST_IMAGES),
            )
            for modality, name in enumerate(self.modalities)
        ]

    def exclusion(self, query: Rows, gallery: Rows) -> Tensor:
        """[q g], true where a gallery image is hidden from a query."""
        camera, identity = torch.from_numpy(self.test.camera), torch.from_numpy(self.test.identity)
        same_camera = camera[query][:, None] == camera[gallery][None]
        if self.variant == "camera-strict":
            return same_camera
        return same_camera & (identity[query][:, None] == identity[gallery][None])

    def _task(self, whole: int, *, drawn: Literal["query", "gallery"]) -> Task:
        """All images of modality `whole` with a sample of the other, which is the gallery or the queries."""
        # In the authors' order, identity by identity: among equals, that of the gallery decides.
        every = np.concatenate(list(group_rows(self.test, CAMERAS[whole], whole).values()))
        other = INFRARED if whole == VISIBLE else VISIBLE

        def trial(number: int) -> Trial:
            some = seeded_draw(group_rows(self.test, CAMERAS[other], other), number)
            query, gallery = (some, every) if drawn == "query" else (every, some)
            return Trial(query, gallery, self.exclusion(query, gallery))

        return Task(trial, TRIALS, "identities")


def read_llcm(root: str | Path, *, reading: Reading = "paper", complete: bool = True) -> LLCM:
    """Read the data directory `root` and check it with `verify`.

    Near-infrared has no camera 3: a folder of that name must be empty.

    Args:
        reading: see `LLCM`.
        complete: see `verify`.

    Raises:
        FileNotFoundError: the root, a directory or a list is missing; one message names them all.
        ValueError: a list cannot be read, or gives one label to two identities or two labels to one (the folder is
            the identity); an image would be ignored; or `verify` rejects the data set.
    """
    root = Path(root)
    tests = {(c, m): f"test_{FOLDERS[m]}/cam{c}" for c, m in LLCM.cameras}
    lists = [root / "idx" / f"train_{name}.txt" for name in FOLDERS]
    check_tree(
        "read_llcm", root, [*FOLDERS, *tests.values()], ["idx/train_vis.txt", "idx/train_nir.txt", "idx/test_id.txt"]
    )
    for modality, name in enumerate(FOLDERS):
        folder, cameras = root / f"test_{name}", {f"cam{camera}" for camera in CAMERAS[modality]}
        others = [folder / entry.name for entry in entries(folder) if entry.name not in cameras]
        refuse_others(folder, others, f"in {', '.join(sorted(cameras))}")
    identities = read_identities(root / "idx" / "test_id.txt")
    test = Items(
        item
        for (camera, modality), folder in tests.items()
        for item in read_folders(root / folder, identities, camera=camera, modality=modality)
    )
    listed = [read_labelled(path) for path in lists]
    check_labels([pair for pairs in listed for pair in pairs], lists)
    train = Items(
        Item(root / image, person_of(image, lists[modality]), _camera_of(image), modality)
        for modality, pairs in enumerate(listed)
        for image, _ in pairs
    )
    data = LLCM(root, train, test, tuple(train.identities.tolist()), identities, reading)
    verify(data, complete=complete)
    return data


def _camera_of(image: Path) -> int:
    found = CAMERA.search(image.name)
    return int(found[1]) if found else 0
