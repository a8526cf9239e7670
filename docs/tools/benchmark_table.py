"""Turn a run of the benchmarks into the table of the documentation.

    pytest benchmarks --benchmark-only --benchmark-json=runs/bench.json
    python docs/tools/benchmark_table.py runs/bench.json docs/benchmarks.md

A row: what, at which shape, our median time, that of the way it is compared with, their ratio, and how many times the
floor (the matrix products alone) ours takes, where there is one.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

HEAD = """# Benchmarks

Made by `make bench` on {machine}, {date}, torch {torch}. Medians of one run, ours and the compared implementation
on the same inputs; the ratios matter. *× floor* is our time over that of the matrix products alone, the least work of
any implementation. *Memory* is what a process and its workers hold, ours first.

| what | shape | threads | ours | compared with | its time | ratio | × floor | memory |
|---|---|---|---|---|---|---|---|---|
"""


def seconds(case: dict[str, Any]) -> float:
    """The median time of one piece of work."""
    median: float = case["stats"]["median"] / case["extra_info"]["work"]
    return median


def memory(ours: dict[str, Any], case: dict[str, Any]) -> str:
    """What either takes, where it was measured."""
    used = [x["extra_info"]["memory"] for x in (ours, case)]
    return "" if None in used else f"{used[0]:.0f} : {used[1]:.0f} MB"


def human(time: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return "0"


def rows(run: dict[str, Any]) -> list[str]:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in run["benchmarks"]:
        groups[case["group"]].append(case)
    lines = []
    for name, cases in groups.items():
        by_role = {case["extra_info"]["role"]: case for case in cases}
        ours, floor = by_role.pop("ours"), by_role.pop("floor", None)
        info, own = ours["extra_info"], seconds(ours)
        over = f"{own / seconds(floor):.2g}" if floor else ""
        head = f"| {name} | {info['shape']} | {info['threads']} | {human(own)} |"
        lines += [
            f"{head} {role} | {human(seconds(case))} | **{seconds(case) / own:.3g}** | {over} | {memory(ours, case)} |"
            for role, case in by_role.items()
        ] or [f"{head} | | | {over} | |"]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the JSON file of pytest-benchmark")
    parser.add_argument("out", type=Path, help="the Markdown file to write")
    arguments = parser.parse_args()
    run = json.loads(arguments.run.read_text())
    cpu = run["machine_info"]["cpu"]
    machine = f"{cpu['count']} cores of {cpu.get('brand_raw', 'an unnamed processor')}, no GPU"
    head = HEAD.format(machine=machine, date=run["datetime"][:10], torch=run["machine_info"]["torch"])
    arguments.out.write_text(head + "\n".join(rows(run)) + "\n")
    print(arguments.out.read_text())


if __name__ == "__main__":
    main()
