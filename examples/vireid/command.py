"""From a command line to settings, and from what goes wrong to one line. Nothing here loads PyTorch."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tyro

from vireid.config import Settings
from vireid.recipes import RECIPES, with_recipe
from vireid.runs import RECORD, checkpoints, read_settings

T = TypeVar("T")
AnySettings = TypeVar("AnySettings", bound=Settings)


def cli(kind: type[T], arguments: Sequence[str] | None = None, **options: Any) -> T:
    """The options of a command line, by default this process'; `options` are those of `tyro.cli`.

    A path may begin with `~`, also where a shell leaves it as it is, in `--out=~/runs`.
    """
    words = sys.argv[1:] if arguments is None else arguments
    home = rf"\1{Path.home()}"
    found: T = tyro.cli(kind, args=[re.sub(r"^(--[\w.-]+=)?~(?=/|$)", home, word) for word in words], **options)
    return found


def parse(arguments: Sequence[str], default: AnySettings, description: str | None) -> AnySettings:
    """The settings of a command line, on top of the record's that `--from` names or of `default`, and of `--recipe`."""
    if (record := argument(arguments, "--from")) is not None:
        default = read_settings(Path(record).expanduser(), type(default))
    if (recipe := argument(arguments, "--recipe")) in RECIPES:
        default = with_recipe(default, recipe)
    return cli(type(default), arguments, default=default, description=description)


def argument(arguments: Sequence[str], name: str) -> str | None:
    """What a flag of the command line is given, as `name value` or `name=value`; None where it is not there."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(name, dest="value")
    value: str | None = parser.parse_known_args(arguments)[0].value
    return value


@contextmanager
def one_line(name: str) -> Iterator[None]:
    """End a command at what is wrong with its input: one line says it, and the status is 1."""
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(f"{name}: {error}") from None


def command(name: str, main: Callable[[Any], None], settings: Callable[[], Settings]) -> None:
    """Run a trainer from the command line, and say how to go on where it was stopped."""
    out = None
    try:
        with one_line(name):
            chosen = settings()
            out = chosen.out
            main(chosen)
    except KeyboardInterrupt:
        if os.environ.get("RANK", "0") == "0":
            print(f"\n{name}: stopped{how_to_go_on(out)}", file=sys.stderr)
        raise SystemExit(130) from None


def how_to_go_on(out: Path | None) -> str:
    """What to do after a run was stopped."""
    if out is None or not (out / RECORD).exists():
        return " before training began"
    step = checkpoints(out)[-1][0] if checkpoints(out) else 0
    return f"; the same command with --resume goes on in {out} after step {step}"
