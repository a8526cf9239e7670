"""Train, evaluate and draw CAL on SYSU-MM01, or on the rendered data set of the same layout.

    python examples/train_sysu.py --root SYSU-MM01          # the real set: ResNet-50, 288x144, 100 epochs
    python examples/train_sysu.py                           # no data at hand: rendered, a small network, minutes

The run leaves in `--out`: metrics.json (rank-1/10/20, mAP, mINP for all- and indoor-search, single- and multi-shot,
each the mean of ten gallery draws), model.safetensors, log.jsonl and tensorboard/, run.json (settings, versions,
commit), curves.png, attention.png and rankings.png. Defaults below are those of the set that is chosen by --root.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro
from rich.console import Console

from vireid.config import DEMO, SYSU, Settings
from vireid.data import Items, cache_images, counts_table, read_sysu
from vireid.data import describe as describe_data
from vireid.engine import train
from vireid.render.dataset import RenderConfig, render_dataset
from vireid.report import Images, report

RENDERED = Path("data/rendered")


def main(settings: Settings) -> None:
    console = Console()
    root = settings.root or render_dataset(RENDERED, RenderConfig())
    sysu = read_sysu(root)
    console.print(counts_table(sysu))
    size = (settings.data.height, settings.data.width)

    def decode(items: Items, name: str) -> Images:
        return cache_images(items.paths, size, root=root, cache_dir=settings.data.cache, name=name)

    images = decode(sysu.train, "train")
    model, accelerator, seconds = train(settings, sysu.train, images, data=describe_data(sysu), console=console)
    if accelerator.is_main_process:
        queries, gallery = decode(sysu.query, "query"), decode(sysu.gallery, "gallery")
        report(settings, sysu, model, queries, gallery, seconds=seconds, device=accelerator.device, console=console)


def command_line(arguments: list[str]) -> Settings:
    """The settings, on top of the defaults for the real set if there is a --root, for the rendered one if not."""
    real = any(argument == "--root" or argument.startswith("--root=") for argument in arguments)
    return tyro.cli(Settings, args=arguments, default=SYSU if real else DEMO, description=__doc__)


if __name__ == "__main__":
    try:
        main(command_line(sys.argv[1:]))
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(f"train_sysu: {error}") from None
