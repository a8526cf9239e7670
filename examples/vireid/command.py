"""Command lines become settings, and errors become one line. This module does not load PyTorch."""

from __future__ import annotations

import os
import re
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeVar

import tyro

from vireid.config import Settings
from vireid.help import help_of
from vireid.memory import keep_memory
from vireid.recipes import RECIPES, with_recipe
from vireid.runs import RECORD, checkpoints, read_settings

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows lacks the second
ELSEWHERE = {
    "--epochs": "training is counted in steps, which `--optim.steps` sets; an epoch has about images / batch of them",
    "--batch-size": "a batch has 2 · P · K images, which `--data.identities` (P) and `--data.images` (K) set",
    "--batch_size": "a batch has 2 · P · K images, which `--data.identities` (P) and `--data.images` (K) set",
}
"""Flags of other trainers, and what stands for them here."""
T = TypeVar("T")
AnySettings = TypeVar("AnySettings", bound=Settings)


def cli(kind: type[T], arguments: Sequence[str] | None = None, **options: Any) -> T:
    """The options of a command line, by default that of this process; `options` are those of `tyro.cli`.

    A path may begin with `~`, also in `--out=~/runs`, which a shell does not expand.
    """
    words = sys.argv[1:] if arguments is None else arguments
    home = rf"\1{Path.home()}"
    found: T = tyro.cli(kind, args=[re.sub(r"^(--[\w.-]+=)?~(?=/|$)", home, word) for word in words], **options)
    return found


def parse(arguments: Sequence[str], default: AnySettings, description: str | None) -> AnySettings:
    """The settings of a command line. Defaults are those of the record `--from`, or `default`, with the `--recipe`."""
    if (record := argument(arguments, "--from")) is not None:
        default = read_settings(Path(record).expanduser(), type(default))
    if (recipe := argument(arguments, "--recipe")) in RECIPES:
        default = with_recipe(default, recipe)
    if (advice := advice_on(arguments)) is not None:
        print(f"{Path(sys.argv[0]).stem}: {advice}", file=sys.stderr)
        raise SystemExit(2)
    if {"-h", "--help"} & set(arguments):
        print(help_of(default, Path(sys.argv[0]).stem, description), end="")
        raise SystemExit(0)
    return cli(type(default), arguments, default=default, description=description)


def advice_on(words: Sequence[str]) -> str | None:
    """What to write in place of a flag or a value that other programs have; None if there is no such word."""
    for former, word in zip(("", *words), words, strict=False):
        flag, _, value = word.partition("=")
        if flag in ELSEWHERE:
            return f"`{flag}`: {ELSEWHERE[flag]}"
        if not word.startswith("--"):
            flag, value = former, word
        if flag.startswith("--") and value.lower() in ("true", "false"):
            group, dot, name = flag.removeprefix("--").rpartition(".")
            return f"`{flag} {value}`: a switch has no value; `{flag}` switches on, `--{group}{dot}no-{name}` off"
    return None


def argument(arguments: Sequence[str], name: str) -> str | None:
    """The value of a flag of the command line, written `name value` or `name=value`; None without the flag."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="value")
    value: str | None = parser.parse_known_args(arguments)[0].value
    return value


@contextmanager
def script(name: str, stopped: Callable[[], str] = str) -> Iterator[None]:
    """Run a script so that any error ends it with a message of one line, on any console.

    The exit status is 1 for wrong input, and 128 + n for signal n: an interruption, a request to end, a closed
    terminal. `stopped` says how to continue after a signal.
    """
    keep_memory()
    for stream in (sys.stdout, sys.stderr):
        # A character that the console cannot show must not end the script.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    # A signal that was set to be ignored, as nohup does, must not end the script.
    former = {one: signal.signal(one, _stop) for one in SIGNALS if signal.getsignal(one) is signal.SIG_DFL}
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(str(error) if str(error).startswith(f"{name}: ") else f"{name}: {error}") from None
    except KeyboardInterrupt as stop:
        if os.environ.get("RANK", "0") == "0":
            print(f"\n{name}: stopped{stopped()}", file=sys.stderr)
        raise SystemExit(128 + (stop.args[0] if stop.args else signal.SIGINT)) from None
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)


def _stop(number: int, _: object) -> None:
    raise KeyboardInterrupt(number)


def command(name: str, main: Callable[[Any], None], settings: Callable[[], Settings]) -> None:
    """Run a trainer from the command line; after an interruption, print how to continue."""
    out: list[Path] = []
    with script(name, lambda: how_to_go_on(*out)):
        chosen = settings()
        out.append(chosen.out)
        main(chosen)


def how_to_go_on(out: Path | None = None) -> str:
    """How to continue an interrupted run."""
    if out is None or not (out / RECORD).exists():
        return " before training began"
    step = checkpoints(out)[-1][0] if checkpoints(out) else 0
    return f"; the same command with --resume continues in {out} after step {step}"
