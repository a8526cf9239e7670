"""Test the paper's claims: train each configuration with several seeds on the rendered benchmark, and compare.

    python examples/ablate.py --list                        # the configurations, and the claim that each tests
    python examples/ablate.py                               # all configurations of the comparison, three seeds
    python examples/ablate.py --only CAL "no L_div"         # two configurations only
    python examples/ablate.py --study parts                 # what makes parts lie on people, on validation identities
    python examples/ablate.py --study sensitivity           # one setting at a time, on validation identities
    python examples/ablate.py --seeds 5                     # more seeds: finished runs are kept

A run takes several minutes on a core. There are as many runs at a time as cores. After an interruption, the same
command continues. The data set (data/benchmark) is rendered first. Only the comparison uses test images, once per run.
The other studies choose settings: they are scored on validation identities, which are then not trained on.

`--out`/STUDY has a directory for each run, and at the end results.json (the results of each run), tables.md (means over
seeds with 95 % intervals, and paired differences to the first configuration) and a figure. The comparison and the study
of parts also have attention.png, where the parts of each model look; the comparison has the effect of each loss term.
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
    """comparison: each configuration tests a claim, on test identities. parts: what makes parts lie on people and
    follow them. sensitivity: one setting at a time. metrics: each metric loss at three weights. budget: the baseline
    and CAL over training time."""
    only: tuple[str, ...] = ()
    """Names of the configurations to run; by default all of the study (see --list)."""
    seeds: int = 3
    """Number of seeds: 0 to this number, not included."""
    jobs: int = os.cpu_count() or 1
    """Number of runs at a time; on one GPU a few fit."""
    steps: int | None = None
    """Training steps of each run, for short trials; use another `out` for them."""
    root: Path = ROOT
    """Directory for the rendered benchmark."""
    out: Path = Path("runs/ablation")
    """Directory for runs and results."""
    list: bool = False
    """Only print the configurations of the study."""


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
    """The configurations of the study, or those that `--only` names."""
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
    with script("ablate", lambda: "; the same command continues"):
        try:
            main(cli(Options, description=__doc__))
        except RuntimeError as error:  # runs that failed, each with its error
            raise ValueError(str(error)) from None
