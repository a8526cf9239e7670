"""Checkpoints: model weights as safetensors, the optimiser's state as plain tensors; never a pickle of code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from vireid.files import reason_of, remove, replace_file, to_disk
from vireid.models.weights import WEIGHTS, load_weights, save_weights
from vireid.runs import checkpoints

STATE = "state.pt"


class Stateful(Protocol):
    """What a checkpoint keeps beside the model: an optimiser, a schedule, an average of weights."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any: ...


def save_checkpoint(
    out: Path,
    step: int,
    model: nn.Module,
    others: Mapping[str, Stateful],
    *,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write the run's whole state after `step` steps; older checkpoints go once this one is on the disk."""
    folder = out / "checkpoints"
    temporary = folder / f".step-{step:08d}"
    temporary.mkdir(parents=True)
    state = {name: other.state_dict() for name, other in others.items()}
    try:
        save_weights(model, temporary / WEIGHTS, metadata=metadata)
        replace_file(temporary / STATE, lambda path: torch.save(state, path))
        os.replace(temporary, folder / f"step-{step:08d}")
    except BaseException:
        shutil.rmtree(temporary)
        raise
    to_disk(folder)
    to_disk(out)
    tidy(out, step)


def tidy(out: Path, step: int) -> None:
    """Delete every checkpoint but that of a step, and what a run left that was ended while it wrote or deleted one."""
    others = [path for found, path in checkpoints(out) if found != step]
    for path in [*(out / "checkpoints").glob(".step-*"), *others]:
        remove(path)


def load_checkpoint(
    out: Path, model: nn.Module, others: Mapping[str, Stateful], note: Callable[[str], object] = print
) -> int:
    """Put the newest checkpoint that is whole into the model and the others; `note` is told of those that are not.

    Returns its step; without any it is 0.

    Raises:
        ValueError: there are some, and none is whole.
    """
    damaged = []
    for step, path in reversed(checkpoints(out)):
        file = path / WEIGHTS
        try:
            load_weights(model, file)
            file = path / STATE
            state = torch.load(file, weights_only=True, map_location="cpu")
            for name, other in others.items():
                other.load_state_dict(state[name])
        except Exception as error:  # torch has many for a damaged file
            damaged.append(f"{file} ({type(error).__name__}: {reason_of(error)})")
            continue
        for one in damaged:
            note(f"a damaged checkpoint is passed over: {one}; the run goes on after step {step}")
        return step
    if damaged:
        raise ValueError(f"load_checkpoint: a checkpoint must be whole to go on from; none is: {'; '.join(damaged)}")
    return 0
