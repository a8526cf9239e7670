"""Several processes that train one model: how they meet, agree, and stop together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, GradientAccumulationPlugin, broadcast_object_list
from accelerate.utils.environment import parse_flag_from_env

from vireid.config import Settings

ASKED = [
    "ACCELERATE_TORCH_DEVICE",
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_USE_FSDP",
    "ACCELERATE_USE_MEGATRON_LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG",
    "ACCELERATE_USE_SAGEMAKER",
]
"""Variables that ask accelerate for a way to train that the loop has not."""
OFF = ("", "0", "f", "false", "n", "no", "off")


def join_processes() -> PartialState:
    """Meet the other processes that a launcher has started, over gloo where they are on CPUs.

    Raises:
        ValueError: the launcher has started others, but this process cannot meet them: each would train alone. Or the
            environment asks accelerate for a way to train that the loop has not.
    """
    for name in ASKED:
        if (value := os.environ.get(name, "")).lower() not in OFF:
            raise ValueError(f"train: the environment must not ask accelerate for other ways; got {name}={value}")
    with _environment():
        # Left to itself, accelerate takes processes on CPUs for single ones.
        state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())
    if (started := int(os.environ.get("WORLD_SIZE", "1"))) != state.num_processes:
        raise ValueError(f"train: {started} processes were started, but {state.num_processes} found each other")
    return state


def make_accelerator(settings: Settings) -> Accelerator:
    """The accelerator that a run's settings ask for, whatever the environment says.

    Raises:
        ValueError: as `join_processes`; or this device has no such precision.
    """
    device, precision = join_processes().device, settings.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "no"
    if precision == "fp16" and device.type == "cpu":  # accelerate would train without it, and say that it does
        raise ValueError("train: `precision` must be one that a CPU has, bf16 or no; got fp16")
    with _environment():
        return Accelerator(
            mixed_precision=precision,
            # By a plugin: the number alone gives way to ACCELERATE_GRADIENT_ACCUMULATION_STEPS.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=settings.optim.accumulate),
            dynamo_backend="no",
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )


@contextmanager
def _environment() -> Iterator[None]:
    """Name the variables that accelerate has read where it only says what is wrong with one."""
    try:
        yield
    except ValueError as error:
        names = ", ".join(sorted(name for name in os.environ if name.startswith("ACCELERATE_"))) or "variables"
        raise ValueError(f"train: accelerate must be able to use the environment's {names}; {error}") from None


def together(do: Callable[[], object]) -> None:
    """Do something on the main process; what it raises, all raise, so that none waits for one that has ended."""
    failed: list[Exception | None] = [None]
    if join_processes().is_main_process:
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
