"""Train, evaluate and draw CAL on RegDB: one of its ten trials, or all of them.

    python examples/train_regdb.py --root RegDB --trial 3       # one model, trained and tested on the third split
    python examples/train_regdb.py --root RegDB --trial all     # ten models, and the mean that is published
    python examples/train_regdb.py --root RegDB --trial all --resume    # go on; finished trials are kept
    python examples/train_regdb.py --root RegDB --verify        # only compare the tree with the published counts
    python examples/train_regdb.py --root RegDB --trial 3 --evaluate runs/regdb/model.safetensors --out runs/again

One trial leaves in `--out` what train_sysu.py leaves, with both directions in metrics.json. All of them leave that in
`--out`/trial-01 to trial-10, and their mean in `--out`/metrics.json; --evaluate then names the directory of such a run.
Weights remember their trial, and are not tested on another: its people may be those that they were trained on.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from rich.console import Console

from vireid.command import command, parse
from vireid.config import REGDB, RegdbSettings
from vireid.datasets.regdb import TRIALS, RegDB, read_regdb
from vireid.evaluation.protocol import FIGURES, OPTIONS, Results, as_metrics, table
from vireid.files import read_json, write_json
from vireid.run import run
from vireid.runs import RECORD
from vireid.training.loop import prepare_out
from vireid.training.processes import join_processes, together


def main(settings: RegdbSettings) -> None:
    if settings.root is None:
        raise ValueError("`--root` must name the directory of RegDB; got none")
    console = Console()
    if settings.trial != "all" or settings.fast_dev_run:
        trial = 1 if settings.trial == "all" else settings.trial  # to meet errors, one will do
        run(replace(settings, trial=trial), read_regdb(settings.root, trial), console)
        return
    if (settings.out / RECORD).exists():
        raise ValueError(f"{settings.out} holds a run of one trial: name another `--out` for ten")
    if (settings.out / "metrics.json").exists() and not (settings.verify or settings.resume):
        if not settings.overwrite:
            raise ValueError(f"{settings.out} holds a run already: --resume goes on with it, --overwrite deletes it")
        (settings.out / "metrics.json").unlink(missing_ok=True)  # the mean of models that are about to be replaced
    # Every split is read before the first is trained on: a list that is missing shows now, not after nine models.
    splits = [read_regdb(settings.root, trial) for trial in TRIALS]
    for data in splits:
        run_trial(settings, data, console)
    if not settings.verify and join_processes().is_main_process:
        summarise(settings, console)


def run_trial(settings: RegdbSettings, data: RegDB, console: Console) -> None:
    """Train or evaluate one trial of all, in a directory of its own; one that is finished is kept on --resume."""
    out = settings.out / folder(data.trial)
    one = replace(settings, trial=data.trial, out=out)
    if settings.evaluate is not None:
        one = replace(one, evaluate=settings.evaluate / folder(data.trial) / "model.safetensors")
    elif settings.resume:
        if (out / "metrics.json").exists():
            together(lambda: prepare_out(one))  # refuses other settings
            console.print(f"[bold]{out}[/bold] is finished")
            return
        if not (out / RECORD).exists():  # never begun
            one = replace(one, resume=False)
    run(one, data, console)


def summarise(settings: RegdbSettings, console: Console) -> None:
    """Print the mean of the trials' figures and write it to metrics.json, with those of every trial."""
    trials = {str(trial): read_json(settings.out / folder(trial) / "metrics.json") for trial in TRIALS}
    plain = mean(list(trials.values()))
    options = {
        name: mean([found[name] for found in trials.values()])
        for name in OPTIONS
        if all(name in found for found in trials.values())
    }
    console.print(table(plain, options))
    write_json(settings.out / "metrics.json", as_metrics(plain, options) | {"trial": "all", "trials": trials})
    console.print(f"[bold]{settings.out}[/bold] holds {folder(TRIALS[0])} to {folder(TRIALS[-1])} and metrics.json")


def mean(trials: list[dict[str, dict[str, float]]]) -> Results:
    """The mean of the trials' figures."""
    tasks = ("visible_to_thermal", "thermal_to_visible")
    scores = {task: np.array([[trial[task][figure] for figure in FIGURES] for trial in trials]) for task in tasks}
    return Results(scores, f"RegDB, %: mean of {len(trials)} trials, a model each")


def folder(trial: int) -> str:
    return f"trial-{trial:02d}"


def command_line(arguments: list[str]) -> RegdbSettings:
    return parse(arguments, REGDB, __doc__)


if __name__ == "__main__":
    command("train_regdb", main, lambda: command_line(sys.argv[1:]))
