"""The cases of CAL, and wrong inputs of the correspondence."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import nn

from concordant import CAL, CALLoss, HorizontalParts, PartCorrespondence, Views, split_modality
from support.case import IMAGES, INT, LABELS, MODALITY, Case, zeros
from support.models import cal_output, paired_batch, small_cal

OUTPUT = cal_output(LABELS, MODALITY)
TERMS = CALLoss()(OUTPUT, LABELS, MODALITY)

CASES: dict[str, Case] = {
    "CAL": Case(
        small_cal,
        paired_batch,
        keys=("attention.gate_mlp.0.bias", "attention.gate_mlp.0.weight", "attention.gate_mlp.2.bias")
        + ("attention.gate_mlp.2.weight", "attention.part_mlp.0.bias", "attention.part_mlp.0.weight")
        + ("attention.part_mlp.2.bias", "attention.part_mlp.2.weight", "attention.token_mlp.0.bias")
        + ("attention.token_mlp.0.weight", "attention.token_mlp.2.bias", "attention.token_mlp.2.weight")
        + ("backbone.bias", "backbone.weight", "classifier.weight", "correspondence.history")
        + ("gate.norm.bias", "gate.norm.weight", "gate.score.bias", "gate.score.weight")
        + ("mined_classifier.bias", "mined_classifier.weight")
        + tuple(
            f"miners.{modality}.scorer.{layer}.{what}"
            for modality in (0, 1)
            for layer in ("reduce.0", "reduce.1", "reduce.2", "score")
            for what in ("bias", "weight")
        )
        + ("norm.bias", "norm.num_batches_tracked", "norm.running_mean", "norm.running_var", "norm.weight")
        + ("part_classifier.weight", "part_norm.bias", "part_norm.num_batches_tracked", "part_norm.running_mean")
        + ("part_norm.running_var", "part_norm.weight"),
        variants=({"dim": 2}, {"alpha": 0.5}, {"shared_miner": True}, {"norm_source": "parts"})
        + ({"protect_attention": False}, {"gate": False}, {"backbone_takes_modality": True}),
        refused={
            "no parts": lambda: small_cal(num_parts=0),
            "no classes": lambda: small_cal(num_classes=0),
            "norm source": lambda: small_cal(norm_source="images"),
            "other channels than the backbone's": lambda: small_cal(channels=5)(IMAGES, LABELS, MODALITY),
            "a backbone without a grid": lambda: CAL(nn.Flatten(), 6, 3, 4)(IMAGES, LABELS, MODALITY),
            "fewer labels": lambda: small_cal()(IMAGES, LABELS[1:], MODALITY),
            "fewer labels and modalities": lambda: small_cal()(IMAGES, LABELS[1:], MODALITY[1:]),
            "labels of floating point": lambda: small_cal()(IMAGES, LABELS.float(), MODALITY),
            "modality of rank 2": lambda: small_cal()(IMAGES, LABELS, MODALITY[:, None]),
            "a third modality": lambda: small_cal()(IMAGES, LABELS, MODALITY + 1),
            "shared miner, a split into three": lambda: small_cal(shared_miner=True)(
                IMAGES, LABELS, split_modality(MODALITY, 3)
            ),
            "embed: a third modality": lambda: small_cal().eval().embed(IMAGES, 2),
            "embed: a third modality in a tensor": lambda: small_cal().eval().embed(IMAGES, MODALITY + 1),
            "embed: fewer modalities": lambda: small_cal().eval().embed(IMAGES, MODALITY[1:]),
            "embed: shared miner, fewer modalities": lambda: (
                small_cal(shared_miner=True).eval().embed(IMAGES, MODALITY[1:])
            ),
            "embed: shared miner, a third modality": lambda: small_cal(shared_miner=True).eval().embed(IMAGES, 2),
            "encode: modality of floating point": lambda: small_cal().eval().encode(IMAGES, MODALITY.float()),
            "a miner of other parts": lambda: small_cal(miner=HorizontalParts(2))(IMAGES, LABELS, MODALITY),
            "views without corners": lambda: small_cal()(
                IMAGES, LABELS, MODALITY, views=Views(zeros(2, dtype=INT), zeros(2, 4))
            ),
            "embed: in training": lambda: small_cal().embed(IMAGES, MODALITY),
            "encode: in training": lambda: small_cal().encode(IMAGES, MODALITY),
            "observe: fewer rows": lambda: small_cal().observe(OUTPUT, TERMS, MODALITY[1:]),
            "observe: other parts": lambda: small_cal(num_parts=2).observe(OUTPUT, TERMS, MODALITY),
        },
        factory=True,
        tolerance=1e-4,
    ),
}

CORRESPONDENCE_REFUSED: dict[str, Callable[[], object]] = {
    "no parts": lambda: PartCorrespondence(0),
    "no window": lambda: PartCorrespondence(3, window=0),
    "half a window": lambda: PartCorrespondence(3, window=cast(int, 2.5)),
    "rank 1": lambda: PartCorrespondence(3).update(zeros(3, dtype=INT)),
    "other parts": lambda: PartCorrespondence(3).update(zeros(2, 4, dtype=INT)),
    "floating point": lambda: PartCorrespondence(3).update(zeros(2, 3)),
}
