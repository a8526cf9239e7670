"""Any directory `{train,test}/{modality}/{identity}/{image}`: two modalities, whose images search each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from vireid.datasets.counts import verify
from vireid.datasets.dataset import Count, DataSet, Task, Trial
from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.datasets.tree import check_tree, entries, number_of, refuse_others
from vireid.pictures import SUFFIXES

HALVES = ("train", "test")


@dataclass(frozen=True)
class Folder(DataSet):
    """The images of a directory, by modality, identity and file name.

    The identity of an image is the number that its folder is named by; if any folder has another name, identities are
    numbered from 1 in the order of the names. Cameras are not known: images of the first modality have camera 1, those
    of the second camera 2. All test images of a modality search in all of the other; none is hidden, and CMC counts
    images.
    """

    name: ClassVar[str] = "Folder"
    cameras: ClassVar[tuple[tuple[int, int], ...]] = ((1, VISIBLE), (2, INFRARED))
    published_identities: ClassVar[None] = None

    names: tuple[str, str]
    """Directories of modality 0 and 1."""

    @property
    def modalities(self) -> tuple[str, str]:
        return self.names

    @property
    def tasks(self) -> dict[str, Task]:
        one, other = self.names
        return {f"{one}_to_{other}": self._task(VISIBLE), f"{other}_to_{one}": self._task(INFRARED)}

    @property
    def reading(self) -> dict[str, str]:
        return {}

    def title(self, trials: int) -> str:
        return f"{self.root.name}, all test images, %"

    def published(self) -> list[Count]:
        return []

    def _task(self, query: int) -> Task:
        rows = Trial(np.flatnonzero(self.test.modality == query), np.flatnonzero(self.test.modality != query))
        return Task(lambda _: rows, 1, "images")


def read_folder(root: str | Path, modalities: tuple[str, str] | None = None) -> Folder:
    """Read the directory `root`, whose images are in `{train,test}/{modality}/{identity}/`.

    Args:
        modalities: names of the two directories, modality 0 first; others are not read. By default there are exactly
            two, and the first by name is modality 0.

    Raises:
        FileNotFoundError: the root, a half, or a modality of it is missing.
        ValueError: there are not two modalities; an identity lacks one, or is in both halves; an image would be
            ignored; or `verify` rejects the data set.
    """
    root = Path(root)
    check_tree("read_folder", root, HALVES, [])
    names = modalities or _two_modalities(root)
    if len(set(names)) < 2:
        raise ValueError(f"read_folder: `modalities` must be two directories; got {', '.join(names)}")
    check_tree("read_folder", root, [f"{half}/{name}" for half in HALVES for name in names], [])
    found = {half: [_images(root / half / name) for name in names] for half in HALVES}
    for half in HALVES:
        if modalities is None:
            others = [root / half / entry.name for entry in entries(root / half) if entry.name not in names]
            refuse_others(root / half, others, f"in {' or '.join(names)}")
        _check_pairs(root / half, names, found[half])
    train, test = (sorted(found[half][0]) for half in HALVES)
    if shared := sorted(set(train) & set(test)):
        raise ValueError(
            f"read_folder: an identity must be in train or in test; {root.absolute()} has in both: {_some(shared)}"
        )
    numbers = _numbers(sorted([*train, *test]))
    images = {half: _items(found[half], numbers) for half in HALVES}
    learnt, tested = (tuple(some.identities.tolist()) for some in images.values())
    data = Folder(root, images["train"], images["test"], learnt, tested, names)
    verify(data)
    return data


def _two_modalities(root: Path) -> tuple[str, str]:
    names = [entry.name for entry in entries(root / "train") if entry.is_dir()]
    if len(names) != 2:
        raise ValueError(
            f"read_folder: {(root / 'train').absolute()} must have two directories, one per modality, or "
            f"`--modalities` must name two of them; got {_some(names)}"
        )
    return names[0], names[1]


def _images(folder: Path) -> dict[str, list[Path]]:
    """The images below a modality's directory, by the name of the identity."""
    found: dict[str, list[Path]] = {}
    others: list[Path] = []
    for person in entries(folder):
        if not person.is_dir():
            others.append(folder / person.name)
            continue
        for entry in entries(folder / person.name):
            path = folder / person.name / entry.name
            if path.suffix.lower() in SUFFIXES and not entry.is_dir():
                found.setdefault(person.name, []).append(path)
            else:
                others.append(path)
    refuse_others(folder, others, "identity/image, of the kinds " + ", ".join(SUFFIXES))
    return found


def _check_pairs(half: Path, names: tuple[str, str], found: Sequence[dict[str, list[Path]]]) -> None:
    """Reject a half without identities, or with some that have no images of one modality."""
    people = {*found[0], *found[1]}
    lacking = [
        f"{len(absent)} without {name} images: {_some(absent)}"
        for name, one in zip(names, found, strict=True)
        if (absent := sorted(people - one.keys()))
    ]
    if lacking or not people:
        raise ValueError(
            f"read_folder: each identity in {half.absolute()} must have images of both modalities; "
            f"got {'; '.join(lacking) or 'no images'}"
        )


def _numbers(names: Sequence[str]) -> dict[str, int]:
    """A number for each identity: that of its name, or, if any has another name, its place."""
    numbers = [number for name in names if (number := number_of(name)) is not None]
    if len(set(numbers)) < len(names):
        numbers = list(range(1, len(names) + 1))
    return dict(zip(names, numbers, strict=True))


def _items(found: Sequence[dict[str, list[Path]]], numbers: dict[str, int]) -> Items:
    return Items(
        Item(path, numbers[name], camera, modality)
        for (camera, modality), people in zip(Folder.cameras, found, strict=True)
        for name, paths in people.items()
        for path in paths
    )


def _some(names: Sequence[str], limit: int = 10) -> str:
    return (", ".join(names[:limit]) + (", …" if len(names) > limit else "")) or "none"
