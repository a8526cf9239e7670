"""Galleries: the images that each trial ranks, by one of the two draws in use."""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from vireid.config import Draw
from vireid.datasets.items import VISIBLE, Items
from vireid.datasets.tree import number_of, shown

if TYPE_CHECKING:
    from vireid.datasets.sysu import Sysu

Search = Literal["all", "indoor"]
Groups = dict[tuple[int, int], list[int]]
"""The rows of each (identity, camera), in the order in which an evaluation samples from them."""

GALLERY_CAMERAS: dict[str, tuple[int, ...]] = {"all": (1, 2, 4, 5), "indoor": (1, 2)}
TRIALS = 10


def group_rows(items: Items, cameras: Iterable[int], modality: int) -> Groups:
    """The rows of one modality by identity and camera, identities ascending; without empty groups."""
    wanted = set(cameras)
    groups: Groups = {}
    columns = (items.identity.tolist(), items.camera.tolist(), items.modality.tolist())
    for row, (identity, camera, kind) in enumerate(zip(*columns, strict=True)):
        if camera in wanted and kind == modality:
            groups.setdefault((identity, camera), []).append(row)
    return dict(sorted(groups.items()))


def seeded_draw(groups: Groups, trial: int, *, shots: int = 1) -> NDArray[np.int64]:
    """Rows of one trial: `random.seed(trial)`, then group by group one `random.choice`, as in the AGW family of code.

    Implementations differ in how they sample several shots: here by `random.sample`, without repetition, or all images
    if there are fewer. The random generator belongs to this draw. Its order, identity by identity and camera by camera,
    is part of the protocol.
    """
    dice = random.Random(trial)
    drawn: list[int] = []
    for group in groups.values():
        drawn += [dice.choice(group)] if shots == 1 else dice.sample(group, min(shots, len(group)))
    return np.array(drawn, dtype=np.int64)


def gallery_draw(
    sysu: Sysu, trial: int, *, search: Search = "all", shots: int = 1, draw: Draw = "official"
) -> NDArray[np.int64]:
    """Rows of `sysu.test` for the gallery of one trial: `shots` images per identity and camera, or all if fewer.

    official: the first `shots` of row `trial` of the permutations in exp/rand_perm_cam.mat, a file of the data set;
    camera by camera, and identity by identity, as in its evaluation code (the order decides among equal scores).
    seeded: see `seeded_draw`; single-shot galleries are those of the AGW family of code.

    Args:
        trial: 0 .. 9.
        search: "all" samples from cameras 1, 2, 4, 5, "indoor" from 1 and 2.
        shots: 1 (single-shot) or 10 (multi-shot).

    Raises:
        FileNotFoundError: exp/rand_perm_cam.mat is missing.
        ValueError: for bad settings, or a file that does not fit the images.
    """
    if search not in GALLERY_CAMERAS:
        raise ValueError(f"gallery_draw: `search` must be one of {tuple(GALLERY_CAMERAS)}; got {search!r}")
    if draw not in ("official", "seeded"):
        raise ValueError(f"gallery_draw: `draw` must be 'official' or 'seeded'; got {draw!r}")
    if not 0 <= trial < TRIALS:
        raise ValueError(f"gallery_draw: `trial` must be 0 .. {TRIALS - 1}; got {trial}")
    if shots < 1:
        raise ValueError(f"gallery_draw: `shots` must be at least 1; got {shots}")
    groups = group_rows(sysu.test, GALLERY_CAMERAS[search], VISIBLE)
    if draw == "seeded":
        return seeded_draw(groups, trial, shots=shots)
    drawn: list[int] = []
    for (identity, camera), group in sorted(groups.items(), key=lambda one: one[0][::-1]):
        row_of = {_picture(sysu.test[row].path): row for row in group}
        if len(row_of) < len(group):
            raise ValueError(
                f"gallery_draw: the official draw needs one image per number; two in "
                f"{sysu.test[group[0]].path.parent.absolute()} have the same number"
            )
        for picture in _permutation(sysu.root, camera, identity, trial)[:shots]:
            if picture not in row_of:
                raise ValueError(
                    f"gallery_draw: {_mat(sysu.root)} names image {picture:04d} of identity {identity:04d} and "
                    f"camera {camera}, which must be in {sysu.test[group[0]].path.parent.absolute()}; it has "
                    f"{len(group)} images, but not this one"
                )
            drawn.append(row_of[picture])
    return np.array(drawn, dtype=np.int64)


def _mat(root: Path) -> Path:
    return root.absolute() / "exp" / "rand_perm_cam.mat"


def _picture(path: Path) -> int:
    picture = number_of(path.stem)
    if picture is None:
        raise ValueError(f"gallery_draw: the official draw needs images with numbers as names (0001.jpg); got {path}")
    return picture


def _permutation(root: Path, camera: int, identity: int, trial: int) -> list[int]:
    """The numbers, from 1, of the images of an identity and a camera in the order of one trial."""
    file = _mat(root)
    try:
        status = file.stat()
    except OSError:
        raise FileNotFoundError(
            f"gallery_draw: the official draw reads {file}, which is missing (it comes with the data set's "
            f"evaluation code); draw='seeded' (`--gallery seeded`) needs no such file"
        ) from None
    lists = _load_permutations(file, status.st_mtime_ns)[camera - 1]
    # The real file's lists end at identity 333 for cameras 1, 2 and 6, at 533 for the others.
    permutations = lists[identity - 1] if identity <= len(lists) else np.zeros(0)
    if permutations.ndim != 2 or permutations.size == 0 or trial >= len(permutations):
        raise ValueError(
            f"gallery_draw: {file} must have {TRIALS} permutations of the images of each identity; for identity "
            f"{identity:04d} and camera {camera} it has {permutations.shape} in a list of {len(lists)} identities; "
            f"got trial {trial}"
        )
    pictures = permutations[trial].tolist()
    if set(pictures) != set(range(1, len(pictures) + 1)):
        raise ValueError(
            f"gallery_draw: {file} must have permutations of 1 .. n; for identity {identity:04d}, camera {camera} and "
            f"trial {trial} it has {shown(str(pictures))}"
        )
    return [int(picture) for picture in pictures]


@lru_cache(maxsize=4)
def _load_permutations(file: Path, _changed: int) -> list[NDArray[np.object_]]:
    """For each of the six cameras, one array [10 n] per identity, by identity - 1."""
    try:
        cells = loadmat(file)["rand_perm_cam"].reshape(-1)
        lists = [camera.reshape(-1) for camera in cells]
    except Exception as error:  # SciPy's reader raises many kinds for a damaged file or another format
        raise ValueError(
            f"gallery_draw: {file} must be a MATLAB file with `rand_perm_cam`; reading it gave {error!r}"
        ) from None
    if len(lists) != 6:
        raise ValueError(f"gallery_draw: `rand_perm_cam` of {file} must have 6 cells, one per camera; got {len(lists)}")
    return lists
