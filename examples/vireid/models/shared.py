"""What the runs of a seed have in common: their frozen stages see the same pictures, and are computed once."""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from pickle import UnpicklingError

import torch
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from vireid.models.backbones import FeatureGrid


def share_frozen(backbone: nn.Module, folder: Path) -> None:
    """Keep what a backbone's frozen stages make of each batch in `folder`, and take from it what another run has kept.

    Their results depend on their weights and their input alone, by whose bytes they are kept, and on torch: no run can
    tell. Of EfficientNets only, whose stages are a chain; other backbones are left as they are, and those with nothing
    frozen. In single precision.
    """
    if not isinstance(backbone, FeatureGrid) or not isinstance(backbone.model, EfficientNet) or not backbone.frozen:
        return
    inner = tuple(f"{name}." for name in backbone.frozen)
    stages = [backbone.get_submodule(name) for name in backbone.frozen if not name.startswith(inner)]
    forwards = [stage.forward for stage in stages]
    folder.mkdir(parents=True, exist_ok=True)
    own = blake2b(f"{torch.__version__} {stages}".encode())
    for tensor in nn.ModuleList(stages).state_dict().values():
        own.update(bytes_of(tensor))

    def compute(features: Tensor) -> Tensor:
        for forward in forwards:
            features = forward(features)
        return features

    def look_up(images: Tensor) -> Tensor:
        key = own.copy()
        key.update(repr(tuple(images.shape)).encode())
        key.update(bytes_of(images))
        path = folder / f"{key.hexdigest()[:40]}.pt"
        try:
            found: Tensor = torch.load(path, weights_only=True)
        except (OSError, EOFError, RuntimeError, UnpicklingError):  # not there, or damaged
            found = compute(images)
            keep(found, path)
        return found

    stages[0].forward = look_up
    for stage in stages[1:]:
        stage.forward = nn.Identity().forward


def bytes_of(tensor: Tensor) -> bytes:
    """The numbers of a tensor on the CPU, whatever their order in memory."""
    return tensor.contiguous().numpy().tobytes()


def keep(tensor: Tensor, path: Path) -> None:
    """Write a file that other processes may write at the same time, and that can be lost, as on a full disk."""
    own = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError, RuntimeError):
        torch.save(tensor, own)
        os.replace(own, path)
    own.unlink(missing_ok=True)
