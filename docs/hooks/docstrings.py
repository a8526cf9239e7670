"""Docstrings as the site shows them: the run-in heads of their paragraphs in bold, their examples as code.

The sources keep plain text, which reads well under `help()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from griffe import Docstring, Extension, Function, Object

HEAD = re.compile(r"^(Equation|Shape|Raises|Edge cases|Where the paper is silent|FAQ|Reference)([^:\n]*)(::?)", re.M)
EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.M | re.S)


NAME = re.compile(r"(?<!`)`([\w.]+)`(?!`)")


class Docstrings(Extension):
    """Rewrite every docstring before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if isinstance(obj, Function) and obj.name == "forward" and not obj.docstring:
            # Without a docstring its signature is not shown. Its shapes are in the docstring of its class.
            obj.docstring = Docstring(f"`{obj.parent.name}` when called." if obj.parent else "", parent=obj)
        if obj.docstring:
            obj.docstring.value = rewrite(obj.docstring.value, places(obj.package))


def places(package: Object) -> dict[str, str]:
    """Where each public name is shown, under every name that docstrings call it by."""
    found = {}
    for module in (package["functional"], package):  # names of both are shown as the package's
        for name in map(str, module.exports or ()):
            found[name] = found[f"functional.{name}"] = f"{module.path}.{name}"
    return found


def rewrite(text: str, places: Mapping[str, str] = MappingProxyType({})) -> str:
    """`Shape: …` with its head in bold, `>>> …` in a block, and names with links to where they are shown.

    >>> rewrite("Shape: of `TSAA`.", {"TSAA": "concordant.TSAA"})
    '**Shape.** of [`TSAA`][concordant.TSAA].'
    >>> rewrite("Equation, for all::")
    '**Equation, for all.**'
    """
    text = HEAD.sub(r"**\1\2.**", text)
    text = NAME.sub(lambda found: f"[{found[0]}][{places[found[1]]}]" if found[1] in places else found[0], text)
    return EXAMPLE.sub(lambda found: f"**Example.**\n\n```pycon\n{found[0]}\n```", text)
