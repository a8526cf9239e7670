"""Target-aware similarity of all pairs, or of lists of pairs, in chunks that fit a memory.

With a gradient, chunks are computed again in the backward pass: one number a pair stays between the passes. Without
one, all chunks share a buffer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from textwrap import shorten
from types import ModuleType
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


def _chunks(owner: Encoded, other: Encoded, memory: int, pair: int, image: int = 0) -> tuple[int, int]:
    """Images of either side that make a chunk: as many as can be, as each serves all of the other side's.

    `pair` is the bytes of each of the owner's parts on each image, `image` those of each image of either side.
    """
    n, m, pair = len(owner), len(other), pair * owner.part_queries.queries.shape[1]
    if n * m * pair + (n + m) * image <= memory:
        return max(n, 1), max(m, 1)
    share = image / pair
    rows = max(min(n, round((memory / pair + share**2) ** 0.5 - share)), 1)
    return rows, max(min(m, (memory - rows * image) // (rows * pair + image)), 1)


def _without_gradient(owner: Encoded, other: Encoded, attend: Attend, norm: BatchNorm | None, memory: int) -> Tensor:
    """(owner, other): the mean cosine over the owner's parts, read on both images."""
    device = other.tokens.device
    if device not in _WITHOUT_KERNELS and (kernels := _kernels(other.tokens, other.keys)) is not None:
        try:
            return _in_chunks(owner, other, attend, norm, memory, kernels)
        except kernels.Unusable as problem:
            _WITHOUT_KERNELS.add(device)
            reason = shorten(str(problem), 300, placeholder=" …")
            warnings.warn(
                f"target_aware_similarity: plain torch takes the place of the kernels on {device}, and more memory and "
                f"time; {reason}",
                stacklevel=2,
            )
    return _in_chunks(owner, other, attend, norm, memory, None)


_WITHOUT_KERNELS: set[torch.device] = set()
"""Devices that kernels were tried on and do not run on."""


def _in_chunks(
    owner: Encoded,
    other: Encoded,
    attend: Attend,
    norm: BatchNorm | None,
    memory: int,
    kernels: ModuleType | None,
) -> Tensor:
    """The same, by kernels or in plain torch."""
    p, (t, c), d = owner.part_queries.queries.shape[1], other.tokens.shape[1:], other.keys.shape[2]
    wide = upcast(owner.tokens[:0])
    similarity = wide.new_empty(len(owner), len(other))
    cosines: Callable[..., Tensor]
    if kernels is not None:
        # Beside a chunk's pairs: its owners' parts, refined, of norm 1, and in the tokens' type; and longer keys.
        image = wide.element_size() * max(p * (6 * c + 3 * owner.tokens.shape[1] + d + 16), t * (d + 16))
        rows, columns = _chunks(owner, other, memory, kernels.pair_bytes(t, c, other.tokens.element_size()), image)
        cosines = kernels.cosines
    else:
        memory = min(memory, _CACHE) if wide.device.type == "cpu" else memory
        rows, columns = _chunks(owner, other, memory, wide.element_size() * (2 * t + c + d))
        # One buffer for every chunk: to allocate it anew takes as long as to fill it.
        cosines = partial(_cosines, buffer=other.tokens.new_empty(columns, rows * p, c))
    with torch.no_grad():
        for i in range(0, len(owner), rows):
            owned = _own(owner[i : i + rows], attend, norm)
            for j in range(0, len(other), columns):
                x = other[j : j + columns]
                found = _read(*owned, x.tokens, x.keys, x.mask, cosines=cosines)
                similarity[i : i + rows, j : j + columns] = found.T
    return similarity


def _kernels(tokens: Tensor, keys: Tensor) -> ModuleType | None:
    """The module of GPU kernels, where it serves images with these tokens and keys."""
    if not tokens.is_cuda or find_spec("triton") is None:
        return None
    import concordant.retrieval.fused as fused  # only here: it imports Triton, which takes time and may be missing

    return fused if fused.serves(tokens, keys) else None


def _with_gradient(owner: Encoded, other: Encoded, attend: Attend, norm: BatchNorm | None, memory: int) -> Tensor:
    """The same, of operations that a gradient can follow."""
    (t, c), d = other.tokens.shape[1:], other.keys.shape[2]
    # At the peak of a backward pass: maps and their gradients; what was averaged, gated, and multiplied, with theirs.
    pair = upcast(owner.tokens[:0]).element_size() * (3 * t + 6 * c + 2 * d)
    rows, columns = _chunks(owner, other, memory, pair)
    several = rows < len(owner) or columns < len(other)
    owners, others = (owner.split(rows), other.split(columns)) if several else ([owner], [other])
    table = []
    for own in owners:
        owned = _own(own, attend, norm)
        table.append(torch.cat([_run(_read, several, *owned, x.tokens, x.keys, x.mask) for x in others]))
    return torch.cat(table, dim=1).T if several else table[0].T


def _cosines(
    queries: Tensor,
    gates: Tensor,
    shift: Tensor | None,
    target: Tensor,
    tokens: Tensor,
    keys: Tensor,
    mask: Tensor | None,
    buffer: Tensor | None = None,
) -> Tensor:
    """(m, r): the cosine of each of r parts, refined on m images, with its target; no gradient follows a buffer."""
    if buffer is not None:
        buffer = buffer[: len(tokens), : len(queries)]
    weights = spatial_similarity(queries.expand(len(keys), -1, -1), keys, mask).to(tokens.dtype)
    features = torch.bmm(weights, tokens, out=buffer)
    if shift is None:
        features = torch.mul(features, gates, out=buffer)
    else:
        features = torch.addcmul(shift, features, gates, out=buffer)
    if buffer is None:
        features = upcast(features)
        length = lengths(features)
    else:
        length = torch.linalg.vector_norm(features, dim=2, dtype=target.dtype)
    dot = torch.mul(features, target, out=buffer).sum(dim=2, dtype=target.dtype)
    return dot / length.clamp_min(SMALLEST_NORM)


def _read(
    queries: Tensor,
    gates: Tensor,
    shift: Tensor | None,
    target: Tensor,
    share: Tensor | None,
    tokens: Tensor,
    keys: Tensor,
    mask: Tensor | None,
    cosines: Callable[..., Tensor] = _cosines,
) -> Tensor:
    """(m, r): r owners of parts against m other images."""
    cosine = cosines(queries, gates, shift, target.flatten(0, 1), tokens, keys, mask)
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
