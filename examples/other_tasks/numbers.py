"""The identities of both examples: digits and numbers in scikit-learn's handwriting, and numbers in words."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor

HEIGHT = 16
DIGIT = 8
"""Height and width of scikit-learn's pictures."""
WRITTEN = 1200
"""Number of digits for training; the other 597 are for the test."""
LETTERS = 24
"""Length of the line of a spelt number."""
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def handwriting(*, test: bool) -> list[Tensor]:
    """Ten tensors [m 8 8] of written digits, in 0 … 1: zeros, ones, …"""
    pictures, digits = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    some = slice(WRITTEN, None) if test else slice(WRITTEN)
    pictures, digits = pictures[some].float().view(-1, DIGIT, DIGIT) / 16, digits[some]
    return [pictures[digits == digit] for digit in range(10)]


def write(numbers: Tensor, hand: list[Tensor], generator: torch.Generator, *, digits: int = 1) -> tuple[Tensor, Tensor]:
    """Numbers [n] as pictures [n 1 16 8+8·digits], and the corner (row, column) of each digit [n digits 2].

    The handwriting of each digit, its height, and the start of the number are sampled. A piece of another digit is
    added as clutter.
    """
    width = 8 + 8 * digits

    def draw(options: int) -> int:
        return int(torch.randint(options, (), generator=generator))

    def paste(page: Tensor, piece: Tensor, row: int, column: int) -> None:
        place = page[row : row + len(piece), column : column + len(piece)]
        torch.maximum(place, piece, out=place)

    pages, corners = torch.zeros(len(numbers), HEIGHT, width), torch.zeros(len(numbers), digits, 2, dtype=torch.long)
    for page, corner, number in zip(pages, corners, numbers.tolist(), strict=True):
        left = draw(width - 9 * digits)
        for place, digit in enumerate(map(int, f"{number:0{digits}}")):
            corner[place] = torch.tensor([draw(HEIGHT - DIGIT + 1), left + 9 * place + draw(2)])
            paste(page, hand[digit][draw(len(hand[digit]))], *corner[place].tolist())
        scraps = hand[draw(10)]
        row, column = draw(5), draw(5)
        scrap = scraps[draw(len(scraps)), row : row + 4, column : column + 4]
        paste(page, scrap, draw(HEIGHT - 3), draw(width - 3))
    return pages[:, None], corners


def spell(numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Three-digit numbers [n] as letters [n 24], a to z as 1 to 26, with zeros before and after."""
    lines = torch.zeros(len(numbers), LETTERS, dtype=torch.long)
    for line, number in zip(lines, numbers.tolist(), strict=True):
        letters = torch.tensor([ord(letter) - 96 for digit in f"{number:03}" for letter in NAMES[int(digit)]])
        start = int(torch.randint(LETTERS - len(letters) + 1, (), generator=generator))
        line[start : start + len(letters)] = letters
    return lines
