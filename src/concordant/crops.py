"""Crops of images and maps: drawn at random, and looked at in the size of the whole."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant._checks import as_sizes, check_number, checked, require
from concordant._precision import full_precision, upcast


def draw_crops(
    n: int,
    *,
    scale: tuple[float, float] = (0.6, 0.95),
    mirror: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "n 2 2"]:
    """Random crops that lie within an image, some of them mirrored.

    Equation: `s ~ Uniform(scale)`, `start ~ Uniform(0, 1 − s)` for each axis, `end = start + s`; with probability
    `mirror` left and right change places.

    Args:
        n: how many.
        scale: smallest and largest side of a crop, as a share of the image's; both axes have the same.
        mirror: probability of a mirror image.
        generator: where the draw comes from; by default torch's global one.
        device: of the crops; by default the generator's.

    Shape: → (n, 2, 2): (top, bottom) and (left, right) as shares of height and width. A mirrored crop has left > right.

    Raises: ValueError for bad settings.

    Reference: none; our addition. See `equivariance_loss`.

    >>> crops = draw_crops(3, generator=torch.Generator().manual_seed(0))
    >>> crops.shape, bool((crops >= 0).all() and (crops <= 1).all())
    (torch.Size([3, 2, 2]), True)
    """
    if n != 0:
        (n,) = as_sizes("draw_crops", n=n)
    ordered = isinstance(scale, tuple | list) and len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1
    require(ordered, "draw_crops", "`scale` must be (least, greatest) within 0 … 1, above 0", scale)
    check_number("draw_crops", mirror=mirror, at_least=0)
    draws = _uniform(n, 4, generator=generator, device=device)
    side = scale[0] + (scale[1] - scale[0]) * draws[:, :1]
    start = (1 - side) * draws[:, 1:3]
    crops = torch.stack([start, start + side], dim=2)
    mirrored = torch.stack([crops[:, 0], crops[:, 1].flip(1)], dim=1)
    return torch.where((draws[:, 3] < mirror)[:, None, None], mirrored, crops)


@checked()
def resized_crop(
    images: Float[Tensor, "n c h w"], crops: Float[Tensor, "n 2 2"], size: tuple[int, int] | None = None
) -> Float[Tensor, "n c h w"]:
    """The crop of each image or map, resized to the size of the whole, or to another.

    Equation: output pixel i of m lies at `x = start + (end − start)·(i + ½)/m` of the image's axis; its value is
    interpolated linearly between the two pixels whose centers are nearest, and beyond the outermost centers it is
    theirs.

    Args:
        images: (n, c, h, w).
        crops: (n, 2, 2): (top, bottom) and (left, right) as shares of height and width, of `draw_crops`.
        size: (height, width) of what comes out; by default (h, w).

    Shape: → (n, c, h, w), or of `size`.

    Raises: ValueError for shapes that do not fit or integer types.

    Resizing to a crop's own size or larger is what it is for: smaller sizes skip pixels.

    Reference: none; our addition. It is a matrix product for each axis, so that any derivative of it exists.

    >>> image = torch.arange(4.0).reshape(1, 1, 1, 4)
    >>> resized_crop(image, torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])).flatten().tolist()
    [3.0, 2.0, 1.0, 0.0]
    """
    h, w = images.shape[2:] if size is None else as_sizes("resized_crop", height=size[0], width=size[1])
    with full_precision(images):
        values, crops = upcast(images), upcast(crops)
        down, across = (_interpolation(crops[:, axis], images.shape[2 + axis], (h, w)[axis]) for axis in (0, 1))
        down, across = down.to(values.dtype), across.to(values.dtype)
        return down[:, None] @ values @ across[:, None].transpose(2, 3)


def _interpolation(ends: Float[Tensor, "n 2"], size: int, wanted: int) -> Float[Tensor, "n wanted size"]:
    """Each output pixel's weights on the pixels of an axis, of one crop a row."""
    places = (torch.arange(wanted, dtype=ends.dtype, device=ends.device) + 0.5) / wanted
    at = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * places
    at = (at * size - 0.5).clamp(0, max(size - 1, 0))
    return (1 - (at[:, :, None] - torch.arange(size, dtype=ends.dtype, device=ends.device)).abs()).relu()


def is_cropped(crops: Float[Tensor, "n 2 2"]) -> Bool[Tensor, "n"]:
    """Which crops are not all of the image as it is."""
    return (crops != all_of_it(crops)).flatten(1).any(dim=1)


def all_of_it(like: Tensor) -> Float[Tensor, "2"]:
    """The crop of an axis that is all of it, 0 to 1: made on the device, to which numbers would have to be copied."""
    return torch.arange(2, dtype=like.dtype, device=like.device)


class Views(NamedTuple):
    """Which images of a batch are seen a second time, and through which crops: for `CAL.forward`."""

    rows: Int[Tensor, "m"]
    """Rows of the batch, each at most once."""
    crops: Float[Tensor, "m 2 2"]
    """Of each of them, as `draw_crops` gives them."""


def draw_views(
    n: int,
    *,
    share: float = 0.5,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Views:
    """Random crops of random images of a batch.

    Equation: `m = ⌈share · n⌉` rows without repetition, each equally likely; crops by `draw_crops`.

    Args:
        n: how many images the batch has.
        share: of the images that are seen a second time, 0 to 1.
        generator: where the draws come from; by default torch's global one.
        device: of rows and crops; by default the generator's.

    Shape: → Views(rows (m,), crops (m, 2, 2)).

    Raises: ValueError for bad settings.

    Reference: none; our addition. See `equivariance_loss`.

    >>> views = draw_views(4)
    >>> views.rows.shape, views.crops.shape
    (torch.Size([2]), torch.Size([2, 2, 2]))
    """
    if n != 0:
        (n,) = as_sizes("draw_views", n=n)
    check_number("draw_views", share=share, at_least=0)
    require(share <= 1, "draw_views", "`share` must be at most 1", share)
    rows = _uniform(n, generator=generator, device=device).argsort()[: math.ceil(share * n)]
    return Views(rows, draw_crops(len(rows), generator=generator, device=rows.device))


def _uniform(*size: int, generator: torch.Generator | None, device: torch.device | str | None) -> Tensor:
    """Numbers in 0 … 1, drawn where the generator is."""
    source = device if generator is None else generator.device
    # Not `torch.rand`, which takes no symbolic sizes with a generator.
    return torch.empty(size, device=source).uniform_(generator=generator).to(device or source or "cpu")
