"""Train, be killed at each change of the disk, resume, and compare; started by tests/examples/training/test_resume.py.

In a process of its own, so that it can fork before torch has started threads: a child costs no import.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from rich.console import Console
from safetensors.torch import save_file

from support.trained import SMALL_MODEL
from vireid.config import DataSettings, OptimSettings, Settings
from vireid.datasets.items import Item, Items
from vireid.models import weights
from vireid.runs import read_log
from vireid.training import loop as engine
from vireid.training.record import RunLog

STEPS = 2


def settings(out: Path, **changes: Any) -> Settings:
    return Settings(
        out=out,
        data=DataSettings(height=32, width=16, identities=2, images=2),
        model=replace(SMALL_MODEL, parts=2),
        optim=OptimSettings(steps=STEPS, ema=0.5),
        save_every=1,
        **changes,
    )


def run(out: Path, console: Console | None = None, **changes: Any) -> None:
    random = np.random.default_rng(0)
    items = Items(Item(Path(f"{i}.jpg"), i % 3, 1, i // 6) for i in range(12))
    images = random.integers(0, 256, (len(items), 32, 16, 3), dtype=np.uint8)
    engine.train(settings(out, **changes), items, images, data={}, console=console or Console(quiet=True))


def cut(write: Callable[..., Any], place: int) -> Callable[..., Any]:
    """A writer that comes to half of its file. `place`: which argument is the path."""

    def half(*arguments: Any, **more: Any) -> None:
        write(*arguments, **more)
        path = Path(arguments[place])
        os.truncate(path, path.stat().st_size // 2)

    return half


def arm(moment: int) -> list[str]:
    """Have this process killed at the given call of all that change something on the disk; list those before."""
    passed: list[str] = []
    sync = os.fsync

    def watched(name: str, act: Callable[..., Any], halfway: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            passed.append(name)
            if len([one for one in passed if one != "fsync"]) == moment:
                if halfway is not None:
                    halfway(*arguments, **more)
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*arguments, **more)

        return call

    def half_a_tree(path: Path) -> None:
        next(iter(sorted(path.iterdir()))).unlink()

    def half_a_line(log: RunLog, *_: Any) -> None:
        log._file.write('{"step": ')

    def synced(descriptor: int) -> None:
        passed.append("fsync")
        sync(descriptor)

    patch.object(weights, "save_file", watched("save_file", save_file, cut(save_file, 1))).start()
    patch.object(torch, "save", watched("torch.save", torch.save, cut(torch.save, 1))).start()
    patch.object(shutil, "rmtree", watched("rmtree", shutil.rmtree, half_a_tree)).start()
    patch.object(os, "replace", watched("replace", os.replace)).start()
    patch.object(RunLog, "write", watched("log", RunLog.write, half_a_line)).start()
    patch.object(os, "fsync", synced).start()
    return passed


def fork(act: Callable[[], None]) -> int:
    """Run a function in another process; returns its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state(out: Path) -> tuple[bytes, bytes, list[float], str]:
    """Results that must not depend on interruptions: weights, their average, the steps of the log, its values."""
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in read_log(out)]
    last = out / "checkpoints" / f"step-{STEPS:08d}" / "model.safetensors"
    left = sorted(path.name for path in (out / "checkpoints").iterdir())
    weights = (out / "model.safetensors").read_bytes(), last.read_bytes()
    return *weights, [row["step"] for row in rows], f"{rows} {left}"


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    whole = folder / "whole"
    assert fork(lambda: run(whole)) == 0
    expected = state(whole)
    for moment in itertools.count(1):
        out = folder / "killed"
        shutil.rmtree(out, ignore_errors=True)

        def killed(out: Path = out, moment: int = moment) -> None:
            passed = arm(moment)
            run(out)
            print(*passed, flush=True)

        status = fork(killed)
        if status == 0:
            break
        assert status == -signal.SIGKILL, f"moment {moment}: exit status {status}"
        begun = (out / "run.json").exists()
        assert fork(partial(run, out, resume=begun)) == 0, f"moment {moment}: no resumption"
        assert state(out) == expected, f"moment {moment}: another end"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
