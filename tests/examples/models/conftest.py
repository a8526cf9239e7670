"""A model that looks trained, the run that it is from, and where it was saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from support.trained import SMALL_MODEL, looks_trained
from vireid.config import ModelConfig, Settings
from vireid.files import plain, write_json
from vireid.models.hub import HubCAL
from vireid.models.weights import as_json, save_weights


@pytest.fixture(scope="module")
def model() -> HubCAL:
    torch.manual_seed(0)
    model = HubCAL(ModelConfig(SMALL_MODEL, height=96, width=48, num_classes=5))
    looks_trained(model)
    return model


@pytest.fixture(scope="module")
def run(model: HubCAL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that a model is loaded from."""
    out = tmp_path_factory.mktemp("runs") / "demo"
    out.mkdir()
    save_weights(model, out / "model.safetensors")
    write_json(out / "run.json", {"settings": plain(Settings()), "model": as_json(model.config)})
    return out


@pytest.fixture
def saved(model: HubCAL, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"
