"""From the scores of a study's runs to means, intervals and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from statistics import fmean
from typing import Any, TypeVar

import numpy as np

from vireid.datasets.items import VISIBLE
from vireid.evaluation.semantics import same_parts
from vireid.interval import Interval, interval
from vireid.study.configurations import CONTRASTS

Scores = Mapping[str, Any]
"""What scores.json has of one run."""
Runs = Mapping[int, Scores]
"""Those of a configuration by seed."""
Measure = Callable[[Scores], float | None]
"""One figure of a run; None where it has none."""


def by_configuration(scores: Iterable[Scores]) -> dict[str, dict[int, Scores]]:
    """Each configuration's runs by their seeds, in the order in which configurations come first."""
    table: dict[str, dict[int, Scores]] = {}
    for one in scores:
        table.setdefault(one["configuration"], {})[one["seed"]] = one
    return table


def over_seeds(runs: Runs, measure: Measure) -> Interval | None:
    """The mean of a figure over a configuration's seeds; None where its runs have no such figure."""
    values = [value for run in runs.values() if (value := measure(run)) is not None]
    return interval(values) if values else None


def paired(runs: Runs, reference: Runs, measure: Measure) -> Interval | None:
    """The mean difference to a reference over the seeds that both have: batches and augmentation are the same.

    None where there is no such seed, or it is the reference itself.
    """
    if runs is reference:
        return None
    pairs = [(measure(runs[seed]), measure(reference[seed])) for seed in sorted(runs.keys() & reference.keys())]
    values = [a - b for a, b in pairs if a is not None and b is not None]
    return interval(values) if values else None


def retrieval(way: str, figure: str = "mAP") -> Measure:
    """A figure of a way of retrieval."""
    return lambda run: run["retrieval"].get(way, {}).get(figure)


def condition(of: str, which: str) -> Measure:
    """The mAP of distilled retrieval over the queries whose pictures were taken in one way: see `score_conditions`."""
    return lambda run: run.get("conditions", {}).get(of, {}).get(which, {}).get("mAP")


def gain(way: str, over: str) -> Measure:
    """By how much a way of retrieval is better than another of the same run, in mAP."""
    one, other = retrieval(way), retrieval(over)
    return lambda run: None if (much := one(run)) is None or (less := other(run)) is None else much - less


def ratio(cost: str) -> Measure:
    """What target-aware retrieval costs for what distilled retrieval costs."""
    numerator, denominator = retrieval("target-aware", cost), retrieval("distilled", cost)
    return lambda run: None if (much := numerator(run)) is None else much / (denominator(run) or math.nan)


def part(
    group: str, figure: str, factor: float = 1.0, over_parts: Callable[[Sequence[float]], float] = fmean
) -> Measure:
    """A figure of a run's parts or training: of `attention`, `correspondence` or `losses`. Where each part has
    one, their mean, or what else of them."""

    def measure(run: Scores) -> float | None:
        value = run.get(group, {}).get(figure)
        if isinstance(value, Mapping):
            value = over_parts(value["parts"])
        return None if value is None else factor * value

    return measure


def likeness_over_seeds(runs: Runs) -> Interval | None:
    """How alike the visible parts of a configuration's models are, pair by pair: see `same_parts`. Pairs share models,
    so no interval is given."""
    means = [np.array(run["profiles"][VISIBLE]) for run in runs.values() if "profiles" in run]
    values = tuple(same_parts(one, other) for one, other in combinations(means, 2))
    return Interval(float(np.mean(values)), math.nan, values) if values else None


Row = TypeVar("Row")
Column = tuple[str, Callable[[Row], Interval | None]]
"""A heading, and what a row has below it."""

MEASURES: dict[str, Measure] = {
    "rank-1": retrieval("distilled", "rank1"),
    "mAP": retrieval("distilled"),
    "mINP": retrieval("distilled", "mINP"),
    "mAP, global half": retrieval("global"),
    "mAP, parts": retrieval("parts"),
}
PARTS: dict[str, Measure] = {
    "entropy, % of ln t": part("attention", "entropy", 100),
    "overlap, %": part("attention", "overlap", 100),
    "on its own tokens, %": part("attention", "own", 100),
    "of all tokens, %": part("attention", "own_chance", 100),
    "on the border, %": part("attention", "border", 100),
    "follows, %": part("attention", "follows", 100),
    "on the person, %": part("attention", "person", 100),
    "least of a part, %": part("attention", "person", 100, min),
    "purity, %": part("attention", "purity", 100),
    "constancy, %": part("attention", "constancy", 100),
    "agreement, %": part("attention", "agreement", 100),
    "without M̂": part("attention", "agreement_without", 100),
    "chance": part("attention", "agreement_chance", 100),
    "M̂'s share, %": part("correspondence", "share", 100),
}
LOSSES = ("id", "part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div")
WAYS = ("distilled", "distilled without M̂", "global", "parts", "parts without M̂")
TARGET_AWARE = (
    *("distilled", "target-aware and global", "parts", "target-aware"),
    *("parts without norm", "target-aware without norm"),
)
COMPARED = ("mAP", "mAP, parts")
CONTRASTED = {name: MEASURES[name] for name in COMPARED} | {"mAP, target-aware": retrieval("target-aware")}
GAINS = {"Δ whole − global half": gain("distilled", "global")}
TARGET_AWARE_GAINS = {
    "Δ target-aware − parts": gain("target-aware", "parts"),
    "Δ the same, without norm": gain("target-aware without norm", "parts without norm"),
}
COSTS: dict[str, Measure] = {
    "seconds, target-aware": retrieval("target-aware", "seconds"),
    "times distilled's": ratio("seconds"),
    "numbers an image, times distilled's": ratio("numbers"),
}


def tables(scores: Sequence[Scores]) -> str:
    """Markdown: every configuration's retrieval beside the first's, differences of others, what its parts are, its
    losses at the end of training, its ways of retrieval, and its mAP by how the query's picture was taken."""
    runs = by_configuration(scores)
    reference = next(iter(runs.values()))
    differences = _differences({name: MEASURES[name] for name in COMPARED}, reference)
    with_parts = {name: some for name, some in runs.items() if "attention" in next(iter(some.values()))}
    others = {f"{one} − {other}": (runs[one], runs[other]) for one, other in CONTRASTS if {one, other} <= runs.keys()}
    with_ways = {name: some for name, some in with_parts.items() if over_seeds(some, COSTS["seconds, target-aware"])}
    every = [
        _table(runs, [*_columns(MEASURES), *differences]),
        _table(others, [(f"Δ {name}", _between(measure)) for name, measure in CONTRASTED.items()]),
        _table(with_parts, [*_columns(PARTS), ("alike over seeds, %", likeness_over_seeds)]),
        _table(with_parts, _columns({name: part("losses", name) for name in LOSSES}), digits=3),
        _table(with_parts, _columns({way: retrieval(way) for way in WAYS} | GAINS)),
        _table(with_ways, _columns({way: retrieval(way) for way in TARGET_AWARE} | TARGET_AWARE_GAINS | COSTS)),
        *(
            _table(runs, [*_columns(measures), *_differences(measures, reference)])
            for measures in by_condition(next(iter(reference.values())))
        ),
    ]
    return "\n\n".join(table for table in every if table)


def by_condition(run: Scores) -> Iterator[dict[str, Measure]]:
    """Of each condition of a run, the mAP by bin; the headings tell how many queries it has."""
    for of, bins in run.get("conditions", {}).items():
        yield {f"{of}: {which} ({figures['queries']})": condition(of, which) for which, figures in bins.items()}


def _columns(measures: Mapping[str, Measure]) -> list[Column[Runs]]:
    return [(name, partial(over_seeds, measure=measure)) for name, measure in measures.items()]


def _differences(measures: Mapping[str, Measure], reference: Runs) -> list[Column[Runs]]:
    return [(f"Δ {name}", partial(paired, reference=reference, measure=one)) for name, one in measures.items()]


def _between(measure: Measure) -> Callable[[tuple[Runs, Runs]], Interval | None]:
    return lambda pair: paired(*pair, measure)


def _table(rows: Mapping[str, Row], columns: Sequence[Column[Row]], *, digits: int = 1) -> str:
    """A row's seeds are those of the first figure that it has. Nothing if there is no row."""
    if not rows:
        return ""
    lines = ["| | seeds | " + " | ".join(name for name, _ in columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for name, row in rows.items():
        found = {heading: measure(row) for heading, measure in columns}
        cells = [x.text(sign=heading.startswith("Δ"), digits=digits) if x else "–" for heading, x in found.items()]
        cells = [cell.replace(" ", "\N{NO-BREAK SPACE}") for cell in cells]  # no page may tear "53.5 ± 1.5" apart
        seeds = next((len(x.values) for x in found.values() if x), 0)
        lines.append(f"| {name} | {seeds} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
