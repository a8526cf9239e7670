"""Instance normalisation over tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from concordant import functional
from support import oracles
from support.models import close
from support.strategies import KINDS, SEEDS, permutation, values


@given(st.integers(0, 2), st.integers(1, 5), st.integers(1, 3), SEEDS, st.sampled_from(KINDS), st.booleans())
def test_agrees_with_the_loop(b: int, t: int, c: int, seed: int, kind: str, other: bool) -> None:
    features = values((b, t, c), seed, kind)
    source = values((b, 4, c), seed + 1, kind) if other else None
    expected = [
        oracles.instance_norm(x, y, 1e-3)
        for x, y in zip(features.tolist(), (features if source is None else source).tolist(), strict=True)
    ]
    close(functional.instance_norm(features, source, eps=1e-3), oracles.tensor(expected).reshape(b, t, c))


@given(SEEDS)
def test_mean_zero_variance_one(seed: int) -> None:
    normed = functional.instance_norm(values((2, 6, 3), seed), eps=1e-12)
    close(normed.mean(dim=1), torch.zeros(2, 3, dtype=torch.float64))
    close(normed.var(dim=1, correction=0), torch.ones(2, 3, dtype=torch.float64), rtol=0, atol=1e-6)


@given(SEEDS)
def test_style_is_taken_away(seed: int) -> None:
    """Exact but for ε: with scale s the variance σ² + ε becomes s²σ² + ε, so the tolerance is of the order ε / σ²."""
    features, eps = values((2, 6, 3), seed), 1e-12
    scale, shift = values((2, 1, 3), seed + 1).exp(), values((2, 1, 3), seed + 2)
    close(
        functional.instance_norm(features * scale + shift, eps=eps),
        functional.instance_norm(features, eps=eps),
        rtol=0,
        atol=1e-5,
    )


@given(SEEDS)
def test_a_sign_is_kept(seed: int) -> None:
    """A channel that is inverted stays so: a negative image is another image."""
    features, signs = values((2, 6, 3), seed), torch.tensor([1.0, -1.0, -3.0], dtype=torch.float64)
    eps = 1e-12
    close(
        functional.instance_norm(features * signs, eps=eps),
        functional.instance_norm(features, eps=eps) * signs.sign(),
        rtol=0,
        atol=1e-5,
    )


@given(SEEDS)
def test_statistics_do_not_depend_on_the_order_of_tokens(seed: int) -> None:
    features, source, order = values((2, 3, 4), seed), values((2, 6, 4), seed + 1), permutation(6, seed)
    close(functional.instance_norm(features, source[:, order]), functional.instance_norm(features, source))


def test_one_token_is_zero_with_finite_gradients() -> None:
    features = torch.randn(1, 1, 3, requires_grad=True)
    normed = functional.instance_norm(features)
    assert torch.equal(normed, torch.zeros(1, 1, 3))
    normed.sum().backward()
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())


def test_statistics_of_no_token_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"instance_norm: `norm_source` must have tokens; got none"):
        functional.instance_norm(torch.randn(1, 2, 3), torch.randn(1, 0, 3))
