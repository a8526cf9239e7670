"""Bad input is rejected, by an error that names the function, the rule, and the value received."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

import concordant
from concordant import functional
from support.case import INT, LABELS, MODALITY, zeros
from support.cases_system import CORRESPONDENCE_REFUSED
from support.contract import CASES
from support.refused_functions import REFUSED

REFUSAL = re.compile(r"^[A-Za-z_.]+: .+; got .+", re.DOTALL)


def encoded(q: int = 2, t: int = 5, p: int = 3, c: int = 8, d: int = 8) -> concordant.Encoded:
    queries = concordant.PartQueries(zeros(q, p, d), zeros(q, p, c))
    return concordant.Encoded(zeros(q, t, c), zeros(q, t, d), queries)


def listed(pairs: torch.Tensor) -> torch.Tensor:
    return functional.target_aware_similarity(encoded(), encoded(), TSAA_8, pairs=pairs)


IDS = zeros(2, dtype=INT)
TSAA_8 = concordant.TSAA(8)
FUNCTIONS: dict[str, dict[str, Callable[[], object]]] = {
    "part_scores": {
        "rank 2": lambda: functional.part_scores(zeros(2, 3)),
        "rank 5": lambda: functional.part_scores(zeros(2, 3, 4, 2, 1)),
        "integers": lambda: functional.part_scores(zeros(2, 3, 4, 2, dtype=INT)),
        "mask of other tokens": lambda: functional.part_scores(zeros(2, 3, 4, 2), zeros(2, 7, dtype=torch.bool)),
        "mask of other tokens, no grid": lambda: functional.part_scores(zeros(2, 3, 8), zeros(2, 7, dtype=torch.bool)),
    },
    "select_top_k": {
        "rank 2": lambda: functional.select_top_k(zeros(8, 3)),
        "integers": lambda: functional.select_top_k(zeros(2, 3, 8, dtype=INT)),
        "alpha": lambda: functional.select_top_k(zeros(2, 3, 8), -1.0),
        "mask of numbers": lambda: functional.select_top_k(zeros(2, 3, 8), 1.0, zeros(2, 8)),
        "mask of other tokens": lambda: functional.select_top_k(zeros(2, 3, 8), 1.0, zeros(2, 7, dtype=torch.bool)),
    },
    "aggregate_tokens": {
        "other tokens": lambda: functional.aggregate_tokens(zeros(2, 8, 6), zeros(2, 3, 7)),
        "rank 2": lambda: functional.aggregate_tokens(zeros(8, 6), zeros(2, 3, 8)),
        "integers": lambda: functional.aggregate_tokens(zeros(2, 8, 6), zeros(2, 3, 8, dtype=INT)),
    },
    "classify_parts": {
        "other parts": lambda: functional.classify_parts(zeros(2, 3, 8), zeros(4, 5, 8)),
        "other channels": lambda: functional.classify_parts(zeros(2, 3, 8), zeros(3, 5, 7)),
        "other bias": lambda: functional.classify_parts(zeros(2, 3, 8), zeros(3, 5, 8), zeros(3, 4)),
    },
    "instance_norm": {
        "rank 2": lambda: functional.instance_norm(zeros(3, 4)),
        "other channels": lambda: functional.instance_norm(zeros(2, 3, 4), zeros(2, 3, 5)),
        "integers": lambda: functional.instance_norm(zeros(2, 3, 4, dtype=INT)),
        "integer source": lambda: functional.instance_norm(zeros(2, 3, 4), zeros(2, 3, 4, dtype=INT)),
        "eps": lambda: functional.instance_norm(zeros(2, 3, 4), eps=0),
        "mask of other tokens": lambda: functional.instance_norm(zeros(2, 3, 4), mask=zeros(2, 5, dtype=torch.bool)),
        "mask not of the source": lambda: functional.instance_norm(
            zeros(2, 3, 4), zeros(2, 5, 4), mask=zeros(2, 3, dtype=torch.bool)
        ),
    },
    "spatial_similarity": {
        "other width": lambda: functional.spatial_similarity(zeros(2, 3, 4), zeros(2, 7, 5)),
        "other batch": lambda: functional.spatial_similarity(zeros(2, 3, 4), zeros(1, 7, 4)),
        "integers": lambda: functional.spatial_similarity(zeros(2, 3, 4, dtype=INT), zeros(2, 7, 4)),
        "mask of numbers": lambda: functional.spatial_similarity(zeros(2, 3, 4), zeros(2, 7, 4), zeros(2, 7)),
    },
    "refine": {
        "other tokens": lambda: functional.refine(zeros(2, 7, 4), zeros(2, 3, 6), zeros(2, 3, 4)),
        "other gates": lambda: functional.refine(zeros(2, 7, 4), zeros(2, 3, 7), zeros(2, 3, 5)),
        "integers": lambda: functional.refine(zeros(2, 7, 4, dtype=INT), zeros(2, 3, 7), zeros(2, 3, 4)),
    },
    "match_parts": {
        "rank 2": lambda: functional.match_parts(zeros(3, 3)),
        "mask of the other side": lambda: functional.match_parts(zeros(2, 3, 4), zeros(2, 4, dtype=torch.bool)),
        "mask of numbers": lambda: functional.match_parts(zeros(2, 3, 4), zeros(2, 3)),
        "integers": lambda: functional.match_parts(zeros(2, 3, 3, dtype=INT)),
        "not finite": lambda: functional.match_parts(zeros(2, 3, 3) + float("nan")),
        "no tensor": lambda: functional.match_parts([[[1.0]]]),  # type: ignore[arg-type]
    },
    "per_modality": {
        "no modules": lambda: functional.per_modality([], zeros(4, 2), 0),
        "integer": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), 2),
        "array": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY.numpy()),  # type: ignore[arg-type]
        "below zero": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), -1),
        "fewer rows": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY[1:]),
        "floating point": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY.float()),
        "a third modality": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY + 1),
        "one module, fewer rows": lambda: functional.per_modality([nn.Identity()], zeros(4, 2), MODALITY[1:]),
    },
    "draw_partners": {
        "rank 2": lambda: functional.draw_partners(LABELS[:, None], MODALITY),
        "other rows": lambda: functional.draw_partners(LABELS, MODALITY[1:]),
        "floating point": lambda: functional.draw_partners(LABELS.float(), MODALITY),
    },
    "target_aware_similarity": {
        "direction": lambda: functional.target_aware_similarity(
            encoded(),
            encoded(),
            TSAA_8,
            direction="left",  # type: ignore[arg-type]
        ),
        "memory": lambda: functional.target_aware_similarity(encoded(), encoded(), TSAA_8, memory=0),
        "other channels": lambda: functional.target_aware_similarity(encoded(), encoded(c=7), TSAA_8),
        "other width": lambda: functional.target_aware_similarity(encoded(d=4), encoded(), TSAA_8),
        "other rows": lambda: functional.target_aware_similarity(
            replace(encoded(), keys=zeros(3, 5, 8)), encoded(), TSAA_8
        ),
    },
    "target_aware_similarity, pairs": {
        "rank 1": lambda: listed(zeros(2, dtype=INT)),
        "other queries": lambda: listed(zeros(3, 1, dtype=INT)),
        "floating point": lambda: listed(zeros(2, 1)),
    },
    "Encoded": {
        "none": lambda: concordant.Encoded.cat([]),
        "no images": lambda: concordant.Encoded.cat([encoded(), zeros(2)]),  # type: ignore[list-item]
    },
    "rank_metrics": {
        "rank 1": lambda: functional.rank_metrics(zeros(2), IDS, IDS),
        "other queries": lambda: functional.rank_metrics(zeros(3, 2), IDS, IDS),
        "other gallery": lambda: functional.rank_metrics(zeros(2, 3), IDS, IDS),
        "other exclude": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, exclude=zeros(2, 3, dtype=torch.bool)),
        "exclude by numbers": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, exclude=zeros(2, 2)),
        "ids of floating point": lambda: functional.rank_metrics(zeros(2, 2), IDS.float(), IDS),
        "cmc over": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, cmc_over="cameras"),  # type: ignore[arg-type]
        "no ranks": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, ranks=0),
        "not a number": lambda: functional.rank_metrics(zeros(2, 2) + float("nan"), IDS, IDS),
        "integer similarity": lambda: functional.rank_metrics(zeros(2, 2, dtype=INT), IDS, IDS),
        "no query": lambda: functional.rank_metrics(zeros(0, 2), IDS[:0], IDS),
        "no gallery": lambda: functional.rank_metrics(zeros(2, 0), IDS, IDS[:0]),
        "no match": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS + 1),
    },
    "gather": {
        "rank 0": lambda: concordant.distributed.gather(torch.tensor(1.0)),
        "array": lambda: concordant.distributed.gather(zeros(2).numpy()),  # type: ignore[call-overload]
        "other rows": lambda: concordant.distributed.gather(zeros(2), zeros(3)),
    },
    "PartCorrespondence": CORRESPONDENCE_REFUSED,
}
FUNCTIONS |= REFUSED
REFUSALS = [
    pytest.param(bad, id=f"{who}: {why}")
    for who, refused in [*((name, case.refused) for name, case in CASES.items()), *FUNCTIONS.items()]
    for why, bad in refused.items()
]


@pytest.mark.parametrize("bad", REFUSALS)
def test_bad_input_is_rejected_with_the_function_the_rule_and_the_value(bad: Callable[[], object]) -> None:
    with pytest.raises(ValueError) as caught:
        bad()
    assert REFUSAL.match(str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_at_least_five_bad_inputs_a_module(name: str) -> None:
    assert len(CASES[name].refused) >= 5


def test_the_form_of_a_refusal() -> None:
    """The design's own example, to the letter."""
    own, labels = zeros(16, 2, 3), zeros(15, dtype=INT)
    with pytest.raises(ValueError) as caught:
        functional.part_center_loss(own, own, labels, zeros(16, dtype=INT))
    assert str(caught.value) == "part_center_loss: `labels` must be (n,) = (16,); got (15,)"
