"""The work of several processes, and of one process alone, for tests/examples/training/test_processes.py.

Batch norms read stored statistics: on CPUs each process takes them from its own rows, which cannot be equal. There is
one image a modality and identity, and so one partner to draw: each process draws them for itself.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from accelerate import PartialState
from rich.console import Console
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from concordant import CALOutput, LossTerms
from support.trained import SMALL_MODEL
from vireid.config import DataSettings, LossSettings, ModelConfig, OptimSettings, Settings
from vireid.datasets.items import Item, Items
from vireid.models import build
from vireid.models.build import Built, BuiltCAL, build_model
from vireid.models.objective import CALObjective
from vireid.training import loop as engine
from vireid.training.processes import join_processes

STEPS = 3
WIDTH = 16


def build_double(config: ModelConfig) -> nn.Module:
    """The model of the settings in float64, in which sums in another order are the same but for a few last bits."""
    model = build_model(config).double()
    model.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(), *inputs[1:]))
    return model


def run(out: Path, **changes: Any) -> Built:
    random = np.random.default_rng(0)
    items = Items(Item(Path(f"{i}.jpg"), i % 6, 1, i // 12) for i in range(24))
    images = random.integers(0, 256, (len(items), 32, WIDTH, 3), dtype=np.uint8)
    settings = Settings(
        out=out,
        data=DataSettings(height=32, width=WIDTH, identities=4, images=1),
        model=replace(SMALL_MODEL, parts=3),
        loss=LossSettings(part_triplet=0.5),
        optim=OptimSettings(steps=STEPS, accumulate=2, ema=0.5, lr=1e-3, clip=1.0),
        save_every=1,
        **changes,
    )
    frozen = patch.object(_BatchNorm, "train", lambda self, mode=True: nn.Module.train(self, False))
    with frozen, patch.object(engine, "build_model", build_double):
        return engine.train(settings, items, images, data={}, console=Console(quiet=True))[0]


class NotFinite(CALObjective):
    """Finite on the first process only, from the second batch on."""

    batches = 0

    def forward(self, output: CALOutput, labels: Tensor, modality: Tensor) -> LossTerms:
        terms = super().forward(output, labels, modality)
        self.batches += 1
        if self.batches > 1 and PartialState().process_index == 1:
            return terms._replace(total=terms.total * torch.inf)
        return terms


def what_is_raised(out: Path, **changes: Any) -> str:
    try:
        run(out, **changes)
    except (ValueError, FloatingPointError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def main(folder: Path) -> None:
    state = join_processes()
    model = run(folder / "two")
    assert isinstance(model, BuiltCAL)
    found = {
        "processes": state.num_processes,
        "history": model.correspondence.history[: int(model.correspondence.seen)].tolist(),
        "occupied": what_is_raised(folder / "two"),
        "resumed": what_is_raised(folder / "two", resume=True),
    }
    with patch.object(build, "CALObjective", NotFinite):
        found["not finite"] = what_is_raised(folder / "broken")
    (folder / f"{state.process_index}.json").write_text(json.dumps(found))
    if state.process_index == 1:
        raise SystemExit("out of memory, say")
    state.wait_for_everyone()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
