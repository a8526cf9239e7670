"""Files that are complete or absent, whatever ends the process meanwhile; and settings as JSON has them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from safetensors import SafetensorError

T = TypeVar("T")

LITTER = {"__macosx", "@eadir", "thumbs.db", "desktop.ini"}
"""Of macOS, a network storage and Windows; what else they leave begins with a dot."""


def replace_file(path: Path, write: Callable[[Path], T]) -> T:
    """Let `write` make a file under a temporary name, bring it to the disk, then give it its name.

    Returns what `write` returns.

    Raises:
        OSError: it cannot be written, for want of room say; what had that name before is as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode  # the user's umask; safetensors would let nobody else read its files
        result = write(temporary)
        temporary.chmod(mode)
        to_disk(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
        raise OSError(f"replace_file: {path} cannot be written; {reason_of(error)}") from error
    finally:
        temporary.unlink(missing_ok=True)
    to_disk(path.parent)
    return result


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whatever the console's encoding, as `replace_file` does."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as `replace_file` does: nobody ever reads half of it."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def read_json(path: Path) -> Any:
    """What is in a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or something else.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"read_json: {path} must be a JSON file; {reason_of(error)}") from None


def remove(path: Path) -> None:
    """Delete a file, or a directory with all that is in it; of a link, the link."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def plain(settings: Any) -> dict[str, Any]:
    """The settings as JSON has them."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return content


def revive(kind: Any, value: Any) -> Any:
    """The value that an annotation describes, from what JSON has of it: the way back from `plain`.

    Fields that are not there take their defaults: a file may be older than a setting.

    Raises:
        ValueError: it is of another type or out of range, has fields that the dataclass has not, or lacks one that has
            no default.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _revive_fields(kind, value)
    if origin in (Union, UnionType):
        for one in inner:
            try:
                return revive(one, value)
            except ValueError:
                continue
    elif origin is tuple and isinstance(value, list) and len(value) == len(inner):
        return tuple(revive(one, content) for one, content in zip(inner, value, strict=True))
    elif (origin is Literal and value in inner) or (isinstance(kind, type) and type(value) is kind):
        return value
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif kind is float and type(value) is int:
        return float(value)
    raise ValueError(f"{value!r} is no {getattr(kind, '__name__', kind)}")


def _revive_fields(kind: Any, value: Any) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no {kind.__name__}")
    if unknown := sorted(value.keys() - hints.keys()):
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
    needed = {field.name for field in fields(kind) if field.default is field.default_factory is MISSING}
    if missing := sorted(needed - value.keys()):
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)}")
    found = {}
    for name, content in value.items():
        try:
            found[name] = revive(hints[name], content)
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None
    return kind(**found)


def is_litter(name: str) -> bool:
    """Whether a system leaves this in folders, or a `replace_file` that did not come to its end."""
    return name.startswith(".") or name.lower() in LITTER


def to_disk(path: Path) -> None:
    """Bring a file's content or a directory's entries to the disk: else a name may get there before what it names."""
    if os.name == "nt" and path.is_dir():  # directories cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason_of(error: BaseException) -> str:
    """Another package's message for one of ours: on one line, and no longer than people read."""
    reason = " ".join(str(error).split())
    return reason if len(reason) <= 300 else f"{reason[:300]}…"
