"""The total loss of CAL, composed of loss modules, with each term by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from concordant._checks import check_number, check_shapes, checked
from concordant._module import Module
from concordant._precision import full_precision
from concordant.crops import is_cropped
from concordant.distributed import gather, mean_count, world_size
from concordant.losses.coverage import CoverageLoss
from concordant.losses.discriminative import DiscriminativeLoss
from concordant.losses.diversity import DiversityLoss
from concordant.losses.equivariance import EquivarianceLoss
from concordant.losses.match_distill import Distilled, MatchDistill
from concordant.losses.part_center import PartCenterLoss
from concordant.losses.triplet import WeightedTripletLoss
from concordant.output import CALOutput


class LossTerms(NamedTuple):
    """The total and its terms, each before its weight, and the matching that the distillation found."""

    total: Float[Tensor, ""]
    """L: the weighted sum of the terms."""
    id: Float[Tensor, ""]
    """L_id of the global feature."""
    part_id: Float[Tensor, ""]
    """L_id of the own- and cross-refined parts."""
    pcl: Float[Tensor, ""]
    """L_pcl, or what `metric` gives in its place."""
    triplet: Float[Tensor, ""]
    """Weighted triplet loss of the global feature: our addition."""
    part_triplet: Float[Tensor, ""]
    """Weighted triplet loss of the own-refined parts side by side: our addition."""
    kd1: Float[Tensor, ""]
    """L_kd1, over the rows that have a partner."""
    kd2: Float[Tensor, ""]
    """L_kd2, over the same rows."""
    dis: Float[Tensor, ""]
    """L_dis."""
    div: Float[Tensor, ""]
    """L_div of the selections."""
    attention_div: Float[Tensor, ""]
    """Diversity of the own attention maps: our addition."""
    equivariance: Float[Tensor, ""]
    """How far the attention on crops is from the crops of the attention, over the rows that have crops: our
    addition."""
    coverage: Float[Tensor, ""]
    """How far the parts together are from the saliency of the tokens: our addition."""
    matching: Int[Tensor, "n p"]
    """Row i's part u matched part `matching[i, u]` of its partner: for `CAL.observe`."""

    def named(self) -> dict[str, Tensor]:
        """The total and the terms by name, for a log; without the matching."""
        return {name: value for name, value in self._asdict().items() if name != "matching"}


class CALLoss(Module[LossTerms]):
    """The objective of CAL.

    Equation: `L = L_id + L_pcl + λ1 L_kd1 + λ2 L_kd2 + λ3 L_dis + λ4 L_div`, and our additions. By default each term is
    the mean over its own terms (images, parts, pairs), so that no weight depends on the size of the batch or the
    number of parts. The weights have the names of their terms; each loss module can be replaced by another one with
    its call.

    Args:
        part_id: weight of the identity loss on own- and cross-refined parts, which is part of L_id.
        pcl: weight of L_pcl, or of the loss that `metric` puts in its place.
        triplet: weight of the weighted triplet loss on the global feature. Our addition.
        part_triplet: weight of the same loss on the own-refined parts side by side. Our addition.
        kd1: λ1.
        kd2: λ2.
        dis: λ3.
        div: λ4.
        attention_div: weight of L_div on the own attention maps. Our addition: it keeps the attention of the parts from
            becoming one and the same.
        equivariance: weight of `EquivarianceLoss`, for batches with `views`. Our addition: parts follow the content.
        coverage: weight of `CoverageLoss`. Our addition: parts lie where the gate is open, anywhere without a gate.
        identity: of logits (b, p, k) and labels (b,); by default `DiscriminativeLoss(label_smoothing=0.1)`.
        metric: of own (n, p, c), cross (n, p, c), labels (n,) and modality (n,), the rows of all processes; by default
            `PartCenterLoss(margin=0.7, l2_normalize=True)`.
        match_distill: by default `MatchDistill(cosine=True)`.
        discriminative: by default `DiscriminativeLoss()`.
        diversity: of selections and of attention maps; by default `DiversityLoss(cosine=True)`.
        across_processes: with False, the loss of the rows of this process alone. With True each process must call the
            loss: one that does not is waited for.

    Shape: CALOutput, labels (n,), modality (n,) → `LossTerms`.

    Raises: ValueError for a weight that is negative or not finite, or shapes or types that do not fit.

    Under several processes the metric and triplet losses are taken over the rows of all of them (`distributed.gather`),
    and the other terms are each process' share: the mean over processes of the total, and of its gradients, is that of
    one process on the whole batch. Rows without a partner in the batch take no part in the distillation.

    Where the paper is silent: no weight and no σ is published. These are tuned by us on rendered data.

    Reference: CAL (ICCV 2023), overall objective.

    >>> import torch
    >>> from concordant import CAL
    >>> model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_parts=2, num_classes=5)
    >>> images, labels, modality = torch.randn(4, 3, 16, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> terms = CALLoss()(model(images, labels, modality), labels, modality)
    >>> terms.total.backward()
    >>> len(terms.named()), terms.total.shape
    (13, torch.Size([]))
    """

    def __init__(
        self,
        *,
        part_id: float = 1.0,
        pcl: float = 1.0,
        triplet: float = 1.0,
        part_triplet: float = 4.0,
        kd1: float = 0.2,
        kd2: float = 0.1,
        dis: float = 0.1,
        div: float = 0.5,
        attention_div: float = 1.5,
        equivariance: float = 6.0,
        coverage: float = 3.0,
        identity: nn.Module | None = None,
        metric: nn.Module | None = None,
        match_distill: nn.Module | None = None,
        discriminative: nn.Module | None = None,
        diversity: nn.Module | None = None,
        across_processes: bool = True,
    ) -> None:
        super().__init__()
        weights = {"part_id": part_id, "pcl": pcl, "triplet": triplet, "part_triplet": part_triplet}
        weights |= {"kd1": kd1, "kd2": kd2, "dis": dis, "div": div, "attention_div": attention_div}
        weights |= {"equivariance": equivariance, "coverage": coverage}
        check_number("CALLoss", at_least=0, **weights)
        self.weights = {"id": 1.0} | weights
        self.identity = DiscriminativeLoss(label_smoothing=0.1) if identity is None else identity
        self.metric = PartCenterLoss(margin=0.7, l2_normalize=True) if metric is None else metric
        self.match_distill = MatchDistill(cosine=True) if match_distill is None else match_distill
        self.discriminative = DiscriminativeLoss() if discriminative is None else discriminative
        self.diversity = DiversityLoss(cosine=True) if diversity is None else diversity
        self.weighted_triplet = WeightedTripletLoss()
        self.equivariance, self.coverage = EquivarianceLoss(), CoverageLoss()
        self.across_processes = across_processes

    @classmethod
    def paper(
        cls, *, kd1: float = 0.2, kd2: float = 0.1, dis: float = 0.1, div: float = 0.5, margin: float = 0.7
    ) -> CALLoss:
        """The paper's equations as printed: sums, inner products, features as they are, and none of our additions.

        The weights and σ are ours, since the paper publishes none.
        """
        return cls(
            triplet=0.0,
            part_triplet=0.0,
            kd1=kd1,
            kd2=kd2,
            dis=dis,
            div=div,
            attention_div=0.0,
            equivariance=0.0,
            coverage=0.0,
            identity=DiscriminativeLoss(reduction="sum"),
            metric=PartCenterLoss(margin=margin, reduction="sum"),
            match_distill=MatchDistill(reduction="sum"),
            discriminative=DiscriminativeLoss(reduction="sum"),
            diversity=DiversityLoss(reduction="sum"),
        )

    @checked()
    def forward(self, output: CALOutput, labels: Int[Tensor, "n"], modality: Int[Tensor, "n"]) -> LossTerms:
        check_shapes("CALLoss", logits=(output.logits, "n k"), labels=(labels, "n"))
        with full_precision(output.logits):
            own, cross, grid = output.own, output.cross, tuple(output.saliency.shape[1:])
            # Not `output.partner`: torch 2.6 compiles no property of a tuple.
            partner = torch.arange(len(labels), device=labels.device) + output.partner_offset
            distilled: Distilled = self.match_distill(
                own.attention[partner],
                cross.attention,
                output.own_logits[partner],
                output.cross_logits,
                paired=output.paired,
            )
            refined_logits = torch.cat([output.own_logits, output.cross_logits])
            whole = output.features, own.features, cross.features, labels, modality
            features, *batch = gather(*whole) if self.across_processes else whole
            rows, paired = torch.ones_like(output.paired).sum(), output.paired.sum()
            followed = self.equivariance(output.seen, own.attention, output.crops, grid)
            terms = {
                "id": self._share(self.identity, self.identity(output.logits[:, None], labels), rows),
                "part_id": self._share(self.identity, self.identity(refined_logits, labels.repeat(2)), rows),
                "pcl": self.metric(*batch),
                "triplet": self.weighted_triplet(features, batch[2]),
                "part_triplet": self.weighted_triplet(batch[0].flatten(1), batch[2]),
                "kd1": self._share(self.match_distill, distilled.kd1, paired),
                "kd2": self._share(self.match_distill, distilled.kd2, paired),
                "dis": self._share(self.discriminative, self.discriminative(output.mined_logits, labels), rows),
                "div": self._share(self.diversity, self.diversity(output.mined.selection), rows),
                "attention_div": self._share(self.diversity, self.diversity(own.attention), rows),
                "equivariance": self._share(self.equivariance, followed, is_cropped(output.crops).sum()),
                "coverage": self._share(self.coverage, self.coverage(own.attention, output.saliency.flatten(1)), rows),
            }
            total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return LossTerms(total=total, matching=distilled.matching, **terms)

    def extra_repr(self) -> str:
        weights = ", ".join(f"{name}={weight}" for name, weight in self.weights.items() if name != "id")
        return f"{weights}, across_processes={self.across_processes}"

    def _share(self, loss: nn.Module, value: Tensor, count: Tensor) -> Tensor:
        """The share that a process has in a loss of its own rows, `count` of them: the mean of the shares is the loss
        of all rows."""
        if world_size() == 1 or not self.across_processes:
            return value
        if getattr(loss, "reduction", "mean") == "sum":
            return value * world_size()
        return value * (count / mean_count(count.to(value.dtype)).clamp_min(1))
