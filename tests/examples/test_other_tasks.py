"""The examples outside person re-identification: what their data promises, and a short run of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from other_tasks import digits, words
from other_tasks.compare import Views, fit
from other_tasks.numbers import LETTERS, handwriting, spell, write
from other_tasks.options import Options


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_handwriting_of_test_and_training_is_disjoint() -> None:
    known, held_out = (
        {tuple(picture.flatten().tolist()) for pictures in handwriting(test=test) for picture in pictures}
        for test in (False, True)
    )
    assert len(known) == 1200
    assert len(held_out) == 597
    assert not known & held_out


@pytest.mark.parametrize("count", [1, 3])
def test_digits_are_where_their_corners_say_and_nowhere_twice(count: int) -> None:
    hand = [torch.full((2, 8, 8), (digit + 1) / 10) for digit in range(10)]
    numbers = torch.tensor([7, 5] if count == 1 else [975, 246]).repeat(50)
    pictures, corners = write(numbers, hand, _generator(), digits=count)
    assert pictures.shape == (100, 1, 16, 8 + 8 * count)
    for picture, corner, number in zip(pictures[:, 0], corners.tolist(), numbers.tolist(), strict=True):
        for (row, column), digit in zip(corner, f"{number:0{count}}", strict=True):
            # A scrap covers what is fainter than it, but no corner of a digit moves.
            assert picture[row : row + 8, column : column + 8].min() >= (int(digit) + 1) / 10 - 1e-6
    assert torch.equal(corners[:, :, 1].sort(dim=1).values, corners[:, :, 1])
    for axis in (0, 1):
        assert corners[:, 0, axis].unique().numel() > 4, "misaligned: digits lie in many places"


def test_the_two_modalities_of_an_identity_are_misaligned() -> None:
    train, _ = words.views(_generator())
    starts = (train.second > 0).long().argmax(dim=2)
    assert (starts.amax(dim=1) > starts.amin(dim=1)).float().mean() > 0.9


def test_words_spell_their_numbers() -> None:
    lines = spell(torch.tensor([0, 42, 377]), _generator())
    read = ["".join(chr(96 + letter) for letter in line if letter) for line in lines.tolist()]
    assert read == ["zerozerozero", "zerofourtwo", "threesevenseven"]


def test_no_number_of_the_test_is_learnt() -> None:
    def spelt(views: torch.Tensor) -> set[str]:
        return {"".join(chr(96 + letter) for letter in line if letter) for line in views.flatten(0, 1).tolist()}

    train, test = words.views(_generator())
    assert len(spelt(train.second)) == words.TRAINING
    assert len(spelt(test.second)) == words.TEST
    assert not spelt(train.second) & spelt(test.second)


@pytest.mark.parametrize("name", ["steps", "seeds"])
def test_a_run_has_steps_and_seeds(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Options: `{name}` must be at least 1; got 0"):
        Options(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("example", [digits, words])
def test_a_short_run_measures_both_and_draws(example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example.run(Options(tmp_path, steps=3, seeds=1))
    printed = capsys.readouterr().out
    for name in ("pooling", "target-aware", "rank-1", "mAP", "mINP"):
        assert name in printed
    with Image.open(tmp_path / example.__name__.split(".")[-1] / "attention.png") as figure:
        assert figure.width > 800
        assert len(figure.convert("RGB").getcolors(figure.width * figure.height) or ()) > 100


@pytest.mark.parametrize("example", [digits, words])
def test_parts_learn_everything_and_attend_on_either_modality(example: Any) -> None:
    train, _ = example.views(_generator())
    model, some = example.Parts(), torch.arange(10)
    model.loss(train.first[:10, 0], train.second[:10, 1], some).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    model.eval()
    query, gallery = model.encode(train.second[:10, 0], 1), model.encode(train.first[:10, 0], 0)
    attention = model.attention.attend(gallery.tokens, gallery.keys, query.part_queries).attention
    assert attention.shape == (10, example.PARTS, gallery.tokens.shape[1])
    if example is words:
        assert query.tokens.shape[1] == LETTERS
    norms = model.embed(train.first[:10, 0], 0).norm(dim=1)
    torch.testing.assert_close(norms, norms[:1].expand(10))


def test_the_same_seed_trains_the_same_weights() -> None:
    generator = _generator()
    views = Views(
        torch.randn(10, 2, 1, 32, 32, generator=generator), torch.randn(10, 2, 1, 32, 32, generator=generator)
    )

    def trained(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        model = digits.Parts()
        fit(model, views, 2, _generator(seed), Console(quiet=True), "")
        return model.state_dict()

    once, again, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["classifier.weight"], other["classifier.weight"])
