"""Digits in ink and in outline, by CAL: the code of examples/digits.py."""

from __future__ import annotations

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from concordant import CAL, CALLoss, DiscriminativeLoss, per_modality
from other_tasks.compare import Plan, Task, compare
from other_tasks.figure import draw_digits
from other_tasks.handwriting import handwriting, write
from other_tasks.networks import Pooling, convolution
from other_tasks.options import Options

DIGITS, CHANNELS, PARTS, BATCH = 10, 32, 3, 32
EQUAL = 3
"""Steps of pooling for one with parts, at equal CPU time."""
VIEWS = {False: 240, True: 40}
"""Pictures of each digit and modality, in training (False) and test (True)."""


def task(seed: int) -> Task:
    """Batches of a digit in ink and one in outline; of the test, outlines as queries for ink."""
    generator = torch.Generator().manual_seed(seed)

    def both(*, test: bool) -> tuple[Tensor, Tensor]:
        """[10 v 1 32 32] in ink and in outline."""
        rows, hand = torch.arange(DIGITS).repeat_interleave(VIEWS[test]), handwriting(test=test)
        ink, other = (write(rows, hand, generator) for _ in range(2))
        ink, other = (interpolate(x, scale_factor=2, mode="bilinear") for x in (ink, other))
        outline = max_pool2d(other, 3, 1, 1) + max_pool2d(-other, 3, 1, 1)  # dilated less eroded
        noisy = [x + 0.05 * torch.randn(x.shape, generator=generator) for x in (ink, 1 - outline)]
        return noisy[0].unflatten(0, (DIGITS, -1)), noisy[1].unflatten(0, (DIGITS, -1))

    train, test = both(test=False), both(test=True)

    def draw(generator: torch.Generator) -> tuple[Tensor, ...]:
        labels = torch.randint(DIGITS, (BATCH,), generator=generator)
        first, second = torch.randint(VIEWS[False], (2, BATCH), generator=generator)
        return train[0][labels, first], train[1][labels, second], labels

    labels = torch.arange(DIGITS).repeat_interleave(VIEWS[True])
    return Task(draw, test[0].flatten(0, 1), test[1].flatten(0, 1), labels, labels)


class Backbone(nn.Module):
    """A first stage for each modality, then shared stages: pictures [n 1 32 32] → feature map [n c 8 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.stems = nn.ModuleList(convolution(1, 16, 2) for _ in range(2))
        self.body = nn.Sequential(convolution(16, CHANNELS, 2), *(convolution(CHANNELS, CHANNELS) for _ in range(2)))

    def forward(self, pictures: Tensor, modality: Tensor | int) -> Tensor:
        features: Tensor = self.body(per_modality(self.stems, pictures, modality))
        return features


class Parts(CAL):
    """CAL with the paper's losses and diversity of attention maps, which the identity loss reaches."""

    def __init__(self) -> None:
        super().__init__(
            Backbone(), CHANNELS, PARTS, DIGITS, protect_attention=False, gate=False, backbone_takes_modality=True
        )
        identity = DiscriminativeLoss()
        self.criterion = CALLoss(triplet=0.0, part_triplet=0.0, coverage=0.0, attention_div=1.5, identity=identity)

    def loss(self, first: Tensor, second: Tensor, labels: Tensor) -> Tensor:
        labels, modality = labels.repeat(2), torch.arange(2).repeat_interleave(len(labels))
        output = self(torch.cat([first, second]), labels, modality)
        terms = self.criterion(output, labels, modality)
        self.observe(output, terms, modality)
        return terms.total

    def similarities(self, gallery: Tensor, queries: Tensor) -> dict[str, Tensor]:
        aware = self.similarity(self.encode(queries, 1), self.encode(gallery, 0))
        return {"": self.embed(queries, 1) @ self.embed(gallery, 0).T, "target-aware": aware}


def pooling(_: Task) -> Pooling:
    return Pooling(Backbone(), CHANNELS, DIGITS)


def parts(_: Task) -> Parts:
    return Parts()


def run(options: Options) -> None:
    """Train both methods, print their comparison, and draw the attention of the last one with parts."""
    console, out = Console(), options.out / "digits"
    plans = {"pooling": Plan(pooling, EQUAL * options.steps), "parts": Plan(parts, options.steps)}
    runs = compare(plans, task, seeds=options.seeds, out=out, console=console)
    model = runs["parts"][-1].model
    assert isinstance(model, CAL)
    found = draw_digits(model, task(options.seeds - 1), runs, out / "attention.png")
    console.print(f"[bold]{found}[/bold] shows where the parts look", highlight=False)
