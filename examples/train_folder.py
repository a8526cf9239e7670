"""Train and evaluate CAL on your own directory of images in two modalities, and plot its results.

    python examples/train_folder.py --root data --modalities visible infrared
    python examples/train_folder.py --root data --fast-dev-run      # find errors first, in a few steps
    python examples/evaluate.py folder --root data --weights runs/folder/model.safetensors

The directory has `train/MODALITY/IDENTITY/*.jpg` and `test/MODALITY/IDENTITY/*.jpg` (or other image files), with two
modalities of any name: photos and sketches, visible and thermal images. Each identity has images of both, and is either
in train or in test. The run writes the same files to `--out` as train_sysu.py. metrics.json has both directions: all
test images of one modality search in all of the other.
"""

from __future__ import annotations

import sys

from vireid.command import command, parse
from vireid.config import FolderSettings
from vireid.recipes import FOLDER


def main(settings: FolderSettings) -> None:
    from rich.console import Console

    from vireid.run import read, run

    run(settings, read(settings), Console())


def command_line(arguments: list[str]) -> FolderSettings:
    return parse(arguments, FOLDER, __doc__)


if __name__ == "__main__":
    command("train_folder", main, lambda: command_line(sys.argv[1:]))
