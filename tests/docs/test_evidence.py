"""Every figure in a table of the evidence is that of the raw numbers which its page links to."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("scipy")

from support.pages import ROOT, cells
from vireid.study.summary import tables

DOCS = ROOT / "docs"
STUDIES = {
    match[1]: text
    for page in (DOCS / "evidence").glob("*.md")
    if (match := re.search(r"\]\((\w+)\.json\)", text := page.read_text(encoding="utf-8")))
}
"""The page of each study, by the name of its raw numbers."""


@pytest.mark.parametrize("study", sorted(STUDIES))
def test_tables_are_those_of_the_raw_numbers(study: str) -> None:
    raw = json.loads((DOCS / "evidence" / f"{study}.json").read_text())
    measured, shown = cells(tables(raw["runs"])), cells(STUDIES[study])
    assert shown, study
    assert {place: measured.get(place) for place in shown} == shown


def intervals(text: str) -> set[str]:
    return set(re.findall(r"\d+\.\d ± \d+\.\d", text.replace("\N{NO-BREAK SPACE}", " ")))


@pytest.fixture(scope="module")
def measured() -> set[str]:
    """The intervals in the tables of all studies."""
    files = sorted((DOCS / "evidence").glob("*.json"))
    return set().union(*(intervals(tables(json.loads(file.read_text())["runs"])) for file in files))


@pytest.mark.parametrize("name", ["evidence.md", "evidence/people.md", "evidence/parts.md"])
def test_intervals_in_sentences_are_those_of_the_tables(name: str, measured: set[str]) -> None:
    said = intervals((DOCS / name).read_text(encoding="utf-8"))
    assert said
    assert said <= measured, said - measured


def test_all_raw_numbers_are_shown() -> None:
    files = {file.stem for file in (DOCS / "evidence").glob("*.json")}
    assert STUDIES.keys() == files
