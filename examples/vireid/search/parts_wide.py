"""The time of a short list at the width of a ResNet-50, with images of random numbers: times do not depend on them."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from concordant import TSAA, Encoded, PartQueries, functional, target_aware_similarity
from vireid.files import write_json
from vireid.search.options import Wide
from vireid.search.parts_code import PartSettings, Sizes, layout
from vireid.search.parts_study import stored
from vireid.search.scale import processor

SIZES = Sizes(t=162, p=6, c=2048, d=256)
"""An image of 288 × 144, in a ResNet-50 of stride 16."""
WAYS = (PartSettings(), PartSettings(clusters=24), PartSettings(clusters=16))


def wide(options: Wide, console: Console) -> None:
    """Measure each way to keep images; write wide.json."""
    attention, gallery, query = TSAA(SIZES.c, SIZES.d).eval(), random_images(options.length, 0), random_images(1, 1)
    compare, rows = partial(target_aware_similarity, attention=attention), list[dict[str, Any]]()
    with torch.inference_mode():
        for settings in track(WAYS, description="keeping images"):
            _, ms, read_ms = stored(compare, query, gallery, settings, options.length)
            kept = SIZES._replace(t=settings.clusters or SIZES.t, d=SIZES.d + 1)  # with the channel of the gate
            size = layout(kept, settings).itemsize
            rows.append({"clusters": settings.clusters, "bytes": size, "ms": ms, "read_ms": read_ms})
    options.out.mkdir(parents=True, exist_ok=True)
    origin = {**processor(torch.device("cpu")), "length": options.length, "sizes": SIZES._asdict()}
    write_json(options.out / "wide.json", origin | {"ways": rows})
    out = Table("tokens, int8", title=f"A short list of {options.length}, {SIZES}", box=SIMPLE, padding=0)
    for heading in ("kB an image", "ms a query", "of them to read"):
        out.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        figures = (row["bytes"] / 1e3, row["ms"], row["read_ms"])
        out.add_row(str(row["clusters"] or "all"), *(f"{figure:.1f}" for figure in figures))
    console.print(out)
    console.print(f"[bold]{options.out}[/bold] holds wide.json")


def random_images(n: int, seed: int) -> Encoded:
    """n images of these sizes, with a token gate."""
    generator = torch.Generator().manual_seed(seed)
    t, p, c, d = SIZES
    tokens, keys, gates = (torch.randn(n, *shape, generator=generator) for shape in ((t, c), (t, d), (t,)))
    parts = PartQueries(*(torch.randn(n, p, width, generator=generator) for width in (d, c)))
    return Encoded(tokens, *functional.gate_attention(keys, parts, gates))
