"""The baseline for CAL: one global feature, trained by identity and triplet losses."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import normalize

from concordant import ModalitySplit


class GlobalOutput(NamedTuple):
    features: Tensor
    """[n c]: the mean of the tokens."""
    logits: Tensor
    """[n k]: identity logits of the global feature."""


class GlobalBaseline(nn.Module):
    """The global branch of `CAL`: backbone → mean of the tokens → batch norm → identity classifier.

    forward(images, labels, modality) -> GlobalOutput; embed(images, modality) -> embeddings [n c] of norm 1.
    """

    def __init__(
        self, backbone: nn.Module, channels: int, num_classes: int, *, backbone_takes_modality: bool = False
    ) -> None:
        super().__init__()
        self.backbone, self.backbone_takes_modality = backbone, backbone_takes_modality
        self.norm = nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, num_classes, bias=False)

    def forward(self, images: Tensor, labels: Tensor, modality: Tensor | ModalitySplit, **_: object) -> GlobalOutput:
        features = self._features(images, modality)
        return GlobalOutput(features, self.classifier(self.norm(features)))

    def embed(self, images: Tensor, modality: int | Tensor) -> Tensor:
        return normalize(self.norm(self._features(images, modality)).float(), dim=1)

    def _features(self, images: Tensor, modality: int | Tensor | ModalitySplit) -> Tensor:
        feature_map: Tensor
        feature_map = self.backbone(images, modality) if self.backbone_takes_modality else self.backbone(images)
        return feature_map.flatten(2).mean(dim=2)
