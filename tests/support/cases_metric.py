"""Cases of the losses that come from other papers."""

from __future__ import annotations

from typing import Any, cast

import torch

from concordant import Encoded, HeteroCenterLoss, PartQueries, TargetAwareContrastiveLoss, WeightedTripletLoss
from support.case import INT, LABELS, MODALITY, OWN, Case, draw, refuses_reduction, zeros

ROWS = zeros(4, 6)


def encoded(n: int, t: int, p: int, dtype: torch.dtype, seed: int = 0) -> Encoded:
    shapes = (n, t, 3), (n, t, 2), (n, p, 2), (n, p, 3)
    tokens, keys, queries, gates = (draw(*shape, dtype=dtype, seed=seed + i) for i, shape in enumerate(shapes))
    return Encoded(tokens, keys, PartQueries(queries, gates))


def contrasted(dtype: torch.dtype) -> tuple[Any, ...]:
    """Sides that differ in numbers of tokens and parts, one of them padded; with global features."""
    query, gallery = encoded(4, 4, 2, dtype), encoded(3, 5, 3, dtype, 4)
    real = torch.arange(5) < torch.tensor([[5], [2], [4]])
    gallery = Encoded(gallery.tokens, gallery.keys, gallery.part_queries, real, real[:, :3])
    features = draw(4, 6, dtype=dtype, seed=8), draw(3, 6, dtype=dtype, seed=9)
    return query, gallery, LABELS, torch.tensor([1, 0, 2]), *features


def contrast(
    query: Any = None, gallery: Any = None, y: Any = LABELS, z: Any = LABELS, *features: Any, **settings: Any
) -> torch.Tensor:
    """The loss of four rows on either side, but for what is given."""
    rows = encoded(4, 4, 2, torch.float32)
    loss = TargetAwareContrastiveLoss(**settings)
    return loss(rows if query is None else query, rows if gallery is None else gallery, y, z, *features)


CASES: dict[str, Case] = {
    "WeightedTripletLoss": Case(
        WeightedTripletLoss,
        lambda dtype: (draw(4, 6, dtype=dtype), LABELS),
        variants=({"reduction": "sum"},),
        refused={
            **refuses_reduction(WeightedTripletLoss),
            "features of rank 3": lambda: WeightedTripletLoss()(OWN, LABELS),
            "labels of rank 2": lambda: WeightedTripletLoss()(ROWS, LABELS[:, None]),
            "fewer labels": lambda: WeightedTripletLoss()(ROWS, LABELS[1:]),
            "labels of floating point": lambda: WeightedTripletLoss()(ROWS, LABELS.float()),
            "integer features": lambda: WeightedTripletLoss()(ROWS.long(), LABELS),
        },
        loss=True,
    ),
    "TargetAwareContrastiveLoss": Case(
        TargetAwareContrastiveLoss,
        contrasted,
        keys=("log_excess",),
        variants=({"temperature": 0.2}, {"learnable": False}, {"min_temperature": 0.02}, {"direction": "query"})
        + ({"global_weight": 0.3}, {"block": 2}, {"memory": 99}, {"reduction": "sum"}),
        refused={
            **refuses_reduction(TargetAwareContrastiveLoss),
            "temperature zero": lambda: TargetAwareContrastiveLoss(temperature=0.0),
            "temperature below its bound": lambda: TargetAwareContrastiveLoss(temperature=0.005),
            "bound below zero": lambda: TargetAwareContrastiveLoss(min_temperature=-0.1),
            "direction": lambda: TargetAwareContrastiveLoss(direction=cast(Any, "left")),
            "weight below zero": lambda: TargetAwareContrastiveLoss(global_weight=-1.0),
            "block of none": lambda: TargetAwareContrastiveLoss(block=0),
            "no memory": lambda: TargetAwareContrastiveLoss(memory=0),
            "tokens alone": lambda: contrast(ROWS),
            "other channels": lambda: contrast(Encoded(zeros(4, 4, 5), zeros(4, 4, 2)), direction="gallery"),
            "a side without parts": lambda: contrast(Encoded(zeros(4, 4, 3), zeros(4, 4, 2))),
            "fewer labels": lambda: contrast(None, None, LABELS[1:]),
            "fewer gallery labels": lambda: contrast(None, None, LABELS, LABELS[1:]),
            "labels of floating point": lambda: contrast(None, None, LABELS.float()),
            "features of one side": lambda: contrast(None, None, LABELS, LABELS, ROWS),
            "other features": lambda: contrast(None, None, LABELS, LABELS, ROWS, zeros(4, 5)),
            "features of other rows": lambda: contrast(None, None, LABELS, LABELS, ROWS[1:], ROWS),
        },
        factory=True,
        loss=True,
    ),
    "HeteroCenterLoss": Case(
        HeteroCenterLoss,
        lambda dtype: (draw(4, 2, 3, dtype=dtype), LABELS, MODALITY),
        variants=({"l2_normalize": True}, {"reduction": "sum"}),
        refused={
            **refuses_reduction(HeteroCenterLoss),
            "features of rank 2": lambda: HeteroCenterLoss()(ROWS, LABELS, MODALITY),
            "fewer labels": lambda: HeteroCenterLoss()(OWN, LABELS[1:], MODALITY),
            "fewer modalities": lambda: HeteroCenterLoss()(OWN, LABELS, MODALITY[1:]),
            "modality of floating point": lambda: HeteroCenterLoss()(OWN, LABELS, MODALITY.float()),
            "integer features": lambda: HeteroCenterLoss()(OWN.to(INT), LABELS, MODALITY),
        },
        loss=True,
    ),
}
