"""One linear classifier a part."""

from __future__ import annotations

import torch
from hypothesis import given

from concordant import PartClassifier, functional
from support import oracles
from support.models import close, randomize
from support.strategies import SEEDS, Sizes, permutation, sizes, values


@given(sizes(), SEEDS)
def test_agrees_with_the_loop(size: Sizes, seed: int) -> None:
    classifier = randomize(PartClassifier(size.c, size.p, size.k, dtype=torch.float64), seed)
    features = values((size.b, size.p, size.c), seed)
    assert classifier.bias is not None
    weights = list(zip(classifier.weight.tolist(), classifier.bias.tolist(), strict=True))
    close(classifier(features), oracles.classify(features, weights).reshape(size.b, size.p, size.k))


@given(sizes(min_b=1), SEEDS)
def test_permuting_parts_with_their_classifiers(size: Sizes, seed: int) -> None:
    features, weight = values((size.b, size.p, size.c), seed), values((size.p, size.k, size.c), seed + 1)
    bias, order = values((size.p, size.k), seed + 2), permutation(size.p, seed)
    moved = functional.classify_parts(features[:, order], weight[order], bias[order])
    close(moved, functional.classify_parts(features, weight, bias)[:, order])


def test_without_bias_zero_features_give_zero_logits() -> None:
    assert torch.equal(PartClassifier(3, 2, 4, bias=False)(torch.zeros(1, 2, 3)), torch.zeros(1, 2, 4))


def test_a_part_does_not_see_another() -> None:
    features = torch.randn(1, 3, 4, requires_grad=True)
    PartClassifier(4, 3, 5)(features)[:, 1].sum().backward()
    assert features.grad is not None
    assert bool((features.grad[:, [0, 2]] == 0).all())
    assert bool((features.grad[:, 1] != 0).any())
