"""Every figure in a table of "Any two token sets" is that of the raw numbers which the page links to."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("scipy")

from support.pages import ROOT, cells
from vireid.interval import interval

DOCS = ROOT / "docs"
SECTIONS = (DOCS / "token-sets.md").read_text(encoding="utf-8").split("\n## ")
SHOWN = {"icons": cells(SECTIONS[2]), "digits": cells(SECTIONS[3])}


@pytest.mark.parametrize("example", SHOWN)
def test_tables_are_those_of_the_raw_numbers(example: str) -> None:
    shown, raw = SHOWN[example], json.loads((DOCS / "token-sets" / f"{example}.json").read_text())
    first, *_ = raw["runs"].values()
    for name, seeds in raw["runs"].items():
        for place, figure in enumerate(raw["figures"]):
            assert shown[name, figure] == str(interval(seed[place] for seed in seeds)), name
        gain = interval(one[-1] - other[-1] for one, other in zip(seeds, first, strict=True))
        assert shown[name, "Δ mAP"] == ("–" if seeds is first else gain.text(sign=True)), name
        seconds = raw["seconds"].get(name)
        assert shown[name, "CPU s"] == ("" if seconds is None else f"{interval(seconds).mean:.0f}"), name


def test_where_words_look_is_in_the_raw_numbers() -> None:
    found = json.loads((DOCS / "token-sets" / "icons.json").read_text())["pointing"]
    column = "% of icons, five seeds"
    for field, name in {
        "word": "the map of the word",
        "chance": "any token",
        "other_word": "the map of another word of the name",
        "other_icon": "the map of the same word, on another icon",
    }.items():
        assert SHOWN["icons"][name, column] == str(interval(one[field] for one in found)), name
