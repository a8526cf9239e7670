"""From a command line to settings, and from what goes wrong to one line. Nothing here loads PyTorch."""

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
from vireid.recipes import RECIPES, with_recipe
from vireid.runs import RECORD, checkpoints, read_settings

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows lacks the second
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
def script(name: str, stopped: Callable[[], str] = str) -> Iterator[None]:
    """What every script is run in: it ends in one line, whatever ends it, on whatever console.

    The status is 1 at what is wrong with its input, and 128 + n at signal n: an interruption, a request to end, a
    terminal that was closed. `stopped` says how to go on after those.
    """
    for stream in (sys.stdout, sys.stderr):
        # A character of a table that the console has not is no reason to end.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Whoever had a signal ignored, as nohup does, wants the script to outlive it.
    former = {one: signal.signal(one, _stop) for one in SIGNALS if signal.getsignal(one) is signal.SIG_DFL}
    try:
        yield
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(f"{name}: {error}") from None
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
    """Run a trainer from the command line, and say how to go on where it was stopped."""
    out: list[Path] = []
    with script(name, lambda: how_to_go_on(*out)):
        chosen = settings()
        out.append(chosen.out)
        main(chosen)


def how_to_go_on(out: Path | None = None) -> str:
    """What to do after a run was stopped."""
    if out is None or not (out / RECORD).exists():
        return " before training began"
    step = checkpoints(out)[-1][0] if checkpoints(out) else 0
    return f"; the same command with --resume goes on in {out} after step {step}"
