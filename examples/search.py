"""Search with a trained model: exactly, target-aware, in two stages, and in a million embeddings.

    python examples/search.py                               # of make demo's run: the three ways to rank a gallery
    python examples/search.py --run runs/sysu               # of another run on SYSU-MM01
    python examples/search.py --scale 1000000               # FAISS over a million embeddings: exact, and approximate

A distilled embedding needs no other image: a gallery of any size is searched in an index. Target-aware similarity
reads both images of every pair by their own parts, which takes as long as queries times gallery. Two stages lie
between: the index gives a short list, and only the pairs of that list are compared target-aware. The list comes first
in the ranking, in its new order, then the rest as the index has it.

Without --scale, each way is scored on all-search, single-shot, over ten gallery draws: rank-1, mAP, mINP, and the time
that comparing takes (each image is embedded and encoded once, which is timed by itself). "+ mean" orders the longest
list by the mean of both similarities. Which is best depends on the model: measure before you choose. A pair of a
short list takes several times as long as one of an exhaustive comparison, which reads an image once for many pairs:
lists pay for galleries that are ten times longer than they are. Takes about four minutes on two cores for make demo's.

With --scale, a gallery of so many embeddings is made up from the test images' own, and what is measured is time, size,
and how much of the exact result approximate search finds.

Either leaves a table as JSON and a figure in --out: compare.json and compare.png, or scale.json and scale.png. With
--scale the approximate index is saved there too, and searched after it is loaded again.
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
    """A run of train_sysu.py with --method cal: run.json and model.safetensors."""
    root: Path | None = None
    """The data directory, if not the run's."""
    out: Path = Path("runs/search")
    """Where the table and the figure go."""
    lists: tuple[int, ...] = (20, 50, 100)
    """Lengths of the short list."""
    scale: int | None = None
    """Measure the index instead, over so many embeddings. A million of 640 numbers take 6 GB of memory."""
    queries: int = 300
    """With --scale: queries, which are embeddings of infrared test images."""
    probes: tuple[int, ...] = (1, 4, 16, 32, 64, 128)
    """With --scale: how many lists of the approximate index a query reads."""
    cache: Path | None = None
    """Where decoded images are kept, if not where the run has them."""


def main(options: Options) -> None:
    import torch
    from rich.console import Console

    from vireid.evaluation.index import CODES
    from vireid.evaluation.inference import encode, extract
    from vireid.evaluation.scale import measured, processor, scale
    from vireid.evaluation.ways import compare
    from vireid.models.hub import HubCAL
    from vireid.run import decode, read

    for name, numbers in {
        "lists": options.lists,
        "probes": options.probes,
        "queries": (options.queries,),
        "scale": (1 if options.scale is None else options.scale,),
    }.items():
        if min(numbers, default=0) < 1:
            raise ValueError(f"search: `--{name}` must be one number or more, each at least 1; got {numbers}")
    if options.scale is not None and options.scale < CODES:
        raise ValueError(f"search: `--scale` must have {CODES} embeddings to learn codes from; got {options.scale}")
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
