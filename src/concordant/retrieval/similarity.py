"""Target-aware retrieval: every pair compared through the parts of its query, its gallery image, or both."""

from __future__ import annotations

from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from concordant._checks import as_sizes, check_choice, check_shapes, checked, require
from concordant.layers.attention import PartAttention
from concordant.retrieval.encoded import Encoded
from concordant.retrieval.pairs import Attend, BatchNorm, Direction, Reading, all_pairs, listed_pairs

Norm: TypeAlias = BatchNorm | tuple[BatchNorm | None, BatchNorm | None]


@checked()
def target_aware_similarity(
    query: Encoded,
    gallery: Encoded,
    attention: PartAttention,
    *,
    direction: Direction = "both",
    norm: Norm | None = None,
    pairs: Int[Tensor, "q s"] | None = None,
    memory: int | None = None,
) -> Float[Tensor, "q n"]:
    """Compare queries with gallery images by parts that one of them owns and both are read with.

    Equation: for direction "query", the mean over parts k of the cosine between `A(T_g; P_q)_k` and `A(T_q; P_q)_k`;
    for "gallery" the same with the gallery image's parts; "both" is the mean of the two. The cosine with a zero vector
    is zero.

    Args:
        query: q images of `CAL.encode`.
        gallery: g images. The sides may differ in their numbers of tokens and parts, and each may be padded.
        attention: the model's `TSAA`.
        direction: whose parts read both images. The other side needs no part queries then, unless it is "both".
        norm: a batch normalisation over p·c features, in evaluation mode, which refined parts pass before they are
            compared: with a model's `CAL.part_norm` they are those that its classifiers learned on and that `CAL.embed`
            compares, as in `CAL.similarity`. Without it they are the equation's. Of a pair of norms, the first is for
            the parts of the queries, the second for those of the gallery; either may be None.
        pairs: (q, s), the rows of s gallery images for each query, such as its short list; −1 stands for none, whose
            similarity is −∞. By default each query is compared with the whole gallery.
        memory: bytes that intermediate results may take at most, by default 1 GiB on a GPU and 256 MiB elsewhere;
            pairs are worked through in chunks that fit. If there are several and a gradient is wanted, each chunk is
            computed again in the backward pass, so that a number a pair is all that stays between the passes. The
            gradients of both sides come on top. (Transforms of `torch.func` keep the intermediate results of all
            pairs.)

    Shape: → (q, g), or (q, s) for `pairs`; in −1 … 1.

    Raises: ValueError for shapes, types or devices that do not fit, owners without parts, or another direction.

    Edge cases: padding is not read, and the mean is over an image's real parts. Without a real part of its owner, the
    similarity by these parts is zero. The gradient at a zero vector is zero.

    On a GPU, and where no gradient is wanted, two kernels compute it and keep no refined part in memory: for float32
    (with `torch.backends.cuda.matmul.allow_tf32` in tf32), bfloat16 and float16, where Triton is installed. Where they
    do not compile or start, a warning says why, once for each device, and plain torch takes their place.

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
    how = check_reading(who, query, gallery, attention.attend, direction, norm, memory)
    if pairs is not None:
        check_shapes(who, query_tokens=(query.tokens, "q t c"), pairs=(pairs, "q s"))
    return all_pairs(query, gallery, how) if pairs is None else listed_pairs(query, gallery, pairs, how)


def check_reading(
    who: str,
    query: Encoded,
    gallery: Encoded,
    attend: Attend,
    direction: Direction,
    norm: Norm | None,
    memory: int | None,
) -> Reading:
    """Check two sides and how they are to be read."""
    check_choice(who, "direction", direction, ("query", "gallery", "both"))
    if memory is not None:
        (memory,) = as_sizes(who, memory=memory)
    norms = norm if isinstance(norm, tuple) else (norm, norm)
    require(len(norms) == 2, who, "`norm` must be one module or a pair", norms)
    channels: dict[str, tuple[Tensor, str]] = {}
    for name, side, pattern in (("query", query, "q t c"), ("gallery", gallery, "g s c")):
        require(isinstance(side, Encoded), who, f"`{name}` must be `Encoded`, of `CAL.encode`", type(side).__name__)
        channels.update(_patterns(name, side, *pattern.split()))
    sizes = check_shapes(who, **channels)
    for name, side, p, of in (("query", query, "p", norms[0]), ("gallery", gallery, "r", norms[1])):
        kind = side.tokens.dtype
        require(side.tokens.is_floating_point(), who, f"`{name}` must have tokens of floating point", kind)
        for mask in (side.mask, side.part_mask):
            boolean = mask is None or mask.dtype == torch.bool
            require(boolean, who, f"`{name}` must have boolean masks", None if mask is None else mask.dtype)
        if direction in (name, "both"):
            rule = f"`{name}` must have parts for direction {direction!r}"
            require(sizes[p] > 0, who, rule, sizes[p])
            _check_norm(who, name, of, sizes[p] * sizes["c"])
    _check_kinds(who, query, gallery)
    if memory is None:
        memory = 1 << (30 if query.tokens.is_cuda else 28)
    return Reading(attend, direction, norms, memory)


def _patterns(name: str, side: Encoded, n: str, t: str, c: str) -> dict[str, tuple[Tensor, str]]:
    """The tensors of a side and their letters; the number of parts is p for queries, r for the gallery."""
    p = "p" if n == "q" else "r"
    named = {
        "tokens": (side.tokens, f"{n} {t} {c}"),
        "keys": (side.keys, f"{n} {t} d"),
        "queries": (side.part_queries.queries, f"{n} {p} d"),
        "gates": (side.part_queries.gates, f"{n} {p} {c}"),
    }
    if side.mask is not None:
        named["mask"] = (side.mask, f"{n} {t}")
    if side.part_mask is not None:
        named["part_mask"] = (side.part_mask, f"{n} {p}")
    return {f"{name}_{field}": what for field, what in named.items()}


def _check_norm(who: str, name: str, norm: BatchNorm | None, features: int) -> None:
    """Check the norm of a side whose parts have so many numbers."""
    if norm is None:
        return
    fits = isinstance(norm, BatchNorm) and norm.running_mean is not None and not norm.training
    require(fits, who, "`norm` must be a batch normalisation in evaluation mode, with running statistics", norm)
    rule = f"`norm` must be of p·c = {norm.num_features} features, as the parts of `{name}` are"
    require(norm.num_features == features, who, rule, features)


def _check_kinds(who: str, query: Encoded, gallery: Encoded) -> None:
    """Check that both sides are of one type and on one device."""
    for name, one, other in (
        ("tokens", query.tokens, gallery.tokens),
        ("keys", query.keys, gallery.keys),
        ("queries", query.part_queries.queries, gallery.part_queries.queries),
    ):
        (a, here), (b, there) = (one.dtype, one.device), (other.dtype, other.device)
        rule = f"`gallery_{name}` must be of the type and on the device of `query_{name}`, {a} on {here}"
        require(a == b and here == there, who, rule, f"{b} on {there}")
