"""The pages of benchmarks are made of a run, and are those of the raw numbers beside them."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmark_table
from support.pages import ROOT


def case(group: str, role: str, seconds: float, *, memory: float | None = None) -> dict[str, Any]:
    info = {"role": role, "shape": "n 3", "work": 10, "threads": 2, "memory": memory}
    return {"group": group, "extra_info": info, "stats": {"data": [seconds, 99.0, seconds]}}


def written(run: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "run.json").write_text(json.dumps(run))
    monkeypatch.setattr(sys, "argv", ["benchmark_table.py", str(folder / "run.json"), str(folder)])
    benchmark_table.main()


def test_a_run_becomes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {
        "machine_info": {"cpu": {"count": 2, "brand_raw": "a processor"}, "torch": "2.6.0"},
        "datetime": "2026-11-27T00:00:00",
        "benchmarks": [
            case("sum", "ours", 1e-2),
            case("sum", "a loop", 5e-2),
            case("sum of few", "ours", 2e-6, memory=30.4),
            case("sum of few", "floor", 1e-6, memory=4),
        ],
    }
    written(run, tmp_path, monkeypatch)
    page = (tmp_path / "benchmarks.md").read_text()
    assert "on 2 cores of a processor, no GPU, 2026-11-27, torch 2.6.0" in page
    first, second = page.splitlines()[-2:]
    assert first == "| sum | n 3 | 2 | 1 ms | a loop | 5 ms | **5** |  |  |"
    assert second == "| sum of few | n 3 | 2 | 200 ns | | | | 2 | 30 MB |"
    assert json.loads((tmp_path / "benchmarks" / "cpu.json").read_text())["cases"][2]["seconds"] == [2e-6, 99.0, 2e-6]
    assert not (tmp_path / "benchmarks-gpu.md").exists()


def test_a_run_that_was_cut_off_becomes_the_page_of_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"images": 64, "ms": 31.25, "images_per_second": 2048.0, "launches": 812.5, "waits": 0.125, "busy": 0.953}
    rows = {
        "step, none": step | {"launches": 2450.0, "notes": []},
        "step, graph": step | {"notes": ["steps run one by one: …"]},
        "similarity": {"bfloat16": {way: {"ns": 38.44} for way in ("kernels", "plain torch", "products")}, "took": 1.0},
        "augmentation": {"error": "RuntimeError: no"},
        "SYSU-MM01, none, 64": step | {"GiB": 12.345, "hours": 0.4567, "notes": []},
    }
    record = {"card": "a card", "gpu": True, "date": "2026-11-27", "versions": {"torch": "2.6.0"}, "rows": rows}
    written(record, tmp_path, monkeypatch)
    page = (tmp_path / "benchmarks-gpu.md").read_text()
    for line in (
        "on one a card, 2026-11-27, torch 2.6.0. Raw",
        "| launches a step, 64 images | 2,450 | 812 (no graph) | ≤ 900 |",
        "| images a second, ? images | not measured | not measured | ≥ 3,000 |",
        "a pair, bfloat16 | 38.4 ns | 38.4 ns plain torch, 38.4 ns the products alone | ≤ 40 ns |",
        "| augmentation, failed | failed | | ≤ 3 ms |",
        "| SYSU-MM01 | 64 | none | 2,048 | 12.3 | 0.457 |",
    ):
        assert line in page
    assert json.loads((tmp_path / "benchmarks" / "gpu.json").read_text()) == record
    with pytest.raises(SystemExit):
        written(record | {"gpu": False}, tmp_path, monkeypatch)


def test_all_that_the_page_of_a_gpu_has_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At tiny sizes, on a CPU; there it counts operators, and has no GPU's memory."""
    monkeypatch.syspath_prepend(str(ROOT))
    gpu, rows = importlib.import_module("benchmarks.gpu"), importlib.import_module("benchmarks.rows")
    if rows.GPU:
        pytest.skip("a GPU takes minutes")
    written_after: list[int] = []
    write = rows.write_json

    def noting(path: Path, record: dict[str, Any]) -> None:
        written_after.append(len(record["rows"]))
        write(path, record)

    monkeypatch.setattr(rows, "write_json", noting)
    rows.measure_rows(tmp_path / "runs" / "gpu.json", gpu.rows())
    record = json.loads((tmp_path / "runs" / "gpu.json").read_text())
    assert written_after == list(range(1, len(record["rows"]) + 1))
    assert not {name: row["error"] for name, row in record["rows"].items() if "error" in row}
    for name, row in record["rows"].items():
        if "images_per_second" in row:  # as on a GPU
            record["rows"][name] = row | {"launches": row["operators"], "waits": row["reads"], "busy": 1.0, "GiB": 0.5}
    page = benchmark_table.page("gpu", record)
    assert page.count("not measured") == 1  # `--compile default` needs a compiler
    assert "failed" not in page
    assert page.count("(no graph)") >= 5
    failed = record["rows"]["a capture that fails"]
    assert failed["finite"]


@pytest.mark.parametrize("device", benchmark_table.PAGES)
def test_pages_are_those_of_the_raw_numbers(device: str) -> None:
    numbers = ROOT / "docs" / "benchmarks" / f"{device}.json"
    if not numbers.exists():
        pytest.skip("`make bench` has not run on such a machine")
    page = (ROOT / "docs" / benchmark_table.PAGES[device]).read_text()
    assert page == benchmark_table.page(device, json.loads(numbers.read_text()))
