"""Evaluate a trained model on a data set, by the data set's protocol.

    python examples/evaluate.py sysu --root SYSU-MM01 --weights runs/sysu/model.safetensors --out runs/again
    python examples/evaluate.py regdb --root RegDB --trial 3 --weights runs/regdb/model.safetensors
    python examples/evaluate.py regdb --root RegDB --trial all --weights runs/regdb     # the ten models of such a run
    python examples/evaluate.py llcm --root LLCM --weights runs/llcm/model.safetensors --reading swapped
    python examples/evaluate.py sysu --root SYSU-MM01 --verify      # only compare the tree with the published counts

The settings of the model are in the run.json beside its weights, or in the config.json of a saved model. Results go
into `--out`: metrics.json, rankings.png and, of CAL, attention.png.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

from vireid.command import cli, one_line
from vireid.config import LlcmEvaluation, RegdbEvaluation, SysuEvaluation


@dataclass(frozen=True)
class Options:
    data: OmitSubcommandPrefixes[
        OmitArgPrefixes[
            Annotated[SysuEvaluation, subcommand("sysu")]
            | Annotated[RegdbEvaluation, subcommand("regdb")]
            | Annotated[LlcmEvaluation, subcommand("llcm")]
        ]
    ]


def main(options: Options) -> None:
    from rich.console import Console

    from vireid.run import evaluate, read
    from vireid.trials import evaluate_all

    chosen, console = options.data, Console()
    if isinstance(chosen, RegdbEvaluation) and chosen.trial == "all":
        evaluate_all(chosen, console)
    else:
        evaluate(chosen, read(chosen), console)


if __name__ == "__main__":
    with one_line("evaluate"):
        main(cli(Options, sys.argv[1:], description=__doc__))
