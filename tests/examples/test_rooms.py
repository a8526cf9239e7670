"""The folders and modules of the application: imports between them have one direction."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FLOORS = (
    {"files", "lock", "memory", "checks", "interval", "workers"},
    {"config"},
    {"help", "options", "runs", "recipes", "pictures"},
    {"command", "figures", "people"},
    {"datasets"},
    {"models"},
    {"evaluation", "training"},
    {"run"},
    {"search"},
    {"trials", "study"},
)
"""A module or folder of `vireid` imports only from its own folder and from the floors below it."""
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted((EXAMPLES / "vireid").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports must be absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_imports_lead_to_lower_floors(path: Path) -> None:
    room = path.relative_to(EXAMPLES / "vireid").parts[0].removesuffix(".py")
    own = {name for name in imported(path) if name.split(".")[0] == "vireid"}
    scripts = {script.stem for script in EXAMPLES.glob("*.py")} | {"other_tasks"}
    assert not scripts & {name.split(".")[0] for name in imported(path)}, "a module must not import a script"
    for other in {name.split(".")[1] for name in own} - {room}:
        assert FLOOR[other] < FLOOR[room], f"{room} must not import {other}"


def test_every_room_has_a_floor() -> None:
    rooms = {path.name.removesuffix(".py") for path in (EXAMPLES / "vireid").iterdir() if path.name[0] not in "._"}
    assert rooms == set(FLOOR)
