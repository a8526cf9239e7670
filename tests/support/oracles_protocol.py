"""What the field's code does with features, as literal loops: its draws, `eval_sysu`, `eval_regdb` and `eval_llcm`.

A row of features is (features, identity, camera), images in the order of their file names.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

Row = tuple[list[float], int, int]
Hidden = Callable[[Row, Row], bool]


def same_place(query: Row, gallery: Row) -> bool:
    """SYSU-MM01: cameras 3 and 2."""
    return query[2] == 3 and gallery[2] == 2


def same_shot(query: Row, gallery: Row) -> bool:
    """LLCM: the same identity in the same camera."""
    return query[1:] == gallery[1:]


def same_camera(query: Row, gallery: Row) -> bool:
    return query[2] == gallery[2]


def nothing(query: Row, gallery: Row) -> bool:
    return False


def draw(rows: list[Row], cameras: tuple[int, ...], trial: int, shots: int) -> list[Row]:
    """random.seed(trial); identity by identity and camera by camera, a choice of the images."""
    random.seed(trial)
    drawn = []
    for identity in sorted({row[1] for row in rows}):
        for camera in cameras:
            group = [row for row in rows if row[1:] == (identity, camera)]
            if group:
                drawn += [random.choice(group)] if shots == 1 else random.sample(group, min(shots, len(group)))
    return drawn


def cosine(one: list[float], other: list[float]) -> float:
    lengths = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(x * x for x in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0


def score(queries: list[Row], gallery: list[Row], hidden: Hidden, over_identities: bool) -> list[float]:
    """Rank-1, -10, -20, mAP and mINP, in percent."""
    firsts, precisions, penalties = [], [], []
    for query in queries:
        kept = [row for row in gallery if not hidden(query, row)]
        ranking = [row[1] for row in sorted(kept, key=lambda row: -cosine(query[0], row[0]))]
        if query[1] not in ranking:
            continue
        listed = list(dict.fromkeys(ranking)) if over_identities else ranking
        firsts.append(listed.index(query[1]))
        places = [place for place, identity in enumerate(ranking, start=1) if identity == query[1]]
        precisions.append(math.fsum(n / place for n, place in enumerate(places, start=1)) / len(places))
        penalties.append(len(places) / places[-1])
    cmc = [sum(first < rank for first in firsts) / len(firsts) for rank in (1, 10, 20)]
    return [100 * x for x in (*cmc, math.fsum(precisions) / len(firsts), math.fsum(penalties) / len(firsts))]


def mean_of_draws(trials: list[list[float]]) -> list[float]:
    return [math.fsum(column) / len(column) for column in zip(*trials, strict=True)]


def sysu(visible: list[Row], infrared: list[Row], cameras: tuple[int, ...], shots: int) -> list[float]:
    """`eval_sysu`: infrared queries; each wrong identity counts once in CMC."""
    galleries = [draw(visible, cameras, trial, shots) for trial in range(10)]
    return mean_of_draws([score(infrared, gallery, same_place, True) for gallery in galleries])


def regdb(queries: list[Row], gallery: list[Row]) -> list[float]:
    """`eval_regdb`: all images against all, and nothing is removed."""
    return score(queries, gallery, nothing, False)


def llcm(queries: list[Row], gallery: list[Row], hidden: Hidden, drawn: str) -> list[float]:
    """`eval_llcm`, with ten draws of the gallery or, as the authors' test.py has it for one direction, of queries."""
    cameras = tuple(range(1, 10))
    if drawn == "gallery":
        trials = [score(queries, draw(gallery, cameras, trial, 1), hidden, True) for trial in range(10)]
    else:
        trials = [score(draw(queries, cameras, trial, 1), gallery, hidden, True) for trial in range(10)]
    return mean_of_draws(trials)
