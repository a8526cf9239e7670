"""The page of a GPU's benchmarks is in the navigation where `make bench` has written it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGE = "benchmarks-gpu.md"


def on_config(config: Any) -> Any:
    if (Path(config["docs_dir"]) / PAGE).exists():
        place = next(number for number, item in enumerate(config["nav"]) if "benchmarks.md" in item.values())
        config["nav"].insert(place + 1, {"Benchmarks on a GPU": PAGE})
    return config
