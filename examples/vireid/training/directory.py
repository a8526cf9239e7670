"""The directory of a run before training: new, resumed, or emptied; used by one run at a time."""

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
"""Settings that may change when a run is resumed. The record identifies data and initial weights by content."""


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Create a run's directory and lock it against other runs; with several processes, the main process does both.

    Raises:
        ValueError: another run is using it.
        OSError: it cannot be written.
    """
    with ExitStack() as held:

        def hold() -> None:
            make(out)
            try:
                held.enter_context(locked(out / LOCK, wait=False))
            except BlockingIOError:
                raise ValueError(f"train: {out} must be used by one run at a time; another run is using it") from None

        together(hold)
        yield


def make(out: Path) -> None:
    """Create a directory, and check that it can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise OSError(f"train: `out` must be a directory that can be written; got {out} ({error})") from None


def check_start(settings: Settings, data: dict[str, Any]) -> None:
    """Check that the directory is empty, this run's to resume, or a former run's to overwrite, and `--from`'s data."""
    out = settings.out
    record = out / RECORD
    if settings.resume:
        if not record.exists():
            raise FileNotFoundError(f"train: nothing to resume in {out}: there is no {RECORD}")
        if settings.optim.steps and (out / WEIGHTS).exists() and not checkpoints(out):
            raise FileNotFoundError(f"train: {out} holds a finished run; its checkpoint, to resume from, was deleted")
        if changed := list(differences(read_settings(record, type(settings)), settings)):
            raise ValueError(
                f"train: --resume continues with the settings of {record}; these differ: {', '.join(changed)}"
            )
        read_log(out)  # rejects a damaged log while all processes can still fail together
    elif out.is_dir() and others_of(out):
        if not record.exists():
            raise ValueError(f"train: `out` must be empty, or the directory of a run; {out} has no {RECORD}")
        if not settings.overwrite:
            raise ValueError(f"train: {out} holds a run already: --resume continues it, --overwrite deletes it")
    if settings.from_ and not settings.resume:
        check_data(settings.from_, data)
    make(out)


def clear(out: Path) -> list[str]:
    """Delete the files of a run, except its record, which marks the directory of a run. Returns notes to print."""
    for path in [path for pattern in WRITTEN for path in out.glob(pattern)]:
        remove(path)
    for folder in ("checkpoints", "tensorboard"):
        with suppress(OSError):  # it holds other files, of the user
            (out / folder).rmdir()
    left = [path.name for path in others_of(out) if path.name != RECORD]
    return [f"--overwrite keeps other files in {out}: {', '.join(left)}"] if left else []


def others_of(out: Path) -> list[Path]:
    """The content of a directory without its lock, temporary files, and files that systems create."""
    return sorted(path for path in out.iterdir() if not is_litter(path.name))


def differences(former: Any, now: Any, group: str = "") -> Iterator[str]:
    """The changed settings that a resumed run must keep, as flags, with both values."""
    for field in fields(now):
        name, one, other = f"{group}{field.name}", getattr(former, field.name), getattr(now, field.name)
        if name not in FREE and is_dataclass(other):
            yield from differences(one, other, f"{name}.")
        elif name not in FREE and one != other:
            yield f"--{name.replace('_', '-')} ({one} there, {other} here)"


def check_finished(settings: Settings, data: dict[str, Any]) -> None:
    """Reject the files of a finished run, if it had other settings or other data."""
    check_start(replace(settings, resume=True), data)
    check_data(settings.out / RECORD, data)


def begin(settings: Settings, record: dict[str, Any], console: Console) -> None:
    """Empty the directory of a new run, and print how versions and machine differ from those in the record."""
    source = settings.out / RECORD if settings.resume else settings.from_
    notes = compare_records(source, record) if source else []
    if not settings.resume:
        notes += clear(settings.out)
    for note in notes:
        print_note(console, note)
