"""Why two images are similar, as one page of HTML that needs no other file and no network."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from string import Template

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from PIL import Image

from vireid.figures.attention import enlarge
from vireid.figures.explanation import SIDES, Shown
from vireid.figures.style import colour
from vireid.files import write_text

TEMPLATE = Path(__file__).with_suffix(".html")


def write_page(shown: Shown, path: Path) -> None:
    """Write the page: both images, and the parts as bars; a part under the pointer shows where it looks in both."""
    images, titles, contributions, maps = shown
    height, width = images.shape[1:3]
    sides = []
    for side, owner in enumerate(SIDES):
        strong = enlarge(maps[side].flatten(0, 1), height, width).reshape(-1, 2, height, width)
        parts = [
            {
                "share": float(share),
                "colour": colour(part),
                "layers": [_uri(_layer(strength, colour(part))) for strength in strong[part]],
            }
            for part, share in enumerate(contributions[side])
        ]
        # The part with the most attention on each token of the image that owns the parts.
        sides.append({"owner": owner, "parts": parts, "tokens": maps[side, :, side].argmax(dim=0).tolist()})
    content = {
        "images": [{"name": name, "uri": _uri(image)} for name, image in zip(titles, images, strict=True)],
        "sides": sides,
    }
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(" and ".join(titles)),
        similarity=f"{contributions.sum():.3f}",
        width=width,
        height=height,
        data=json.dumps(content).replace("<", "\\u003c"),  # no name of a file ends the script
    )
    write_text(path, page)


def _layer(strength: NDArray[np.float32], name: str) -> NDArray[np.uint8]:
    """The colour of a part, as opaque as its attention is strong."""
    layer = np.empty((*strength.shape, 4), np.float64)
    layer[..., :3], layer[..., 3] = to_rgb(name), 0.85 * strength
    return (255 * layer).round().astype(np.uint8)


def _uri(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
