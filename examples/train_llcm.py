"""Train and evaluate CAL on LLCM, and plot its results.

    python examples/train_llcm.py --root LLCM               # ResNet-50, 288x144, 100 epochs
    python examples/evaluate.py llcm --root LLCM --weights runs/llcm/model.safetensors --reading swapped

The run writes the same files to `--out` as train_sysu.py. metrics.json has both directions, each the mean of ten
gallery draws, and the variant of the protocol.
"""

from __future__ import annotations

import sys

from vireid.command import command, parse
from vireid.config import LlcmSettings
from vireid.recipes import LLCM


def main(settings: LlcmSettings) -> None:
    from rich.console import Console

    from vireid.run import read, run

    run(settings, read(settings), Console())


def command_line(arguments: list[str]) -> LlcmSettings:
    return parse(arguments, LLCM, __doc__)


if __name__ == "__main__":
    command("train_llcm", main, lambda: command_line(sys.argv[1:]))
