"""The questions that every public module is asked, and what each module needs to answer them.

A case says how to build a module and its arguments, which keys its state has, which settings show in its `repr`, and
which inputs it must refuse. `test_contract.py` asks; a new module is one more case here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from concordant import (
    CAL,
    TSAA,
    CALLoss,
    DiscriminativeLoss,
    DiversityLoss,
    DotProductAttention,
    HorizontalParts,
    LearnableParts,
    MatchDistill,
    PartCenterLoss,
    PartClassifier,
    PartCorrespondence,
    PartMiner,
    PartScorer,
    TopKAggregator,
)
from support.models import cal_output, paired_batch, small_cal

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """One public module. `make` takes `device` and `dtype` where `factory` is set, and the settings of `variants`."""

    make: Callable[..., nn.Module]
    arguments: Callable[[torch.dtype], Arguments]
    keys: tuple[str, ...] = ()
    variants: tuple[dict[str, Any], ...] = ()
    refused: dict[str, Callable[[], object]] = field(default_factory=dict)
    factory: bool = False
    loss: bool = False
    tolerance: float = 1e-6


def floats(tree: object) -> list[Tensor]:
    """The floating-point tensors of anything made of tuples."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def on(tree: Any, device: str) -> Any:
    return tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, tree)


def leaves(tree: Any) -> Any:
    """Fresh copies of the tensors; those of floating point take a gradient."""
    return tree_map(lambda leaf: leaf.detach().clone().requires_grad_(leaf.is_floating_point()), tree)


def draw(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weights(*shape: int, dim: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return (2 * draw(*shape, dtype=dtype, seed=seed)).softmax(dim=dim)


LABELS, MODALITY = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
F32, INT = torch.float32, torch.int64


def feature_map(dtype: torch.dtype) -> Arguments:
    return (draw(2, 8, 4, 2, dtype=dtype),)


def scored(dtype: torch.dtype) -> Arguments:
    return draw(2, 8, 6, dtype=dtype), weights(2, 8, 3, dim=1, dtype=dtype)


def attended(dtype: torch.dtype) -> Arguments:
    return draw(2, 7, 8, dtype=dtype), draw(2, 3, 8, dtype=dtype, seed=1), draw(2, 5, 8, dtype=dtype, seed=2)


def classified(dtype: torch.dtype) -> Arguments:
    return draw(4, 3, 5, dtype=dtype), torch.tensor([0, 4, 2, 2])


def refined(dtype: torch.dtype) -> Arguments:
    return draw(4, 2, 3, dtype=dtype), draw(4, 2, 3, dtype=dtype, seed=1), LABELS, MODALITY


def distilled(dtype: torch.dtype) -> Arguments:
    attention = (weights(2, 3, 6, dim=2, dtype=dtype, seed=seed) for seed in (0, 1))
    return *attention, draw(2, 3, 5, dtype=dtype, seed=2), draw(2, 3, 5, dtype=dtype, seed=3)


def output(dtype: torch.dtype) -> Arguments:
    return cal_output(LABELS, MODALITY, dtype=dtype), LABELS, MODALITY


def zeros(*shape: int, dtype: torch.dtype = F32) -> Tensor:
    return torch.zeros(*shape, dtype=dtype)


def refuses_maps(module: nn.Module) -> dict[str, Callable[[], object]]:
    """What every reader of a feature map with 8 channels refuses."""
    return {
        "map of rank 3": lambda: module(zeros(8, 4, 2)),
        "map of rank 5": lambda: module(zeros(1, 1, 8, 4, 2)),
        "other channels": lambda: module(zeros(2, 7, 4, 2)),
        "integer map": lambda: module(zeros(2, 8, 4, 2, dtype=INT)),
        "no tensor": lambda: module([[0.0]]),
    }


def refuses_attention(module: nn.Module) -> dict[str, Callable[[], object]]:
    """What both attentions refuse; tokens and parts have 8 channels."""
    tokens, parts = zeros(2, 7, 8), zeros(2, 3, 8)
    return {
        "tokens of rank 2": lambda: module(zeros(7, 8), parts),
        "parts of rank 2": lambda: module(tokens, zeros(3, 8)),
        "other batch": lambda: module(tokens, zeros(1, 3, 8)),
        "other channels": lambda: module(tokens, zeros(2, 3, 7)),
        "integer tokens": lambda: module(zeros(2, 7, 8, dtype=INT), parts),
        "integer parts": lambda: module(tokens, zeros(2, 3, 8, dtype=INT)),
    }


def refuses_reduction(loss: Any) -> dict[str, Callable[[], object]]:
    return {"reduction": lambda: loss(reduction="median")}


LOGITS, MAPS = zeros(2, 3, 5), zeros(2, 3, 6)
OWN = zeros(4, 2, 3)
IMAGES = zeros(4, 3, 16, 8)

CASES: dict[str, Case] = {
    "PartScorer": Case(
        lambda **settings: PartScorer(8, **({"num_parts": 3} | settings)),
        feature_map,
        keys=("reduce.0.bias", "reduce.0.weight", "reduce.1.bias", "reduce.1.weight", "reduce.2.bias")
        + ("reduce.2.weight", "score.bias", "score.weight"),
        variants=({"num_parts": 2}, {"pool_sizes": (1,)}, {"reduction": 2}),
        refused={
            **refuses_maps(PartScorer(8, 3)),
            "no channels": lambda: PartScorer(0, 3),
            "no parts": lambda: PartScorer(8, 0),
            "half a part": lambda: PartScorer(8, cast(int, 2.5)),
            "no reduction": lambda: PartScorer(8, 3, reduction=0),
            "even pool": lambda: PartScorer(8, 3, pool_sizes=(1, 2)),
            "no pool": lambda: PartScorer(8, 3, pool_sizes=()),
            "pool sizes as a number": lambda: PartScorer(8, 3, pool_sizes=cast("tuple[int]", 3)),
        },
        factory=True,
    ),
    "TopKAggregator": Case(
        TopKAggregator,
        scored,
        variants=({"alpha": 0.5},),
        refused={
            "alpha zero": lambda: TopKAggregator(0),
            "alpha below zero": lambda: TopKAggregator(-1),
            "alpha not a number": lambda: TopKAggregator(float("nan")),
            "alpha infinite": lambda: TopKAggregator(float("inf")),
            "tokens of rank 2": lambda: TopKAggregator()(zeros(8, 6), zeros(2, 8, 3)),
            "other tokens": lambda: TopKAggregator()(zeros(2, 8, 6), zeros(2, 7, 3)),
            "other batch": lambda: TopKAggregator()(zeros(2, 8, 6), zeros(1, 8, 3)),
            "integer scores": lambda: TopKAggregator()(zeros(2, 8, 6), zeros(2, 8, 3, dtype=INT)),
            "integer tokens": lambda: TopKAggregator()(zeros(2, 8, 6, dtype=INT), zeros(2, 8, 3)),
        },
    ),
    "PartMiner": Case(
        lambda **settings: PartMiner(8, **({"num_parts": 3} | settings)),
        feature_map,
        keys=("scorer.reduce.0.bias", "scorer.reduce.0.weight", "scorer.reduce.1.bias", "scorer.reduce.1.weight")
        + ("scorer.reduce.2.bias", "scorer.reduce.2.weight", "scorer.score.bias", "scorer.score.weight"),
        variants=({"num_parts": 2}, {"alpha": 0.5}, {"pool_sizes": (1,)}, {"reduction": 2}),
        refused={**refuses_maps(PartMiner(8, 3)), "alpha": lambda: PartMiner(8, 3, alpha=0)},
        factory=True,
    ),
    "LearnableParts": Case(
        lambda **settings: LearnableParts(8, **({"num_parts": 3} | settings)),
        feature_map,
        keys=("parts",),
        variants=({"num_parts": 2},),
        refused={**refuses_maps(LearnableParts(8, 3)), "no parts": lambda: LearnableParts(8, 0)},
        factory=True,
    ),
    "HorizontalParts": Case(
        lambda **settings: HorizontalParts(**({"num_parts": 3} | settings)),
        feature_map,
        variants=({"num_parts": 2},),
        refused={
            **{why: bad for why, bad in refuses_maps(HorizontalParts(3)).items() if why != "other channels"},
            "no parts": lambda: HorizontalParts(0),
        },
    ),
    "PartClassifier": Case(
        lambda **settings: PartClassifier(3, 8, **({"num_classes": 5} | settings)),
        lambda dtype: (draw(2, 3, 8, dtype=dtype),),
        keys=("bias", "weight"),
        variants=({"num_classes": 4}, {"bias": False}),
        refused={
            "rank 2": lambda: PartClassifier(3, 8, 5)(zeros(3, 8)),
            "other parts": lambda: PartClassifier(3, 8, 5)(zeros(2, 4, 8)),
            "other channels": lambda: PartClassifier(3, 8, 5)(zeros(2, 3, 7)),
            "integers": lambda: PartClassifier(3, 8, 5)(zeros(2, 3, 8, dtype=INT)),
            "no classes": lambda: PartClassifier(3, 8, 0),
            "no channels": lambda: PartClassifier(3, 0, 5),
        },
        factory=True,
    ),
    "TSAA": Case(
        lambda **settings: TSAA(8, **settings),
        attended,
        keys=("gate_mlp.0.bias", "gate_mlp.0.weight", "gate_mlp.2.bias", "gate_mlp.2.weight", "part_mlp.0.bias")
        + ("part_mlp.0.weight", "part_mlp.2.bias", "part_mlp.2.weight", "token_mlp.0.bias", "token_mlp.0.weight")
        + ("token_mlp.2.bias", "token_mlp.2.weight"),
        variants=({"dim": 4}, {"channel_gate": False}, {"normalize": False}, {"sharpness": 3.0}, {"eps": 1e-3}),
        refused={
            **refuses_attention(TSAA(8)),
            "source of other channels": lambda: TSAA(8)(zeros(2, 7, 8), zeros(2, 3, 8), zeros(2, 7, 4)),
            "source of other batch": lambda: TSAA(8)(zeros(2, 7, 8), zeros(2, 3, 8), zeros(1, 7, 8)),
            "all of other channels": lambda: TSAA(8)(zeros(2, 7, 6), zeros(2, 3, 6)),
            "no channels": lambda: TSAA(0),
            "no width": lambda: TSAA(8, 0),
            "no sharpness": lambda: TSAA(8, sharpness=0),
            "no eps": lambda: TSAA(8, eps=0),
        },
        factory=True,
        tolerance=1e-5,
    ),
    "DotProductAttention": Case(
        DotProductAttention, attended, refused=refuses_attention(DotProductAttention()), tolerance=1e-5
    ),
    "DiscriminativeLoss": Case(
        DiscriminativeLoss,
        classified,
        variants=({"reduction": "sum"},),
        refused={
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
        lambda dtype: (weights(2, 6, 3, dim=1, dtype=dtype),),
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
    "PartCenterLoss": Case(
        lambda **settings: PartCenterLoss(**({"margin": 2.0} | settings)),
        refined,
        variants=({"margin": 1.0}, {"normalize": True}, {"reduction": "sum"}),
        refused={
            "reduction": lambda: PartCenterLoss(1.0, reduction=cast(Any, "median")),
            "margin below zero": lambda: PartCenterLoss(-1.0),
            "margin not a number": lambda: PartCenterLoss(float("nan")),
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
        + ({"attention_div": 0.37}, {"margin": 1.23}, {"normalize": False}, {"cosine": False})
        + ({"detach_cross": True}, {"label_smoothing": 0.37}),
        refused={
            "weight below zero": lambda: CALLoss(kd1=-0.1),
            "weight not a number": lambda: CALLoss(dis=float("nan")),
            "margin below zero": lambda: CALLoss(margin=-1),
            "label smoothing": lambda: CALLoss(label_smoothing=1.0),
            "fewer labels": lambda: CALLoss()(output(F32)[0], LABELS[1:], MODALITY),
            "fewer modalities": lambda: CALLoss()(output(F32)[0], LABELS, MODALITY[1:]),
            "labels of floating point": lambda: CALLoss()(output(F32)[0], LABELS.float(), MODALITY),
            "modality of floating point": lambda: CALLoss()(output(F32)[0], LABELS, MODALITY.float()),
        },
        loss=True,
    ),
    "CAL": Case(
        small_cal,
        paired_batch,
        keys=("attention.gate_mlp.0.bias", "attention.gate_mlp.0.weight", "attention.gate_mlp.2.bias")
        + ("attention.gate_mlp.2.weight", "attention.part_mlp.0.bias", "attention.part_mlp.0.weight")
        + ("attention.part_mlp.2.bias", "attention.part_mlp.2.weight", "attention.token_mlp.0.bias")
        + ("attention.token_mlp.0.weight", "attention.token_mlp.2.bias", "attention.token_mlp.2.weight")
        + ("backbone.bias", "backbone.weight", "classifier.weight", "correspondence.history", "correspondence.seen")
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
        variants=({"dim": 2}, {"alpha": 0.5}, {"shared_miner": True}, {"statistics": "parts"})
        + ({"protect_attention": True},),
        refused={
            "no parts": lambda: small_cal(num_parts=0),
            "no classes": lambda: small_cal(num_classes=0),
            "statistics": lambda: small_cal(statistics="images"),
            "other channels than the backbone's": lambda: small_cal(channels=5)(IMAGES, LABELS, MODALITY),
            "a backbone without a grid": lambda: CAL(nn.Flatten(), 6, 4, 3)(IMAGES, LABELS, MODALITY),
            "fewer labels": lambda: small_cal()(IMAGES, LABELS[1:], MODALITY),
            "fewer labels and modalities": lambda: small_cal()(IMAGES, LABELS[1:], MODALITY[1:]),
            "labels of floating point": lambda: small_cal()(IMAGES, LABELS.float(), MODALITY),
            "modality of rank 2": lambda: small_cal()(IMAGES, LABELS, MODALITY[:, None]),
            "a third modality": lambda: small_cal()(IMAGES, LABELS, MODALITY + 1),
            "embed: a third modality": lambda: small_cal().eval().embed(IMAGES, 2),
            "embed: a third modality in a tensor": lambda: small_cal().eval().embed(IMAGES, MODALITY + 1),
            "embed: fewer modalities": lambda: small_cal().eval().embed(IMAGES, MODALITY[1:]),
            "embed: shared miner, fewer modalities": lambda: (
                small_cal(shared_miner=True).eval().embed(IMAGES, MODALITY[1:])
            ),
            "embed: shared miner, a third modality": lambda: small_cal(shared_miner=True).eval().embed(IMAGES, 2),
            "encode: modality of floating point": lambda: small_cal().encode(IMAGES, MODALITY.float()),
            "a miner of other parts": lambda: small_cal(miner=HorizontalParts(2))(IMAGES, LABELS, MODALITY),
            "observe: fewer rows": lambda: small_cal().observe(zeros(4, 3, dtype=INT), MODALITY[1:], MODALITY > 0),
            "observe: other parts": lambda: small_cal().observe(zeros(4, 2, dtype=INT), MODALITY, MODALITY >= 0),
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

from support.cases_metric import METRIC_CASES  # noqa: E402  (it is made of what stands above)

CASES |= METRIC_CASES
