"""Building a model from settings; no other module builds models."""

from __future__ import annotations

from torch import Tensor, nn

from concordant import (
    CAL,
    TSAA,
    CALOutput,
    DotProductAttention,
    HorizontalParts,
    LearnableParts,
    PartMiner,
    attention_statistics,
)
from concordant.layers.attention import PartAttention
from vireid.config import LossSettings, ModelConfig, ModelSettings
from vireid.models.backbones import StemmedBackbone, create_backbone
from vireid.models.baseline import GlobalBaseline, GlobalOutput
from vireid.models.objective import BaselineObjective, BaselineTerms, CALObjective, ContrastObjective

Miner = PartMiner | LearnableParts | HorizontalParts


class BuiltCAL(CAL):
    """CAL built from its settings, which it keeps as `config`; on the CPU."""

    def __init__(self, config: ModelConfig) -> None:
        if config.method != "cal":
            raise ValueError(f"BuiltCAL: `method` must be 'cal'; got {config.method!r}")
        settings, (backbone, channels) = config.model, _backbone(config)
        super().__init__(
            backbone,
            channels,
            settings.parts,
            config.num_classes,
            miner=_miner(settings, channels),
            attention=_attention(settings, channels),
            shared_miner=settings.shared_miner,
            norm_source=settings.norm_source,
            protect_attention=settings.protect_attention,
            gate=settings.gate,
            backbone_takes_modality=isinstance(backbone, StemmedBackbone),
        )
        if not settings.equal_scorers:
            for miner in self.miners[1:]:
                assert isinstance(miner, Miner)
                miner.reset_parameters()
        self.config = config

    def objective(self, settings: LossSettings) -> CALObjective | ContrastObjective:
        """The loss that it is trained by."""
        return ContrastObjective(settings) if settings.contrast else CALObjective(settings)

    def statistics(self, output: CALOutput) -> dict[str, Tensor]:
        """Entropy and overlap of the attention in a step."""
        return attention_statistics(output.own.attention)._asdict()


class BuiltBaseline(GlobalBaseline):
    """The baseline built from its settings, which it keeps as `config`; on the CPU. It has no parts."""

    def __init__(self, config: ModelConfig) -> None:
        backbone, channels = _backbone(config)
        takes_modality = isinstance(backbone, StemmedBackbone)
        super().__init__(backbone, channels, config.num_classes, backbone_takes_modality=takes_modality)
        self.config = config

    def objective(self, settings: LossSettings) -> BaselineObjective:
        """The loss that it is trained by."""
        return BaselineObjective(settings)

    def observe(self, output: GlobalOutput, terms: BaselineTerms, modality: Tensor) -> None:
        """No parts, no matchings to count."""

    def statistics(self, output: GlobalOutput) -> dict[str, Tensor]:
        """No parts, no attention."""
        return {}


Built = BuiltCAL | BuiltBaseline


def build_model(config: ModelConfig) -> Built:
    """The model of the settings. No other function depends on the method."""
    return BuiltCAL(config) if config.method == "cal" else BuiltBaseline(config)


def _backbone(config: ModelConfig) -> tuple[nn.Module, int]:
    settings = config.model
    return create_backbone(
        settings.backbone,
        image_size=(config.height, config.width),
        pretrained=settings.pretrained,
        weights=settings.weights,
        specific_stems=settings.specific_stems,
        stage=settings.stage,
        stride=settings.stride,
        frozen=settings.frozen,
    )


def _miner(settings: ModelSettings, channels: int) -> Miner:
    if settings.queries == "mined":
        return PartMiner(channels, settings.parts, alpha=settings.alpha)
    if settings.queries == "learnable":
        return LearnableParts(channels, settings.parts)
    return HorizontalParts(settings.parts)


def _attention(settings: ModelSettings, channels: int) -> PartAttention:
    if settings.attention == "dot-product":
        return DotProductAttention()
    return TSAA(channels, settings.dim, channel_gate=settings.channel_gate, instance_norm=settings.instance_norm)
