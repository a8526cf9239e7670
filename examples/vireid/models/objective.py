"""The loss of either method from its settings, with every term by name.

Under several processes the mean over processes of each term, and of its gradients, is that of one process on the whole
batch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from concordant import CALLoss, CALOutput
from concordant.distributed import gather
from vireid.config import LossSettings
from vireid.models.baseline import GlobalOutput
from vireid.models.metric_losses import metric_loss
from vireid.models.triplet import weighted_triplet_loss


class Terms(NamedTuple):
    """What an objective gives: the total, and its terms before their weights."""

    total: Tensor
    terms: dict[str, Tensor]
    matching: Tensor | None = None
    """CAL: row i's part u matched part `matching[i, u]` of its partner."""

    def named(self) -> dict[str, Tensor]:
        return {"total": self.total, **self.terms}


class BaselineObjective(nn.Module):
    """Identity and triplet losses on the global feature."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, output: GlobalOutput, labels: Tensor, modality: Tensor) -> Terms:
        settings = self.settings
        loss = cross_entropy(output.logits.float(), labels, label_smoothing=settings.label_smoothing)
        terms, total = {"id": loss}, loss
        if settings.triplet:
            terms["triplet"] = weighted_triplet_loss(gather(output.features), gather(labels))
            total = total + settings.triplet * terms["triplet"]
        return Terms(total, terms)


class CALObjective(nn.Module):
    """CAL's objective with triplet losses beside it, and with what the study puts in the place of L_pcl."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings
        names = ("part_id", "kd1", "kd2", "dis", "div", "attention_div")
        names += ("margin", "normalize", "cosine", "label_smoothing")
        weights = {name: getattr(settings, name) for name in names}
        weights["pcl"] = settings.pcl if settings.metric == "pcl" else 0.0
        if settings.metric == "direct":  # attention maps of two images are nothing to be made alike
            weights |= {"kd1": 0.0, "kd2": 0.0}
        self.cal = CALLoss(**weights)

    def forward(self, output: CALOutput, labels: Tensor, modality: Tensor) -> Terms:
        settings = self.settings
        # What is not finite ends the step, by the names of its files; the matching would end it before, without them.
        own, cross = (x._replace(attention=x.attention.nan_to_num()) for x in (output.own, output.cross))
        output = output._replace(own=own, cross=cross)
        if settings.metric == "direct":  # nothing is read through another image's parts
            output = output._replace(cross=output.own, cross_logits=output.own_logits)
        found = self.cal(output, labels, modality)
        terms, matching = found.named(), found.matching
        total = terms.pop("total")
        if settings.metric == "direct":  # parts of one index are one part: there is nothing else to go by
            matching = torch.arange(matching.shape[1], device=matching.device).expand_as(matching)
        if settings.metric != "pcl":
            terms["metric"] = metric_loss(settings.metric, output, labels, modality, margin=settings.margin)
            total = total + settings.pcl * terms["metric"]
        if settings.triplet:
            terms["triplet"] = weighted_triplet_loss(gather(output.features), gather(labels))
            total = total + settings.triplet * terms["triplet"]
        if settings.part_triplet:
            terms["part_triplet"] = weighted_triplet_loss(gather(output.own.features.flatten(1)), gather(labels))
            total = total + settings.part_triplet * terms["part_triplet"]
        return Terms(total, terms, matching)
