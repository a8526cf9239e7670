"""Pooled tokens: the clusters of a literal loop, and the attention that they keep."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant import TSAA, Encoded, target_aware_similarity
from support.encoded import gated
from support.models import close
from support.padding import masks
from vireid.search.parts_pool import ROUNDS, pool

Vec = list[float]


def squared(a: Vec, b: Vec) -> float:
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def mean(rows: list[Vec], weights: Vec) -> Vec:
    return [sum(w * row[i] for row, w in zip(rows, weights, strict=True)) / sum(weights) for i in range(len(rows[0]))]


def scaled(rows: list[Vec], mass: Vec) -> list[Vec]:
    centre = mean(rows, mass)
    spread = math.sqrt(sum(m * squared(row, centre) for row, m in zip(rows, mass, strict=True)) / sum(mass))
    return [[(x - y) / spread for x, y in zip(row, centre, strict=True)] for row in rows]


def oracle(tokens: list[Vec], keys: list[Vec], number: int) -> tuple[list[Vec], list[Vec]]:
    """The pooled tokens and keys of an image, in the order of the clusters' starts; all its tokens are real."""
    mass = [math.exp(key[-1]) for key in keys]
    both = [a + b for a, b in zip(scaled(tokens, mass), scaled([key[:-1] for key in keys], mass), strict=True)]
    places = range(len(tokens))
    centres = [both[max(places, key=lambda i: mass[i])]]
    while len(centres) < min(number, len(tokens)):
        centres.append(both[max(places, key=lambda i: mass[i] * min(squared(both[i], c) for c in centres))])

    def assign() -> list[list[int]]:
        nearest = [min(range(len(centres)), key=lambda k: squared(both[i], centres[k])) for i in places]
        return [[i for i in places if nearest[i] == k] for k in range(len(centres))]

    for _ in range(ROUNDS):
        for k, members in enumerate(assign()):
            if members:
                centres[k] = mean([both[i] for i in members], [mass[i] for i in members])
    found: tuple[list[Vec], list[Vec]] = ([], [])
    for members in filter(None, assign()):
        weights = [mass[i] for i in members]
        found[0].append(mean([tokens[i] for i in members], weights))
        found[1].append([*mean([keys[i][:-1] for i in members], weights), math.log(sum(weights))])
    return found


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_pooling_is_the_loop(t: int, number: int, seed: int) -> None:
    images = gated(2, seed, t=t)
    pooled = pool(images, number)
    assert pooled.mask is not None
    for i in range(2):
        if t == 1:
            close(pooled.tokens[i], images.tokens[i])
            continue
        tokens, keys = oracle(images.tokens[i].tolist(), images.keys[i].tolist(), number)
        close(pooled.tokens[i][pooled.mask[i]], torch.tensor(tokens, dtype=torch.float64), rtol=1e-7, atol=1e-7)
        close(pooled.keys[i][pooled.mask[i]], torch.tensor(keys, dtype=torch.float64), rtol=1e-7, atol=1e-7)


@given(st.data(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_clusters_of_equal_tokens_are_exact(data: st.DataObject, seed: int) -> None:
    """A token that occurs several times, with its own gate each time, is read as before when it is kept once."""
    images = gated(3, seed, t=4)
    copies = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=9)))
    keys = images.keys[:, copies].clone()
    keys[..., -1] += torch.randn(keys.shape[:2], generator=torch.Generator().manual_seed(seed), dtype=keys.dtype)
    mask = data.draw(masks(3, len(copies)))
    several = Encoded(images.tokens[:, copies], keys, images.part_queries, mask)
    attend = TSAA.attend
    pooled = pool(several, 4)
    expected = attend(several.tokens, several.keys, several.part_queries, mask).features
    close(attend(pooled.tokens, pooled.keys, pooled.part_queries, pooled.mask).features, expected)


def test_padding_and_the_other_images_change_nothing() -> None:
    images = gated(3, 0)
    mask = torch.tensor([[True] * 5 + [False] * 2, [True] * 7, [False] * 7])
    garbage = images.tokens.masked_fill(~mask[:, :, None], torch.inf)
    pooled = pool(Encoded(garbage, images.keys, images.part_queries, mask), 3)
    alone = pool(Encoded(images.tokens[:1, :5], images.keys[:1, :5], images[:1].part_queries), 3)
    close(pooled.tokens[:1], alone.tokens)
    close(pooled.keys[:1], alone.keys)
    assert pooled.mask is not None
    assert not pooled.mask[2].any()
    assert all(x.isfinite().all() for x in pooled.tensors())


def test_gates_far_below_zero_stay_weights() -> None:
    images = gated(2, 1)
    keys = images.keys.clone()
    keys[..., -1] -= 2000
    low = pool(Encoded(images.tokens, keys, images.part_queries), 3)
    usual = pool(images, 3)
    close(low.tokens, usual.tokens)
    close(low.keys[..., -1], usual.keys[..., -1] - 2000)


def test_fewer_clusters_are_nearer_to_one_mean() -> None:
    """The error grows as clusters become fewer, and one cluster reads the same whatever the part."""
    images, attention = gated(8, 2, t=12), TSAA(6)
    exact = target_aware_similarity(images, images, attention)
    errors = [(target_aware_similarity(images, pool(images, k), attention) - exact).abs().mean() for k in (12, 6, 3, 1)]
    assert errors[0] < 1e-9 < errors[1] < errors[2] < errors[3]
    pooled = pool(images, 1)
    features = TSAA.attend(pooled.tokens, pooled.keys, pooled.part_queries, pooled.mask)
    close(features.attention, torch.ones_like(features.attention))


def test_tensors_keep_their_type() -> None:
    images = gated(2, 3, dtype=torch.float32)
    assert {x.dtype for x in pool(images, 3).tensors()} == {torch.float32, torch.bool}
