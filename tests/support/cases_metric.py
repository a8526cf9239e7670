"""Cases of the losses that come from other papers."""

from __future__ import annotations

from concordant import HeteroCenterLoss, WeightedTripletLoss
from support.case import INT, LABELS, MODALITY, OWN, Case, draw, refuses_reduction, zeros

ROWS = zeros(4, 6)

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
