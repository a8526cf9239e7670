"""The files of a store on disk: one for each addition and each deletion, complete or absent."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vireid.files import reason_of, replace_file

NAME = re.compile(r"(\d{6,})\.safetensors$")
FIELDS = ("ids", "cameras", "times", "modalities", "names", "embeddings")


class Segment(NamedTuple):
    """n images that were added, or n ids that were deleted: these have no other arrays."""

    ids: NDArray[np.int64]
    cameras: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None
    modalities: NDArray[np.int64] | None = None
    names: NDArray[np.uint8] | None = None
    """UTF-8, with a zero after each name."""
    embeddings: NDArray[np.float32] | None = None
    """[n e]; also None if they were not read."""


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The numbers and paths of the segments of a directory, in the order in which they were written."""
    return sorted((int(match[1]), path) for path in folder.iterdir() if (match := NAME.match(path.name)))


def append(folder: Path, segment: Segment) -> None:
    """Write a segment after the others. It is there when this returns, and not at all if this fails."""
    last = max((number for number, _ in segments(folder)), default=0)
    write(folder / f"{last + 1:06d}.safetensors", segment)


def write(path: Path, segment: Segment) -> None:
    """Write a segment, with a checksum of each array."""
    arrays = {name: np.ascontiguousarray(array) for name, array in segment._asdict().items() if array is not None}
    checksums = {name: _checksum(array) for name, array in arrays.items()}
    replace_file(path, lambda temporary: save_file(arrays, temporary, {"crc32": json.dumps(checksums)}))


def read(path: Path, *, embeddings: bool) -> Segment:
    """Read a segment, with or without its embeddings.

    Raises:
        ValueError: it is truncated, or a checksum differs.
    """
    rule = f"read: {path} must be complete; to go on without it, delete it and add its images again"
    try:
        with safe_open(path, "np") as file:
            held = set(file.keys())
            checksums = json.loads((file.metadata() or {})["crc32"])
            arrays = {name: file.get_tensor(name) for name in FIELDS[: None if embeddings else -1] if name in held}
        if damaged := [name for name, array in arrays.items() if _checksum(array) != checksums[name]]:
            raise ValueError(f"the checksum of {', '.join(damaged)} differs")
        return Segment(**arrays)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{rule} ({reason_of(error)})") from None


def alive(parts: Sequence[Segment]) -> NDArray[np.bool_]:
    """[n]: whether each image that was added is still there: no later segment names its id."""
    rows = sum(len(part.ids) for part in parts if part.names is not None)
    lives, numbers, first = np.zeros(rows, bool), [], 0
    for part in parts:
        added = part.names is not None
        numbers.append(np.arange(first, first + len(part.ids)) if added else np.full(len(part.ids), -1))
        first += len(part.ids) if added else 0
    none = np.zeros(0, np.int64)
    events, number = np.concatenate([none, *(part.ids for part in parts)]), np.concatenate([none, *numbers])
    latest = number[last_of(events)]
    lives[latest[latest >= 0]] = True
    return lives


def last_of(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place where each id occurs last, in ascending order of the ids."""
    return len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]


def pack(names: list[str]) -> NDArray[np.uint8]:
    """Names as an array of bytes."""
    text = "".join(f"{name}\0" for name in names)
    return np.frombuffer(text.encode(errors="surrogateescape"), dtype=np.uint8)


def unpack(names: NDArray[np.uint8]) -> list[str]:
    """The inverse of `pack`."""
    return names.tobytes().decode(errors="surrogateescape").split("\0")[:-1]


def _checksum(array: NDArray[np.generic]) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data) if array.size else 0
