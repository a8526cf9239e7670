"""Features of any model, from files: test images without pictures, which each data set's protocol can score."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from torch import Tensor

from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.datasets.llcm import CAMERAS as LLCM_CAMERAS
from vireid.datasets.regdb import RegDB
from vireid.datasets.sysu import INFRARED_CAMERAS, VISIBLE_CAMERAS
from vireid.files import reason_of
from vireid.options import FeatureFiles, Protocol

CAMERAS: dict[Protocol, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "sysu": (VISIBLE_CAMERAS, INFRARED_CAMERAS),
    "regdb": ((RegDB.cameras[VISIBLE][0],), (RegDB.cameras[INFRARED][0],)),
    "llcm": (LLCM_CAMERAS[VISIBLE], LLCM_CAMERAS[INFRARED]),
}
"""Cameras of the visible and of the infrared images."""


class Side(NamedTuple):
    """The rows of one file."""

    ids: NDArray[np.int64]
    cameras: NDArray[np.int64]
    features: NDArray[np.floating[Any]] | None


class Given(NamedTuple):
    """What the files of features have."""

    test: Items
    """The images, the visible ones first; `path` has the camera, the identity, and the place among their images."""
    features: Tensor | None
    """[n e]; None with a similarity."""
    similarity: Tensor | None
    """[visible, infrared]"""
    notes: list[str]


def read_features(options: FeatureFiles) -> Given:
    """Read and check the files.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, lacks an array, or has arrays that do not fit.
    """
    wanted = options.similarity is None
    paths = (options.visible, options.infrared)
    sides = [
        _read_side(path, cameras, wanted, needs_cameras=options.protocol != "regdb")
        for path, cameras in zip(paths, CAMERAS[options.protocol], strict=True)
    ]
    test = Items(
        item
        for modality, side in zip((VISIBLE, INFRARED), sides, strict=True)
        for item in _items(side, modality, options.root or options.visible)
    )
    if options.similarity is not None:
        table = _numbers(options.similarity, "similarity", read_arrays(options.similarity, ("similarity",)))
        shape = (len(sides[0].ids), len(sides[1].ids))
        if table.shape != shape:
            _reject(options.similarity, f"`similarity` must be (visible, infrared) = {shape}", table.shape)
        if np.isnan(table).any():
            _reject(options.similarity, "`similarity` must not hold NaN", f"{int(np.isnan(table).sum())} values")
        return Given(test, None, torch.from_numpy(table), [])
    visible, infrared = (side.features for side in sides)
    assert visible is not None
    assert infrared is not None
    if visible.shape[1] != infrared.shape[1]:
        rule = f"`features` must have e = {visible.shape[1]} columns, as those of {options.visible}"
        _reject(options.infrared, rule, infrared.shape[1])
    notes = []
    for path, rows in zip(paths, (visible, infrared), strict=True):
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            rows[bad] = 0  # as near to any image as to any other
            first = f"the first is row {bad[0]}"
            notes.append(f"{path}: {len(bad)} of {len(rows)} features are not finite, {first}; they count as zeros")
    return Given(test, torch.from_numpy(np.concatenate([visible, infrared])), None, notes)


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name.

    A .npy file has the first of them; the others are in files beside it, `{stem}_{name}.npy`.
    """
    files = {name: path.with_name(f"{path.stem}_{name}.npy") for name in names} | {names[0]: path}
    if path.suffix != ".npy":
        files = {"": path}
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(f"read_features: no file {file.absolute()}")
    try:
        if path.suffix == ".npy":
            return {name: np.load(file, allow_pickle=False) for name, file in files.items()}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                found = {name: archive[name] for name in archive.files if name in names}
                held = archive.files
        elif path.suffix == ".mat":
            content = loadmat(path)
            held = [name for name in content if not name.startswith("__")]
            found = {name: content[name] for name in held if name in names}
        else:
            raise ValueError("another kind of file")
    except Exception as error:  # NumPy and SciPy raise many kinds for damaged files
        rule = f"read_features: {path.absolute()} must be a .npy, .npz or .mat file of numbers"
        raise ValueError(f"{rule}; got {reason_of(error)}") from None
    if missing := [name for name in names if name not in found]:
        _reject(path, f"the file must have `{'`, `'.join(missing)}`", f"only {', '.join(sorted(held)) or 'nothing'}")
    return found


def _read_side(path: Path, known: tuple[int, ...], wanted: bool, *, needs_cameras: bool) -> Side:
    names = ("features",) * wanted + ("ids",) + ("cameras",) * needs_cameras
    arrays = read_arrays(path, names)
    ids = _integers(path, "ids", arrays)
    cameras = _integers(path, "cameras", arrays) if needs_cameras else np.full(len(ids), known[0])
    features = _numbers(path, "features", arrays) if wanted else None
    rows = [len(column) for column in (ids, cameras, features) if column is not None]
    if len(set(rows)) > 1 or not rows[0]:
        _reject(path, f"`{'`, `'.join(names)}` must have one row per image, and at least one", rows)
    if strange := sorted(set(cameras.tolist()) - set(known)):
        _reject(path, f"`cameras` must be in {known}, those of this modality", strange[:10])
    return Side(ids, cameras, features)


def _numbers(path: Path, name: str, arrays: dict[str, NDArray[Any]]) -> NDArray[np.floating[Any]]:
    """A table in float64 if it is given so: else equal numbers might appear that are none."""
    array = arrays[name]
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        _reject(path, f"`{name}` must be two-dimensional and real", f"{array.dtype} {array.shape}")
    kind = np.float64 if array.dtype == np.float64 else np.float32
    return array.astype(kind)  # a copy: the caller may change it


def _integers(path: Path, name: str, arrays: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """A column of integers, of whatever type and orientation MATLAB gave them."""
    array = arrays[name]
    if array.size != max(array.shape, default=0) or array.dtype.kind not in "fiu":
        _reject(path, f"`{name}` must be one column of integers", f"{array.dtype} {array.shape}")
    column = array.reshape(-1)
    whole: NDArray[np.int64] = np.nan_to_num(column, nan=-1, posinf=-1, neginf=-1).astype(np.int64)
    if not np.array_equal(whole, column) or (whole < 0).any():
        _reject(path, f"`{name}` must be integers from 0", "others")
    return whole


def _items(side: Side, modality: int, root: Path) -> list[Item]:
    """An image per row; its number, from 1, is its place among those of its identity and camera."""
    seen: Counter[tuple[int, int]] = Counter()
    items = []
    for identity, camera in zip(side.ids.tolist(), side.cameras.tolist(), strict=True):
        seen[identity, camera] += 1
        path = root / f"cam{camera}" / f"{identity:04d}" / f"{seen[identity, camera]:04d}.jpg"
        items.append(Item(path, identity, camera, modality))
    return items


def _reject(path: Path, rule: str, received: object) -> None:
    raise ValueError(f"read_features: {rule}, in {path.absolute()}; got {received}")
