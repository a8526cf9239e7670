"""Is the attention sound? Accuracy does not show whether maps have collapsed, sit on the border, or never move."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import as_grid, checked
from concordant._mask import keep_maps
from concordant._precision import full_precision, unit, upcast

LEAST_SHIFT = 1e-4
"""Maps whose content moves less than this, a share of an image's height or width, say nothing about following."""


class AttentionStatistics(NamedTuple):
    """How attention maps spread over tokens, and how much those of different parts overlap."""

    entropy: Float[Tensor, ""]
    """Mean entropy of a map, as a share of ln t: 1 if all tokens have the same weight, 0 if one has all of it."""
    overlap: Float[Tensor, ""]
    """Mean cosine of the maps of two different parts: 1 if all parts have the same map, 0 if no token is shared."""


@checked()
def attention_statistics(
    attention: Float[Tensor, "b p t"],
    *,
    mask: Bool[Tensor, "b t"] | None = None,
    part_mask: Bool[Tensor, "b p"] | None = None,
) -> AttentionStatistics:
    """Measure whether attention maps have collapsed: onto single tokens, onto all of them, or onto each other.

    Equation, over the images and parts of the batch::

        entropy = mean of −Σ_t A_pt ln A_pt / ln t
        overlap = mean of cos(A_u, A_v) over the parts u ≠ v

    Args:
        attention: A, (b, p, t), each map positive with sum 1 over tokens. No gradient flows.
        mask: (b, t), True for a real token: t in the equation is each image's number of them.
        part_mask: (b, p), True for a real part: the means are over the real ones, and over pairs of them.

    Shape: → AttentionStatistics(entropy (), overlap ()), in 0 … 1, on the device of the maps.

    Raises: ValueError for another shape or type.

    Edge cases: one token gives an entropy of 0, one part an overlap of 0, and an empty batch 0 for both. An image
    without a real token is left out.

    Reference: none; our addition.

    >>> statistics = attention_statistics(torch.tensor([[[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]]))
    >>> statistics.entropy.item(), statistics.overlap.item()
    (0.25, 0.0)
    """
    b, _, t = attention.shape
    with full_precision(attention):
        maps = keep_maps(upcast(attention.detach()), part_mask, mask)
        tokens = maps.new_full((), t) if mask is None else mask.sum(dim=1).to(maps.dtype)
        largest = torch.where(tokens > 1, tokens.log(), torch.inf).expand(b)
        real = maps.new_ones(maps.shape[:2]) if part_mask is None else part_mask.to(maps.dtype)
        real = real * (tokens > 0).expand(b)[:, None]
        numbers = real.sum(dim=1)
        entropy = (torch.special.entr(maps).sum(dim=(1, 2)) / largest).sum() / numbers.sum().clamp_min(1)
        directions = unit(maps)
        cosines = directions @ directions.transpose(1, 2)
        overlap = cosines.triu(diagonal=1).sum() / (numbers * (numbers - 1) / 2).sum().clamp_min(1)
        return AttentionStatistics(entropy, overlap)


class BorderShare(NamedTuple):
    """How much of the attention lies on the outermost tokens, beside what uniform attention has there."""

    parts: Float[Tensor, " p"]
    """The share of each part's attention, 0 … 1."""
    uniform: Float[Tensor, ""]
    """The share of uniform attention: that of these tokens among all."""


@checked()
def border_share(attention: Float[Tensor, "b p t"], *, grid: tuple[int, int]) -> BorderShare:
    """Measure how much of each part's attention lies on the outermost ring of tokens.

    Parts can settle there, most of all in the corners: zeros around an image make these tokens easy to tell from all
    others. Entropy and overlap do not show it.

    Equation, the sum over the tokens in the first and last row and column, the mean over the images::

        parts   = mean of Σ_{t on the border} A_pt
        uniform = number of tokens on the border / number of tokens

    Args:
        attention: A, (b, p, t), each map positive with sum 1 over tokens. No gradient flows.
        grid: (h, w), the rows and columns of tokens, h·w = t.

    Shape: → BorderShare(parts (p,), uniform ()), in 0 … 1, on the device of the maps.

    Raises: ValueError for another shape or type, or a grid that does not have t tokens.

    Edge cases: in a grid of at most two rows or columns all tokens are on the border. An empty batch gives 0.

    Reference: none; our addition.

    >>> corner, middle = torch.zeros(2, 3, 3)
    >>> corner[0, 0] = middle[1, 1] = 1
    >>> share = border_share(torch.stack([corner, middle]).flatten(1)[None], grid=(3, 3))
    >>> share.parts.tolist(), round(share.uniform.item(), 3)
    ([1.0, 0.0], 0.889)
    """
    h, w = as_grid("border_share", grid, attention.shape[2])
    with full_precision(attention):
        maps = upcast(attention.detach()).unflatten(2, (h, w))
        within = maps[:, :, 1 : h - 1, 1 : w - 1].sum(dim=(2, 3))
        border = (maps.sum(dim=(2, 3)) - within).clamp_min(0).sum(dim=0) / max(len(maps), 1)
        return BorderShare(border, border.new_full((), 1 - max(h - 2, 0) * max(w - 2, 0) / (h * w)))


@checked()
def attention_follows(
    attention: Float[Tensor, "b p t"],
    seen: Float[Tensor, "b p t"],
    crops: Float[Tensor, "b 2 2"],
    *,
    grid: tuple[int, int],
) -> Float[Tensor, " p"]:
    """Measure how far each part's attention moves with the content: 1 if it follows it, 0 if it is a stencil.

    A stencil has the same map on every image. Where people stand in the middle of images, it looks like a part of
    them. It is told from one by what the model attends to in a crop of the image, resized to the size of the whole.

    Equation, the sums over both axes and over the images in which more than half of a map's mass is in the crop::

        follows = Σ (want − c)·(got − c) / Σ ‖want − c‖²

    c is the map's center of mass on the image, `got` that on the crop. `want` is where the crop has the content that
    the map is on: the center of what lies within the crop of the map on the image, mapped to the crop. A token's mass
    is spread evenly over its cell. Places are shares of height and width.

    Args:
        attention: the maps on the images, (b, p, t), positive with sum 1 over tokens. No gradient flows.
        seen: the maps on what `resized_crop` makes of the images, (b, p, t).
        crops: (b, 2, 2), (top, bottom) and (left, right) as shares, of `draw_crops`; a mirrored one has left > right.
        grid: (h, w), the rows and columns of tokens, h·w = t.

    Shape: → (p,), on the device of the maps. Noise, or maps that move further than the content, can give less than 0
    or more than 1.

    Raises: ValueError for shapes that do not fit, another type, or a grid that does not have t tokens.

    Edge cases: 0 if nothing shows that a part follows, so that it is looked into: where no crop has more than half of
    its map, as with a map on the border or on opposite ends, or where the content does not move, as with uniform maps,
    whole images as crops, and an empty batch. A map without mass is nowhere, and left out.

    Reference: none; our addition.

    >>> attention = torch.tensor([[[0.0, 1.0, 0.0, 0.0]]])
    >>> left_half = torch.tensor([[[0.0, 1.0], [0.0, 0.5]]])
    >>> attention_follows(attention, torch.tensor([[[0.0, 0.0, 0.5, 0.5]]]), left_half, grid=(1, 4)).item()
    1.0
    >>> attention_follows(attention, attention, left_half, grid=(1, 4)).item()
    0.0
    """
    h, w = as_grid("attention_follows", grid, attention.shape[2])
    with full_precision(attention):
        maps, shown = (upcast(each.detach()).unflatten(2, (h, w)) for each in (attention, seen))
        ends = crops.detach().to(maps.dtype)
        whole = torch.tensor([0.0, 1.0], dtype=ends.dtype, device=ends.device).expand(len(maps), 2)
        (_, rows), (_, columns) = (_cells(whole, size) for size in (h, w))
        (high, down), (wide, across) = (_cells(ends[:, axis], size) for axis, size in enumerate((h, w)))
        inside = maps * high[:, None, :, None] * wide[:, None, None, :]
        start = _center(maps, rows, columns)
        want, got = _center(inside, down, across) - start, _center(shown, rows, columns) - start
        counts = 2 * inside.sum(dim=(2, 3)) > maps.sum(dim=(2, 3))
        both = torch.where(counts, (want * got).sum(dim=2), 0.0).sum(dim=0)
        moved = torch.where(counts, want.square().sum(dim=2), 0.0).sum(dim=0)
        return both / moved.clamp_min(LEAST_SHIFT**2)


def _cells(ends: Float[Tensor, "b 2"], size: int) -> tuple[Float[Tensor, "b size"], Float[Tensor, "b size"]]:
    """How much of each cell of an axis lies within a crop, and where in the crop the middle of that piece is."""
    edges = torch.arange(size + 1, dtype=ends.dtype, device=ends.device) / size
    pieces = torch.stack([edges[:-1].maximum(ends.amin(dim=1)[:, None]), edges[1:].minimum(ends.amax(dim=1)[:, None])])
    length = ends[:, 1:] - ends[:, :1]
    places = (pieces.mean(dim=0) - ends[:, :1]) / torch.where(length == 0, 1.0, length)
    return size * (pieces[1] - pieces[0]).relu(), places


def _center(
    maps: Float[Tensor, "b p h w"], rows: Float[Tensor, "b h"], columns: Float[Tensor, "b w"]
) -> Float[Tensor, "b p 2"]:
    """The centers of mass, of cells whose places are given for each axis. A map without mass has its center at 0."""
    moments = [(maps.sum(dim=dim) * places[:, None]).sum(dim=2) for dim, places in ((3, rows), (2, columns))]
    mass = maps.sum(dim=(2, 3))
    return torch.stack(moments, dim=2) / torch.where(mass == 0, 1.0, mass)[:, :, None]
