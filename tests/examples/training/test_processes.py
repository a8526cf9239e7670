"""The trainer in two processes, started by accelerate, against the trainer in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from support import trainer_worker as worker
from vireid.config import OptimSettings, Settings
from vireid.models.build import BuiltCAL
from vireid.runs import read_log
from vireid.training.processes import ASKED, join_processes, make_accelerator

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[str, int]:
    """The output and the exit status of two processes, started once for all tests; they write results into `folder`."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    # "--multi_gpu" means several processes; without a GPU they meet on CPUs. Port 0: one that is free.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    variables = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*launch, str(worker.__file__), str(folder)]
    process = subprocess.Popen(
        command, env=os.environ | variables, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        return process.communicate(timeout=150)[1], process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()  # not killed: it has to end those that it started
        pytest.fail(f"a process waits for one that has ended: {process.communicate()[1]}")


@pytest.fixture(scope="module")
def both(folder: Path, done: tuple[str, int]) -> list[dict[str, Any]]:
    assert (folder / "1.json").exists(), done[0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes_train_as_one(folder: Path, both: list[dict[str, Any]]) -> None:
    """Losses, gradients, weights, their average and the matchings, with accumulation and clipping."""
    alone = worker.run(folder / "one")
    assert isinstance(alone, BuiltCAL)
    assert [found["processes"] for found in both] == [2, 2]
    one, two = read_log(folder / "one"), read_log(folder / "two")
    assert [row["step"] for row in two] == list(range(1, worker.STEPS + 1))
    for expected, found in zip(one, two, strict=True):
        assert found.keys() == expected.keys() >= {"pcl", "triplet", "part_triplet", "gradient", "entropy"}
        for name in found.keys() - {"seconds"}:
            assert found[name] == pytest.approx(expected[name], rel=1e-5, abs=2e-6), name
    assert one[0]["gradient"] > 1  # clipping had something to do
    for file in ("model.safetensors", f"checkpoints/step-{worker.STEPS:08d}/model.safetensors"):
        alike, others = (load_file(folder / run / file) for run in ("one", "two"))
        for name in alike.keys() - {"correspondence.history"}:
            torch.testing.assert_close(others[name], alike[name], rtol=0, atol=1e-5, msg=partial("{}: {}".format, name))
    history = alone.correspondence.history[: int(alone.correspondence.seen)].tolist()
    assert len(history) == worker.STEPS * 2 * 8
    assert both[0]["history"] == both[1]["history"]
    for batch in range(0, len(history), 8):  # in the order of the ranks
        assert sorted(both[0]["history"][batch : batch + 8]) == sorted(history[batch : batch + 8])


def test_what_one_finds_wrong_stops_all(both: list[dict[str, Any]]) -> None:
    for found in both:
        assert "holds a run already" in found["occupied"]
        assert found["resumed"] == "nothing"
        assert found["not finite"].startswith("FloatingPointError: train: the loss of step 1 is not finite: total = ")
        assert found["not finite"].count(".jpg") == 16  # the rows of both, of the two batches of the step


def test_a_process_that_ends_ends_the_others(done: tuple[str, int]) -> None:
    """The first process waits for the second, which has ended: the launcher ends it."""
    assert done[1] == 1
    assert "out of memory, say" in done[0]


@pytest.mark.parametrize("name", ASKED)
def test_ways_that_the_loop_has_not_are_rejected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    join_processes()
    monkeypatch.setenv(name, "true")
    with pytest.raises(ValueError, match=f"must not set {name}: it is not supported; got true"):
        join_processes()
    monkeypatch.setenv(name, "False")  # as launchers say it
    join_processes()


def test_the_settings_are_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
        "ACCELERATE_MIXED_PRECISION": "fp8",
        "ACCELERATE_DYNAMO_BACKEND": "inductor",
    }.items():
        monkeypatch.setenv(name, value)
    AcceleratorState._reset_state()
    accelerator = make_accelerator(Settings(precision="no", optim=OptimSettings(accumulate=2)))
    assert accelerator.gradient_accumulation_steps == 2
    assert accelerator.mixed_precision == "no"
    assert accelerator.state.dynamo_plugin.backend == "NO"
    model = accelerator.prepare(torch.nn.Linear(1, 1))
    for syncs in (False, True, False, True):
        with accelerator.accumulate(model):
            assert accelerator.sync_gradients == syncs
    with pytest.raises(ValueError, match="`precision` must be bf16 or no on a CPU; got fp16"):
        make_accelerator(Settings(precision="fp16"))
    monkeypatch.setenv("ACCELERATE_DYNAMO_USE_FULLGRAPH", "perhaps")
    with pytest.raises(ValueError, match=r"ACCELERATE_DYNAMO_USE_FULLGRAPH.* must have valid values; .* perhaps"):
        make_accelerator(Settings())


def test_processes_that_do_not_meet_do_not_train_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    join_processes()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes were started, but 1 are connected"):
        join_processes()
