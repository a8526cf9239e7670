"""What CAL's head adds to a training step of a ResNet-50 with an identity loss alone: 288×144, a batch of 64."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from vireid.config import LossSettings
from vireid.models.build import build_model
from vireid.recipes import SYSU

ROW, SHAPE = "a training step, ResNet-50", "64 images of 288×144, forward and backward"
PLAIN = replace(SYSU, model=replace(SYSU.model, pretrained=False))
METHODS = {
    "ours": replace(PLAIN, loss=replace(PLAIN.loss, triplet=0.0, part_triplet=0.0)),
    "identity loss alone": replace(PLAIN, method="global", loss=LossSettings(triplet=0.0)),
}


def step(model: nn.Module, objective: nn.Module, images: Tensor, labels: Tensor, modality: Tensor) -> None:
    objective(model(images, labels, modality), labels, modality).total.backward()
    model.zero_grad()


@pytest.mark.parametrize("role", METHODS)
def test_step(measure: Callable[..., Any], role: str) -> None:
    torch.manual_seed(0)
    settings = METHODS[role]
    model = build_model(settings.model_config(395)).to(memory_format=torch.channels_last).train()
    images = torch.randn(64, 3, 288, 144).contiguous(memory_format=torch.channels_last)
    labels, modality = torch.arange(8).repeat_interleave(4).repeat(2), torch.arange(2).repeat_interleave(32)
    measure(ROW, role, step, model, model.objective(settings.loss), images, labels, modality, shape=SHAPE, rounds=3)
