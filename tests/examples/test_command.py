"""Command lines: fast help, paths, signals, and recipes."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import export
import train_folder
import train_llcm
import train_regdb
import train_sysu
from vireid.command import cli, script
from vireid.config import LlcmSource, RegdbSource, SysuSource
from vireid.help import ABLATIONS, ESSENTIAL, help_of
from vireid.options import Command, Evaluation, FeatureFiles
from vireid.recipes import FOLDER, LLCM, RECIPES, REGDB, SYSU, with_recipe

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


def test_an_error_names_its_script_once() -> None:
    for error in ("no file", "x: no file"):
        with pytest.raises(SystemExit, match=r"^x: no file$"), script("x"):
            raise ValueError(error)


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


def flags_in(text: str) -> list[str]:
    return re.findall(r"^  (?:-h, )?--([\w.-]+)", text, re.MULTILINE)


@pytest.mark.parametrize("columns", [60, 80, 300])
def test_help_is_in_groups_and_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = help_of(SYSU, "train_sysu", train_sysu.__doc__)
    assert all(len(line) <= min(columns, 100) for line in text.splitlines() if not line.startswith("    "))
    assert "    torchrun --nproc-per-node 4 examples/train_sysu.py --root SYSU-MM01        # several" in text
    head, essential, common, ablations = re.split(r"^(?:essential|common|ablations):$", text, flags=re.MULTILINE)
    assert not flags_in(head)
    assert {"root", "optim.steps", "help"} <= set(flags_in(essential))
    assert {"optim.lr", "loss.kd1", "test.flip", "scored"} <= set(flags_in(common))
    assert {"model.attention", "loss.metric", "recipe"} <= set(flags_in(ablations))
    assert "\\n" not in text
    assert "None)" not in text


def test_help_has_each_flag_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names: set[str] = set()
    for trainer, default in ((train_sysu, SYSU), (train_regdb, REGDB), (train_llcm, LLCM), (train_folder, FOLDER)):
        with pytest.raises(SystemExit) as ended:
            trainer.command_line(["--root", "x", "--help"])
        assert ended.value.code == 0
        flags = flags_in(capsys.readouterr().out)
        assert len(set(flags)) == len(flags)
        assert {*map(flag_of, leaves_of(default))} == {*flags} - {"help"}
        names |= {*flags}
    assert (ESSENTIAL | ABLATIONS) - {"h"} <= names


def leaves_of(settings: Any, group: str = "") -> Iterator[str]:
    """The names of all settings, as `data.augment.pad`."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from leaves_of(value, f"{group}{field.name}.")
        else:
            yield f"{group}{field.name}"


def flag_of(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["--epochs", "5"], "`--epochs`: training is counted in steps, which `--optim.steps` sets"),
        (["--batch-size=64"], "`--batch-size`: a batch has 2 · P · K images, which `--data.identities` (P)"),
        (
            ["--test.flip", "False"],
            "`--test.flip False`: a switch has no value; `--test.flip` switches on, `--test.no-f",
        ),
        (["--resume=true"], "`--resume true`: a switch has no value; `--resume` switches on, `--no-resume` off"),
    ],
)
def test_words_of_other_trainers_are_answered(
    words: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        train_sysu.command_line(["--root", "x", *words])
    assert ended.value.code == 2
    assert advice in capsys.readouterr().err
