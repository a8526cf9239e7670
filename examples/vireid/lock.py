"""A lock between processes, which the system releases when its holder ends, for any reason."""

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
    """Hold the lock of a file. Gives False where the system or the file system has no locks.

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
        yield held
