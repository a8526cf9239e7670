"""The layout: no file is too long to read at once, and no module hides another."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
LONGEST = 350


def test_no_file_is_too_long() -> None:
    files = (
        path for folder in ("src", "examples", "tests", "docs", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    )
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files}
    assert {name for name, length in lengths.items() if length > LONGEST} == set()


def test_no_module_on_the_path_hides_the_benchmarks() -> None:
    """A process that a benchmark starts imports it as `benchmarks.…`, from the root."""
    on_path = [path.stem for folder in ("src", "examples", "tests", "docs/tools") for path in (ROOT / folder).iterdir()]
    assert "benchmarks" not in on_path
