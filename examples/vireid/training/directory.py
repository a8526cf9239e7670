"""A run's directory before training: made, gone on in, or emptied; never written over unasked."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import fields
from typing import Any

from rich.console import Console

from vireid.config import Settings
from vireid.files import is_litter
from vireid.models.weights import WEIGHTS
from vireid.runs import RECORD, checkpoints, read_settings
from vireid.training.checkpoint import tidy
from vireid.training.record import FREE, compare_records


def prepare_out(settings: Settings) -> None:
    """Make the run's directory and see that it can be written; never write over another run unasked."""
    out = settings.out
    record, weights = out / RECORD, out / WEIGHTS
    if settings.resume:
        if not record.exists():
            raise FileNotFoundError(f"train: nothing to resume in {out}: there is no {record.name}")
        if settings.optim.steps and weights.exists() and not checkpoints(out):
            raise FileNotFoundError(f"train: {out} holds a finished run; its checkpoint, to resume from, was deleted")
        former = read_settings(record, type(settings))
        names = [field.name for field in fields(settings) if field.name not in FREE]
        if changed := sorted(name for name in names if getattr(former, name) != getattr(settings, name)):
            raise ValueError(
                f"train: --resume goes on with the settings of {record}; these differ: {', '.join(changed)}"
            )
        tidy(out)
    elif out.is_dir() and (held := [path for path in out.iterdir() if not is_litter(path.name)]):
        if not settings.overwrite:
            raise ValueError(f"train: {out} holds a run already: --resume goes on with it, --overwrite deletes it")
        if not record.exists():
            raise ValueError(f"train: --overwrite deletes runs only; {out} holds files but no {record.name}")
        for path in sorted(held, key=lambda path: path == record):  # last, as it is what makes this a run
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise OSError(f"train: `out` must be a directory that can be written; got {out} ({error})") from None


def begin(settings: Settings, record: dict[str, Any], console: Console) -> None:
    """Make the run's directory, and say how this run's surroundings differ from its record's or its model's."""
    # Before --overwrite may delete the record; for --resume, after it is known that there is one.
    notes = compare_records(settings.from_, record) if settings.from_ and not settings.resume else []
    prepare_out(settings)
    if settings.resume:
        notes = compare_records(settings.out / RECORD, record)
    for note in notes:
        console.print(f"note: {note}", soft_wrap=True, highlight=False)
