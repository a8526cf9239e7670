"""Changes of a store whose process ends at some moment, and what must be there afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from support.models import clusters
from vireid.search.options import Kind
from vireid.search.store import Identity, Records, Store, open_store

IDENTITY = Identity("a model", 8)
MOST = 50
"""Moments that are tried, at most."""
Step = tuple[Callable[[Store], None], set[int]]


def put(store: Store, first: int, n: int) -> None:
    ids = np.arange(first, first + n)
    store.add(rows_of(ids), Records(ids, [str(one) for one in ids], ids % 3, ids.astype(np.float64), ids % 2))


def rows_of(ids: Any) -> torch.Tensor:
    """Embeddings that are nearest to themselves."""
    return torch.nn.functional.normalize(clusters(500, 8)[torch.as_tensor(ids)], dim=1)


def changes(kind: Kind) -> list[Step]:
    """Steps, and the images that a store has after each."""
    return [
        (lambda store: put(store, 0, 300), set(range(300))),
        (lambda store: store.build(kind), set(range(300))),
        (lambda store: put(store, 290, 20), set(range(310))),  # ten of them are replaced
        (lambda store: store.delete(np.arange(295, 305)), {*range(295), *range(305, 310)}),
        (lambda store: store.build(kind), {*range(295), *range(305, 310)}),
        (lambda store: store.delete(np.arange(10, 320)), set(range(10))),  # most of them: their room is freed
        (lambda store: put(store, 400, 5), {*range(10), *range(400, 405)}),
        (lambda store: store.save(), {*range(10), *range(400, 405)}),
    ]


def goes_on(where: str, allowed: list[set[int]], moment: object) -> None:
    """What was added is there, a search finds it, and the next addition is kept."""
    with open_store(where, IDENTITY, write=True) as store:
        held = {one for some in store.listing() for one in some.ids.tolist()}
        assert held in allowed, (moment, len(held))
        some = sorted(held)[:9]
        if some:
            assert (store.search(rows_of(some), 20, nprobe=20).ids == torch.tensor(some)[:, None]).any(dim=1).all()
        put(store, 450, 3)
    with open_store(where) as store:
        assert {one for some in store.listing() for one in some.ids.tolist()} == {*held, 450, 451, 452}
