"""A store in Milvus: a file of Milvus Lite, which runs in this process, or a server, by the same calls."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException
from torch import Tensor

from vireid.files import reason_of
from vireid.search.options import Kind
from vireid.search.store import EVERYTHING, Hits, Identity, Ids, Keep, Records, Store, check_identity, is_server

COLLECTION, PROPERTY = "gallery", "concordant.store"
FIELDS = ["id", "name", "camera", "time", "modality"]
LONGEST = 4096
"""Bytes of a name at most."""
MESSAGE = 1 << 24
"""Bytes of embeddings that are sent at a time; a server accepts 64 MB."""
LISTED = 1 << 12
"""Records, or ids, that are sent at a time."""
TIMEOUT = 10.0
"""Seconds to wait for a server when it is first called."""


class MilvusStore(Store):
    """A store in Milvus: the collection `gallery` of a server, or of a file of Milvus Lite.

    The identity of the store is a property of the collection. Milvus Lite writes an addition to a log before it
    answers, and is used by one process at a time. A server takes additions of several processes.

    exact is Milvus' FLAT, approximate its IVF_SQ8: a byte per dimension, in √g lists.
    """

    def __init__(self, where: str, identity: Identity | None, *, write: bool) -> None:
        self.where, self._server, self._failed = where, is_server(where), False
        self._write = write
        if not self._server and not Path(where).exists() and (not write or identity is None):
            raise FileNotFoundError(f"open_store: {where} must be a store; there is no such file")
        if not self._server:
            Path(where).absolute().parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client = MilvusClient(where, timeout=TIMEOUT)
        except MilvusException as error:
            reason = (not self._server and REASONS.last) or reason_of(error.message)
            raise OSError(f"open_store: {where} must be a Milvus that can be used: {reason}") from None
        try:
            with self._telling("open_store"):
                if not self._client.has_collection(COLLECTION):
                    if not write or identity is None:
                        raise FileNotFoundError(f"open_store: {where} must be a store; it has no {COLLECTION}")
                    self._create(identity)
                properties = self._client.describe_collection(COLLECTION)["properties"]
                self.identity = check_identity(where, _json(properties.get(PROPERTY, "")), identity)
                self._load()
        except BaseException:
            self.close()
            raise

    def _create(self, identity: Identity) -> None:
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("name", DataType.VARCHAR, max_length=LONGEST)
        schema.add_field("camera", DataType.INT64)
        schema.add_field("time", DataType.DOUBLE)
        schema.add_field("modality", DataType.INT64)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=identity.dimension)
        # Strong: a search finds all that was added before it, also by another process.
        self._client.create_collection(
            COLLECTION,
            schema=schema,
            index_params=self._index("exact", 0),
            consistency_level="Strong",
            properties={PROPERTY: json.dumps(asdict(identity))},
        )

    def _index(self, kind: Kind, size: int) -> Any:
        params = self._client.prepare_index_params()
        if kind == "exact":
            params.add_index("embedding", index_type="FLAT", metric_type="IP")
        else:
            lists = max(round(size**0.5), 1)
            params.add_index("embedding", index_type="IVF_SQ8", metric_type="IP", params={"nlist": lists})
        return params

    def _load(self) -> None:
        """Let the collection be searched; by default, a query reads the root of the number of lists.

        A `build` that was interrupted may have left no index.
        """
        if not self._client.list_indexes(COLLECTION):
            self._client.create_index(COLLECTION, self._index("exact", 0))
        self._client.load_collection(COLLECTION)
        size = int(self._client.get_collection_stats(COLLECTION)["row_count"])
        self._nprobe = max(round(size**0.25), 1)

    def add(self, embeddings: Tensor, records: Records) -> None:
        """Several messages, if it takes more than one: if one fails, those before it are kept; so repeat the call."""
        self._check("MilvusStore.add", embeddings, records)
        if long := [name for name in records.names if len(name.encode()) > LONGEST]:
            raise ValueError(f"MilvusStore.add: `names` must have at most {LONGEST} bytes; got {long[0][:80]}…")
        floats = embeddings.detach().to("cpu", torch.float32).numpy()
        numbers = (records.cameras.tolist(), records.times.tolist(), records.modalities.tolist())
        columns = (records.ids.tolist(), records.names, *numbers, floats)
        rows = [dict(zip([*FIELDS, "embedding"], row, strict=True)) for row in zip(*columns, strict=True)]
        many = max(MESSAGE // (4 * self.identity.dimension), 1)
        with self._changing("MilvusStore.add"):
            # In a file, an upsert of new images doubles the time of each later search. No other process adds to it.
            new = not self._server and not self.held(records.ids).any()
            put = self._client.insert if new else self._client.upsert
            for start in range(0, len(rows), many):
                put(COLLECTION, rows[start : start + many])

    def delete(self, ids: Ids) -> None:
        with self._changing("MilvusStore.delete"):
            for some in _pieces(ids):
                self._client.delete(COLLECTION, ids=some)

    def build(self, kind: Kind) -> None:
        """Build the index anew. Milvus frees the room of deleted images when it merges its files."""
        with self._changing("MilvusStore.build"):
            self._client.flush(COLLECTION)
            self._client.compact(COLLECTION)
            self._client.release_collection(COLLECTION)
            self._client.drop_index(COLLECTION, "embedding")
            self._client.create_index(COLLECTION, self._index(kind, len(self)))
            self._load()

    def search(self, queries: Tensor, k: int, keep: Keep = EVERYTHING, *, nprobe: int | None = None) -> Hits:
        self._check_search("MilvusStore.search", queries, k)
        rows = queries.detach().to("cpu", torch.float32).numpy()
        params = {"params": {"nprobe": nprobe or self._nprobe}}
        with self._telling("MilvusStore.search"):
            many = max(MESSAGE // (4 * rows.shape[1]), 1)
            found = [
                hits
                for start in range(0, len(rows), many)
                for hits in self._client.search(
                    COLLECTION,
                    data=list(rows[start : start + many]),
                    limit=k,
                    filter=_filter(keep),
                    search_params=params,
                )
            ]
        similarity, ids = torch.full((len(rows), k), -torch.inf), torch.full((len(rows), k), -1)
        for row, hits in enumerate(found):
            similarity[row, : len(hits)] = torch.tensor([hit["distance"] for hit in hits])
            ids[row, : len(hits)] = torch.tensor([hit["id"] for hit in hits], dtype=torch.int64)
        return Hits(similarity, ids)

    def held(self, ids: Ids) -> NDArray[np.bool_]:
        with self._telling("MilvusStore.held"):
            found = [row["id"] for some in _pieces(ids) for row in self._client.get(COLLECTION, some, ["id"])]
        return np.isin(ids, np.array(found, dtype=np.int64))

    def records(self, ids: Ids) -> Records:
        with self._telling("MilvusStore.records"):
            rows = [row for some in _pieces(ids) for row in self._client.get(COLLECTION, some, FIELDS)]
        of = {row["id"]: row for row in rows}
        if missing := [one for one in ids.tolist() if one not in of]:
            raise ValueError(f"MilvusStore.records: `ids` must be in {self.where}; got {missing[0]}, which is not")
        return _records([of[one] for one in ids.tolist()])

    def listing(self) -> Iterator[Records]:
        with self._telling("MilvusStore.listing"):
            rows = self._client.query_iterator(COLLECTION, batch_size=LISTED, output_fields=FIELDS)
            while some := rows.next():
                yield _records(some)
            rows.close()

    def __len__(self) -> int:
        with self._telling("MilvusStore.__len__"):
            return int(self._client.query(COLLECTION, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def save(self) -> None:
        with self._changing("MilvusStore.save"):
            self._client.flush(COLLECTION)

    def close(self) -> None:
        self._client.close()
        if not self._server:
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(self.where)  # else this process keeps the file until it ends

    @contextmanager
    def _changing(self, who: str) -> Iterator[None]:
        """As `_telling`. After an error, a file is changed no more: Milvus Lite leaves a part of what failed, as on a
        full disk, at the end of its log. What it would write after that part, it could not read again. The next
        opening begins a new log.
        """
        self._may_write(who)
        if self._failed:
            raise OSError(f"{who}: {self.where} must be opened again after an error")
        self._failed = not self._server
        with self._telling(who):
            yield
        self._failed = False

    @contextmanager
    def _telling(self, who: str) -> Iterator[None]:
        """Milvus' errors in one line."""
        try:
            yield
        except MilvusException as error:
            raise OSError(f"{who}: {self.where} must answer; {reason_of(error.message)}") from None


class _Reasons(logging.Handler):
    """Keeps the last error of Milvus Lite and its client, instead of the traceback that they print beside each."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.last = reason_of(record.exc_info[1])


REASONS = _Reasons(logging.ERROR)
for _name in ("pymilvus", "pymilvus.milvus_client", "milvus_lite", "grpc"):
    logging.getLogger(_name).handlers[:] = [REASONS]
    logging.getLogger(_name).propagate = False


def _filter(keep: Keep) -> str:
    rules = (
        ("camera != ", keep.not_camera),
        ("time >= ", keep.since),
        ("time <= ", keep.until),
        ("modality == ", keep.modality),
    )
    return " and ".join(f"{rule}{value!r}" for rule, value in rules if value is not None)


def _pieces(ids: Ids) -> list[list[int]]:
    return [ids[start : start + LISTED].tolist() for start in range(0, len(ids), LISTED)]


def _records(rows: list[dict[str, Any]]) -> Records:
    ids, names, cameras, times, modalities = ([row[field] for row in rows] for field in FIELDS)
    whole = [np.array(column, np.int64) for column in (ids, cameras, modalities)]
    return Records(whole[0], names, whole[1], np.array(times, np.float64), whole[2])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
