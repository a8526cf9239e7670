"""Digits in scikit-learn's handwriting."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor

SIDE, DIGIT = 16, 8
"""Height and width of a page, and of scikit-learn's pictures of digits."""
WRITTEN = 1200
"""Number of digits for training; the other 597 are for the test."""


def handwriting(*, test: bool) -> list[Tensor]:
    """Ten tensors [m 8 8] of written digits, in 0 … 1: zeros, ones, …"""
    pictures, digits = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    some = slice(WRITTEN, None) if test else slice(WRITTEN)
    pictures, digits = pictures[some].float().view(-1, DIGIT, DIGIT) / 16, digits[some]
    return [pictures[digits == digit] for digit in range(10)]


def write(digits: Tensor, hand: list[Tensor], generator: torch.Generator) -> Tensor:
    """Digits [n] as pages [n 1 16 16], each anywhere on its page, with a piece of another digit as clutter."""

    def draw(options: int) -> int:
        return int(torch.randint(options, (), generator=generator))

    def paste(page: Tensor, piece: Tensor, row: int, column: int) -> None:
        place = page[row : row + len(piece), column : column + len(piece)]
        torch.maximum(place, piece, out=place)

    pages = torch.zeros(len(digits), SIDE, SIDE)
    for page, digit in zip(pages, digits.tolist(), strict=True):
        left = draw(SIDE - DIGIT - 1)
        row, column = draw(SIDE - DIGIT + 1), left + draw(2)
        paste(page, hand[digit][draw(len(hand[digit]))], row, column)
        scraps = hand[draw(10)]
        row, column = draw(5), draw(5)
        scrap = scraps[draw(len(scraps)), row : row + 4, column : column + 4]
        paste(page, scrap, draw(SIDE - 3), draw(SIDE - 3))
    return pages[:, None]
