"""The page of a GPU's benchmarks, from the JSON of `benchmarks/gpu.py`. Rows that it lacks are left open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Rows: TypeAlias = dict[str, dict[str, Any]]
Text: TypeAlias = Callable[[dict[str, Any]], str]

HEAD = """# Benchmarks on a GPU

Made by `make bench` on one {card}, {date}, {versions}. Raw numbers: [gpu.json](benchmarks/gpu.json).

## A training step

CAL on a ResNet-50 at 288 × 144 pixels in bf16: the batch, forward pass, losses, backward pass, clipping and optimiser.
Images are random. *One by one* is `--compile none`, *graph* is `--compile graph`, the default on a GPU. One by one, a
step mostly waits for the host, and its time is that of the host's processor. The recipe sees a quarter of the images a
second time (`--data.views 0.25`): all of them pass the backbone, which the goals, set before, did not count. *Without
views* no image is.

| what | one by one | graph | goal of the graph |
|---|---|---|---|
"""
RETRIEVAL = """
## Retrieval and augmentation

| what | measured | beside it | goal |
|---|---|---|---|
"""
HOURS = """
## Hours and memory

Each data set's recipe: as many images as it sees in all its steps, whatever the batch size. Images are random, and
there are as many identities as the data set has. Evaluation comes on top, and so does decoding the images once.

| data set | images in a batch | `--compile` | images a second | GiB at the peak | hours |
|---|---|---|---|---|---|
"""
STEPS = (
    ("launches a step", "step", "{launches:,.0f}", "≤ 900"),
    ("waits for the device a step", "step", "{waits:.3g}", "≤ 1"),
    ("share of a step that the device works", "step", "{busy:.2f}", "≥ 0.9"),
    ("a step", "step", "{ms:.3g} ms", ""),
    ("images a second", "step", "{images_per_second:,.0f}", "≥ 2,100"),
    ("images a second", "large step", "{images_per_second:,.0f}", "≥ 3,000"),
    ("images a second without views", "step without views", "{images_per_second:,.0f}", ""),
    ("images a second without views", "large step without views", "{images_per_second:,.0f}", ""),
    ("a step, over one of the identity loss alone", "head", "{ratio:.2f} ×", "≤ 1.15 ×"),
    ("the same without views", "head", "{ratio_without_views:.2f} ×", ""),
)
TYPES = ("bfloat16", "float16", "tf32", "float32")
SETS = ("SYSU-MM01", "RegDB", "LLCM")


def page(record: dict[str, Any]) -> str:
    """The page of a record."""
    rows: Rows = record["rows"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    head = HEAD.format(card=record["card"], date=record["date"], versions=versions)
    return "\n".join(
        (head + "\n".join(steps(rows)), RETRIEVAL + "\n".join(others(rows)), HOURS + "\n".join(hours(rows)), "")
    )


def cell(row: dict[str, Any] | None, text: Text) -> str:
    """What a row says, or why it says nothing; and whether there was no graph after all."""
    if row is None:
        return "not measured"
    return "failed" if "error" in row else text(row) + (" (no graph)" if row.get("notes") else "")


def steps(rows: Rows) -> Iterator[str]:
    for what, name, text, goal in STEPS:
        found = [rows.get(f"{name}, {way}") for way in ("none", "graph")]
        images = next((row["images"] for row in found if row is not None and "images" in row), "?")
        one_by_one = "" if "without views" in name else cell(found[0], text.format_map)
        yield f"| {what}, {images} images | {one_by_one} | {cell(found[1], text.format_map)} | {goal} |"
    yield f"| a step, `--compile default` | {cell(rows.get('step, default'), '{ms:.3g} ms'.format_map)} | | |"


def others(rows: Rows) -> Iterator[str]:
    for kind in TYPES:
        row = rows.get("similarity" if kind == "bfloat16" else "similarity, other types")
        ours = cell(row, f"{{{kind}[kernels][ns]:.3g}} ns".format_map)
        beside = f"{{{kind}[plain torch][ns]:.3g}} ns plain torch, {{{kind}[products][ns]:.3g}} ns the products alone"
        goal = "≤ 40 ns" if kind == "bfloat16" else ""
        yield f"| target-aware similarity, a pair, {kind} | {ours} | {cell(row, beside.format_map)} | {goal} |"
    row = rows.get("ranking")
    sizes = cell(row, "{images of either side:,}".format_map)
    ours = cell(row, lambda row: f"{1e3 * row['images']['seconds']:.3g} ms, {row['images']['MiB'] / 1024:.2g} GiB")
    beside = cell(row, lambda row: f"{1e3 * row['sort alone']['seconds']:.3g} ms the sort alone")
    yield f"| `rank_metrics`, images of either side: {sizes} | {ours} | {beside} | ≤ 45 ms, ≤ 6 GiB |"
    row = rows.get("augmentation")
    images, ours = cell(row, "{images} images".format_map), cell(row, "{ms:.3g} ms".format_map)
    yield f"| augmentation, {images} | {ours} | | ≤ 3 ms |"
    row, text = rows.get("graph as one by one, float32"), "total loss in float32, between steps one by one and a graph"
    yield f"| {text} | {cell(row, '{total:.1g} in {steps} steps'.format_map)} | | ≤ 1e-4 |"


def hours(rows: Rows) -> Iterator[str]:
    texts = ("{images_per_second:,.0f}", "{GiB:.3g}", "{hours:.3g}")
    for name, row in rows.items():
        if name.startswith(SETS):
            data, way, batch = name.split(", ")
            yield f"| {data} | {batch} | {way} | {' | '.join(cell(row, text.format_map) for text in texts)} |"
