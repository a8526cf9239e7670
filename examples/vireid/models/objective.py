"""The loss of each method, built from settings, with each term by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from concordant import (
    CALLoss,
    CALOutput,
    DiscriminativeLoss,
    DiversityLoss,
    Encoded,
    LossTerms,
    MatchDistill,
    PartCenterLoss,
    TargetAwareContrastiveLoss,
    WeightedTripletLoss,
)
from concordant.distributed import gather
from vireid.config import LossSettings
from vireid.models.baseline import GlobalOutput
from vireid.models.metric_losses import CenterLoss, HardTripletLoss, HeteroCenters

WEIGHTS = (
    *("part_id", "pcl", "triplet", "part_triplet", "kd1", "kd2", "dis", "div", "attention_div"),
    *("equivariance", "coverage"),
)


class CALObjective(CALLoss):
    """`CALLoss` built from the settings."""

    def __init__(self, settings: LossSettings) -> None:
        weights, reduction = {name: getattr(settings, name) for name in WEIGHTS}, settings.reduction
        self.direct = settings.metric == "direct"
        if self.direct:  # attention maps of two images are not to be made alike
            weights |= {"kd1": 0.0, "kd2": 0.0}
        others = {"triplet": HardTripletLoss, "center": CenterLoss, "hetero-center": HeteroCenters}
        centers = PartCenterLoss(margin=settings.margin, l2_normalize=settings.l2_normalize, reduction=reduction)
        super().__init__(
            **weights,
            identity=DiscriminativeLoss(label_smoothing=settings.label_smoothing, reduction=reduction),
            metric=others[settings.metric]() if settings.metric in others else centers,
            match_distill=MatchDistill(cosine=settings.cosine, reduction=reduction),
            discriminative=DiscriminativeLoss(reduction=reduction),
            diversity=DiversityLoss(cosine=settings.cosine, reduction=reduction),
        )

    def forward(self, output: CALOutput, labels: Tensor, modality: Tensor) -> LossTerms:
        # The training loop reports values that are not finite with their files; the matching would raise before.
        own, cross = (x._replace(attention=x.attention.nan_to_num()) for x in (output.own, output.cross))
        if not self.direct:
            return super().forward(output._replace(own=own, cross=cross), labels, modality)
        # Without target awareness: a row is compared with its partner's own parts, and equal parts have equal indices.
        cross = own._replace(features=own.features[output.partner])
        output = output._replace(own=own, cross=cross, cross_logits=output.own_logits)
        terms = super().forward(output, labels, modality)
        parts = torch.arange(terms.matching.shape[1], device=terms.matching.device)
        return terms._replace(matching=parts.expand_as(terms.matching))


class ContrastTerms(NamedTuple):
    """The terms of `CALLoss` with those of a target-aware contrastive loss; `total` is of all."""

    total: Tensor
    contrast: Tensor
    others: LossTerms

    @property
    def matching(self) -> Tensor:
        """That of the distillation, for `CAL.observe`."""
        return self.others.matching

    def named(self) -> dict[str, Tensor]:
        return self.others.named() | {"contrast": self.contrast, "total": self.total}


class ContrastObjective(nn.Module):
    """`CALObjective`, and the target-aware contrastive loss of the two modalities beside it.

    Rows of a batch are those of modality 0, then as many of modality 1, as `CrossModalSampler` draws them.
    """

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.objective, self.weight = CALObjective(settings), settings.contrast
        # Without a parameter: a loss has no place in the checkpoints and the optimiser of a model.
        self.contrast = TargetAwareContrastiveLoss(learnable=False, global_weight=0.0)

    def forward(self, output: CALOutput, labels: Tensor, modality: Tensor) -> ContrastTerms:
        terms = self.objective(output, labels, modality)
        rows, half = Encoded(output.tokens, output.own.keys, output.own.part_queries), len(labels) // 2
        first, second = gather(labels[:half]), gather(labels[half:])
        contrast = self.contrast(rows[:half].gather(), rows[half:].gather(), first, second)
        return ContrastTerms(terms.total + self.weight * contrast, contrast, terms)


class BaselineTerms(NamedTuple):
    """The total, and its terms before weighting."""

    total: Tensor
    id: Tensor
    triplet: Tensor

    def named(self) -> dict[str, Tensor]:
        return self._asdict()


class BaselineObjective(nn.Module):
    """Identity and triplet losses on the global feature."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.weight = settings.triplet
        self.identity = DiscriminativeLoss(label_smoothing=settings.label_smoothing)
        self.triplet = WeightedTripletLoss()

    def forward(self, output: GlobalOutput, labels: Tensor, modality: Tensor) -> BaselineTerms:
        identity = self.identity(output.logits[:, None], labels)
        triplet = self.triplet(*gather(output.features, labels))
        return BaselineTerms(identity + self.weight * triplet, identity, triplet)
