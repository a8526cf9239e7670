"""Checkpoints: the model's weights as safetensors, the state of the optimiser as tensors; no code is unpickled."""

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
    """State in a checkpoint beside the model: an optimiser, a schedule, an average of weights."""

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
    """Write the complete state after `step` steps; older checkpoints are deleted once this one is on the disk."""
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
    """Delete all checkpoints except that of a step, and incomplete ones of interrupted runs."""
    others = [path for found, path in checkpoints(out) if found != step]
    for path in [*(out / "checkpoints").glob(".step-*"), *others]:
        remove(path)


def load_checkpoint(
    out: Path, model: nn.Module, others: Mapping[str, Stateful], note: Callable[[str], object] = print
) -> int:
    """Load the newest complete checkpoint into the model and the others; `note` reports damaged checkpoints.

    Returns its step, or 0 if there are no checkpoints.

    Raises:
        ValueError: there are checkpoints, and all are damaged.
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
        except Exception as error:  # a damaged file can give many kinds
            damaged.append(f"{file} ({type(error).__name__}: {reason_of(error)})")
            continue
        for one in damaged:
            note(f"a damaged checkpoint is ignored: {one}; the run continues after step {step}")
        return step
    if damaged:
        raise ValueError(f"load_checkpoint: one checkpoint must be complete to resume; none is: {'; '.join(damaged)}")
    return 0
