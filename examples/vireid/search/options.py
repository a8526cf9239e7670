"""The options of `examples/search.py`, one class for each of its commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from vireid.checks import check, check_counts

Modality = Literal["visible", "infrared"]
Kind = Literal["exact", "approximate"]


@dataclass(frozen=True)
class OfStore:
    store: str = "gallery"
    """The store: a directory (FAISS), a file `….db` (Milvus Lite), or the address of a Milvus server."""


@dataclass(frozen=True)
class OfRun:
    run: Path = Path("runs/demo")
    """Directory of a finished run of train_*.py with --method cal."""


@dataclass(frozen=True, kw_only=True)
class OfCamera:
    camera: str = r"cam(\d+)"
    """Regular expression with one group: the number of the camera in the path of an image."""

    def __post_init__(self) -> None:
        check(self, "camera", _has_a_group(self.camera), "be a regular expression with one group, the number")


@dataclass(frozen=True)
class Add(OfCamera, OfRun, OfStore):
    """Embed the images below a directory that the store lacks, and add them. The store is created if there is none."""

    images: Positional[Path | None] = None
    """Directory of the images, at any depth."""
    modality: Modality = "visible"
    """Modality of these images."""
    parts: bool = False
    """Also keep what `find --rerank` reads, in a directory beside the store: STORE.parts. Later additions to this store
    then do so, too. An image takes about twice the time."""
    clusters: int | None = None
    """With --parts: tokens that an image keeps, each the mean of a cluster; by default all. It is fixed by the first
    addition."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self,
            "clusters",
            self.clusters is None or (self.parts and self.clusters >= 1),
            "be at least 1, with --parts",
        )


@dataclass(frozen=True)
class Find(OfCamera, OfRun, OfStore):
    """Find the images that are nearest to each query."""

    queries: Positional[tuple[Path, ...]] = ()
    """Image files."""
    modality: Modality = "infrared"
    """Modality of the queries."""
    k: int = 10
    """Images to find."""
    nprobe: int | None = None
    """With an approximate index: lists that a query reads, of about √g for g images. More are slower and more exact."""
    rerank: int | None = None
    """Length of a short list, at least --k, that is ordered by target-aware similarity. It needs `add --parts`."""
    among: Modality | None = None
    """Leave out the images of the other modality."""
    other_cameras: bool = False
    """Leave out the images of each query's own camera, which --camera finds in its path."""
    since: str | None = None
    """Leave out earlier images: a date, as 2026-11-27, or with a time, as 2026-11-27T08:30."""
    until: str | None = None
    """Leave out later images; a date is included."""
    out: Path = Path("runs/found")
    """Directory for found.json and found.png."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "k")
        check(self, "nprobe", self.nprobe is None or self.nprobe >= 1, "be at least 1")
        check(self, "rerank", self.rerank is None or self.rerank >= self.k, f"be at least --k, {self.k}")
        for name in ("since", "until"):
            check(self, name, _is_time(getattr(self, name)), "be a date, as 2026-11-27 or 2026-11-27T08:30")


@dataclass(frozen=True)
class Delete(OfStore):
    """Delete images from the store; the files stay. Room is freed by `build`, or when more than half is deleted."""

    names: Positional[tuple[Path, ...]] = ()
    """Image files, or directories with all that is below them; they may be gone."""


@dataclass(frozen=True)
class Build(OfStore):
    """Build the index of the store anew, and free the room of deleted images."""

    kind: Kind = "exact"
    """exact: compare a query with all embeddings. approximate: with codes, in the lists that are nearest."""


@dataclass(frozen=True)
class Measured(OfRun):
    root: Path | None = None
    """Directory of the data set; by default that of the run."""
    cache: Path | None = None
    """Directory for decoded images; by default that of the run."""
    out: Path = Path("runs/search")
    """Directory for the table and the figure."""


@dataclass(frozen=True)
class Ways(Measured):
    """Score the ways to rank a gallery: distilled, in two stages, target-aware.

    A distilled embedding needs no other image, so an index can search a gallery of any size. Target-aware similarity
    reads both images of each pair by their parts; its time grows with queries times gallery. Two-stage search lies
    between: the index gives a short list, and only the pairs of that list are compared target-aware. The list comes
    first in the ranking, in its new order. The other gallery images follow in the order of the index.

    Each way is scored on all-search, single-shot, over ten gallery draws: rank-1, mAP, mINP, and the time of the
    comparisons. "+ mean" orders the longest list by the mean of both similarities. The best way depends on the model:
    measure before you choose. `make demo`'s run takes four minutes on two cores.
    """

    lists: tuple[int, ...] = (20, 50, 100)
    """Lengths of the short list, in gallery images; each length is scored."""

    def __post_init__(self) -> None:
        check(self, "lists", min(self.lists, default=0) >= 1, "be numbers of at least 1")


@dataclass(frozen=True)
class Scale(Measured):
    """Measure FAISS over a gallery of any size, which is generated from the embeddings of the test images.

    The time, the size of the index, and the share of the exact results that approximate search finds are measured. The
    approximate index is saved in --out, and loaded again before it is searched.
    """

    size: int = 1_000_000
    """Number of embeddings; a million of 640 dimensions take 6 GB of memory."""
    queries: int = 300
    """Number of queries, which are embeddings of infrared test images."""
    probes: tuple[int, ...] = (1, 4, 16, 32, 64, 128)
    """Numbers of lists of the approximate index that a query reads; more are slower and more exact."""

    def __post_init__(self) -> None:
        check_counts(self, "queries")
        check(self, "size", self.size >= 256, "be at least 256, to learn codes from")
        check(self, "probes", min(self.probes, default=0) >= 1, "be numbers of at least 1")


@dataclass(frozen=True)
class Engines(Measured):
    """Measure FAISS and Milvus Lite, exact and approximate, over generated galleries: time and recall in one table."""

    sizes: tuple[int, ...] = (10_000, 100_000)
    """Numbers of embeddings."""
    lite: int = 100_000
    """Milvus Lite is measured up to this size: it takes minutes to take in 100,000."""
    queries: int = 300
    """Number of queries, which are embeddings of infrared test images."""

    def __post_init__(self) -> None:
        check_counts(self, "queries")
        check(self, "sizes", min(self.sizes, default=0) >= 256, "be numbers of at least 256, to learn codes from")


@dataclass(frozen=True)
class Parts:
    """Ways to keep encoded images: bytes, mAP lost, and time."""

    run: tuple[Path, ...] = (Path("runs/demo"),)
    """Directories of finished runs of train_sysu.py with --method cal; results are means over them."""
    root: Path | None = None
    """Directory of the data set; by default that of each run."""
    out: Path = Path("runs/parts")
    """Directory for the table and the figure: parts.json and parts.png."""
    length: int = 100
    """Length of the short list."""
    clusters: tuple[int, ...] = (24, 16, 8)
    """Numbers of clusters that an image's tokens are pooled into."""


@dataclass(frozen=True)
class Wide:
    """The time of a short list at the width of a ResNet-50: 162 tokens of 2,048 channels, six parts, random numbers."""

    length: int = 100
    """Length of the short list."""
    out: Path = Path("runs/parts")
    """Directory for the table: wide.json."""

    def __post_init__(self) -> None:
        check_counts(self, "length")


def seconds_of(time: str | None, *, end: bool = False) -> float | None:
    """Seconds since 1970 of a time in this computer's time zone; of a date, when it begins, or at its end."""
    if time is None:
        return None
    found = datetime.fromisoformat(time)
    if end and len(time) <= len("2026-11-30"):
        found += timedelta(days=1) - timedelta(microseconds=1)
    return found.timestamp()


def _has_a_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups == 1
    except re.error:
        return False


def _is_time(time: str | None) -> bool:
    try:
        seconds_of(time)
    except ValueError:
        return False
    return True
