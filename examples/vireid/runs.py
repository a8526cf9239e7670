"""Reading the directory of a run: its settings, its log, its checkpoints."""

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
RESULTS = ("metrics.json", "attention.png", "curves.png", "found.png", "rankings.png")
"""The files of an evaluation."""
WRITTEN = (
    *("scores.json", *RESULTS, "model.safetensors", LOG),
    *("checkpoints/step-[0-9]*", "checkpoints/.step-*", "tensorboard/events.out.tfevents.*"),
)
"""The files of a run beside its record, as patterns; first those of a finished run. Other files are the user's."""
STEP = re.compile(r"step-(\d{8})$")
ERRANDS = ("from_", "resume", "overwrite", "fast_dev_run")
"""Settings that say what to do with a run; they are not read from a record."""

AnySettings = TypeVar("AnySettings", bound=Settings)


def read_record(path: Path, parts: Mapping[str, type]) -> dict[str, Any]:
    """The record of a run, with at least the given parts.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not such a record.
    """
    record = read_json(path)
    content = record if isinstance(record, dict) else {}
    if wrong := sorted(name for name, kind in parts.items() if not isinstance(content.get(name), kind)):
        raise ValueError(f"read_record: {path} must be the record of a run; it has no {', '.join(wrong)}")
    return content


def read_settings(path: Path | str, kind: type[AnySettings]) -> AnySettings:
    """The settings of a run, from its record; those of `ERRANDS` have their defaults.

    Raises:
        FileNotFoundError: there is no such record.
        ValueError: it is not the record of a run with settings of this kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_settings: no record of a run at {path} (its name is {RECORD})")
    content = read_record(path, {"settings": dict})["settings"]
    if isinstance(content.get("compile"), bool):  # as older records have it
        content["compile"] = "default" if content["compile"] else "none"
    try:
        settings: AnySettings = revive(kind, content)
    except ValueError as error:
        raise ValueError(f"read_settings: {path} must be the record of a run of this trainer: {error}") from None
    defaults: dict[str, Any] = {field.name: field.default for field in fields(kind) if field.name in ERRANDS}
    return replace(settings, **defaults)


def read_log(out: Path | str) -> list[dict[str, float]]:
    """The rows of a run's log; an incomplete last line, from a killed run, is ignored.

    Raises:
        ValueError: another line is not a row, or has other columns than the first row.
    """
    path = Path(out) / LOG
    lines = path.read_bytes().splitlines() if path.exists() else []
    rows: list[dict[str, float]] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or not all(isinstance(row.get(name), (int, float)) for name in ("step", *row)):
                raise ValueError("a row must have a step, and numbers only")
            if rows and row.keys() != rows[0].keys():
                raise ValueError("all rows must have the same columns")
            rows.append(row)
        except ValueError:
            if number < len(lines):
                raise ValueError(f"read_log: each line of {path} must be a row; line {number} is not") from None
    return rows


def checkpoints(out: Path | str) -> list[tuple[int, Path]]:
    """The steps and the paths of the run's checkpoints, the newest last."""
    paths = (Path(out) / "checkpoints").glob("step-*")
    return sorted((int(match[1]), path) for path in paths if (match := STEP.match(path.name)))
