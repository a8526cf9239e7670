"""Encoded images on the disk, of which a search reads those of a short list."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor

from concordant import Encoded
from vireid.files import read_json, reason_of, replace_file, revive, write_json
from vireid.lock import locked
from vireid.search.parts_code import PartSettings, Records, Sizes, checksums, layout, pack, unpack
from vireid.search.segments import last_of, segments
from vireid.search.store import Ids

MANIFEST, LOCK = "parts.json", ".lock"
VERSION = 1
"""Increase it whenever a store of the former version would be read wrongly."""
Compare = Callable[[Encoded, Encoded], Tensor]
ATTEMPTS = 5
"""Times that a directory is read whose files vanish meanwhile."""
GONE = -1
"""The shard of an id that was deleted."""


@dataclass(frozen=True)
class Manifest:
    """What all shards of a store have in common."""

    model: str
    settings: PartSettings
    version: int = VERSION


class Shard(NamedTuple):
    """A file of images."""

    path: Path
    sizes: Sizes
    records: Tensor
    """(n, bytes), mapped: a row is read from the disk when it is used."""


class PartStore:
    """Encoded images by their ids, in a directory that grows, and is read an image at a time.

    Each `add` and each `delete` writes one file, a shard, under a temporary name, and renames it: it is there when the
    call returns, and not at all if the process is killed before. What was there before stays as it is. Two processes
    may add: each waits for the other. A reader sees what was there when it opened the store. Deleted images take room
    until `compact`, which `delete` calls when they are more than half.

    An image is one record of bytes with a checksum, which is compared when the image is read. The ids are in memory,
    20 bytes an image.

    Create a store with `create`, or `open` one.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.settings = folder, manifest.settings
        for _ in range(ATTEMPTS):
            self._forget()
            try:
                return self._load()
            except FileNotFoundError as error:  # another process has just freed the room of deleted images
                gone = error
        raise gone

    @classmethod
    def create(cls, folder: Path | str, model: str, settings: PartSettings | None = None) -> PartStore:
        """An empty store in a new or an empty directory.

        Args:
            model: the model's name for itself, such as a digest of its weights: `open` compares it.
            settings: how images are kept.

        Raises:
            ValueError: there is a store already.
        """
        folder, manifest = Path(folder), Manifest(model, settings or PartSettings())
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK, wait=True):
            if (folder / MANIFEST).exists():
                raise ValueError(f"PartStore.create: `folder` must have no store yet; got {folder}, which has one")
            write_json(folder / MANIFEST, asdict(manifest))
        return cls(folder, manifest)

    @classmethod
    def open(cls, folder: Path | str, model: str) -> PartStore:
        """The store of a directory.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is of another model or version, or a shard is damaged.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise FileNotFoundError(f"PartStore.open: `folder` must have a store ({MANIFEST}); got {folder}")
        content = read_json(folder / MANIFEST)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            found = content.get("version") if isinstance(content, dict) else content
            raise ValueError(f"PartStore.open: {folder} must be a store of version {VERSION}; got {found}")
        try:
            manifest: Manifest = revive(Manifest, content)
        except ValueError as error:
            raise ValueError(f"PartStore.open: {folder / MANIFEST} must describe a store; {error}") from None
        if manifest.model != model:
            raise ValueError(f"PartStore.open: {folder} must be a store of model {model}; got one of {manifest.model}")
        return cls(folder, manifest)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Tensor:
        """[n], ascending: the images that are there."""
        return torch.from_numpy(self._ids.copy())

    @property
    def bytes(self) -> int:
        """Those of all records, also of deleted images that still take room."""
        return sum(shard.records.numel() for shard in self._shards.values())

    def add(self, images: Encoded, ids: Tensor) -> None:
        """Add images as one shard: thousands at a time rather than each alone. An id that is there is replaced.

        Raises:
            ValueError: ids that are not [n] distinct integers, numbers that are not finite, or images of other sizes
                than those that are there.
            OSError: they cannot be written, for example on a full disk.
        """
        new = _check_ids("PartStore.add", ids)
        if len(new) != len(images) or len(np.unique(new)) != len(new):
            rule = f"`ids` must be (n,) = ({len(images)},) distinct integers"
            raise ValueError(f"PartStore.add: {rule}; got {len(new)}, {len(np.unique(new))} of them distinct")
        if not len(new):
            return
        sizes, records = pack(images, self.settings)
        raw = records.view(np.uint8).reshape(len(records), records.dtype.itemsize)
        self._append(new, {"records": raw}, sizes)

    def delete(self, ids: Tensor) -> None:
        """Delete images; ids that are not there are ignored.

        Raises:
            ValueError: ids that are not integers.
            OSError: it cannot be written.
        """
        gone = _check_ids("PartStore.delete", ids)
        if len(gone):
            self._append(np.unique(gone), {}, None)
            if 2 * len(self) < sum(len(shard.records) for shard in self._shards.values()):
                with suppress(OSError):  # as on a full disk: the images are deleted, and a later call frees the room
                    self.compact()

    def compact(self) -> None:
        """Write the shards again without deleted images. All that is there can be read at every moment.

        Raises:
            OSError: a shard cannot be written, for example on a full disk.
        """
        with locked(self.folder / LOCK, wait=True):
            self._forget()
            self._load()
            for number, shard in self._shards.items():
                here = np.flatnonzero(self._where == number)
                here = here[np.argsort(self._rows[here])]
                if not len(here):
                    shard.path.unlink()
                elif len(here) < len(shard.records):
                    records = shard.records[torch.from_numpy(self._rows[here])].numpy()
                    _write(shard.path, self._ids[here], {"records": records}, shard.sizes)
            # Last: until here, they say which images are deleted. The newest stays: no number is given twice, and
            # another process looks for higher ones.
            for number, path in segments(self.folder)[:-1]:
                if number not in self._shards:
                    path.unlink()
            self._forget()
            self._load()

    def read(self, ids: Tensor) -> Encoded:
        """The images of some ids, in their order, in float32 on the CPU; an id may occur more than once.

        Raises:
            ValueError: an id that is not there, or a damaged image.
        """
        wanted = _check_ids("PartStore.read", ids)
        places = np.searchsorted(self._ids, wanted)
        known = np.append(self._ids, 0)[places] == wanted
        known &= places < len(self._ids)
        if not len(wanted) or not known.all():
            raise ValueError(f"PartStore.read: `ids` must be in the store; got {wanted[~known][:5].tolist() or 'none'}")
        shards, rows = self._where[places], self._rows[places]
        order = np.argsort(shards, kind="stable")
        several = np.split(order, np.flatnonzero(np.diff(shards[order])) + 1)
        pieces = [unpack(self._records(int(shards[some[0]]), rows[some], wanted[some])) for some in several]
        if len(pieces) == 1:
            return pieces[0]
        return Encoded.cat(pieces)[torch.from_numpy(np.argsort(order))]

    def compare(self, query: Encoded, ids: Tensor, similarity: Compare) -> Tensor:
        """[q k]: the similarity of each query with the images of its list.

        A list is read, and compared as a gallery: nothing else of the store is in memory.

        Args:
            query: q images, encoded by the store's model.
            ids: [q k], as an index finds them; −1 stands for none, whose similarity is −∞.
            similarity: of the model: (query, gallery) -> [q g].

        Raises:
            ValueError: ids of another shape, or that are not there, or a damaged image.
        """
        if not isinstance(ids, Tensor) or ids.ndim != 2 or len(ids) != len(query):
            got = tuple(ids.shape) if isinstance(ids, Tensor) else type(ids).__name__
            raise ValueError(f"PartStore.compare: `ids` must be (q, k) = ({len(query)}, k); got {got}")
        found = torch.full(ids.shape, -torch.inf)
        for i, listed in enumerate(ids.cpu()):
            if (real := listed >= 0).any():
                images = self.read(listed[real]).to(query.tokens.device, query.tokens.dtype)
                found[i, real] = similarity(query[i], images)[0].to(found)
        return found

    def _records(self, number: int, rows: Ids, ids: Ids) -> Records:
        shard = self._shards[number]
        raw = shard.records[torch.from_numpy(rows)].numpy()
        records: Records = raw.view(layout(shard.sizes, self.settings))[:, 0]
        if (damaged := ids[checksums(records) != records["checksum"]]).size:
            raise ValueError(
                f"PartStore.read: {shard.path} must hold its images as they were written; got other checksums for ids "
                f"{damaged[:5].tolist()}; add them again"
            )
        return records

    def _append(self, ids: Ids, arrays: dict[str, NDArray[np.uint8]], sizes: Sizes | None) -> None:
        with locked(self.folder / LOCK, wait=True):
            self._load()  # what another process has added
            first = next(iter(self._shards.values()), None)
            if first is not None and sizes is not None and first.sizes[2:] != sizes[2:]:
                rule = f"`images` must have the (c, d) of those that are there, {first.sizes[2:]}"
                raise ValueError(f"PartStore.add: {rule}; got {sizes[2:]}")
            _write(self.folder / f"{self._last + 1:06d}.safetensors", ids, arrays, sizes)
            self._load()

    def _forget(self) -> None:
        self._shards: dict[int, Shard] = {}
        self._last = 0
        self._ids, self._where, self._rows = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)

    def _load(self) -> None:
        """Read the shards that are new since the last time."""
        new = [(number, path) for number, path in segments(self.folder) if number > self._last]
        ids, where, rows = [self._ids], [self._where], [self._rows]
        for number, path in new:
            some, shard = _read(path, self.settings)
            if shard is not None:
                self._shards[number] = shard
            ids.append(some)
            where.append(np.full(len(some), GONE if shard is None else number, dtype=np.int32))
            rows.append(np.arange(len(some)))
            self._last = number
        if new:
            every, places = np.concatenate(ids), np.concatenate(where)
            latest = last_of(every)
            latest = latest[places[latest] != GONE]
            self._ids, self._where, self._rows = every[latest], places[latest], np.concatenate(rows)[latest]


def _write(path: Path, ids: Ids, arrays: dict[str, NDArray[np.uint8]], sizes: Sizes | None) -> None:
    about = {"ids": _checksum(ids), "sizes": json.dumps(sizes)}
    replace_file(path, lambda temporary: save_file({"ids": ids, **arrays}, temporary, about))


def _read(path: Path, settings: PartSettings) -> tuple[Ids, Shard | None]:
    """The ids of a shard, and its images, or None for ids that were deleted."""
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = file.metadata() or {}
            ids: Ids = file.get_tensor("ids").numpy().copy()
            if _checksum(ids) != about["ids"]:
                raise ValueError("the checksum of its ids differs")
            if (sizes := json.loads(about["sizes"])) is None:
                return ids, None
            shard = Shard(path, Sizes(*sizes), file.get_tensor("records"))
        if tuple(shard.records.shape) != (len(ids), layout(shard.sizes, settings).itemsize):
            raise ValueError(f"its records are {tuple(shard.records.shape)}")
        return ids, shard
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        rule = "must be complete; to go on without it, delete it and add its images again"
        raise ValueError(f"PartStore.open: {path} {rule} ({reason_of(error)})") from None


def _check_ids(who: str, ids: Tensor) -> Ids:
    tensor = isinstance(ids, Tensor)
    if not tensor or ids.ndim != 1 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        got = f"{tuple(ids.shape)} of {ids.dtype}" if tensor else type(ids).__name__
        raise ValueError(f"{who}: `ids` must be a tensor (n,) of integers; got {got}")
    return ids.detach().to("cpu", torch.int64).numpy()


def _checksum(ids: Ids) -> str:
    return f"{zlib.crc32(ids.tobytes()):08x}"
