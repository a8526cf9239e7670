"""A run's directory before training: made, gone on in, or emptied; never written over unasked, nor by two at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from vireid.config import Settings
from vireid.files import is_litter, remove
from vireid.lock import locked
from vireid.models.weights import WEIGHTS
from vireid.runs import ERRANDS, LOCK, RECORD, WRITTEN, checkpoints, read_log, read_settings
from vireid.training.processes import together
from vireid.training.progress import print_note
from vireid.training.record import check_data, compare_records

FREE = (*ERRANDS, "save_every", "test", "out", "root", "data.cache", "model.weights")
"""Settings that a run may go on with others of. Paths: the record knows the data and initial weights by content."""


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Make a run's directory, and keep other runs out of it; of several processes of one run, by the main one.

    Raises:
        ValueError: another run is at work in it.
        OSError: it cannot be written.
    """
    with ExitStack() as held:

        def hold() -> None:
            make(out)
            try:
                held.enter_context(locked(out / LOCK, wait=False))
            except BlockingIOError:
                raise ValueError(f"train: {out} must be one run's at a time; another is at work in it") from None

        together(hold)
        yield


def make(out: Path) -> None:
    """Make a directory, and see that it can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise OSError(f"train: `out` must be a directory that can be written; got {out} ({error})") from None


def check_start(settings: Settings, data: dict[str, Any]) -> None:
    """See that the directory is empty, this run's, or another run's to --overwrite, and the data those of `--from`."""
    out = settings.out
    record = out / RECORD
    if settings.resume:
        if not record.exists():
            raise FileNotFoundError(f"train: nothing to resume in {out}: there is no {RECORD}")
        if settings.optim.steps and (out / WEIGHTS).exists() and not checkpoints(out):
            raise FileNotFoundError(f"train: {out} holds a finished run; its checkpoint, to resume from, was deleted")
        if changed := list(differences(read_settings(record, type(settings)), settings)):
            raise ValueError(
                f"train: --resume goes on with the settings of {record}; these differ: {', '.join(changed)}"
            )
        read_log(out)  # refuses a damaged one while all processes listen
    elif out.is_dir() and others_of(out):
        if not record.exists():
            raise ValueError(f"train: `out` must be empty, or the directory of a run; {out} has no {RECORD}")
        if not settings.overwrite:
            raise ValueError(f"train: {out} holds a run already: --resume goes on with it, --overwrite deletes it")
    if settings.from_ and not settings.resume:
        check_data(settings.from_, data)


def clear(out: Path) -> list[str]:
    """Delete what a run has written, but for its record, by which it is a run. Returns what is to be said of it."""
    for path in [path for pattern in WRITTEN for path in out.glob(pattern)]:
        remove(path)
    for folder in ("checkpoints", "tensorboard"):
        with suppress(OSError):  # somebody's own files are in it
            (out / folder).rmdir()
    left = [path.name for path in others_of(out) if path.name != RECORD]
    return [f"--overwrite leaves what no run has written in {out}: {', '.join(left)}"] if left else []


def others_of(out: Path) -> list[Path]:
    """What is in a directory, but for its lock, what was never finished, and what systems leave."""
    return sorted(path for path in out.iterdir() if not is_litter(path.name))


def differences(former: Any, now: Any, group: str = "") -> Iterator[str]:
    """The settings that a run may not go on with, as flags, with both values."""
    for field in fields(now):
        name, one, other = f"{group}{field.name}", getattr(former, field.name), getattr(now, field.name)
        if name not in FREE and is_dataclass(other):
            yield from differences(one, other, f"{name}.")
        elif name not in FREE and one != other:
            yield f"--{name.replace('_', '-')} ({one} there, {other} here)"


def check_finished(settings: Settings, data: dict[str, Any]) -> None:
    """Refuse what is left of a finished run, if it had other settings or other data."""
    check_start(replace(settings, resume=True), data)
    check_data(settings.out / RECORD, data)


def begin(settings: Settings, record: dict[str, Any], console: Console) -> None:
    """Take the directory, and say how this run's surroundings differ from its record's or its model's."""
    check_start(settings, record["data"])
    make(settings.out)
    notes = [] if settings.resume else clear(settings.out)
    if source := settings.out / RECORD if settings.resume else settings.from_:
        notes += compare_records(source, record)
    for note in notes:
        print_note(console, note)
