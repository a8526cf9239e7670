"""A run that is interrupted at any moment and resumed gives the result of an uninterrupted run."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

import train_sysu
from support import killed_worker
from support.people import small_set
from vireid.command import command
from vireid.config import SysuSettings
from vireid.models.weights import save_weights
from vireid.runs import checkpoints, read_log
from vireid.training.directory import alone
from vireid.training.record import RunLog

pytestmark = pytest.mark.long

SMALL = ["--data.height", "32", "--data.width", "16", "--data.identities", "2", "--data.images", "2"]
SMALL += ["--model.backbone", "test_resnet", "--model.stage", "2", "--model.no-pretrained", "--model.parts", "2"]
SMALL += ["--save-every", "1", "--optim.steps", "6"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    """Sums in the same order as in the started processes: the comparison is bitwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def arguments(root: Path, out: Path, *more: str) -> list[str]:
    return [*SMALL, "--root", str(root), "--out", str(out), *more]


def settings(root: Path, out: Path, *more: str) -> SysuSettings:
    return train_sysu.command_line(arguments(root, out, *more))


def figures(out: Path) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in read_log(out)]


def test_a_run_killed_at_any_moment_ends_as_one_that_was_not(tmp_path: Path) -> None:
    worker = Path(killed_worker.__file__)
    done = subprocess.run(
        [sys.executable, str(worker), str(tmp_path)], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    moments = done.stdout.split()
    assert {"save_file", "torch.save", "rmtree", "replace", "log"} <= set(moments)
    # A name that is on the disk before what it names would be a checkpoint of nothing after a loss of power.
    assert all(moments[i - 1] == "fsync" for i, moment in enumerate(moments) if moment in ("replace", "rmtree"))


def test_train_sysu_killed_again_and_again(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, dice = tmp_path / "killed", random.Random(0)

    def start(*more: str, until: int | None, signal_: int = signal.SIGKILL) -> tuple[int, str]:
        """Train in another process until its log has a number of rows, and for a random time after."""
        command = [sys.executable, train_sysu.__file__, *arguments(root, out, *more)]
        # In the background of a script, which the tests may be, an interruption would be ignored.
        listen: Callable[[], object] = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(
            command, env=environment(), preexec_fn=listen, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while until is not None and process.poll() is None and len(read_log(out)) < until:
            time.sleep(0.001)
        if until is not None:
            time.sleep(dice.uniform(0, 0.05))
            process.send_signal(signal_)
        said = process.communicate(timeout=120)[1].decode()
        return process.returncode, said

    assert start(until=1)[0] == -signal.SIGKILL
    status, said = start("--resume", until=4, signal_=signal.SIGINT)
    assert status == 130
    assert said.strip().startswith(f"train_sysu: stopped; the same command with --resume continues in {out} after step")
    assert len(said.strip().splitlines()) == 1
    train_sysu.main(settings(root, out, "--resume"))
    assert (out / "metrics.json").exists()
    monkeypatch.setattr("vireid.run.report", lambda *_, **__: None)
    train_sysu.main(settings(root, tmp_path / "whole"))
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert figures(out) == figures(tmp_path / "whole")
    assert [row["step"] for row in read_log(out)] == [1, 2, 3, 4, 5, 6]


def test_a_run_goes_on_where_it_and_its_data_have_moved_to(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vireid.run.report", lambda *_, **__: None)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(root, tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    train_sysu.main(settings(Path("set"), Path("run")))
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    for name in ("set", "run"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    there = settings(tmp_path / "elsewhere" / "set", tmp_path / "elsewhere" / "run", "--resume", "--data.cache=cache")
    train_sysu.main(there)
    assert (there.out / "model.safetensors").read_bytes() == before
    with alone(there.out), pytest.raises(ValueError, match=r"run must be used by one run at a time"):
        train_sysu.main(there)
    image = next((tmp_path / "elsewhere" / "set" / "cam1").rglob("*.jpg"))
    image.write_bytes(image.read_bytes() + b"more")
    with pytest.raises(ValueError, match=r"the data set must be that of .*run.json, whose fingerprint is"):
        train_sysu.main(there)


class Stop(Exception):
    pass


def stop_at(last: int) -> Callable[..., None]:
    def check(_: object, figures: object, step: int) -> None:
        if step == last:
            raise Stop

    return check


def test_a_run_that_had_no_checkpoint_yet_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_worker.run(tmp_path / "whole")
    monkeypatch.setattr("vireid.training.loop.save_checkpoint", lambda *_, **__: pytest.fail("it was to end before"))
    monkeypatch.setattr("vireid.training.watch.Watch._check_finite", stop_at(1))
    with pytest.raises(Stop):
        killed_worker.run(tmp_path / "ended")
    monkeypatch.undo()
    assert not checkpoints(tmp_path / "ended")
    killed_worker.run(tmp_path / "ended", resume=True)
    assert killed_worker.state(tmp_path / "ended") == killed_worker.state(tmp_path / "whole")


def test_a_finished_run_is_resumed_without_a_step(tmp_path: Path) -> None:
    killed_worker.run(tmp_path)
    before = killed_worker.state(tmp_path)
    killed_worker.run(tmp_path, resume=True)
    assert killed_worker.state(tmp_path) == before
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(FileNotFoundError, match="holds a finished run; its checkpoint, to resume from, was deleted"):
        killed_worker.run(tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == before[0]


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty directory": emptied,
    "no state": lambda step: (step / "state.pt").unlink(),
    "empty state": lambda step: (step / "state.pt").write_bytes(b""),
    "cut state": lambda step: os.truncate(step / "state.pt", (step / "state.pt").stat().st_size // 2),
    "text": lambda step: (step / "state.pt").write_text("notes"),
    "list": lambda step: torch.save([1, 2], step / "state.pt"),
    "another's": lambda step: torch.save({"optimizer": {}, "schedule": 5}, step / "state.pt"),
    "cut weights": lambda step: os.truncate(step / "model.safetensors", 100),
    "another's weights": lambda step: save_weights(torch.nn.Linear(1, 1), step / "model.safetensors"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    killed_worker.run(out)
    return out


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(
    trained: Path, tmp_path: Path, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    (_, whole), newer = checkpoints(out)[-1], out / "checkpoints" / "step-00000008"
    shutil.copytree(whole, newer)
    damage(newer)
    killed_worker.run(out, resume=True, console=Console(width=40))
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: a damaged")]
    assert len(said) == 1
    assert str(newer) in said[0]
    assert said[0].endswith("the run continues after step 2")
    assert killed_worker.state(out) == killed_worker.state(trained)


def test_nothing_is_deleted_where_no_checkpoint_is_whole(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(trained, out)
    (out / "checkpoints" / "step-00000001").mkdir()
    DAMAGES["cut state"](checkpoints(out)[-1][1])
    before = sorted(out.rglob("*"))
    with pytest.raises(ValueError, match=r"none is: .*2/state.pt \(.*1/model.safetensors \(") as caught:
        killed_worker.run(out, resume=True)
    assert "\n" not in str(caught.value)
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize(
    "line", [b"5", b"{}", b'{"step": 3}', b'{"step": "one"}', b'{"step": 3, "total": null}', b'{"st', b"\xff"]
)
def test_a_damaged_line_of_a_log_is_named(trained: Path, tmp_path: Path, line: bytes) -> None:
    shutil.copytree(trained, tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    log.write_bytes(log.read_bytes() + line)  # the last line: a run was killed while it wrote it
    assert [row["step"] for row in read_log(tmp_path / "run")] == [1, 2]
    log.write_bytes(log.read_bytes() + b'\n{"step": 3}\n')
    with pytest.raises(ValueError, match=rf"each line of {log} must be a row; line 3 is not"):
        killed_worker.run(tmp_path / "run", resume=True)


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"/state.pt cannot be written; .*No space left on device"):
        killed_worker.run(tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that only Linux has")
def test_a_full_disk_names_the_file_of_the_log(tmp_path: Path) -> None:
    open_full: Any = partial(open, "/dev/full")  # a handle each, which the log closes
    for file in ("log.jsonl", "tensorboard/events"):
        log = RunLog(tmp_path)
        if file == "log.jsonl":
            log._file.close()
            log._file = open_full("a", buffering=1)
        else:
            log._board._file.close()
            log._board._file = open_full("wb")
            log._board._records = RecordWriter(log._board._file)
        with pytest.raises(OSError, match=rf"{tmp_path}/{file}.* cannot be written; .*No space left"), closing(log):
            log.write(1, {"total": 1.0})


def test_tensorboard_has_every_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vireid.training.watch.Watch._check_finite", stop_at(2))
    with pytest.raises(Stop):
        killed_worker.run(tmp_path)
    monkeypatch.undo()
    killed_worker.run(tmp_path, resume=True)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("total")] == [1, 2]


def test_the_log_is_never_gone_while_it_is_cut_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st')

    def killed(*_: object) -> None:
        raise Stop

    monkeypatch.setattr("vireid.files.os.replace", killed)
    with pytest.raises(Stop):
        RunLog(tmp_path, step=1)
    monkeypatch.undo()
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2]
    RunLog(tmp_path, step=1).close()
    assert (tmp_path / "log.jsonl").read_text() == '{"step": 1}\n'


def test_stopped_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: SysuSettings) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        command("train_sysu", interrupted, lambda: SysuSettings(out=tmp_path))
    assert caught.value.code == 130
    assert capsys.readouterr().err == "\ntrain_sysu: stopped before training began\n"
