"""Docstrings as the site shows them: the run-in heads of their paragraphs in bold, their examples as code.

The sources keep plain text, which reads well under `help()`.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Docstring, Extension, Function, Object

HEAD = re.compile(r"^(Equation|Shape|Raises|Edge cases|Where the source is silent|FAQ|Reference)([^:\n]*)(::?)", re.M)
EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.M | re.S)


class Docstrings(Extension):
    """Rewrite every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if isinstance(obj, Function) and obj.name == "forward" and not obj.docstring:
            obj.docstring = Docstring("What calling the module does.", parent=obj)  # or its signature is not shown
        if obj.docstring:
            obj.docstring.value = rewrite(obj.docstring.value)


def rewrite(text: str) -> str:
    """`Shape: …` with its head in bold, and `>>> …` in a block.

    >>> rewrite("Shape: (n,).")
    '**Shape.** (n,).'
    >>> rewrite("Equation, for all::")
    '**Equation, for all.**'
    """
    text = HEAD.sub(r"**\1\2.**", text)
    return EXAMPLE.sub(lambda found: f"**Example.**\n\n```pycon\n{found[0]}\n```", text)
