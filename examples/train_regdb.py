"""Train, evaluate and draw CAL on RegDB: one of its ten trials, or all of them.

    python examples/train_regdb.py --root RegDB --trial 3       # one model, trained and tested on the third split
    python examples/train_regdb.py --root RegDB --trial all     # ten models, and the mean that is published
    python examples/train_regdb.py --root RegDB --trial all --resume    # go on; finished trials are kept
    python examples/evaluate.py regdb --root RegDB --trial all --weights runs/regdb     # the ten models once more

One trial leaves in `--out` what train_sysu.py leaves, with both directions in metrics.json. All of them leave that in
`--out`/trial-01 to trial-10, and their mean in `--out`/metrics.json. Weights remember their trial, and are not tested
on another: its people may be those that they were trained on.
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
    one = replace(settings, trial=1) if settings.trial == "all" else settings  # to meet errors, one trial will do
    run(one, read(one), Console())


def command_line(arguments: list[str]) -> RegdbSettings:
    return parse(arguments, REGDB, __doc__)


if __name__ == "__main__":
    command("train_regdb", main, lambda: command_line(sys.argv[1:]))
