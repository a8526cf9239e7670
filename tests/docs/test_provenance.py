"""What the page says of the packages' data is what stands in their files."""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

import pytest

from support.pages import ROOT

pytest.importorskip("timm", reason="the extra `examples` is not installed")

from vireid.models.packaged import FILE, PACKAGE, SHA256, packaged_file

PAGE = (ROOT / "docs" / "provenance.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w-]+)`[^|]* \| ([^|]+) \| `([^|]+)` \| `([^|]+)` \|$", PAGE, flags=re.MULTILINE)
TITLES = {
    "Apache-2.0": r"Apache Software License 2\.0|Apache License,\s+Version 2\.0",
    "CC0 1.0": r"CC0 1\.0 Universal",
}
"""What the text of a licence says, by the name of the licence."""


def text_of(package: str, ending: str) -> str:
    """The text of the one file of an installed package whose path ends so."""
    (file,) = [path for path in distribution(package).files or () if path.as_posix().endswith(f"/{ending}")]
    return Path(str(file.locate())).read_text(encoding="utf-8")


@pytest.mark.parametrize(("package", "licence", "file", "words"), ROWS, ids=[f"{row[0]} {row[2]}" for row in ROWS])
def test_licences_are_those_of_the_files(package: str, licence: str, file: str, words: str) -> None:
    text = text_of(package, file)
    assert text.splitlines()[0].strip() == words
    assert re.search(TITLES[licence], text[:1000])


def test_the_page_names_all_and_the_installed_versions() -> None:
    assert [row[0] for row in ROWS] == [PACKAGE, "anny", "anny"]
    for package, version in re.findall(r"`([\w-]+)` \(([\d.]+)\)", PAGE):
        assert distribution(package).version == version


def test_the_weights_are_those_of_the_page() -> None:
    content = packaged_file().read_bytes()
    assert f"`{FILE}`" in PAGE
    assert f"`{sha256(content).hexdigest()}`" in PAGE
    assert f"`{SHA256}`" in PAGE
    assert f"{len(content) / 1e6:.1f} MB" in PAGE
