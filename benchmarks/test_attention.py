"""Attention of parts on tokens, at the size of a ResNet-50's training batch, beside torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from concordant import TSAA, DotProductAttention

B, T, P, C, D = 64, 162, 6, 2048, 256
SHAPE = f"b {B}, t {T}, p {P}, c {C}"


def inputs() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(B, T, C, requires_grad=True), torch.randn(B, P, C, requires_grad=True)


def step(attend: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], None]:
    """Forward and backward."""

    def run(tokens: Tensor, parts: Tensor) -> None:
        attend(tokens, parts).sum().backward()

    return run


def test_dot_product(measure: Callable[..., Any]) -> None:
    attention, (tokens, parts) = DotProductAttention(), inputs()
    row = "`DotProductAttention`, with its maps"
    measure(row, "ours", step(lambda t, p: attention(t, p).features), tokens, parts, shape=SHAPE)
    torch.testing.assert_close(attention(tokens, parts).features, scaled_dot_product_attention(parts, tokens, tokens))


def test_dot_product_of_torch(measure: Callable[..., Any]) -> None:
    attend = step(lambda t, p: scaled_dot_product_attention(p, t, t))
    measure("`DotProductAttention`, with its maps", "torch's, without", attend, *inputs(), shape=SHAPE)


def test_tsaa(measure: Callable[..., Any]) -> None:
    tsaa = TSAA(C, D)
    attend = step(lambda t, p: tsaa(t, p, t).features)
    measure("`TSAA`", "ours", attend, *inputs(), shape=f"{SHAPE}, d {D}")


@pytest.mark.parametrize("masked", [True, False])
def test_tsaa_with_masks(measure: Callable[..., Any], masked: bool) -> None:
    """Masks that are wholly real: what it costs to ask."""
    tsaa, mask, part_mask = TSAA(C, D), torch.ones(B, T, dtype=torch.bool), torch.ones(B, P, dtype=torch.bool)
    masks = {"mask": mask, "part_mask": part_mask, "norm_mask": mask} if masked else {}
    attend = step(lambda t, p: tsaa(t, p, t, **masks).features)
    measure("`TSAA` with masks", "ours" if masked else "without", attend, *inputs(), shape=f"{SHAPE}, d {D}")


def test_multihead_attention(measure: Callable[..., Any]) -> None:
    """It projects the tokens to d channels twice (keys, values) and the parts once, and its output back to c."""
    attention = nn.MultiheadAttention(D, 1, batch_first=True, kdim=C, vdim=C)
    narrow, wide = nn.Linear(C, D), nn.Linear(D, C)
    attend = step(lambda t, p: wide(attention(narrow(p), t, t)[0]))
    measure("`TSAA`", "torch's `MultiheadAttention`, one head of d", attend, *inputs(), shape=f"{SHAPE}, d {D}")
