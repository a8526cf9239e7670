"""Numbers in handwriting and in words: parts that attend on letters, which have no grid.

    python examples/words.py

An identity is a three-digit number. Modality 0 is a picture of it in handwriting; modality 1 its digits' names as 24
letters, "··threeseveneight·······". Names differ in length and the line starts anywhere, as the digits in the picture
do: nothing says which letters are which strokes. The numbers of the test are not among those of training, nor is any
of their handwriting. Compared with plain pooling on the same encoders.
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
