"""The losses' cases."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from concordant import (
    CALLoss,
    CoverageLoss,
    DiscriminativeLoss,
    DiversityLoss,
    EquivarianceLoss,
    MatchDistill,
    PartCenterLoss,
)
from support.case import (
    F32,
    INT,
    LABELS,
    LOGITS,
    MAPS,
    MODALITY,
    OWN,
    Case,
    classified,
    distilled,
    output,
    refined,
    refuses_reduction,
    weights,
    zeros,
)

CROPS = torch.tensor([[[0.1, 0.8], [0.9, 0.2]], [[0.0, 0.7], [0.3, 1.0]]])


def followed(dtype: torch.dtype) -> tuple[Any, ...]:
    seen, maps = (weights(2, 3, 6, dim=2, dtype=dtype, seed=seed) for seed in (0, 1))
    return seen, maps, CROPS.to(dtype), (3, 2)


CASES: dict[str, Case] = {
    "DiscriminativeLoss": Case(
        DiscriminativeLoss,
        classified,
        variants=({"reduction": "sum"}, {"label_smoothing": 0.3}),
        refused={
            "label smoothing": lambda: DiscriminativeLoss(label_smoothing=1.0),
            **refuses_reduction(DiscriminativeLoss),
            "logits of rank 2": lambda: DiscriminativeLoss()(zeros(2, 5), zeros(2, dtype=INT)),
            "labels of rank 2": lambda: DiscriminativeLoss()(LOGITS, zeros(2, 1, dtype=INT)),
            "other rows": lambda: DiscriminativeLoss()(LOGITS, zeros(3, dtype=INT)),
            "labels of floating point": lambda: DiscriminativeLoss()(LOGITS, zeros(2)),
            "integer logits": lambda: DiscriminativeLoss()(zeros(2, 3, 5, dtype=INT), zeros(2, dtype=INT)),
        },
        loss=True,
    ),
    "DiversityLoss": Case(
        DiversityLoss,
        lambda dtype: (weights(2, 3, 6, dim=2, dtype=dtype),),
        variants=({"reduction": "sum"}, {"cosine": True}),
        refused={
            **refuses_reduction(DiversityLoss),
            "rank 2": lambda: DiversityLoss()(zeros(6, 3)),
            "rank 4": lambda: DiversityLoss()(zeros(1, 2, 6, 3)),
            "integers": lambda: DiversityLoss()(zeros(2, 6, 3, dtype=INT)),
            "booleans": lambda: DiversityLoss()(zeros(2, 6, 3, dtype=torch.bool)),
            "no tensor": lambda: DiversityLoss()(cast(Tensor, [[[0.0]]])),
        },
        loss=True,
    ),
    "EquivarianceLoss": Case(
        EquivarianceLoss,
        followed,
        variants=({"reduction": "sum"},),
        refused={
            **refuses_reduction(EquivarianceLoss),
            "other tokens": lambda: EquivarianceLoss()(MAPS, zeros(2, 3, 5), CROPS, (3, 2)),
            "other parts": lambda: EquivarianceLoss()(MAPS, zeros(2, 2, 6), CROPS, (3, 2)),
            "fewer crops": lambda: EquivarianceLoss()(MAPS, MAPS, CROPS[:1], (3, 2)),
            "another grid": lambda: EquivarianceLoss()(MAPS, MAPS, CROPS, (3, 3)),
            "a grid of one side": lambda: EquivarianceLoss()(MAPS, MAPS, CROPS, cast(Any, (6,))),
            "integer maps": lambda: EquivarianceLoss()(MAPS.to(INT), MAPS, CROPS, (3, 2)),
        },
        loss=True,
    ),
    "CoverageLoss": Case(
        CoverageLoss,
        lambda dtype: (weights(2, 3, 6, dim=2, dtype=dtype), weights(2, 6, dim=1, dtype=dtype, seed=1)),
        variants=({"reduction": "sum"},),
        refused={
            **refuses_reduction(CoverageLoss),
            "other tokens": lambda: CoverageLoss()(MAPS, zeros(2, 5)),
            "fewer images": lambda: CoverageLoss()(MAPS, zeros(1, 6)),
            "saliency of each part": lambda: CoverageLoss()(MAPS, MAPS),
            "integer saliency": lambda: CoverageLoss()(MAPS, zeros(2, 6, dtype=INT)),
        },
        loss=True,
    ),
    "PartCenterLoss": Case(
        lambda **settings: PartCenterLoss(**({"margin": 2.0} | settings)),
        refined,
        variants=({"margin": 1.0}, {"l2_normalize": True}, {"reduction": "sum"}),
        refused={
            "reduction": lambda: PartCenterLoss(margin=1.0, reduction=cast(Any, "median")),
            "margin below zero": lambda: PartCenterLoss(margin=-1.0),
            "margin infinite": lambda: PartCenterLoss(margin=float("inf")),
            "margin not a number": lambda: PartCenterLoss(margin=float("nan")),
            "other cross": lambda: PartCenterLoss()(OWN, zeros(4, 2, 2), LABELS, MODALITY),
            "own of rank 2": lambda: PartCenterLoss()(zeros(4, 3), zeros(4, 3), LABELS, MODALITY),
            "fewer labels": lambda: PartCenterLoss()(OWN, OWN, LABELS[1:], MODALITY),
            "fewer modalities": lambda: PartCenterLoss()(OWN, OWN, LABELS, MODALITY[1:]),
            "labels of floating point": lambda: PartCenterLoss()(OWN, OWN, LABELS.float(), MODALITY),
            "integer features": lambda: PartCenterLoss()(OWN.long(), OWN, LABELS, MODALITY),
        },
        loss=True,
    ),
    "MatchDistill": Case(
        MatchDistill,
        distilled,
        variants=({"cosine": True}, {"detach_cross": True}, {"reduction": "sum"}),
        refused={
            **refuses_reduction(MatchDistill),
            "other tokens": lambda: MatchDistill()(MAPS, zeros(2, 3, 5), LOGITS, LOGITS),
            "other parts": lambda: MatchDistill()(MAPS, zeros(2, 2, 6), LOGITS, LOGITS),
            "other classes": lambda: MatchDistill()(MAPS, MAPS, LOGITS, zeros(2, 3, 4)),
            "rank 2": lambda: MatchDistill()(zeros(3, 6), MAPS, LOGITS, LOGITS),
            "integer attention": lambda: MatchDistill()(MAPS.long(), MAPS, LOGITS, LOGITS),
            "integer logits": lambda: MatchDistill()(MAPS, MAPS, LOGITS.long(), LOGITS),
            "attention not a number": lambda: MatchDistill()(MAPS * float("nan"), MAPS, LOGITS, LOGITS),
        },
        loss=True,
    ),
    "CALLoss": Case(
        CALLoss,
        output,
        variants=({"part_id": 0.37}, {"pcl": 0.37}, {"kd1": 0.37}, {"kd2": 0.37}, {"dis": 0.37}, {"div": 0.37})
        + ({"attention_div": 0.37}, {"triplet": 0.37}, {"part_triplet": 0.37})
        + ({"equivariance": 0.37}, {"coverage": 0.37})
        + ({"metric": PartCenterLoss(margin=1.23)}, {"match_distill": MatchDistill(detach_cross=True)})
        + ({"identity": DiscriminativeLoss()}, {"discriminative": DiscriminativeLoss(label_smoothing=0.37)})
        + ({"diversity": DiversityLoss()}, {"across_processes": False}),
        refused={
            "weight below zero": lambda: CALLoss(kd1=-0.1),
            "weight not a number": lambda: CALLoss(dis=float("nan")),
            "weight infinite": lambda: CALLoss(kd1=float("inf")),
            "weight in words": lambda: CALLoss(kd1=cast(float, "0.1")),
            "fewer labels": lambda: CALLoss()(output(F32)[0], LABELS[1:], MODALITY),
            "fewer modalities": lambda: CALLoss()(output(F32)[0], LABELS, MODALITY[1:]),
            "labels of floating point": lambda: CALLoss()(output(F32)[0], LABELS.float(), MODALITY),
            "modality of floating point": lambda: CALLoss()(output(F32)[0], LABELS, MODALITY.float()),
        },
        loss=True,
    ),
}
