"""A run's directory, for those who read it: its settings, its log, its checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from vireid.config import Settings
from vireid.files import read_json, revive

RECORD, LOG, LOCK = "run.json", "log.jsonl", ".lock"
RESULTS = ("metrics.json", "attention.png", "curves.png", "rankings.png")
"""What an evaluation leaves."""
WRITTEN = (
    *("scores.json", *RESULTS, "model.safetensors", LOG),
    *("checkpoints/step-[0-9]*", "checkpoints/.step-*", "tensorboard/events.out.tfevents.*"),
)
"""What a run leaves beside its record, as patterns; first what says that it is finished. All else is somebody's own."""
STEP = re.compile(r"step-(\d{8})$")
ERRANDS = ("from_", "resume", "overwrite", "fast_dev_run")
"""Settings that say what to do with a run: a record's are not taken over."""

AnySettings = TypeVar("AnySettings", bound=Settings)


def read_record(path: Path, parts: Mapping[str, type]) -> dict[str, Any]:
    """The record of a run, which has at least these parts.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such record.
    """
    record = read_json(path)
    content = record if isinstance(record, dict) else {}
    if wrong := sorted(name for name, kind in parts.items() if not isinstance(content.get(name), kind)):
        raise ValueError(f"read_record: {path} must be the record of a run; it has no {', '.join(wrong)}")
    return content


def read_settings(path: Path | str, kind: type[AnySettings]) -> AnySettings:
    """The settings of a run, from its record; without what was to be done with a directory that was there.

    Raises:
        FileNotFoundError: there is no such record.
        ValueError: it is no record of a run with these settings.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_settings: no record of a run at {path} (it is called {RECORD})")
    content = read_record(path, {"settings": dict})["settings"]
    try:
        settings: AnySettings = revive(kind, content)
    except ValueError as error:
        raise ValueError(f"read_settings: {path} must be the record of such a run: {error}") from None
    defaults: dict[str, Any] = {field.name: field.default for field in fields(kind) if field.name in ERRANDS}
    return replace(settings, **defaults)


def read_log(out: Path | str) -> list[dict[str, float]]:
    """The rows of a run's log; a last line that a killed run left unfinished is passed over.

    Raises:
        ValueError: another line is no row, or not as the first.
    """
    path = Path(out) / LOG
    lines = path.read_bytes().splitlines() if path.exists() else []
    rows: list[dict[str, float]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or not all(isinstance(row.get(name), (int, float)) for name in ("step", *row)):
                raise ValueError("a row has a step, and numbers only")
            if rows and row.keys() != rows[0].keys():
                raise ValueError("all rows have the same numbers")
            rows.append(row)
        except ValueError:
            if number < len(lines):
                raise ValueError(f"read_log: each line of {path} must be a row; line {number} is not") from None
    return rows


def checkpoints(out: Path | str) -> list[tuple[int, Path]]:
    """The run's checkpoints by their steps, the newest last."""
    paths = (Path(out) / "checkpoints").glob("step-*")
    return sorted((int(match[1]), path) for path in paths if (match := STEP.match(path.name)))
