"""Crops: where they lie, and what they show."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from concordant import draw_crops, draw_views, resized_crop
from support.models import close
from support.strategies import SEEDS


def literally(images: Tensor, crops: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel by pixel, in float64."""
    n, c, *whole = images.shape
    out = torch.zeros(n, c, *size, dtype=torch.float64)
    for row in range(n):
        for i in range(size[0]):
            for j in range(size[1]):
                near = []
                for axis, index in enumerate((i, j)):
                    start, end = crops[row, axis].tolist()
                    at = (start + (end - start) * (index + 0.5) / size[axis]) * whole[axis] - 0.5
                    at = min(max(at, 0.0), whole[axis] - 1.0)
                    low = min(math.floor(at), whole[axis] - 1)
                    high = min(low + 1, whole[axis] - 1)
                    near.append(((low, 1 - (at - low)), (high, at - low)))
                for y, wy in near[0]:
                    for x, wx in near[1]:
                        out[row, :, i, j] += wy * wx * images[row, :, y, x].double()
    return out


def draws(n: int, seed: int, **settings: Any) -> Tensor:
    return draw_crops(n, generator=torch.Generator().manual_seed(seed), **settings)


SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(st.integers(0, 3), SIZES, SIZES, SEEDS)
def test_agrees_with_the_loop(n: int, whole: tuple[int, int], size: tuple[int, int], seed: int) -> None:
    images = torch.randn(n, 2, *whole, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    crops = draws(n, seed, mirror=0.5).double()
    close(resized_crop(images, crops, size), literally(images, crops, size))


@given(SEEDS)
def test_agrees_with_grid_sample(seed: int) -> None:
    images = torch.randn(4, 3, 12, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    crops = draws(4, seed).double()
    theta = torch.zeros(4, 2, 3, dtype=torch.float64)
    for axis, row in ((0, 1), (1, 0)):  # torch has x first, and the middle at zero
        theta[:, row, row] = crops[:, axis, 1] - crops[:, axis, 0]
        theta[:, row, 2] = crops[:, axis].sum(dim=1) - 1
    grid = F.affine_grid(theta, [4, 3, 12, 8], align_corners=False)
    expected = F.grid_sample(images, grid, align_corners=False, padding_mode="border")
    close(resized_crop(images, crops), expected)


def test_the_whole_and_its_mirror_image() -> None:
    images = torch.randn(2, 3, 5, 4)
    whole = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    shown = resized_crop(images, whole)
    close(shown[0], images[0])
    close(shown[1], images[1].flip(2))


@given(st.integers(0, 20), SEEDS, st.floats(0.05, 1), st.floats(0, 1))
def test_crops_lie_within_and_have_the_scale_asked_for(n: int, seed: int, least: float, more: float) -> None:
    scale = (least, min(least + more, 1.0))
    crops = draws(n, seed, scale=scale)
    assert crops.shape == (n, 2, 2)
    assert (crops >= 0).all()
    assert (crops <= 1 + 1e-6).all()
    sides = (crops[:, :, 1] - crops[:, :, 0]).abs()
    torch.testing.assert_close(sides[:, 0], sides[:, 1])
    assert (sides >= scale[0] - 1e-6).all()
    assert (sides <= scale[1] + 1e-6).all()
    assert (crops[:, 0, 0] < crops[:, 0, 1]).all()


def test_as_many_are_mirrored_as_asked_and_places_are_even() -> None:
    crops = draws(4000, 0, mirror=0.25)
    mirrored = (crops[:, 1, 0] > crops[:, 1, 1]).float().mean()
    assert abs(mirrored - 0.25) < 0.03
    middle = crops.mean(dim=2)
    assert (middle.mean(dim=0) - 0.5).abs().max() < 0.01
    for chance, expected in ((0.0, 0), (1.0, 10)):
        assert (draws(10, 0, mirror=chance)[:, 1].diff() < 0).sum() == expected


def test_same_generator_same_crops() -> None:
    torch.testing.assert_close(draws(5, 3), draws(5, 3), rtol=0, atol=0)
    assert not torch.equal(draws(5, 3), draws(5, 4))


@given(SEEDS)
def test_any_derivative_exists(seed: int) -> None:
    images = torch.randn(2, 1, 4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    crops = draws(2, seed).double()
    inputs = (images.requires_grad_(),)
    assert torch.autograd.gradcheck(lambda x: resized_crop(x, crops).square(), inputs)
    assert torch.autograd.gradgradcheck(lambda x: resized_crop(x, crops).square(), inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_single(dtype: torch.dtype) -> None:
    images, crops = torch.rand(2, 3, 4, 4), draws(2, 0)
    shown = resized_crop(images.to(dtype), crops)
    assert shown.dtype == torch.float32
    close(shown, resized_crop(images.to(dtype).float(), crops))


@given(st.integers(0, 9), st.floats(0, 1), SEEDS)
def test_views_are_crops_of_some_rows(n: int, share: float, seed: int) -> None:
    views = draw_views(n, share=share, generator=torch.Generator().manual_seed(seed))
    assert len(views.rows) == len(views.crops) == math.ceil(share * n)
    assert len({*views.rows.tolist()} & {*range(n)}) == len(views.rows)


def test_every_row_is_seen_alike_often() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat([draw_views(8, share=0.25, generator=generator).rows for _ in range(1000)])
    assert (rows.bincount(minlength=8) - 250).abs().max() < 60
