"""The pages of benchmarks are made of a run, and are those of the raw numbers beside them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmark_table
from support.pages import ROOT


def case(group: str, role: str, seconds: float, *, gpu: bool, memory: float | None = None) -> dict[str, Any]:
    info = {"role": role, "shape": "n 3", "work": 10, "threads": 2, "memory": memory, "gpu": gpu}
    return {"group": group, "extra_info": info, "stats": {"data": [seconds, 99.0, seconds]}}


def test_a_run_becomes_a_page_for_each_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {
        "machine_info": {"cpu": {"count": 2, "brand_raw": "a processor"}, "gpu": "a card", "torch": "2.6.0"},
        "datetime": "2026-11-27T00:00:00",
        "benchmarks": [
            case("sum", "ours", 1e-2, gpu=False),
            case("sum", "a loop", 5e-2, gpu=False),
            case("sum, there", "ours", 2e-6, gpu=True, memory=30.4),
            case("sum, there", "floor", 1e-6, gpu=True, memory=4),
        ],
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr(sys, "argv", ["benchmark_table.py", str(tmp_path / "run.json"), str(tmp_path)])
    benchmark_table.main()
    cpu, gpu = ((tmp_path / name).read_text() for name in ("benchmarks.md", "benchmarks-gpu.md"))
    assert "on 2 cores of a processor, no GPU, 2026-11-27, torch 2.6.0" in cpu
    assert cpu.endswith("\n| sum | n 3 | 2 | 1 ms | a loop | 5 ms | **5** |  |  |\n")
    assert "on one a card, 2026-11-27" in gpu
    assert gpu.endswith("\n| sum, there | n 3 | 2 | 200 ns | | | | 2 | 30 MB |\n")
    assert json.loads((tmp_path / "benchmarks" / "gpu.json").read_text())["cases"][1]["seconds"] == [1e-6, 99.0, 1e-6]


@pytest.mark.parametrize("device", benchmark_table.PAGES)
def test_pages_are_those_of_the_raw_numbers(device: str) -> None:
    numbers = ROOT / "docs" / "benchmarks" / f"{device}.json"
    if not numbers.exists():
        pytest.skip("`make bench` has not run on such a machine")
    page = (ROOT / "docs" / benchmark_table.PAGES[device]).read_text()
    assert page == benchmark_table.page(device, json.loads(numbers.read_text()))
