"""Does a word look at its part of an icon? Where `X-plus` differs from `X`, *plus* must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from other_tasks.icons_data import Icons, Split, move
from vireid.interval import interval

GRID = 8
CHANGED, FEW, MANY = 0.15, 3, 32
"""A token has changed where its ink differs by more; pairs where fewer or more tokens have are left out: they were
redrawn as a whole, or hardly differ."""

Maps = Callable[[Tensor, Tensor], Tensor]
"""Attention [n words t] of the words [n words] of names on pictures [n 1 h w]."""


class Pointing(NamedTuple):
    """How often the best token of a map is where the icon differs, in %."""

    icons: int
    word: float
    """The map of the last word."""
    other_word: float
    """A control: the map of the first word."""
    other_icon: float
    """A control: the map of the same word on another icon. What it has of the former is habit of place."""
    chance: float


def pairs_of(icons: Icons, rows: Tensor) -> list[tuple[int, int, int]]:
    """Of some icons those `X-plus` whose `X` there is: their rows, that of X, and the place of the word; with
    "outline" at the end of both names, or of neither."""
    at, found = {name: row for row, name in enumerate(icons.names)}, []
    for row in rows.tolist():
        words = icons.names[row].split("-")
        end = words[-1:] if words[-1] == "outline" else []
        core = words[: len(words) - len(end)]
        if len(core) > 1 and (plain := "-".join(core[:-1] + end)) in at:
            found.append((row, at[plain], len(core) - 1))
    return found


@torch.no_grad()
def measure_pointing(maps: Maps, icons: Icons, split: Split, scored: str, seed: int) -> Pointing:
    """Both icons of a pair are moved alike, and each pair otherwise than the next."""
    pairs = pairs_of(icons, split.rows[scored])
    rows, plain, place = torch.tensor(pairs).T
    with_word, without = (move(icons.pictures(some), torch.Generator().manual_seed(seed)) for some in (rows, plain))
    changed = adaptive_avg_pool2d((with_word - without).abs(), GRID).flatten(1) > CHANGED
    number = changed.sum(dim=1)
    kept = (number >= FEW) & (number <= MANY)
    rows, place, changed, pictures = rows[kept], place[kept], changed[kept], with_word[kept]
    best, each = maps(pictures, split.words[rows]).argmax(dim=2), torch.arange(len(rows))
    last = split.words[rows, place].tolist()
    others = [next((k for k in [*range(i + 1, len(last)), *range(i)] if last[k] == last[i]), -1) for i in each.tolist()]
    other = torch.tensor(others)
    hit = changed.gather(1, best)
    elsewhere = changed.gather(1, best[other, place[other]][:, None])[:, 0]
    shares = (hit[each, place], hit[:, 0], elsewhere[other >= 0], changed)
    return Pointing(len(rows), *(100 * float(share.float().mean()) for share in shares))


def say(found: Sequence[Pointing]) -> str:
    """What was measured over seeds, in a line."""
    word, other_word, other_icon, chance = (
        str(interval([getattr(one, name) for one in found])) for name in ("word", "other_word", "other_icon", "chance")
    )
    return (
        f"where `X-plus` differs from `X`, its word looks in {word} % of {found[0].icons} held-out icons (chance "
        f"{chance} %; another word {other_word} %; where the same word looks in another icon {other_icon} %)"
    )
