"""The total loss of CAL, with every term by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from concordant._checks import check_integral, check_shapes, require
from concordant._precision import full_precision, upcast
from concordant.cal import CALOutput
from concordant.distributed import gather, mean_count
from concordant.losses.discriminative import discriminative_loss
from concordant.losses.diversity import diversity_loss
from concordant.losses.match_distill import match_distill
from concordant.losses.part_center import part_center_loss


class LossTerms(NamedTuple):
    """The total and its terms, each before its weight, and the matching that the distillation found."""

    total: Float[Tensor, ""]
    """L: the weighted sum of the terms."""
    id: Float[Tensor, ""]
    """L_id of the global feature."""
    part_id: Float[Tensor, ""]
    """L_id of the own- and cross-refined parts."""
    pcl: Float[Tensor, ""]
    """L_pcl."""
    kd1: Float[Tensor, ""]
    """L_kd1, over the rows that have a partner."""
    kd2: Float[Tensor, ""]
    """L_kd2, over the same rows."""
    dis: Float[Tensor, ""]
    """L_dis."""
    div: Float[Tensor, ""]
    """L_div of the selections."""
    attention_div: Float[Tensor, ""]
    """Diversity of the own attention maps: ours."""
    matching: Int[Tensor, "n p"]
    """Row i's part u matched part `matching[i, u]` of its partner: for `CAL.observe`."""

    def named(self) -> dict[str, Tensor]:
        """The total and the terms by name, for a log; without the matching."""
        return {name: value for name, value in self._asdict().items() if name != "matching"}


class CALLoss(nn.Module):
    """The objective of CAL.

    Equation: `L = L_id + L_pcl + λ1 L_kd1 + λ2 L_kd2 + λ3 L_dis + λ4 L_div`, every term a mean over its own terms
    (images, parts, pairs), so that no weight depends on the size of the batch or the number of parts. The weights
    have the names of their terms.

    Args:
        part_id: weight of the identity loss on own- and cross-refined parts, which is part of L_id: without it they
            are useless alone; see `CAL(protect_attention=)` for what it does to the attention.
        pcl: weight of L_pcl. `margin` is its σ; `normalize` divides features by their norm first.
        kd1: λ1.
        kd2: λ2. `detach_cross`: the distillation's teacher takes no gradient.
        dis: λ3.
        div: λ4. `cosine`: L_div, `attention_div` and L_kd1 compare directions of maps only.
        attention_div: weight of L_div on the own attention maps. Not in the source: with 0 the total is the source's.
            It keeps the attention of the parts from becoming one and the same.
        label_smoothing: of the identity losses.

    Shape: CALOutput, labels (n,), modality (n,) → `LossTerms`.

    Raises: ValueError for a negative weight, or shapes or types that do not fit.

    Under several processes L_pcl is taken over the rows of all of them (`distributed.gather`), and the other terms are
    each process' share of the mean over all rows (`distributed.mean_count`): the mean over processes of the total, and
    of its gradients, is that of one process on the whole batch.
    Rows without a partner in the batch take no part in the distillation.

    Where the source is silent: no weight and no σ is published. These are tuned by us on rendered data.

    Reference: CAL (ICCV 2023), overall objective.

    >>> import torch
    >>> from concordant import CAL
    >>> model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_classes=5, num_parts=2)
    >>> images, labels, modality = torch.randn(4, 3, 16, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> terms = CALLoss()(model(images, labels, modality), labels, modality)
    >>> terms.total.backward()
    >>> sorted(terms.named())
    ['attention_div', 'dis', 'div', 'id', 'kd1', 'kd2', 'part_id', 'pcl', 'total']
    """

    def __init__(
        self,
        *,
        part_id: float = 1.0,
        pcl: float = 1.0,
        kd1: float = 0.2,
        kd2: float = 0.1,
        dis: float = 0.1,
        div: float = 0.5,
        attention_div: float = 1.5,
        margin: float = 0.7,
        normalize: bool = True,
        cosine: bool = True,
        detach_cross: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.weights = {
            "id": 1.0,
            "part_id": part_id,
            "pcl": pcl,
            "kd1": kd1,
            "kd2": kd2,
            "dis": dis,
            "div": div,
            "attention_div": attention_div,
        }
        for name, weight in self.weights.items():
            require(weight >= 0, "CALLoss", f"`{name}` must not be negative", weight)
        require(margin >= 0, "CALLoss", "`margin` must not be negative", margin)
        require(0 <= label_smoothing < 1, "CALLoss", "`label_smoothing` must be in [0, 1)", label_smoothing)
        self.margin, self.normalize, self.cosine = margin, normalize, cosine
        self.detach_cross, self.label_smoothing = detach_cross, label_smoothing

    def forward(self, output: CALOutput, labels: Int[Tensor, "n"], modality: Int[Tensor, "n"]) -> LossTerms:
        check_shapes("CALLoss", logits=(output.logits, "n k"), labels=(labels, "n"), modality=(modality, "n"))
        check_integral("CALLoss", labels=labels, modality=modality)
        with full_precision(output.logits):
            partner = output.partner
            distilled = match_distill(
                output.own.attention[partner],
                output.cross.attention,
                output.own_logits[partner],
                output.cross_logits,
                cosine=self.cosine,
                detach_cross=self.detach_cross,
                reduction="none",
            )
            every = (gather(x) for x in (output.own.features, output.cross.features, labels, modality))
            parts, pairs = (
                output.own_logits.shape[1],
                max(output.own_logits.shape[1] * (output.own_logits.shape[1] - 1) // 2, 1),
            )
            rows = {
                "id": self._identity(output.logits[:, None], labels),
                "part_id": (self._identity(output.own_logits, labels) + self._identity(output.cross_logits, labels))
                / 2,
                "dis": discriminative_loss(output.mined_logits, labels, reduction="none").mean(dim=1),
                "div": diversity_loss(output.mined.selection, cosine=self.cosine, reduction="none") / pairs,
                "attention_div": diversity_loss(
                    output.own.attention.transpose(1, 2), cosine=self.cosine, reduction="none"
                )
                / pairs,
                "kd1": distilled.attention_loss * output.paired / parts,
                "kd2": distilled.prediction_loss * output.paired / parts,
            }
            count = mean_count(torch.ones_like(rows["id"]).sum()).clamp_min(1)
            paired = mean_count(output.paired.to(count.dtype).sum()).clamp_min(1)
            terms = {name: row.sum() / (paired if name in ("kd1", "kd2") else count) for name, row in rows.items()}
            terms["pcl"] = part_center_loss(*every, margin=self.margin, normalize=self.normalize)
            total = torch.stack([self.weights[name] * term for name, term in terms.items()]).sum()
        return LossTerms(total=total, matching=distilled.matching, **terms)

    def _identity(self, logits: Float[Tensor, "n p k"], labels: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Each row's cross-entropy, averaged over its parts."""
        targets = labels.long()[:, None].expand(logits.shape[:2])
        terms = F.cross_entropy(
            upcast(logits).flatten(0, 1), targets.flatten(), label_smoothing=self.label_smoothing, reduction="none"
        )
        return terms.view(targets.shape).mean(dim=1)

    def extra_repr(self) -> str:
        weights = ", ".join(f"{name}={weight}" for name, weight in self.weights.items() if name != "id")
        return (
            f"{weights}, margin={self.margin}, normalize={self.normalize}, cosine={self.cosine}, "
            f"detach_cross={self.detach_cross}, label_smoothing={self.label_smoothing}"
        )
