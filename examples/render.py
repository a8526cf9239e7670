"""Render a visible-infrared person data set in the layout of SYSU-MM01.

    python examples/render.py --root data/rendered --sheet sheet.png

Without real data, the examples train and test on this data set. Each person has lasting attributes (hair or hat,
garments and their patterns, shoes, bag, build), and belongs to a family of four look-alikes. The visible cameras
1, 2, 4, 5 see the colour of a material; the infrared cameras 3, 6 see a reflectance that does not depend on the
colour. Pose, place, scale, light, clutter and occluders differ from picture to picture.

The default set has 9,072 pictures: 320 training and 76 test identities. Rendering takes about half a minute on two
cores. The same configuration always gives the same bytes. An existing set is not rendered again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from tyro.conf import OmitArgPrefixes

from vireid.command import cli, script
from vireid.people.config import RenderConfig
from vireid.people.dataset import render_dataset
from vireid.people.sheet import contact_sheet


@dataclass(frozen=True)
class Options:
    root: Path = Path("data/rendered")
    """Directory for the data set. If it exists, it must have been rendered with the same settings."""
    sheet: Path | None = None
    """Also draw a contact sheet, pictures of a few people, into this PNG file."""
    workers: int | None = None
    """Number of processes; by default one per core. It does not change the data set."""
    config: OmitArgPrefixes[RenderConfig] = field(default_factory=RenderConfig)


def main(options: Options) -> None:
    console = Console()
    root = render_dataset(options.root, options.config, workers=options.workers)
    console.print(f"[bold]{root}[/bold]: {options.config.identities} identities")
    if options.sheet is not None:
        console.print(f"[bold]{contact_sheet(root, options.sheet)}[/bold]: a few of the test identities")


if __name__ == "__main__":
    with script("render"):
        main(cli(Options, description=__doc__))
