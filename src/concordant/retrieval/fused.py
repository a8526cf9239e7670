"""Target-aware similarity on a GPU: refined parts are compared where they are made, and never stand in memory.

Two kernels: each part's attention on each image, and from it the refined parts in pieces of channels, of which only the
product with the target and the square are kept. No gradient follows them: `pairs` has the same in plain torch.
"""

# mypy: disable-error-code="untyped-decorator, no-untyped-call, unused-ignore, misc"
from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from concordant._precision import SMALLEST_NORM

_TYPES = {torch.float16, torch.bfloat16, torch.float32}
_LONGEST = 512
"""Tokens of an image that a block can hold."""


class _Blocks(NamedTuple):
    """What one program of the second kernel works on at a time."""

    rows: int
    """Parts."""
    channels: int
    tokens: int
    images: int
    """One after another, while the parts' gates and targets stay in registers."""
    warps: int


class Unusable(Exception):
    """The kernels do not compile or start: there is no C compiler, the GPU is too small, Triton does not know it, …"""


def serves(tokens: Tensor, keys: Tensor) -> bool:
    """Whether the kernels are made for images with these tokens (n, t, c) and keys (n, t, d)."""
    fits = {tokens.dtype, keys.dtype} <= _TYPES and 0 < tokens.shape[1] <= _LONGEST
    return tokens.is_cuda and torch.version.hip is None and fits


def pair_bytes(t: int, c: int, size: int) -> int:
    """What a part takes for each image that it is read on, in tokens of so many bytes a number."""
    blocks = _blocks(t, size)
    return _padded(t, blocks.tokens) * size + 8 * int(triton.cdiv(c, blocks.channels)) + 24


def cosines(
    queries: Tensor,
    gates: Tensor,
    shift: Tensor | None,
    target: Tensor,
    tokens: Tensor,
    keys: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """(m, r): the cosine between each of r parts, refined on each of m images, and its target of norm 1.

    Args:
        queries: P̂, (r, d).
        gates: (r, c).
        shift: (r, c), added to what the gates have multiplied.
        target: (r, c).
        tokens: T, (m, t, c).
        keys: T̂, (m, t, d).
        mask: (m, t), True for a real token.

    Raises: Unusable, with the reason. Memory that runs out is none: plain torch would take more.
    """
    if tokens.is_cuda and (capability := torch.cuda.get_device_capability(tokens.device)) < (8, 0):
        raise Unusable(f"they are made for NVIDIA's Ampere and later, of capability 8.0; got {capability}")
    (m, t, c), r = tokens.shape, len(queries)
    sums = tokens.new_empty(2, triton.cdiv(c, _blocks(t, tokens.element_size()).channels), m, r, dtype=torch.float32)
    if sums.numel():
        gates, target = gates.to(tokens.dtype).contiguous(), target.to(tokens.dtype).contiguous()
        shift = None if shift is None else shift.to(tokens.dtype).contiguous()
        try:
            with torch.cuda.device_of(tokens):
                _compare(_weights(queries, tokens, keys, mask), tokens, gates, target, shift, sums)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # Triton's, of any type
            raise Unusable(f"{type(error).__name__}: {error}") from error
    dot, square = sums.sum(dim=1)
    cosine: Tensor = dot.div_(square.sqrt_().clamp_min_(SMALLEST_NORM))
    return cosine


def _weights(queries: Tensor, tokens: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    """(m, r, t): attention, of the tokens' type, with zeros behind it up to a number of blocks."""
    (m, t, d), r, size = keys.shape, len(queries), tokens.element_size()
    queries, keys = (
        F.pad(x.to(keys), (0, -d % 16)).contiguous() for x in (queries, keys)
    )  # rows that are read 16 bytes a time
    weights = tokens.new_empty(m, r, _padded(t, _blocks(t, size).tokens))
    block = max(triton.next_power_of_2(weights.shape[2]), 16)
    rows = min(max((1 << 14) // block, 16), 64)
    _weigh[(triton.cdiv(r, rows) * m,)](
        queries,
        keys,
        None if mask is None else mask.contiguous(),
        weights,
        r,
        t,
        keys.shape[2],
        weights.shape[2],
        1 / math.sqrt(d),
        ROWS=rows,
        TOKENS=block,
        CHANNELS=32 if keys.element_size() == 4 else 64,
        PRECISION=_precision(),
        num_warps=8 if rows * block >= 1 << 14 else 4,
        num_stages=2,
    )
    return weights


def _compare(
    weights: Tensor, tokens: Tensor, gates: Tensor, target: Tensor, shift: Tensor | None, sums: Tensor
) -> None:
    """Fill `sums` (2, pieces of channels, m, r): the product with the target, and the square."""
    (m, r, padded), (_, t, c) = weights.shape, tokens.shape
    blocks, size, precision = _blocks(t, tokens.element_size()), tokens.element_size(), _precision()
    # All tokens of an image at once if two images fit, so that the next is read while this one is computed. Exact
    # products of float32 would run out of registers.
    at_once = 2 * padded * (blocks.rows + blocks.channels) * size <= _shared(tokens.device)
    at_once = at_once and not (size == 4 and precision == "ieee")
    grid = (triton.cdiv(c, blocks.channels), triton.cdiv(r, blocks.rows), triton.cdiv(m, blocks.images))
    _read[grid](
        weights,
        tokens,
        gates,
        target,
        shift,
        sums,
        m,
        r,
        t,
        c,
        *tokens.stride(),
        ROWS=blocks.rows,
        CHANNELS=blocks.channels,
        TOKENS=blocks.tokens,
        STEPS=padded // blocks.tokens,
        IMAGES=blocks.images,
        AT_ONCE=at_once,
        PRECISION=precision,
        num_warps=blocks.warps,
        num_stages=2 if at_once else 3,
    )


def _blocks(t: int, size: int) -> _Blocks:
    if size == 4:
        return _Blocks(64, 64, 32, 32, 4)
    return _Blocks(128, 128, 32 if t <= 96 else 64, 16, 8)


def _padded(t: int, block: int) -> int:
    return int(triton.cdiv(t, block)) * block


@cache
def _shared(device: torch.device) -> int:
    """Bytes that the tiles of a program can take."""
    if device.type == "cpu":  # Triton's interpreter
        return 1 << 17
    index = torch.cuda.current_device() if device.index is None else device.index
    return int(triton.runtime.driver.active.utils.get_device_properties(index)["max_shared_mem"])


def _precision() -> str:
    """How products of float32 are computed, as torch's own: exactly, or in tf32."""
    matmul: Any = torch.backends.cuda.matmul
    tf32 = matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32
    return "tf32" if tf32 else "ieee"


@triton.jit
def _weigh(  # type: ignore[no-untyped-def]
    queries,
    keys,
    mask,
    weights,
    r,
    t,
    d,
    padded,
    scale,
    ROWS: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """softmax(P̂ T̂ᵀ / √d) of a block of parts on an image."""
    blocks = tl.cdiv(r, ROWS)
    row, token = tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS), tl.arange(0, TOKENS)
    image = (tl.program_id(0) // blocks).to(tl.int64)
    real = token < t
    logits = tl.zeros((ROWS, TOKENS), tl.float32)
    for start in range(0, d, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        inside = channel < d
        query = tl.load(
            queries + row[:, None] * d + channel[None, :], mask=(row < r)[:, None] & inside[None, :], other=0.0
        )
        key = tl.load(
            keys + (image * t + token[None, :]) * d + channel[:, None],
            mask=inside[:, None] & (token < t)[None, :],
            other=0.0,
        )
        logits = tl.dot(query, key, logits, input_precision=PRECISION)
    if mask is not None:
        real = real & (tl.load(mask + image * t + token, mask=real, other=0) != 0)
    logits = tl.where(real[None, :], logits * scale, float("-inf"))
    top = tl.max(logits, 1)
    top = tl.where(top == float("-inf"), 0.0, top)
    exponential = tl.exp(logits - top[:, None])
    # Zero for padding also in an image without a real token, where this is 0/0.
    attention = tl.where(real[None, :], exponential / tl.sum(exponential, 1)[:, None], 0.0)
    tl.store(
        weights + (image * r + row[:, None]) * padded + token[None, :],
        attention.to(weights.dtype.element_ty),
        mask=(row < r)[:, None] & (token < padded)[None, :],
    )


@triton.jit
def _pool(  # type: ignore[no-untyped-def]
    pooled,
    weights,
    tokens,
    row,
    channel,
    token,
    r,
    t,
    c,
    padded,
    by_token,
    by_channel,
    PRECISION: tl.constexpr,
):
    """Add the tokens of a block, by their weights."""
    weight = tl.load(weights + row[:, None] * padded + token[None, :], mask=(row < r)[:, None], other=0.0)
    value = tl.load(
        tokens + token[:, None] * by_token + channel[None, :] * by_channel,
        mask=(token < t)[:, None] & (channel < c)[None, :],
        other=0.0,
    )
    return tl.dot(weight, value, pooled, input_precision=PRECISION)


@triton.jit
def _read(  # type: ignore[no-untyped-def]
    weights,
    tokens,
    gates,
    target,
    shift,
    sums,
    m,
    r,
    t,
    c,
    by_image,
    by_token,
    by_channel,
    ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
    TOKENS: tl.constexpr,
    STEPS: tl.constexpr,
    IMAGES: tl.constexpr,
    AT_ONCE: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A block of parts, in a piece of the channels, on several images."""
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    token = tl.arange(0, TOKENS)
    padded = STEPS * TOKENS
    inside = (row < r)[:, None] & (channel < c)[None, :]
    place = row.to(tl.int64)[:, None] * c + channel[None, :]
    gate = tl.load(gates + place, mask=inside, other=0.0)
    aim = tl.load(target + place, mask=inside, other=0.0)
    if shift is not None:
        summand = tl.load(shift + place, mask=inside, other=0.0)
    first = tl.program_id(2).to(tl.int64) * IMAGES
    for image in range(first, min(first + IMAGES, m)):
        its_weights, its_tokens = weights + image * r * padded, tokens + image * by_image
        pooled = tl.zeros((ROWS, CHANNELS), tl.float32)
        if AT_ONCE:
            for step in tl.static_range(STEPS):
                pooled = _pool(
                    pooled, its_weights, its_tokens, row, channel, step * TOKENS + token,
                    r, t, c, padded, by_token, by_channel, PRECISION,
                )  # fmt: skip
        else:
            for step in range(STEPS):
                pooled = _pool(
                    pooled, its_weights, its_tokens, row, channel, step * TOKENS + token,
                    r, t, c, padded, by_token, by_channel, PRECISION,
                )  # fmt: skip
        feature = pooled * gate.to(tl.float32)
        if shift is not None:
            feature += summand.to(tl.float32)
        place_of_sum = (tl.program_id(0) * m + image) * r + row
        tl.store(sums + place_of_sum, tl.sum(feature * aim.to(tl.float32), 1), mask=row < r)
        tl.store(
            sums + tl.num_programs(0).to(tl.int64) * m * r + place_of_sum, tl.sum(feature * feature, 1), mask=row < r
        )
