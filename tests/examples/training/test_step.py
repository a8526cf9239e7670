"""A step reads nothing off the device, and is the same on buffers, as a graph needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from concordant import matching
from support.operators import count
from support.trained import SMALL_MODEL
from vireid.config import DataSettings, OptimSettings, Settings
from vireid.datasets.items import Item, Items
from vireid.runs import read_log
from vireid.training import graphs
from vireid.training import loop as engine
from vireid.training.graphs import Static, captured, remember
from vireid.training.processes import make_accelerator
from vireid.training.schedule import set_learning_rates
from vireid.training.step import Figures, State, compute
from vireid.training.watch import Watch

ITEMS = Items(Item(Path(f"{i}.jpg"), i % 3, 1, i // 6) for i in range(12))
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 16, 3), dtype=np.uint8)
SMALL = Settings(
    data=DataSettings(32, 16, identities=2, images=2, views=0.5),
    model=replace(SMALL_MODEL, parts=2),
    optim=OptimSettings(steps=50, ema=0.5, lr=1e-3),
)


def ready(settings: Settings = SMALL) -> State:
    config = settings.model_config(len(ITEMS.identities))
    state = engine.setup(settings, config, ITEMS, IMAGES, make_accelerator(settings))
    state.wrapped.train()
    return state


def losses(state: State, run: graphs.Run, steps: int) -> Tensor:
    rows = []
    for step in range(1, steps + 1):
        set_learning_rates(state.optimizer, step, state.settings)
        rows.append(run([state.batches.draw(step - 1)]).values.clone())
    return torch.stack(rows)


@pytest.mark.parametrize("changes", [{}, {"method": "global"}], ids=str)
def test_a_step_on_buffers_is_the_step(changes: dict[str, Any]) -> None:
    one, other, notes = ready(replace(SMALL, **changes)), ready(replace(SMALL, **changes)), list[str]()
    recorded: list[Callable[[], Figures]] = []

    def record(call: Callable[[], Figures]) -> Callable[[], Figures]:
        recorded.append(call)
        return call

    static = Static(partial(compute, other), record, partial(remember, other), notes.append)
    found, expected = losses(other, static, 15), losses(one, partial(compute, one), 15)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert len(recorded) == len(static.replays) == 1 if changes else 1 < len(recorded) <= 5  # 0 … 4 visible views
    assert not notes
    for (name, x), y in zip(one.model.state_dict().items(), other.model.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-4, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("hung", [False, True])
def test_a_failed_capture_is_said_once_and_changes_nothing(hung: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, notes = ready(), ready(), list[str]()
    monkeypatch.setattr(graphs, "PATIENCE", 0.2)

    def record(call: Callable[[], Figures]) -> Callable[[], Figures]:
        if hung:
            time.sleep(30)
        raise RuntimeError("operation not permitted when stream is capturing")

    static = Static(partial(compute, other), record, partial(remember, other), notes.append)
    torch.testing.assert_close(losses(other, static, 5), losses(one, partial(compute, one), 5), rtol=0, atol=0)
    (note,) = notes
    reason = "it took longer than 0.2 seconds" if hung else "operation not permitted when stream is capturing"
    assert note == f"steps run one by one: the step could not be captured as a graph; {reason}"


def test_without_a_gpu_a_line_says_that_there_is_no_graph(tmp_path: Path) -> None:
    state, notes = ready(replace(SMALL, compile="graph")), list[str]()
    with captured(state, notes.append) as run:
        assert isinstance(run, partial)
    assert notes == ["the step is not captured as a graph: that needs a GPU, one process, and `accumulate` 1"]


def test_a_step_reads_nothing_and_dispatches_few_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a CPU's own: the steps of an optimiser that is not fused, SciPy's matching, and smaller center matrices."""
    state = ready(replace(SMALL, optim=replace(SMALL.optim, ema=0.0)))
    for group in state.optimizer.param_groups:
        group |= {"fused": True, "foreach": False}
    by_table: Any = matching._match_by_table
    monkeypatch.setattr(
        "concordant.losses.match_distill.match_parts", lambda w, rows, columns: by_table(w, rows, columns)
    )
    batches = [state.batches.draw(index) for index in range(2)]
    compute(state, batches[:1])
    counted = count(lambda: compute(state, batches[1:]))
    assert set(counted.read_lines) <= {line for line in counted.read_lines if "part_center" in line}, counted.table()
    assert counted.launches <= 1350, counted.table()


@pytest.mark.parametrize("looks", [1, 3])
def test_values_are_looked_at_together(looks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    look = Watch.look

    def noting(self: Watch, step: int) -> list[dict[str, float]]:
        seen.append(step)
        return look(self, step)

    monkeypatch.setattr(Watch, "look", noting)
    monkeypatch.setattr(engine, "looks_of", lambda device: looks)
    settings = replace(SMALL, out=tmp_path, optim=OptimSettings(steps=8), save_every=5)
    engine.train(settings, ITEMS, IMAGES, data={}, console=Console(quiet=True))
    assert seen == ([3, 5, 6, 8] if looks == 3 else list(range(1, 9)))
    rows = read_log(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 9))
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert rows[0]["lr"] == pytest.approx(3e-3)


def test_a_late_look_names_the_step_that_was_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "looks_of", lambda device: 4)
    settings = replace(SMALL, out=tmp_path, optim=OptimSettings(steps=8, lr=1e30, warmup=0.0, clip=1e30))
    with pytest.raises(FloatingPointError, match=r"the output of step 2 is not finite: total = .*\. Its batch:\n  \d+"):
        engine.train(settings, ITEMS, IMAGES, data={}, console=Console(quiet=True))
    assert not read_log(tmp_path)
