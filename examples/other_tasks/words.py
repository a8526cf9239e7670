"""Numbers in handwriting and in words, by the components of CAL: the code of examples/words.py."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from concordant import (
    TSAA,
    DiscriminativeLoss,
    DiversityLoss,
    Encoded,
    MatchDistill,
    MinedParts,
    PartCenterLoss,
    PartClassifier,
    PartCorrespondence,
    Refined,
    TopKAggregator,
    invert_matching,
    target_aware_similarity,
)
from other_tasks.compare import Views, compare
from other_tasks.figure import draw, paint_letters, paint_picture
from other_tasks.networks import Encoders, Pooling
from other_tasks.numbers import handwriting, spell, write
from other_tasks.options import Options

CHANNELS, PARTS = 32, 4
TRAINING, TEST, VIEWS = 600, 100, 4


def views(generator: torch.Generator) -> tuple[Views, Views]:
    """Views for training and for the test."""

    def both(numbers: Tensor, *, test: bool) -> Views:
        rows = numbers.repeat_interleave(VIEWS)
        pictures = write(rows, handwriting(test=test), generator, digits=3)[0]
        pictures = pictures + 0.05 * torch.randn(pictures.shape, generator=generator)
        return Views(*(x.unflatten(0, (-1, VIEWS)) for x in (pictures, spell(rows, generator))))

    order = torch.randperm(1000, generator=generator)
    return both(order[:TRAINING], test=False), both(order[-TEST:], test=True)


class Parts(Pooling):
    """Plain pooling with parts: CAL's objective built from components, as the class CAL needs grids of one size."""

    def __init__(self) -> None:
        super().__init__(Encoders(CHANNELS), CHANNELS, TRAINING)
        self.scorers = nn.ModuleList(nn.Linear(CHANNELS, PARTS) for _ in range(2))
        self.aggregate, self.attention = TopKAggregator(), TSAA(CHANNELS)
        self.part_norm = nn.BatchNorm1d(PARTS * CHANNELS)
        self.classifiers = nn.ModuleList(PartClassifier(CHANNELS, PARTS, TRAINING) for _ in range(2))
        self.discriminate, self.diversity = DiscriminativeLoss(), DiversityLoss(cosine=True)
        self.center, self.distill = PartCenterLoss(margin=0.7, l2_normalize=True), MatchDistill(cosine=True)
        self.correspondence = PartCorrespondence(PARTS)

    def mine(self, inputs: Tensor, modality: int) -> tuple[Encoded, MinedParts]:
        tokens = self.tokens(inputs, modality)
        mined = self.aggregate(tokens, self.scorers[modality](tokens).transpose(1, 2).softmax(dim=2))
        keys, queries = self.attention.encode_tokens(tokens), self.attention.encode_parts(mined.features, tokens)
        return Encoded(tokens, keys, queries), mined

    def read(self, owner: Encoded, other: Encoded) -> tuple[Refined, Tensor]:
        """The owner's parts on the other's tokens, and their logits."""
        refined = self.attention.attend(other.tokens, other.keys, owner.part_queries)
        return refined, self.classifiers[0](self.normed(refined.features))

    def loss(self, pictures: Tensor, letters: Tensor, labels: Tensor) -> Tensor:
        (image, seen), (text, spelt) = self.mine(pictures, 0), self.mine(letters, 1)
        own, cross = [self.read(image, image), self.read(text, text)], [self.read(image, text), self.read(text, image)]
        loss = self.identity_loss([image.tokens, text.tokens], labels)
        loss += sum(self.discriminate(logits, labels) for _, logits in own + cross) / 4
        features = [torch.cat([refined.features for refined, _ in way]) for way in (own, cross)]
        loss += self.center(*features, labels.repeat(2), torch.arange(2).repeat_interleave(len(labels)))
        # On the picture, the parts of the text teach; on the text, those of the picture. M̂ needs this direction.
        for way, ((mine, logits), (theirs, taught)) in enumerate(zip(own, reversed(cross), strict=True)):
            found = self.distill(mine.attention, theirs.attention, logits, taught)
            loss += 0.1 * found.kd1 + 0.05 * found.kd2
            self.correspondence.update(found.matching if way else invert_matching(found.matching))
        for mined, (refined, _) in zip((seen, spelt), own, strict=True):
            loss += 0.05 * self.discriminate(self.classifiers[1](mined.features), labels)
            loss += 0.25 * (self.diversity(mined.selection) + self.diversity(refined.attention))
        return loss

    def encode(self, inputs: Tensor, modality: int) -> Encoded:
        return self.mine(inputs, modality)[0]

    def embed(self, inputs: Tensor, modality: int) -> Tensor:
        encoded = self.encode(inputs, modality)
        parts = self.normed(self.attention.attend(encoded.tokens, encoded.keys, encoded.part_queries).features)
        parts = parts[:, self.correspondence.permutation()] if modality else parts
        whole = normalize(self.norm(encoded.tokens.mean(dim=1)), dim=1)
        return torch.cat([whole, normalize(parts, dim=2).flatten(1) / PARTS**0.5], dim=1)

    def similarity(self, query: Encoded, gallery: Encoded) -> Tensor:
        return target_aware_similarity(query, gallery, self.attention, norm=self.part_norm)

    def normed(self, features: Tensor) -> Tensor:
        normed: Tensor = self.part_norm(features.flatten(1))
        return normed.view_as(features)


def run(options: Options) -> None:
    """Train both methods, then plot and print their comparison."""
    paint = partial(draw, out=options.out / "words", paint_first=paint_picture, paint_second=paint_letters)
    compare(options, views, lambda: Pooling(Encoders(CHANNELS), CHANNELS, TRAINING), Parts, paint)
