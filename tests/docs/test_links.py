"""Links lead somewhere: inside the repository to what is there, outside to what is an address.

Links between the pages of the site, and to their headings, are checked by its strict build.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.pages import PAGES, ROOT, links, name_of


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        address = urlsplit(link)
        if address.scheme:
            assert address.scheme == "https", link
            assert "." in address.netloc, link
        elif address.path:
            assert (page.parent / address.path).exists(), link


def test_what_is_included_has_no_relative_links() -> None:
    """CONTRIBUTING.md and CHANGELOG.md are pages of the site too, where other paths hold."""
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        assert [link for link in links(ROOT / name) if not urlsplit(link).scheme] == []


def test_the_summary_for_language_models_has_every_page() -> None:
    """docs/llms.txt has relative addresses of the built site."""
    pages = {page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    summary = ROOT / "docs" / "llms.txt"
    assert sorted(link.rstrip("/") for link in links(summary)) == sorted(pages - {"index"})


def test_newcomers_find_answers_one_click_away() -> None:
    lines = [line for line in (ROOT / "docs" / "questions.md").read_text().splitlines() if line.startswith("| ")]
    assert len(lines) > 21
    assert [line for line in lines[1:] if "](" not in line and "CITATION.cff" not in line] == []


def test_answers_lead_to_headings_that_exist() -> None:
    """Without the site's build, which takes a minute: a heading of the same words, as the site makes its address."""
    questions = ROOT / "docs" / "questions.md"
    for link in links(questions):
        page, _, anchor = link.partition("#")
        headings = re.findall(r"^#+ (.+)$", (questions.parent / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert not anchor or anchor in map(slug, headings), link


def slug(heading: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
