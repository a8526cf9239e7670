"""Declared versions agree with the tested ones: the lowest versions, and the installed ones."""

from __future__ import annotations

import re

import pytest

from diagrams import ROOT

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def name_of(requirement: str) -> str:
    """The normalised name of a package, which has several spellings."""
    return re.split(r"[\[<>=]", requirement)[0].lower().replace("_", "-")


def pinned(file: str) -> dict[str, str]:
    """The version of each package in a file of constraints, without zeros at its end."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    return {name_of(line): re.sub(r"(\.0)+$", "", line.split("==")[1]) for line in lines}


def test_the_oldest_versions_are_those_declared() -> None:
    declared = dict(
        requirement.split(">=") for requirement in [*PROJECT["dependencies"], *EXTRAS["examples"], *EXTRAS["test"]]
    )
    oldest = pinned("constraints-oldest.txt")
    for other in ("numpy", "onnx-ir", "protobuf"):  # no dependencies of this library, but of these
        assert oldest.pop(other)
    assert {name: re.sub(r"(\.0)+$", "", version) for name, version in declared.items()} == oldest


def test_every_package_is_pinned() -> None:
    named = {name_of(requirement) for extra in (PROJECT["dependencies"], *EXTRAS.values()) for requirement in extra}
    assert named - {PROJECT["name"]} <= pinned("constraints.txt").keys()
