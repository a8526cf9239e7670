"""A gallery of embeddings behind one small interface, whichever engine keeps it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vireid.files import revive
from vireid.search.options import Kind

VERSION = 2
"""Increase it whenever a store of the former version would be read wrongly."""
UNKNOWN = -1
"""The camera of an image of which none is known."""
Ids = NDArray[np.int64]
AnyStore = TypeVar("AnyStore", bound="Store")


@dataclass(frozen=True)
class Identity:
    """What all embeddings of a store have in common; those of another model cannot be compared with them."""

    model: str
    """A digest of the model's weights."""
    dimension: int
    version: int = VERSION


@dataclass(frozen=True)
class Records:
    """What a store keeps of n images beside their embeddings."""

    ids: Ids
    """[n], distinct and at least 0; see `ids_of`."""
    names: Sequence[str]
    """[n], for example paths."""
    cameras: NDArray[np.int64]
    """[n]; −1 is unknown."""
    times: NDArray[np.float64]
    """[n] seconds since 1970."""
    modalities: NDArray[np.int64]
    """[n], 0 or 1."""

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Records:
        names = np.asarray(self.names, dtype=object)[rows].tolist()
        return Records(self.ids[rows], names, self.cameras[rows], self.times[rows], self.modalities[rows])


def ids_of(names: Sequence[str]) -> Ids:
    """An id for each name: 63 bits of a digest, so that two processes and two engines give an image the same id.

    Among n images, two share an id with a probability of n²/2⁶⁴: 3 · 10⁻⁸ for a million.
    """
    digests = (blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest, "little") >> 1 for digest in digests], dtype=np.int64)


@dataclass(frozen=True)
class Keep:
    """The images that a search may find; by default all. The engine leaves out the others before it searches."""

    not_camera: int | None = None
    """Leave out the images of this camera, as that of the query."""
    since: float | None = None
    """Leave out earlier images: seconds since 1970."""
    until: float | None = None
    """Leave out later images: seconds since 1970."""
    modality: int | None = None
    """Leave out the images of the other modality."""


EVERYTHING = Keep()


class Hits(NamedTuple):
    """The results of each query, nearest first."""

    similarity: Tensor
    """[q k], descending."""
    ids: Tensor
    """[q k]. Where fewer than k images are found: id −1, similarity −∞."""


class Store(ABC):
    """Embeddings of images with their names, cameras, times and modalities, searched by inner product.

    What `add` and `delete` have done is kept when they return, even if the process is killed at that moment. A call
    that fails loses nothing of what was there. Ids are the caller's: adding an id again replaces its embedding, so that
    a call that failed can be repeated.
    """

    where: str
    identity: Identity
    _write: bool

    @abstractmethod
    def add(self, embeddings: Tensor, records: Records) -> None:
        """Add embeddings [n e] of n images.

        Raises:
            ValueError: they are not n finite vectors of the store's dimension, or ids occur twice.
            OSError: they cannot be kept, for example on a full disk.
        """

    @abstractmethod
    def delete(self, ids: Ids) -> None:
        """Delete images; ids that are not in the store are ignored. If most images are deleted, their room is freed."""

    @abstractmethod
    def build(self, kind: Kind) -> None:
        """Build the index anew, over the images that are in the store, and free the room of deleted ones.

        exact: each query is compared with all embeddings. approximate: with codes of the embeddings in the lists
        nearest to it; the codes are learnt from the images that are there now.
        """

    @abstractmethod
    def search(self, queries: Tensor, k: int, keep: Keep = EVERYTHING, *, nprobe: int | None = None) -> Hits:
        """The k nearest images of each query [q e], among those that `keep` leaves.

        Args:
            nprobe: of an approximate index: number of lists that a query reads, at most all; more are slower and more
                exact.
        """

    @abstractmethod
    def held(self, ids: Ids) -> NDArray[np.bool_]:
        """[n]: whether each id is in the store."""

    @abstractmethod
    def records(self, ids: Ids) -> Records:
        """The records of ids, in their order; all must be in the store."""

    @abstractmethod
    def listing(self) -> Iterator[Records]:
        """All records, some thousand at a time."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def save(self) -> None:
        """Write what makes the next opening fast. Nothing is lost without it."""

    @abstractmethod
    def close(self) -> None:
        """Let other processes use the store."""

    def __enter__(self: AnyStore) -> AnyStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _may_write(self, who: str) -> None:
        if not self._write:
            raise ValueError(f"{who}: {self.where} must be opened with `write`; it was opened to read")

    def _check(self, who: str, embeddings: Tensor, records: Records) -> None:
        """Reject what cannot be added."""
        n, e = len(records), self.identity.dimension
        if tuple(embeddings.shape) != (n, e) or not embeddings.is_floating_point():
            raise ValueError(
                f"{who}: `embeddings` must be ({n}, {e}) floats, one row per record; "
                f"got {tuple(embeddings.shape)} of {embeddings.dtype}"
            )
        if not embeddings.isfinite().all():
            raise ValueError(f"{who}: `embeddings` must be finite; got values that are not")
        if len(np.unique(records.ids)) < n or (n and records.ids.min() < 0):
            raise ValueError(f"{who}: `ids` must be distinct and at least 0; got {records.ids.tolist()[:10]}")

    def _check_search(self, who: str, queries: Tensor, k: int) -> None:
        """Reject a search that no engine can do."""
        if queries.ndim != 2 or queries.shape[1] != self.identity.dimension or not queries.is_floating_point():
            raise ValueError(
                f"{who}: `queries` must be (q, {self.identity.dimension}) floats, as the store; "
                f"got {tuple(queries.shape)} of {queries.dtype}"
            )
        if not queries.isfinite().all():
            raise ValueError(f"{who}: `queries` must be finite; got values that are not")
        if k < 1:
            raise ValueError(f"{who}: `k` must be at least 1; got {k}")


def padded(similarity: Tensor, ids: Tensor, k: int) -> Hits:
    """Hits of k columns: missing ones have id −1 and similarity −∞."""
    missing = (len(ids), k - ids.shape[1])
    return Hits(
        torch.cat([similarity, similarity.new_full(missing, -torch.inf)], dim=1),
        torch.cat([ids, ids.new_full(missing, -1)], dim=1),
    )


def is_server(where: str) -> bool:
    """Whether a place is the address of a Milvus server."""
    return where.startswith(("http://", "https://"))


def open_store(where: str, identity: Identity | None = None, *, write: bool = False) -> Store:
    """The store at a place: a file `….db` of Milvus Lite, a Milvus server `http://…`, or a directory for FAISS.

    Args:
        identity: that the store must have; it is created with it where there is none, if `write`.
        write: to add and delete. A directory has one writer at a time, and readers beside it.

    Raises:
        FileNotFoundError: there is no store, and none is to be created.
        ValueError: it is of another model or version, or damaged.
        OSError: another process uses it, or it cannot be reached, read or written.
    """
    if is_server(where) or where.endswith(".db"):
        try:
            from vireid.search.milvus_store import MilvusStore
        except ImportError:
            raise ValueError(
                f"open_store: {where} needs pymilvus and milvus-lite: install the extra `milvus`"
            ) from None

        return MilvusStore(where, identity, write=write)
    from vireid.search.faiss_store import FaissStore

    return FaissStore(where, identity, write=write)


def check_identity(where: str, found: Any, identity: Identity | None) -> Identity:
    """The identity of a store, from its JSON form. Rejects that of another version, or other than a given one."""
    if isinstance(found, dict) and found.get("version") != VERSION:
        raise ValueError(f"open_store: {where} must be a store of version {VERSION}; got {found.get('version')}")
    try:
        own: Identity = revive(Identity, found)
    except ValueError as error:
        raise ValueError(f"open_store: {where} must be a store of embeddings; {error}") from None
    if identity is not None and own != identity:
        raise ValueError(f"open_store: {where} must have embeddings of this model, {identity}; got {own}")
    return own
