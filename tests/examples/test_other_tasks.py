"""The examples outside person re-identification: what their data promises, and a short run of each."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from other_tasks import compare, digits, icons
from other_tasks.compare import Plan, Run, Task, fit, results_of
from other_tasks.handwriting import handwriting, write
from other_tasks.icons_data import NONE, UNKNOWN, Icons, hold_out, move, read_icons, split_icons
from other_tasks.options import IconOptions, Options
from other_tasks.pointing import measure_pointing, pairs_of


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


def test_digits_are_anywhere_on_their_pages() -> None:
    hand = [torch.full((2, 8, 8), (digit + 1) / 10) for digit in range(10)]
    pages = write(torch.full((200,), 9), hand, _generator())
    assert pages.shape == (200, 1, 16, 16)
    corners = [tuple((page[0] == 1).nonzero()[0].tolist()) for page in pages]  # no scrap is brighter than a nine
    assert {(page[0] == 1).sum().item() >= 64 for page in pages} == {True}
    assert len(set(corners)) > 30


@pytest.fixture(scope="module")
def some_icons() -> Icons:
    return read_icons(limit=1500)


def test_icons_are_drawn_upright_and_in_full(some_icons: Icons) -> None:
    def ink(name: str) -> Tensor:
        return some_icons.pictures(torch.tensor([some_icons.names.index(name)]))[0, 0]

    up, down = ink("arrow-up"), ink("arrow-down")
    assert up[6:14].sum() > 1.5 * up[18:26].sum(), "its head is above"
    torch.testing.assert_close(up.flip(0), down, atol=0.35, rtol=0)
    assert ink("bed").sum() > 100  # curves are filled
    assert some_icons.ink.dtype == torch.uint8
    assert (some_icons.ink.flatten(1).amax(dim=1) > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_no_variant_of_a_held_out_icon_is_for_training(some_icons: Icons, seed: int) -> None:
    split = split_icons(some_icons, seed)
    assert {name: len(rows) for name, rows in split.rows.items()} == {"train": 1197, "validation": 101, "test": 202}
    assert sorted(torch.cat([*split.rows.values()]).tolist()) == list(range(1500))

    def kinds(which: str) -> set[frozenset[str]]:
        return {frozenset({*some_icons.names[row].split("-")} - {"outline"}) for row in split.rows[which].tolist()}

    assert not kinds("train") & (kinds("test") | kinds("validation"))
    assert not kinds("test") & kinds("validation")
    held = torch.cat([split.rows["validation"], split.rows["test"]])
    assert UNKNOWN not in split.words[held], "each word of a held-out name is in training"
    by_number = {number: word for word, number in some_icons.vocabulary.items()}
    for row in held.tolist():
        assert (
            "-".join(by_number[number] for number in split.words[row].tolist() if number != NONE)
            == (some_icons.names[row])
        )
    again, other = (split_icons(some_icons, seed + more) for more in (0, 1))
    assert torch.equal(again.rows["test"], split.rows["test"])
    assert not torch.equal(other.rows["test"], split.rows["test"])


def test_a_word_that_is_rare_in_training_is_unknown() -> None:
    names = ["a-b"] * 7 + ["c-a"]
    split = split_icons(Icons(names, torch.zeros(8, 1, 2, 2, dtype=torch.uint8)), 0)
    assert split.words[0].tolist() == [2, 3, NONE, NONE, NONE]
    assert split.words[7].tolist() == [UNKNOWN, 2, NONE, NONE, NONE]
    assert hold_out(names, [3], 0) == [[]]  # "a" and "b" would be left in too few


def test_pictures_are_moved_by_no_more_than_promised() -> None:
    dot = torch.zeros(300, 1, 32, 32)
    dot[:, :, 15:17, 15:17] = 1
    moved = move(dot, _generator())[:, 0]
    total = moved.sum(dim=(1, 2))
    places = torch.arange(32.0)
    rows, columns = (moved.sum(dim=axis).mul(places).sum(dim=1) / total - 15.5 for axis in (2, 1))
    for shift in (rows, columns):
        assert 3 < shift.abs().max() < 4 * 1.15
        assert shift.abs().min() < 0.2
    assert torch.equal(move(dot, _generator()), move(dot, _generator()))


def test_icons_without_their_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("other_tasks.icons_data.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"icons of the package mkdocs-material must be there; found none"):
        read_icons()


def drawn(*cells: tuple[int, int]) -> Tensor:
    """An icon of 32 × 32 with ink on some tokens of 4 × 4."""
    picture = torch.zeros(1, 32, 32, dtype=torch.uint8)
    for row, column in cells:
        picture[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    return picture


def test_pointing_is_at_what_the_last_word_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("other_tasks.pointing.move", lambda pictures, generator: pictures)
    corner, below = [(1, 1), (1, 2), (2, 1)], [(6, 5), (6, 6), (5, 6)]
    body = [(4, 4)]
    icons_ = Icons(
        ["a", "a-plus", "b", "b-plus", "c-plus", "a-outline", "a-plus-outline"],
        torch.stack([drawn(*x) for x in (body, body + corner, body, body + below, body, body, [(0, 0)])]),
    )
    rows = torch.arange(7)
    assert pairs_of(icons_, rows) == [(1, 0, 1), (3, 2, 1), (6, 5, 1)]
    split = split_icons(icons_, 0)._replace(rows={"test": rows})

    def maps(pictures: Tensor, words: Tensor) -> Tensor:
        """Each map is on the token (1, 1), whatever the icon."""
        found = torch.zeros(len(pictures), 5, 64)
        found[:, :, 9] = 1
        found[:, 0, 9], found[:, 0, 36] = 0, 1  # the first word is on the body
        return found

    found = measure_pointing(maps, icons_, split, "test", 0)
    assert found.icons == 2  # the third pair differs in too few tokens
    assert found.word == found.other_icon == 50  # right for a-plus only; a map of the other icon is as right
    assert found.other_word == 0
    assert found.chance == pytest.approx(100 * 3 / 64)


@pytest.mark.parametrize("name", ["steps", "seeds"])
@pytest.mark.parametrize("kind", [Options, IconOptions])
def test_a_run_has_steps_and_seeds(kind: Any, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: `{name}` must be at least 1; got 0"):
        kind(**{name: 0})


def tiny_task(seed: int) -> Task:
    generator = _generator(seed)
    pictures = torch.randn(20, 1, 32, 32, generator=generator)

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        labels = torch.randint(10, (8,), generator=generator)
        return pictures[labels], pictures[10 + labels], labels

    return Task(draw, pictures[:10], pictures[10:], torch.arange(10), torch.arange(10))


def test_the_same_seed_trains_the_same_weights() -> None:
    def trained(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        model = digits.Parts()
        fit(model, Plan(digits.parts, 2), tiny_task(0), _generator(seed))
        return model.state_dict()

    once, again, other = trained(0), trained(0), trained(1)
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert not torch.equal(once["classifier.weight"], other["classifier.weight"])


def test_results_are_by_method_and_way() -> None:
    runs = {"a": [Run(None, {"": [1.0, 2.0]}, 3.0)] * 2, "b": [Run(None, {"": [4.0], "x": [5.0]}, 6.0)]}  # type: ignore[arg-type]
    assert results_of(runs) == {"a": [[1.0, 2.0]] * 2, "b": [[4.0]], "b, x": [[5.0]]}


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison starts no processes, whose start takes longer than its runs here."""
    monkeypatch.setattr(compare, "ProcessPoolExecutor", lambda _, mp_context: ThreadPoolExecutor(1))


@pytest.mark.usefixtures("in_this_process")
def test_a_short_run_of_digits_prints_every_method_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digits.run(Options(tmp_path, steps=1, seeds=2))
    printed = capsys.readouterr().out
    for word in ("pooling", "parts, target-aware", "rank-1", "mAP", "CPU s", "mean of 2 seeds"):
        assert word in printed
    with Image.open(tmp_path / "digits" / "attention.png") as figure:
        assert figure.width > 800
        assert len(figure.convert("RGB").getcolors(figure.width * figure.height) or ()) > 100


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("method", icons.METHODS)
def test_every_method_of_icons_learns_everything(some_icons: Icons, method: str, context: bool) -> None:
    one = icons.task(some_icons, "test", 0)
    torch.manual_seed(0)
    model = icons.METHODS[method](len(some_icons.vocabulary) + 2, context=context)
    model.loss(*one.draw(_generator())).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
    model.eval()
    with torch.no_grad():
        tables = model.similarities(one.gallery, one.queries)
    assert {table.shape for table in tables.values()} == {(202, 202)}


def test_methods_of_icons_are_compared_at_equal_time_and_equal_steps(some_icons: Icons) -> None:
    few, every = (
        {name: plan.steps for name, plan in icons.plans_of(some_icons, IconOptions(steps=100, everything=one)).items()}
        for one in (False, True)
    )
    assert few.keys() == {*icons.FEW}
    assert every == few | dict.fromkeys(icons.METHODS, 100) | {
        f"{name}, equal time": round(100 * ratio) for name, ratio in icons.EQUAL.items()
    }
    assert next(iter(every)) == next(iter(few)) == "pooling, equal time", "differences are to the first"


def test_each_icon_is_drawn_once_a_round(some_icons: Icons) -> None:
    one, generator = icons.task(some_icons, "test", 0), _generator()
    names = torch.cat([one.draw(generator)[1] for _ in range(9)])
    train = split_icons(some_icons, 0)
    words = train.words[train.rows["train"]]
    assert len(names.unique(dim=0)) > 0.95 * 9 * icons.BATCH * len(words.unique(dim=0)) / len(words)


def test_vectors_of_words_and_offsets_do_not_decay() -> None:
    class Still(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Embedding(3, 2), nn.Linear(2, 2)

        def loss(self) -> Tensor:
            return 0 * (self.table.weight.sum() + self.layer.weight.sum() + self.layer.bias.sum())

        def similarities(self, gallery: Tensor, queries: Tensor) -> dict[str, Tensor]:
            return {}

    model = Still()
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    fit(model, Plan(lambda _: model, 2), tiny_task(0)._replace(draw=lambda _: ()), _generator())
    assert {name: torch.equal(before[name], weight) for name, weight in model.named_parameters()} == {
        "table.weight": True,
        "layer.weight": False,
        "layer.bias": True,
    }


@pytest.mark.usefixtures("in_this_process")
def test_a_short_run_of_icons_draws(
    tmp_path: Path, some_icons: Icons, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(icons, "read_icons", lambda: some_icons)
    icons.run(IconOptions(tmp_path, steps=1, seeds=1))
    printed = capsys.readouterr().out
    for word in ("pooling, equal time", "target-aware", "chance"):
        assert word in printed
    with Image.open(tmp_path / "icons" / "attention.png") as figure:
        assert figure.width > 700
    results = json.loads((tmp_path / "icons" / "results.json").read_text())
    assert results["figures"] == ["rank-1", "mAP"]
    assert {*icons.FEW} <= results["runs"].keys()
    assert all(0 <= value <= 100 for rows in results["runs"].values() for row in rows for value in row)
