"""A store in a directory: files of embeddings, and FAISS's index over them in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vireid.files import read_json, write_json
from vireid.lock import locked
from vireid.search.index import CODES, EmbeddingIndex
from vireid.search.options import Kind
from vireid.search.segments import Segment, alive, append, pack, read, segments, unpack, write
from vireid.search.store import EVERYTHING, Hits, Identity, Ids, Keep, Records, Store, check_identity, padded

SETTINGS, LOCK, INDEX = "store.json", ".lock", "index-"
LISTED = 1 << 12
"""Records that are listed at a time."""
ATTEMPTS = 5
"""Times that a directory is read which another process builds anew meanwhile."""


class FaissStore(Store):
    """A store in a directory.

    - store.json: the identity of the store.
    - 000001.safetensors, 000002.safetensors, …: an addition or a deletion each. They are read in this order; the last
      one that names an id decides.
    - index-000002: an approximate index over the images of the first two. Later ones are added to it when it is read.

    An exact index is not saved, since it is the embeddings themselves. Only `build` and `save` of an approximate index
    write more than what was added.
    """

    def __init__(self, where: str, identity: Identity | None, *, write: bool) -> None:
        self.where, self._folder, self._held = where, Path(where), ExitStack()
        if not (self._folder / SETTINGS).is_file():
            if not write or identity is None:
                raise FileNotFoundError(f"open_store: {where} must be a store; it has no {SETTINGS}")
            self._folder.mkdir(parents=True, exist_ok=True)
        if write:
            try:
                self._held.enter_context(locked(self._folder / LOCK, wait=False))
            except BlockingIOError:
                raise OSError(f"open_store: {where} must have one writer at a time; another process has it") from None
        with ExitStack() as failed:
            failed.callback(self.close)
            if not (self._folder / SETTINGS).is_file():
                write_json(self._folder / SETTINGS, asdict(identity))  # type: ignore[arg-type]  # checked above
            self.identity = check_identity(where, read_json(self._folder / SETTINGS), identity)
            self._write = write
            self._open()
            failed.pop_all()

    def _open(self) -> None:
        """Read the directory; again, if a writer has built it anew meanwhile."""
        for _ in range(ATTEMPTS):
            before = self._files()
            try:
                self._read()
            except (OSError, ValueError):
                if self._files() == before:
                    raise
            else:
                if before <= self._files():  # what was added meanwhile may be missing
                    return
        raise OSError(f"open_store: {self.where} must not change while it is opened; another process builds it anew")

    def _files(self) -> set[tuple[str, int, int]]:
        """What is in the directory; a file that is written again is another one."""
        with os.scandir(self._folder) as found:
            return {(one.name, one.inode(), one.stat().st_mtime_ns) for one in found if one.name[0] != "."}

    def _read(self) -> None:
        """Read the segments, and the index with what was added after it."""
        covered, self._index = self._saved()
        parts: list[Segment] = []
        for number, path in segments(self._folder):
            segment = read(path, embeddings=number > covered)
            parts.append(segment._replace(embeddings=None))
            if segment.embeddings is not None:
                self._put(segment.embeddings, segment.ids)
        added = [part for part in parts if part.names is not None]
        self._records = Records(
            _cat([part.ids for part in added], np.int64),
            [name for part in parts if part.names is not None for name in unpack(part.names)],
            _cat([part.cameras for part in added], np.int64),
            _cat([part.times for part in added], np.float64),
            _cat([part.modalities for part in added], np.int64),
        )
        self._alive = alive(parts)
        if self._index is not None and self._index.settings.size != len(self._alive):
            raise ValueError(
                f"open_store: the index of {self.where} must cover {len(self._alive)} images; it has "
                f"{self._index.settings.size}: delete its directories {INDEX}… and build it again"
            )

    def _saved(self) -> tuple[int, EmbeddingIndex | None]:
        """The newest complete index, and the number of the last segment that it covers."""
        for folder in sorted(self._folder.glob(f"{INDEX}[0-9]*"), reverse=True):
            if (folder / "index.json").is_file():
                return int(folder.name.removeprefix(INDEX)), EmbeddingIndex.load(folder)
        return 0, None

    def _put(self, embeddings: NDArray[np.float32], ids: Ids) -> None:
        rows, numbers = torch.from_numpy(embeddings), torch.from_numpy(ids)
        if self._index is None:
            self._index = EmbeddingIndex.build(rows, numbers)
        else:
            self._index.add(rows, numbers)

    def add(self, embeddings: Tensor, records: Records) -> None:
        self._check("FaissStore.add", embeddings, records)
        self._may_write("FaissStore.add")
        if not len(records):
            return
        floats = embeddings.detach().to("cpu", torch.float32).contiguous().numpy()
        names = pack(list(records.names))
        columns = (records.ids, records.cameras, records.times, records.modalities)
        append(self._folder, Segment(*columns, names, floats))
        self._put(floats, records.ids)
        old = self._records
        self._alive = np.concatenate([self._alive & ~np.isin(old.ids, records.ids), np.ones(len(records), bool)])
        self._records = Records(
            np.concatenate([old.ids, records.ids]),
            [*old.names, *records.names],
            np.concatenate([old.cameras, records.cameras]),
            np.concatenate([old.times, records.times]),
            np.concatenate([old.modalities, records.modalities]),
        )

    def delete(self, ids: Ids) -> None:
        self._may_write("FaissStore.delete")
        gone = self._alive & np.isin(self._records.ids, ids)
        if gone.any():
            append(self._folder, Segment(self._records.ids[gone]))
            self._alive &= ~gone
            if 2 * len(self) < len(self._alive):
                coded = self._index is not None and self._index.settings.kind == "ivfpq" and len(self) >= CODES
                with suppress(OSError):  # as on a full disk: the images are deleted, and a later `build` frees the room
                    self.build("approximate" if coded else "exact")

    def build(self, kind: Kind) -> None:
        """Build the index anew; all embeddings must fit into memory."""
        self._may_write("FaissStore.build")
        if kind == "approximate" and len(self) < CODES:  # before the former index goes
            raise ValueError(
                f"FaissStore.build: an approximate index must have {CODES} images to learn its codes from; "
                f"got {len(self)}"
            )
        try:
            self._forget()
            self._purge()
        finally:  # also after an error: a part of the segments may be written again
            self._open()
        if kind == "approximate":
            parts = [read(path, embeddings=True) for _, path in segments(self._folder)]
            rows = torch.from_numpy(
                _cat([part.embeddings for part in parts], np.float32).reshape(-1, self.identity.dimension)
            )
            self._index = EmbeddingIndex.build(rows, torch.from_numpy(self._records.ids), kind="ivfpq")
            self.save()

    def _purge(self) -> None:
        """Write the segments again without deleted images; each is complete at every moment."""
        first = 0
        for _, path in segments(self._folder):
            segment = read(path, embeddings=True)
            if segment.names is None:
                continue
            stay = self._alive[first : first + len(segment.ids)]
            first += len(segment.ids)
            if not stay.any():
                path.unlink()
            elif not stay.all():
                write(path, _select(segment, stay))
        # Last: until here, they say which images are deleted.
        for _, path in segments(self._folder):
            if read(path, embeddings=False).names is None:
                path.unlink()

    def _forget(self, *, but: Path | None = None) -> None:
        """Delete the saved indices, but one."""
        for folder in self._folder.glob(f"{INDEX}[0-9]*"):
            if folder != but:
                (folder / "index.json").unlink(missing_ok=True)  # first: without it there is no index
                shutil.rmtree(folder)

    def search(self, queries: Tensor, k: int, keep: Keep = EVERYTHING, *, nprobe: int | None = None) -> Hits:
        self._check_search("FaissStore.search", queries, k)
        if self._index is None:
            return padded(torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64), k)
        settings, kept = self._index.settings, self._kept(keep)
        found = self._index.search(
            queries,
            min(k, settings.size),
            nprobe=None if nprobe is None or settings.lists is None else min(nprobe, settings.lists),
            keep=None if kept.all() else kept,
        )
        ids = torch.from_numpy(self._records.ids)[found.rows].masked_fill_(found.rows < 0, -1)
        return padded(found.similarity, ids, k)

    def _kept(self, keep: Keep) -> NDArray[np.bool_]:
        rows, records = self._alive, self._records
        if keep.not_camera is not None:
            rows = rows & (records.cameras != keep.not_camera)
        if keep.since is not None:
            rows = rows & (records.times >= keep.since)
        if keep.until is not None:
            rows = rows & (records.times <= keep.until)
        if keep.modality is not None:
            rows = rows & (records.modalities == keep.modality)
        return rows

    def held(self, ids: Ids) -> NDArray[np.bool_]:
        return np.isin(ids, self._records.ids[self._alive])

    def records(self, ids: Ids) -> Records:
        rows = np.flatnonzero(self._alive)
        order = rows[np.argsort(self._records.ids[rows])]
        places = np.searchsorted(self._records.ids[order], ids).clip(max=max(len(order) - 1, 0))
        if len(ids) and (not len(order) or (self._records.ids[order[places]] != ids).any()):
            raise ValueError(f"FaissStore.records: `ids` must be in {self.where}; got some that are not")
        return self._records.select(order[places])

    def listing(self) -> Iterator[Records]:
        rows = np.flatnonzero(self._alive)
        for start in range(0, len(rows), LISTED):
            yield self._records.select(rows[start : start + LISTED])

    def __len__(self) -> int:
        return int(self._alive.sum())

    def save(self) -> None:
        self._may_write("FaissStore.save")
        if self._index is not None and self._index.settings.kind == "ivfpq":
            last = segments(self._folder)[-1][0]
            folder = self._folder / f"{INDEX}{last:06d}"
            if not (folder / "index.json").is_file():
                self._index.save(folder)
            self._forget(but=folder)

    def close(self) -> None:
        self._held.close()


def _cat(arrays: list[Any], kind: type) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *map(np.ravel, arrays)])


def _select(segment: Segment, rows: NDArray[np.bool_]) -> Segment:
    """Some of the images of a segment."""
    columns: dict[str, Any] = segment._asdict()
    names = pack([name for name, stays in zip(unpack(columns.pop("names")), rows, strict=True) if stays])
    return Segment(names=names, **{name: column[rows] for name, column in columns.items()})
