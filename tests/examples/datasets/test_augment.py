"""Batched augmentation: each operation against what it should do to every single image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from support.strategies import SEEDS
from vireid.config import AugmentSettings, DataSettings
from vireid.datasets.augment import (
    DRAWS,
    LUMA,
    MEAN,
    STD,
    Augment,
    augment_together,
    crop_and_flip,
    erasing_boxes,
    exchange_channels_,
    normalise,
)

OFF: dict[str, Any] = {"pad": 0, "flip": 0.0, "exchange": 0.0, "erase": 0.0}


def _images(n: int = 6, height: int = 12, width: int = 8) -> Tensor:
    return torch.randint(1, 256, (n, height, width, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def _masks(boxes: Tensor, height: int, width: int) -> Tensor:
    """Rectangles [n 4] as [n h w]."""
    top, left, bottom, right = boxes[:, :, None, None].unbind(1)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


def _draws(n: int, **columns: float) -> Tensor:
    names = ("y", "x", "flip", "exchange", "channel", "erase", "area", "ratio", "top", "left")
    return torch.tensor([[columns.get(name, 0.5) for name in names]]).expand(n, DRAWS)


def test_normalise_takes_both_layouts() -> None:
    images = _images()
    expected = ((images.permute(0, 3, 1, 2) / 255.0) - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(
        3, 1, 1
    )
    torch.testing.assert_close(normalise(images), expected)
    torch.testing.assert_close(normalise(images.permute(0, 3, 1, 2)), expected)
    assert normalise(images).dtype == torch.float32
    assert normalise(images[:0]).shape == (0, 3, 12, 8)


def test_everything_off_is_the_test_transform() -> None:
    images, modality = _images(), torch.zeros(6, dtype=torch.long)
    before = images.clone()
    torch.testing.assert_close(Augment(AugmentSettings(**OFF))(images, modality), normalise(images), rtol=0, atol=0)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("y", "x", "flip"), [(0.0, 0.0, 0.9), (0.999999, 0.3, 0.9), (0.5, 0.999999, 0.1), (0.7, 0.1, 0.1)]
)
def test_crop_and_flip_are_those_of_a_padded_image(y: float, x: float, flip: float) -> None:
    images, pad = _images(), 3
    moved = crop_and_flip(images, _draws(6, y=y, x=x, flip=flip)[:, :3], pad=pad, flip=0.5)
    padded = np.pad(images.numpy(), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    top, left = int(y * 7), int(x * 7)
    expected = padded[:, top : top + 12, left : left + 8]
    np.testing.assert_array_equal(moved.numpy(), expected[:, :, ::-1] if flip < 0.5 else expected)


def test_every_shift_is_as_likely_and_images_differ() -> None:
    image = torch.arange(1, 13, dtype=torch.uint8)[None, :, None, None].expand(4000, 12, 8, 3)
    draws = torch.rand(4000, 3, generator=torch.Generator().manual_seed(1))
    first_row = crop_and_flip(image, draws, pad=2, flip=0.5)[:, :, 4, 0].int()
    shift = first_row[:, 6] - 7
    counts = torch.bincount(shift + 2, minlength=5)
    assert len(counts) == 5
    assert ((counts - 800).abs() < 120).all()


@pytest.mark.parametrize("mix", [0, 1, 2, 3])
def test_exchange_puts_one_channel_or_grey_in_all(mix: int) -> None:
    images = _images()
    chosen = torch.tensor([True, False, True, True, False, True])
    out = images.clone()
    exchange_channels_(out, torch.full((6,), mix / 4 + 0.1), chosen)
    weights = torch.eye(3)[mix] if mix < 3 else torch.tensor(LUMA)
    expected = (images.double() * weights).sum(3, keepdim=True).expand(-1, -1, -1, 3)
    assert (out[chosen] - expected[chosen]).abs().max() <= 0.5 + 1e-4
    assert torch.equal(out[~chosen], images[~chosen])


def test_only_visible_images_lose_their_colours() -> None:
    images, modality = _images(), torch.tensor([0, 1, 0, 1, 1, 0])
    out = Augment(AugmentSettings(**{**OFF, "exchange": 1.0}))(images, modality, torch.Generator().manual_seed(0))
    pixels = out * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    colourless = (pixels - pixels[:, :1]).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert colourless.tolist() == [True, False, True, False, False, True]
    assert torch.equal(out[modality == 1], normalise(images)[modality == 1])


def test_erasing_keeps_to_area_ratio_and_image() -> None:
    draws = torch.rand(3000, 4, generator=torch.Generator().manual_seed(2))
    boxes = erasing_boxes(draws, 96, 48, area=(0.02, 0.2), ratio=(0.5, 2.0))
    assert bool((boxes[:, :2] >= 0).all())
    assert bool((boxes[:, 2:] <= torch.tensor([96, 48])).all())
    rows, columns = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    share = rows * columns / (96 * 48)
    assert 0.015 < share.min() < 0.03
    assert 0.17 < share.max() < 0.21
    ratio = rows / columns
    assert 0.4 < ratio.min() < 0.6
    assert 1.7 < ratio.max() < 2.4
    assert abs(float((ratio > 1).float().mean()) - 0.5) < 0.05  # log-uniform: as often tall as wide
    assert _masks(erasing_boxes(draws, 12, 8, area=(0.02, 0.2), ratio=(0.5, 2.0)), 12, 8).any(0).all()  # anywhere
    tall = erasing_boxes(draws, 96, 48, area=(0.9, 1.0), ratio=(9.0, 9.0))
    assert (tall[:, 2] - tall[:, 0] == 96).all()


def test_erased_pixels_are_the_mean_colour_and_the_others_are_kept() -> None:
    images, modality = _images(200), torch.ones(200, dtype=torch.long)
    augment = Augment(AugmentSettings(**{**OFF, "erase": 0.4}))
    draws = augment.draw(200, torch.Generator().manual_seed(3))
    out, plain = augment(images, modality, draws=draws), normalise(images)
    area, ratio = augment.settings.erase_area, augment.settings.erase_ratio
    boxes = erasing_boxes(draws[:, 6:], 12, 8, area=area, ratio=ratio)
    erased = (draws[:, 5] < 0.4)[:, None, None] & _masks(boxes, 12, 8)
    assert 50 < int(erased.any((1, 2)).sum()) < 110
    assert torch.equal(out, plain.masked_fill(erased[:, None], 0.0))


def test_probabilities() -> None:
    images, modality = _images(2000, 4, 4), torch.zeros(2000, dtype=torch.long)
    generator = torch.Generator().manual_seed(4)
    plain = normalise(images)
    flipped = Augment(AugmentSettings(**{**OFF, "flip": 0.3}))(images, modality, generator)
    share = (flipped == plain.flip(3)).flatten(1).all(1).float().mean()
    assert abs(float(share) - 0.3) < 0.05
    grey = Augment(AugmentSettings(**{**OFF, "exchange": 0.7}))(images, modality, generator)
    assert abs(float((grey != plain).flatten(1).any(1).float().mean()) - 0.7) < 0.05


def test_the_same_generator_gives_the_same_batch() -> None:
    images, modality = _images(), torch.tensor([0, 0, 0, 1, 1, 1])
    augment = Augment(AugmentSettings(pad=2))
    first, again, other = (augment(images, modality, torch.Generator().manual_seed(s)) for s in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    augment(images, modality, torch.Generator())
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone


def test_layout_of_the_input_is_no_matter() -> None:
    images, modality = _images(), torch.tensor([0, 1, 0, 1, 0, 1])
    augment = Augment(AugmentSettings(pad=2, erase=0.7))
    draws = augment.draw(6, torch.Generator().manual_seed(10))
    whole = augment(images, modality, draws=draws)
    assert whole.is_contiguous(memory_format=torch.channels_last)
    planes = images.permute(0, 3, 1, 2)
    for same in (planes, planes.contiguous(), images.transpose(1, 2).contiguous().transpose(1, 2)):
        assert torch.equal(augment(same, modality, draws=draws), whole)
    assert augment(images[:0], modality[:0]).shape == (0, 3, 12, 8)


def test_each_image_depends_on_its_own_draws_alone() -> None:
    images, modality = _images(), torch.tensor([0, 1, 0, 1, 0, 1])
    augment = Augment(AugmentSettings(pad=2, erase=0.7))
    draws = augment.draw(6, torch.Generator().manual_seed(9))
    whole = augment(images, modality, draws=draws)
    for part in (slice(0, 3), slice(3, 6)):
        assert torch.equal(augment(images[part], modality[part], draws=draws[part]), whole[part])


def test_bad_settings_and_shapes() -> None:
    for settings, rule in (
        ({"pad": -1}, "`pad` must not be negative; got -1"),
        ({"flip": 1.5}, "`flip` must be a probability"),
        ({"erase_area": (0.5, 0.1)}, "`erase_area`"),
        ({"erase_ratio": (0.0, 1.0)}, "`erase_ratio`"),
    ):
        with pytest.raises(ValueError, match=rule):
            AugmentSettings(**settings)
    with pytest.raises(ValueError, match=r"`modality` must be \(n,\) = \(6,\); got \(5,\)"):
        Augment(AugmentSettings())(_images(), torch.zeros(5))
    with pytest.raises(ValueError, match=r"`draws` must be \(n, 10\)"):
        Augment(AugmentSettings(pad=2))(_images(), torch.zeros(6), draws=torch.rand(6, 3))
    for pad in (8, 9, 13, 10**6):
        with pytest.raises(ValueError, match=rf"`pad` must be below the sides of the image, 12 × 8; got {pad}$"):
            DataSettings(height=12, width=8, augment=AugmentSettings(pad=pad))
    with pytest.raises(ValueError, match=r"must be uint8; got torch\.float32"):
        normalise(_images().float())
    with pytest.raises(ValueError, match=r"got \(6, 12, 8, 1\)"):
        normalise(_images()[..., :1])


@given(
    st.integers(0, 5), st.integers(1, 9), st.integers(1, 7), st.integers(0, 6), SEEDS, st.sampled_from([0.0, 0.5, 1.0])
)
def test_all_together_gives_the_pictures_that_one_by_one_gives(
    n: int, height: int, width: int, pad: int, seed: int, often: float
) -> None:
    """On a GPU images are augmented together, on a CPU one by one: by the same draws, to the same floats."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, height, width, 3), generator=generator, dtype=torch.uint8)
    draws, modality = torch.rand(n, DRAWS, generator=generator), torch.arange(n) % 2
    draws[: n // 3] = 1 - 2**-24  # the largest that is drawn
    settings = AugmentSettings(pad=pad, flip=often, exchange=often, erase=often)
    exchanged = (draws[:, 3] < settings.exchange) & (modality == 0)
    found = augment_together(images, draws, exchanged, settings)
    torch.testing.assert_close(found, Augment(settings)(images, modality, draws=draws), rtol=0, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)
