"""Search with a trained model: distilled, target-aware, in two stages, and in a million embeddings.

    python examples/search.py                               # the run of `make demo`: three ways to rank a gallery
    python examples/search.py --run runs/sysu               # another run on SYSU-MM01
    python examples/search.py --scale 1000000               # FAISS over a million embeddings: exact and approximate

A distilled embedding needs no other image, so an index can search a gallery of any size. Target-aware similarity
reads both images of each pair by their parts; its time grows with queries times gallery. Two-stage search lies
between: the index gives a short list, and only the pairs of that list are compared target-aware. The list comes first
in the ranking, in its new order. The other gallery images follow in the order of the index.

Without --scale, each way is scored on all-search, single-shot, over ten gallery draws: rank-1, mAP, mINP, and the time
of the comparisons (each image is embedded and encoded once, which is timed separately). "+ mean" orders the longest
list by the mean of both similarities. The best way depends on the model: measure before you choose. A pair of a
short list takes several times as long as a pair of the exhaustive comparison, which reads each image once for many
pairs: a gallery must be ten times longer than the list to save time. `make demo`'s run takes four minutes on two cores.

With --scale, a gallery of that size is generated from the embeddings of the test images. The time, the size of the
index, and the share of the exact results that approximate search finds are measured.

Both write a table as JSON and a figure to --out: compare.json and compare.png, or scale.json and scale.png. With
--scale the approximate index is saved there, too, and loaded again before it is searched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vireid.command import cli, script
from vireid.config import SysuSettings
from vireid.runs import RECORD, read_settings


@dataclass(frozen=True)
class Options:
    run: Path = Path("runs/demo")
    """Directory of a finished run of train_sysu.py with --method cal."""
    root: Path | None = None
    """Directory of the data set; by default that of the run."""
    out: Path = Path("runs/search")
    """Directory for the table and the figure."""
    lists: tuple[int, ...] = (20, 50, 100)
    """Lengths of the short list, in gallery images; each length is scored."""
    scale: int | None = None
    """Measure the index instead, with this number of embeddings; a million of 640 dimensions take 6 GB of memory."""
    queries: int = 300
    """With --scale: number of queries, which are embeddings of infrared test images."""
    probes: tuple[int, ...] = (1, 4, 16, 32, 64, 128)
    """With --scale: numbers of lists of the approximate index that a query reads; more are slower and more exact."""
    cache: Path | None = None
    """Directory for decoded images; by default that of the run."""


def main(options: Options) -> None:
    import torch
    from rich.console import Console

    from vireid.evaluation.inference import encode, extract
    from vireid.models.hub import HubCAL
    from vireid.run import decode, read
    from vireid.search.index import CODES
    from vireid.search.scale import measured, processor, scale
    from vireid.search.ways import compare

    for name, numbers in {
        "lists": options.lists,
        "probes": options.probes,
        "queries": (options.queries,),
        "scale": (1 if options.scale is None else options.scale,),
    }.items():
        if min(numbers, default=0) < 1:
            raise ValueError(f"search: `--{name}` must be numbers of at least 1; got {numbers}")
    if options.scale is not None and options.scale < CODES:
        raise ValueError(f"search: `--scale` must be at least {CODES}, to learn codes from; got {options.scale}")
    settings = read_settings(options.run / RECORD, SysuSettings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = HubCAL.from_run(options.run).to(device)
    data = read(replace(settings, root=options.root or settings.root))
    images = decode(replace(settings.data, cache=options.cache or settings.data.cache), data, data.test, "test")
    embeddings, seconds = measured(lambda: extract(model, images, data.test.modality, device=device))
    origin = {"run": str(options.run), **processor(device), "embed_ms": 1e3 * seconds / len(images)}
    options.out.mkdir(parents=True, exist_ok=True)
    if options.scale is not None:
        scale(data, embeddings, options.scale, options.queries, options.probes, options.out, origin, Console())
        return
    encoded, seconds = measured(lambda: encode(model, images, data.test.modality, device=device))
    origin["encode_ms"] = 1e3 * seconds / len(images)
    compare(data, model, embeddings, encoded, options.lists, options.out, origin, Console())


if __name__ == "__main__":
    with script("search"):
        main(cli(Options, description=__doc__))
