"""Search: distilled embeddings behind FAISS, and short lists that target-aware similarity puts in a new order."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress, track
from torch import Tensor

from concordant import Encoded, PartQueries, target_aware_similarity
from concordant.attention import PartAttention
from vireid.data import Items, Similarity, by_modality, cosine, looked_up
from vireid.data.dataset import Rows
from vireid.files import replace_file
from vireid.record import read_json, write_json

Kind = Literal["exact", "ivfpq"]
Score = Literal["target-aware", "mean"]

CODES = 256
"""Values of a sub-quantiser: a byte each."""
TRAINING = 64
"""Embeddings that k-means sees for each of its centres; FAISS asks for 39 at least."""
ADDED = 1 << 16
"""Embeddings that are added at a time."""
LISTED = 256
"""Images of a short list that are compared at a time: bounds the memory of a list of any length."""
QUERIES = 128
"""Queries that are compared with a whole gallery at a time."""
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
        self._bare = faiss.downcast_index(index.index)  # this one answers with rows, the other with ids

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
    def load(cls, folder: Path) -> EmbeddingIndex:
        """The index that `save` wrote into a directory.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the files are not those of one index.
        """
        who = "EmbeddingIndex.load"
        for path in (folder / SETTINGS, folder / INDEX):
            if not path.is_file():
                raise FileNotFoundError(f"{who}: {folder} must hold {SETTINGS} and {INDEX}; there is no {path.name}")
        try:
            record = read_json(folder / SETTINGS)
            checksum = record.pop("crc32")
            settings = IndexSettings(**record)
        except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
            raise ValueError(f"{who}: {folder / SETTINGS} must be what `save` wrote; it is something else") from None
        if (found := _checksum(folder / INDEX)) != checksum:
            raise ValueError(
                f"{who}: {folder / INDEX} must be as `save` wrote it, of CRC-32 {checksum} by {SETTINGS}; got {found}"
            )
        try:
            index = faiss.read_index(str(folder / INDEX))
        except RuntimeError:  # its message is a page of C++
            raise ValueError(f"{who}: {folder / INDEX} must be an index of FAISS; it cannot be read as one") from None
        if not isinstance(index, faiss.IndexIDMap) or (index.ntotal, index.d) != (settings.size, settings.dimension):
            raise ValueError(
                f"{who}: {folder / INDEX} must hold (g, e) = {(settings.size, settings.dimension)}, as {SETTINGS} "
                f"says; got {(index.ntotal, index.d)}"
            )
        return cls(index, settings)

    def save(self, folder: Path) -> None:
        """Write the index into a directory, in place of one that may be there.

        Either file is written under a temporary name; the settings come last, so that no directory passes for whole
        while it is not.
        """
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
        if queries.ndim != 2 or queries.shape[1] != settings.dimension or not queries.is_floating_point():
            raise ValueError(
                f"{who}: `queries` must be (q, {settings.dimension}) floats, as the gallery; "
                f"got {tuple(queries.shape)} of {queries.dtype}"
            )
        _check_finite(who, "queries", queries)
        if not isinstance(k, int) or not 1 <= k <= settings.size:
            raise ValueError(f"{who}: `k` must be 1 .. g = {settings.size}; got {k}")
        if nprobe is not None and not 1 <= nprobe <= (settings.lists or 0):
            raise ValueError(f"{who}: `nprobe` must be 1 .. `lists` = {settings.lists}; got {nprobe}")
        if settings.kind == "ivfpq":  # not by `params`, which `search` lacks once faiss.contrib.torch_utils is imported
            self._bare.nprobe = nprobe or settings.nprobe
        similarity, rows = map(torch.from_numpy, self._bare.search(_floats(queries), k))
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
        faiss.write_index(self._index, faiss.PyCallbackIOWriter(lambda block: lengths.append(len(block)), 1 << 24))
        return sum(lengths) / 1e6


def two_stage(
    index: EmbeddingIndex,
    embeddings: Tensor,
    query: Encoded,
    gallery: Encoded,
    attention: PartAttention,
    k: int,
    *,
    score: Score = "target-aware",
) -> Found:
    """Search by distilled embeddings, then put each query's k nearest in the order of their target-aware similarity.

    Cost of a query: one search of the index, and k pairs, however large the gallery. A pair reads the query's p parts
    on the gallery image, and the gallery image's parts on both: three attentions of 2·p·t·(c + d) operations each, so
    k · 6·p·t·(c + d) in all. Exhaustive comparison takes g pairs of two attentions each, since it reads an image's
    parts on the image itself once and not in every pair. Memory is that of 256 images, for lists of any length.

    Args:
        index: of g gallery images; row i is row i of `gallery`.
        embeddings: [q e] of the queries.
        query: the same q images, encoded.
        gallery: the g images, encoded.
        attention: the model's.
        k: the length of the short list.
        score: "target-aware" orders the list by the target-aware similarity alone; "mean" by the mean of it and the
            index's.

    Returns the lists, [q k], with the similarities they are ordered by.

    Raises:
        ValueError: for shapes or settings that do not fit.
    """
    if score not in ("target-aware", "mean"):
        raise ValueError(f"two_stage: `score` must be 'target-aware' or 'mean'; got {score!r}")
    lengths = (len(embeddings), len(query.tokens), index.settings.size, len(gallery.tokens))
    if lengths[0] != lengths[1] or lengths[2] != lengths[3]:
        raise ValueError(
            f"two_stage: `embeddings` and `query` must have as many rows, and so must `index` and `gallery`; "
            f"got {lengths[0]} and {lengths[1]}, {lengths[2]} and {lengths[3]}"
        )
    found = index.search(embeddings, k)
    values = rescore(found.rows, query, gallery, attention)
    if score == "mean":
        values = (values + found.similarity) / 2
    order = values.argsort(dim=1, descending=True, stable=True)
    return Found(values.gather(1, order), found.rows.gather(1, order))


def rescore(rows: Tensor, query: Encoded, gallery: Encoded, attention: PartAttention) -> Tensor:
    """The target-aware similarity [q k] of each query with the gallery images `rows` [q k]; −∞ for a row of −1."""
    dtype = torch.promote_types(query.tokens.dtype, torch.float32)
    values = torch.empty(rows.shape, dtype=dtype)
    length = min(rows.shape[1], LISTED)  # several short lists at a time, or a piece of one long list
    for some in torch.arange(len(rows)).split(max(LISTED // length, 1)):
        one = query.rows(some)
        for places in torch.arange(rows.shape[1]).split(length):
            listed = rows[some][:, places].clamp_min(0)
            values[some[:, None], places] = _listed(one, gallery.rows(listed.flatten()), attention).to(values)
    return values.masked_fill_(rows < 0, -torch.inf)


def _listed(query: Encoded, listed: Encoded, attention: PartAttention) -> Tensor:
    """[q s]: each query's similarity with its own s of the images [q·s] that are listed."""
    q, s = len(query.tokens), len(listed.tokens) // len(query.tokens)

    def cosine(features: Tensor, own: Tensor) -> Tensor:
        return torch.cosine_similarity(features.float(), own.float(), dim=2, eps=1e-12).mean(dim=1).view(q, s)

    def each(x: Tensor) -> Tensor:
        return x.repeat_interleave(s, dim=0)

    own = each(attention.attend(*query).features)
    parts = PartQueries(*map(each, query.part_queries))
    by_query = cosine(attention.attend(listed.tokens, listed.keys, parts).features, own)
    # A query reads the parts of all its listed images at once.
    parts = PartQueries(*(x.unflatten(0, (q, s)).flatten(1, 2) for x in listed.part_queries))
    read = attention.attend(query.tokens, query.keys, parts).features.unflatten(1, (s, -1)).flatten(0, 1)
    return (by_query + cosine(read, attention.attend(*listed).features)) / 2


def short_list_first(distilled: Tensor, found: Found) -> Tensor:
    """A similarity [q g] that ranks each query's short list first, in its order, then the others as they were.

    What was found keeps its similarity; that of the others, a cosine, is lowered by 4, below any cosine. float64, in
    which that makes no two of them equal.
    """
    similarity = distilled.double() - 4
    queries, places = (found.rows >= 0).nonzero(as_tuple=True)
    similarity[queries, found.rows[queries, places]] = found.similarity[queries, places].double()
    return similarity


def two_staged(
    embeddings: Tensor,
    encoded: Encoded,
    test: Items,
    attention: PartAttention,
    k: int,
    *,
    score: Score = "target-aware",
) -> Similarity:
    """`two_stage` for `evaluate`: see `short_list_first`. A gallery of fewer than k images is listed as a whole.

    Each gallery is indexed as it is asked for, exactly. Images that the protocol does not show a query may be on its
    list, since they are taken out of the ranking afterwards: the rest of the list is then shorter than k.

    Args:
        embeddings: [n e], one row an image of `test`; `encoded`: the same images.
        attention, k, score: see `two_stage`.
    """
    distilled = cosine(embeddings, test)

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        own, other = torch.from_numpy(query), torch.from_numpy(gallery)
        index = EmbeddingIndex.build(embeddings[other])
        short = min(k, len(gallery))
        found = two_stage(index, embeddings[own], encoded.rows(own), encoded.rows(other), attention, short, score=score)
        return short_list_first(distilled(query, gallery), found)

    return similarity


def target_aware(encoded: Encoded, test: Items, attention: PartAttention, *, progress: bool = True) -> Similarity:
    """The target-aware similarity of all visible with all infrared images of `test`, formed once for every task."""
    visible, infrared = by_modality(test)
    gallery = encoded.rows(infrared)
    groups = track(visible.split(QUERIES), description="comparing all pairs", disable=not progress)
    table = torch.cat([target_aware_similarity(encoded.rows(rows), gallery, attention).cpu() for rows in groups])
    return looked_up(table, test)


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
    if settings.kind == "exact":
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
