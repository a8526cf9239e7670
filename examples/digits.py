"""Digits in ink and in outline: CAL on two modalities without people.

    python examples/digits.py

An identity is a digit. Modality 0 shows it in ink; modality 1 in another handwriting, as an outline, dark on light. A
digit fills a quarter of its picture, at any place; a piece of another digit is clutter. The handwriting differs between
training and test. An outline must find the pictures of its digit in ink. CAL is compared with plain pooling on the
same backbone.
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
