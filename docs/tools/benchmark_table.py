"""Turn a run of the benchmarks into a page of the documentation, and keep its raw numbers beside it.

    pytest benchmarks --benchmark-only --benchmark-json=runs/bench.json
    python docs/tools/benchmark_table.py runs/bench.json docs

    python benchmarks/gpu.py runs/gpu.json
    python docs/tools/benchmark_table.py runs/gpu.json docs

A row of the CPU's page: what, at which shape, our median time, that of the way it is compared with, their ratio, and
how many times the floor (the matrix products alone) ours takes, where there is one. The raw numbers are
`benchmarks/cpu.json` and `benchmarks/gpu.json`; `gpu_page.py` has the other page.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import gpu_page

PAGES = {"cpu": "benchmarks.md", "gpu": "benchmarks-gpu.md"}
HEAD = """# Benchmarks

Made by `make bench` on {machine}, {date}, torch {torch}. Medians of one run, ours and the compared implementation
on the same inputs; the ratios matter. *× floor* is our time over that of the matrix products alone, the least work of
any implementation. *Memory* is what a process and its workers hold, ours first. Raw numbers:
[cpu.json](benchmarks/cpu.json).

| what | shape | threads | ours | compared with | its time | ratio | × floor | memory |
|---|---|---|---|---|---|---|---|---|
"""


def raw(run: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a run on a CPU."""
    cpu = run["machine_info"]["cpu"]
    return {
        "machine": f"{cpu['count']} cores of {cpu.get('brand_raw', 'an unnamed processor')}, no GPU",
        "date": run["datetime"][:10],
        "torch": run["machine_info"]["torch"],
        "cases": [
            {"what": case["group"], **case["extra_info"], "seconds": case["stats"]["data"]}
            for case in run["benchmarks"]
        ],
    }


def page(device: str, kept: dict[str, Any]) -> str:
    """The page of raw numbers."""
    if device == "gpu":
        return gpu_page.page(kept)
    of = {key: kept[key] for key in ("machine", "date", "torch")}
    return HEAD.format(**of) + "\n".join(rows(kept["cases"])) + "\n"


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
    parser.add_argument("run", type=Path, help="the JSON file of pytest-benchmark, or of gpu.py")
    parser.add_argument("docs", type=Path, help="the folder of the pages to write")
    arguments = parser.parse_args()
    run = json.loads(arguments.run.read_text())
    device = "gpu" if "card" in run else "cpu"
    if device == "gpu" and not run["gpu"]:
        parser.error(f"`run` must be of a GPU; got {run['card']}")
    kept = run if device == "gpu" else raw(run)
    numbers = arguments.docs / "benchmarks" / f"{device}.json"
    numbers.parent.mkdir(exist_ok=True)
    numbers.write_text(json.dumps(kept, indent=1) + "\n")
    (arguments.docs / PAGES[device]).write_text(page(device, kept))
    print(page(device, kept))


if __name__ == "__main__":
    main()
