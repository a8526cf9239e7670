"""Test the paper's claims: train every configuration over several seeds on the rendered benchmark, and compare.

    python examples/ablate.py --list                        # the configurations, and which claim each tests
    python examples/ablate.py                               # all of the comparison, three seeds
    python examples/ablate.py --only CAL "no L_div"         # some of it
    python examples/ablate.py --study sensitivity           # one setting at a time, on validation
    python examples/ablate.py --seeds 5                     # more seeds: what was done stays

A run takes about four minutes on a core, and as many go on as there are cores; stopped at any moment, the same command
goes on where it was. The data set (data/benchmark) is rendered first. Only the comparison looks at test images, once a
run; every other study is scored on validation identities, who are then not trained on: settings are chosen there.

`--out`/STUDY has a directory a run, and at the end results.json (every run's figures), tables.md (means over seeds with
95 % intervals, and the paired difference to the first configuration) and a figure; the comparison's two more show where
the parts of every model look, and what each loss does with its weight and without.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vireid.command import cli, script
from vireid.study.benchmark import ROOT
from vireid.study.configurations import Configuration, Study, configurations


@dataclass(frozen=True)
class Options:
    study: Study = "comparison"
    """comparison: one claim of the paper each, on test. sensitivity: one setting at a time. metrics: each metric loss
    at three weights. budget: the baseline and CAL by how long they train."""
    only: tuple[str, ...] = ()
    """Some configurations by name."""
    seeds: int = 3
    """Seeds 0 to this, this not included."""
    jobs: int = os.cpu_count() or 1
    """Runs at a time; on one GPU a few fit."""
    steps: int | None = None
    """Another number of steps, to try things out in another `out`."""
    root: Path = ROOT
    """Where the benchmark is rendered."""
    out: Path = Path("runs/ablation")
    """Where runs and results go."""
    list: bool = False
    """Print the configurations of the study, and do nothing else."""


def main(options: Options) -> None:
    console = Console()
    some = choose(options)
    if options.list:
        console.print(listing(some))
        return
    for name, value in (("seeds", options.seeds), ("jobs", options.jobs), ("steps", options.steps)):
        if value is not None and value < 1:
            raise ValueError(f"`--{name}` must be at least 1; got {value}")

    from vireid.study.results import finish
    from vireid.study.study import jobs_of, run_study

    jobs = jobs_of(options.study, some, options.seeds, root=options.root, out=options.out, steps=options.steps)
    threads = max((os.cpu_count() or 1) // options.jobs, 1)
    scores = run_study(jobs, processes=options.jobs, threads=threads, console=console)
    finish(options.study, jobs, scores, options.out / options.study, threads, console)


def choose(options: Options) -> tuple[Configuration, ...]:
    """The study's configurations, or those of them that were named."""
    every = configurations(options.study)
    if unknown := [name for name in options.only if name not in {one.name for one in every}]:
        raise ValueError(f"`--only` must name configurations of {options.study} (see --list); got {unknown}")
    return tuple(one for one in every if not options.only or one.name in options.only)


def listing(some: tuple[Configuration, ...]) -> Table:
    table = Table("configuration", "claim or question", "changes")
    for one in some:
        table.add_row(one.name, one.claim, ", ".join(f"{name}={value}" for name, value in one.changes.items()))
    return table


if __name__ == "__main__":
    with script("ablate", lambda: "; the same command goes on"):
        try:
            main(cli(Options, description=__doc__))
        except RuntimeError as error:  # runs that failed, each by what ended it
            raise ValueError(str(error)) from None
