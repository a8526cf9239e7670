"""The layers' cases."""

from __future__ import annotations

from typing import cast

from concordant import (
    TSAA,
    DotProductAttention,
    HorizontalParts,
    LearnableParts,
    PartClassifier,
    PartMiner,
    PartScorer,
    TokenGate,
    TopKAggregator,
)
from support.case import INT, Case, attended, draw, feature_map, refuses_attention, refuses_maps, scored, zeros

CASES: dict[str, Case] = {
    "PartScorer": Case(
        lambda **settings: PartScorer(8, **({"num_parts": 3} | settings)),
        feature_map,
        keys=("reduce.0.bias", "reduce.0.weight", "reduce.1.bias", "reduce.1.weight", "reduce.2.bias")
        + ("reduce.2.weight", "score.bias", "score.weight"),
        variants=({"num_parts": 2}, {"pool_sizes": (1,)}, {"reduction_ratio": 2}),
        refused={
            **refuses_maps(PartScorer(8, 3)),
            "no channels": lambda: PartScorer(0, 3),
            "no parts": lambda: PartScorer(8, 0),
            "half a part": lambda: PartScorer(8, cast(int, 2.5)),
            "no reduction": lambda: PartScorer(8, 3, reduction_ratio=0),
            "even pool": lambda: PartScorer(8, 3, pool_sizes=(1, 2)),
            "no pool": lambda: PartScorer(8, 3, pool_sizes=()),
            "pool sizes as a number": lambda: PartScorer(8, 3, pool_sizes=cast("tuple[int]", 3)),
        },
        factory=True,
    ),
    "TokenGate": Case(
        lambda **settings: TokenGate(6, **settings),
        lambda dtype: (draw(2, 8, 6, dtype=dtype),),
        keys=("norm.bias", "norm.weight", "score.bias", "score.weight"),
        refused={
            "no channels": lambda: TokenGate(0),
            "half a channel": lambda: TokenGate(cast(int, 2.5)),
            "other channels": lambda: TokenGate(6)(zeros(2, 8, 5)),
            "tokens of rank 2": lambda: TokenGate(6)(zeros(8, 6)),
            "integer tokens": lambda: TokenGate(6)(zeros(2, 8, 6, dtype=INT)),
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
            "tokens of rank 2": lambda: TopKAggregator()(zeros(8, 6), zeros(2, 3, 8)),
            "other tokens": lambda: TopKAggregator()(zeros(2, 8, 6), zeros(2, 3, 7)),
            "other batch": lambda: TopKAggregator()(zeros(2, 8, 6), zeros(1, 3, 8)),
            "integer scores": lambda: TopKAggregator()(zeros(2, 8, 6), zeros(2, 3, 8, dtype=INT)),
            "integer tokens": lambda: TopKAggregator()(zeros(2, 8, 6, dtype=INT), zeros(2, 3, 8)),
        },
    ),
    "PartMiner": Case(
        lambda **settings: PartMiner(8, **({"num_parts": 3} | settings)),
        feature_map,
        keys=("scorer.reduce.0.bias", "scorer.reduce.0.weight", "scorer.reduce.1.bias", "scorer.reduce.1.weight")
        + ("scorer.reduce.2.bias", "scorer.reduce.2.weight", "scorer.score.bias", "scorer.score.weight"),
        variants=({"num_parts": 2}, {"alpha": 0.5}, {"pool_sizes": (1,)}, {"reduction_ratio": 2}),
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
        lambda **settings: PartClassifier(8, 3, **({"num_classes": 5} | settings)),
        lambda dtype: (draw(2, 3, 8, dtype=dtype),),
        keys=("bias", "weight"),
        variants=({"num_classes": 4}, {"bias": False}),
        refused={
            "rank 2": lambda: PartClassifier(8, 3, 5)(zeros(3, 8)),
            "other parts": lambda: PartClassifier(8, 3, 5)(zeros(2, 4, 8)),
            "other channels": lambda: PartClassifier(8, 3, 5)(zeros(2, 3, 7)),
            "integers": lambda: PartClassifier(8, 3, 5)(zeros(2, 3, 8, dtype=INT)),
            "no classes": lambda: PartClassifier(8, 3, 0),
            "no channels": lambda: PartClassifier(0, 3, 5),
        },
        factory=True,
    ),
    "TSAA": Case(
        lambda **settings: TSAA(8, **settings),
        attended,
        keys=("gate_mlp.0.bias", "gate_mlp.0.weight", "gate_mlp.2.bias", "gate_mlp.2.weight", "part_mlp.0.bias")
        + ("part_mlp.0.weight", "part_mlp.2.bias", "part_mlp.2.weight", "token_mlp.0.bias", "token_mlp.0.weight")
        + ("token_mlp.2.bias", "token_mlp.2.weight"),
        variants=({"dim": 4}, {"channel_gate": False}, {"reduction_ratio": 2}, {"instance_norm": False})
        + ({"instance_norm": "tokens"}, {"instance_norm": "parts"}, {"sharpness": 3.0}, {"eps": 1e-3}),
        refused={
            **refuses_attention(TSAA(8)),
            "source of other channels": lambda: TSAA(8)(zeros(2, 7, 8), zeros(2, 3, 8), zeros(2, 7, 4)),
            "source of other batch": lambda: TSAA(8)(zeros(2, 7, 8), zeros(2, 3, 8), zeros(1, 7, 8)),
            "all of other channels": lambda: TSAA(8)(zeros(2, 7, 6), zeros(2, 3, 6)),
            "no channels": lambda: TSAA(0),
            "no width": lambda: TSAA(8, 0),
            "no sharpness": lambda: TSAA(8, sharpness=0),
            "no eps": lambda: TSAA(8, eps=0),
            "eps infinite": lambda: TSAA(8, eps=float("inf")),
            "sharpness infinite": lambda: TSAA(8, sharpness=float("inf")),
            "sharpness in words": lambda: TSAA(8, sharpness=cast(float, "10")),
            "no gate": lambda: TSAA(8, reduction_ratio=0),
            "IN of something else": lambda: TSAA(8, instance_norm=cast(bool, "images")),
        },
        factory=True,
        tolerance=1e-5,
    ),
    "DotProductAttention": Case(
        DotProductAttention, attended, refused=refuses_attention(DotProductAttention()), tolerance=1e-5
    ),
}
