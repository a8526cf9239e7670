"""Files that are whole or not there, whatever ends the process or the machine while they are written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name, bring it to the disk, then give it its name."""
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    to_disk(temporary)
    os.replace(temporary, path)
    to_disk(path.parent)


def is_unfinished(path: Path) -> bool:
    """Whether this is what a `replace_file` left that did not come to its end."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def to_disk(path: Path) -> None:
    """Bring a file's content or a directory's entries to the disk: else a name may get there before what it names."""
    if os.name == "nt" and path.is_dir():  # directories cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
