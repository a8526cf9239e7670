"""SYSU-MM01's evaluation: infrared queries, ten draws of a visible gallery, the mean of their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from rich.box import SIMPLE
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

from concordant import rank_metrics
from vireid.data.gallery import TRIALS, Draw, Search, gallery_draw
from vireid.data.sysu import Sysu

FIGURES = ("rank1", "rank10", "rank20", "mAP", "mINP")


class Setting(NamedTuple):
    search: Search
    shots: int


SETTINGS: dict[str, Setting] = {
    "all_single": Setting("all", 1),
    "all_multi": Setting("all", 10),
    "indoor_single": Setting("indoor", 1),
    "indoor_multi": Setting("indoor", 10),
}


class Results(dict[str, dict[str, float]]):
    """`{"all_single": {"rank1": …, "rank10": …, "rank20": …, "mAP": …, "mINP": …}, …}` in percent, the draws' mean.

    `std` has the same keys: the standard deviation over the draws; `draw` and `trials` say which and how many.
    """

    def __init__(
        self, mean: Mapping[str, dict[str, float]], std: Mapping[str, dict[str, float]], draw: str, trials: int
    ) -> None:
        super().__init__(mean)
        self.std, self.draw, self.trials = dict(std), draw, trials


def exclusion(query_cameras: ArrayLike, gallery_cameras: ArrayLike) -> Tensor:
    """[q g], true where a query must not be shown a gallery image: camera 3 and camera 2 stand at the same place.

    Every image of camera 2 goes, whomever it shows.
    """
    query, gallery = torch.as_tensor(np.array(query_cameras)), torch.as_tensor(np.array(gallery_cameras))
    return (query == 3)[:, None] & (gallery == 2)[None, :]


def evaluate(
    sysu: Sysu,
    query: Tensor | None = None,
    gallery: Tensor | None = None,
    *,
    similarity: Tensor | None = None,
    draw: Draw = "official",
    settings: Sequence[str] = tuple(SETTINGS),
    trials: int = TRIALS,
) -> Results:
    """Score every setting of the protocol, each the mean of ten draws, from features that were extracted once.

    Args:
        query: embeddings [q e] of `sysu.query`, compared by cosine with
        gallery: embeddings [g e] of the whole pool `sysu.gallery`; or, in their stead,
        similarity: any similarity [q g] of the same rows, higher is nearer: target-aware retrieval, say.
        draw: which gallery draw, "official" or "seeded".
        settings: some of "all_single", "all_multi", "indoor_single", "indoor_multi".
        trials: how many of the ten draws; figures to publish take all.

    Raises:
        ValueError: for embeddings that do not fit the images, bad settings, or where no query has a true match.
        FileNotFoundError: see `gallery_draw`.
    """
    expected = (len(sysu.query), len(sysu.gallery))
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise ValueError(f"evaluate: `settings` must be some of {tuple(SETTINGS)}; got {unknown}")
    if not 1 <= trials <= TRIALS:
        raise ValueError(f"evaluate: `trials` must be 1 .. {TRIALS}; got {trials}")
    if similarity is None:
        if query is None or gallery is None:
            raise ValueError("evaluate: takes `query` and `gallery` embeddings, or their `similarity`; got neither")
        if query.ndim != 2 or gallery.ndim != 2 or (len(query), len(gallery)) != expected:
            raise ValueError(
                f"evaluate: `query` and `gallery` must be ({expected[0]}, e) and ({expected[1]}, e), one row an image; "
                f"got {tuple(query.shape)} and {tuple(gallery.shape)}"
            )
        similarity = normalize(query.float(), dim=1) @ normalize(gallery.float(), dim=1).T
    elif query is not None or gallery is not None:
        raise ValueError("evaluate: takes `query` and `gallery` embeddings, or their `similarity`; got both")
    if tuple(similarity.shape) != expected:
        raise ValueError(f"evaluate: `similarity` must be (q, g) = {expected}; got {tuple(similarity.shape)}")
    draws = {name: np.array([_score(sysu, similarity, name, t, draw) for t in range(trials)]) for name in settings}
    mean, std = (
        {name: dict(zip(FIGURES, summary(scores, axis=0).tolist(), strict=True)) for name, scores in draws.items()}
        for summary in (np.mean, np.std)
    )
    return Results(mean, std, draw, trials)


def table(results: Results) -> Table:
    """The results for people: one line a setting, each figure as mean ± standard deviation over the draws."""
    title = f"SYSU-MM01, infrared → visible, %: mean of {results.trials} {results.draw} draws"
    out = Table("gallery", title=title, box=SIMPLE, pad_edge=False, collapse_padding=True)  # fits 80 characters
    for heading in ("rank-1", "rank-10", "rank-20", "mAP", "mINP"):
        out.add_column(heading, justify="right", no_wrap=True)
    for name, means in results.items():
        figures = (f"{means[figure]:.2f}±{results.std[name][figure]:.2f}" for figure in FIGURES)
        out.add_row(name.replace("_", ", "), *figures)
    return out


def _score(sysu: Sysu, similarity: Tensor, setting: str, trial: int, draw: Draw) -> list[float]:
    search, shots = SETTINGS[setting]
    rows = gallery_draw(sysu, trial, search=search, shots=shots, draw=draw)
    device = similarity.device
    metrics = rank_metrics(
        similarity[:, torch.from_numpy(rows).to(device)],
        torch.tensor(sysu.query.identity, device=device),
        torch.tensor(sysu.gallery.identity[rows], device=device),
        exclude=exclusion(sysu.query.camera, sysu.gallery.camera[rows]).to(device),
        cmc_over="identities",
        ranks=20,
    )
    figures = (metrics.cmc[0], metrics.cmc[9], metrics.cmc[19], metrics.map, metrics.minp)
    return [100 * float(figure) for figure in figures]
