"""Evaluate a trained model, or features of any model, by the protocol of a data set.

    python examples/evaluate.py sysu --root SYSU-MM01 --weights runs/sysu/model.safetensors --out runs/again
    python examples/evaluate.py regdb --root RegDB --trial 3 --weights runs/regdb/model.safetensors
    python examples/evaluate.py regdb --root RegDB --trial all --weights runs/regdb     # the ten models of a run
    python examples/evaluate.py llcm --root LLCM --weights runs/llcm/model.safetensors --reading swapped
    python examples/evaluate.py sysu --root SYSU-MM01 --verify      # only compare the counts with the published ones
    python examples/evaluate.py features --protocol sysu --visible v.npz --infrared i.npz   # features of any model
    python examples/evaluate.py features --protocol regdb --trial all --visible "v{trial}.npz" --infrared "t{trial}.npz"

The settings of the model are read from the run.json beside its weights, or from the config.json of a saved model.
The results are written to `--out`: metrics.json, rankings.png and, for CAL, attention.png and found.png.

Features are scored by every variant of the protocol, in both directions where it has two. metrics.json also has how
many queries have ties, and warnings. `evaluate.py features --help` says what the files hold.
"""

from __future__ import annotations

from vireid.command import cli, script
from vireid.config import RegdbSource
from vireid.options import Command, FeatureFiles


def main(options: Command) -> None:
    from rich.console import Console

    from vireid.evaluation.score import score
    from vireid.run import evaluate, read
    from vireid.trials import evaluate_all, score_all

    what, console = options.what, Console()
    if isinstance(what, FeatureFiles):
        (score_all if what.trial == "all" else score)(what, console)
    elif isinstance(what.data, RegdbSource) and what.data.trial == "all":
        evaluate_all(what, console)
    else:
        evaluate(what, read(what.data), console)


if __name__ == "__main__":
    with script("evaluate"):
        main(cli(Command, description=__doc__))
