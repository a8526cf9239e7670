"""Why two images are similar: a row for the parts of each, with what each part adds and where it looks in both."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vireid.figures.attention import draw_part, enlarge
from vireid.figures.style import save

SIDES = ("query", "gallery image")


class Shown(NamedTuple):
    """The similarity of a query and a gallery image, by parts."""

    images: NDArray[np.uint8]
    """[2 h w 3], the query and the gallery image."""
    titles: list[str]
    """Names of both."""
    contributions: Tensor
    """[2 p], what the parts of the query, and those of the gallery image, add to the similarity."""
    maps: Tensor
    """[2 p 2 gh gw], attention of these parts on both images."""


def draw_explanation(shown: Shown, path: Path | str) -> Path:
    """Plot both images, and for each part of either a tile of both images with its attention."""
    images, titles, contributions, maps = shown
    parts, (height, width) = contributions.shape[1], images.shape[1:3]
    # Two tiles a part, which touch, and a gap after each two.
    ratios, cell = [1.0, 1.0, 0.25] * (parts + 1), 0.95
    size = (cell * sum(ratios), 2 * (cell * height / width + 0.5))
    figure, axes = plt.subplots(2, len(ratios), figsize=size, squeeze=False, width_ratios=ratios)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[], frame_on=False)
    top = 1 - 0.5 / size[1]
    figure.subplots_adjust(left=0.04, right=1, bottom=0, top=top - 0.3 / size[1], wspace=0.02, hspace=0.16)
    for row, owner in enumerate(SIDES):
        axes[row, 0].set_ylabel(f"parts of the {owner}:\n{contributions[row].sum():+.3f}", fontsize=10)
        for column, image in enumerate(images):
            axes[row, column].imshow(image)
            axes[row, column].set_title(SIDES[column], fontsize=9)
            for part, strength in enumerate(enlarge(maps[row, :, column], height, width)):
                draw_part(axes[row, 3 * (part + 1) + column], image, strength, part)
        for part in range(parts):
            left, right = (axes[row, 3 * (part + 1) + column].get_position() for column in (0, 1))
            text = f"part {part + 1}: {contributions[row, part]:+.3f}"
            figure.text((left.x0 + right.x1) / 2, left.y1 + 0.08 / size[1], text, ha="center", fontsize=10)
    title = f"similarity of {' and '.join(titles)}: {contributions.sum():.3f}"
    figure.text(0.5, top + 0.15 / size[1], title, ha="center", fontsize=11)
    return save(figure, path)
