"""Batches of P identities × K images in each of two modalities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vireid.datasets.items import Item, Items
from vireid.datasets.sampler import CrossModalSampler


def _items(counts: list[tuple[int, int]]) -> Items:
    """Identity 10·i with so many (visible, infrared) images; the rows are shuffled."""
    items = [
        Item(Path(f"{who}-{modality}-{i}.jpg"), 10 * who, 3 if modality else 1, modality)
        for who, pair in enumerate(counts)
        for modality, n in enumerate(pair)
        for i in range(n)
    ]
    return Items(items[i] for i in np.random.default_rng(1).permutation(len(items)))


ITEMS = _items([(5, 4), (3, 9), (0, 6), (1, 4), (7, 7), (4, 0), (6, 2), (4, 4), (8, 8)])
PAIRED = {0, 10, 30, 40, 60, 70, 80}


@settings(deadline=None, max_examples=40)
@given(identities=st.integers(1, 7), images=st.integers(1, 6), seed=st.integers(0, 2**32), index=st.integers(0, 1000))
def test_a_batch_has_p_identities_and_k_images_of_each_modality(
    identities: int, images: int, seed: int, index: int
) -> None:
    rows = CrossModalSampler(ITEMS, identities, images, seed=seed).batch(index)
    assert rows.shape == (2 * identities * images,)
    who = ITEMS.identity[rows].reshape(2, identities, images)
    assert (who == who[0, :, :1]).all()
    assert len(set(who[0, :, 0].tolist())) == identities
    assert set(who[0, :, 0].tolist()) <= PAIRED
    assert ITEMS.modality[rows].tolist() == [0] * (identities * images) + [1] * (identities * images)
    for group in rows.reshape(2 * identities, images):
        available = ((ITEMS.identity == ITEMS.identity[group[0]]) & (ITEMS.modality == ITEMS.modality[group[0]])).sum()
        if available >= images:
            assert len(set(group.tolist())) == images


def test_a_round_shows_every_identity_once_and_rounds_differ() -> None:
    sampler = CrossModalSampler(ITEMS, 2, 2, seed=3)
    rounds = [
        [who for b in range(3 * r, 3 * r + 3) for who in ITEMS.identity[sampler.batch(b)][:4:2].tolist()]
        for r in range(100)
    ]
    assert all(len(set(people)) == 6 for people in rounds)
    assert len({tuple(people) for people in rounds}) > 90
    seen = [who for people in rounds for who in people]
    assert {who: seen.count(who) > 70 for who in PAIRED} == dict.fromkeys(PAIRED, True)


def test_every_image_comes_sooner_or_later() -> None:
    drawn = np.concatenate([CrossModalSampler(ITEMS, 7, 4, seed=0).batch(i) for i in range(60)])
    assert set(drawn.tolist()) == set(np.flatnonzero(np.isin(ITEMS.identity, list(PAIRED))).tolist())


def test_batch_i_depends_on_the_seed_and_i_alone() -> None:
    first, second, other = (CrossModalSampler(ITEMS, 3, 4, seed=seed) for seed in (5, 5, 6))
    forwards = [first.batch(i) for i in range(9)]
    backwards = [second.batch(i) for i in reversed(range(9))][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    np.testing.assert_array_equal(forwards, [first.batch(i) for i in range(9)])
    assert sum(np.array_equal(a, other.batch(i)) for i, a in enumerate(forwards)) == 0
    assert not np.array_equal(forwards[0], forwards[1])
    orders = {tuple(ITEMS.identity[CrossModalSampler(ITEMS, 7, 1, seed=s).batch(0)]) for s in range(20)}
    assert len(orders) > 15


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_processes_share_a_batch_by_whole_identities(world_size: int) -> None:
    whole = CrossModalSampler(ITEMS, 6, 3, seed=2)
    ranks = [CrossModalSampler(ITEMS, 6, 3, seed=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    for i in range(4):
        parts = [rank.batch(i).reshape(2, -1) for rank in ranks]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole.batch(i).reshape(2, -1))
        people = [set(ITEMS.identity[part.reshape(-1)].tolist()) for part in parts]
        assert sum(map(len, people)) == len(set().union(*people)) == 6


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"identities": 0}, "`identities` must be at least 1; got 0"),
        ({"images": 0}, "`images` must be at least 1; got 0"),
        ({"identities": 8}, "at most 7: of 9, only these have images in both modalities; got 8"),
        ({"seed": -3}, "`seed` must not be negative; got -3"),
        ({"rank": 2, "world_size": 2}, "`rank` must be 0 .. world_size-1 = 1; got 2"),
        ({"identities": 3, "world_size": 2}, "multiple of world_size = 2, as .*; got 3"),
        ({"world_size": 0}, "`world_size` must be at least 1; got 0"),
    ],
)
def test_bad_settings(change: dict[str, int], rule: str) -> None:
    values = {"identities": 2, "images": 2, "seed": 0, **change}
    with pytest.raises(ValueError, match=rule.replace("(", r"\(")) as caught:
        CrossModalSampler(ITEMS, values.pop("identities"), values.pop("images"), **values)
    assert str(caught.value).startswith("CrossModalSampler: ")
    with pytest.raises(ValueError, match="at most 0"):
        CrossModalSampler(_items([(3, 0), (2, 0)]), 1, 1, seed=0)
