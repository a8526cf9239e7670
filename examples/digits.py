"""Digits in ink and in outline: CAL on two modalities that have nothing to do with people.

    python examples/digits.py

An identity is a digit. Modality 0 shows it in ink; modality 1 in another hand, as an outline, dark on light. A digit
fills a quarter of its picture, anywhere; a scrap of another lies about. The handwriting of the test is not among that
of training: each outline shall find its digit's pictures in ink. Compared with plain pooling on the same backbone.
"""

from __future__ import annotations

from other_tasks.options import Options
from vireid.command import cli, script


def main(options: Options) -> None:
    from other_tasks.digits import run

    run(options)


if __name__ == "__main__":
    with script("digits"):
        main(cli(Options, description=__doc__))
