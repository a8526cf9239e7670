"""Names of icons and icons: the code of examples/icons.py."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import cast

import torch
from rich.console import Console
from torch import Tensor, nn

from concordant import TSAA, Encoded, TargetAwareContrastiveLoss, target_aware_similarity
from other_tasks.compare import Plan, Task, compare
from other_tasks.figure import draw_icons
from other_tasks.icons_data import Icons, move, read_icons, split_icons
from other_tasks.options import IconOptions
from other_tasks.parts import Parts
from other_tasks.pointing import measure_pointing, say
from other_tasks.pooling import CHANNELS, AttentionPooling, Pooling
from vireid.files import write_json

BATCH, LR, DECAY = 128, 4e-3, 0.05
SHOWN = 16
"""Icons in the figure."""


def task(icons: Icons, scored: str, seed: int) -> Task:
    """Batches of training icons and their names; held-out names as queries for their icons. All pictures are moved, so
    that where a part usually is tells nothing."""
    split = split_icons(icons, seed)
    some, train = split.rows[scored], split.rows["train"]
    moved = move(icons.pictures(some), torch.Generator().manual_seed(seed))
    left = train[:0]

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        nonlocal left
        if len(left) < BATCH:  # each icon at most once a round
            left = train[torch.randperm(len(train), generator=generator)]
        rows, left = left[:BATCH], left[BATCH:]
        return move(icons.pictures(rows), generator), split.words[rows]

    labels = torch.arange(len(some))
    return Task(draw, moved, split.words[some], labels, labels)


class TargetAware(Pooling):
    """Each word of a name looks for its part of the picture; beside pooling, as a loss and as a similarity."""

    def __init__(self, vocabulary: int, *, context: bool, alone: int = 0) -> None:
        super().__init__(vocabulary, context=context, alone=alone)
        self.values = nn.ModuleList(nn.Linear(CHANNELS, CHANNELS) for _ in range(2))
        self.attention = TSAA(CHANNELS, instance_norm="tokens")  # over a name of one word, IN would erase the word
        self.criterion = TargetAwareContrastiveLoss(direction="query", block=32)

    def encode(self, seen: Tensor, read: Tensor, real: Tensor) -> tuple[Encoded, Encoded]:
        """Pictures, which words read, and names, whose words are the parts."""
        picture, name = self.values[0](seen), self.values[1](read)
        queries = self.attention.encode_parts(name)
        keys = self.attention.encode_tokens(name, mask=real)
        return Encoded(picture, self.attention.encode_tokens(picture)), Encoded(name, keys, queries, real, real)

    def loss_of_parts(self, seen: Tensor, read: Tensor, real: Tensor) -> Tensor:
        picture, name = self.encode(seen, read, real)
        labels = torch.arange(len(read))
        loss: Tensor = self.criterion(name, picture, labels, labels)
        return loss

    def similarities(self, gallery: Tensor, queries: Tensor) -> dict[str, Tensor]:
        tokens = self.tokens(gallery, queries)
        picture, name = self.encode(*tokens)
        by_words = target_aware_similarity(name, picture, self.attention, direction="query")
        pooled = self.pool(*tokens)
        both = WORDS * by_words / self.criterion.temperature + pooled * self.scale
        return {"": both, "words alone": by_words, "pooled alone": pooled}

    def maps(self, pictures: Tensor, words: Tensor) -> Tensor:
        picture, name = self.encode(*self.tokens(pictures, words))
        attention: Tensor = self.attention.attend(picture.tokens, picture.keys, name.part_queries).attention
        return attention


METHODS: dict[str, type[Pooling]] = {
    "pooling": Pooling,
    "attention pooling": AttentionPooling,
    "CAL's losses": Parts,
    "target-aware": TargetAware,
}
ALONE = 0.7
"""Share of the steps that methods with parts train pooling alone."""
WORDS = 0.5
"""Weight of the words' similarity beside the pooled one, chosen on validation icons, as was `ALONE`."""
EQUAL = {"pooling": 1.3, "attention pooling": 1.15}
"""Steps of another method for one of target-aware, at equal CPU time: see docs/token-sets.md."""
FEW = ("pooling, equal time", "target-aware")


def make(kind: type[Pooling], icons: Icons, options: IconOptions, _: Task) -> Pooling:
    return kind(len(icons.vocabulary) + 2, context=options.context, alone=round(ALONE * options.steps))


def plans_of(icons: Icons, options: IconOptions) -> dict[str, Plan]:
    """Target-aware and, for as much time, pooling; or all methods, for as much time and with as many steps."""
    makers = {name: partial(make, kind, icons, options) for name, kind in METHODS.items()}
    longer = {f"{name}, equal time": (name, round(ratio * options.steps)) for name, ratio in EQUAL.items()}
    every = longer | {name: (name, options.steps) for name in METHODS}
    shown = every if options.everything else FEW
    return {title: Plan(makers[name], steps, LR, DECAY) for title, (name, steps) in every.items() if title in shown}


def run(options: IconOptions) -> None:
    """Train the methods, print their comparison and whether words look at their parts, and draw where they look."""
    console, out, icons = Console(), options.out / "icons", read_icons()
    make_task = partial(task, icons, options.scored)
    runs = compare(plans_of(icons, options), make_task, seeds=options.seeds, out=out, console=console)
    models = [trained.model for trained in runs["target-aware"]]
    found = [
        measure_pointing(cast(TargetAware, model).maps, icons, split_icons(icons, seed), options.scored, seed)
        for seed, model in enumerate(models)
    ]
    write_json(out / "pointing.json", [one._asdict() for one in found])
    console.print(say(found), highlight=False)
    names = [icons.names[row] for row in split_icons(icons, 0).rows[options.scored].tolist()]
    path = picture(cast(TargetAware, models[0]), make_task(0), names, out / "attention.png")
    console.print(f"[bold]{path}[/bold] shows where words look", highlight=False)


@torch.no_grad()
def picture(model: TargetAware, task: Task, names: list[str], path: Path) -> Path:
    """Draw the first held-out icons, in the random order of the split, of two words or three; of an icon and its
    outline, the first."""
    chosen: dict[str, int] = {}
    for place, name in enumerate(names):
        if 2 <= len(name.split("-")) <= 3:
            chosen.setdefault(name.removesuffix("-outline"), place)
    some = torch.tensor([*chosen.values()][:SHOWN])
    pictures, words = task.gallery[some], task.queries[some]
    similarity = model.similarities(task.gallery, words)[""]
    ranks = 1 + (similarity > similarity.gather(1, some[:, None])).sum(dim=1)
    return draw_icons(
        [names[place] for place in some.tolist()], pictures, model.maps(pictures, words), ranks.tolist(), path
    )
