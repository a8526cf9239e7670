"""The modules that take masks, given some: for the questions about numbers and compilers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from concordant import HorizontalParts, LearnableParts, PartMiner, PartScorer
from support import cases_layers, cases_losses, cases_metric
from support.case import Arguments, Case, draw, weights

PLAIN = cases_layers.CASES | cases_losses.CASES | cases_metric.CASES


class Masked(nn.Module):
    """A module whose last arguments are masks, by their names."""

    def __init__(self, module: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *arguments: Any) -> Any:
        n = len(arguments) - len(self.names)
        return self.module(*arguments[:n], **dict(zip(self.names, arguments[n:], strict=True)))


def prefixes(length: int, *numbers: int) -> Tensor:
    """Rows of which the first few are real."""
    return torch.arange(length) < torch.tensor(numbers)[:, None]


def masked(
    name: str,
    arguments: Callable[[torch.dtype], Arguments] | None = None,
    make: Callable[..., nn.Module] | None = None,
    **masks: Tensor,
) -> Case:
    case = PLAIN[name]
    given, made = arguments or case.arguments, make or case.make
    return replace(
        case,
        make=lambda **settings: Masked(made(**settings), tuple(masks)),
        arguments=lambda dtype: (*given(dtype), *masks.values()),
    )


def words(dtype: torch.dtype) -> Arguments:
    return (draw(2, 5, 8, dtype=dtype),)


def sides(dtype: torch.dtype) -> Arguments:
    """Three own parts, four cross parts, without logits."""
    return weights(2, 3, 6, dim=2, dtype=dtype), weights(2, 4, 6, dim=2, dtype=dtype, seed=1)


GRID, WORDS, TOKENS, PARTS = prefixes(8, 8, 5), prefixes(5, 1, 4), prefixes(6, 5, 3), prefixes(3, 2, 3)

CASES: dict[str, Case] = {
    "PartScorer": masked("PartScorer", mask=GRID),
    "PartScorer of tokens": masked(
        "PartScorer", words, lambda **settings: PartScorer(8, 3, pool_sizes=(1,), **settings), mask=WORDS
    ),
    "TokenGate": masked("TokenGate", mask=GRID),
    "TopKAggregator": masked("TopKAggregator", mask=GRID),
    "PartMiner": masked("PartMiner", mask=GRID),
    "PartMiner of tokens": masked(
        "PartMiner", words, lambda **settings: PartMiner(8, 3, pool_sizes=(1,), **settings), mask=WORDS
    ),
    "LearnableParts": masked("LearnableParts", words, lambda **settings: LearnableParts(8, 3, **settings), mask=WORDS),
    "HorizontalParts": masked("HorizontalParts", make=lambda **settings: HorizontalParts(3, **settings), mask=GRID),
    "TSAA": masked("TSAA", mask=prefixes(7, 7, 4), part_mask=PARTS, norm_mask=WORDS),
    "DotProductAttention": masked("DotProductAttention", mask=prefixes(7, 1, 6), part_mask=PARTS),
    "DiscriminativeLoss": masked("DiscriminativeLoss", part_mask=prefixes(3, 3, 1, 0, 2)),
    "DiversityLoss": masked("DiversityLoss", mask=TOKENS, part_mask=PARTS),
    "CoverageLoss": masked("CoverageLoss", mask=TOKENS, part_mask=PARTS),
    "PartCenterLoss": masked("PartCenterLoss", part_mask=prefixes(2, 2, 1, 2, 2)),
    "HeteroCenterLoss": masked("HeteroCenterLoss", part_mask=prefixes(2, 2, 1, 2, 2)),
    "MatchDistill": masked("MatchDistill", mask=TOKENS, own_mask=PARTS, cross_mask=prefixes(3, 3, 1)),
    "MatchDistill of sides that differ": masked("MatchDistill", sides, own_mask=PARTS),
}
