"""A step reads nothing off the device, and is the same on buffers, as a graph needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
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
from vireid.training.average import Average
from vireid.training.graphs import Static, captured, captures, forgiving, remember
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
    precision="no",
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


@pytest.mark.parametrize("case", ["refused", "half-way", "hung"])
def test_a_failed_capture_is_said_once_and_changes_nothing(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor if it has run the step by then: weights, statistics, the optimiser and random numbers are as before."""
    one, other, notes = ready(), ready(), list[str]()
    monkeypatch.setattr(graphs, "PATIENCE", 0.2 if case == "hung" else 60)

    def record(call: Callable[[], Figures]) -> Callable[[], Figures]:
        if case == "half-way":
            call()
            torch.rand(5)
        if case == "hung":
            time.sleep(30)
        raise AttributeError("operation not permitted when\nstream is capturing")

    static = Static(partial(compute, other), record, partial(remember, other), notes.append)
    torch.testing.assert_close(losses(other, static, 5), losses(one, partial(compute, one), 5), rtol=0, atol=0)
    (note,) = notes
    reason = "it took longer than 0.2 seconds" if case == "hung" else "operation not permitted when stream is capturing"
    assert note == f"steps run one by one: the step could not be captured as a graph; {reason}"
    states = [{"model": each.model} | each.kept for each in (one, other)]
    for mine, theirs in zip(*(each.values() for each in states), strict=True):
        torch.testing.assert_close(mine.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    assert torch.equal(one.batches.generator.get_state(), other.batches.generator.get_state())


def test_random_numbers_are_as_before_a_failed_capture() -> None:
    state = ready()
    undo, expected = remember(state), (torch.rand(2), torch.rand(2, generator=state.batches.generator))
    undo()
    torch.testing.assert_close((torch.rand(2), torch.rand(2, generator=state.batches.generator)), expected)


@pytest.mark.slow
def test_what_does_not_compile_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not begun when that fails: statistics are counted once."""

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no C++ compiler\nthere is")

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", broken)
    one, other, notes, images = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2), list[str](), torch.randn(3, 2)
    other.compile()
    with forgiving(notes.append):
        for _ in range(2):
            assert torch.equal(other(images), one(images))
    torch._dynamo.reset()
    torch.testing.assert_close(other.state_dict(), one.state_dict())
    (note,) = notes
    assert note.startswith("some of the step is not compiled, and runs as it is; ")
    assert "no C++ compiler there is" in note


@pytest.mark.long
@pytest.mark.slow
def test_a_compiled_step_is_the_step() -> None:
    settings = replace(SMALL, data=replace(SMALL.data, views=0.0))
    one, other, notes = ready(settings), ready(replace(settings, compile="default")), list[str]()
    with torch._inductor.config.patch(fallback_random=True), captured(other, notes.append) as run:
        found = losses(other, run, 3)  # rounding grows from step to step
    torch._dynamo.reset()
    expected = losses(one, partial(compute, one), 3)
    torch.testing.assert_close(found[:, :-1], expected[:, :-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[:, -1], expected[:, -1], rtol=1e-3, atol=1e-3)  # the gradient's norm
    assert not notes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, of which graphs are")
def test_a_captured_step_is_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, over 50 steps, from the same seed."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    one, other, notes = ready(), ready(replace(SMALL, compile="graph")), list[str]()
    with captured(other, notes.append) as run:
        assert isinstance(run, Static)
        found = losses(other, run, 50)
    assert not notes
    assert run.replays
    torch.testing.assert_close(found, losses(one, partial(compute, one), 50), rtol=1e-4, atol=1e-4)


def test_an_average_counts_where_its_weights_are() -> None:
    """A count elsewhere would not be part of a captured step."""
    model = torch.nn.Linear(2, 2, device="meta")
    assert Average(model, 0.9).n_averaged.device.type == "meta"


@pytest.mark.parametrize(
    ("way", "device", "processes", "accumulate", "expected"),
    [
        ("auto", "cuda", 1, 1, True),
        ("graph", "cuda", 1, 1, True),
        ("none", "cuda", 1, 1, False),
        ("default", "cuda", 1, 1, False),
        ("auto", "cpu", 1, 1, False),
        ("auto", "cuda", 2, 1, False),
        ("auto", "cuda", 1, 2, False),
    ],
)
def test_what_is_captured(way: Any, device: str, processes: int, accumulate: int, expected: bool) -> None:
    settings = Settings(compile=way, optim=OptimSettings(accumulate=accumulate))
    accelerator: Any = SimpleNamespace(device=torch.device(device), num_processes=processes)
    assert captures(settings, accelerator) is expected


def test_where_nothing_is_captured_by_default_no_line_says_so() -> None:
    state, notes = ready(), list[str]()
    with captured(replace(state, settings=replace(SMALL, optim=OptimSettings(accumulate=2))), notes.append) as run:
        assert isinstance(run, partial)
    assert not notes


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here, and captures the step")
def test_without_a_gpu_a_line_says_that_there_is_no_graph() -> None:
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
