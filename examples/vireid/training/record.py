"""What a run writes down: its settings and surroundings once, its figures at every step."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from accelerate import Accelerator
from torch.utils.tensorboard import SummaryWriter

from vireid.config import Settings
from vireid.files import replace_file, to_disk

RECORD = "run.json"
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "einops", "accelerate", "pillow", "concordant")
ERRANDS = ("from_", "verify", "evaluate", "resume", "overwrite", "fast_dev_run")
"""Settings that say what to do with a run: a record's are not taken over."""
FREE = (*ERRANDS, "save_every", "test")
"""Settings that change nothing about what is trained: a run may go on with others."""

AnySettings = TypeVar("AnySettings", bound=Settings)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file under a temporary name, then rename it: nobody ever reads half of it."""
    replace_file(path, lambda temporary: temporary.write_text(json.dumps(content, indent=2, default=str) + "\n"))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as JSON has them."""
    return json.loads(json.dumps(asdict(settings), default=str))


def revive(kind: Any, value: Any) -> Any:
    """The value that an annotation describes, from what JSON has of it: the way back from `plain`.

    Fields that are not there take their defaults: a record may be older than a setting.

    Raises:
        ValueError: it is of another type, or has fields that the dataclass has not.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} is no {kind.__name__}")
        if unknown := sorted(value.keys() - hints.keys()):
            raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
        return kind(**{name: revive(hints[name], content) for name, content in value.items()})
    if origin in (Union, UnionType):
        for one in inner:
            try:
                return revive(one, value)
            except ValueError:
                continue
    elif origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(revive(one, content) for one, content in zip(inner, value, strict=True))
    elif (origin is Literal and value in inner) or (isinstance(kind, type) and type(value) is kind):
        return value
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif kind is float and type(value) is int:
        return float(value)
    raise ValueError(f"{value!r} is no {getattr(kind, '__name__', kind)}")


def read_settings(path: Path, kind: type[AnySettings]) -> AnySettings:
    """The settings of a run, from its record; without what was to be done with a directory that was there.

    Raises:
        FileNotFoundError: there is no such record.
        ValueError: it is no record of a run with these settings.
    """
    if not path.is_file():
        raise FileNotFoundError(f"read_settings: no record of a run at {path} (it is called {RECORD})")
    try:
        settings = revive(kind, read_json(path)["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"read_settings: {path} must be the record of such a run: {error}") from None
    defaults: dict[str, Any] = {field.name: field.default for field in fields(kind) if field.name in ERRANDS}
    return replace(settings, **defaults)


def describe_run(settings: Settings, *, data: dict[str, Any], accelerator: Accelerator) -> dict[str, Any]:
    """Settings with the seed, versions, data, machine and commit: what one needs to repeat a run."""
    device = accelerator.device
    return {
        "settings": plain(settings),
        "data": data,
        "commit": _git("rev-parse", "HEAD") or "not a git checkout",
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
            "processes": accelerator.num_processes,
            "precision": accelerator.mixed_precision,
            "threads": torch.get_num_threads(),
            "system": platform.platform(),
        },
    }


def compare_records(path: Path, now: dict[str, Any]) -> list[str]:
    """What differs from the record at `path` and may change what comes out, a line each.

    Raises:
        ValueError: the data are not the same, or that is no record of a run.
    """
    former = read_json(path)
    if missing := sorted(now.keys() - former.keys()):
        raise ValueError(f"train: {path} must be the record of a run; it has no {', '.join(missing)}")
    mark, mark_now = (record["data"].get("fingerprint") for record in (former, now))
    if mark != mark_now and mark is not None:
        raise ValueError(
            f"train: the data set must be that of {path}, whose fingerprint is {mark}; got one with {mark_now}"
        )
    notes = [
        f"{name} was {value} in {path}, and is {now['versions'].get(name, 'absent')} now"
        for name, value in former["versions"].items()
        if value != now["versions"].get(name)
    ]
    notes += [
        f"{what} was {former['machine'].get(what, 'unknown')} in {path}, and is {now['machine'][what]} now"
        for what in ("device", "processes", "precision", "threads")
        if former["machine"].get(what) != now["machine"][what]
    ]
    if former["commit"] != now["commit"]:
        notes.append(f"the commit was {former['commit']} in {path}, and is {now['commit']} now")
    for record, when in ((former, f"in {path}"), (now, "now")):
        if record.get("uncommitted_changes"):
            notes.append(f"there are changes that were not committed {when}")
    return notes


def fingerprint(root: Path, images: Iterable[Path]) -> str:
    """A digest of the data below `root`: each image's path and size, and what the lists beside them say.

    The images themselves are not read, so it takes a moment only. Lists are text and MATLAB files in a folder of the
    root, as SYSU-MM01's `exp/`.
    """
    digest = hashlib.sha256()
    for path in sorted(images):
        digest.update(json.dumps([path.relative_to(root).as_posix(), path.stat().st_size]).encode())
    for path in sorted([*root.glob("*/*.txt"), *root.glob("*/*.mat")]):
        digest.update(json.dumps([path.relative_to(root).as_posix()]).encode() + path.read_bytes())
    return digest.hexdigest()[:32]


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


class RunLog:
    """Figures of every step as JSON lines and for TensorBoard."""

    def __init__(self, out: Path, *, step: int = 0) -> None:
        """Go on at a step: lines of later steps, which a killed run may have left, are dropped."""
        self.path = out / "log.jsonl"
        self.rows = [row for row in read_log(out) if row["step"] <= step]
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        replace_file(self.path, lambda temporary: temporary.write_text(lines))
        self._file = self.path.open("a", buffering=1)
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, figures: dict[str, float]) -> None:
        row = {"step": step} | {name: round(value, 6) for name, value in figures.items()}
        self.rows.append(row)
        try:
            self._file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise OSError(f"train: {self.path} cannot be written; {error}") from None
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)

    def sync(self) -> None:
        """Bring all that was written to the disk: a checkpoint must not know of steps that the log has lost."""
        to_disk(self.path)
        self._board.flush()

    def close(self) -> None:
        self._file.close()
        self._board.close()


def read_log(out: Path) -> list[dict[str, float]]:
    """The rows of a run's log; a last line that a killed run left unfinished is passed over."""
    path = out / "log.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
