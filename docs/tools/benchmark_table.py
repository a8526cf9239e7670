"""Turn a run of the benchmarks into the tables of the documentation, of the CPU and, if there was one, of the GPU.

    pytest benchmarks --benchmark-only --benchmark-json=runs/bench.json
    python docs/tools/benchmark_table.py runs/bench.json docs

A row: what, at which shape, our median time, that of the way it is compared with, their ratio, and how many times the
floor (the matrix products alone, or the sort) ours takes, where there is one. Beside each page its raw numbers are
written: `benchmarks/cpu.json` and `benchmarks/gpu.json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

PAGES = {"cpu": "benchmarks.md", "gpu": "benchmarks-gpu.md"}
HEAD = """# {title}

Made by `make bench` on {machine}, {date}, torch {torch}. Medians of one run, ours and the compared implementation
on the same inputs; the ratios matter. *× floor* is our time over that of {floor}, the least work of
any implementation. *Memory* is {memory}, ours first.
Raw numbers: [{device}.json](benchmarks/{device}.json).

| what | shape | threads | ours | compared with | its time | ratio | × floor | memory |
|---|---|---|---|---|---|---|---|---|
"""
WORDS = {
    "cpu": {
        "title": "Benchmarks",
        "floor": "the matrix products alone",
        "memory": "what a process and its workers hold",
    },
    "gpu": {
        "title": "Benchmarks on a GPU",
        "floor": "the matrix products, or the sort, alone",
        "memory": "what is allocated at the peak beside the inputs",
    },
}


def raw(run: dict[str, Any], device: str) -> dict[str, Any]:
    """What is kept of the rows on a device."""
    info, cpu = run["machine_info"], run["machine_info"]["cpu"]
    machine = f"{cpu['count']} cores of {cpu.get('brand_raw', 'an unnamed processor')}, no GPU"
    cases = [
        {"what": case["group"], **case["extra_info"], "seconds": case["stats"]["data"]}
        for case in run["benchmarks"]
        if bool(case["extra_info"].get("gpu")) == (device == "gpu")
    ]
    return {
        "machine": f"one {info['gpu']}" if device == "gpu" else machine,
        "date": run["datetime"][:10],
        "torch": info["torch"],
        "cases": cases,
    }


def page(device: str, kept: dict[str, Any]) -> str:
    """The page of raw numbers."""
    of = {key: kept[key] for key in ("machine", "date", "torch")}
    return HEAD.format(device=device, **of, **WORDS[device]) + "\n".join(rows(kept["cases"])) + "\n"


def seconds(case: dict[str, Any]) -> float:
    """The median time of one piece of work."""
    times: list[float] = case["seconds"]
    return statistics.median(times) / int(case["work"])


def memory(ours: dict[str, Any], case: dict[str, Any] | None = None) -> str:
    """What either takes, where it was measured."""
    used = [x["memory"] for x in (ours, case) if x is not None]
    return "" if None in used else " : ".join(f"{x:.0f}" for x in used) + " MB"


def human(time: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return "0"


def rows(cases: list[dict[str, Any]]) -> list[str]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in cases:
        groups[case["what"]].append(case)
    lines = []
    for name, of in groups.items():
        by_role = {case["role"]: case for case in of}
        ours, floor = by_role.pop("ours"), by_role.pop("floor", None)
        own = seconds(ours)
        over = f"{own / seconds(floor):.2g}" if floor else ""
        head = f"| {name} | {ours['shape']} | {ours['threads']} | {human(own)} |"
        lines += [
            f"{head} {role} | {human(seconds(case))} | **{seconds(case) / own:.3g}** | {over} | {memory(ours, case)} |"
            for role, case in by_role.items()
        ] or [f"{head} | | | {over} | {memory(ours)} |"]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the JSON file of pytest-benchmark")
    parser.add_argument("docs", type=Path, help="the folder of the pages to write")
    arguments = parser.parse_args()
    run = json.loads(arguments.run.read_text())
    for device, name in PAGES.items():
        kept = raw(run, device)
        if kept["cases"]:
            numbers = arguments.docs / "benchmarks" / f"{device}.json"
            numbers.parent.mkdir(exist_ok=True)
            numbers.write_text(json.dumps(kept, indent=1) + "\n")
            (arguments.docs / name).write_text(page(device, kept))
            print(page(device, kept))


if __name__ == "__main__":
    main()
