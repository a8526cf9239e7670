"""Train and evaluate CAL on SYSU-MM01, or on a rendered data set of the same layout, and plot its results.

    python examples/train_sysu.py --root SYSU-MM01          # the real set: ResNet-50, 288x144, 100 epochs
    python examples/train_sysu.py                           # without real data: rendered people, minutes
    python examples/train_sysu.py --from runs/sysu/run.json --out runs/again   # repeat a run with its settings
    torchrun --nproc-per-node 4 examples/train_sysu.py --root SYSU-MM01        # several processes, on GPUs or CPUs
    python examples/evaluate.py sysu --root SYSU-MM01 --weights runs/sysu/model.safetensors    # evaluate again

The run writes to `--out`: metrics.json (rank-1/10/20, mAP, mINP for all- and indoor-search, single- and multi-shot,
each the mean of ten gallery draws), model.safetensors, log.jsonl and tensorboard/, run.json (settings, versions,
data, commit), curves.png, attention.png, found.png and rankings.png. Without --root, a data set is rendered (once) and
used: on a GPU a larger one, at 288x144. The defaults depend on it: for those of the real data set, run
`--root SYSU-MM01 --help`.
"""

from __future__ import annotations

import sys

from vireid.command import argument, command, parse
from vireid.config import SysuSettings
from vireid.recipes import DEMO, LARGE_DEMO, SYSU


def main(settings: SysuSettings) -> None:
    from rich.console import Console

    from vireid.run import read, run

    run(settings, read(settings), Console())


def command_line(arguments: list[str]) -> SysuSettings:
    """The settings; their defaults are those for the real data set with --root, and for the rendered one without."""
    if argument(arguments, "--root") is not None:
        return parse(arguments, SYSU, __doc__)
    settings = parse(arguments, DEMO, __doc__)  # a wrong command line ends here, before PyTorch is loaded
    import torch

    return parse(arguments, LARGE_DEMO, __doc__) if torch.cuda.is_available() else settings


if __name__ == "__main__":
    command("train_sysu", main, lambda: command_line(sys.argv[1:]))
