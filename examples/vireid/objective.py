"""What training minimises: the loss of either method, with every term by name."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from concordant import CALLoss
from concordant.distributed import gather
from vireid.config import Settings
from vireid.triplet import weighted_triplet_loss


class Objective(nn.Module):
    """The loss of either method: every term by name, the total among them, and CAL's matching.

    Under several processes the mean over processes of each term, and of its gradients, is that of one process on the
    whole batch.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings.loss
        names = ("part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div", "margin", "label_smoothing")
        self.cal = CALLoss(**{name: getattr(settings.loss, name) for name in names})

    def forward(self, output: Any, labels: Tensor, modality: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        matching = None
        if hasattr(output, "mined"):
            found = self.cal(output, labels, modality)
            terms, matching = found.named(), found.matching
        else:
            loss = cross_entropy(output.logits.float(), labels, label_smoothing=self.settings.label_smoothing)
            terms = {"total": loss, "id": loss}
        if self.settings.triplet:
            terms["triplet"] = weighted_triplet_loss(gather(output.features), gather(labels))
            terms["total"] = terms["total"] + self.settings.triplet * terms["triplet"]
        if self.settings.part_triplet and matching is not None:
            terms["part_triplet"] = weighted_triplet_loss(gather(output.own.features.flatten(1)), gather(labels))
            terms["total"] = terms["total"] + self.settings.part_triplet * terms["part_triplet"]
        return terms, matching
