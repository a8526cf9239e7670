"""An index over embeddings: FAISS, with settings for unit vectors."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress
from torch import Tensor

from vireid.files import read_json, reason_of, replace_file, revive, write_json

Kind = Literal["exact", "ivfpq"]

CODES = 256
"""Number of values of a sub-quantiser: one byte."""
TRAINING = 64
"""Embeddings for each centre of k-means; FAISS requires at least 39."""
ADDED = 1 << 16
"""Embeddings that are added at a time."""
INDEX, SETTINGS = "index.faiss", "index.json"


class Found(NamedTuple):
    """The results of each query, nearest first."""

    similarity: Tensor
    """[q k], descending."""
    rows: Tensor
    """[q k] rows of the embeddings of the index. If the lists of a query have fewer than k: row −1, similarity −∞."""


@dataclass(frozen=True)
class IndexSettings:
    """Settings of an index, which are saved beside FAISS's file."""

    kind: Kind
    size: int
    """g: number of embeddings."""
    dimension: int
    """e: dimension of an embedding."""
    lists: int | None = None
    """ivfpq: number of lists (cells) of the gallery."""
    subquantisers: int | None = None
    """ivfpq: bytes in the code of an embedding."""
    nprobe: int | None = None
    """ivfpq: number of lists that a query reads by default."""


class EmbeddingIndex:
    """A gallery of embeddings, searched by inner product, which is the cosine for unit vectors (as of `CAL.embed`).

    exact: each query is compared with all embeddings. 4·e bytes per embedding.
    ivfpq: each embedding is a code of a few bytes in one of several lists, and a query reads the nearest lists. The
    results are approximate. Defaults are functions of g and e:

    - `lists` is √g, so that choosing lists takes no longer than reading one; at most g/39, so that FAISS can train;
    - `subquantisers` is the greatest divisor of e that is at most e/8: 32 times smaller than float32;
    - `nprobe` is √lists.

    Create an index with `build`, or `load` a saved one.
    """

    def __init__(self, index: faiss.IndexIDMap, settings: IndexSettings) -> None:
        self.settings = settings
        self._index = index
        self._bare: Any = faiss.downcast_index(index.index)  # this index returns rows, the other one ids

    @classmethod
    def build(
        cls,
        embeddings: Tensor,
        ids: Tensor | None = None,
        *,
        kind: Kind = "exact",
        lists: int | None = None,
        subquantisers: int | None = None,
        nprobe: int | None = None,
        progress: bool = False,
    ) -> EmbeddingIndex:
        """An index over embeddings.

        Args:
            embeddings: [g e], finite. They are copied, or coded ("ivfpq"); equal embeddings give equal indices.
            ids: [g] integers, the caller's numbers of the embeddings; by default their rows.
            kind, lists, subquantisers, nprobe: see above; the last three are for "ivfpq" only.
            progress: show a progress bar.

        Raises:
            ValueError: for shapes, types or settings that do not fit, and for fewer than 256 embeddings with "ivfpq".
        """
        who = "EmbeddingIndex.build"
        _check_tensors(who, embeddings=embeddings, **({} if ids is None else {"ids": ids}))
        if embeddings.ndim != 2 or not embeddings.numel() or not embeddings.is_floating_point():
            raise ValueError(
                f"{who}: `embeddings` must be (g, e) floats, both at least 1; "
                f"got {tuple(embeddings.shape)} of {embeddings.dtype}"
            )
        _check_finite(who, "embeddings", embeddings)
        g, e = embeddings.shape
        ids = torch.arange(g) if ids is None else ids
        if tuple(ids.shape) != (g,) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
            raise ValueError(f"{who}: `ids` must be (g,) = ({g},) integers; got {tuple(ids.shape)} of {ids.dtype}")
        options = (lists, subquantisers, nprobe)
        if kind == "exact":
            if options != (None, None, None):
                raise ValueError(
                    f"{who}: `lists`, `subquantisers` and `nprobe` must be None with kind 'exact'; got {options}"
                )
            settings = IndexSettings(kind, g, e)
        elif kind == "ivfpq":
            settings = _approximate(who, g, e, *options)
        else:
            raise ValueError(f"{who}: `kind` must be 'exact' or 'ivfpq'; got {kind!r}")
        bare = _empty(settings)
        index = faiss.IndexIDMap(bare)
        with Progress(disable=not progress) as bar:
            if kind == "ivfpq":
                task = bar.add_task("training the index", total=None)
                bare.train(_sample(embeddings, TRAINING * max(settings.lists or 0, CODES)))
                bar.update(task, total=1, completed=1)
            for start in bar.track(range(0, g, ADDED), description="adding embeddings"):
                rows = slice(start, start + ADDED)
                index.add_with_ids(_floats(embeddings[rows]), ids[rows].to("cpu", torch.int64).numpy())
        return cls(index, settings)

    @classmethod
    def load(cls, folder: Path | str) -> EmbeddingIndex:
        """The index that `save` wrote into a directory.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the files are damaged, or belong to two indices.
        """
        who, folder = "EmbeddingIndex.load", Path(folder)
        for path in (folder / SETTINGS, folder / INDEX):
            if not path.is_file():
                raise FileNotFoundError(f"{who}: {folder} must hold {SETTINGS} and {INDEX}; there is no {path.name}")
        try:
            record = read_json(folder / SETTINGS)
            checksum = record.pop("crc32")
            settings: IndexSettings = revive(IndexSettings, record)
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            reason = f"it has other content ({reason_of(error)})"
            raise ValueError(f"{who}: {folder / SETTINGS} must be what `save` wrote; {reason}") from None
        if (found := _checksum(folder / INDEX)) != checksum:
            raise ValueError(
                f"{who}: {folder / INDEX} must be as `save` wrote it, of CRC-32 {checksum} by {SETTINGS}; got {found}"
            )
        try:
            index = faiss.read_index(str(folder / INDEX))
        except RuntimeError:  # its message is long and about C++
            index = None
        if not isinstance(index, faiss.IndexIDMap):
            raise ValueError(f"{who}: {folder / INDEX} must be an index of FAISS with ids; it cannot be read")
        _check_index(who, index, settings)
        return cls(index, settings)

    def save(self, folder: Path | str) -> None:
        """Write the index into a directory; replaces an index that is there.

        Both files are written under temporary names. The settings come last, so that an incomplete directory has none.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
        replace_file(folder / INDEX, lambda temporary: faiss.write_index(self._index, str(temporary)))
        write_json(folder / SETTINGS, asdict(self.settings) | {"crc32": _checksum(folder / INDEX)})

    def add(self, embeddings: Tensor, ids: Tensor) -> None:
        """Add embeddings [n e] after the others; those of "ivfpq" get the codes that were learnt when it was built."""
        who = "EmbeddingIndex.add"
        _check_tensors(who, embeddings=embeddings, ids=ids)
        if embeddings.shape != (len(ids), self.settings.dimension):
            raise ValueError(
                f"{who}: `embeddings` must be (n, e) = ({len(ids)}, {self.settings.dimension}); "
                f"got {tuple(embeddings.shape)}"
            )
        _check_finite(who, "embeddings", embeddings)
        self._index.add_with_ids(_floats(embeddings), ids.to("cpu", torch.int64).numpy())
        self.settings = replace(self.settings, size=self._index.ntotal)

    def search(
        self, queries: Tensor, k: int, *, nprobe: int | None = None, keep: NDArray[np.bool_] | None = None
    ) -> Found:
        """The k nearest embeddings of each query.

        Args:
            queries: [q e], finite.
            k: at most g.
            nprobe: "ivfpq": number of lists that each query reads; by default that of the index.
            keep: [g], the rows that may be found; by default all.

        Raises:
            ValueError: for shapes or settings that do not fit.
        """
        who, settings = "EmbeddingIndex.search", self.settings
        _check_tensors(who, queries=queries)
        if queries.ndim != 2 or queries.shape[1] != settings.dimension or not queries.is_floating_point():
            raise ValueError(
                f"{who}: `queries` must be (q, {settings.dimension}) floats, as the gallery; "
                f"got {tuple(queries.shape)} of {queries.dtype}"
            )
        _check_finite(who, "queries", queries)
        if not isinstance(k, int | np.integer) or not 1 <= k <= settings.size:
            raise ValueError(f"{who}: `k` must be 1 .. g = {settings.size}; got {k}")
        if nprobe is not None and not 1 <= nprobe <= (settings.lists or 0):
            raise ValueError(f"{who}: `nprobe` must be 1 .. `lists` = {settings.lists}; got {nprobe}")
        if keep is not None and keep.shape != (settings.size,):
            raise ValueError(f"{who}: `keep` must be (g,) = ({settings.size},); got {keep.shape}")
        some: dict[str, Any] = {}
        if keep is not None:
            bits: Any = np.packbits(keep, bitorder="little")
            some["sel"] = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg]  # its stubs know the C++ one
        params = faiss.SearchParameters(**some)
        if settings.kind == "ivfpq":
            params = faiss.SearchParametersIVF(nprobe=nprobe or settings.nprobe, **some)  # type: ignore[call-arg]
        # Once faiss.contrib.torch_utils is imported, `search` has no `params`, and this is its former name.
        search = getattr(self._bare, "search_numpy", self._bare.search)
        similarity, rows = map(torch.from_numpy, search(_floats(queries), int(k), params=params))
        return Found(similarity.masked_fill_(rows < 0, -torch.inf), rows)

    @property
    def ids(self) -> Tensor:
        """[g]: the caller's numbers of the embeddings; those of results are `index.ids[found.rows]`."""
        return torch.from_numpy(faiss.vector_to_array(self._index.id_map))

    @property
    def megabytes(self) -> float:
        """Size of the index, in memory and on disk, in 10⁶ bytes."""
        lengths: list[int] = []
        # Counted block by block as when writing: a copy of a large index may not fit into memory.
        writer = faiss.PyCallbackIOWriter(  # type: ignore[attr-defined]  # its stubs lack it
            lambda block: lengths.append(len(block)), 1 << 24
        )
        faiss.write_index(self._index, writer)
        return sum(lengths) / 1e6


def _approximate(
    who: str, g: int, e: int, lists: int | None, subquantisers: int | None, nprobe: int | None
) -> IndexSettings:
    """The checked settings of IVF-PQ, with defaults for None."""
    if g < CODES:
        raise ValueError(f"{who}: `kind` 'ivfpq' must have {CODES} embeddings to learn its codes from; got {g}")
    lists = max(min(round(g**0.5), g // 39), 1) if lists is None else lists
    if subquantisers is None:
        subquantisers = max(m for m in range(1, max(e // 8, 1) + 1) if e % m == 0)
    nprobe = max(round(lists**0.5), 1) if nprobe is None and lists > 0 else nprobe
    if not 1 <= lists <= g:
        raise ValueError(f"{who}: `lists` must be 1 .. g = {g}; got {lists}")
    if subquantisers < 1 or e % subquantisers:
        raise ValueError(f"{who}: `subquantisers` must divide e = {e}; got {subquantisers}")
    if nprobe is None or not 1 <= nprobe <= lists:
        raise ValueError(f"{who}: `nprobe` must be 1 .. `lists` = {lists}; got {nprobe}")
    return IndexSettings("ivfpq", g, e, lists, subquantisers, nprobe)


def _empty(settings: IndexSettings) -> faiss.Index:
    if settings.lists is None or settings.subquantisers is None:
        return faiss.IndexFlatIP(settings.dimension)
    centres = faiss.IndexFlatIP(settings.dimension)
    bits = CODES.bit_length() - 1
    index = faiss.IndexIVFPQ(
        centres, settings.dimension, settings.lists, settings.subquantisers, bits, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1  # a small gallery is allowed
    return index


def _sample(embeddings: Tensor, most: int) -> NDArray[np.float32]:
    """A sample of the embeddings, which is always the same."""
    rows = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(0))[:most]
    return _floats(embeddings[rows])


def _floats(rows: Tensor) -> NDArray[np.float32]:
    """The rows as FAISS needs them."""
    return rows.detach().to("cpu", torch.float32).contiguous().numpy()


def _check_index(who: str, index: faiss.IndexIDMap, settings: IndexSettings) -> None:
    """Reject an index of FAISS that does not agree with its settings."""
    bare: Any = faiss.downcast_index(index.index)
    coded, exact = (isinstance(bare, kind) for kind in (faiss.IndexIVFPQ, faiss.IndexFlat))
    metrics = {bare.metric_type, bare.quantizer.metric_type} if coded else {bare.metric_type}
    if not (coded or exact) or metrics != {faiss.METRIC_INNER_PRODUCT}:
        raise ValueError(f"{who}: {INDEX} must be searched by inner product; got {type(bare).__name__} of {metrics}")
    own = (bare.nlist, bare.pq.M, min(max(settings.nprobe or 1, 1), bare.nlist)) if coded else ()
    if (found := IndexSettings("ivfpq" if coded else "exact", index.ntotal, index.d, *own)) != settings:
        raise ValueError(f"{who}: {INDEX} must be as {SETTINGS} says, {settings}; got {found}")


def _check_tensors(who: str, **named: object) -> None:
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{who}: `{name}` must be a tensor; got {type(value).__name__}")


def _check_finite(who: str, name: str, rows: Tensor) -> None:
    """Reject values that are not finite, which FAISS would accept silently."""
    if rows.numel() and not all(bound.isfinite() for bound in rows.detach().aminmax()):  # no mask as large as a gallery
        raise ValueError(
            f"{who}: `{name}` must be finite; got {int((~rows.isfinite()).any(dim=1).sum())} rows that are not"
        )


def _checksum(path: Path) -> str:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            checksum = zlib.crc32(block, checksum)
    return f"{checksum:08x}"
