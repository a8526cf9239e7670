"""What the GPU's benchmarks share: rows are measured one after another, and written after each."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from vireid.files import reason_of, write_json
from vireid.training.record import name_of, versions

GPU = torch.cuda.is_available()
Row: TypeAlias = tuple[str, Callable[[], dict[str, Any]]]


def wait() -> None:
    """For the device."""
    if GPU:
        torch.cuda.synchronize()


def command(about: str | None, default: str, rows: Iterable[Row]) -> None:
    """A script that measures rows."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path(default), help="the JSON file to write")
    measure_rows(parser.parse_args().out, rows)


def measure_rows(out: Path, rows: Iterable[Row]) -> None:
    """Write each row as it is measured: a run that is cut off keeps what it has. What fails is a row with its error."""
    device = torch.device("cuda" if GPU else "cpu")
    record: dict[str, Any] = {"card": name_of(device), "gpu": GPU, "date": datetime.date.today().isoformat()}
    record |= {"versions": versions(("torch", "timm", "triton")), "rows": {}}
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, measure in rows:
        start = time.perf_counter()
        try:
            row = measure()
        except Exception as error:  # the others are worth their time
            row = {"error": f"{type(error).__name__}: {reason_of(error)}"}
        record["rows"][name] = row | {"took": time.perf_counter() - start}
        write_json(out, record)
        values = (f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items())
        print(f"{name}: {', '.join(values)}", flush=True)
        torch._dynamo.reset()
        if GPU:
            torch.cuda.empty_cache()
