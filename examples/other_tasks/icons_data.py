"""Material Design Icons (Apache 2.0): pictures, and names that say what their parts are: `cloud-lock`, `account-plus`.

They are read from the installed package mkdocs-material, which ships them as SVG files; nothing of it is copied here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import parse

import numpy as np
import torch
from fontTools.pens.basePen import BasePen
from fontTools.svgLib.path import parse_path
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

SIDE, BOX = 32, 24
"""Pixels of a picture's side, and units of an icon's."""
WORDS = 5
"""Most words of a name; icons with longer names are left out."""
NONE, UNKNOWN = 0, 1
"""Words that are none: padding, and a word that fewer than two training icons have."""
SHARES = {"validation": 0.0675, "test": 0.135}
"""Icons that are held out: of 7,405, 500 and 1,000."""
LEAST = 5
"""Fewest training icons for each word of a name that is held out."""


class Icons(NamedTuple):
    """All icons."""

    names: list[str]
    ink: Tensor
    """[n 1 32 32] bytes."""

    @property
    def vocabulary(self) -> dict[str, int]:
        """Numbers of all words, after those of `NONE` and `UNKNOWN`."""
        return {
            word: 2 + at for at, word in enumerate(sorted({word for name in self.names for word in name.split("-")}))
        }

    def pictures(self, rows: Tensor) -> Tensor:
        """[m 1 32 32], ink 1."""
        return self.ink[rows].float() / 255


class Split(NamedTuple):
    """Which icons are for what, and the words of their names by numbers, of which those for training decide."""

    rows: dict[str, Tensor]
    """Of "train", "validation" and "test"."""
    words: Tensor
    """[n 5], with `NONE` after the last word of a name."""


class Pen(BasePen):  # type: ignore[misc]  # fontTools has no types
    """Keeps an outline as matplotlib's vertices and codes."""

    def __init__(self) -> None:
        super().__init__(None)
        self.vertices: list[tuple[float, float]] = []
        self.codes: list[Any] = []

    def add(self, code: Any, *points: tuple[float, float]) -> None:
        self.vertices += points
        self.codes += [code] * len(points)

    def _moveTo(self, point: tuple[float, float]) -> None:
        self.add(Outline.MOVETO, point)

    def _lineTo(self, point: tuple[float, float]) -> None:
        self.add(Outline.LINETO, point)

    def _curveToOne(self, *points: tuple[float, float]) -> None:
        self.add(Outline.CURVE4, *points)

    def _closePath(self) -> None:
        self.add(Outline.CLOSEPOLY, (0, 0))


def paint(file: Path) -> NDArray[np.uint8]:
    """The ink [32 32] of an icon, 0 to 255."""
    pen = Pen()
    for element in parse(file).iter("{http://www.w3.org/2000/svg}path"):
        parse_path(element.attrib["d"], pen)
    renderer: Any = RendererAgg(SIDE, SIDE, 72)  # type: ignore[no-untyped-call]
    stroke, scale = renderer.new_gc(), SIDE / BOX
    stroke.set_linewidth(0)
    upright = Affine2D().scale(scale, -scale).translate(0, SIDE)  # matplotlib's rows begin at the bottom
    renderer.draw_path(stroke, Outline(pen.vertices, pen.codes), upright, (0, 0, 0, 1))
    ink: NDArray[np.uint8] = np.asarray(renderer.buffer_rgba())[..., 3].copy()
    return ink


def read_icons(*, limit: int | None = None) -> Icons:
    """All icons, or the first `limit`.

    Raises:
        FileNotFoundError: the package with the icons is not installed.
    """
    package = find_spec("material")
    folder = Path((package.submodule_search_locations or [""])[0]) / "templates/.icons/material" if package else Path()
    files = [file for file in sorted(folder.glob("*.svg")) if len(file.stem.split("-")) <= WORDS][:limit]
    if not package or not files:
        raise FileNotFoundError("read_icons: the icons of the package mkdocs-material must be there; found none")
    return Icons([file.stem for file in files], torch.from_numpy(np.stack([paint(file) for file in files]))[:, None])


def split_icons(icons: Icons, seed: int) -> Split:
    """Hold icons out by the set of their words without "outline": no variant of a held-out icon is for training, while
    each of its words is."""
    held = hold_out(icons.names, [round(share * len(icons.names)) for share in SHARES.values()], seed)
    train = sorted({*range(len(icons.names))} - {row for rows in held for row in rows})
    counts = Counter(word for row in train for word in icons.names[row].split("-"))
    known = {word: number for word, number in icons.vocabulary.items() if counts[word] > 1}
    words = torch.full((len(icons.names), WORDS), NONE)
    for line, name in zip(words, icons.names, strict=True):
        numbers = [known.get(word, UNKNOWN) for word in name.split("-")]
        line[: len(numbers)] = torch.tensor(numbers)
    every = {"train": train} | dict(zip(SHARES, held, strict=True))
    return Split({name: torch.tensor(rows) for name, rows in every.items()}, words)


def hold_out(names: list[str], numbers: list[int], seed: int) -> list[list[int]]:
    """Rows of so many icons, list by list; whole groups in a random order, of those that fit."""
    groups = defaultdict[frozenset[str], list[int]](list)
    for row, name in enumerate(names):
        groups[frozenset({*name.split("-")} - {"outline"})].append(row)
    left = Counter(word for name in names for word in {*name.split("-")})
    held: list[list[int]] = [[] for _ in numbers]
    every = list(groups.items())
    for group, rows in (every[at] for at in np.random.default_rng(seed).permutation(len(every))):
        room = [some for some, number in zip(held, numbers, strict=True) if len(some) + len(rows) <= number]
        used = Counter(word for row in rows for word in {*names[row].split("-")})
        if room and len(group) > 1 and all(left[word] - used[word] >= LEAST for word in used):
            left -= used
            room[0] += rows
    return held


def move(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [n 1 h w], each scaled by 0.88 … 1.12 and moved by up to an eighth of its side in each direction."""
    n = len(pictures)
    scale, shift = (2 * torch.rand(n, k, generator=generator) - 1 for k in (1, 2))
    maps = torch.zeros(n, 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 + 0.12 * scale[:, 0]
    maps[:, :, 2] = 0.25 * shift
    grid = affine_grid(maps, list(pictures.shape), align_corners=False)
    moved: Tensor = grid_sample(pictures, grid, align_corners=False)
    return moved
