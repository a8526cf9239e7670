"""Render a visible-infrared data set of people in three dimensions, in the layout of SYSU-MM01.

    python examples/render.py --root data/rendered --sheet sheet.png

Without real data, the examples train and test on this data set. Each person has lasting attributes (body, gait, skin,
hair or hat, garments and their patterns, shoes, bag), and belongs to a family of three look-alikes. The visible cameras
1, 2, 4, 5 see the colour of a material; the infrared cameras 3, 6 see by lamps of their own a reflectance that does not
depend on the colour. Pose, place, light, passers-by, occluders and the detector's window differ from picture to
picture. Each picture has a label map under parts/, attributes.json describes each person in words, and conditions.csv
says how much of the person is hidden in each picture, and how far its window is off.

The default set has 3,522 pictures: 150 training and 51 test identities. Rendering takes two or three minutes on two
cores. An interrupted call is continued by the same command. The same configuration always gives the same bytes. An
existing set is not rendered again.
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
