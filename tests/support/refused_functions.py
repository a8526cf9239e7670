"""Wrong inputs of re-ranking, attention statistics and small functions, for `test_refusals.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from concordant import PartQueries
from concordant.functional import (
    attention_follows,
    attention_statistics,
    border_share,
    draw_crops,
    draw_views,
    gate_attention,
    invert_matching,
    k_reciprocal_rerank,
    pool_tokens,
    resized_crop,
    to_tokens,
)
from support.case import INT, zeros

QUERIES = PartQueries(zeros(2, 3, 4), zeros(2, 3, 8))

REFUSED: dict[str, dict[str, Callable[[], object]]] = {
    "k_reciprocal_rerank": {
        "not square": lambda: k_reciprocal_rerank(zeros(4, 5), 2),
        "rank 3": lambda: k_reciprocal_rerank(zeros(4, 4, 4), 2),
        "integers": lambda: k_reciprocal_rerank(zeros(4, 4, dtype=INT), 2),
        "no query": lambda: k_reciprocal_rerank(zeros(4, 4), 0),
        "no gallery": lambda: k_reciprocal_rerank(zeros(4, 4), 4),
        "half a query": lambda: k_reciprocal_rerank(zeros(4, 4), cast(int, 1.5)),
        "no image": lambda: k_reciprocal_rerank(zeros(0, 0), 1),
        "no neighbour": lambda: k_reciprocal_rerank(zeros(4, 4), 2, k1=0),
        "no mean": lambda: k_reciprocal_rerank(zeros(4, 4), 2, k2=0),
        "weight below zero": lambda: k_reciprocal_rerank(zeros(4, 4), 2, weight=-0.1),
        "weight above one": lambda: k_reciprocal_rerank(zeros(4, 4), 2, weight=1.1),
        "weight not a number": lambda: k_reciprocal_rerank(zeros(4, 4), 2, weight=float("nan")),
        "similarity not a number": lambda: k_reciprocal_rerank(zeros(4, 4) * float("nan"), 2),
        "similarity without bound": lambda: k_reciprocal_rerank(zeros(4, 4) - float("inf"), 2),
    },
    "attention_statistics": {
        "rank 4": lambda: attention_statistics(zeros(2, 3, 4, 2)),
        "rank 2": lambda: attention_statistics(zeros(3, 4)),
        "integers": lambda: attention_statistics(zeros(2, 3, 4, dtype=INT)),
        "no tensor": lambda: attention_statistics(cast(Any, [[[1.0]]])),
    },
    "border_share": {
        "rank 4": lambda: border_share(zeros(2, 3, 4, 2), grid=(4, 2)),
        "integers": lambda: border_share(zeros(2, 3, 4, dtype=INT), grid=(2, 2)),
        "other tokens": lambda: border_share(zeros(2, 3, 8), grid=(3, 2)),
        "no row": lambda: border_share(zeros(2, 3, 0), grid=(0, 2)),
        "rows alone": lambda: border_share(zeros(2, 3, 8), grid=cast(Any, 8)),
        "three sizes": lambda: border_share(zeros(2, 3, 8), grid=cast(Any, (2, 2, 2))),
    },
    "attention_follows": {
        "other images": lambda: attention_follows(zeros(2, 3, 8), zeros(1, 3, 8), zeros(2, 2, 2), grid=(4, 2)),
        "other parts": lambda: attention_follows(zeros(2, 3, 8), zeros(2, 4, 8), zeros(2, 2, 2), grid=(4, 2)),
        "other grids": lambda: attention_follows(zeros(2, 3, 8), zeros(2, 3, 6), zeros(2, 2, 2), grid=(4, 2)),
        "fewer crops": lambda: attention_follows(zeros(2, 3, 8), zeros(2, 3, 8), zeros(1, 2, 2), grid=(4, 2)),
        "crops as corners": lambda: attention_follows(zeros(2, 3, 8), zeros(2, 3, 8), zeros(2, 4), grid=(4, 2)),
        "integers": lambda: attention_follows(zeros(2, 3, 8), zeros(2, 3, 8), zeros(2, 2, 2, dtype=INT), grid=(4, 2)),
        "other tokens": lambda: attention_follows(zeros(2, 3, 8), zeros(2, 3, 8), zeros(2, 2, 2), grid=(3, 2)),
        "half a row": lambda: attention_follows(
            zeros(2, 3, 8), zeros(2, 3, 8), zeros(2, 2, 2), grid=cast(Any, (0.5, 16))
        ),
    },
    "draw_crops": {
        "fewer than none": lambda: draw_crops(-1),
        "half a crop": lambda: draw_crops(cast(int, 1.5)),
        "larger than the image": lambda: draw_crops(2, scale=(0.5, 1.5)),
        "greatest first": lambda: draw_crops(2, scale=(0.9, 0.5)),
        "of no size": lambda: draw_crops(2, scale=(0.0, 0.5)),
        "mirrored less than never": lambda: draw_crops(2, mirror=-0.1),
    },
    "draw_views": {
        "fewer images than none": lambda: draw_views(-1),
        "half an image": lambda: draw_views(cast(int, 1.5)),
        "more than all": lambda: draw_views(2, share=1.5),
        "fewer than none": lambda: draw_views(2, share=-0.5),
    },
    "pool_tokens": {
        "other tokens": lambda: pool_tokens(zeros(2, 5, 4), zeros(2, 6)),
        "integers": lambda: pool_tokens(zeros(2, 5, 4), zeros(2, 5, dtype=INT)),
    },
    "gate_attention": {
        "other tokens": lambda: gate_attention(zeros(2, 5, 4), QUERIES, zeros(2, 6)),
        "other queries": lambda: gate_attention(zeros(2, 5, 3), QUERIES, zeros(2, 5)),
        "integers": lambda: gate_attention(zeros(2, 5, 4), QUERIES, zeros(2, 5, dtype=INT)),
    },
    "resized_crop": {
        "rank 3": lambda: resized_crop(zeros(2, 4, 4), zeros(2, 2, 2)),
        "fewer crops": lambda: resized_crop(zeros(2, 1, 4, 4), zeros(1, 2, 2)),
        "crops as corners": lambda: resized_crop(zeros(2, 1, 4, 4), zeros(2, 4)),
        "integers": lambda: resized_crop(zeros(2, 1, 4, 4, dtype=INT), zeros(2, 2, 2)),
        "no size": lambda: resized_crop(zeros(2, 1, 4, 4), zeros(2, 2, 2), (0, 4)),
    },
    "invert_matching": {
        "rank 1": lambda: invert_matching(zeros(3, dtype=INT)),
        "floating point": lambda: invert_matching(zeros(2, 3)),
    },
    "to_tokens": {
        "rank 3": lambda: to_tokens(zeros(2, 3, 4)),
        "integers": lambda: to_tokens(zeros(2, 3, 4, 2, dtype=INT)),
    },
}
