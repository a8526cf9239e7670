"""Processes beside this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ending_workers() -> Iterator[None]:
    """End the processes of a pool with this one: a signal to this one alone would leave it waiting for their runs."""
    try:
        yield
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
