"""Executed notebooks of the pages that are mostly code: `NOTEBOOKS=1 mkdocs build` writes site/notebooks.

A page is the source: its text becomes cells of text, its Python blocks cells of code, which run one after another. An
error in a cell ends the build. Links lead to the pages of the site, beside which the notebooks lie.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from rich.progress import track
from traitlets.config import Config

FORMAT: Any = nbformat  # it has no types
ROOT = Path(__file__).resolve().parents[2]
PAGES = ("start", "components", "cookbook", "token-sets", "guides/own-backbone", "guides/own-modalities")
QUIET = Config({"KernelManager": {"transport": "ipc"}})
"""Jupyter warns of its sockets otherwise."""
CODE = re.compile(r"^```python\n(.*?)^```\n?", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"\[?!\[[^]]*\]\([^)]*\)(\]\([^)]*\))?\n*(\*[^*]+\*\n)?")
"""A picture, which may be a link, and its caption."""
LINK = re.compile(r"\]\((?!https?:|#)([\w./-]+)\.md(#[\w-]+)?\)")
REFERENCE = re.compile(r"\[([^]]+)\]\[concordant[\w.]*\]")
"""A link to the API reference, which only the site can follow."""


def notebook_of(page: str) -> Any:
    """A page of the documentation as a notebook that has not run."""
    text, cells = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"), []
    folder = Path(page).parent
    for place, part in enumerate(CODE.split(text)):
        if place % 2 and not part.startswith("# not run: "):
            cells.append(FORMAT.v4.new_code_cell(part.rstrip()))
        elif place % 2:
            cells.append(FORMAT.v4.new_markdown_cell(f"```python\n{part}```"))
        elif words := prose(part, folder).strip():
            cells.append(FORMAT.v4.new_markdown_cell(words))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"  # a random one would make each build another
    return FORMAT.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def prose(text: str, folder: Path) -> str:
    """Text with links that hold beside the site's pages, and without what a notebook cannot show."""

    def moved(link: re.Match[str]) -> str:
        address = os.path.normpath(folder / link[1])
        return f"](../{'' if address == 'index' else address + '/'}{link[2] or ''})"

    return LINK.sub(moved, REFERENCE.sub(r"\1", PICTURE.sub("", text)))


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Link a page to its notebook."""
    name = page.file.src_path.removesuffix(".md")
    if name not in PAGES or not wanted():
        return content
    address = "../" * page.url.count("/") + f"notebooks/{Path(name).name}.ipynb"
    return f'{content}\n<p><a href="{address}" download>This page as a notebook, with outputs</a></p>'


def on_post_build(config: Any, **_: Any) -> None:
    if wanted():
        out = Path(config["site_dir"]) / "notebooks"
        out.mkdir(exist_ok=True)
        for page in track(PAGES, description="running notebooks"):
            notebook, place = notebook_of(page), {"metadata": {"path": str(ROOT)}}
            NotebookClient(notebook, config=QUIET, timeout=300, resources=place).execute()
            FORMAT.write(notebook, out / f"{Path(page).name}.ipynb")


def wanted() -> bool:
    return bool(os.environ.get("NOTEBOOKS"))
