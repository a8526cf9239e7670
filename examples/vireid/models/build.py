"""From settings to a model: the only place that makes one."""

from __future__ import annotations

from torch import Tensor, nn

from concordant import CAL, TSAA, CALOutput, DotProductAttention, HorizontalParts, LearnableParts, PartMiner
from concordant.distributed import gather
from vireid.config import LossSettings, ModelConfig, ModelSettings
from vireid.diagnostics import attention_health
from vireid.models.backbones import create_backbone
from vireid.models.baseline import GlobalBaseline, GlobalOutput
from vireid.models.objective import BaselineObjective, CALObjective, Terms


class BuiltCAL(CAL):
    """CAL as its settings describe it, which it remembers as `config`; on the CPU."""

    def __init__(self, config: ModelConfig) -> None:
        if config.method != "cal":
            raise ValueError(f"BuiltCAL: `method` must be 'cal'; got {config.method!r}")
        settings, (backbone, channels) = config.model, _backbone(config)
        super().__init__(
            backbone,
            channels,
            config.num_classes,
            settings.parts,
            miner=_miner(settings, channels),
            attention=_attention(settings, channels),
            shared_miner=settings.shared_miner,
            statistics=settings.statistics,
            protect_attention=settings.protect_attention,
        )
        if not settings.equal_scorers:
            for miner in self.miners[1:]:
                miner.reset_parameters()
        self.config = config

    def objective(self, settings: LossSettings) -> CALObjective:
        """What it is trained by."""
        return CALObjective(settings)

    def after_step(self, output: CALOutput, terms: Terms, modality: Tensor, order: Tensor) -> dict[str, float]:
        """Count a step's matchings, of all processes' rows in one order, and say how its attention is."""
        self.observe(*(gather(x)[order] for x in (terms.matching, modality, output.paired)))
        return attention_health(output.own.attention)


class BuiltBaseline(GlobalBaseline):
    """The baseline as its settings describe it, which it remembers as `config`; on the CPU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(*_backbone(config), config.num_classes)
        self.config = config

    def objective(self, settings: LossSettings) -> BaselineObjective:
        """What it is trained by."""
        return BaselineObjective(settings)

    def after_step(self, output: GlobalOutput, terms: Terms, modality: Tensor, order: Tensor) -> dict[str, float]:
        """Nothing: it has no parts."""
        return {}


Built = BuiltCAL | BuiltBaseline


def build_model(config: ModelConfig) -> Built:
    """The model that the settings describe. Here alone it is asked which method that is."""
    return BuiltCAL(config) if config.method == "cal" else BuiltBaseline(config)


def _backbone(config: ModelConfig) -> tuple[nn.Module, int]:
    settings = config.model
    return create_backbone(
        settings.backbone,
        image_size=(config.height, config.width),
        pretrained=settings.pretrained,
        weights=settings.weights,
        specific_stems=settings.specific_stems,
    )


def _miner(settings: ModelSettings, channels: int) -> nn.Module:
    if settings.queries == "mined":
        return PartMiner(channels, settings.parts, alpha=settings.alpha)
    if settings.queries == "learnable":
        return LearnableParts(channels, settings.parts)
    return HorizontalParts(settings.parts)


def _attention(settings: ModelSettings, channels: int) -> nn.Module:
    if settings.attention == "dot-product":
        return DotProductAttention()
    return TSAA(channels, settings.dim, channel_gate=settings.channel_gate, normalize=settings.instance_norm)
