"""Uses of the library that must have the right types: `make lint` checks them with two strict type checkers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import assert_type

from concordant import (
    CAL,
    TSAA,
    CALLoss,
    CALOutput,
    Distilled,
    DiversityLoss,
    Encoded,
    LossTerms,
    MatchDistill,
    MinedParts,
    PartCenterLoss,
    PartMiner,
    Refined,
    rank_metrics,
    target_aware_similarity,
)


def train(model: CAL, images: Tensor, labels: Tensor, modality: Tensor) -> dict[str, float]:
    output = assert_type(model(images, labels, modality), CALOutput)
    terms = assert_type(CALLoss(metric=PartCenterLoss(margin=0.5))(output, labels, modality), LossTerms)
    model.observe(output, terms, modality)
    return {name: value.item() for name, value in terms.named().items()}


def retrieve(model: CAL, query: Tensor, gallery: Tensor, labels: Tensor) -> float:
    asked, listed = model.encode(query, 1), model.encode(gallery, 0)
    both = assert_type(Encoded.cat([asked[:2], listed.to(torch.float32)]), Encoded)
    similarity = target_aware_similarity(asked, listed, model.attention, norm=model.part_norm)
    similarity = similarity + model.similarity(asked, both, pairs=torch.zeros(len(asked), 1, dtype=torch.int64))
    return rank_metrics(similarity, labels, labels).map.item()


def by_hand(feature_map: Tensor, tokens: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    mined = assert_type(PartMiner(8, 3)(feature_map), MinedParts)
    refined = assert_type(TSAA(8, instance_norm="tokens")(tokens, mined.features, tokens), Refined)
    matching = MatchDistill(cosine=True)(refined.attention, refined.attention, logits, logits)
    distilled, loss = assert_type(matching, Distilled), assert_type(DiversityLoss()(refined.attention), Tensor)
    return loss + distilled.kd1 + refined.part_queries.gates.mean() + labels.float().mean()


def build(backbone: nn.Module) -> CAL:
    return CAL.paper(backbone, channels=8, num_parts=3, num_classes=5, backbone_takes_modality=True)
