"""From a command line to settings, and from what goes wrong to one line. Nothing here loads PyTorch."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from vireid.config import Settings
from vireid.runs import RECORD, checkpoints, read_settings

T = TypeVar("T")
AnySettings = TypeVar("AnySettings", bound=Settings)
REGISTRY = ConstructorRegistry()


@REGISTRY.primitive_rule
def _path(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    """Paths with `~` for the home directory, also where the shell leaves it: in `--out=~/runs`."""
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: Path(words[0]).expanduser(),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )


def cli(kind: type[T], arguments: Sequence[str] | None = None, **options: Any) -> T:
    """The options of a command line, by default this process'; `options` are those of `tyro.cli`."""
    with REGISTRY:
        return tyro.cli(kind, args=arguments, **options)


def parse(arguments: Sequence[str], default: AnySettings, description: str | None) -> AnySettings:
    """The settings of a command line, on top of those of the record that `--from` names, or else of `default`."""
    if (record := argument(arguments, "--from")) is not None:
        default = read_settings(Path(record).expanduser(), type(default))
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
