"""Loops that numpy is too slow for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compiled at its first call, kept on the disk; without fast mathematics, so that the bytes are always the same."""
    return cast(F, numba.njit(cache=True, fastmath=False)(function))
