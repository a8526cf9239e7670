"""Target-aware retrieval: every pair compared through the parts of its query, its gallery image, or both."""

from __future__ import annotations

from itertools import product
from typing import Literal, TypeAlias, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from concordant._checks import as_sizes, check_choice, check_shapes, checked, require
from concordant._precision import SMALLEST_NORM, unit, upcast
from concordant.layers.attention import PartAttention, PartQueries, spatial_similarity
from concordant.retrieval.encoded import Encoded

BatchNorm: TypeAlias = nn.modules.batchnorm._BatchNorm
Direction: TypeAlias = Literal["query", "gallery", "both"]

_CACHE = 1 << 22
"""Bytes that stay near a processor: chunks beyond them wait for memory."""


@checked()
def target_aware_similarity(
    query: Encoded,
    gallery: Encoded,
    attention: PartAttention,
    *,
    direction: Direction = "both",
    norm: BatchNorm | None = None,
    pairs: Int[Tensor, "q s"] | None = None,
    memory: int = 1 << 28,
) -> Float[Tensor, "q n"]:
    """Compare queries with gallery images by parts that one of them owns and both are read with.

    Equation: for direction "query", the mean over parts k of the cosine between `A(T_g; P_q)_k` and `A(T_q; P_q)_k`;
    for "gallery" the same with the gallery image's parts; "both" is the mean of the two. The cosine with a zero vector
    is zero.

    Args:
        query: q images of `CAL.encode`.
        gallery: g images.
        attention: the model's `TSAA`.
        direction: whose parts read both images.
        norm: a batch normalisation over p·c features, in evaluation mode, which refined parts pass before they are
            compared: with a model's `CAL.part_norm` they are those that its classifiers learned on and that `CAL.embed`
            compares, as in `CAL.similarity`. Without it they are the equation's.
        pairs: (q, s), the rows of s gallery images for each query, such as its short list; −1 stands for none, whose
            similarity is −∞. By default each query is compared with the whole gallery.
        memory: bytes that intermediate results may take at most; pairs are worked through in chunks that fit.

    Shape: → (q, g), or (q, s) for `pairs`; in −1 … 1. No gradient flows.

    Raises: ValueError for shapes, types or devices that do not fit, images without parts, or another direction.

    Reference: CAL (ICCV 2023), target-aware alignment.

    >>> from concordant import TSAA
    >>> tsaa = TSAA(8)
    >>> tokens, parts = torch.randn(3, 12, 8), torch.randn(3, 2, 8)
    >>> images = Encoded(tokens, tsaa.encode_tokens(tokens), tsaa.encode_parts(parts))
    >>> similarity = target_aware_similarity(images, images, tsaa)
    >>> similarity.shape, torch.allclose(similarity.diagonal(), torch.ones(3))
    (torch.Size([3, 3]), True)
    """
    who = "target_aware_similarity"
    check_choice(who, "direction", direction, ("query", "gallery", "both"))
    (memory,) = as_sizes(who, memory=memory)
    for name, side in {"query": query, "gallery": gallery}.items():
        require(isinstance(side, Encoded), who, f"`{name}` must be `Encoded`, of `CAL.encode`", type(side).__name__)
    sizes = check_shapes(
        who,
        query_tokens=(query.tokens, "q t c"),
        query_keys=(query.keys, "q t d"),
        query_queries=(query.part_queries.queries, "q p d"),
        query_gates=(query.part_queries.gates, "q p c"),
        gallery_tokens=(gallery.tokens, "g s c"),
        gallery_keys=(gallery.keys, "g s d"),
        gallery_queries=(gallery.part_queries.queries, "g r d"),
        gallery_gates=(gallery.part_queries.gates, "g r c"),
    )
    require(sizes["p"] > 0 and sizes["r"] > 0, who, "images must have parts", f"{sizes['p']} and {sizes['r']}")
    for name, tokens in {"query": query.tokens, "gallery": gallery.tokens}.items():
        require(tokens.is_floating_point(), who, f"`{name}` must have tokens of floating point", tokens.dtype)
    for name, one, other in (
        ("tokens", query.tokens, gallery.tokens),
        ("keys", query.keys, gallery.keys),
        ("queries", query.part_queries.queries, gallery.part_queries.queries),
    ):
        (a, here), (b, there) = (one.dtype, one.device), (other.dtype, other.device)
        rule = f"`gallery_{name}` must be of the type and on the device of `query_{name}`, {a} on {here}"
        require(a == b and here == there, who, rule, f"{b} on {there}")
    if norm is not None:
        fits = isinstance(norm, BatchNorm) and norm.running_mean is not None and not norm.training
        require(fits, who, "`norm` must be a batch normalisation in evaluation mode, with running statistics", norm)
        numbers = {sizes["p"] * sizes["c"], sizes["r"] * sizes["c"]}
        rule = f"`norm` must be of p·c = {norm.num_features} features, as the parts of either side are"
        require(numbers == {norm.num_features}, who, rule, sorted(numbers))
    with torch.no_grad():
        if pairs is not None:
            return _by_lists(query, gallery, pairs, attention, direction, norm, memory)
        if direction == "query":
            return _by_parts_of(query, gallery, attention, norm, memory)
        if direction == "gallery":
            return _by_parts_of(gallery, query, attention, norm, memory).T
        by_query: Tensor = _by_parts_of(query, gallery, attention, norm, memory)
        return (by_query + _by_parts_of(gallery, query, attention, norm, memory).T) / 2


def _affine(norm: BatchNorm, parts: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and the summand that a batch normalisation has for parts (p, c) in evaluation."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = (variance + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
    shift = (0 if norm.bias is None else norm.bias) - mean * scale
    return scale.view_as(parts).to(parts), shift.view_as(parts).to(parts)


def _by_parts_of(
    owner: Encoded,
    other: Encoded,
    attention: PartAttention,
    norm: BatchNorm | None,
    memory: int,
) -> Tensor:
    """(owner, other): the mean cosine over the owner's parts, read on both images."""
    (n, p, d), (m, t, c) = owner.part_queries.queries.shape, other.tokens.shape
    similarity: Tensor = torch.empty(n, m, dtype=upcast(owner.tokens[:0]).dtype, device=owner.tokens.device)
    # A chunk of images from either side, as square as possible: each then serves many pairs.
    if other.tokens.device.type == "cpu":
        memory = min(memory, _CACHE)
    pairs = max(memory // (similarity.element_size() * p * (2 * t + c + d)), 1)
    rows = max(min(n, round(pairs**0.5)), 1)
    columns = max(min(m, pairs // rows), 1)
    # One buffer for every chunk: to allocate it anew takes as long as to fill it.
    pooled = other.tokens.new_empty(columns, rows * p, c)
    for i in range(0, n, rows):
        own = owner[i : i + rows]
        queries, gates = own.part_queries
        refined, shift = attention.attend(own.tokens, own.keys, own.part_queries).features, None
        if norm is not None:
            scale, shift = _affine(norm, gates[0])
            refined, gates = torch.addcmul(shift, refined, scale), gates * scale
            shift = shift.expand_as(gates).flatten(0, 1)
        queries, gates, target = (x.flatten(0, 1) for x in (queries, gates, unit(refined)))
        for j in range(0, m, columns):
            tokens, keys = other.tokens[j : j + columns], other.keys[j : j + columns]
            weights = spatial_similarity(queries.expand(len(keys), -1, -1), keys).to(tokens.dtype)
            features = torch.bmm(weights, tokens, out=pooled[: len(keys), : len(queries)])
            features = features.mul_(gates) if shift is None else torch.addcmul(shift, features, gates, out=features)
            length = torch.linalg.vector_norm(features, dim=2, dtype=similarity.dtype)
            dot = features.mul_(target).sum(dim=2, dtype=similarity.dtype)
            cosine = dot / length.clamp_min(SMALLEST_NORM)
            similarity[i : i + rows, j : j + columns] = cosine.view(len(keys), -1, p).mean(dim=2).T
    return similarity


def _by_lists(
    query: Encoded,
    gallery: Encoded,
    pairs: Tensor,
    attention: PartAttention,
    direction: Direction,
    norm: BatchNorm | None,
    memory: int,
) -> Tensor:
    """(q, s): each query with the gallery images that its row lists."""
    (_, t, c), (_, p, d) = gallery.tokens.shape, gallery.part_queries.queries.shape
    similarity: Tensor = torch.empty(pairs.shape, dtype=upcast(query.tokens[:0]).dtype, device=query.tokens.device)
    number = max(memory // (similarity.element_size() * (t * (c + d) + 2 * p * (t + c + d))), 1)
    length = max(min(pairs.shape[1], number), 1)  # several short lists at a time, or a piece of one long list
    step = max(number // length, 1)
    for i, j in product(range(0, pairs.shape[0], step), range(0, pairs.shape[1], length)):
        some, places = slice(i, i + step), slice(j, j + length)
        listed = gallery[pairs[some, places].clamp_min(0).flatten()]
        found = [
            _on_lists(query[some], listed, attention, norm, owner)
            for owner in ("query", "gallery")
            if direction in (owner, "both")
        ]
        similarity[some, places] = torch.stack(found).mean(dim=0)
    return similarity.masked_fill_(pairs < 0, -torch.inf)


def _on_lists(query: Encoded, listed: Encoded, attention: PartAttention, norm: BatchNorm | None, owner: str) -> Tensor:
    """(q, s): the mean cosine over the parts of the owner, for each query and its own s of the q·s listed images."""
    q, s = len(query), len(listed) // max(len(query), 1)

    def refine(tokens: Tensor, keys: Tensor, parts: PartQueries, images: int) -> Tensor:
        """Unit features (images, p, c), of parts that may be those of several images side by side."""
        features = upcast(attention.attend(tokens, keys, parts).features).view(images, -1, tokens.shape[2])
        return unit(features if norm is None else norm(features.flatten(1)).view_as(features))

    if owner == "query":
        own = refine(query.tokens, query.keys, query.part_queries, q).repeat_interleave(s, dim=0)
        parts = PartQueries(*(x.repeat_interleave(s, dim=0) for x in query.part_queries))
        read = refine(listed.tokens, listed.keys, parts, q * s)
    else:  # a query reads the parts of all its listed images at once
        own = refine(listed.tokens, listed.keys, listed.part_queries, q * s)
        parts = PartQueries(*(x.reshape(q, -1, x.shape[2]) for x in listed.part_queries))
        read = refine(query.tokens, query.keys, parts, q * s)
    return (own * read).sum(dim=2).mean(dim=1).view(q, s)
