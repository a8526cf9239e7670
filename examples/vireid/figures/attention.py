"""Attention of the parts on images of both modalities; matched parts have the same colour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from vireid.figures.style import colour, save

ACROSS = 12
"""Models side by side in a sheet of composites; more are set below."""


def draw_attention(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    maps: list[tuple[Tensor, Tensor]],
    titles: list[str],
    path: Path | str,
    *,
    names: tuple[str, str],
) -> Path:
    """Plot one identity per row: its visible image with the attention of each part, then its infrared image.

    Args:
        pairs: visible and infrared image [h w 3] of each identity.
        maps: their attention maps [p gh gw], the infrared ones ordered by M̂, so that part k is matched with part k.
        titles: label of each row.
        names: of the two modalities.
    """
    parts = maps[0][0].shape[0]
    columns = 2 * (parts + 2) + 1
    height, width = pairs[0][0].shape[:2]
    cell = 0.85
    figure, axes = plt.subplots(
        len(pairs), columns, figsize=(cell * columns, cell * height / width * len(pairs)), squeeze=False
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    for row, (images, attention, title) in enumerate(zip(pairs, maps, titles, strict=True)):
        axes[row, 0].set_ylabel(title, fontsize=8)
        for image, parts_maps, start in zip(images, attention, (0, parts + 3), strict=True):
            large = enlarge(parts_maps, height, width)
            axes[row, start].imshow(image)
            axes[row, start + 1].imshow(_composite(image, large))
            for part in range(parts):
                draw_part(axes[row, start + 2 + part], image, large[part], part)
    for start, name in zip((0, parts + 3), names, strict=True):
        axes[0, start].set_title(name, fontsize=9)
        axes[0, start + 1].set_title("all parts", fontsize=9)
        for part in range(parts):
            axes[0, start + 2 + part].set_title(f"part {part + 1}", fontsize=9, color="black")
    figure.subplots_adjust(wspace=0.06, hspace=0.04)
    return save(figure, path)


def draw_found(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    maps: list[tuple[Tensor, Tensor]],
    titles: list[str],
    path: Path | str,
    *,
    names: tuple[str, str],
) -> Path:
    """Plot one identity per row: an infrared and a visible image, then each part of the infrared one on both.

    Args:
        pairs: visible and infrared image [h w 3] of each identity.
        maps: attention maps [p gh gw] of the *infrared* image's parts: on the visible image, and on their own.
        titles: label of each row.
        names: of the two modalities.
    """
    parts = maps[0][0].shape[0]
    height, width = pairs[0][0].shape[:2]
    # Two tiles a part, which touch, and a gap after each two.
    ratios, cell = [1.0, 1.0, 0.25] * (parts + 1), 0.95
    size = (cell * sum(ratios), cell * height / width * len(pairs))
    figure, axes = plt.subplots(len(pairs), len(ratios), figsize=size, squeeze=False, width_ratios=ratios)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    for row, ((visible, infrared), (cross, own), title) in enumerate(zip(pairs, maps, titles, strict=True)):
        axes[row, 0].set_ylabel(title, fontsize=9)
        for column, image, attention in ((0, infrared, own), (1, visible, cross)):
            axes[row, column].imshow(image)
            for part, strength in enumerate(enlarge(attention, height, width)):
                draw_part(axes[row, 3 * (part + 1) + column], image, strength, part)
    for start in range(parts + 1):
        for column, name in enumerate(reversed(names)):
            axes[0, 3 * start + column].set_title(name, fontsize=8)
    figure.subplots_adjust(left=0.04, right=1, bottom=0, top=0.88, wspace=0.02, hspace=0.04)
    for start in range(1, parts + 1):
        left, right = (axes[0, 3 * start + column].get_position() for column in (0, 1))
        figure.text((left.x0 + right.x1) / 2, 0.93, f"part {start} → found", ha="center", fontsize=10)
    return save(figure, path)


def draw_composites(
    images: list[NDArray[np.uint8]], maps: Mapping[str, list[Tensor]], path: Path | str, *, title: str
) -> Path:
    """Plot the attention of all parts together: one image [h w 3] per row, one model per column, blocks of `ACROSS`.

    `maps` has the attention maps [p gh gw] of each image by the model's name, with parts in the order of the colours.
    """
    height, width = images[0].shape[:2]
    names, cell, head = list(maps), 0.62, 1.5
    blocks = [names[start : start + ACROSS] for start in range(0, len(names), ACROSS)]
    columns, tall = 1 + len(blocks[0]), cell * height / width * len(images)
    figure = plt.figure(figsize=(cell * columns, (tall + head) * len(blocks)))
    for block, sub in zip(blocks, figure.subfigures(len(blocks), squeeze=False)[:, 0], strict=True):
        axes = sub.subplots(len(images), columns, squeeze=False)
        sub.subplots_adjust(left=0, right=1, bottom=0, top=tall / (tall + head), wspace=0.06, hspace=0.04)
        for axis in axes.flat:
            axis.set_axis_off()
        for row, image in enumerate(images):
            axes[row, 0].imshow(image)
            for axis, name in zip(axes[row, 1:], block, strict=False):
                axis.imshow(_composite(image, enlarge(maps[name][row], height, width)))
        for axis, name in zip(axes[0, 1:], block, strict=False):
            axis.set_title(name, fontsize=8, rotation=60, ha="left", va="bottom", rotation_mode="anchor")
    figure.text(0, -0.01, title, fontsize=9, va="top")
    return save(figure, path)


def draw_part(axis: Axes, image: NDArray[np.uint8], strength: NDArray[np.float32], part: int) -> None:
    """The attention of one part on an image, in a frame of the part's colour."""
    axis.imshow(_tint(image, strength, colour(part)))
    for spine in axis.spines.values():
        spine.set(color=colour(part), linewidth=2)
    axis.set_frame_on(True)


def enlarge(maps: Tensor, height: int, width: int) -> NDArray[np.float32]:
    """Maps [p gh gw] enlarged to the size of the image, each scaled to a maximum of 1."""
    large = interpolate(maps[None].float(), size=(height, width), mode="bicubic", align_corners=False)[0].clamp_min(0)
    return (large / large.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(large.dtype).tiny)).numpy()


def _grey(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey: NDArray[np.float64] = image.mean(axis=2, keepdims=True)
    return np.repeat(grey, 3, axis=2) / 255


def _tint(image: NDArray[np.uint8], strength: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    """The darkened image, with the colour of the part where its attention is."""
    weight = 0.85 * strength[..., None]
    return (1 - weight) * 0.55 * _grey(image) + weight * np.array(to_rgb(name), np.float64)


def _composite(image: NDArray[np.uint8], maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each pixel in the colour of the part with the most attention on it."""
    colours = np.array([to_rgb(colour(part)) for part in range(len(maps))])
    weight = 0.75 * maps.max(axis=0)[..., None]
    mixed: NDArray[np.float64] = (1 - weight) * 0.7 * _grey(image) + weight * colours[maps.argmax(axis=0)]
    return mixed
