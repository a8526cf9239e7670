"""Writing files completely or not at all, even if the process ends; converting settings to JSON and back."""

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
"""Files of macOS, a network storage and Windows; their other files begin with a dot."""


def replace_file(path: Path, write: Callable[[Path], T]) -> T:
    """Let `write` create a file under a temporary name, flush it to the disk, and then rename it.

    Returns the value of `write`.

    Raises:
        OSError: it cannot be written, for example on a full disk; an existing file of that name stays as it was.
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
    """Write a text in UTF-8, on any system, as `replace_file` does."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as `replace_file` does: no reader sees a part of it."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"read_json: {path} must be a JSON file; {reason_of(error)}") from None


def remove(path: Path) -> None:
    """Delete a file, or a directory with its content; for a link, only the link."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def plain(settings: Any) -> dict[str, Any]:
    """The settings as a dictionary for JSON."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(settings), default=str))
    return content


def revive(kind: Any, value: Any) -> Any:
    """The value of an annotated type, from its JSON form: the inverse of `plain`.

    Missing fields take their defaults, as a file may be older than a setting.

    Raises:
        ValueError: the value has another type or is out of range, has unknown fields, or lacks a field without a
            default.
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
    """Whether a system creates files of this name in folders, or an interrupted `replace_file` left it."""
    return name.startswith(".") or name.lower() in LITTER


def to_disk(path: Path) -> None:
    """Flush a file's content or a directory's entries to the disk, so that no name is stored before its content."""
    if os.name == "nt" and path.is_dir():  # directories cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reason_of(error: BaseException) -> str:
    """The message of another package's error, for one of ours: on one line, and shortened."""
    reason = " ".join(str(error).split())
    return reason if len(reason) <= 300 else f"{reason[:300]}…"
