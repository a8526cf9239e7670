"""What is prepared once and kept in a cache: the body's files and the six places."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import track

from vireid.files import replace_file
from vireid.people3d.camera import CAMERAS
from vireid.people3d.place import Plate, plate
from vireid.people3d.source import cache_folder, prepare_body

FIELDS = ("sun", "sky", "depth", "ground")


@functools.cache
def plate_file(number: int) -> Path:
    """Where the plate of a camera is kept. The name holds a hash of this package's code: other code, other plates."""
    code = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return cache_folder() / f"place-{number}-{code.hexdigest()[:16]}.npz"


def prepare_plate(number: int) -> None:
    """Render the place of a camera, if it is not there yet."""
    path = plate_file(number)
    if path.exists():
        return
    made = plate(CAMERAS[number])
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **{field: getattr(made, field) for field in FIELDS})

    replace_file(path, write)
    for old in path.parent.glob(f"place-{number}-*.npz"):
        if old != path:
            old.unlink(missing_ok=True)


def prepare(workers: int, *, progress: bool = True) -> None:
    """Prepare all that is missing."""
    prepare_body(progress=progress)
    missing = [number for number in CAMERAS if not plate_file(number).exists()]
    if not missing:
        return
    if workers == 1:
        for number in track(missing, "Building places", disable=not progress):
            prepare_plate(number)
        return
    prepare_plate(missing[0])  # compiles the kernels, which the others then share
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = pool.map(prepare_plate, missing)
        for _ in track(jobs, "Building places", total=len(missing), disable=not progress):
            pass


@functools.cache
def load_plate(number: int) -> Plate:
    """The plate of a camera, from the cache."""
    prepare_plate(number)
    with np.load(plate_file(number)) as arrays:
        return Plate(*(arrays[field] for field in FIELDS))
