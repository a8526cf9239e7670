"""What a training step of CAL costs on a GPU, one by one, compiled, and as a graph; written as JSON, and printed.

    python benchmarks/gpu_step.py runs/gpu_step.json

On a CPU it runs at a tiny size, to show that it runs: operators are counted in place of launches, without a graph.
A GPU takes about four minutes. Each measurement that fails is written as its error, and the others go on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from support.operators import count
from vireid.config import AugmentSettings, LossSettings, Settings
from vireid.datasets.augment import Augment
from vireid.datasets.items import Item, Items
from vireid.files import write_json
from vireid.recipes import SYSU
from vireid.training.graphs import captured
from vireid.training.loop import setup
from vireid.training.processes import make_accelerator
from vireid.training.record import name_of, versions
from vireid.training.schedule import set_learning_rates
from vireid.training.step import Figures, State

GPU = torch.cuda.is_available()
HEIGHT, WIDTH = (288, 144) if GPU else (32, 16)
IDENTITIES, CYCLE = 64, 8
"""Batches come again after eight steps: a shape is run, then captured, then replayed."""
WAYS = ("none", "default", "graph")

ITEMS = Items(Item(Path(f"{i}.jpg"), i % IDENTITIES, 1, i // (4 * IDENTITIES)) for i in range(8 * IDENTITIES))
PIXELS = np.random.default_rng(0).integers(0, 256, (len(ITEMS), HEIGHT, WIDTH, 3), dtype=np.uint8)


def settings_of(batch: int, **changes: Any) -> Settings:
    """SYSU's settings at a batch size, a multiple of 8."""
    data = replace(SYSU.data, height=HEIGHT, width=WIDTH, identities=batch // 8, images=4)
    model = replace(SYSU.model, backbone="resnet50" if GPU else "test_resnet", pretrained=False)
    settings = replace(SYSU, data=data, model=model, precision="bf16" if GPU else "no")
    return replace(settings, **changes)


class Trial:
    """A training that goes on step by step."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self.notes: list[str] = []
        config = settings.model_config(IDENTITIES)
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


def wait() -> None:
    if GPU:
        torch.cuda.synchronize()


def speed(way: str, batch: int, **changes: Any) -> dict[str, Any]:
    """Seconds of a step, images a second, launches, waits, and the share of the time that the device works."""
    with ExitStack() as stack:
        trial = Trial(settings_of(batch, compile=way, **changes), stack)
        trial.steps(2 * CYCLE + 1)
        seconds = min(trial.steps(CYCLE if GPU else 2) for _ in range(3))
        found: dict[str, Any] = {"ms": 1e3 * seconds, "images_per_second": batch / seconds, "notes": trial.notes}
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


def head(way: str) -> dict[str, float]:
    """A step of CAL over one of the backbone with an identity loss, as in test_training_step.py."""
    loss = replace(SYSU.loss, triplet=0.0, part_triplet=0.0)
    ours = speed(way, 64 if GPU else 16, loss=loss)["ms"]
    alone = speed(way, 64 if GPU else 16, method="global", loss=LossSettings(triplet=0.0))["ms"]
    return {"ms": ours, "identity_alone_ms": alone, "ratio": ours / alone}


def augmentation() -> dict[str, float]:
    """Milliseconds of the augmentation of a batch that is on the device."""
    device, n = torch.device("cuda" if GPU else "cpu"), 256 if GPU else 16
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
    rows = []
    for each in ("none", way):
        with ExitStack() as stack:
            torch.backends.cudnn.deterministic = True
            trial = Trial(settings_of(16, compile=each, precision="no"), stack)
            rows.append(torch.stack([trial.step().values.clone() for _ in range(steps)]).cpu())
    names, difference = trial.step().names, (rows[0] - rows[1]).abs()
    worst = dict(zip(names, difference.amax(dim=0).tolist(), strict=True))
    total = names.index("total")
    return {"steps": steps, "total": float(difference[:, total].max()), "worst": worst, "notes": trial.notes}


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
        last = [trial.step().values.clone() for _ in range(2 * CYCLE)][-1]
        return {"notes": trial.notes, "finite": bool(last.isfinite().all())}


def measurements() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    small, large = (64, 256) if GPU else (16, 32)
    yield "augmentation", augmentation
    for way in ("none", "graph"):
        yield f"{way}, {small} images", partial(speed, way, small)
        yield f"{way}, {large} images", partial(speed, way, large)
        yield f"{way}, head", partial(head, way)
    yield "graph as one by one, float32", partial(equality, "graph", 50 if GPU else 3)
    yield "a capture that fails", failure
    if GPU:  # last, as it takes longest; a CPU needs a compiler
        yield f"default, {small} images", partial(speed, "default", small)


def main(out: Path) -> None:
    device = torch.device("cuda" if GPU else "cpu")
    record: dict[str, Any] = {"device": name_of(device), "versions": versions(("torch", "timm")), "rows": {}}
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, measure in measurements():
        start = time.perf_counter()
        try:
            row = measure()
        except Exception as error:  # the others are worth their time
            row = {"error": f"{type(error).__name__}: {error}"}
        record["rows"][name] = row | {"seconds": time.perf_counter() - start}
        write_json(out, record)
        values = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items())
        print(f"{name}: {', '.join(values)}", flush=True)
        torch._dynamo.reset()
        if GPU:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/gpu_step.json"))
