"""Several processes that train one model: connecting them, averaging over them, and stopping them together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
"""Environment variables that switch on ways of training that the loop does not support."""
OFF = ("", "0", "f", "false", "n", "no", "off")


def join_processes() -> PartialState:
    """Connect to the other processes that a launcher has started, over gloo if they are on CPUs.

    Raises:
        ValueError: the launcher has started other processes, but this one is not connected: each would train alone. Or
            the environment asks accelerate for a way of training that the loop does not support.
    """
    for name in ASKED:
        if (value := os.environ.get(name, "")).lower() not in OFF:
            raise ValueError(f"train: the environment must not set {name}: it is not supported; got {value}")
    with _environment():
        # Without `cpu`, accelerate treats processes on CPUs as independent.
        state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())
    if (started := int(os.environ.get("WORLD_SIZE", "1"))) != state.num_processes:
        raise ValueError(f"train: {started} processes were started, but {state.num_processes} are connected")
    return state


def make_accelerator(settings: Settings) -> Accelerator:
    """The accelerator for a run's settings; variables of the environment do not change it.

    Raises:
        ValueError: as `join_processes`; or the device does not support the precision.
    """
    device, precision = join_processes().device, settings.precision
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "no"
    if precision == "fp16" and device.type == "cpu":  # accelerate would silently train without it
        raise ValueError("train: `precision` must be bf16 or no on a CPU; got fp16")
    with _environment():
        return Accelerator(
            mixed_precision=precision,
            # As a plugin: ACCELERATE_GRADIENT_ACCUMULATION_STEPS would replace a plain number.
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=settings.optim.accumulate),
            dynamo_backend="no",
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )


@contextmanager
def _environment() -> Iterator[None]:
    """Name the environment variables in an error of accelerate, which names only the value."""
    try:
        yield
    except ValueError as error:
        names = ", ".join(sorted(name for name in os.environ if name.startswith("ACCELERATE_"))) or "variables"
        raise ValueError(f"train: {names} must have valid values; {error}") from None


def together(do: Callable[[], object]) -> None:
    """Run a function on the main process; all processes raise its error, so that none waits for an ended one."""
    failed: list[Exception | None] = [None]
    if join_processes().is_main_process:
        try:
            do()
        except (ValueError, OSError) as error:
            failed = [error]
    broadcast_object_list(failed)
    if failed[0] is not None:
        raise failed[0]
