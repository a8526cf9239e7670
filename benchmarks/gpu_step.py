"""What a training step of CAL costs on a GPU, one by one, compiled, and as a graph: rows of `gpu.py`."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from benchmarks.rows import GPU, wait

from support.operators import count
from vireid.config import AugmentSettings, LossSettings, Settings
from vireid.datasets.augment import Augment
from vireid.datasets.items import Item, Items
from vireid.recipes import LLCM, REGDB, SYSU
from vireid.training.graphs import captured
from vireid.training.loop import setup
from vireid.training.processes import make_accelerator
from vireid.training.schedule import set_learning_rates
from vireid.training.step import Figures, State

HEIGHT, WIDTH = (288, 144) if GPU else (32, 16)
IDENTITIES, CYCLE = 64, 8 if GPU else 1
"""Batches come again after a cycle: a shape is run, then captured, then replayed."""
RECIPES: dict[str, tuple[Settings, int]] = {"SYSU-MM01": (SYSU, 395), "RegDB": (REGDB, 206), "LLCM": (LLCM, 713)}
"""The settings of each data set, and its training identities."""
WITHOUT_VIEWS = replace(SYSU.loss, equivariance=0.0)
"""No image is seen a second time: as many pass the backbone as a batch has."""

ITEMS = Items(Item(Path(f"{i}.jpg"), i % IDENTITIES, 1, i // (4 * IDENTITIES)) for i in range(8 * IDENTITIES))
PIXELS = np.random.default_rng(0).integers(0, 256, (len(ITEMS), HEIGHT, WIDTH, 3), dtype=np.uint8)


def settings_of(batch: int, **changes: Any) -> Settings:
    """The settings of real data at a batch size, a multiple of 8."""
    data = replace(SYSU.data, height=HEIGHT, width=WIDTH, identities=batch // 8, images=4)
    model = replace(SYSU.model, backbone="resnet50" if GPU else "test_resnet", pretrained=False)
    settings = replace(SYSU, data=data, model=model, precision="bf16" if GPU else "no")
    return replace(settings, **changes)


class Trial:
    """A training that goes on step by step."""

    def __init__(self, settings: Settings, stack: ExitStack, classes: int = IDENTITIES) -> None:
        self.notes: list[str] = []
        AcceleratorState._reset_state(True)  # a process has one precision, and its rows have several
        config = settings.model_config(classes)
        self.state: State = setup(settings, config, ITEMS, PIXELS, make_accelerator(settings))
        self.state.wrapped.train()
        self.run = stack.enter_context(captured(self.state, self.notes.append))
        self.number = 0

    def step(self) -> Figures:
        self.number += 1
        set_learning_rates(self.state.optimizer, self.number, self.state.settings)
        return self.run([self.state.batches.draw(self.number % CYCLE)])

    def steps(self, number: int) -> float:
        """The seconds of a step, of a number of them."""
        wait()
        start = time.perf_counter()
        for _ in range(number):
            self.step()
        wait()
        return (time.perf_counter() - start) / number


def speed(way: str, batch: int, classes: int = IDENTITIES, **changes: Any) -> dict[str, Any]:
    """Milliseconds of a step, images a second, launches, waits, the share of the time that the device works, memory."""
    with ExitStack() as stack:
        if GPU:
            torch.cuda.reset_peak_memory_stats()
        trial = Trial(settings_of(batch, compile=way, **changes), stack, classes)
        trial.steps(2 * CYCLE + 1)
        seconds = min(trial.steps(CYCLE) for _ in range(3 if GPU else 1))
        found: dict[str, Any] = {"images": batch, "ms": 1e3 * seconds, "images_per_second": batch / seconds}
        found["notes"] = trial.notes
        if not GPU:
            counted = count(trial.step)
            return found | {"operators": counted.launches, "reads": counted.reads}
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
            trial.steps(CYCLE)
        return found | activity(profiled, seconds) | {"GiB": torch.cuda.max_memory_allocated() / 2**30}


def activity(profiled: Any, seconds: float) -> dict[str, float]:
    """Launches and waits of a step, and the busy share of its seconds, which were measured without the profiler."""
    events = profiled.events()
    calls = [event.name for event in events if event.name.startswith(("cuda", "cuLaunch", "hip"))]
    kernels = [event for event in events if event.device_type.name == "CUDA"]
    busy = sum(event.time_range.elapsed_us() for event in kernels) / CYCLE / 1e6
    return {
        "launches": sum("Launch" in name for name in calls) / CYCLE,
        "waits": sum("Synchronize" in name for name in calls) / CYCLE,
        "kernels": len(kernels) / CYCLE,
        "busy": busy / seconds,
    }


def head(way: str, batch: int) -> dict[str, Any]:
    """A step of CAL over one of the backbone with an identity loss, as in test_training_step.py; and without views."""
    loss = replace(SYSU.loss, triplet=0.0, part_triplet=0.0)
    ours = speed(way, batch, loss=loss)
    once = speed(way, batch, loss=replace(loss, equivariance=0.0))
    alone = speed(way, batch, method="global", loss=LossSettings(triplet=0.0))
    return {
        "images": batch,
        "ms": ours["ms"],
        "without_views_ms": once["ms"],
        "identity_alone_ms": alone["ms"],
        "ratio": ours["ms"] / alone["ms"],
        "ratio_without_views": once["ms"] / alone["ms"],
        "notes": ours["notes"] + once["notes"] + alone["notes"],
    }


def hours(name: str, way: str, batch: int) -> dict[str, Any]:
    """Hours and memory of a data set's recipe on random images: as many images as it sees, whatever the batch size."""
    recipe, classes = RECIPES[name]
    found = speed(way, batch, classes, optim=recipe.optim)
    seen = recipe.optim.steps * 2 * recipe.data.identities * recipe.data.images
    return found | {"hours": seen / found["images_per_second"] / 3600}


def augmentation(n: int) -> dict[str, Any]:
    """Milliseconds of the augmentation of a batch that is on the device."""
    device = torch.device("cuda" if GPU else "cpu")
    images, modality = torch.from_numpy(PIXELS[:n]).to(device), (torch.arange(n) % 2).to(device)
    augment, found = Augment(AugmentSettings()), []
    draws = augment.draw(n, torch.Generator().manual_seed(0)).to(device)
    for _ in range(6):
        wait()
        start = time.perf_counter()
        augment(images, modality, draws=draws)
        wait()
        found.append(1e3 * (time.perf_counter() - start))
    return {"images": n, "ms": min(found)}


def equality(way: str, steps: int) -> dict[str, Any]:
    """The largest difference of any value of a step, in float32, from steps that are run one by one."""
    every = []
    for each in ("none", way):
        with ExitStack() as stack:
            stack.callback(setattr, torch.backends.cudnn, "deterministic", torch.backends.cudnn.deterministic)
            torch.backends.cudnn.deterministic = True
            trial = Trial(settings_of(16, compile=each, precision="no"), stack)
            rows = [trial.step() for _ in range(steps)]
            every.append(torch.stack([row.values.clone() for row in rows]).cpu())
    difference = (every[0] - every[1]).abs()
    worst = dict(zip(rows[0].names, difference.amax(dim=0).tolist(), strict=True))
    return {"steps": steps, "total": worst["total"], "worst": worst, "notes": trial.notes}


def failure() -> dict[str, Any]:
    """A step that reads a value cannot be captured: a line says so, and the training goes on."""
    with ExitStack() as stack:
        trial = Trial(settings_of(16, compile="graph"), stack)
        forward = trial.state.objective.forward

        def reading(output: Any, *others: Any) -> Any:
            terms = forward(output, *others)
            terms.total.item()
            return terms

        trial.state.objective.forward = reading
        last = [trial.step().values.clone() for _ in range(2 * CYCLE + 1)][-1]
        return {"notes": trial.notes, "finite": bool(last.isfinite().all())}
