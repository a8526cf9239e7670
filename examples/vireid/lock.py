"""A lock between processes, which the system releases when its holder ends, for any reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file. Where the system or the file system has no locks, say so, and give False.

    The file is not removed, as another process may just have locked it.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
    """
    with path.open("a") as handle:
        held = fcntl is not None
        if held:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError:
                held = False
        if not held:
            _say_once(path.absolute().parent)
        yield held


@cache
def _say_once(folder: Path) -> None:
    print(
        f"locked: {folder} is in a file system without locks: let no other process write there at the same time",
        file=sys.stderr,
    )
