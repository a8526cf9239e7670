"""Trees in SYSU-MM01's layout: small JPEGs, with the odd cases of real copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

TRAIN, VALIDATION, TEST = (1, 2, 5), (4,), (3, 6, 12, 40)
MakeTree = Callable[..., Path]


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
