"""Target-aware similarity of all pairs, or of lists of pairs, in chunks that fit a memory.

With a gradient, chunks are computed again in the backward pass: one number a pair stays between the passes. Without
one, all chunks share a buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from concordant._mask import keep
from concordant._precision import SMALLEST_NORM, lengths, unit, upcast
from concordant.layers.attention import PartQueries, Refined, spatial_similarity
from concordant.retrieval.encoded import Encoded

BatchNorm: TypeAlias = nn.modules.batchnorm._BatchNorm
Direction: TypeAlias = Literal["query", "gallery", "both"]
Attend: TypeAlias = Callable[[Tensor, Tensor, PartQueries, Tensor | None], Refined]

_CACHE = 1 << 22
"""Bytes that stay near a processor: chunks beyond them wait for memory."""


class Reading(NamedTuple):
    """How pairs are read."""

    attend: Attend
    direction: Direction
    norms: tuple[BatchNorm | None, BatchNorm | None]
    """The query's and the gallery's."""
    memory: int


def all_pairs(query: Encoded, gallery: Encoded, how: Reading) -> Tensor:
    """(q, g): `target_aware_similarity` of sides that have been checked."""
    query, gallery = _clean(query), _clean(gallery)
    table, memory = _without_gradient, how.memory
    if _is_watched(query, gallery, how):
        table = _with_gradient
        memory //= 2 if how.direction == "both" else 1  # both wait for the backward pass
    ways = []
    if how.direction != "gallery":
        ways.append(table(query, gallery, how.attend, how.norms[0], memory))
    if how.direction != "query":
        ways.append(table(gallery, query, how.attend, how.norms[1], memory).T)
    return ways[0] if len(ways) == 1 else (ways[0] + ways[1]) / 2


def _clean(images: Encoded) -> Encoded:
    """Zeros in place of padding, which may hold anything."""
    parts = PartQueries(*(keep(x, images.part_mask) for x in images.part_queries))
    return Encoded(
        keep(images.tokens, images.mask), keep(images.keys, images.mask), parts, images.mask, images.part_mask
    )


def _is_watched(query: Encoded, gallery: Encoded, how: Reading) -> bool:
    """Whether a gradient, a transform of `torch.func` or a compiler follows what is computed."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return True
    parameters = (x for norm in how.norms if norm is not None for x in norm.parameters())
    images = query.tensors() + gallery.tensors()
    if not torch.is_grad_enabled() or any(x.is_inference() for x in images):  # which no gradient can follow
        return False
    return any(x.requires_grad for x in (*images, *parameters))


def _run(function: Callable[..., Tensor], several: bool, *inputs: Any) -> Tensor:
    """One of several chunks is not kept for the backward pass, but computed again. (`torch.func` keeps all.)"""
    if several and not torch._C._are_functorch_transforms_active():
        found: Tensor = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
        return found
    return function(*inputs)


def _affine(norm: BatchNorm, parts: Tensor) -> tuple[Tensor, Tensor]:
    """The factor and the summand that a batch normalisation has for parts (n, p, c) in evaluation, both (p, c)."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = (variance + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
    shift = (0 if norm.bias is None else norm.bias) - mean * scale
    return scale.view(parts.shape[1:]).to(parts), shift.view(parts.shape[1:]).to(parts)


class _Owned(NamedTuple):
    """What a chunk of r owners brings to every image of the other side, parts one after another."""

    queries: Tensor
    """P̂ (r·p, d)."""
    gates: Tensor
    """(r·p, c), with the factor of the norm."""
    shift: Tensor | None
    """The summand of the norm, (r·p, c)."""
    target: Tensor
    """The owners' parts on their own tokens, of norm 1, (r, p, c)."""
    share: Tensor | None
    """Of each part in the mean, (r, p)."""


def _own(images: Encoded, attend: Attend, norm: BatchNorm | None) -> _Owned:
    parts = images.part_queries
    queries, gates = parts
    refined, shift = attend(images.tokens, images.keys, parts, images.mask).features, None
    if norm is not None:
        scale, shift = _affine(norm, gates)
        refined, gates = torch.addcmul(shift, refined, scale), gates * scale
        shift = shift.expand_as(gates).flatten(0, 1)
    target = unit(refined)
    return _Owned(queries.flatten(0, 1), gates.flatten(0, 1), shift, target, _shares(images, target.dtype))


def _shares(images: Encoded, dtype: torch.dtype) -> Tensor | None:
    """The mean over parts is one over the real parts; without any it is zero."""
    if images.part_mask is None:
        return None
    real = images.part_mask.to(dtype)
    return real / real.sum(dim=1, keepdim=True).clamp_min(1)


def _mean(cosine: Tensor, share: Tensor | None) -> Tensor:
    """Over the parts, the last dimension."""
    return cosine.mean(dim=-1) if share is None else (cosine * share).sum(dim=-1)


def _chunks(owner: Encoded, other: Encoded, memory: int, number: Callable[[int, int, int], int]) -> tuple[int, int]:
    """Images of either side that make a chunk: as many as can be, as each serves all of the other side's.

    `number` gives the numbers that a pair has for each of its parts, from t, c and d.
    """
    (n, p, d), (m, t, c) = owner.part_queries.queries.shape, other.tokens.shape
    pairs = max(memory // (upcast(owner.tokens[:0]).element_size() * p * number(t, c, d)), 1)
    if n * m <= pairs:
        return max(n, 1), max(m, 1)
    rows = max(min(n, round(pairs**0.5)), 1)
    return rows, max(min(m, pairs // rows), 1)


def _without_gradient(owner: Encoded, other: Encoded, attend: Attend, norm: BatchNorm | None, memory: int) -> Tensor:
    """(owner, other): the mean cosine over the owner's parts, read on both images."""
    (n, m), c = (len(owner), len(other)), other.tokens.shape[2]
    similarity: Tensor = torch.empty(n, m, dtype=upcast(owner.tokens[:0]).dtype, device=owner.tokens.device)
    if owner.tokens.device.type == "cpu":
        memory = min(memory, _CACHE)
    rows, columns = _chunks(owner, other, memory, lambda t, c, d: 2 * t + c + d)
    p = owner.part_queries.queries.shape[1]
    with torch.no_grad():
        # One buffer for every chunk: to allocate it anew takes as long as to fill it.
        pooled = other.tokens.new_empty(columns, rows * p, c)
        for i in range(0, n, rows):
            queries, gates, shift, target, share = _own(owner[i : i + rows], attend, norm)
            for j in range(0, m, columns):
                some = other[j : j + columns]
                k = len(some)
                weights = spatial_similarity(queries.expand(k, -1, -1), some.keys, some.mask).to(pooled.dtype)
                features = torch.bmm(weights, some.tokens, out=pooled[:k, : len(queries)])
                features = (
                    features.mul_(gates) if shift is None else torch.addcmul(shift, features, gates, out=features)
                )
                length = torch.linalg.vector_norm(features, dim=2, dtype=similarity.dtype)
                dot = features.mul_(target.flatten(0, 1)).sum(dim=2, dtype=similarity.dtype)
                cosine = dot / length.clamp_min(SMALLEST_NORM)
                similarity[i : i + rows, j : j + columns] = _mean(cosine.view(k, -1, p), share).T
    return similarity


def _with_gradient(owner: Encoded, other: Encoded, attend: Attend, norm: BatchNorm | None, memory: int) -> Tensor:
    """The same, of operations that a gradient can follow."""
    # At the peak of a backward pass: maps and their gradients; what was averaged, gated, and multiplied, with theirs.
    rows, columns = _chunks(owner, other, memory, lambda t, c, d: 3 * t + 6 * c + 2 * d)
    several = rows < len(owner) or columns < len(other)
    owners, others = (owner.split(rows), other.split(columns)) if several else ([owner], [other])
    table = []
    for own in owners:
        owned = _own(own, attend, norm)
        table.append(torch.cat([_run(_read, several, *owned, x.tokens, x.keys, x.mask) for x in others]))
    return torch.cat(table, dim=1).T if several else table[0].T


def _read(
    queries: Tensor,
    gates: Tensor,
    shift: Tensor | None,
    target: Tensor,
    share: Tensor | None,
    tokens: Tensor,
    keys: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """(m, r): r owners of parts against m other images."""
    weights = spatial_similarity(queries.expand(len(keys), -1, -1), keys, mask).to(tokens.dtype)
    features = weights @ tokens
    features = upcast(features * gates if shift is None else torch.addcmul(shift, features, gates))
    dot = (features * target.flatten(0, 1)).sum(dim=2)
    cosine = dot / lengths(features).clamp_min(SMALLEST_NORM)
    return _mean(cosine.view(len(tokens), *target.shape[:2]), share)


def listed_pairs(query: Encoded, gallery: Encoded, pairs: Tensor, how: Reading) -> Tensor:
    """(q, s): each query with the gallery images that its row lists, as `all_pairs`."""
    if pairs.numel() == 0 or len(gallery) == 0:  # of an empty gallery, a list can have none
        return upcast(query.tokens).new_full(pairs.shape, -torch.inf)
    query, gallery = _clean(query), _clean(gallery)
    (_, t, c), d = gallery.tokens.shape, gallery.keys.shape[2]
    p = max(side.part_queries.queries.shape[1] for side in (query, gallery))
    watched = _is_watched(query, gallery, how)
    numbers = 2 * t * (c + d) + 2 * p * (3 * t + 6 * c + 2 * d) if watched else t * (c + d) + 2 * p * (t + c + d)
    number = max(how.memory // (upcast(query.tokens[:0]).element_size() * numbers), 1)
    length = max(min(pairs.shape[1], number), 1)  # several short lists at a time, or a piece of one long list
    step = max(number // length, 1)
    several = watched and (step < pairs.shape[0] or length < pairs.shape[1])
    table = [
        torch.cat([_run(_on_lists, several, some, gallery, piece, how) for piece in places.split(length, dim=1)], dim=1)
        for some, places in zip(query.split(step), pairs.split(step), strict=True)
    ]
    return torch.cat(table).masked_fill(pairs < 0, -torch.inf)


def _on_lists(query: Encoded, gallery: Encoded, pairs: Tensor, how: Reading) -> Tensor:
    """(q, s): the mean cosine over the parts of the owners, for each query and its own s of the gallery's images."""
    (q, s), listed = pairs.shape, gallery[pairs.clamp_min(0).flatten()]

    def refine(images: Encoded, parts: PartQueries, number: int, norm: BatchNorm | None) -> Tensor:
        """Unit features (number, p, c), of parts that may be those of several images side by side."""
        features = upcast(how.attend(images.tokens, images.keys, parts, images.mask).features)
        features = features.reshape(number, -1, features.shape[2])
        return unit(features if norm is None else norm(features.flatten(1)).view_as(features))

    ways = []
    if how.direction != "gallery":
        parts, norm = query.part_queries, how.norms[0]
        own = refine(query, parts, q, norm).repeat_interleave(s, dim=0)
        read = refine(listed, PartQueries(*(x.repeat_interleave(s, dim=0) for x in parts)), q * s, norm)
        share = _shares(query, own.dtype)
        share = None if share is None else share.repeat_interleave(s, dim=0)
        ways.append(_mean((own * read).sum(dim=2), share).view(q, s))
    if how.direction != "query":  # a query reads the parts of all its listed images at once
        parts, norm = listed.part_queries, how.norms[1]
        own = refine(listed, parts, q * s, norm)
        read = refine(query, PartQueries(*(x.reshape(q, -1, x.shape[2]) for x in parts)), q * s, norm)
        ways.append(_mean((own * read).sum(dim=2), _shares(listed, own.dtype)).view(q, s))
    return ways[0] if len(ways) == 1 else (ways[0] + ways[1]) / 2
