"""Gradients of target-aware similarity against those of one call of the attention per pair, and what they cost."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from concordant import TSAA, Encoded, PartQueries, target_aware_similarity
from support.encoded import encoded
from support.living import Living
from support.models import close, randomize, tsaa_of
from support.strategies import SEEDS, values

Direction = Literal["query", "gallery", "both"]
DIRECTIONS = ("query", "gallery", "both")
Side = tuple[Tensor, Tensor]
MEMORIES = st.sampled_from([1, 9000, 1 << 28])


def norm_of(p: int, seed: int) -> nn.BatchNorm1d:
    """With running statistics and random weights."""
    norm = nn.BatchNorm1d(p * 3, dtype=torch.float64)
    norm(values((5, p * 3), seed))
    return randomize(norm, seed).eval()


def leaves(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    return [values(shape, seed + i).requires_grad_() for i, shape in enumerate(shapes)]


def pair_by_pair(
    attention: TSAA, query: Side, gallery: Side, direction: str, norms: tuple[nn.BatchNorm1d | None, ...]
) -> Tensor:
    """One call of the attention for each reading of each pair."""

    def features(tokens: Tensor, parts: Tensor, home: Tensor, norm: nn.BatchNorm1d | None) -> Tensor:
        found = attention(tokens[None], parts[None], home[None]).features
        return found[0] if norm is None else norm(found.flatten(1)).view_as(found)[0]

    def one(q: tuple[Tensor, ...], g: tuple[Tensor, ...]) -> Tensor:
        ways = []
        for owner, norm in ((q, norms[0]), (g, norms[1])):
            if direction in ("both", "query" if owner is q else "gallery"):
                on_query, on_gallery = (features(tokens, owner[1], owner[0], norm) for tokens, _ in (q, g))
                ways.append(cosine_similarity(on_query, on_gallery, dim=1, eps=1e-12).mean())
        return torch.stack(ways).mean()

    rows = [[one(q, g) for g in zip(*gallery, strict=True)] for q in zip(*query, strict=True)]
    return torch.stack([torch.stack(row) for row in rows])


@settings(max_examples=10)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), SEEDS, st.sampled_from(DIRECTIONS), MEMORIES, st.booleans()
)
def test_gradients_are_those_of_a_call_a_pair(
    q: int, g: int, p: int, seed: int, direction: Direction, memory: int, normed: bool
) -> None:
    """Of tokens, parts, and the weights of attention and norms; the sides differ in numbers of tokens and parts."""
    attention = tsaa_of(3, seed, eps=1e-3)
    inputs = leaves(seed, (q, 4, 3), (q, p, 3), (g, 6, 3), (g, 2, 3))
    query, gallery = (inputs[0], inputs[1]), (inputs[2], inputs[3])
    norms = (norm_of(p, seed), norm_of(2, seed + 1)) if normed else (None, None)
    wanted = [*inputs, *attention.parameters(), *(x for norm in norms if norm is not None for x in norm.parameters())]
    weights = values((q, g), seed + 9)
    found = target_aware_similarity(
        encoded(attention, *query),
        encoded(attention, *gallery),
        attention,
        direction=direction,
        norm=norms if normed else None,
        memory=memory,
    )
    expected = pair_by_pair(attention, query, gallery, direction, norms)
    close(found, expected)
    found_gradients, expected_gradients = (
        torch.autograd.grad((weights * table).sum(), wanted, allow_unused=True, materialize_grads=True)
        for table in (found, expected)
    )
    for x, y in zip(found_gradients, expected_gradients, strict=True):
        close(x, y, rtol=1e-6, atol=1e-6)


@settings(max_examples=12)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), SEEDS, st.sampled_from(DIRECTIONS), MEMORIES)
def test_gradients_of_lists_are_those_of_the_whole_table(
    q: int, g: int, s: int, seed: int, direction: Direction, memory: int
) -> None:
    attention = tsaa_of(3, seed)
    inputs = leaves(seed, (q, 4, 3), (q, 2, 3), (g, 5, 3), (g, 3, 3))
    query, gallery = encoded(attention, inputs[0], inputs[1]), encoded(attention, inputs[2], inputs[3])
    pairs = torch.randint(-1, g, (q, s), generator=torch.Generator().manual_seed(seed))
    listed = target_aware_similarity(query, gallery, attention, direction=direction, pairs=pairs, memory=memory)
    table = target_aware_similarity(query, gallery, attention, direction=direction)
    weights = values((q, s), seed + 9).where(pairs >= 0, 0.0)
    found, expected = (
        torch.autograd.grad((weights * x).sum(), inputs, materialize_grads=True, retain_graph=True)
        for x in (listed.where(pairs >= 0, 0.0), table.gather(1, pairs.clamp_min(0)))
    )
    for x, y in zip(found, expected, strict=True):
        close(x, y, rtol=1e-6, atol=1e-6)


def function_of(direction: Direction, memory: int, listed: bool) -> tuple[Any, list[Tensor]]:
    """Similarity as a function of the tensors of both sides."""
    shapes = [(2, 3, 3), (2, 3, 2), (2, 2, 2), (2, 2, 3), (3, 4, 3), (3, 4, 2), (3, 1, 2), (3, 1, 3)]
    attention, pairs = TSAA(3), torch.tensor([[2, 0], [1, 1]]) if listed else None

    def similarity(*sides: Tensor) -> Tensor:
        query, gallery = (Encoded(t, k, PartQueries(q, m)) for t, k, q, m in (sides[:4], sides[4:]))
        return target_aware_similarity(query, gallery, attention, direction=direction, pairs=pairs, memory=memory)

    return similarity, leaves(0, *shapes)


every_way = pytest.mark.parametrize("listed", [False, True], ids=["table", "lists"])
in_chunks = pytest.mark.parametrize("memory", [1, 1 << 28], ids=["chunks", "at once"])


@every_way
@in_chunks
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_second_gradients_are_those_of_the_first(direction: Direction, memory: int, listed: bool) -> None:
    function, inputs = function_of(direction, memory, listed)
    assert torch.autograd.gradcheck(function, inputs, check_undefined_grad=False)
    # Every number of a chunk that is computed again would take a minute: along random directions there.
    assert torch.autograd.gradgradcheck(function, inputs, check_undefined_grad=False, fast_mode=memory == 1)


@every_way
@in_chunks
def test_transforms_of_torch_func(memory: int, listed: bool) -> None:
    function, inputs = function_of("both", memory, listed)
    expected = torch.autograd.grad(function(*inputs).square().sum(), inputs)
    plain = [x.detach() for x in inputs]
    places = tuple(range(len(inputs)))
    found = torch.func.grad(lambda *sides: function(*sides).square().sum(), places)(*plain)
    for x, y in zip(found, expected, strict=True):
        close(x, y)
    several = [torch.stack([x, 2 * x]) for x in plain]
    close(torch.func.vmap(function)(*several), torch.stack([function(*plain), function(*(2 * x for x in plain))]))


@pytest.mark.long
@pytest.mark.slow
@every_way
@in_chunks
def test_compiled_in_one_graph_is_the_same(memory: int, listed: bool) -> None:
    function, inputs = function_of("both", memory, listed)
    torch.compiler.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    gradients = []
    for way in (function, compiled):
        table = way(*inputs)
        gradients.append([table.detach(), *torch.autograd.grad(table.square().sum(), inputs, materialize_grads=True)])
    for x, y in zip(*gradients, strict=True):
        close(x, y)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("q", "g"), [(0, 2), (2, 0), (0, 0)])
def test_empty_sides_have_a_gradient(direction: Direction, q: int, g: int) -> None:
    attention = tsaa_of(3)
    inputs = leaves(0, (q, 4, 3), (q, 2, 3), (g, 5, 3), (g, 2, 3))
    query, gallery = encoded(attention, inputs[0], inputs[1]), encoded(attention, inputs[2], inputs[3])
    for memory in (1, 1 << 28):
        table = target_aware_similarity(query, gallery, attention, direction=direction, memory=memory)
        assert table.shape == (q, g)
        gradients = torch.autograd.grad(table.sum(), inputs, materialize_grads=True, retain_graph=True)
        assert not any(bool(x.any()) for x in gradients)


def test_a_gradient_only_where_one_is_wanted() -> None:
    attention = tsaa_of(3).requires_grad_(False)
    plain = encoded(attention, values((2, 4, 3), 0), values((2, 2, 3), 1))
    asked = Encoded(plain.tokens.clone().requires_grad_(), plain.keys, plain.part_queries)
    table = target_aware_similarity(plain, plain, attention)
    assert not table.requires_grad
    assert target_aware_similarity(asked, plain, attention).requires_grad
    assert target_aware_similarity(plain, plain, attention, norm=norm_of(2, 0)).requires_grad
    with torch.inference_mode():
        images = plain[torch.arange(2)]
    assert not target_aware_similarity(images, images, attention, norm=norm_of(2, 0)).requires_grad
    with torch.no_grad():
        found = target_aware_similarity(asked, plain, attention)
    assert not found.requires_grad
    close(target_aware_similarity(asked, plain, attention).detach(), table)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_at_most_the_memory_allowed_beside_the_gradients(direction: Direction) -> None:
    """Living at once in both passes: the intermediate results, and each input's gradient while it is added up."""

    attention = TSAA(32)
    with torch.no_grad():
        images = encoded(attention, torch.randn(48, 24, 32), torch.randn(48, 4, 32))
    inputs = [x.contiguous().requires_grad_() for x in images.tensors()]
    tokens, keys, queries, gates = inputs
    images = Encoded(tokens, keys, PartQueries(queries, gates))
    gradients = 2 * 2 * sum(x.nbytes for x in inputs)  # of two sides; twice while pieces become one
    peaks = []
    for memory in (1 << 20, 1 << 21, 1 << 22, 1 << 26):
        known = {x.untyped_storage()._cdata for x in inputs}
        with Living(known) as living:
            table = target_aware_similarity(images, images, attention, direction=direction, memory=memory)
            torch.autograd.grad(table.square().sum(), inputs)
        peaks.append(living.peak)
        assert living.peak <= memory + gradients + 2 * table.nbytes, (living.peak, memory)
    assert peaks[0] < peaks[-1] / 2
