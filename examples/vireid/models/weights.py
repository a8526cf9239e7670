"""A model's weights as a safetensors file, never a pickle."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from vireid.files import replace_file


def save_weights(model: nn.Module, path: Path, *, metadata: dict[str, str] | None = None) -> None:
    """Write a model's parameters and buffers, and words about them, under a temporary name first."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    replace_file(path, lambda temporary: save_file(tensors, temporary, metadata))


def read_metadata(path: Path) -> dict[str, str]:
    """The words that `save_weights` wrote beside the weights; none if it was given none."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def load_weights(model: nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote; every tensor must fit."""
    if not path.is_file():
        raise FileNotFoundError(f"load_weights: no weights at {path}")
    model.load_state_dict(load_file(path))
