"""Checkpoints: model weights as safetensors, the optimiser's state as plain tensors; never a pickle of code."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

STEP = re.compile(r"step-(\d{8})$")


def save_weights(model: nn.Module, path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write a model's parameters and buffers, and words about them, under a temporary name first."""
    temporary = path.with_name(f".{path.name}.tmp")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, temporary, metadata)
    os.replace(temporary, path)


def read_metadata(path: Path) -> dict[str, str]:
    """The words that `save_weights` wrote beside the weights; none if it was given none."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote; every tensor must fit."""
    if not path.is_file():
        raise FileNotFoundError(f"load_weights: no weights at {path}")
    model.load_state_dict(load_file(path))


def save_checkpoint(out: Path, step: int, model: nn.Module, state: dict[str, Any]) -> None:
    """Write the run's whole state after `step` steps; older checkpoints go once it is there."""
    folder = out / "checkpoints"
    temporary = folder / f".step-{step:08d}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_weights(model, temporary / "model.safetensors")
    torch.save(state, temporary / "state.pt")
    older = [path for _, path in _checkpoints(out)]
    final = folder / f"step-{step:08d}"
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    for path in older:
        if path != final:
            shutil.rmtree(path)


def load_checkpoint(out: Path, model: nn.Module) -> tuple[int, dict[str, Any]]:
    """Read the newest checkpoint: its step and state; the weights go into the model."""
    found = _checkpoints(out)
    if not found:
        raise FileNotFoundError(f"load_checkpoint: no checkpoint in {out / 'checkpoints'} to resume from")
    step, path = found[-1]
    load_weights(model, path / "model.safetensors")
    return step, torch.load(path / "state.pt", weights_only=True, map_location="cpu")


def _checkpoints(out: Path) -> list[tuple[int, Path]]:
    paths = (out / "checkpoints").glob("step-*")
    return sorted((int(match[1]), path) for path in paths if (match := STEP.match(path.name)))
