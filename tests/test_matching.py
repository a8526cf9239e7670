"""Exact matching, and the matching that occurs most often."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from concordant import CAL, PartCorrespondence, match_parts
from concordant.matching import _match_by_table, invert_matching
from support import oracles, oracles_masked
from support.models import close, small_cal
from support.padding import masks
from support.strategies import KINDS, SEEDS, permutation, values

MATCHINGS = st.lists(st.permutations(range(3)), min_size=0, max_size=12)


def as_tensor(matchings: list[list[int]]) -> torch.Tensor:
    return torch.tensor(matchings, dtype=torch.int64).reshape(len(matchings), 3)


@given(st.integers(0, 3), st.integers(1, 5), SEEDS, st.sampled_from(KINDS))
def test_optimal_against_all_permutations(b: int, p: int, seed: int, kind: str) -> None:
    """Also with ties: the matching may then differ from that of the loop, but its weight may not."""
    weights = values((b, p, p), seed, kind)
    matching = match_parts(weights)
    assert matching.shape == (b, p)
    assert matching.dtype == torch.int64
    assert bool((matching.sort(dim=1).values == torch.arange(p)).all())
    totals = weights.gather(2, matching[:, :, None]).sum(dim=(1, 2))
    close(totals, oracles.tensor([oracles.best_matching(w)[1] for w in weights.tolist()]).reshape(b))


@given(st.integers(1, 5), SEEDS)
def test_permuting_rows_and_columns_permutes_the_matching(p: int, seed: int) -> None:
    weights, rows, columns = values((1, p, p), seed), permutation(p, seed), permutation(p, seed + 1)
    moved = match_parts(weights[:, rows][:, :, columns])[0]
    assert torch.equal(columns[moved], match_parts(weights)[0][rows])


@given(st.integers(1, 6), SEEDS)
def test_a_hidden_permutation_is_found(p: int, seed: int) -> None:
    hidden = permutation(p, seed)
    weights = torch.nn.functional.one_hot(hidden, p)[None] + 0.4 * torch.rand(1, p, p)
    assert torch.equal(match_parts(weights)[0], hidden)


@given(st.lists(st.permutations(range(4)), min_size=1, max_size=4))
def test_inverse(matchings: list[list[int]]) -> None:
    matching = torch.tensor(matchings)
    inverse = invert_matching(matching)
    assert torch.equal(matching.gather(1, inverse), torch.arange(4).expand_as(matching))
    assert torch.equal(invert_matching(inverse), matching)


def test_no_gradient_flows_and_half_precision_is_taken() -> None:
    weights = torch.eye(3, requires_grad=True)[None]
    assert not match_parts(weights).requires_grad
    for dtype in (torch.float16, torch.bfloat16):
        assert match_parts(torch.eye(3, dtype=dtype)[None].flip(2)).tolist() == [[2, 1, 0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_rejected(value: float) -> None:
    weights = torch.zeros(1, 2, 2)
    weights[0, 1, 0] = value
    with pytest.raises(ValueError, match=r"^match_parts: `weights` must be finite; got 1 "):
        match_parts(weights)


@given(MATCHINGS)
def test_most_frequent_matching(matchings: list[list[int]]) -> None:
    """Among equally frequent ones the first in lexicographic order; the identity before any."""
    correspondence = PartCorrespondence(3, window=64)
    for start in range(0, len(matchings), 5):
        correspondence.update(as_tensor(matchings[start : start + 5]))
    counts = {m: sum(tuple(x) == m for x in matchings) for m in itertools.permutations(range(3))}
    best = max(counts, key=lambda m: (counts[m], [-v for v in m]))
    assert correspondence.permutation().tolist() == list(best)
    assert correspondence.stability() == pytest.approx(counts[best] / max(len(matchings), 1))
    if sorted(counts.values())[-1] > sorted(counts.values())[-2]:
        assert list(best) == oracles.most_frequent(matchings)


@given(MATCHINGS, st.integers(1, 6), st.integers(1, 4))
def test_only_the_window_counts(matchings: list[list[int]], window: int, step: int) -> None:
    """For updates of any size, the result is that of the last `window` matchings alone."""
    long, short = PartCorrespondence(3, window=window), PartCorrespondence(3, window=64)
    for start in range(0, len(matchings), step):
        long.update(as_tensor(matchings[start : start + step]))
    short.update(as_tensor(matchings[-window:]))
    assert torch.equal(long.permutation(), short.permutation())
    assert long.stability() == short.stability()


def test_a_batch_larger_than_the_window() -> None:
    correspondence = PartCorrespondence(2, window=3)
    correspondence.update(torch.tensor([[0, 1]] * 9 + [[1, 0]] * 3))
    assert correspondence.permutation().tolist() == [1, 0]
    assert correspondence.stability() == 1


@given(MATCHINGS)
def test_saved_with_the_model(matchings: list[list[int]]) -> None:
    correspondence, file = PartCorrespondence(3, window=8), io.BytesIO()
    correspondence.update(as_tensor(matchings))
    torch.save(correspondence.state_dict(), file)
    file.seek(0)
    other = PartCorrespondence(3, window=8)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.permutation(), correspondence.permutation())
    other.update(torch.tensor([[2, 1, 0]] * 8))
    assert other.permutation().tolist() == [2, 1, 0]


def test_forgetting() -> None:
    correspondence = PartCorrespondence(2)
    correspondence.update(torch.tensor([[1, 0]]))
    correspondence.reset_parameters()
    assert correspondence.permutation().tolist() == [0, 1]
    assert correspondence.stability() == 0


@pytest.mark.parametrize(
    "average",
    [
        lambda old, new: 0.9 * old + 0.1 * new,  # a hand-written average over `state_dict()`
        lambda old, new: (old + new) / 2,  # a soup of two checkpoints
    ],
)
def test_averaged_buffers_are_rejected_when_they_are_read(average: Callable[[Tensor, Tensor], Tensor]) -> None:
    """An average of matchings is not a matching: an error is better than a wrong order of parts."""
    old, new = PartCorrespondence(3), PartCorrespondence(3)
    old.update(torch.tensor([[2, 0, 1]] * 4))
    new.update(torch.tensor([[0, 2, 1]] * 4))
    state = {name: average(value.double(), new.state_dict()[name].double()) for name, value in old.state_dict().items()}
    old.load_state_dict(state)
    with pytest.raises(ValueError, match=r"PartCorrespondence: its history must hold matchings.*; got \d rows of"):
        old.permutation()


def test_an_average_of_the_complete_model_with_its_buffers_is_rejected_when_it_embeds() -> None:
    model = small_cal()
    model.correspondence.update(torch.tensor([[2, 0, 1]] * 4))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for order in ([2, 0, 1], [1, 2, 0], [2, 0, 1]):
        model.correspondence.update(torch.tensor([order]))
        average.update_parameters(model)
    with pytest.raises(ValueError, match="averages of weights must leave it out"):
        cast(CAL, average.module).correspondence.permutation()


def test_what_is_no_permutation_is_rejected_when_it_is_read() -> None:
    correspondence = PartCorrespondence(3)
    correspondence.update(torch.tensor([[7, 8, 9]]))
    with pytest.raises(ValueError, match=r"permutations of the parts.*got 1 rows of 1"):
        correspondence.permutation()


@given(masks(3, 4), masks(3, 3), SEEDS, st.sampled_from(["normal", "ties"]))
def test_real_parts_are_matched_with_real_parts(rows: Tensor, columns: Tensor, seed: int, kind: str) -> None:
    """Whatever padding weighs, infinity and no number included; of several matchings that are equally good, any."""
    weights = values((3, 4, 3), seed, kind)
    real = rows[:, :, None] & columns[:, None]
    found = match_parts(weights, rows, columns)
    for fill in (1e30, float("-inf"), float("nan")):
        assert torch.equal(match_parts(weights.where(real, fill), rows, columns), found)
    for row, matched in enumerate(found.tolist()):
        best = oracles_masked.matching(weights[row].tolist(), rows[row].tolist(), columns[row].tolist())
        one, other = ({u: v for u, v in enumerate(edges) if v >= 0} for edges in (matched, best))
        assert len(one) == len(other) == len(set(one.values()))
        assert all(bool(real[row, u, v]) for u, v in one.items())
        totals = [sum(float(weights[row, u, v]) for u, v in edges.items()) for edges in (one, other)]
        assert totals[0] == pytest.approx(totals[1])


def test_a_part_that_is_left_over_has_no_match() -> None:
    weights = torch.tensor([[[0.1, 0.9], [0.8, 0.7], [0.2, 0.3]]])
    assert match_parts(weights).tolist() == [[1, 0, -1]]
    assert match_parts(weights.transpose(1, 2)).tolist() == [[1, 0]]
    assert match_parts(weights[:, :0]).shape == (1, 0)
    assert match_parts(weights[:, :, :0]).tolist() == [[-1, -1, -1]]


def test_the_inverse_of_part_of_a_matching() -> None:
    matching = torch.tensor([[1, -1, 0], [-1, -1, -1], [-1, 2, 1]])
    inverse = invert_matching(matching)
    assert inverse.tolist() == [[2, 0, -1], [-1, -1, -1], [-1, 2, 1]]
    assert torch.equal(invert_matching(inverse), matching)


@given(st.integers(0, 3), st.integers(0, 5), st.integers(1, 5), st.booleans(), SEEDS)
def test_the_table_of_permutations_gives_what_scipy_gives(b: int, p: int, q: int, masked: bool, seed: int) -> None:
    """The table is for other devices than a CPU. The weights have no ties."""
    weights, generator = values((b, p, q), seed), torch.Generator().manual_seed(seed)
    rows, columns = (torch.rand(b, size, generator=generator) < 0.7 if masked else None for size in (p, q))
    found = _match_by_table(weights, rows, columns)
    assert torch.equal(found, match_parts(weights, rows, columns))


@given(st.integers(1, 4), st.integers(1, 4), SEEDS, st.sampled_from([torch.nan, torch.inf, -torch.inf]))
def test_the_table_matches_what_is_not_finite(p: int, q: int, seed: int, wrong: float) -> None:
    """It looks at no value, and the loss must not stay finite: the sum of the matched weights is not."""
    weights = values((2, p, q), seed)
    weights[1, seed % p, seed % q] = wrong
    found = _match_by_table(weights, None, None)
    assert torch.equal(found[:1], match_parts(weights[:1]))
    total = weights[1][found[1] >= 0].gather(1, found[1][found[1] >= 0, None]).sum()
    assert not total.isfinite()


def test_the_table_of_seven_parts() -> None:
    weights = values((3, 7, 7), 0)
    assert torch.equal(_match_by_table(weights, None, None), match_parts(weights))


@given(st.lists(st.lists(st.none() | st.permutations(range(3)), max_size=5), max_size=5))
def test_rows_of_minus_one_are_left_out_of_the_history(batches: list[list[list[int] | None]]) -> None:
    with_gaps, without = (PartCorrespondence(3, window=4) for _ in range(2))
    for batch in batches:
        with_gaps.update(as_tensor([[-1, -1, -1] if one is None else list(one) for one in batch]))
        without.update(as_tensor([list(one) for one in batch if one is not None]))
        assert torch.equal(with_gaps.history, without.history)
