"""What a run writes down: its settings and surroundings once, its figures at every step."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from vireid.config import Settings

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scipy", "einops", "accelerate", "pillow", "concordant")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file under a temporary name, then rename it: nobody ever reads half of it."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")
    os.replace(temporary, path)


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as JSON has them."""
    return json.loads(json.dumps(asdict(settings), default=str))


def describe_run(settings: Settings, *, data: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Settings, versions, data, machine and commit: what one needs to repeat a run."""
    return {
        "settings": plain(settings),
        "data": data,
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "machine": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
            "threads": torch.get_num_threads(),
            "system": platform.platform(),
        },
    }


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not a git checkout"


class RunLog:
    """Figures of every step as JSON lines and for TensorBoard."""

    def __init__(self, out: Path, *, step: int = 0) -> None:
        """Go on at a step: lines of later steps, which a killed run may have left, are dropped."""
        self.path = out / "log.jsonl"
        self.rows = [row for row in read_log(out) if row["step"] <= step]
        self._file = self.path.open("w", buffering=1)
        for row in self.rows:
            self._file.write(json.dumps(row) + "\n")
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step or None)

    def write(self, step: int, figures: dict[str, float]) -> None:
        row = {"step": step} | {name: round(value, 6) for name, value in figures.items()}
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)

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


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
