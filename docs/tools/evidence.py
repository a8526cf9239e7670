"""Draw the figures of the evidence from its raw numbers: `PYTHONPATH=examples python docs/tools/evidence.py`.

Of the comparison on people in three dimensions, other sizes of images are left out: they have baselines of their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from vireid.study.configurations import Study
from vireid.study.results import draw
from vireid.study.summary import Scores

DOCS = Path(__file__).resolve().parents[1]
FIGURES: dict[str, Study] = {"people": "comparison", "comparison": "comparison", "sensitivity": "sensitivity"}
"""The study of each file of raw numbers."""
FORMER = {"loss.attention_div": 0.5}
"""The base's value in the studies of flat people, where it is another today."""


def main() -> None:
    for name, study in FIGURES.items():
        runs = json.loads((DOCS / "evidence" / f"{name}.json").read_text())["runs"]
        with TemporaryDirectory(dir=DOCS / "images") as folder:
            drawn = draw(study, of_one_size(runs) if name == "people" else runs, Path(folder), FORMER)
            assert drawn is not None
            print(drawn.replace(DOCS / "images" / f"{name}.png"))


def of_one_size(runs: Sequence[Scores]) -> list[Scores]:
    """The runs on images of the benchmark's own size."""
    return [run for run in runs if "data.height" not in run["changes"]]


if __name__ == "__main__":
    main()
