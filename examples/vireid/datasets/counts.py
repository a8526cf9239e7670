"""The counts of a data set: checked before training, compared with the published counts, and printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from vireid.datasets.dataset import Count, DataSet
from vireid.datasets.items import Items


def verify(data: DataSet, *, complete: bool = True) -> None:
    """Reject an incomplete copy before training, with all of its errors in one message.

    Args:
        complete: a set with as many identities as the real one must also have as many images.

    Raises:
        ValueError: an identity is in both training and test or has no image, one of them lacks a modality, a file is
            missing, empty or listed twice, or images of the real set are missing.
    """
    problems: list[str] = []
    if shared := sorted(set(data.train_identities) & set(data.test_identities)):
        problems.append(f"identities in both training and test: {_some(shared)}")
    seen = {*data.train.identities.tolist(), *data.test.identities.tolist()}
    if absent := [f"{i:04d}" for i in (*data.train_identities, *data.test_identities) if i not in seen]:
        problems.append(f"{len(absent)} identities of the lists without an image: {_some(absent)}")
    problems += [
        f"no {name} {half} images (cameras {_some([c for c, m in data.cameras if m == modality])})"
        for half, items in (("train", data.train), ("test", data.test))
        for modality, name in enumerate(data.modalities)
        if not (items.modality == modality).any()
    ]
    paths = [*data.train.paths, *data.test.paths]
    if empty := [path.relative_to(data.root) for path in paths if not _bytes(path)]:
        problems.append(f"{len(empty)} empty or missing files: {_some(empty)}")
    # Within training or test; files in both belong to shared identities.
    listed = [*Counter(data.train.paths).items(), *Counter(data.test.paths).items()]
    if twice := [path.relative_to(data.root) for path, times in listed if times > 1]:
        problems.append(f"{len(twice)} files listed more than once: {_some(twice)}")
    if complete:
        problems += [
            f"{what}: {found} found, {published} published"
            for what, found, published in _comparison(data)
            if found < published
        ]
    if problems:
        found = "; ".join(problems)
        raise ValueError(f"verify: {data.root.absolute()} must be a complete {data.name} tree; got {found}")


def verify_published(data: DataSet) -> None:
    """Reject a data set that is not complete as published.

    Raises:
        ValueError: names the first counts that differ.
    """
    if data.published_identities is None:
        raise ValueError(f"verify: {data.name} has no published counts, with which {data.root.absolute()} could agree")
    found = (len(data.train_identities), len(data.test_identities))
    counts = [
        Count(f"{half} identities", *pair)
        for half, *pair in zip(("train", "test"), found, data.published_identities, strict=True)
    ]
    if different := _different([*counts, *_comparison(data)]):
        raise ValueError(f"verify: {data.root.absolute()} is not {data.name} as published: {_some(different)}")


def describe(data: DataSet) -> dict[str, Any]:
    """Counts of identities and images, in total and by camera, for the record of a run.

    `published` is None for a set of another size than the real one; otherwise, whether all counts are as published.
    """
    comparison = _comparison(data)
    halves = {"train": (data.train, data.train_identities), "test": (data.test, data.test_identities)}
    return {
        "name": data.name,
        **data.reading,
        **{half: {"identities": len(who), **_by_modality(data, items)} for half, (items, who) in halves.items()},
        "cameras": [
            {"camera": camera, "modality": data.modalities[modality]}
            | {half: _count(items, camera, modality) for half, (items, _) in halves.items()}
            for camera, modality in data.cameras
        ],
        "published": not _different(comparison) if comparison else None,
    }


def counts_table(data: DataSet) -> Table:
    """The counts as a table: one line per camera, and whether they are the published ones."""
    counts = describe(data)
    verdict = {None: "not the size of the real set", True: "as published", False: "NOT as published"}
    identities = f"{counts['train']['identities']} train + {counts['test']['identities']} test identities"
    title = f"{data.name} in {data.root.name or data.root}: {identities}"
    table = Table("camera", "modality", title=title)
    for heading in ("train identities", "train images", "test identities", "test images"):
        table.add_column(heading, justify="right")
    for row in counts["cameras"]:
        figures = (row[half][kind] for half in ("train", "test") for kind in ("identities", "images"))
        table.add_row(str(row["camera"]), row["modality"], *map(str, figures))
    if data.published_identities is not None:
        table.caption = "; ".join([f"counts: {verdict[counts['published']]}", *_different(_comparison(data))])
    return table


def _comparison(data: DataSet) -> list[Count]:
    """All published counts except those of identities; none for a set with another number of identities."""
    identities = (len(data.train_identities), len(data.test_identities))
    return data.published() if identities == data.published_identities else []


def _different(counts: list[Count]) -> list[str]:
    return [f"{what}: {found}, not {published}" for what, found, published in counts if found != published]


def _by_modality(data: DataSet, items: Items) -> dict[str, int]:
    return {name: int((items.modality == modality).sum()) for modality, name in enumerate(data.modalities)}


def _count(items: Items, camera: int, modality: int) -> dict[str, int]:
    identities = items.identity[(items.camera == camera) & (items.modality == modality)]
    return {"identities": len(np.unique(identities)), "images": len(identities)}


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _some(names: Sequence[object], limit: int = 10) -> str:
    return ", ".join(map(str, names[:limit])) + (", …" if len(names) > limit else "")
