"""Two sides that differ: in numbers of tokens and parts, in padding, in norms, and in whether they have parts."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from concordant import TSAA, Encoded, PartQueries, target_aware_similarity
from support import oracles_retrieval
from support.models import close, randomize, tsaa_of
from support.padding import HUGE, check_padding, masks
from support.strategies import KINDS, SEEDS, values

Direction = Literal["query", "gallery", "both"]
DIRECTIONS = ("query", "gallery", "both")
MEMORIES = st.sampled_from([1, 700, 1 << 28])


def encoded(attention: TSAA, tokens: Tensor, parts: Tensor, mask: Tensor, part_mask: Tensor | None) -> Encoded:
    return Encoded(
        tokens, attention.encode_tokens(tokens, mask), attention.encode_parts(parts, tokens, mask), mask, part_mask
    )


@settings(max_examples=12)
@given(
    masks(2, 4),
    masks(2, 3),
    masks(3, 5),
    masks(3, 2),
    SEEDS,
    st.sampled_from(KINDS),
    st.sampled_from(DIRECTIONS),
    MEMORIES,
    st.booleans(),
    st.booleans(),
)
def test_padded_images_are_those_without_their_padding(
    mask: Tensor,
    part_mask: Tensor,
    gallery_mask: Tensor,
    gallery_part_mask: Tensor,
    seed: int,
    kind: str,
    direction: Direction,
    memory: int,
    listed: bool,
    graded: bool,
) -> None:
    """Pair by pair; zero by the parts of an owner that has none, and where a side has no real token."""
    attention = tsaa_of(3, seed, eps=1e-3)
    sides = [
        (values((len(m), m.shape[1], 3), seed + i, kind), values((len(m), n.shape[1], 3), seed + i + 1, kind), m, n)
        for i, (m, n) in enumerate(((mask, part_mask), (gallery_mask, gallery_part_mask)))
    ]
    pairs = torch.tensor([[2, 0, 1], [1, 2, 2]])
    with torch.set_grad_enabled(graded):
        query, gallery = (encoded(attention, *side) for side in sides)
        found = target_aware_similarity(
            query,
            gallery,
            attention,
            direction=direction,
            memory=memory,
            pairs=pairs if listed else None,
        ).detach()

    def one_pair(tokens: Tensor, parts: Tensor, home: Tensor) -> Tensor:
        if 0 in (tokens.shape[1], parts.shape[1], home.shape[1]):
            return torch.zeros(1, parts.shape[1], 3)
        return attention(tokens, parts, home).features

    (query_tokens, query_parts), (gallery_tokens, gallery_parts) = (
        [[x[real] for x, real in zip(rows, kept, strict=True)] for rows, kept in zip(side[:2], side[2:], strict=True)]
        for side in sides
    )
    expected = oracles_retrieval.target_aware_similarity(
        query_tokens, query_parts, gallery_tokens, gallery_parts, one_pair, direction
    )
    close(found, expected.gather(1, pairs) if listed else expected)


@settings(max_examples=12)
@given(masks(2, 4), masks(2, 3), SEEDS, st.sampled_from(DIRECTIONS), MEMORIES, st.booleans(), st.booleans())
def test_what_stands_in_place_of_padding_changes_nothing(
    mask: Tensor, part_mask: Tensor, seed: int, direction: Direction, memory: int, turned: bool, listed: bool
) -> None:
    """Not even gradients, of the first and second order: on either side."""
    shapes = ((3, 5, 3), (3, 5, 2), (3, 2, 2), (3, 2, 3))
    tokens, keys, *parts = (values(shape, seed + i) for i, shape in enumerate(shapes))
    others, pairs = Encoded(tokens, keys, PartQueries(*parts)), torch.tensor([[0, 2, 2]])

    def similarity(
        tokens: Tensor,
        keys: Tensor,
        queries: Tensor,
        gates: Tensor,
        mask: Tensor | None = None,
        part_mask: Tensor | None = None,
    ) -> Tensor:
        images = Encoded(tokens, keys, PartQueries(queries, gates), mask, part_mask)
        if turned:
            return target_aware_similarity(others, images, TSAA(3), direction=direction, memory=memory).T
        places = pairs.expand(len(images), -1) if listed else None
        return target_aware_similarity(images, others, TSAA(3), direction=direction, pairs=places, memory=memory)

    inputs = {
        "tokens": (values((2, 4, 3), seed + 4), "b t c"),
        "keys": (values((2, 4, 2), seed + 5), "b t d"),
        "queries": (values((2, 3, 2), seed + 6), "b p d"),
        "gates": (values((2, 3, 3), seed + 7), "b p c"),
    }
    masked = {"mask": (mask, "b t"), "part_mask": (part_mask, "b p")}
    check_padding(similarity, inputs, masked, ["b g"], fills=(0.0, HUGE, float("inf"), float("nan")))


@pytest.mark.parametrize("listed", [False, True], ids=["table", "lists"])
@pytest.mark.parametrize("graded", [False, True], ids=["no grad", "grad"])
def test_one_direction_needs_the_parts_of_one_side(listed: bool, graded: bool) -> None:
    attention = tsaa_of(3)
    tokens, others = values((2, 4, 3), 0), values((3, 5, 3), 1)
    whole = torch.ones(2, 4, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    asked = encoded(attention, tokens, values((2, 2, 3), 2), whole[0], None)
    gallery = encoded(attention, others, values((3, 4, 3), 3), whole[1], None)
    bare = Encoded(gallery.tokens, gallery.keys)
    pairs = torch.tensor([[1, 0, 2], [2, 2, 0]]) if listed else None
    with torch.set_grad_enabled(graded):
        by_query = target_aware_similarity(asked, bare, attention, direction="query", pairs=pairs)
        close(by_query, target_aware_similarity(asked, gallery, attention, direction="query", pairs=pairs))
        by_gallery = target_aware_similarity(bare, asked, attention, direction="gallery")
        close(by_gallery, target_aware_similarity(asked, bare, attention, direction="query").T)
    without: tuple[Direction, Direction] = ("gallery", "both")
    for direction in without:
        with pytest.raises(ValueError, match=r"^target_aware_similarity: `gallery` must have parts for direction"):
            target_aware_similarity(asked, bare, attention, direction=direction)


@pytest.mark.parametrize("listed", [False, True], ids=["table", "lists"])
@pytest.mark.parametrize("graded", [False, True], ids=["no grad", "grad"])
def test_a_norm_belongs_to_the_parts_of_a_side(listed: bool, graded: bool) -> None:
    """The queries' parts pass theirs on both images, and so do the gallery's; either may have none."""
    attention = tsaa_of(3)
    asked = encoded(attention, values((2, 4, 3), 0), values((2, 2, 3), 2), torch.ones(2, 4, dtype=torch.bool), None)
    others = encoded(attention, values((3, 5, 3), 1), values((3, 4, 3), 3), torch.ones(3, 5, dtype=torch.bool), None)
    norms = [randomize(nn.BatchNorm1d(3 * p, dtype=torch.float64), p).eval() for p in (2, 4)]
    pairs = torch.tensor([[1, 0, 2], [2, 2, 0]]) if listed else None

    def compare(direction: Direction, norm: Any) -> Tensor:
        return target_aware_similarity(asked, others, attention, direction=direction, norm=norm, pairs=pairs)

    with torch.set_grad_enabled(graded):
        by_query, by_gallery = compare("query", norms[0]), compare("gallery", norms[1])
        close(compare("both", (norms[0], norms[1])), (by_query + by_gallery) / 2)
        close(compare("both", (norms[0], None)), (by_query + compare("gallery", None)) / 2)
        close(compare("query", (norms[0], None)), by_query)
        assert not torch.allclose(by_query, compare("query", None))


def test_sides_that_do_not_fit_are_refused() -> None:
    images = Encoded(
        torch.randn(2, 5, 4), torch.randn(2, 5, 3), PartQueries(torch.randn(2, 2, 3), torch.randn(2, 2, 4))
    )
    real = torch.ones(2, 5, dtype=torch.bool)
    wrong = [
        Encoded(images.tokens, images.keys, images.part_queries, real[:, :4]),
        Encoded(images.tokens, images.keys, images.part_queries, real.float()),
        Encoded(images.tokens, images.keys, images.part_queries, real, real),
        Encoded(images.tokens, images.keys, images.part_queries, None, real[:, :2].float()),
    ]
    for gallery in wrong:
        with pytest.raises(ValueError, match=r"^target_aware_similarity: `gallery\w*` must .+; got .+"):
            target_aware_similarity(images, gallery, TSAA(4), direction="query")
    norm = nn.BatchNorm1d(8).eval()
    with pytest.raises(ValueError, match=r"^target_aware_similarity: `norm` must be one module or a pair; got"):
        target_aware_similarity(images, images, TSAA(4), norm=(norm, norm, norm))  # type: ignore[arg-type]


def test_lists_are_of_the_queries_and_may_be_of_nothing() -> None:
    attention = TSAA(8)
    rows = Encoded(torch.randn(2, 4, 8), torch.randn(2, 4, 8), attention.encode_parts(torch.randn(2, 2, 8)))
    with pytest.raises(ValueError, match=r"target_aware_similarity: `pairs` must be \(q, s\) = \(2, s\); got \(3, 1\)"):
        target_aware_similarity(rows, rows, attention, pairs=torch.zeros(3, 1, dtype=torch.long))
    none = target_aware_similarity(rows, rows[:0], attention, pairs=torch.full((2, 3), -1))
    assert torch.equal(none, torch.full((2, 3), -torch.inf))
