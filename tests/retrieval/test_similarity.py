"""Target-aware similarity against one call of the attention per pair."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from concordant import TSAA, DotProductAttention, Encoded, PartQueries, target_aware_similarity
from support import oracles_retrieval
from support.encoded import encoded
from support.models import close, randomize, small_cal, tsaa_of
from support.strategies import KINDS, SEEDS, values

Direction = Literal["query", "gallery", "both"]
DIRECTIONS = ("query", "gallery", "both")


@settings(max_examples=12)
@example(1, 1, 3, 2, 52209752, "zero rows", "query", 1, False)  # a part that reads almost nothing
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 3),
    SEEDS,
    st.sampled_from(KINDS),
    st.sampled_from(DIRECTIONS),
    st.sampled_from([1, 700, 1 << 28]),
    st.booleans(),
)
def test_agrees_with_pair_by_pair(
    q: int, g: int, t: int, p: int, seed: int, kind: str, direction: Direction, memory: int, plain: bool
) -> None:
    """In chunks of any size, with either attention."""
    attention = DotProductAttention() if plain else tsaa_of(3, seed, eps=1e-3)
    query = values((q, t, 3), seed, kind), values((q, p, 3), seed + 1, kind)
    gallery = values((g, t + 1, 3), seed + 2, kind), values((g, p, 3), seed + 3, kind)
    found = target_aware_similarity(
        encoded(attention, *query), encoded(attention, *gallery), attention, direction=direction, memory=memory
    )

    def one_pair(tokens: Tensor, parts: Tensor, home: Tensor) -> Tensor:
        return attention(tokens, parts, home).features

    expected = oracles_retrieval.target_aware_similarity(*query, *gallery, one_pair, direction)
    close(found, expected)


@settings(max_examples=12)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    SEEDS,
    st.sampled_from(DIRECTIONS),
    st.sampled_from([1, 700, 1 << 28]),
    st.booleans(),
)
def test_parts_pass_the_normalisation_that_is_given(
    q: int, g: int, seed: int, direction: Direction, memory: int, affine: bool
) -> None:
    attention, norm = tsaa_of(3, seed), nn.BatchNorm1d(2 * 3, affine=affine, dtype=torch.float64)
    norm(values((5, 6), seed + 4))  # running statistics
    if affine:
        randomize(norm, seed)
    norm.eval()
    query = values((q, 4, 3), seed), values((q, 2, 3), seed + 1)
    gallery = values((g, 5, 3), seed + 2), values((g, 2, 3), seed + 3)
    asked, listed = encoded(attention, *query), encoded(attention, *gallery)
    found = target_aware_similarity(asked, listed, attention, direction=direction, norm=norm, memory=memory)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean.tolist(), norm.running_var.tolist()

    def one_pair(tokens: Tensor, parts: Tensor, home: Tensor) -> Tensor:
        features = attention(tokens, parts, home).features
        for row in features.view(len(features), -1):
            for i in range(len(row)):
                row[i] = (row[i] - mean[i]) / (variance[i] + norm.eps) ** 0.5
                if affine:
                    row[i] = row[i] * norm.weight[i] + norm.bias[i]
        return features

    with torch.no_grad():
        expected = oracles_retrieval.target_aware_similarity(*query, *gallery, one_pair, direction)
    close(found, expected)


def test_with_the_models_own_normalisation_own_parts_are_those_of_embed() -> None:
    model = small_cal(dtype=torch.float64)
    images = values((6, 3, 16, 8), 0)
    model(images, torch.tensor([0, 1, 2] * 2), torch.tensor([0] * 3 + [1] * 3))  # running statistics
    model.eval()
    encoded = model.encode(images, 0)
    own = model.attention.attend(encoded.tokens, encoded.keys, encoded.part_queries).features
    found = model.similarity(encoded, encoded)
    close(found.diagonal(), torch.ones(6, dtype=torch.float64))
    # An image's parts read on itself are its own: the target of every comparison.
    parts = model.embed(images, 0)[:, 6:].unflatten(1, (3, 6)) * 6**0.5
    close(torch.nn.functional.normalize(model.part_norm(own.flatten(1)).view_as(own), dim=2), parts)


@given(SEEDS)
def test_of_an_image_with_itself_is_one_and_turning_the_pair_turns_the_direction(seed: int) -> None:
    attention = tsaa_of(4, seed)
    images = encoded(attention, values((3, 5, 4), seed), values((3, 2, 4), seed + 1))
    others = encoded(attention, values((2, 6, 4), seed + 2), values((2, 2, 4), seed + 3))
    both = target_aware_similarity(images, images, attention)
    close(both.diagonal(), torch.ones(3, dtype=torch.float64))
    close(both, both.T)
    by_query = target_aware_similarity(images, others, attention, direction="query")
    close(by_query, target_aware_similarity(others, images, attention, direction="gallery").T)
    assert bool((by_query.abs() <= 1 + 1e-12).all())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("q", "g"), [(0, 2), (2, 0), (0, 0)])
def test_empty_sides(direction: Direction, q: int, g: int) -> None:
    attention = TSAA(4)
    query = encoded(attention, torch.randn(q, 5, 4), torch.randn(q, 2, 4))
    gallery = encoded(attention, torch.randn(g, 5, 4), torch.randn(g, 2, 4))
    assert target_aware_similarity(query, gallery, attention, direction=direction).shape == (q, g)


def test_reads_what_the_model_encodes() -> None:
    model = small_cal().eval()
    images = torch.randn(4, 3, 16, 8)
    similarity = model.similarity(model.encode(images[:1], 1), model.encode(images[1:], 0))
    assert similarity.shape == (1, 3)
    assert similarity.requires_grad


@given(
    st.integers(0, 3),
    st.integers(1, 4),
    st.integers(0, 5),
    SEEDS,
    st.sampled_from(DIRECTIONS),
    st.sampled_from([1, 3000, 1 << 28]),
    st.booleans(),
)
def test_lists_are_the_pairs_of_the_whole_table(
    q: int, g: int, s: int, seed: int, direction: Direction, memory: int, normed: bool
) -> None:
    """In chunks of any size; −1 means no image, and is never nearest."""
    attention, norm = tsaa_of(3, seed), None
    if normed:
        norm = nn.BatchNorm1d(2 * 3, dtype=torch.float64)
        norm(values((5, 6), seed + 4))
        norm.eval()
    query = encoded(attention, values((q, 4, 3), seed), values((q, 2, 3), seed + 1))
    gallery = encoded(attention, values((g, 5, 3), seed + 2), values((g, 2, 3), seed + 3))
    pairs = torch.randint(-1, g, (q, s), generator=torch.Generator().manual_seed(seed))
    table = target_aware_similarity(query, gallery, attention, direction=direction, norm=norm)
    expected = table.gather(1, pairs.clamp_min(0)).masked_fill(pairs < 0, -torch.inf)
    close(
        target_aware_similarity(query, gallery, attention, direction=direction, norm=norm, pairs=pairs, memory=memory),
        expected,
    )


@pytest.mark.parametrize("norm", [None, nn.BatchNorm1d(4 * 64).eval()], ids=["plain", "norm"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_nothing_larger_than_the_memory_allowed_is_made(direction: Direction, norm: nn.BatchNorm1d | None) -> None:
    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for made in result if isinstance(result, (tuple, list)) else (result,):
                own = made.untyped_storage().data_ptr() not in inputs
                self.size = max(self.size, made.untyped_storage().nbytes() if own else 0)
            return result

    attention, memory = TSAA(64), 1 << 16
    images = encoded(attention, torch.randn(96, 8, 64), torch.randn(96, 4, 64))
    inputs = {x.untyped_storage().data_ptr() for x in (images.tokens, images.keys, *images.part_queries)}
    with torch.no_grad(), Largest() as largest:  # type: ignore[no-untyped-call]
        target_aware_similarity(images, images, attention, direction=direction, norm=norm, memory=memory)
    assert 0 < largest.size <= memory


def test_bad_input_is_rejected_with_the_function_the_rule_and_the_value() -> None:
    attention = TSAA(4)
    images = encoded(attention, torch.randn(2, 5, 4), torch.randn(2, 2, 4))
    half = images.to(torch.float16)
    nothing = replace(images, part_queries=PartQueries(*(x[:, :0] for x in images.part_queries)))
    tokens = Encoded(images.tokens.long(), images.keys, images.part_queries)
    far = replace(images, tokens=images.tokens.to("meta"), keys=images.keys.to("meta"))
    others = encoded(TSAA(6), torch.randn(2, 5, 6), torch.randn(2, 2, 6))
    wrong: list[tuple[Any, Any]] = [
        ((images.tokens, images.keys, images.part_queries), images),
        (images, None),
        (images, half),
        (nothing, nothing),
        (tokens, tokens),
        (images, far),
        (images, others),
    ]
    for query, gallery in wrong:
        with pytest.raises(ValueError, match=r"^target_aware_similarity: .+; got .+"):
            target_aware_similarity(query, gallery, attention)
    fewer = encoded(attention, torch.randn(2, 5, 4), torch.randn(2, 1, 4))
    statistics = nn.BatchNorm1d(8, track_running_stats=False).eval()
    for gallery, norm, rule in (
        (images, nn.BatchNorm1d(8), "in evaluation mode"),
        (images, statistics, "running statistics"),
        (images, nn.LayerNorm(8), "a batch normalisation"),
        (images, nn.BatchNorm1d(12).eval(), r"of p·c = 12 features.*got 8"),
        (fewer, nn.BatchNorm1d(8).eval(), r"of p·c = 8 features.*`gallery`.*got 4"),
    ):
        with pytest.raises(ValueError, match=rf"^target_aware_similarity: `norm` must be .*{rule}"):
            target_aware_similarity(images, gallery, attention, norm=norm)  # type: ignore[arg-type]
