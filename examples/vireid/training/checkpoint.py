"""Checkpoints: model weights as safetensors, the optimiser's state as plain tensors; never a pickle of code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from vireid.files import replace_file, to_disk
from vireid.models.weights import load_weights, save_weights
from vireid.runs import checkpoints


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
    save_weights(model, temporary / "model.safetensors", metadata=metadata)
    replace_file(temporary / "state.pt", lambda path: torch.save(state, path))
    os.replace(temporary, folder / f"step-{step:08d}")
    to_disk(folder)
    to_disk(out)
    tidy(out)


def tidy(out: Path) -> None:
    """Delete all checkpoints but the newest, and what a run left that was ended while it wrote or deleted one."""
    for path in [*(out / "checkpoints").glob(".step-*"), *(path for _, path in checkpoints(out)[:-1])]:
        shutil.rmtree(path)


def load_checkpoint(out: Path, model: nn.Module, others: Mapping[str, Stateful]) -> int:
    """Put the newest checkpoint's state into the model and the others. Returns its step; without one it is 0."""
    found = checkpoints(out)
    if not found:
        return 0
    step, path = found[-1]
    load_weights(model, path / "model.safetensors")
    state = torch.load(path / "state.pt", weights_only=True, map_location="cpu")
    for name, other in others.items():
        other.load_state_dict(state[name])
    return step
