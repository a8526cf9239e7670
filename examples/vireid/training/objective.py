"""What training minimises: the loss of either method, with every term by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from concordant import CALLoss
from concordant.distributed import gather
from vireid.config import Settings
from vireid.training.metric_losses import metric_loss
from vireid.training.triplet import weighted_triplet_loss


class Objective(nn.Module):
    """The loss of either method: every term by name, the total among them, and CAL's matching.

    Under several processes the mean over processes of each term, and of its gradients, is that of one process on the
    whole batch.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = loss = settings.loss
        names = ("part_id", "kd1", "kd2", "dis", "div", "attention_div")
        names += ("margin", "normalize", "cosine", "label_smoothing")
        weights = {name: getattr(loss, name) for name in names} | {"pcl": loss.pcl if loss.metric == "pcl" else 0.0}
        if loss.metric == "direct":  # attention maps of two images are nothing to be made alike
            weights |= {"kd1": 0.0, "kd2": 0.0}
        self.cal = CALLoss(**weights)

    def forward(self, output: Any, labels: Tensor, modality: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        settings, matching = self.settings, None
        if hasattr(output, "mined"):
            if settings.metric == "direct":  # nothing is read through another image's parts
                output = output._replace(cross=output.own, cross_logits=output.own_logits)
            found = self.cal(output, labels, modality)
            terms, matching = found.named(), found.matching
            if settings.metric == "direct":  # parts of one index are one part: there is nothing else to go by
                matching = torch.arange(matching.shape[1], device=matching.device).expand_as(matching)
            if settings.metric != "pcl":
                terms["metric"] = metric_loss(settings.metric, output, labels, modality, margin=settings.margin)
                terms["total"] = terms["total"] + settings.pcl * terms["metric"]
        else:
            loss = cross_entropy(output.logits.float(), labels, label_smoothing=settings.label_smoothing)
            terms = {"total": loss, "id": loss}
        if settings.triplet:
            terms["triplet"] = weighted_triplet_loss(gather(output.features), gather(labels))
            terms["total"] = terms["total"] + settings.triplet * terms["triplet"]
        if settings.part_triplet and matching is not None:
            terms["part_triplet"] = weighted_triplet_loss(gather(output.own.features.flatten(1)), gather(labels))
            terms["total"] = terms["total"] + settings.part_triplet * terms["part_triplet"]
        return terms, matching
