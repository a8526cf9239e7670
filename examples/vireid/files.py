"""Files that are whole or not there, whatever ends the process or the machine while they are written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file under a temporary name, bring it to the disk, then give it its name.

    Raises:
        OSError: it cannot be written, for want of room say; what had that name before is as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write(temporary)
        to_disk(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
        temporary.unlink(missing_ok=True)
        reason = " ".join(str(error).split())
        raise OSError(f"replace_file: {path} cannot be written; {reason[:300]}") from error
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
