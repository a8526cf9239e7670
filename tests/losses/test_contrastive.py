"""The target-aware contrastive loss: loops, several positives, blocks, temperature, and two encoders."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from concordant import TSAA, Encoded, PartQueries, TargetAwareContrastiveLoss, target_aware_similarity
from concordant.functional import target_aware_contrastive_loss
from support import oracles_retrieval
from support.models import close, tsaa_of
from support.oracles import cosine, tensor
from support.strategies import KINDS, SEEDS, permutation, values

Direction = Literal["query", "gallery", "both"]
DIRECTIONS = ("query", "gallery", "both")
Side = tuple[Tensor, Tensor]
LABELS = st.lists(st.integers(0, 2), min_size=1, max_size=5)


def side(attention: Any, n: int, t: int, p: int, seed: int, kind: str = "normal") -> tuple[Encoded, Side]:
    """Rows, and the tokens and parts that they were made of."""
    tokens, parts = values((n, t, 3), seed, kind), values((n, p, 3), seed + 1, kind)
    return Encoded(tokens, attention.encode_tokens(tokens), attention.encode_parts(parts, tokens)), (tokens, parts)


@settings(max_examples=25)
@given(
    LABELS,
    LABELS,
    SEEDS,
    st.sampled_from(KINDS),
    st.sampled_from(DIRECTIONS),
    st.sampled_from([None, 1, 2, 9]),
    st.booleans(),
)
def test_agrees_with_the_loop(
    query_labels: list[int],
    gallery_labels: list[int],
    seed: int,
    kind: str,
    direction: Direction,
    block: int | None,
    with_features: bool,
) -> None:
    attention, temperature = tsaa_of(3, seed, eps=1e-3), 0.3
    y, z = torch.tensor(query_labels), torch.tensor(gallery_labels)
    query, asked = side(attention, len(y), 4, 2, seed, kind)
    gallery, listed = side(attention, len(z), 5, 3, seed + 2, kind)
    features = [values((len(x), 3), seed + 7 + i, kind) if with_features else None for i, x in enumerate((y, z))]

    def one_pair(tokens: Tensor, parts: Tensor, home: Tensor) -> Tensor:
        features: Tensor = attention(tokens, parts, home).features
        return features

    table = oracles_retrieval.target_aware_similarity(*asked, *listed, one_pair, direction)
    if features[0] is not None and features[1] is not None:
        table += tensor([[1.5 * cosine(a, b, 1e-12) for b in features[1].tolist()] for a in features[0].tolist()])
    terms = oracles_retrieval.contrastive(table, y, z, temperature, block)
    taking = [term for term in terms if term is not None]
    for reduction, expected in (
        ("none", [term or 0.0 for term in terms]),
        ("sum", math.fsum(taking)),
        ("mean", math.fsum(taking) / max(len(taking), 1)),
    ):
        settings: dict[str, Any] = {"direction": direction, "block": block, "reduction": reduction}
        found = target_aware_contrastive_loss(
            query, gallery, y, z, *features, temperature=temperature, global_weight=1.5, **settings
        )
        close(found, tensor(expected))
        loss = TargetAwareContrastiveLoss(temperature=temperature, learnable=False, global_weight=1.5, **settings)
        close(loss(query, gallery, y, z, *features), tensor(expected))


@given(SEEDS, st.booleans())
def test_order_of_rows_and_names_of_identities_and_sides(seed: int, global_term: bool) -> None:
    attention, y, z = tsaa_of(3, seed), torch.tensor([0, 1, 2, 0]), torch.tensor([1, 0, 0])
    query, gallery = side(attention, 4, 4, 2, seed)[0], side(attention, 3, 5, 2, seed + 2)[0]
    x, w = (values((n, 3), seed + n) if global_term else None for n in (4, 3))
    before = target_aware_contrastive_loss(query, gallery, y, z, x, w)
    order, others = permutation(4, seed), permutation(3, seed)
    moved = [None if a is None else a[b] for a, b in ((x, order), (w, others))]
    after = target_aware_contrastive_loss(query[order], gallery[others], 9 - 2 * y[order], 9 - 2 * z[others], *moved)
    close(after, before)
    close(target_aware_contrastive_loss(gallery, query, z, y, w, x), before)
    by_query = target_aware_contrastive_loss(query, gallery, y, z, x, w, direction="query")
    close(target_aware_contrastive_loss(gallery, query, z, y, w, x, direction="gallery"), by_query)


def test_one_positive_is_the_cross_entropy_of_both_directions() -> None:
    attention, labels = tsaa_of(3), torch.arange(4)
    query, gallery = side(attention, 4, 4, 2, 0)[0], side(attention, 4, 5, 2, 2)[0]
    logits = target_aware_similarity(query, gallery, attention) / 0.07
    expected = sum(torch.nn.functional.cross_entropy(x, labels) for x in (logits, logits.T)) / 2
    close(target_aware_contrastive_loss(query, gallery, labels, labels), torch.as_tensor(expected))


def test_rows_without_a_positive_are_not_counted() -> None:
    attention, y, z = tsaa_of(3), torch.tensor([0, 1, 2]), torch.tensor([0, 3])
    query, gallery = side(attention, 3, 4, 2, 0)[0], side(attention, 2, 5, 2, 2)[0]
    terms = target_aware_contrastive_loss(query, gallery, y, z, reduction="none")
    assert terms.count_nonzero() == 2
    close(target_aware_contrastive_loss(query, gallery, y, z), terms[[0, 3]].mean())
    assert target_aware_contrastive_loss(query, gallery, y + 9, z).item() == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("q", "g"), [(0, 0), (2, 0), (0, 2)])
@pytest.mark.parametrize("block", [None, 1])
def test_empty_sides_are_zero_with_a_gradient(reduction: Any, q: int, g: int, block: int | None) -> None:
    tokens = [torch.zeros(n, 4, 3, requires_grad=True) for n in (q, g)]
    query, gallery = (Encoded(x, x, PartQueries(x[:, :2], x[:, :2])) for x in tokens)
    labels = [torch.zeros(n, dtype=torch.int64) for n in (q, g)]
    loss = TargetAwareContrastiveLoss(reduction=reduction, block=block)(query, gallery, *labels)
    loss.sum().backward()
    assert loss.sum().item() == 0
    assert all(x.grad is not None and not x.grad.isnan().any() for x in tokens)


@given(SEEDS, st.sampled_from(KINDS), st.sampled_from(DIRECTIONS))
def test_first_and_second_gradients_are_finite(seed: int, kind: str, direction: Direction) -> None:
    """Also with zero vectors, equal rows, and rows without a positive."""
    inputs = [values((3, n, 3), seed + i, kind).requires_grad_() for i, n in enumerate((4, 2, 2))]
    images = Encoded(inputs[0], inputs[0], PartQueries(inputs[1], inputs[2]))
    labels = torch.tensor([0, 0, 1])
    loss = target_aware_contrastive_loss(images, images, labels, labels.flip(0), direction=direction)
    first = torch.autograd.grad(loss, inputs, create_graph=True)
    second = torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), inputs)
    assert all(bool(g.isfinite().all()) for g in (*first, *second))


def test_blocks_are_losses_of_their_own() -> None:
    attention, y, z = tsaa_of(3), torch.tensor([0, 1, 2, 2, 1]), torch.tensor([0, 1, 2])
    query, gallery = side(attention, 5, 4, 2, 0)[0], side(attention, 3, 5, 2, 2)[0]
    terms = target_aware_contrastive_loss(query, gallery, y, z, block=2, reduction="none")
    for rows, columns in ((slice(0, 2), slice(0, 2)), (slice(2, 4), slice(2, 3))):
        alone = target_aware_contrastive_loss(query[rows], gallery[columns], y[rows], z[columns], reduction="none")
        close(torch.cat([terms[rows], terms[5 + columns.start : 5 + columns.stop]]), alone)
    assert terms[4] == 0  # no gallery row is left for it


def test_words_and_pictures() -> None:
    """Two encoders; the words' parts read, and pictures have none of their own. Words differ in number."""
    words, pictures = values((4, 5, 3), 0).requires_grad_(), values((4, 9, 3), 1).requires_grad_()
    mask, labels = torch.arange(5) < torch.tensor([[1], [5], [2], [3]]), torch.tensor([0, 1, 2, 0])
    loss = TargetAwareContrastiveLoss(direction="query", dtype=torch.float64)
    seen = Encoded(pictures, pictures)

    def named(words: Tensor, mask: Tensor | None) -> Encoded:
        return Encoded(words, words, PartQueries(words, torch.ones_like(words)), mask, mask)

    loss(named(words, mask), seen, labels, labels).backward()
    assert words.grad is not None
    assert pictures.grad is not None
    assert not words.grad[~mask].any()
    assert bool(pictures.grad.any())
    padded = loss(named(words, mask)[2], seen, labels[2:3], labels)
    close(padded, loss(named(words[2:3, :2], None), seen, labels[2:3], labels))


def test_a_learned_temperature_starts_where_it_is_set_and_stays_above_its_bound() -> None:
    loss = TargetAwareContrastiveLoss(temperature=0.2, min_temperature=0.05, dtype=torch.float64)
    close(torch.as_tensor(loss.temperature), tensor(0.2))
    attention, labels = tsaa_of(3), torch.arange(3)
    with torch.no_grad():
        rows = side(attention, 3, 4, 2, 0)[0]
    fixed = target_aware_contrastive_loss(rows, rows, labels, labels, temperature=0.2)
    close(loss(rows, rows, labels, labels), fixed)
    optimiser = torch.optim.SGD(loss.parameters(), lr=1.0)
    for _ in range(300):  # rows are told apart already: ever less temperature is better
        optimiser.zero_grad()
        loss(rows, rows, labels, labels).backward()
        optimiser.step()
    assert isinstance(loss.temperature, Tensor)
    assert 0.05 < loss.temperature.item() < 0.1
    assert loss.log_excess is not None
    assert loss.log_excess.grad is not None
    assert loss.log_excess.grad.item() != 0
    assert not list(TargetAwareContrastiveLoss(learnable=False).parameters())


def test_blocks_share_the_memory() -> None:
    """What autograd keeps for the backward pass is bounded, however many blocks there are."""

    def kept(n: int) -> int:
        torch.manual_seed(0)
        attention = TSAA(8)
        rows = Encoded(torch.randn(n, 12, 8), torch.randn(n, 12, 8), attention.encode_parts(torch.randn(n, 2, 8)))
        rows.tokens.requires_grad_()
        labels, bytes_ = torch.arange(n // 2), 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal bytes_
            bytes_ += tensor.nbytes
            return tensor

        one, other = rows[: n // 2], rows[n // 2 :]
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            target_aware_contrastive_loss(one, other, labels, labels, block=4, memory=1 << 16)
        return bytes_

    inputs = 4 * (12 * 16 + 2 * 16)  # bytes a row
    few, many = kept(16), kept(64)
    assert many < few + (1 << 16) + 16 * 64 * inputs


@pytest.mark.parametrize("temperature", [torch.ones(1), torch.ones(3)])
def test_a_temperature_is_one_number(temperature: Tensor) -> None:
    attention = TSAA(8)
    rows = Encoded(torch.randn(2, 4, 8), torch.randn(2, 4, 8), attention.encode_parts(torch.randn(2, 2, 8)))
    labels = torch.arange(2)
    with pytest.raises(ValueError, match=r"`temperature` must be one number; got \("):
        target_aware_contrastive_loss(rows, rows, labels, labels, temperature=temperature)
    with pytest.raises(ValueError, match=r"`query_labels` must be \(q,\) = \(2,\); got \(3,\)"):
        target_aware_contrastive_loss(rows, rows, torch.arange(3), labels)
