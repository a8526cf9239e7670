"""All ten trials of RegDB, one after another, and their mean, which publications report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from vireid.config import RegdbSettings, RegdbSource
from vireid.datasets.regdb import TRIALS
from vireid.evaluation.protocol import FIGURES, OPTIONS, Results, as_metrics, table
from vireid.evaluation.score import check_place, score
from vireid.files import read_json, write_json
from vireid.models.weights import WEIGHTS
from vireid.options import Evaluation, FeatureFiles
from vireid.run import evaluate, identify, read, run
from vireid.runs import RECORD
from vireid.training.directory import alone, check_finished
from vireid.training.processes import join_processes, together


def train_all(settings: RegdbSettings, console: Console) -> None:
    """Train and evaluate ten models; with --resume, finished models are kept."""
    if (settings.out / RECORD).exists():
        raise ValueError(f"{settings.out} holds a run of one trial: use another `--out` for ten trials")
    mean_of_all = settings.out / "metrics.json"
    if mean_of_all.exists() and not settings.resume and not settings.overwrite:
        raise ValueError(f"{settings.out} holds a run already: --resume continues it, --overwrite deletes it")
    # All splits are read before the first training: a missing list is reported now, not after nine models.
    every = {trial: read(replace(settings, trial=trial)) for trial in TRIALS}
    with alone(settings.out):
        if not settings.resume:  # the mean of models that will be replaced
            together(partial(mean_of_all.unlink, missing_ok=True))
        for trial, data in every.items():
            one = replace(settings, trial=trial, out=settings.out / folder(trial))
            if settings.resume and (one.out / "metrics.json").exists():
                together(partial(check_finished, one, identify(data)))
                console.print(f"[bold]{one.out}[/bold] is finished")
            else:
                begun = (one.out / RECORD).exists()
                run(replace(one, resume=settings.resume and begun), data, console)
        if join_processes().is_main_process:
            summarise(settings.out, console)


def evaluate_all(options: Evaluation[Any], console: Console) -> None:
    """Evaluate the ten models of a run of all trials, or verify all splits."""
    source = options.data
    assert isinstance(source, RegdbSource)
    for trial, data in {trial: read(replace(source, trial=trial)) for trial in TRIALS}.items():
        weights = None if options.weights is None else options.weights / folder(trial) / WEIGHTS
        evaluate(replace(options, out=options.out / folder(trial), weights=weights), data, console)
    if not options.verify:
        summarise(options.out, console)


def score_all(options: FeatureFiles, console: Console) -> None:
    """Score the features of all trials, of two files each."""
    if options.protocol != "regdb":
        raise ValueError(f"evaluate: `--trial all` must be of RegDB, which has trials; got {options.protocol}")
    check_place(options)
    every = [_of_trial(options, trial) for trial in TRIALS]
    for one in every:  # a file that is missing is reported now, not after nine trials
        for path in (one.visible, one.infrared, one.similarity):
            if path is not None and not path.is_file():
                raise FileNotFoundError(f"evaluate: {path} must be a file of trial {one.trial}; there is none")
    for one in every:
        score(one, console)
    summarise(options.out, console, of_features=True)


def _of_trial(options: FeatureFiles, trial: int) -> FeatureFiles:
    visible, infrared = _named("visible", options.visible, trial), _named("infrared", options.infrared, trial)
    similarity = None if options.similarity is None else _named("similarity", options.similarity, trial)
    out = options.out / folder(trial)
    return replace(options, trial=trial, out=out, visible=visible, infrared=infrared, similarity=similarity)


def _named(flag: str, path: Path, trial: int) -> Path:
    if "{trial}" not in str(path):
        rule = f"with `--trial all`, `--{flag}` must have {{trial}} where the number of the trial is"
        raise ValueError(f"evaluate: {rule}; got {path}")
    return Path(str(path).replace("{trial}", str(trial)))


def summarise(out: Path, console: Console, *, of_features: bool = False) -> None:
    """Write the mean of the trials' results and the results of each trial to metrics.json, and print the mean."""
    trials = {
        str(trial): read_metrics(out / folder(trial) / "metrics.json", f"trial {trial}" if of_features else None)
        for trial in TRIALS
    }
    plain = mean(list(trials.values()))
    options = {
        name: mean([found[name] for found in trials.values()])
        for name in OPTIONS
        if all(name in found for found in trials.values())
    }
    write_json(out / "metrics.json", as_metrics(plain, options) | {"trial": "all", "trials": trials})
    console.print(table(plain, options))
    console.print(f"[bold]{out}[/bold] holds {folder(TRIALS[0])} to {folder(TRIALS[-1])} and metrics.json")


def read_metrics(path: Path, reading: str | None = None) -> dict[str, Any]:
    """The results of one trial; of a reading of the protocol, where they are by their names.

    Raises:
        OSError: the file is missing.
        ValueError: it is damaged.
    """
    metrics: dict[str, Any] = read_json(path)
    try:
        metrics = metrics if reading is None else metrics[reading]
        mean([metrics])
    except (KeyError, TypeError):
        raise ValueError(f"read_metrics: {path} must have the results of a trial; it has other content") from None
    return metrics


def mean(trials: list[dict[str, dict[str, float]]]) -> Results:
    """The mean of the trials' results."""
    tasks = ("visible_to_thermal", "thermal_to_visible")
    scores = {task: [[trial[task][figure] for figure in FIGURES] for trial in trials] for task in tasks}
    return Results(scores, f"RegDB, %: mean of {len(trials)} trials, one model per trial")


def folder(trial: int) -> str:
    return f"trial-{trial:02d}"
