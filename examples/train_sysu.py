"""Train, evaluate and draw CAL on SYSU-MM01, or on the rendered data set of the same layout.

    python examples/train_sysu.py --root SYSU-MM01          # the real set: ResNet-50, 288x144, 100 epochs
    python examples/train_sysu.py                           # no data at hand: rendered, a small network, minutes
    python examples/train_sysu.py --from runs/sysu/run.json --out runs/again   # a run's settings once more
    torchrun --nproc-per-node 4 examples/train_sysu.py --root SYSU-MM01        # several processes, on GPUs or CPUs

The run leaves in `--out`: metrics.json (rank-1/10/20, mAP, mINP for all- and indoor-search, single- and multi-shot,
each the mean of ten gallery draws), model.safetensors, log.jsonl and tensorboard/, run.json (settings, versions,
data, commit), curves.png, attention.png and rankings.png. Defaults below are those of the set that is chosen by --root.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from vireid.command import argument, command, parse
from vireid.config import DEMO, SYSU, Settings
from vireid.data import Items, Sysu, cache_images, counts_table, read_sysu
from vireid.data import describe as describe_data
from vireid.engine import train
from vireid.processes import join_processes
from vireid.record import fingerprint
from vireid.rehearsal import TEST_PEOPLE, keep, rehearsal, some_people
from vireid.render.dataset import RenderConfig, render_dataset
from vireid.report import Images, report

RENDERED = Path("data/rendered")


def main(settings: Settings) -> None:
    console = Console(quiet=not join_processes().is_main_process)
    root = settings.root or render_dataset(RENDERED, RenderConfig())
    sysu = read_sysu(root)
    console.print(counts_table(sysu))
    paths = [*sysu.train.paths, *sysu.query.paths, *sysu.gallery.paths]
    data = describe_data(sysu) | {"fingerprint": fingerprint(root, paths)}
    if settings.fast_dev_run:
        settings, sysu = rehearsal(settings), few(sysu, settings.data.identities)
    size = (settings.data.height, settings.data.width)

    def decode(items: Items, name: str) -> Images:
        return cache_images(items.paths, size, root=root, cache_dir=settings.data.cache, name=name)

    images = decode(sysu.train, "train")
    model, accelerator, seconds = train(settings, sysu.train, images, data=data, console=console)
    if accelerator.is_main_process:
        queries, gallery = decode(sysu.query, "query"), decode(sysu.gallery, "gallery")
        report(settings, sysu, model, queries, gallery, seconds=seconds, device=accelerator.device, console=console)


def few(sysu: Sysu, train_people: int) -> Sysu:
    """A few people of the data set, with all of their images."""
    train = some_people(sysu.train, train_people)
    test = some_people(Items([*sysu.query, *sysu.gallery]), TEST_PEOPLE)
    return replace(sysu, train=keep(sysu.train, train), query=keep(sysu.query, test), gallery=keep(sysu.gallery, test))


def command_line(arguments: list[str]) -> Settings:
    """The settings, on top of the defaults for the real set if there is a --root, for the rendered one if not."""
    return parse(arguments, DEMO if argument(arguments, "--root") is None else SYSU, __doc__)


if __name__ == "__main__":
    command("train_sysu", main, lambda: command_line(sys.argv[1:]))
