"""A run's directory, for those who read it: its settings, its log, its checkpoints."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from vireid.config import Settings
from vireid.files import read_json, revive

RECORD = "run.json"
STEP = re.compile(r"step-(\d{8})$")
ERRANDS = ("from_", "resume", "overwrite", "fast_dev_run")
"""Settings that say what to do with a run: a record's are not taken over."""

AnySettings = TypeVar("AnySettings", bound=Settings)


def read_settings(path: Path | str, kind: type[AnySettings]) -> AnySettings:
    """The settings of a run, from its record; without what was to be done with a directory that was there.

    Raises:
        FileNotFoundError: there is no such record.
        ValueError: it is no record of a run with these settings.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_settings: no record of a run at {path} (it is called {RECORD})")
    try:
        settings: AnySettings = revive(kind, read_json(path)["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"read_settings: {path} must be the record of such a run: {error}") from None
    defaults: dict[str, Any] = {field.name: field.default for field in fields(kind) if field.name in ERRANDS}
    return replace(settings, **defaults)


def read_log(out: Path | str) -> list[dict[str, float]]:
    """The rows of a run's log; a last line that a killed run left unfinished is passed over."""
    path = Path(out) / "log.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def checkpoints(out: Path | str) -> list[tuple[int, Path]]:
    """The run's checkpoints by their steps, the newest last."""
    paths = (Path(out) / "checkpoints").glob("step-*")
    return sorted((int(match[1]), path) for path in paths if (match := STEP.match(path.name)))
