"""Target-aware similarity and rank metrics on a GPU: `gpu.py` takes its rows from here. As a script, a closer look.

    python benchmarks/gpu_similarity.py runs/gpu_similarity.json

It takes about two minutes, most of it to compile kernels for shapes of blocks other than the library's own. Errors are
the largest differences from float64 in plain torch, times the medians of several runs, and memory what a call takes at
its peak beside its inputs. A part that fails is reported, and the others go on. The file is written after each part.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.rows import GPU, Row, command, wait

from concordant import TSAA, Encoded, PartQueries, rank_metrics, target_aware_similarity
from concordant.retrieval import pairs

DEVICE = "cuda" if GPU else "cpu"
TOKENS, CHANNELS, PARTS, WIDTH = (162, 2048, 6, 256) if GPU else (12, 16, 2, 8)
TYPES = {
    "bfloat16": (torch.bfloat16, False),
    "float16": (torch.float16, False),
    "tf32": (torch.float32, True),
    "float32": (torch.float32, False),
}
# Parts, channels, tokens, images and warps of a program; and whether it reads an image's tokens at once.
BLOCKS = [
    (128, 128, 64, 32, 8, True),
    (128, 128, 64, 8, 8, True),
    (128, 128, 64, 128, 8, True),
    (128, 64, 64, 32, 8, True),
    (128, 64, 64, 32, 4, True),
    (64, 128, 64, 32, 4, True),
    (64, 128, 64, 32, 4, False),
    (64, 256, 64, 32, 8, False),
    (128, 128, 64, 32, 8, False),
    (128, 128, 32, 32, 8, True),
    (128, 256, 32, 32, 8, False),
]


def sides(q: int, g: int, dtype: torch.dtype, t: int = TOKENS, c: int = CHANNELS) -> list[Encoded]:
    """Random queries and gallery images, encoded."""

    def image(n: int) -> Encoded:
        parts = PartQueries(torch.randn(n, PARTS, WIDTH, device=DEVICE), torch.rand(n, PARTS, c, device=DEVICE))
        return Encoded(torch.randn(n, t, c, device=DEVICE), torch.randn(n, t, WIDTH, device=DEVICE), parts).to(dtype)

    return [image(q), image(g)]


def products(query: Encoded, gallery: Encoded) -> None:
    """The matrix products of all pairs alone, in both directions."""
    for owner, other in ((query, gallery), (gallery, query)):
        queries = owner.part_queries.queries.flatten(0, 1)
        for some in other.split(64):
            for rows in queries.split(6144):
                weights = torch.matmul(rows, some.keys.transpose(1, 2))
                torch.bmm(weights, some.tokens)


def in_plain_torch() -> Any:
    """A context without the kernels."""
    return patch.object(pairs, "_kernels", lambda tokens, keys: None)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def measured(function: Callable[[], object], rounds: int = 5) -> dict[str, float]:
    """Seconds of a call, and MiB at its peak beside what is there before."""
    function()
    wait()
    memory, times = 0.0, []
    if GPU:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        wait()
        times.append(time.perf_counter() - start)
    if GPU:
        memory = (torch.cuda.max_memory_allocated() - before) / 2**20
    return {"seconds": statistics.median(times), "MiB": round(memory, 1)}


def normalisation(c: int = CHANNELS) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(PARTS * c, device=DEVICE).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)  # type: ignore[arg-type]
    return norm


def correctness(q: int, g: int) -> dict[str, Any]:
    """Errors of each type: with and without a norm and padding, at three shapes."""
    found: dict[str, Any] = {}
    for t, c in ((TOKENS, CHANNELS), (72, 512), (300, 100)):
        for name, (dtype, allowed) in TYPES.items():
            if not GPU and dtype == torch.bfloat16:  # Triton's interpreter does not know it
                continue
            query, gallery = sides(q, g, dtype, t, c)
            mask = torch.rand(g, t, device=DEVICE) < 0.7
            padded = Encoded(gallery.tokens, gallery.keys, gallery.part_queries, mask)
            for norm in (None, normalisation(c)):
                for images in (gallery, padded):
                    with torch.inference_mode(), tf32(allowed):
                        table = target_aware_similarity(query, images, TSAA(4), norm=norm).double()
                        with in_plain_torch():
                            plain = target_aware_similarity(query, images, TSAA(4), norm=norm).double()
                            one, other = (x.to(torch.float64) for x in (query, images))
                            exact = target_aware_similarity(one, other, TSAA(4), norm=norm)
                    case = f"{name}, t {t}, c {c}{', norm' if norm else ''}{', padding' if images is padded else ''}"
                    errors = (float((x - exact).abs().max()) for x in (table, plain))
                    found[case] = dict(zip(("kernels", "plain torch"), errors, strict=True))
    return found


def similarity(q: int, g: int, kinds: Iterable[str] = TYPES) -> dict[str, Any]:
    """Nanoseconds a pair of each type, by the kernels and in plain torch, beside the products alone."""
    found: dict[str, Any] = {}
    attention = TSAA(4)
    for name in kinds:
        dtype, allowed = TYPES[name]
        query, gallery = sides(q, g, dtype)
        norm = normalisation()
        ways: dict[str, Callable[[], object]] = {
            "kernels": partial(target_aware_similarity, query, gallery, attention),
            "kernels, norm": partial(target_aware_similarity, query, gallery, attention, norm=norm),
            "products": partial(products, query, gallery),
        }
        with torch.inference_mode(), tf32(allowed):
            rows = {way: measured(call) for way, call in ways.items()}
            with in_plain_torch():
                rows["plain torch"] = measured(ways["kernels"], rounds=3)
        found[name] = {way: {"ns": row["seconds"] / (q * g) * 1e9, **row} for way, row in rows.items()}
    return found


def memory(q: int, g: int) -> dict[str, Any]:
    """What `memory` buys, and that it holds: bfloat16."""
    query, gallery = sides(q, g, torch.bfloat16)
    found: dict[str, Any] = {}
    for bits in (26, 28, 29, 30, 31):
        for way, context in (("kernels", nullcontext()), ("plain torch", in_plain_torch())):
            with torch.inference_mode(), context:
                call = partial(target_aware_similarity, query, gallery, TSAA(4), memory=1 << bits)
                row = measured(call, 3)
            found[f"{way}, {2 ** (bits - 20)} MiB"] = {"ns": row["seconds"] / (q * g) * 1e9, **row}
    return found


def blocks(q: int, g: int) -> dict[str, Any]:
    """Nanoseconds a pair of one direction by each kernel alone, bfloat16; of the second for other shapes of blocks."""
    from concordant.retrieval import fused

    query, gallery = sides(q, g, torch.bfloat16)
    queries, gates = (x.flatten(0, 1) for x in query.part_queries)
    target = nn.functional.normalize(torch.randn(*gates.shape, device=DEVICE), dim=1).to(torch.bfloat16)
    shift, found = torch.randn_like(gates), {}

    def timed(function: Callable[[], object]) -> float | str:
        try:
            return measured(function, 3)["seconds"] / (q * g) * 1e9
        except Exception as problem:
            return repr(problem)[:200]

    with torch.inference_mode():
        found["attention"] = timed(lambda: fused._weights(queries, gallery.tokens, gallery.keys, None))
        for *shape, at_once in BLOCKS:
            chosen, room = fused._Blocks(*shape), fused._shared(gallery.tokens.device) if at_once else 0
            with (
                patch.object(fused, "_blocks", Mock(return_value=chosen)),
                patch.object(fused, "_shared", Mock(return_value=room)),
            ):
                weights = fused._weights(queries, gallery.tokens, gallery.keys, None)
                pieces = -(-CHANNELS // chosen.channels)
                sums = torch.empty(2, pieces, g, len(queries), device=DEVICE)
                for name, summand in (("", None), (", norm", shift)):
                    call = partial(fused._compare, weights, gallery.tokens, gates, target, summand, sums)
                    found[f"{tuple(chosen)}{', at once' if at_once else ''}{name}"] = timed(call)
    return found


def ranking(n: int) -> dict[str, Any]:
    """`rank_metrics` of n queries and n gallery images, the sort alone, and whether the CPU has the same result."""
    random = torch.Generator().manual_seed(0)
    table = torch.randn(n, n, device=DEVICE)
    ids = [torch.randint(max(n // 20, 1), (n,), generator=random).to(DEVICE) for _ in range(2)]
    found: dict[str, Any] = {"images of either side": n}
    for over in ("images", "identities"):
        found[over] = measured(partial(rank_metrics, table, *ids, cmc_over=over))
    rows = max((1 << 26) // n, 1)
    found["sort alone"] = measured(lambda: [some.sort(dim=1) for some in table.split(rows)])
    few = min(n, 2000)
    small = [table[:few, :few].contiguous().round(decimals=3), ids[0][:few], ids[1][:few]]  # with ties
    here, there = rank_metrics(*small), rank_metrics(*(x.cpu() for x in small))
    found["difference from the CPU"] = max(float((a.cpu() - b).abs().max()) for a, b in zip(here, there, strict=True))
    return found


def rows() -> Iterator[Row]:
    yield "correctness", lambda: correctness(24, 40)
    yield "similarity", lambda: similarity(256, 2048)
    yield "ranking", lambda: ranking(20_000)
    yield "memory", lambda: memory(512, 2048)
    yield "blocks", lambda: blocks(256, 1024)


if __name__ == "__main__":
    command(__doc__, "runs/gpu_similarity.json", rows())
