"""Train and evaluate CAL on RegDB, in one of its ten trials or in all, and plot its results.

    python examples/train_regdb.py --root RegDB --trial 3       # one model, trained and tested on the third split
    python examples/train_regdb.py --root RegDB --trial all     # ten models, and their mean, as publications have it
    python examples/train_regdb.py --root RegDB --trial all --resume    # continue; finished trials are kept
    python examples/evaluate.py regdb --root RegDB --trial all --weights runs/regdb     # evaluate the ten models again

One trial writes the same files to `--out` as train_sysu.py, with both directions in metrics.json. All trials write
them to `--out`/trial-01 to trial-10, and their mean to `--out`/metrics.json. Weights store their trial. They are not
tested on another trial: the model may have been trained on its test identities.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from vireid.command import command, parse
from vireid.config import RegdbSettings
from vireid.recipes import REGDB


def main(settings: RegdbSettings) -> None:
    from rich.console import Console

    from vireid.run import read, run
    from vireid.trials import train_all

    if settings.trial == "all" and not settings.fast_dev_run:
        train_all(settings, Console())
        return
    one = replace(settings, trial=1) if settings.trial == "all" else settings  # one trial is enough to find errors
    run(one, read(one), Console())


def command_line(arguments: list[str]) -> RegdbSettings:
    return parse(arguments, REGDB, __doc__)


if __name__ == "__main__":
    command("train_regdb", main, lambda: command_line(sys.argv[1:]))
