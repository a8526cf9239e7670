"""Command lines: fast help, paths, signals, and recipes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import export
import train_sysu
from vireid.command import cli, script
from vireid.config import LlcmSource, RegdbSource, SysuSource
from vireid.options import Command, Evaluation, FeatureFiles
from vireid.recipes import RECIPES, SYSU, with_recipe

PAPER = RECIPES["paper"]
EXAMPLES = Path(train_sysu.__file__).parent
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
WATCHED = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print({"torch", "concordant"} & sys.modules.keys())
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("flag", "status"), [("--help", 0), ("--no-such-flag", 2)])
def test_a_command_line_is_read_before_torch_is_loaded(script: Path, flag: str, status: int) -> None:
    command = [sys.executable, "-c", WATCHED, str(script), flag]
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}  # a console without Greek letters
    done = subprocess.run(command, capture_output=True, text=True, env=plain)
    assert done.returncode == status, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    if flag == "--help":
        assert "usage: " in done.stdout


def test_paths_know_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = train_sysu.command_line(["--out=~/run", "--root", "~/set", "--data.cache", "~", "--model.weights=~/w"])
    assert settings.out == tmp_path / "run"
    assert settings.root == tmp_path / "set"
    assert settings.data.cache == tmp_path
    assert settings.model.weights == tmp_path / "w"
    assert cli(export.Options, ["--run=~/run"]).run == tmp_path / "run"
    with pytest.raises(FileNotFoundError, match=f"no record of a run at {tmp_path}/run.json"):
        train_sysu.command_line(["--from=~/run.json"])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_what_a_console_cannot_show_is_replaced(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", console)
    with script("x"):
        print("M\u0302 = 3 ± 1, \U0001f600")
        console.flush()
    assert console.buffer.getvalue().startswith(b"M? = 3 ")


@contextmanager
def handled_by(number: int, handler: Any) -> Iterator[None]:
    """A signal with this handler, whatever these tests were started with: in the background some are ignored."""
    before = signal.signal(number, handler)
    try:
        yield
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_a_script_in_one_line(
    name: str, status: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(signal, name, None)
    if number is None:
        pytest.skip("a signal that Windows has not")
    with handled_by(number, signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL):
        with pytest.raises(SystemExit) as caught, script("x", lambda: "; and how to go on"):
            signal.raise_signal(number)
        assert caught.value.code == status
        assert capsys.readouterr().err == "\nx: stopped; and how to go on\n"
        monkeypatch.setenv("RANK", "1")
        with pytest.raises(SystemExit), script("x"):
            signal.raise_signal(number)
        assert not capsys.readouterr().err  # of several processes one speaks


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_signal_that_was_to_be_ignored_still_is() -> None:
    with handled_by(signal.SIGHUP, signal.SIG_IGN), script("x"):  # as nohup does
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_evaluation_names_a_data_set() -> None:
    for name, kind in {"sysu": SysuSource, "regdb": RegdbSource, "llcm": LlcmSource}.items():
        options = cli(Command, [name, "--root", "x", "--weights", "y", "--flip"]).what
        assert isinstance(options, Evaluation)
        assert type(options.data) is kind
        assert options.test.flip
    assert cli(Command, ["regdb", "--trial", "all"]).what == Evaluation(RegdbSource(trial="all"))
    words = ["features", "--protocol", "llcm", "--visible", "v.npz", "--infrared", "i.mat"]
    assert cli(Command, words).what == FeatureFiles("llcm", Path("v.npz"), Path("i.mat"))


def test_a_recipe_is_a_start_for_other_flags() -> None:
    paper = train_sysu.command_line(["--root", "x", "--recipe", "paper", "--loss.margin", "0.5"])
    assert paper == replace(with_recipe(SYSU, "paper"), root=Path("x"), loss=replace(PAPER.loss, margin=0.5))
    assert (paper.recipe, paper.model.norm_source, paper.loss.reduction) == ("paper", "parts", "sum")
    assert paper.model.backbone == SYSU.model.backbone
    assert train_sysu.command_line(["--root", "x"]) == replace(with_recipe(SYSU, "default"), root=Path("x"))
