"""The front page is the README, with addresses as the site has them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parents[2] / "README.md"
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that are pages of the site."""


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return rewrite(README.read_text(encoding="utf-8")) if page.file.src_path == "index.md" else markdown


def rewrite(text: str) -> str:
    """
    >>> rewrite("[a](docs/a.md#b), ![c](docs/images/c.jpg), [d](CONTRIBUTING.md), [e](https://e.org/docs/)")
    '[a](a.md#b), ![c](images/c.jpg), [d](contributing.md), [e](https://e.org/docs/)'
    """
    text = re.sub(r"\]\(docs/", "](", text)
    return re.sub(r"\]\(([A-Z]+\.md)\)", lambda found: f"]({PAGES[found[1]]})", text)
