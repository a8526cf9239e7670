"""Show why a trained model finds two images similar: which parts made the score, and where each looks in both.

    python examples/explain.py runs/demo data/rendered/cam3/0003/0001.jpg data/rendered/cam1/0003/0001.jpg
    python examples/explain.py runs/llcm visible.jpg infrared.jpg --modalities visible infrared

Target-aware similarity is a mean of cosines: each part of the query, and each part of the gallery image, is read in
both images, and what is read is compared. Each adds its share, and the shares add up to the similarity.

Writes to `--out`: explain.png, a picture; explain.html, a page without links to other files, on which a part under the
pointer shows where it looks in both images; and explain.json, the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vireid.command import cli, script

Modality = Literal["visible", "infrared"]


@dataclass(frozen=True)
class Options:
    run: Positional[Annotated[Path, arg(metavar="RUN")]]
    """Directory of a finished run of `train_*.py --method cal`."""
    query: Positional[Annotated[Path, arg(metavar="QUERY")]]
    """Image file of the query."""
    gallery: Positional[Annotated[Path, arg(metavar="GALLERY")]]
    """Image file of the gallery."""
    modalities: tuple[Modality, Modality] = ("infrared", "visible")
    """Modality of the query, and of the gallery image; "infrared" is the second modality of any data set."""
    out: Path = Path("runs/explain")
    """Directory for the files."""


def main(options: Options) -> None:
    from rich.console import Console

    from vireid.datasets.items import MODALITIES
    from vireid.evaluation.explain import explain_files
    from vireid.models.hub import HubCAL

    model = HubCAL.from_run(options.run)
    modalities = [MODALITIES[name] for name in options.modalities]
    explain_files(model, (options.query, options.gallery), modalities, options.out, Console())


if __name__ == "__main__":
    with script("explain"):
        main(cli(Options, description=__doc__))
