"""An index over embeddings: FAISS, with the settings that unit vectors ask for."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
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
"""Values of a sub-quantiser: a byte each."""
TRAINING = 64
"""Embeddings that k-means sees for each of its centres; FAISS asks for 39 at least."""
ADDED = 1 << 16
"""Embeddings that are added at a time."""
INDEX, SETTINGS = "index.faiss", "index.json"


class Found(NamedTuple):
    """What each query found, nearest first."""

    similarity: Tensor
    """[q k], descending."""
    rows: Tensor
    """[q k] of the embeddings that the index was built from. Where a query's lists hold fewer than k: row −1, −∞."""


@dataclass(frozen=True)
class IndexSettings:
    """What an index is, as its directory has it beside FAISS's file."""

    kind: Kind
    size: int
    """g."""
    dimension: int
    """e."""
    lists: int | None = None
    """ivfpq: the cells that the gallery is divided into."""
    subquantisers: int | None = None
    """ivfpq: bytes of an embedding's code."""
    nprobe: int | None = None
    """ivfpq: the lists that a query reads unless told otherwise."""


class EmbeddingIndex:
    """A gallery of embeddings, searched by inner product: of unit vectors, as `CAL.embed` gives them, the cosine.

    exact: every query is compared with every embedding. 4·e bytes an embedding.
    ivfpq: each embedding is a code of a few bytes in one of several lists, and a query reads the lists that are
    nearest: approximate. Unless given, with the defaults as functions of g and e,

    - `lists` is √g, so that to choose lists takes no longer than to read one; at most g/39, for FAISS to train them;
    - `subquantisers` is the greatest divisor of e that is at most e/8: 32 times smaller than float32;
    - `nprobe` is √lists.

    Build one with `build`, or `load` what `save` wrote.
    """

    def __init__(self, index: faiss.IndexIDMap, settings: IndexSettings) -> None:
        self.settings = settings
        self._index = index
        self._bare: Any = faiss.downcast_index(index.index)  # this one answers with rows, the other with ids

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
            embeddings: [g e], finite. They are copied, or, by "ivfpq", coded; the same ones give the same index.
            ids: [g] integers that the caller knows the embeddings by; their rows unless given.
            kind, lists, subquantisers, nprobe: see above; the last three are of "ivfpq" alone.
            progress: show a bar.

        Raises:
            ValueError: for shapes, types or settings that do not fit, and for fewer than 256 embeddings to "ivfpq".
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
                    f"{who}: `lists`, `subquantisers` and `nprobe` are of kind 'ivfpq'; got {options} for 'exact'"
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
            ValueError: the files are not those of one index.
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
            reason = f"it is something else ({reason_of(error)})"
            raise ValueError(f"{who}: {folder / SETTINGS} must be what `save` wrote; {reason}") from None
        if (found := _checksum(folder / INDEX)) != checksum:
            raise ValueError(
                f"{who}: {folder / INDEX} must be as `save` wrote it, of CRC-32 {checksum} by {SETTINGS}; got {found}"
            )
        try:
            index = faiss.read_index(str(folder / INDEX))
        except RuntimeError:  # its message is a page of C++
            index = None
        if not isinstance(index, faiss.IndexIDMap):
            raise ValueError(f"{who}: {folder / INDEX} must be an index of FAISS with ids; it cannot be read as one")
        _check_index(who, index, settings)
        return cls(index, settings)

    def save(self, folder: Path | str) -> None:
        """Write the index into a directory, in place of one that may be there.

        Either file is written under a temporary name; the settings come last, so that no directory passes for whole
        while it is not.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
        replace_file(folder / INDEX, lambda temporary: faiss.write_index(self._index, str(temporary)))
        write_json(folder / SETTINGS, asdict(self.settings) | {"crc32": _checksum(folder / INDEX)})

    def search(self, queries: Tensor, k: int, *, nprobe: int | None = None) -> Found:
        """The k nearest embeddings of each query.

        Args:
            queries: [q e], finite.
            k: at most g.
            nprobe: "ivfpq": the lists that each query reads, if not the index's own number.

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
        if settings.kind == "ivfpq":  # not by `params`, which `search` lacks once faiss.contrib.torch_utils is imported
            self._bare.nprobe = nprobe or settings.nprobe
        similarity, rows = map(torch.from_numpy, self._bare.search(_floats(queries), int(k)))
        return Found(similarity.masked_fill_(rows < 0, -torch.inf), rows)

    @property
    def ids(self) -> Tensor:
        """[g]: the callers' numbers of the embeddings; those of what was found are `index.ids[found.rows]`."""
        return torch.from_numpy(faiss.vector_to_array(self._index.id_map))

    @property
    def megabytes(self) -> float:
        """What the index takes, in memory as on disk: 10⁶ bytes."""
        lengths: list[int] = []
        # Counted as it would be written, block by block: a copy of a large index may not fit.
        writer = faiss.PyCallbackIOWriter(  # type: ignore[attr-defined]  # its stubs lack it
            lambda block: lengths.append(len(block)), 1 << 24
        )
        faiss.write_index(self._index, writer)
        return sum(lengths) / 1e6


def _approximate(
    who: str, g: int, e: int, lists: int | None, subquantisers: int | None, nprobe: int | None
) -> IndexSettings:
    """The settings of IVF-PQ, checked, with defaults for those that are not given."""
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
    index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1  # a small gallery is no error
    return index


def _sample(embeddings: Tensor, most: int) -> NDArray[np.float32]:
    """Some of the embeddings, the same ones each time."""
    rows = torch.randperm(len(embeddings), generator=torch.Generator().manual_seed(0))[:most]
    return _floats(embeddings[rows])


def _floats(rows: Tensor) -> NDArray[np.float32]:
    """As FAISS takes them."""
    return rows.detach().to("cpu", torch.float32).contiguous().numpy()


def _check_index(who: str, index: faiss.IndexIDMap, settings: IndexSettings) -> None:
    """Refuse an index of FAISS that is another than its settings say."""
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
    """Refuse numbers that FAISS would search among without a word."""
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
