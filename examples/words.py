"""Numbers in handwriting and in words: parts that attend to letters, which have no grid.

    python examples/words.py

An identity is a three-digit number. Modality 0 is a picture of it in handwriting; modality 1 has the names of its
digits in 24 letters, "··threeseveneight·······". Names differ in length, and line and digits start anywhere: no label
says which letters belong to which strokes. Training and test have different numbers and different handwriting. The
parts are compared with plain pooling on the same encoders.
"""

from __future__ import annotations

from other_tasks.options import Options
from vireid.command import cli, script


def main(options: Options) -> None:
    from other_tasks.words import run

    run(options)


if __name__ == "__main__":
    with script("words"):
        main(cli(Options, description=__doc__))
