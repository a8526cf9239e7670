"""Train, evaluate and draw CAL on LLCM.

    python examples/train_llcm.py --root LLCM               # ResNet-50, 288x144, 100 epochs
    python examples/evaluate.py llcm --root LLCM --weights runs/llcm/model.safetensors --reading swapped

The run leaves in `--out` what train_sysu.py leaves. metrics.json has both directions, each the mean of ten draws, and
the reading of the protocol that they are of.
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
