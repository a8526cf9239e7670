"""Train, evaluate and draw CAL on LLCM.

    python examples/train_llcm.py --root LLCM               # ResNet-50, 288x144, 100 epochs
    python examples/train_llcm.py --root LLCM --verify      # only compare the tree with the published counts
    python examples/train_llcm.py --root LLCM --evaluate runs/llcm/model.safetensors --reading swapped --out runs/again

The run leaves in `--out` what train_sysu.py leaves. metrics.json has both directions, each the mean of ten draws, and
the reading of the protocol that they are of.
"""

from __future__ import annotations

import sys

from rich.console import Console

from vireid.command import command, parse
from vireid.config import LLCM, LlcmSettings
from vireid.datasets.llcm import read_llcm
from vireid.run import run


def main(settings: LlcmSettings) -> None:
    if settings.root is None:
        raise ValueError("`--root` must name the directory of LLCM; got none")
    run(settings, read_llcm(settings.root, reading=settings.reading), Console())


def command_line(arguments: list[str]) -> LlcmSettings:
    return parse(arguments, LLCM, __doc__)


if __name__ == "__main__":
    command("train_llcm", main, lambda: command_line(sys.argv[1:]))
