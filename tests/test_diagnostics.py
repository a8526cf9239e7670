"""Is the attention sound? Entropy and overlap, the share on the border, and how far maps follow the content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from concordant import (
    AttentionStatistics,
    attention_follows,
    attention_statistics,
    border_share,
    draw_crops,
    resized_crop,
)
from support import oracles_metric
from support.models import close
from support.oracles import tensor
from support.padding import HUGE, masks
from support.strategies import KINDS, SEEDS, Sizes, distributions, permutation, sizes, values


def found(statistics: AttentionStatistics) -> tuple[float, float]:
    return statistics.entropy.item(), statistics.overlap.item()


@given(sizes(), SEEDS, st.sampled_from(KINDS), st.sampled_from([1.0, 5.0, 1000.0]))
def test_agrees_with_the_loop(size: Sizes, seed: int, kind: str, sharpness: float) -> None:
    attention = (sharpness * values((size.b, size.p, size.t), seed, kind)).softmax(dim=2)  # zeros among them
    entropy, overlap = attention_statistics(attention)
    expected = oracles_metric.attention_statistics(attention)
    assert entropy.shape == overlap.shape == ()
    close(entropy, tensor(expected[0]))
    close(overlap, tensor(expected[1]))


@given(masks(3, 5), masks(3, 4), SEEDS)
def test_padding_is_in_no_mean(mask: Tensor, part_mask: Tensor, seed: int) -> None:
    """Each image counts with its real parts, and with their pairs."""
    attention = distributions((3, 4, 5), 2, seed)
    real = mask[:, None] & part_mask[:, :, None]
    entropies, overlaps, parts, pairs = [], [], [], []
    for maps, tokens, kept in zip(attention, mask, part_mask, strict=True):
        number = int(kept.sum()) if tokens.any() else 0
        entropy, overlap = oracles_metric.attention_statistics(maps[kept][:, tokens][None]) if number else (0.0, 0.0)
        entropies.append(number * entropy)
        overlaps.append(number * (number - 1) * overlap)
        parts.append(number)
        pairs.append(number * (number - 1))
    for fill in (0.0, HUGE, float("nan")):
        statistics = attention_statistics(attention.where(real, fill), mask=mask, part_mask=part_mask)
        close(statistics.entropy, tensor(sum(entropies) / max(sum(parts), 1)))
        close(statistics.overlap, tensor(sum(overlaps) / max(sum(pairs), 1)))


@given(sizes(min_b=1), SEEDS)
def test_order_of_images_parts_and_tokens_and_bounds(size: Sizes, seed: int) -> None:
    attention = distributions((size.b, size.p, size.t), 2, seed)
    before = found(attention_statistics(attention))
    for dim, length in enumerate((size.b, size.p, size.t)):
        moved = attention.index_select(dim, permutation(length, seed))
        assert found(attention_statistics(moved)) == pytest.approx(before)
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in before)


def test_even_maps_are_one_and_one() -> None:
    assert found(attention_statistics(torch.full((2, 3, 8), 1 / 8))) == pytest.approx((1.0, 1.0))


def test_parts_on_a_token_each_are_zero_and_zero() -> None:
    assert found(attention_statistics(torch.eye(4).expand(2, 4, 4))) == (0.0, 0.0)


def test_all_parts_on_one_token_overlap_fully() -> None:
    maps = torch.zeros(1, 3, 5)
    maps[:, :, 2] = 1
    assert found(attention_statistics(maps)) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize("shape", [(0, 3, 5), (2, 3, 1), (2, 1, 1), (0, 1, 1)])
def test_one_token_one_part_and_no_image(shape: tuple[int, int, int]) -> None:
    entropy, overlap = found(attention_statistics(torch.ones(shape)))
    assert entropy == 0
    assert overlap == pytest.approx(float(shape[0] > 0 and shape[1] > 1))


def test_half_precision_is_measured_in_float32() -> None:
    halves = distributions((2, 3, 70), 2, 0).half()
    with torch.autocast("cpu", torch.bfloat16):
        statistics = attention_statistics(halves)
    assert {x.dtype for x in statistics} == {torch.float32}
    assert torch.equal(torch.stack(statistics), torch.stack(attention_statistics(halves.float())))


GRIDS = st.tuples(st.integers(1, 5), st.integers(1, 4))
WHOLE, MIRROR = [[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]


def crops_of(n: int, seed: int, **settings: Any) -> Tensor:
    return draw_crops(n, generator=torch.Generator().manual_seed(seed), **settings).double()


def blobs(b: int, p: int, h: int, w: int, seed: int) -> Tensor:
    """Round maps, near the middle of images."""
    centers = 0.5 + 0.2 * (torch.rand(b, p, 2, 1, 1, generator=torch.Generator().manual_seed(seed)).double() - 0.5)
    rows, columns = ((torch.arange(size).double() + 0.5) / size for size in (h, w))
    far = (rows[:, None] - centers[:, :, 0]).square() + (columns - centers[:, :, 1]).square()
    return (-30 * far).flatten(2).softmax(dim=2)


@given(st.integers(0, 3), st.integers(1, 4), GRIDS, SEEDS, st.sampled_from(KINDS))
def test_the_border_agrees_with_the_loop(b: int, p: int, grid: tuple[int, int], seed: int, kind: str) -> None:
    attention = distributions((b, p, grid[0] * grid[1]), 2, seed, kind)
    share, (parts, uniform) = border_share(attention, grid=grid), oracles_metric.border_share(attention, grid)
    close(share.parts, tensor(parts))
    close(share.uniform, tensor(uniform))
    if b:
        even = torch.ones_like(attention) / attention.shape[2]
        close(border_share(even, grid=grid).parts, share.uniform.expand(p))


def test_the_border_is_one_token_wide() -> None:
    maps = torch.zeros(1, 3, 4, 5)
    maps[0, 0, 0, 4] = maps[0, 1, 1, 3] = maps[0, 2, 2, 4] = 1  # a corner, beside the border, an edge
    share = border_share(maps.flatten(2), grid=(4, 5))
    assert share.parts.tolist() == [1, 0, 1]
    assert share.uniform == pytest.approx(14 / 20)


@given(st.integers(0, 3), st.integers(1, 3), GRIDS, SEEDS, st.sampled_from(KINDS), st.sampled_from([0.1, 0.6]))
def test_following_agrees_with_the_loop(
    b: int, p: int, grid: tuple[int, int], seed: int, kind: str, least: float
) -> None:
    attention, seen = (distributions((b, p, grid[0] * grid[1]), 2, seed + i, kind) for i in (0, 1))
    crops = crops_of(b, seed, scale=(least, 0.95))
    close(
        attention_follows(attention, seen, crops, grid=grid),
        tensor(oracles_metric.attention_follows(attention, seen, crops, grid)),
    )


@given(st.integers(1, 4), st.integers(1, 3), GRIDS, SEEDS)
def test_a_stencil_does_not_follow(b: int, p: int, grid: tuple[int, int], seed: int) -> None:
    attention = distributions((b, p, grid[0] * grid[1]), 2, seed)
    follows = attention_follows(attention, attention, crops_of(b, seed), grid=grid)
    assert follows.abs().max() < 1e-6


@given(SEEDS, st.booleans(), st.sampled_from([(0, 0), (1, 1), (2, 0), (4, 3)]))
def test_a_map_that_moves_exactly_follows(seed: int, mirror: bool, corner: tuple[int, int]) -> None:
    """Crops of 4 × 3 tokens of 8 × 6, twice as large: each token becomes four."""
    y, x = corner
    maps = torch.zeros(3, 2, 8, 6, dtype=torch.float64)
    maps[:, :, y : y + 4, x : x + 3] = distributions((3, 2, 12), 2, seed).unflatten(2, (4, 3))
    maps += 0.01  # some of each map is outside
    seen = maps[:, :, y : y + 4, x : x + 3].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    seen = seen.flip(3) if mirror else seen
    ends = [[y / 8, (y + 4) / 8], [x / 6, (x + 3) / 6][:: -1 if mirror else 1]]
    crops = torch.tensor(ends, dtype=torch.float64).expand(3, 2, 2)
    follows = attention_follows(maps.flatten(2), seen.flatten(2), crops, grid=(8, 6))
    close(follows, torch.ones(2, dtype=torch.float64))


@given(SEEDS)
def test_a_map_that_moves_in_part_follows_in_part(seed: int) -> None:
    """Between a stencil and what the crop shows; a resized map differs from one that moved by its interpolation."""
    maps, crops = blobs(4, 2, 12, 8, seed), crops_of(4, seed, scale=(0.6, 0.8))
    moved = resized_crop(maps.unflatten(2, (12, 8)), crops).flatten(2)
    moved = moved / moved.sum(dim=2, keepdim=True)
    follows = attention_follows(maps, moved, crops, grid=(12, 8))
    assert (follows - 1).abs().max() < 0.15
    for share in (0.5, 2.0):
        part = attention_follows(maps, (1 - share) * maps + share * moved, crops, grid=(12, 8))
        close(part, share * follows)


@given(SEEDS)
def test_order_and_mirror_images_do_not_matter(seed: int) -> None:
    maps, seen = (blobs(4, 3, 5, 4, seed + i) for i in (0, 1))
    crops = crops_of(4, seed)
    follows = attention_follows(maps, seen, crops, grid=(5, 4))
    images, parts = permutation(4, seed), permutation(3, seed)
    close(attention_follows(maps[images], seen[images], crops[images], grid=(5, 4)), follows)
    close(attention_follows(maps[:, parts], seen[:, parts], crops, grid=(5, 4)), follows[parts])
    left, right = (x.unflatten(2, (5, 4)).flip(3).flatten(2) for x in (maps, seen))
    opposite = torch.stack([crops[:, 0], 1 - crops[:, 1].flip(1)], dim=1)
    close(attention_follows(left, right, opposite, grid=(5, 4)), follows)
    turned = [x.unflatten(2, (5, 4)).transpose(2, 3).flatten(2) for x in (maps, seen)]
    close(attention_follows(turned[0], turned[1], crops.flip(1), grid=(4, 5)), follows)


@given(SEEDS)
def test_images_whose_map_leaves_the_crop_are_left_out(seed: int) -> None:
    maps, seen = (blobs(3, 1, 6, 6, seed + i) for i in (0, 1))
    crops = crops_of(3, seed)
    before = attention_follows(maps, seen, crops, grid=(6, 6))
    assume(before.abs().max() > 0)
    corner = torch.zeros(1, 1, 36, dtype=torch.float64)
    corner[0, 0, 0] = 1
    away = torch.tensor([[[0.3, 1.0], [0.3, 1.0]]], dtype=torch.float64)
    after = attention_follows(
        torch.cat([maps, corner]), torch.cat([seen, corner]), torch.cat([crops, away]), grid=(6, 6)
    )
    close(after, before)


def test_where_nothing_shows_it_no_part_follows() -> None:
    corner, even = torch.eye(9)[:1].expand(2, 1, 9), torch.full((2, 1, 9), 1 / 9)
    middle = torch.eye(9)[4:5].expand(2, 1, 9)
    inner, nowhere = torch.tensor([[[0.2, 0.8], [0.2, 0.9]]] * 2), torch.tensor([[[0.5, 0.5], [0.5, 0.5]]] * 2)
    whole = torch.tensor([WHOLE] * 2)
    for maps, crops in ((corner, inner), (even, inner), (middle, nowhere), (middle, whole), (0 * middle, inner)):
        assert attention_follows(maps, middle, crops, grid=(3, 3)).abs().item() < 1e-3
    assert attention_follows(middle[:0], middle[:0], inner[:0], grid=(3, 3)).tolist() == [0]
    mirrored = torch.tensor([MIRROR] * 2)
    left, right = torch.eye(9)[3:4].expand(2, 1, 9), torch.eye(9)[5:6].expand(2, 1, 9)
    assert attention_follows(left, right, mirrored, grid=(3, 3)).item() == pytest.approx(1)


def test_half_precision_of_maps_is_raised() -> None:
    maps, crops = distributions((3, 2, 20), 2, 0), crops_of(3, 0)
    halves = maps.half(), maps.flip(2).half()
    with torch.autocast("cpu", torch.bfloat16):
        found = [*border_share(halves[0], grid=(5, 4)), attention_follows(*halves, crops.half(), grid=(5, 4))]
    assert {x.dtype for x in found} == {torch.float32}
    singles = [x.float() for x in halves]
    close(found[2], attention_follows(singles[0], singles[1], crops.half().float(), grid=(5, 4)))


def border(attention: Tensor) -> tuple[Tensor, Tensor]:
    return border_share(attention, grid=(5, 1))


def follows(attention: Tensor) -> tuple[Tensor]:
    crops = torch.tensor([[[0.1, 0.8], [0.9, 0.2]]], dtype=attention.dtype).expand(len(attention), 2, 2)
    return (attention_follows(attention, attention.flip(2), crops, grid=(5, 1)),)


@pytest.mark.slow
@pytest.mark.parametrize("measure", [attention_statistics, border, follows])
def test_it_compiles_in_one_graph_and_maps_over_batches(measure: Callable[[Tensor], tuple[Tensor, ...]]) -> None:
    attention = distributions((4, 2, 3, 5), 3, 0)
    expected = [torch.stack(column) for column in zip(*map(measure, attention), strict=True)]
    for x, y in zip(torch.func.vmap(measure)(attention), expected, strict=True):
        close(x, y)
    torch.compiler.reset()
    compiled = torch.compile(measure, fullgraph=True, backend="aot_eager")
    for x, y in zip(compiled(attention[0]), measure(attention[0]), strict=True):
        close(x, y)
