"""Several processes that train one model: how they meet, agree, and stop together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from accelerate.utils.environment import parse_flag_from_env


def join_processes() -> PartialState:
    """Meet the other processes that a launcher has started, over gloo where they are on CPUs.

    Raises:
        ValueError: the launcher has started others, but this process cannot meet them: each would train alone.
    """
    # Left to itself, accelerate takes processes on CPUs for single ones.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())
    if (started := int(os.environ.get("WORLD_SIZE", "1"))) != state.num_processes:
        raise ValueError(f"train: {started} processes were started, but {state.num_processes} found each other")
    return state


def together(do: Callable[[], object]) -> None:
    """Do something on the main process; what it raises, all raise, so that none waits for one that has ended."""
    failed: list[Exception | None] = [None]
    if PartialState().is_main_process:
        try:
            do()
        except (ValueError, OSError) as error:
            failed = [error]
    broadcast_object_list(failed)
    if failed[0] is not None:
        raise failed[0]


def mean(accelerator: Accelerator, figures: Sequence[Mapping[str, torch.Tensor | float]]) -> dict[str, float]:
    """The mean of each figure over batches and processes: the same on all of them, and not finite where one is not."""
    device = accelerator.device
    values = [[torch.as_tensor(value, device=device).detach().float() for value in one.values()] for one in figures]
    batches = torch.stack([torch.stack(one) for one in values])
    total: torch.Tensor = accelerator.reduce(batches.mean(dim=0), reduction="mean")
    return dict(zip(figures[0], total.tolist(), strict=True))
