"""Equations, written `$…$` and `$$…$$`, become drawings while the site is built: no script, no font, no network.

`pymdownx.arithmatex` finds them; this turns what it found into SVG, the same in every browser (MathML needs a font with
tables for mathematics, which phones often lack). What a screen reader says is the source.
"""

from __future__ import annotations

import html
import re
import warnings
from typing import Any
from xml.etree.ElementTree import tostring

from mkdocs.exceptions import PluginError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of how it opens its font
    from ziamath.config import config
    from ziamath.tex import tex2mml
    from ziamath.zmath import Math

FOUND = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
SIZE = 16
"""Units an em, in the drawing's own coordinates."""

config.svg2 = False  # each glyph where it stands: shared ones get the same id in every drawing of a page
config.precision = 2
config.math.color = "currentColor"  # as dark or as light as the text around it


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Replace each equation of a page."""
    return FOUND.sub(lambda found: render(found[2], page.file.src_path, block=found[1] == "div"), content)


def render(escaped: str, place: str, *, block: bool) -> str:
    """One equation; a command that the converter does not know ends the build, or it would be drawn as its name."""
    source = " ".join(html.unescape(escaped).split())
    mathml = tex2mml(source, inline=not block)
    if unknown := re.search(r">\s*(\\[^<]*|&)<", mathml):
        raise PluginError(f"equations: {place}: latex2mathml must know every command; got {unknown[1]} in {source}")
    # Hats as wide as what they stand on read as `\widehat`.
    mathml = mathml.replace("<mo>&#x00302;", '<mo stretchy="false">&#710;')
    drawing = Math(mathml, size=SIZE)
    svg = drawing.svgxml()
    width, height = (float(svg.attrib.pop(side)) / SIZE for side in ("width", "height"))
    del svg.attrib["xmlns:xlink"]  # nothing is linked
    baseline = (drawing.getyofst() - drawing.margin) / SIZE
    svg.attrib |= {
        "class": "math",
        "role": "img",
        "aria-label": source,
        "style": f"width:{width:.3f}em; height:{height:.3f}em; vertical-align:{baseline:.3f}em",
    }
    text = tostring(svg, encoding="unicode")
    return f'<div class="equation">{text}</div>' if block else text
