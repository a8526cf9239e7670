"""Memory that a process keeps, so as not to get it from the system again, page by page."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`, by its malloc.h."""
MOST = (1 << 31) - 1


def keep_memory() -> None:
    """Let glibc keep what is freed, for this process.

    A training step on a CPU allocates and frees gigabytes, in pieces that glibc gives back to the system at once: to
    get them again costs a quarter of the step. The memory that the process needs at most is the same. On other systems
    nothing changes.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have none
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, MOST)
