"""Digits in ink and in outline, by CAL: the code of examples/digits.py."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from concordant import CAL, CALLoss, DiscriminativeLoss, per_modality
from other_tasks.compare import Views, compare
from other_tasks.figure import draw, paint_picture
from other_tasks.networks import Pooling, convolution
from other_tasks.numbers import handwriting, write
from other_tasks.options import Options

DIGITS, CHANNELS, PARTS = 10, 32, 3
VIEWS = {False: 240, True: 40}
"""Pictures of each digit and modality, in training (False) and test (True)."""


def views(generator: torch.Generator) -> tuple[Views, Views]:
    """Views for training and for the test."""

    def both(*, test: bool) -> Views:
        rows, hand = torch.arange(DIGITS).repeat_interleave(VIEWS[test]), handwriting(test=test)
        ink, other = (write(rows, hand, generator)[0] for _ in range(2))
        ink, other = (interpolate(x, scale_factor=2, mode="bilinear") for x in (ink, other))
        outline = max_pool2d(other, 3, 1, 1) + max_pool2d(-other, 3, 1, 1)  # dilated less eroded
        noisy = (x + 0.05 * torch.randn(x.shape, generator=generator) for x in (ink, 1 - outline))
        return Views(*(x.unflatten(0, (DIGITS, -1)) for x in noisy))

    return both(test=False), both(test=True)


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


def run(options: Options) -> None:
    """Train both methods, then plot and print their comparison."""
    paint = partial(draw, out=options.out / "digits", paint_first=paint_picture, paint_second=paint_picture)
    compare(options, views, lambda: Pooling(Backbone(), CHANNELS, DIGITS), Parts, paint)
