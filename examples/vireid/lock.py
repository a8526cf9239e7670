"""A lock between processes that the system lets go of when its holder ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file; whether there is one: not every system and file system has locks.

    The file stays, since whoever removed it could remove one that another process has just taken.

    Raises:
        BlockingIOError: another process holds it, and `wait` is False.
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
        yield held
