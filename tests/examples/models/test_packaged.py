"""The packaged ImageNet weights: they recognise photographs, and no other file is taken for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform

from vireid.models import packaged
from vireid.models.backbones import create_backbone
from vireid.models.packaged import NAME, packaged_file, packaged_weights

DAISY = 985
BUILDINGS = {442, 449, 663, 698}
"""Bell cote, boathouse, monastery, palace: ImageNet has no class for the temple in the photograph."""


def test_photographs_are_recognised() -> None:
    model = timm.create_model(NAME).eval()
    model.load_state_dict(packaged_weights())
    transform: Any = create_transform(**resolve_data_config(model=model))
    photographs = load_sample_images()
    images = torch.stack([transform(Image.fromarray(image)) for image in photographs.images])
    with torch.no_grad():
        best = model(images).topk(3).indices.tolist()
    found = {Path(name).stem: classes for name, classes in zip(photographs.filenames, best, strict=True)}
    assert found["flower"][0] == DAISY
    assert set(found["china"]) <= BUILDINGS


def test_a_backbone_starts_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    create: Callable[..., torch.nn.Module] = timm.create_model

    def create_model(name: str, *, pretrained: bool = False, **options: Any) -> torch.nn.Module:
        assert not pretrained, "timm must not download what the package has"
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", create_model)
    backbone, channels = create_backbone(NAME, image_size=(64, 32), pretrained=True)
    assert channels == 1280
    found, tensors = backbone.get_submodule("model").state_dict(), packaged_weights()
    assert tensors.keys() - found.keys() == {"classifier.weight", "classifier.bias"}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in found.items())


def test_a_changed_file_is_rejected(tmp_path: Path) -> None:
    content = bytearray(packaged_file().read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"changed\.pth must have the SHA-256 57934424\w{56}; got \w{64}"):
        packaged_weights(tmp_path / "changed.pth")


def test_a_model_with_other_tensors_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "NAME", "tf_efficientnet_lite1")
    with pytest.raises(ValueError, match=r"timm's tf_efficientnet_lite1 must have the shapes of the 296 in .*; got \("):
        packaged_weights()


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "FILE", "models/none.pth")
    with pytest.raises(FileNotFoundError, match=r"must have models/none\.pth; no file at .*none\.pth"):
        packaged_file()
    monkeypatch.setattr(packaged, "MODULE", "not_installed_at_all")
    with pytest.raises(FileNotFoundError, match=r"must be installed \(extra `examples`\) .*; there is no module not"):
        create_backbone(NAME, image_size=(64, 32), pretrained=True)
