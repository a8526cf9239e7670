"""SYSU-MM01: the tree `cam{1..6}/{identity}/{picture}.jpg` with its lists in `exp/`, read and checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from vireid.data.items import INFRARED, VISIBLE, Item, Items

VISIBLE_CAMERAS = (1, 2, 4, 5)
INFRARED_CAMERAS = (3, 6)
CAMERAS = (1, 2, 3, 4, 5, 6)
LISTS = ("train_id.txt", "val_id.txt", "test_id.txt")

# The published counts, by which a copy of the real set can be told from a part of one.
PUBLISHED_IDENTITIES = {"train": 395, "test": 96}
PUBLISHED_TRAIN_IMAGES = {"visible": 22258, "infrared": 11909}
PUBLISHED_TEST_CAMERAS = {1: (56, 1374), 2: (56, 1565), 3: (93, 1883), 4: (94, 1918), 5: (95, 1918), 6: (96, 1920)}


@dataclass(frozen=True)
class Sysu:
    """The images of one SYSU-MM01 tree, each list sorted by camera, identity and file name.

    `train` has both modalities of the train and validation identities, as everyone trains; `query` the infrared
    images of the test identities, `gallery` all of their visible ones: the pool from which each trial draws.
    """

    root: Path
    train: Items
    query: Items
    gallery: Items
    train_identities: tuple[int, ...]
    test_identities: tuple[int, ...]


def read_sysu(root: str | Path, *, complete: bool = True) -> Sysu:
    """Read the tree below `root` and check it with `verify`.

    Raises:
        FileNotFoundError: the root, a camera's directory or a list in `exp/` is missing; one message names them all.
        ValueError: a list cannot be read, or `verify` refuses what was found.
    """
    root = Path(root)
    missing = [f"cam{camera}/" for camera in CAMERAS if not (root / f"cam{camera}").is_dir()]
    missing += [f"exp/{name}" for name in LISTS if not (root / "exp" / name).is_file()]
    if not root.is_dir():
        raise FileNotFoundError(f"read_sysu: the root must be a directory; {root.absolute()} is not one")
    if missing:
        nested = [entry.name for entry in sorted(root.iterdir()) if (entry / "cam1").is_dir()]
        hint = f" (its {nested[0]}/ has a cam1/: is that the root?)" if nested else ""
        raise FileNotFoundError(
            f"read_sysu: a SYSU-MM01 root holds cam1/ to cam6/, {', '.join('exp/' + name for name in LISTS)}; "
            f"missing in {root.absolute()}: {', '.join(missing)}{hint}"
        )
    train, validation, test = (_read_identities(root / "exp" / name) for name in LISTS)
    train_identities = tuple(sorted({*train, *validation}))
    train_items = _read_images(root, CAMERAS, train_identities)
    sysu = Sysu(
        root=root,
        train=train_items,
        query=_read_images(root, INFRARED_CAMERAS, test),
        gallery=_read_images(root, VISIBLE_CAMERAS, test),
        train_identities=train_identities,
        test_identities=test,
    )
    verify(sysu, complete=complete)
    return sysu


def verify(sysu: Sysu, *, complete: bool = True) -> None:
    """Refuse a half-copied tree before any training, with everything that is wrong with it in one message.

    Args:
        complete: where there are as many identities as in the real set, there must also be as many images.

    Raises:
        ValueError: an identity is in both halves or has no image in any camera, a half lacks a modality, a file is
            empty, or images of the real set are missing.
    """
    problems: list[str] = []
    if shared := sorted(set(sysu.train_identities) & set(sysu.test_identities)):
        problems.append(f"identities for training and for test at once (in exp/): {_some(shared)}")
    seen = {*sysu.train.identities.tolist(), *sysu.query.identities.tolist(), *sysu.gallery.identities.tolist()}
    if absent := [f"{i:04d}" for i in (*sysu.train_identities, *sysu.test_identities) if i not in seen]:
        problems.append(
            f"{len(absent)} identities of the lists in exp/ without an image in any camera: {_some(absent)}"
        )
    halves = {
        f"visible train images (cameras {VISIBLE_CAMERAS})": sysu.train.modality == VISIBLE,
        f"infrared train images (cameras {INFRARED_CAMERAS})": sysu.train.modality == INFRARED,
        f"visible test images (cameras {VISIBLE_CAMERAS})": sysu.gallery.modality == VISIBLE,
        f"infrared test images (cameras {INFRARED_CAMERAS})": sysu.query.modality == INFRARED,
    }
    problems += [f"no {name} at all" for name, mask in halves.items() if not mask.any()]
    everything = [*sysu.train, *sysu.query, *sysu.gallery]
    if empty := [item.path.relative_to(sysu.root) for item in everything if not _bytes(item.path)]:
        problems.append(f"{len(empty)} files of zero bytes, or links to none: {_some(empty)}")
    if complete:
        problems += [
            f"{name}: {found} found, {published} published"
            for name, found, published in _comparison(sysu)
            if found < published
        ]
    if problems:
        raise ValueError(f"verify: {sysu.root.absolute()} is no whole SYSU-MM01 tree: {'; '.join(problems)}")


def describe(sysu: Sysu) -> dict[str, Any]:
    """Counts of identities and images, in total and by camera, for a run's record.

    `published` is None for a set of another size than the real one, else whether every count is the published one.
    """
    comparison = _comparison(sysu)
    return {
        "train": {"identities": len(sysu.train_identities), **_train_images(sysu)},
        "test": {
            "identities": len(sysu.test_identities),
            "query": len(sysu.query),
            "gallery_pool": len(sysu.gallery),
        },
        "train_cameras": {camera: _count((sysu.train,), camera) for camera in CAMERAS},
        "test_cameras": {camera: _count((sysu.query, sysu.gallery), camera) for camera in CAMERAS},
        "published": all(found == published for _, found, published in comparison) if comparison else None,
    }


def counts_table(sysu: Sysu) -> Table:
    """`describe` for people: one line a camera, and whether the counts are the published ones."""
    counts = describe(sysu)
    verdict = {None: "not the size of the real set", True: "as published", False: "NOT as published"}
    table = Table(
        "camera",
        "modality",
        title=f"{sysu.root.name}: {counts['train']['identities']} + {counts['test']['identities']} identities",
    )
    for heading in ("train identities", "train images", "test identities", "test images"):
        table.add_column(heading, justify="right")
    for camera in CAMERAS:
        train, test = counts["train_cameras"][camera], counts["test_cameras"][camera]
        modality = "visible" if camera in VISIBLE_CAMERAS else "infrared"
        row = (camera, modality, train["identities"], train["images"], test["identities"], test["images"])
        table.add_row(*map(str, row))
    different = [
        f"{name}: {found}, not {published}" for name, found, published in _comparison(sysu) if found != published
    ]
    table.caption = "; ".join([f"counts: {verdict[counts['published']]}", *different])
    return table


def _read_identities(path: Path) -> tuple[int, ...]:
    """The identities of one comma-separated line, ascending; spaces, line ends and a last comma are no matter."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read_sysu: {path.absolute()} must be a line of text; got bytes that are none ({error})"
        ) from None
    tokens = [token.strip() for line in lines if line.strip() for token in line.strip(", \t").split(",")]
    for token in tokens:
        if not (token.isascii() and token.isdecimal() and int(token) > 0):
            raise ValueError(
                f"read_sysu: {path.absolute()} must hold positive integers with commas between them; got {token!r}"
            )
    if not tokens and path.name != "val_id.txt":  # without a validation split, only its list is blank
        raise ValueError(f"read_sysu: {path.absolute()} must name at least one identity; it is blank")
    return tuple(sorted({int(token) for token in tokens}))


def _read_images(root: Path, cameras: Iterable[int], identities: Sequence[int]) -> Items:
    wanted = set(identities)
    items: list[Item] = []
    for camera in cameras:
        modality = INFRARED if camera in INFRARED_CAMERAS else VISIBLE
        folders = {
            int(entry.name): entry
            for entry in (root / f"cam{camera}").iterdir()
            if entry.name.isascii() and entry.name.isdecimal() and entry.is_dir()
        }
        for identity in sorted(wanted & folders.keys()):
            folder = folders[identity]
            # A leading dot marks what file managers leave behind, `._0001.jpg` and the like.
            names = sorted(n for n in os.listdir(folder) if n.lower().endswith(".jpg") and not n.startswith("."))
            items += [Item(folder / name, identity, camera, modality) for name in names]
    return Items(items)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _train_images(sysu: Sysu) -> dict[str, int]:
    modality = sysu.train.modality
    return {"visible": int((modality == VISIBLE).sum()), "infrared": int((modality == INFRARED).sum())}


def _count(parts: Iterable[Items], camera: int) -> dict[str, int]:
    identities = np.concatenate([items.identity[items.camera == camera] for items in parts])
    return {"identities": len(np.unique(identities)), "images": len(identities)}


def _comparison(sysu: Sysu) -> list[tuple[str, int, int]]:
    """(what, found, published) of every published count; none for a set that has not the real one's identities."""
    identities = {"train": len(sysu.train_identities), "test": len(sysu.test_identities)}
    if identities != PUBLISHED_IDENTITIES:
        return []
    train = _train_images(sysu)
    rows = [(f"{kind} train images", train[kind], published) for kind, published in PUBLISHED_TRAIN_IMAGES.items()]
    for camera, published_pair in PUBLISHED_TEST_CAMERAS.items():
        for kind, published in zip(("identities", "images"), published_pair, strict=True):
            found = _count((sysu.query, sysu.gallery), camera)[kind]
            rows.append((f"camera {camera}'s test {kind}", found, published))
    return rows


def _some(names: Sequence[object], limit: int = 10) -> str:
    return ", ".join(map(str, names[:limit])) + (", …" if len(names) > limit else "")
