"""What the benchmarks share: each row of the table is ours beside something that does the same work, in one run."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
import torch


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["torch"] = torch.__version__


@pytest.fixture(scope="session", autouse=True)
def keep_memory() -> None:
    """Let the C library keep what is freed: memory given back and asked for again may take as long as the work.

    On a virtual machine a page fault takes microseconds, and every large tensor is new pages.
    """
    libc, (trim_threshold, mmap_max) = ctypes.CDLL(None), (-1, -4)
    if hasattr(libc, "mallopt"):  # glibc's
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, -1)


@pytest.fixture
def measure(benchmark: Any) -> Callable[..., Any]:
    """measure(row, role, function, *args, shape=…, work=1, rounds=5, …) -> what the function returns.

    `role` is "ours", "floor" (the least that any way must take: the matrix products alone, say) or the name of what is
    compared. Times are divided by `work`, the number of things done (pairs, images), so that a slow way may do fewer.
    `memory` is what it took, in MB, where that is compared too.
    """

    def run(
        row: str,
        role: str,
        function: Callable[..., Any],
        *args: Any,
        shape: str,
        work: int = 1,
        rounds: int = 5,
        threads: int | None = None,
        memory: float | None = None,
        **kwargs: Any,
    ) -> Any:
        benchmark.group, before = row, torch.get_num_threads()
        torch.set_num_threads(threads or before)
        try:
            return benchmark.pedantic(function, args, kwargs, rounds=rounds, warmup_rounds=1)
        finally:
            torch.set_num_threads(before)
            benchmark.extra_info.update(role=role, shape=shape, work=work, threads=threads or before, memory=memory)

    return run
