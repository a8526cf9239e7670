"""Trees in the layouts of SYSU-MM01, RegDB, LLCM and own folders: small images, with the odd cases of real copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

TRAIN, VALIDATION, TEST = (1, 2, 5), (4,), (3, 6, 12, 40)
MakeTree = Callable[..., Path]
MakeRegDB = Callable[..., Path]
MakeLLCM = Callable[..., Path]
MakeFolder = Callable[..., Path]


def _write(path: Path, identity: int, camera: int, picture: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A slope down and across, so that a resize in the wrong order or by another filter shows.
    slope = np.add.outer(7 * np.arange(20), 3 * np.arange(12))
    if camera in (3, 6):  # one channel, as infrared cameras may give
        pixels = slope + identity * 40 + picture
    else:
        pixels = slope[:, :, None] + np.array([identity * 40, camera * 30, picture * 10])
    Image.fromarray((pixels % 256).astype(np.uint8)).save(path, quality=95)


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """make_tree(pictures=n, counts={(camera, identity): n}, mat=True) -> root; a count of 0: no directory."""

    def make(
        name: str = "SYSU", *, pictures: int = 3, counts: Mapping[tuple[int, int], int] | None = None, mat: bool = True
    ) -> Path:
        root, random = tmp_path / name, np.random.default_rng(0)
        (root / "exp").mkdir(parents=True)
        for file, identities in {"train_id": TRAIN, "val_id": VALIDATION, "test_id": TEST}.items():
            (root / "exp" / f"{file}.txt").write_text(",".join(map(str, identities)) + "\n")
        cells = np.empty((6, 1), dtype=object)
        for camera in range(1, 7):
            (root / f"cam{camera}").mkdir()
            lists = np.empty((1, 333 if camera in (1, 2, 6) else 533), dtype=object)
            lists[0, :] = [np.zeros((0, 0))] * lists.size
            for identity in (*TRAIN, *VALIDATION, *TEST):
                n = (counts or {}).get((camera, identity), pictures)
                for picture in range(1, n + 1):
                    _write(root / f"cam{camera}" / f"{identity:04d}" / f"{picture:04d}.jpg", identity, camera, picture)
                if n:
                    lists[0, identity - 1] = np.stack([random.permutation(n) + 1 for _ in range(10)])
            cells[camera - 1, 0] = lists
        if mat:
            savemat(root / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})
        return root

    return make


@pytest.fixture(scope="session")
def make_regdb() -> MakeRegDB:
    """make_regdb(folder, people=8, pictures=3, trials=(1, 2)) -> root; each trial trains on another half."""

    def make(folder: Path, *, people: int = 8, pictures: int = 3, trials: tuple[int, ...] = (1, 2)) -> Path:
        root = folder / "RegDB"
        (root / "idx").mkdir(parents=True)
        for person in range(1, people + 1):
            for picture in range(pictures):
                for letter, place, camera in (("v", "Visible", 1), ("t", "Thermal", 3)):
                    file = f"male_front_{letter}_{picture:05d}_{person}.bmp"
                    _write(root / place / str(person) / file, person, camera, picture)
        for trial in trials:
            order = np.random.default_rng(trial).permutation(people) + 1
            for half, chosen in (("train", order[: people // 2]), ("test", order[people // 2 :])):
                for modality in ("visible", "thermal"):
                    lines = [
                        f"{modality.capitalize()}/{person}/male_front_{modality[0]}_{picture:05d}_{person}.bmp {label}"
                        for label, person in enumerate(chosen.tolist())
                        for picture in range(pictures)
                    ]
                    (root / "idx" / f"{half}_{modality}_{trial}.txt").write_text("\n".join(lines) + "\n")
        return root

    return make


@pytest.fixture(scope="session")
def make_llcm() -> MakeLLCM:
    """make_llcm(folder, train=(1, 2, 5, 8), test=(3, 4, 6), pictures=2, counts={("vis", camera, identity): n}) -> root.

    Camera 3 of near-infrared is an empty folder, as in the real set.
    """

    def make(
        folder: Path,
        *,
        train: tuple[int, ...] = (1, 2, 5, 8),
        test: tuple[int, ...] = (3, 4, 6),
        pictures: int = 2,
        counts: Mapping[tuple[str, int, int], int] | None = None,
    ) -> Path:
        root = folder / "LLCM"
        (root / "idx").mkdir(parents=True)
        (root / "idx" / "test_id.txt").write_text(",".join(map(str, test)) + "\n")
        for modality, colour in (("vis", 1), ("nir", 3)):
            lines = []
            for camera in range(1, 10):
                place = root / f"test_{modality}" / f"cam{camera}"
                place.mkdir(parents=True)
                if (modality, camera) == ("nir", 3):
                    continue
                for identity in (*train, *test):
                    for picture in range((counts or {}).get((modality, camera, identity), pictures)):
                        name = f"{identity:04d}_c{camera:02d}_s{picture:06d}_f{7 * picture}_{modality}.jpg"
                        if identity in test:
                            _write(place / f"{identity:04d}" / name, identity, colour, picture)
                        else:
                            _write(root / modality / f"{identity:04d}" / name, identity, colour, picture)
                            lines.append(f"{modality}/{identity:04d}/{name} {train.index(identity)}")
            (root / "idx" / f"train_{modality}.txt").write_text("\n".join(lines) + "\n")
        return root

    return make


@pytest.fixture(scope="session")
def make_folder() -> MakeFolder:
    """make_folder(folder, names=("photo", "sketch"), train=("1", "2"), test=("3", "4"), pictures=2) -> root"""

    def make(
        folder: Path,
        *,
        names: tuple[str, ...] = ("photo", "sketch"),
        train: tuple[str, ...] = ("1", "2"),
        test: tuple[str, ...] = ("3", "4"),
        pictures: int = 2,
    ) -> Path:
        root = folder / "own"
        for half, people in (("train", train), ("test", test)):
            for place, name in enumerate(names):
                for number, identity in enumerate(people):
                    for picture in range(pictures):
                        _write(root / half / name / identity / f"{picture}.jpg", number, (1, 3)[place % 2], picture)
        return root

    return make
