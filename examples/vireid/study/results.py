"""The end of a study: its tables and figures, and where they were made."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from vireid.figures import draw_intervals, draw_sweeps
from vireid.files import write_json, write_text
from vireid.study.configurations import FULL, SWEEPS, Study, base_value
from vireid.study.pictures import picture_parts, picture_terms
from vireid.study.study import Job
from vireid.study.summary import MEASURES, Measure, Runs, Scores, by_configuration, over_seeds, paired, tables
from vireid.training.record import versions


def finish(
    study: Study, jobs: Sequence[Job], scores: Sequence[Scores], folder: Path, threads: int, console: Console
) -> None:
    """Write results.json and tables.md, draw the figures, and print the overview."""
    write_json(folder / "results.json", describe(threads) | {"runs": scores})
    write_text(folder / "tables.md", tables(scores) + "\n")
    figures = [draw(study, scores, folder)]
    if study in ("comparison", "parts"):
        figures.append(picture_parts(jobs, folder / "attention.png"))
    if study == "comparison":
        figures.append(picture_terms(jobs, folder / "terms.png"))
    console.print(overview(scores))
    made = ", ".join(figure.name for figure in figures if figure)
    console.print(f"[bold]{folder}[/bold] holds results.json, tables.md, {made}", highlight=False)


def overview(scores: Sequence[Scores]) -> Table:
    """The results that are compared, for a terminal; tables.md has the rest."""
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


def draw(
    study: Study, scores: Sequence[Scores], folder: Path, former: Mapping[str, float] = MappingProxyType({})
) -> Path | None:
    """Sweeps as curves, anything else as differences to the first configuration; None where that is the only one.

    `former` has the base's values where they were others than today's.
    """
    runs = by_configuration(scores)
    first = next(iter(runs))
    if study == "sensitivity":
        base = runs[first] if first == FULL.name else {}
        title = "One setting at a time, on validation identities; dotted: the base's value"
        kept = {name: former.get(name, base_value(name)) for name in SWEEPS}
        sweeps = {
            name: {figure: sweep(runs, base, name, kept[name], MEASURES[figure]) for figure in ("mAP", "mAP, parts")}
            for name in SWEEPS
        }
        return draw_sweeps(sweeps, folder / "sensitivity.png", label="%", kept=kept, title=title)
    if len(runs) == 1:
        return None
    panels = {
        f"{figure} (points)": {
            name: found
            for name, run in runs.items()
            if name != first and (found := paired(run, runs[first], MEASURES[figure]))
        }
        for figure in ("mAP", "mAP, parts")
    }
    fewest, most = (limit(map(len, runs.values())) for limit in (min, max))
    seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
    spread = f"95 % interval over {seeds} seeds" if most > 1 else "one seed"
    title = f"Paired difference to {first}, {spread}; left: distilled, right: its parts alone"
    return draw_intervals(panels, folder / f"{study}.png", title=title)


def sweep(runs: Mapping[str, Runs], base: Runs, name: str, kept: float, measure: Measure) -> dict[float, list[float]]:
    """A figure of every run by the value of one setting, the base's own, `kept`, among them."""
    values = {kept: base} if base else {}
    for some in runs.values():
        changes = next(iter(some.values()))["changes"]
        if name in changes:
            values[changes[name]] = some
    return {
        value: [figure for run in some.values() if (figure := measure(run)) is not None]
        for value, some in values.items()
    }


def describe(threads: int) -> dict[str, object]:
    """Where and when the results were made."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores of {platform.machine()}, {threads} thread(s) a run",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU",
        "versions": versions(("torch", "timm", "numpy")),
    }
