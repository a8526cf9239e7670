"""Test the source's claims: train every configuration over several seeds on the rendered benchmark, and compare.

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
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
import tyro
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from vireid.command import one_line
from vireid.figures import draw_intervals, draw_sweeps
from vireid.files import write_json
from vireid.study.benchmark import ROOT
from vireid.study.configurations import FULL, SWEEPS, Configuration, Study, base_value, configurations
from vireid.study.pictures import picture_parts, picture_terms
from vireid.study.study import jobs_of, run_study
from vireid.study.summary import MEASURES, Measure, Runs, Scores, by_configuration, over_seeds, paired, tables


@dataclass(frozen=True)
class Options:
    study: Study = "comparison"
    """comparison: one claim of the source each, on test. sensitivity: one setting at a time. metrics: each metric loss
    at three weights. budget: the baseline and CAL by how long they train. protection: whether the identity loss on
    refined parts reaches attention maps."""
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
    for name, value in (("seeds", options.seeds), ("jobs", options.jobs)):
        if value < 1:
            raise ValueError(f"`--{name}` must be at least 1; got {value}")
    jobs = jobs_of(options.study, some, options.seeds, root=options.root, out=options.out, steps=options.steps)
    threads = max((os.cpu_count() or 1) // options.jobs, 1)
    scores = run_study(jobs, processes=options.jobs, threads=threads, console=console)
    folder = options.out / options.study
    write_json(folder / "results.json", describe(threads) | {"runs": scores})
    (folder / "tables.md").write_text(tables(scores) + "\n")
    console.print(overview(scores))
    figures = [draw(options.study, scores, folder)]
    if options.study == "comparison":
        figures += [picture_parts(jobs, folder / "parts.png"), picture_terms(jobs, folder / "terms.png")]
    made = ", ".join(figure.name for figure in figures if figure)
    console.print(f"[bold]{folder}[/bold] holds results.json, tables.md, {made}", highlight=False)


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


def overview(scores: list[Scores]) -> Table:
    """The figures that are compared, for a terminal; tables.md has the rest."""
    runs, measure = by_configuration(scores), MEASURES["mAP"]
    reference = next(iter(runs.values()))
    table = Table("", title=f"distilled retrieval of {scores[0]['scored']} people, %", box=SIMPLE, padding=0)
    for heading in ("seeds", "rank-1", "mAP", "Δ mAP"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, some in runs.items():
        rank1, mean = (over_seeds(some, MEASURES[figure]) for figure in ("rank-1", "mAP"))
        difference = paired(some, reference, measure)
        table.add_row(
            name, str(len(some)), str(rank1), str(mean), "–" if difference is None else difference.text(sign=True)
        )
    return table


def draw(study: Study, scores: list[Scores], folder: Path) -> Path:
    """Sweeps as curves, anything else as differences to the first configuration."""
    runs = by_configuration(scores)
    first = next(iter(runs))
    if study == "sensitivity":
        base = runs[first] if first == FULL.name else {}
        title = "One setting at a time, on validation identities; dotted: the base's value"
        kept = {name: base_value(name) for name in SWEEPS}
        sweeps = {
            name: {figure: sweep(runs, base, name, MEASURES[figure]) for figure in ("mAP", "mAP, parts")}
            for name in SWEEPS
        }
        return draw_sweeps(sweeps, folder / "sensitivity.png", label="%", kept=kept, title=title)
    panels = {
        f"{figure} (points)": {
            name: found
            for name, run in runs.items()
            if name != first and (found := paired(run, runs[first], MEASURES[figure]))
        }
        for figure in ("mAP", "mAP, parts")
    }
    seeds = max(map(len, runs.values()))
    spread = f"95 % interval over {seeds} seeds" if seeds > 1 else "one seed"
    title = f"Paired difference to {first}, {spread}; left: distilled, right: its parts alone"
    return draw_intervals(panels, folder / f"{study}.png", title=title)


def sweep(runs: Mapping[str, Runs], base: Runs, name: str, measure: Measure) -> dict[float, list[float]]:
    """A figure of every run by the value of one setting, the base's own among them."""
    values = {base_value(name): base} if base else {}
    for some in runs.values():
        changes = next(iter(some.values()))["changes"]
        if name in changes:
            values[changes[name]] = some
    return {
        value: [figure for run in some.values() if (figure := measure(run)) is not None]
        for value, some in values.items()
    }


def describe(threads: int) -> dict[str, object]:
    """Where and when the figures were made."""
    packages = ("torch", "timm", "numpy", "concordant")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores of {platform.machine()}, {threads} thread(s) a run",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU",
        "versions": {name: version(name) for name in packages},
    }


if __name__ == "__main__":
    with one_line("ablate"):
        try:
            main(tyro.cli(Options, description=__doc__))
        except RuntimeError as error:  # runs that failed, each by what ended it
            raise ValueError(str(error)) from None
        except KeyboardInterrupt:
            raise SystemExit("\nablate: stopped; the same command goes on") from None
