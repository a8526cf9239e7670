"""Records of a run: its settings, versions and machine once, its losses at each step."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

import concordant
from vireid.config import ModelConfig, Settings
from vireid.files import is_litter, plain, to_disk, write_text
from vireid.models.weights import as_json, weights_digest
from vireid.runs import LOG, read_log, read_record
from vireid.training.board import Board

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "einops", "accelerate", "pillow")


def describe_run(
    settings: Settings, config: ModelConfig, *, data: dict[str, Any], accelerator: Accelerator
) -> dict[str, Any]:
    """The settings with the seed, model, versions, data, machine and commit, which are needed to repeat a run."""
    device = accelerator.device
    return {
        "settings": plain(settings),
        "model": as_json(config),
        "data": data,
        "commit": _git("rev-parse", "HEAD") or "not a git checkout",
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {"python": platform.python_version()} | versions(PACKAGES) | digest_of(settings.model.weights),
        "machine": {
            "device": name_of(device),
            "processes": accelerator.num_processes,
            "precision": accelerator.mixed_precision,
            "threads": torch.get_num_threads(),
            "system": platform.platform(),
        },
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the library and of other packages; "unknown" for a package that has none."""
    found = {"concordant": concordant.__version__}  # the library may be on the path, but not installed
    for name in packages:
        try:
            found[name] = version(name) or "unknown"
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return (platform.processor() if device.type == "cpu" else "") or device.type


def compare_records(path: Path, now: dict[str, Any]) -> list[str]:
    """Differences from the record at `path` that may change the results, a line each.

    Raises:
        ValueError: the data are not the same, or the file is not the record of a run.
    """
    former = read_record(path, {name: type(value) for name, value in now.items()})
    check_data(path, now["data"])
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
            notes.append(f"there are uncommitted changes {when}")
    return notes


def check_data(path: Path, data: dict[str, Any]) -> None:
    """Reject data that are not those of the record at `path`."""
    mark, now = read_record(path, {"data": dict})["data"].get("fingerprint"), data.get("fingerprint")
    if mark != now and mark is not None:
        raise ValueError(f"train: the data set must be that of {path}, whose fingerprint is {mark}; got one with {now}")


def digest_of(weights: Path | None) -> dict[str, str]:
    """A digest of the initial weights, which does not depend on their path."""
    if weights is None or not weights.is_file():
        return {}
    return {"initial weights": weights_digest(weights)}


def fingerprint(root: Path, images: Iterable[Path]) -> str:
    """A digest of the data below `root`: the path and size of each image, and the content of the lists.

    The images are not read, so that it is fast. Lists are text and MATLAB files in a folder of the root, as `exp/` of
    SYSU-MM01.
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
    """Losses and other values of each step, as JSON lines and for TensorBoard."""

    def __init__(self, out: Path, *, step: int = 0) -> None:
        """Continue after a step: lines of later steps, which a killed run may have left, are dropped."""
        self.path = out / LOG
        self.rows = [row for row in read_log(out) if row["step"] <= step]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in self.rows))
        self._file = self.path.open("a", buffering=1)
        self._board = Board(out / "tensorboard", step=step)

    def write(self, step: int, figures: dict[str, float]) -> None:
        row = {"step": step} | {name: round(value, 6) for name, value in figures.items()}
        self.rows.append(row)
        with naming(self.path):
            self._file.write(json.dumps(row) + "\n")
        with naming(self._board.path):
            self._board.write(step, figures)

    def sync(self) -> None:
        """Flush the log to the disk: it must not lose steps that a checkpoint has."""
        to_disk(self.path)

    def close(self) -> None:
        try:  # on a full disk, closing writes the buffer, and fails
            with naming(self.path):
                self._file.close()
        finally:
            with naming(self._board.path):
                self._board.close()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file that cannot be written: the error of a full disk does not."""
    try:
        yield
    except OSError as error:
        raise OSError(f"train: {path} cannot be written; {error}") from None
