"""Maps of crops and crops of maps."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import EquivarianceLoss, draw_crops, resized_crop
from concordant.functional import equivariance_loss
from support import oracles_parts
from support.models import close
from support.oracles import tensor
from support.strategies import SEEDS, distributions, permutation

GRIDS = st.tuples(st.integers(1, 4), st.integers(1, 3))
ALL = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)


@given(st.integers(0, 4), st.integers(1, 3), GRIDS, SEEDS)
def test_agrees_with_the_loop(b: int, p: int, grid: tuple[int, int], seed: int) -> None:
    seen, maps = (distributions((b, p, grid[0] * grid[1]), 2, seed + n) for n in (0, 1))
    crops = draw_crops(b, generator=torch.Generator().manual_seed(seed)).double()
    crops[1::2] = ALL  # every other image has none
    moved = resized_crop(maps.unflatten(2, grid), crops).flatten(2)
    terms = tensor(oracles_parts.equivariance(seen, moved, crops)).view(b, p)
    close(EquivarianceLoss(reduction="none")(seen, maps, crops, grid), terms)
    close(EquivarianceLoss(reduction="sum")(seen, maps, crops, grid), terms.sum())
    close(EquivarianceLoss()(seen, maps, crops, grid), terms.sum() / max(p * len(crops[::2]), 1))


@given(SEEDS, GRIDS)
def test_maps_that_follow_cost_nothing_and_a_stencil_pays(seed: int, grid: tuple[int, int]) -> None:
    maps = distributions((3, 2, grid[0] * grid[1]), 2, seed)
    crops = draw_crops(3, generator=torch.Generator().manual_seed(seed)).double()
    moved = resized_crop(maps.unflatten(2, grid), crops).flatten(2)
    close(equivariance_loss(5 * moved, maps, crops, grid), tensor(0.0))
    corner = torch.zeros(1, 1, 12, dtype=torch.float64)
    corner[..., 0] = 1
    away = torch.tensor([[[0.5, 1.0], [0.5, 1.0]]], dtype=torch.float64)
    assert equivariance_loss(corner, corner, away, (4, 3)).item() == 1


@given(SEEDS)
def test_order_of_images_and_parts(seed: int) -> None:
    seen, maps = (distributions((3, 4, 6), 2, seed + n) for n in (0, 1))
    crops = draw_crops(3, generator=torch.Generator().manual_seed(seed)).double()
    before = equivariance_loss(seen, maps, crops, (3, 2), reduction="none")
    rows, parts = permutation(3, seed), permutation(4, seed)
    close(equivariance_loss(seen[rows], maps[rows], crops[rows], (3, 2), reduction="none"), before[rows])
    close(equivariance_loss(seen[:, parts], maps[:, parts], crops, (3, 2), reduction="none"), before[:, parts])
    assert (before >= 0).all()
    assert (before <= 1).all()


def test_a_gradient_reaches_both_sides() -> None:
    seen, maps = (distributions((2, 3, 6), 2, n).requires_grad_() for n in (0, 1))
    crops = draw_crops(2, generator=torch.Generator().manual_seed(0)).double()
    equivariance_loss(seen, maps, crops, (3, 2)).backward()
    assert all(x.grad is not None and bool(x.grad.any()) for x in (seen, maps))
