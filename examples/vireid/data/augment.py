"""Augmentation of whole batches on the device that trains: no loop over images, and every draw repeatable.

Each image takes its own row of uniform numbers, all drawn at once from a `torch.Generator`; everything after that is
a function of the pixels and those numbers. So a batch can be split over processes, or moved to another device, and
still be augmented in the same way. (kornia's augmentations draw from the global generator, hence plain torch here.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vireid.data.items import VISIBLE

MEAN = (0.485, 0.456, 0.406)  # ImageNet's, of pixels in 0 .. 1, as pretrained backbones expect
STD = (0.229, 0.224, 0.225)
LUMA = (0.299, 0.587, 0.114)  # how much of each channel a grey image takes (ITU-R BT.601)

DRAWS = 10  # uniform numbers an image: 3 for crop and flip, 2 for the channels, 5 for erasing


@dataclass(frozen=True)
class Augment:
    """Pad and crop, flip, exchange channels, normalise, erase: uint8 images to what a backbone trains on.

    forward(images [n 3 h w] or [n h w 3] uint8, modality [n], generator) -> [n 3 h w] float32

    Args:
        pad: pixels of black around the image before a crop of its own size is taken anywhere; 0 keeps it in place.
        flip: probability of a horizontal flip.
        exchange: probability that a *visible* image loses its colours: red, green, blue or the grey of the three, each
            as likely, stands in all three channels. Infrared images have no colours to lose.
        erase: probability that a rectangle is replaced by the mean colour.
        erase_area: least and greatest share of the image that a rectangle takes.
        erase_ratio: least and greatest height / width of it, log-uniform; sides are cut to those of the image.

    Raises:
        ValueError: for settings or shapes out of range.
    """

    pad: int = 10
    flip: float = 0.5
    exchange: float = 0.5
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.4)
    erase_ratio: tuple[float, float] = (0.3, 1 / 0.3)

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise ValueError(f"Augment: `pad` must not be negative; got {self.pad}")
        for name in ("flip", "exchange", "erase"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"Augment: `{name}` must be a probability, 0 .. 1; got {value}")
        if not 0 < self.erase_area[0] <= self.erase_area[1] <= 1:
            raise ValueError(f"Augment: `erase_area` must be (least, greatest) in 0 .. 1; got {self.erase_area}")
        if not 0 < self.erase_ratio[0] <= self.erase_ratio[1]:
            raise ValueError(f"Augment: `erase_ratio` must be (least, greatest), above 0; got {self.erase_ratio}")

    def __call__(
        self, images: Tensor, modality: Tensor, generator: torch.Generator | None = None, *, draws: Tensor | None = None
    ) -> Tensor:
        """Augment a batch; `draws` [n 10] in 0 .. 1 stand in for those that `generator` would give."""
        pixels = _channels_last(images, "Augment")
        n, height, width, _ = pixels.shape
        if modality.shape != (n,):
            raise ValueError(f"Augment: `modality` must be (n,) = ({n},); got {tuple(modality.shape)}")
        if draws is None:
            draws = self.draw(n, generator)
        if draws.shape != (n, DRAWS):
            raise ValueError(f"Augment: `draws` must be (n, {DRAWS}) = ({n}, {DRAWS}); got {tuple(draws.shape)}")
        draws, modality = draws.to(images.device), modality.to(images.device)
        x = crop_and_flip(pixels, draws[:, 0:3], pad=self.pad, flip=self.flip).float()
        x = exchange_channels(x, draws[:, 4], (draws[:, 3] < self.exchange) & (modality == VISIBLE))
        x = _standardise(x)
        boxes = erasing_boxes(draws[:, 6:10], height, width, area=self.erase_area, ratio=self.erase_ratio)
        x.masked_fill_((boxes & (draws[:, 5] < self.erase)[:, None, None])[:, None], 0.0)
        return x

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform numbers [n 10], on the generator's device: always as many, whatever the settings."""
        return torch.rand(n, DRAWS, generator=generator, device=None if generator is None else generator.device)


def normalise(images: Tensor) -> Tensor:
    """What test images get: uint8 [n 3 h w] or [n h w 3] -> float32 [n 3 h w], by ImageNet's mean and deviation."""
    return _standardise(_planes(_channels_last(images, "normalise")).float())


def crop_and_flip(pixels: Tensor, draws: Tensor, *, pad: int, flip: float) -> Tensor:
    """A crop of [n h w 3], as [n 3 h w], flipped where draws[:, 2] < flip.

    Of the 2·pad + 1 places on each axis, draws[:, 0] picks the vertical one and draws[:, 1] the horizontal one.
    """
    n, height, width, _ = pixels.shape
    image = torch.arange(n, device=pixels.device)
    if pad and n:
        padded = torch.nn.functional.pad(pixels, (0, 0, pad, pad, pad, pad)).contiguous()
        full_height, full_width = padded.shape[1:3]
        corner = (draws[:, 0:2] * (2 * pad + 1)).long().clamp_(max=2 * pad)
        # Every row of a crop is one run of bytes, so the gather names where each run starts and copies it whole. The
        # view has a run at each pixel; they overlap, which costs nothing.
        runs = padded.as_strided((n * full_height * full_width - width + 1, 3 * width), (3, 1))
        first_row = image * full_height + corner[:, 0]
        starts = (first_row[:, None] + torch.arange(height, device=pixels.device)) * full_width + corner[:, 1:2]
        pixels = runs[starts].view(n, height, width, 3)
    planes = _planes(pixels)
    # Whole images are picked from both ways round: several times faster than a choice for each pixel.
    return torch.cat([planes, planes.flip(3)])[image + n * (draws[:, 2] < flip)]


def exchange_channels(x: Tensor, draws: Tensor, chosen: Tensor) -> Tensor:
    """The rows of [n 3 h w] that `chosen` [n] names with one mix in all channels: draws [n] picks R, G, B or grey."""
    mixes = torch.cat([torch.eye(3, device=x.device), torch.tensor([LUMA], device=x.device)])
    weights = mixes[(draws * 4).long().clamp_(max=3)][:, :, None, None]
    grey = x[:, 0] * weights[:, 0]
    for channel in (1, 2):  # not a matrix product, which autocast would round to 8 bits
        grey.addcmul_(x[:, channel], weights[:, channel])
    share = chosen.to(x.dtype)[:, None, None, None]  # 0 or 1, so the sum below is exactly the one or the other
    return (x * (1 - share)).addcmul_(grey[:, None], share)


def erasing_boxes(
    draws: Tensor, height: int, width: int, *, area: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """One rectangle an image, as a mask [n h w]: its area, its ratio and its place from draws [n 4]."""
    share = area[0] + draws[:, 0] * (area[1] - area[0])
    low, high = math.log(ratio[0]), math.log(ratio[1])
    shape = (low + draws[:, 1] * (high - low)).exp()
    tall = (share * height * width * shape).sqrt().round().clamp(1, height)
    wide = (share * height * width / shape).sqrt().round().clamp(1, width)
    top = (draws[:, 2] * (height - tall + 1)).floor()
    left = (draws[:, 3] * (width - wide + 1)).floor()
    rows, columns = (torch.arange(length, device=draws.device) for length in (height, width))
    in_rows = (rows >= top[:, None]) & (rows < (top + tall)[:, None])
    in_columns = (columns >= left[:, None]) & (columns < (left + wide)[:, None])
    mask: Tensor = in_rows[:, :, None] & in_columns[:, None, :]
    return mask


def _channels_last(images: Tensor, who: str) -> Tensor:
    """[n h w 3] of either layout. Where both axes are 3 wide, channels last: that is how the cache keeps them."""
    if images.dtype != torch.uint8:
        raise ValueError(f"{who}: `images` must be uint8; got {images.dtype}")
    if images.ndim == 4 and images.shape[3] == 3:
        return images
    if images.ndim == 4 and images.shape[1] == 3:
        return images.permute(0, 2, 3, 1)
    raise ValueError(f"{who}: `images` must be (n, h, w, 3) or (n, 3, h, w); got {tuple(images.shape)}")


def _planes(pixels: Tensor) -> Tensor:
    """[n h w 3] -> [n 3 h w], laid out so; while a pixel still is a byte, as that is the cheapest time to move it."""
    return pixels.permute(0, 3, 1, 2).contiguous()


def _standardise(x: Tensor) -> Tensor:
    """Pixels 0 .. 255 -> zero mean and unit deviation over ImageNet, in place (`x` is always a fresh tensor here)."""
    mean, std = (torch.tensor(values, device=x.device).view(3, 1, 1) * 255 for values in (MEAN, STD))
    x.sub_(mean).div_(std)
    return x
