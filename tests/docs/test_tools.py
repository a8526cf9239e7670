"""What the figures and numbers of the guides are made by."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("timm")

import healthy
from concordant import AttentionStatistics, draw_views, split_modality
from concordant.losses.cal import LossTerms
from evidence import of_one_size
from support.pages import ROOT
from support.trained import SMALL_MODEL
from vireid.config import DataSettings, Settings
from vireid.models.build import build_model


@pytest.mark.parametrize("half", [False, True])
def test_memory_is_that_of_the_tensors_that_a_step_keeps(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As counted with real tensors."""
    monkeypatch.syspath_prepend(str(ROOT))
    activations: Any = importlib.import_module("benchmarks.activations")
    settings = Settings(model=replace(SMALL_MODEL, specific_stems=False), data=DataSettings(64, 32, views=0.5))
    found, others = activations.gibibytes(settings, 8, half, again=False)
    model, modality = build_model(settings.model_config(activations.CLASSES)).train(), torch.arange(8) % 2
    views = draw_views(8, share=0.5)
    known = {x.untyped_storage().data_ptr() for x in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    images = torch.randn(8, 3, 64, 32).contiguous(memory_format=torch.channels_last)
    split = split_modality(torch.cat([modality, modality[views.rows]]))
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        torch.autocast("cpu", torch.bfloat16, enabled=half),
    ):
        output = model(images, torch.arange(8) // 4, split, views=views)
    expected = sum(x.untyped_storage().nbytes() for x in kept.values()) / 2**30
    assert found == pytest.approx(expected, rel=0.02)  # how many views have which modality is drawn
    assert others == 16 * sum(x.numel() for x in model.parameters()) / 2**30
    del output


def test_the_healthy_curves_are_of_values_that_a_run_logs(tmp_path: Path) -> None:
    logged = (*LossTerms._fields, *AttentionStatistics._fields)
    rows = [{"step": float(step)} | dict.fromkeys(logged, 1 / step) for step in range(1, 40)]
    assert healthy.draw(rows, tmp_path / "healthy.png").stat().st_size > 10_000
    lacking = [{name: value for name, value in row.items() if name != "kd1"} for row in rows]
    with pytest.raises(KeyError, match="kd1"):
        healthy.draw(lacking, tmp_path / "healthy.png")


def test_the_figure_of_the_comparison_has_images_of_one_size() -> None:
    runs = [{"configuration": "a", "changes": {}}, {"configuration": "a, small", "changes": {"data.height": 128}}]
    assert [run["configuration"] for run in of_one_size(runs)] == ["a"]
