"""All public names are on the site: on a page of the API and, if they are of the paper, beside their equation.

That its docstring has an equation, an example and the other sections is asked in `test_public.py`.
"""

from __future__ import annotations

import ast
import inspect
import re

import pytest

import concordant
from concordant import functional
from support.pages import ROOT

API = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "api").glob("*.md")))
SHOWN = re.findall(r"^::: concordant\.(\S+)$", API, re.MULTILINE)
PAPER = (ROOT / "docs" / "paper.md").read_text()
NAMES = [name for name in concordant.__all__ if not inspect.ismodule(getattr(concordant, name))]


def of_the_source(name: str) -> bool:
    """Whether a name computes something of the paper: its docstring says so."""
    return "Reference: CAL (ICCV 2023)" in (inspect.getdoc(getattr(concordant, name)) or "")


@pytest.mark.parametrize("name", NAMES)
def test_public_names_have_one_place(name: str) -> None:
    assert SHOWN.count(name) == 1


@pytest.mark.parametrize("name", functional.__all__)
def test_functions_have_one_place(name: str) -> None:
    """Their own, or that of the public name that they are."""
    assert (name in NAMES) + SHOWN.count(f"functional.{name}") == 1


def test_what_is_shown_is_there() -> None:
    """The build of the site would report it, too; this test needs no site."""
    for name in SHOWN:
        module, _, last = name.rpartition(".")
        assert hasattr(getattr(concordant, module) if module else concordant, last), name


def fields_without_a_word(record: ast.ClassDef) -> list[str]:
    """The fields without a docstring: the site does not show them."""
    follows = zip(record.body, [*record.body[1:], None], strict=True)
    return [
        ast.unparse(field.target)
        for field, after in follows
        if isinstance(field, ast.AnnAssign)
        and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(getattr(concordant, name), "_fields")])
def test_fields_are_explained(name: str) -> None:
    (record,) = ast.parse(inspect.getsource(getattr(concordant, name))).body
    assert isinstance(record, ast.ClassDef)
    assert fields_without_a_word(record) == []


@pytest.mark.parametrize("name", [name for name in NAMES if of_the_source(name)])
def test_what_is_the_sources_stands_beside_its_symbols(name: str) -> None:
    assert f"][concordant.{name}]" in PAPER
