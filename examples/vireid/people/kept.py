"""Arrays that take seconds to make, kept in files between runs."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vireid.files import replace_file
from vireid.lock import locked

Arrays = dict[str, np.ndarray]


def folder() -> Path:
    """Where they are kept: $XDG_CACHE_HOME/concordant, by default ~/.cache/concordant."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "concordant"


@functools.cache
def code() -> str:
    """A hash of this package's code: other code, other arrays."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def file_of(name: str) -> Path:
    return folder() / f"{name}-{code()}.npz"


def keep(name: str, make: Callable[[], Arrays]) -> Path:
    """The file of a name; its arrays are made if they are not there yet. Files that other code has made are deleted.

    Of several processes that ask at once, one makes them, and the others wait.
    """
    path = file_of(name)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.parent / f".{name}.lock", wait=True):
        if path.exists():
            return path
        arrays = make()

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]

        replace_file(path, write)
        for old in path.parent.glob(f"{name}-*.npz"):
            if old != path:
                old.unlink(missing_ok=True)
    return path


def load(name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays of a name."""
    with np.load(keep(name, make)) as arrays:
        return {key: arrays[key] for key in arrays.files}
