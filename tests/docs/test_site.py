"""The site builds in strict mode, and its pages need no network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from support.pages import ROOT, blocks

pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: no site to look at")


def hook(name: str) -> ModuleType:
    spec = spec_from_file_location(name, ROOT / "docs" / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Needs(HTMLParser):
    """The addresses that a page loads by itself, and the text that it shows outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text = ""
        self.code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.code += tag in ("code", "pre", "script", "style")
        if tag != "a" and named.get("rel") not in ("canonical", "next", "prev"):
            self.addresses += [named[name] or "" for name in ("src", "href", "srcset") if name in named]

    def handle_endtag(self, tag: str) -> None:
        self.code -= tag in ("code", "pre", "script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self.code else data


@pytest.mark.long
def test_the_site_builds_and_needs_no_network(tmp_path: Path) -> None:
    """In strict mode: a missing link, heading, image or equation ends the build."""
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"}
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "start/index.html", "paper/index.html", "troubleshooting/index.html"} <= pages.keys()
    for name, page in pages.items():
        needs = Needs()
        needs.feed(page)
        assert [address for address in needs.addresses if "//" in address] == [], name
        assert "arithmatex" not in page, name
        assert "$" not in needs.text, f"{name}: an equation that was not found"
        assert "mermaid" not in page, f"{name}: its drawing would be fetched"
        assert ">>>" not in needs.text, f"{name}: an example outside of a block"
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text()), sheet.name
    assert pages["paper/index.html"].count('<svg xmlns="http://www.w3.org/2000/svg"') > 50
    assert not list(tmp_path.rglob("*.py"))


def test_the_front_page_is_the_readme() -> None:
    rewrite = hook("frontpage").rewrite
    found = rewrite("[a](docs/a.md#b), ![c](docs/images/c.jpg), [d](CONTRIBUTING.md), [e](https://e.org/docs/)")
    assert found == "[a](a.md#b), ![c](images/c.jpg), [d](contributing.md), [e](https://e.org/docs/)"
    page = type("Page", (), {"file": type("File", (), {"src_path": "index.md"})})
    assert "## Should I use it?" in hook("frontpage").on_page_markdown("", page)


def test_equations_take_the_height_of_their_line() -> None:
    pytest.importorskip("ziamath")
    render = hook("equations").render
    inline, block = (render(r"\hat{S} &lt; 1", "page.md", block=block) for block in (False, True))
    assert 'aria-label="\\hat{S} &lt; 1"' in inline
    assert float(re.findall(r"vertical-align:(-[\d.]+)em", inline)[0]) < 0  # below the line, as S's foot is
    assert float(re.findall(r"height:([\d.]+)em", inline)[0]) < 2
    assert 'fill="currentColor"' in inline
    assert 'fill="black"' not in inline
    assert block.startswith('<div class="equation"><svg')


@pytest.mark.parametrize("wrong", [r"\nosuchcommand x", "a & b"])
def test_unknown_commands_end_the_build(wrong: str) -> None:
    with pytest.raises(Exception, match=r"page\.md: latex2mathml must know every command; got"):
        hook("equations").render(wrong, "page.md", block=True)


def test_docstrings_get_heads_and_blocks() -> None:
    rewrite = hook("docstrings").rewrite
    assert rewrite("One line.\n\nShape: (n,).") == "One line.\n\n**Shape.** (n,)."
    assert rewrite("Equation, for all::\n\n    a") == "**Equation, for all.**\n\n    a"
    assert rewrite("A.\n\n>>> 1\n1\n\nB.") == "A.\n\n**Example.**\n\n```pycon\n>>> 1\n1\n```\n\nB."
    assert rewrite("The shape: none.") == "The shape: none."
    assert rewrite("As `A` and `B`.", {"A": "package.A"}) == "As [`A`][package.A] and `B`."


def test_a_page_becomes_a_notebook() -> None:
    pytest.importorskip("nbclient")
    notebooks = hook("notebooks")
    for page in notebooks.PAGES:
        cells = notebooks.notebook_of(page).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        wanted = [block.text.rstrip() for block in blocks(ROOT / "docs" / f"{page}.md", "python")]
        assert code == [text for text in wanted if not text.startswith("# not run: ")]
        assert not [cell.source for cell in cells if cell.cell_type == "markdown" and ".md" in cell.source], page
    text = "[a](own-backbone.md#x) [b](../paper.md) [`C`][concordant.C] ![d](../images/d.jpg)\n*e*\n[f](#g)"
    assert notebooks.prose(text, Path("guides")) == "[a](../guides/own-backbone/#x) [b](../paper/) `C` [f](#g)"
