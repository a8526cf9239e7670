"""Evaluate a trained model on a data set, by the protocol of the data set.

    python examples/evaluate.py sysu --root SYSU-MM01 --weights runs/sysu/model.safetensors --out runs/again
    python examples/evaluate.py regdb --root RegDB --trial 3 --weights runs/regdb/model.safetensors
    python examples/evaluate.py regdb --root RegDB --trial all --weights runs/regdb     # the ten models of a run
    python examples/evaluate.py llcm --root LLCM --weights runs/llcm/model.safetensors --reading swapped
    python examples/evaluate.py sysu --root SYSU-MM01 --verify      # only compare the counts with the published ones

The settings of the model are read from the run.json beside its weights, or from the config.json of a saved model.
The results are written to `--out`: metrics.json, rankings.png and, for CAL, attention.png and found.png.
"""

from __future__ import annotations

from vireid.command import cli, script
from vireid.config import Evaluation, RegdbSource


def main(options: Evaluation) -> None:
    from rich.console import Console

    from vireid.run import evaluate, read
    from vireid.trials import evaluate_all

    if isinstance(options.data, RegdbSource) and options.data.trial == "all":
        evaluate_all(options, Console())
    else:
        evaluate(options, read(options.data), Console())


if __name__ == "__main__":
    with script("evaluate"):
        main(cli(Evaluation, description=__doc__))
