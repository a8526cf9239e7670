"""What a run writes down: its settings and surroundings once, its numbers at each step."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.tensorboard import SummaryWriter

from vireid.config import ModelConfig, Settings
from vireid.files import is_litter, plain, read_json, replace_file, to_disk
from vireid.models.weights import as_json
from vireid.runs import ERRANDS, read_log

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "einops", "accelerate", "pillow", "concordant")
FREE = (*ERRANDS, "save_every", "test")
"""Settings that change nothing about what is trained: a run may go on with others."""


def describe_run(
    settings: Settings, config: ModelConfig, *, data: dict[str, Any], accelerator: Accelerator
) -> dict[str, Any]:
    """Settings with the seed, the model, versions, data, machine and commit: what one needs to repeat a run."""
    device = accelerator.device
    return {
        "settings": plain(settings),
        "model": as_json(config),
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
        if is_litter(path.parent.name) or is_litter(path.name):
            continue
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
