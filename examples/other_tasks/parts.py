"""Parts of names and of icons, by CAL's losses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from concordant import (
    TSAA,
    DiversityLoss,
    Encoded,
    MatchDistill,
    MinedParts,
    PartCenterLoss,
    PartMiner,
    Refined,
)
from other_tasks.pooling import CHANNELS, Pooling

PARTS = 4


class Parts(Pooling):
    """Pooling, and four parts of either side trained by CAL's losses: InfoNCE stands for the losses of identity, as an
    icon has one picture. Both are compared side by side."""

    def __init__(self, vocabulary: int, *, context: bool, alone: int = 0) -> None:
        super().__init__(vocabulary, context=context, alone=alone)
        self.values = nn.ModuleList(nn.Linear(CHANNELS, CHANNELS) for _ in range(2))
        self.miners = nn.ModuleList(PartMiner(CHANNELS, PARTS, pool_sizes=(1,)) for _ in range(2))
        self.attention, self.norm = TSAA(CHANNELS), nn.BatchNorm1d(PARTS * CHANNELS)
        self.center, self.distill = PartCenterLoss(margin=0.7, l2_normalize=True), MatchDistill(cosine=True)
        self.diversity = DiversityLoss(cosine=True)

    def find(self, tokens: Tensor, side: int, real: Tensor | None) -> tuple[Encoded, MinedParts]:
        values = self.values[side](tokens)
        mined = self.miners[side](values, real)
        queries = self.attention.encode_parts(mined.features, values, mask=real)
        return Encoded(values, self.attention.encode_tokens(values, mask=real), queries, real), mined

    def read(self, owner: Encoded, other: Encoded) -> Refined:
        """The owner's parts on the other's tokens."""
        return self.attention.attend(other.tokens, other.keys, owner.part_queries, mask=other.mask)

    def compare(self, picture: Refined, name: Refined) -> Tensor:
        """The mean cosine of the parts of one number, names by pictures."""
        both = torch.cat([name.features, picture.features])  # by one normalisation, as in the test
        one, other = normalize(self.norm(both.flatten(1)).view_as(both), dim=2).chunk(2)
        return one.flatten(1) @ other.flatten(1).T / PARTS

    def loss_of_parts(self, seen: Tensor, read: Tensor, real: Tensor) -> Tensor:
        (picture, mined), (name, mined_words) = self.find(seen, 0, None), self.find(read, 1, real)
        own = [self.read(picture, picture), self.read(name, name)]
        cross = [self.read(picture, name), self.read(name, picture)]
        loss = self.contrast(self.compare(*own))
        labels, modality = torch.arange(len(read)).repeat(2), torch.arange(2).repeat_interleave(len(read))
        loss += self.center(*(torch.cat([x.features for x in way]) for way in (own, cross)), labels, modality)
        # On the picture, the words' parts teach; on the words, those of the picture.
        for side, mask in ((0, None), (1, real)):
            loss += 0.1 * self.distill(own[side].attention, cross[1 - side].attention, mask=mask).kd1
        for found, refined, mask in zip((mined, mined_words), own, (None, real), strict=True):
            for maps in (found.selection, refined.attention):
                loss += 0.25 * self.diversity(maps, mask=mask)
        return loss

    def similarities(self, gallery: Tensor, queries: Tensor) -> dict[str, Tensor]:
        tokens = self.tokens(gallery, queries)
        sides = self.find(tokens[0], 0, None)[0], self.find(tokens[1], 1, tokens[2])[0]
        parts, pooled = self.compare(*(self.read(side, side) for side in sides)), self.pool(*tokens)
        return {"": parts + pooled, "parts alone": parts, "pooled alone": pooled}
