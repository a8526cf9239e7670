"""Hypothesis strategies: sizes, tensors and batches, with the edge cases that the library defines.

Tensors are drawn as a kind and a seed rather than number by number: an example is then small, quick, and still
repeats. The kinds are the cases that break retrieval code: equal values, zero vectors, numbers of one sign.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

SEEDS = st.integers(0, 2**31 - 1)
KINDS = ("normal", "ties", "zero rows", "zeros")


class Sizes(NamedTuple):
    """One letter per size, as in the library; t < p and an empty batch occur."""

    b: int
    t: int
    p: int
    c: int
    k: int


def sizes(min_b: int = 0, max_p: int = 4) -> st.SearchStrategy[Sizes]:
    return st.builds(
        Sizes,
        b=st.integers(min_b, 3),
        t=st.integers(1, 7),
        p=st.integers(1, max_p),
        c=st.integers(1, 5),
        k=st.integers(1, 5),
    )


def values(shape: tuple[int, ...], seed: int, kind: str = "normal", dtype: torch.dtype = torch.float64) -> Tensor:
    """A tensor of a kind: "ties" holds few different values, "zero rows" has rows of the last axis at zero."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(shape, generator=generator, dtype=dtype)
    if kind == "ties":
        return drawn.round()
    if kind == "zero rows":
        return drawn * (torch.rand((*shape[:-1], 1), generator=generator) > 0.5)
    return torch.zeros_like(drawn) if kind == "zeros" else drawn


def distributions(shape: tuple[int, ...], dim: int, seed: int, kind: str = "normal") -> Tensor:
    """Positive numbers that sum to one along `dim`."""
    return values(shape, seed, kind).softmax(dim=dim)


class Batch(NamedTuple):
    """Rows of two modalities."""

    labels: Tensor
    modality: Tensor


@st.composite
def batches(draw: st.DrawFn, min_rows: int = 1, max_rows: int = 7) -> Batch:
    """Identities and modalities: general, one row per identity, one identity, one modality, or a modality missing."""
    n = draw(st.integers(min_rows, max_rows))
    kind = draw(st.sampled_from(["general", "one row an identity", "one identity", "one modality", "one missing"]))
    modality = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    if kind == "one row an identity":
        labels = draw(st.permutations(range(n)))
    elif kind == "one identity":
        labels = [2] * n
    elif kind == "one modality":
        modality = [draw(st.integers(0, 1))] * n
    elif kind == "one missing":
        modality = [0 if label == 1 else m for label, m in zip(labels, modality, strict=True)]
    return Batch(torch.tensor(labels, dtype=torch.int64), torch.tensor(modality, dtype=torch.int64))


def permutation(n: int, seed: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))
