"""Augmentation of complete batches on the training device, with repeatable random numbers.

Each image has one row of uniform numbers; all rows are sampled together from a `torch.Generator`. The rest is a
function of the pixels and these numbers. A batch can therefore be split over processes, or moved to another device,
and is still augmented in the same way. (kornia's augmentations sample from the global generator.)

On a CPU, crops, mirror images and rectangles are slices, image by image, which is fastest there. On a GPU each of them
would be a launch: all images are looked up together, to the same pictures. Pixels keep the layout of the cache,
channels last, which is also the fastest for convolutions: they are never transposed.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from vireid.config import AugmentSettings
from vireid.datasets.items import VISIBLE

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, for pixels in 0 .. 1; a backbone that expects others rescales
STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)  # share of each channel in a grey image (ITU-R BT.601)

_NEAR = 1 << 18  # floats

DRAWS = 10  # uniform numbers per image: 3 for crop and flip, 2 for the channels, 5 for erasing


class Augment:
    """Pad and crop, flip, exchange channels, normalise, erase: from uint8 images to the input of a backbone.

    forward(images [n 3 h w] or [n h w 3] uint8, modality [n], generator) -> [n 3 h w] float32

    Raises:
        ValueError: for shapes that do not fit.
    """

    def __init__(self, settings: AugmentSettings) -> None:
        self.settings = settings

    def __call__(
        self, images: Tensor, modality: Tensor, generator: torch.Generator | None = None, *, draws: Tensor | None = None
    ) -> Tensor:
        """Augment a batch, into channels-last memory; `draws` [n 10] in 0 .. 1 replace the numbers of `generator`."""
        settings, pixels = self.settings, _channels_last(images, "Augment")
        n, height, width, _ = pixels.shape
        if modality.shape != (n,):
            raise ValueError(f"Augment: `modality` must be (n,) = ({n},); got {tuple(modality.shape)}")
        if draws is None:
            draws = self.draw(n, generator)
        if draws.shape != (n, DRAWS):
            raise ValueError(f"Augment: `draws` must be (n, {DRAWS}) = ({n}, {DRAWS}); got {tuple(draws.shape)}")
        draws, modality = draws.to(pixels.device), modality.to(pixels.device)
        exchanged = (draws[:, 3] < settings.exchange) & (modality == VISIBLE)
        if pixels.device.type != "cpu":
            return augment_together(pixels, draws, exchanged, settings)
        moved = crop_and_flip(pixels, draws[:, 0:3], pad=settings.pad, flip=settings.flip)
        exchange_channels_(moved, draws[:, 4], exchanged)
        x = _standardise(moved)
        boxes = erasing_boxes(draws[:, 6:10], height, width, area=settings.erase_area, ratio=settings.erase_ratio)
        erased = (draws[:, 5] < settings.erase).nonzero().squeeze(1)
        for image, (top, left, bottom, right) in zip(erased.tolist(), boxes[erased].tolist(), strict=True):
            x[image, :, top:bottom, left:right] = 0.0
        return x

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform numbers [n 10], on the generator's device; their number does not depend on the settings."""
        return torch.rand(n, DRAWS, generator=generator, device=None if generator is None else generator.device)


def normalise(images: Tensor) -> Tensor:
    """The input of a test: uint8 [n 3 h w] or [n h w 3] -> float32 [n 3 h w], by ImageNet's mean and deviation."""
    return _standardise(_channels_last(images, "normalise"))


def augment_together(pixels: Tensor, draws: Tensor, exchanged: Tensor, settings: AugmentSettings) -> Tensor:
    """Augment images [n h w 3] by a few operations for all of them, by draws [n 10]; `exchanged` [n] get one channel.

    No value is read off the device.
    """
    (n, height, width, _), pad = pixels.shape, settings.pad
    rows, columns, image = (torch.arange(size, device=pixels.device) for size in (height, width, n))
    corners = (draws[:, 0:2] * (2 * pad + 1)).long().clamp_(max=2 * pad) - pad
    mirrored = torch.where(draws[:, 2, None] < settings.flip, width - 1 - columns, columns)
    down, right = rows + corners[:, :1], mirrored + corners[:, 1:]
    inside = ((down >= 0) & (down < height))[:, :, None] & ((right >= 0) & (right < width))[:, None]
    x = pixels[image[:, None, None], down.clamp(0, height - 1)[:, :, None], right.clamp(0, width - 1)[:, None]].float()
    mixes = (draws[:, 4] * 4).long().clamp_(max=3)[:, None, None, None]
    grey = (LUMA[0] * x[..., :1] + LUMA[1] * x[..., 1:2] + LUMA[2] * x[..., 2:]).round_()
    one = torch.where(mixes == 3, grey, x.gather(3, mixes.clamp(max=2).expand(n, height, width, 1)))
    x = torch.where(exchanged[:, None, None, None], one, x) * inside[..., None]
    mean, std = _statistics(pixels.device)
    x = x.sub_(mean).div_(std)
    boxes = erasing_boxes(draws[:, 6:10], height, width, area=settings.erase_area, ratio=settings.erase_ratio)
    top, left, bottom, last = boxes[:, :, None].unbind(1)
    erased = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < last))[:, None]
    erased = erased & (draws[:, 5] < settings.erase)[:, None, None]
    return x.masked_fill_(erased[..., None], 0.0).permute(0, 3, 1, 2)


def crop_and_flip(pixels: Tensor, draws: Tensor, *, pad: int, flip: float) -> Tensor:
    """A crop of each image of [n h w c], black outside the image, mirrored where draws[:, 2] < flip.

    Each axis has 2·pad + 1 positions: draws[:, 0] selects the vertical and draws[:, 1] the horizontal position.
    """
    _, height, width, _ = pixels.shape
    moved = torch.zeros_like(pixels, memory_format=torch.contiguous_format)
    corners = (draws[:, 0:2] * (2 * pad + 1)).long().clamp_(max=2 * pad) - pad
    for image, (down, right) in enumerate(corners.tolist()):
        seen = pixels[image, max(down, 0) : height + down, max(right, 0) : width + right]
        top, left = max(-down, 0), max(-right, 0)
        moved[image, top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    for image in (draws[:, 2] < flip).nonzero().squeeze(1).tolist():
        moved[image] = moved[image].flip(1)
    return moved


def exchange_channels_(pixels: Tensor, draws: Tensor, chosen: Tensor) -> None:
    """In the `chosen` [n] images of [n h w 3], copy one channel to all: `draws` [n] select red, green, blue or grey.

    In place, and rounded to bytes, like a saved image.
    """
    mixes = (draws * 4).long().clamp_(max=3)
    for image in chosen.nonzero().squeeze(1).tolist():
        picture, mix = pixels[image], int(mixes[image])
        if mix < 3:
            grey = picture[..., mix]
        else:
            red, green, blue = picture.float().unbind(2)  # not a matrix product, which autocast would round to 8 bits
            grey = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).round_().byte()
        for channel in {0, 1, 2} - {mix}:  # one at a time: three times as fast as together
            picture[..., channel] = grey


def erasing_boxes(
    draws: Tensor, height: int, width: int, *, area: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """One rectangle per image, [n 4]: top, left, bottom, right; draws [n 4] give its area, ratio and position."""
    share = area[0] + draws[:, 0] * (area[1] - area[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = (low + draws[:, 1] * (high - low)).exp()
    tall = (share * height * width * shape).sqrt().round().clamp(1, height)
    wide = (share * height * width / shape).sqrt().round().clamp(1, width)
    top = (draws[:, 2] * (height - tall + 1)).floor()
    left = (draws[:, 3] * (width - wide + 1)).floor()
    return torch.stack([top, left, top + tall, left + wide], dim=1).long()


def _channels_last(images: Tensor, who: str) -> Tensor:
    """[n h w 3] from both layouts. If both axes have size 3, the layout is channels last, as in the cache."""
    if images.dtype != torch.uint8:
        raise ValueError(f"{who}: `images` must be uint8; got {images.dtype}")
    if images.ndim == 4 and images.shape[3] == 3:
        return images
    if images.ndim == 4 and images.shape[1] == 3:
        return images.permute(0, 2, 3, 1)
    raise ValueError(f"{who}: `images` must be (n, h, w, 3) or (n, 3, h, w); got {tuple(images.shape)}")


def _standardise(pixels: Tensor) -> Tensor:
    """Bytes [n h w 3] -> floats [n 3 h w] of zero mean and unit deviation over ImageNet, in channels-last memory."""
    n, height, width, _ = pixels.shape
    mean, std = (values.repeat(width) for values in _statistics(pixels.device))
    x = torch.empty(n, height, width * 3, device=pixels.device)
    rows = pixels.reshape(n, height, width * 3)
    # A few images at a time stay in the processor's cache between operations.
    step = n if x.is_cuda else max(_NEAR // max(height * width * 3, 1), 1)
    for part in (slice(start, start + step) for start in range(0, n, max(step, 1))):
        x[part].copy_(rows[part]).sub_(mean).div_(std)
    return x.view(n, height, width, 3).permute(0, 3, 1, 2)


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and deviation in bytes, copied to a device once: a copy waits for it."""
    mean, std = (255 * torch.tensor(values, device=device) for values in (MEAN, STD))
    return mean, std
