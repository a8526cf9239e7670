"""Saving weights as a safetensors file, never a pickle; and loading a model, built from the settings beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from vireid.config import ModelConfig
from vireid.files import plain, read_json, reason_of, replace_file, revive
from vireid.runs import RECORD

CONFIG, WEIGHTS = "config.json", "model.safetensors"
BACKBONE = "backbone."
"""Start of the names of a backbone's tensors in a complete model."""
START: dict[str, Any] = {"pretrained": False, "weights": None, "frozen": 0}
"""Settings of the initial weights and what of them stays, which a trained model does not need."""
Model = TypeVar("Model", bound=nn.Module)


def save_weights(model: nn.Module, path: Path | str, *, metadata: dict[str, str] | None = None) -> None:
    """Write a model's parameters and buffers, with metadata, under a temporary name first."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    replace_file(Path(path), lambda temporary: save_file(tensors, temporary, metadata))


def read_metadata(path: Path | str) -> dict[str, str]:
    """The metadata that `save_weights` wrote with the weights; empty if there is none."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def weights_digest(path: Path | str) -> str:
    """A digest of a file of weights, which does not depend on its path."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:32]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors in a safetensors file, from its header."""
    with safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # no mapping


def is_whole(path: Path) -> bool:
    """Whether a file has the weights of a complete model, not of timm's model for a backbone."""
    try:
        return any(name.startswith(BACKBONE) for name in read_shapes(path))
    except (OSError, SafetensorError):
        return False


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load weights that `save_weights` wrote; all tensors must fit."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"load_weights: no weights at {path}")
    model.load_state_dict(load_file(path))


def as_json(config: ModelConfig) -> dict[str, Any]:
    """The configuration of a trained model, for config.json and run.json."""
    content = plain(config)
    for name in START:
        del content["model"][name]
    return content


def read_config(path: Path) -> ModelConfig:
    """The configuration of a trained model, from the run.json of its run or the config.json that was saved with it.

    Settings that are newer than the file have their defaults.

    Raises:
        ValueError: a field is missing or unknown, or its type or range is wrong.
    """
    content = read_json(path)
    try:
        content = content["model"] if path.name == RECORD else content
        if start := sorted(START.keys() & content["model"]):
            raise ValueError(f"a trained model has no {', '.join(start)}")
    except (KeyError, TypeError) as error:
        raise ValueError(f"it has no {error}") from None
    config: ModelConfig = revive(ModelConfig, content)
    return replace(config, model=replace(config.model, **START))


def load_model(weights: Path | str, build: Callable[[ModelConfig], Model]) -> Model:
    """The model of these weights, built by `build`, in evaluation mode, on the CPU.

    Its settings are in run.json or config.json beside the weights, or, for a checkpoint, in the run.json of its run.

    Raises:
        FileNotFoundError: the weights or the settings are missing.
        ValueError: the files are damaged or do not fit each other.
    """
    weights = Path(weights)
    beside, *above = weights.absolute().parents
    described = [beside / RECORD, beside / CONFIG, *(folder / RECORD for folder in above[1:2])]
    if not weights.is_file():
        raise FileNotFoundError(f"load_model: no weights at {weights.absolute()}")
    if (path := next((file for file in described if file.is_file()), None)) is None:
        raise FileNotFoundError(f"load_model: {weights} must have the {RECORD} or {CONFIG} of its model beside it")
    try:
        config, held = read_config(path), read_shapes(weights)
        with torch.device("meta"):  # allocates nothing before the sizes are known to fit
            fitting = {name: tuple(tensor.shape) for name, tensor in build(config).state_dict().items()}
        if different := sorted(name for name, _ in fitting.items() ^ held.items()):
            name = different[0]
            raise ValueError(f"{name} must be {fitting.get(name, 'absent')}; got {held.get(name, 'none')}")
        model = build(config)
        load_weights(model, weights)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(f"load_model: {path} must describe the model of {weights.name}; {reason_of(error)}") from None
    return model.eval()
