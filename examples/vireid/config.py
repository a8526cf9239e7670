"""Every setting of a training run, typed; the command line is made of these classes."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import CascadeSubcommandArgs, OmitArgPrefixes, OmitSubcommandPrefixes, arg, configure, subcommand

from vireid.checks import check, check_counts, check_numbers

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "concordant_small.safetensors"


MOST = 1 << 20
"""Of anything that a model has a size of: what is above comes from a damaged file."""

Method = Literal["cal", "global"]
RecipeName = Literal["default", "paper"]
Draw = Literal["official", "seeded"]
Reading = Literal["paper", "swapped", "camera-strict"]
Split = Literal["test", "validation"]


@dataclass(frozen=True)
class AugmentSettings:
    pad: int = 10
    """Pixels of black around the image before a crop of its own size is taken anywhere; 0 keeps it in place."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    exchange: float = 0.5
    """Probability that a *visible* image loses its colours: red, green, blue or the grey of the three, each as likely,
    stands in all three channels. Infrared images have no colours to lose."""
    erase: float = 0.5
    """Probability that a rectangle is replaced by the mean colour."""
    erase_area: tuple[float, float] = (0.02, 0.4)
    """Least and greatest share of the image that a rectangle takes."""
    erase_ratio: tuple[float, float] = (0.3, 1 / 0.3)
    """Least and greatest height / width of it, log-uniform; sides are cut to those of the image."""

    def __post_init__(self) -> None:
        check(self, "pad", self.pad >= 0, "not be negative")
        for name in ("flip", "exchange", "erase"):
            check(self, name, 0 <= getattr(self, name) <= 1, "be a probability, 0 .. 1")
        least, greatest = self.erase_area
        check(self, "erase_area", 0 < least <= greatest <= 1, "be (least, greatest) in 0 .. 1")
        least, greatest = self.erase_ratio
        check(self, "erase_ratio", 0 < least <= greatest < math.inf, "be (least, greatest), above 0")


@dataclass(frozen=True)
class DataSettings:
    height: int = 96
    """Height of the input, in pixels; files are resized to it once."""
    width: int = 48
    """Width of the input, in pixels."""
    identities: int = 8
    """P: identities in a batch, over all processes."""
    images: int = 4
    """K: images of each identity and modality in a batch."""
    cache: Path | None = None
    """Where decoded images are kept; by default `.cache` in the data directory."""
    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(pad=6, exchange=0.8, erase=0.3))

    def __post_init__(self) -> None:
        check_counts(self, "height", "width", "identities", "images")
        if self.augment.pad >= min(self.height, self.width):  # a crop might have nothing of the image
            rule = f"be below the sides of the image, {self.height} × {self.width}"
            check(self.augment, "pad", False, rule)


@dataclass(frozen=True)
class ModelSettings:
    backbone: str = "concordant_small"
    """Any timm model that keeps a grid of features: a ResNet, a ConvNeXt, a vision transformer, a Swin, …"""
    pretrained: bool = False
    """Start from timm's pretrained weights (fetched by timm)."""
    weights: Path | None = WEIGHTS
    """Start from these weights of the plain timm model (a safetensors file), or from a trained model's backbone."""
    specific_stems: bool = True
    """Residual networks: a first stage for each modality."""
    parts: int = 4
    """p: parts mined in each image."""
    alpha: float = 1.0
    """α: the share of all tokens that the parts select together."""
    dim: int | None = None
    """d: attention width; by default the channels, at most 256."""
    queries: Literal["mined", "learnable", "stripes"] = "mined"
    """Where part queries come from: the DRM, parameters that are the same for every image, or horizontal stripes.
    Parameters have not the scale of tokens: give them `norm_source` "parts"."""
    shared_miner: bool = False
    """One DRM for both modalities."""
    equal_scorers: bool = True
    """The DRMs of both modalities start with the same weights."""
    attention: Literal["tsaa", "dot-product"] = "tsaa"
    """How part queries attend."""
    channel_gate: bool = True
    """TSAA's channel attention."""
    instance_norm: bool = True
    """TSAA's instance normalisation."""
    norm_source: Literal["tokens", "parts"] = "tokens"
    """Whose statistics normalise the parts in TSAA."""
    protect_attention: bool = True
    """Keep the identity loss's gradient from the attention maps. Beside triplet losses it is as good, and the maps are
    sharper: see docs/evidence.md."""

    def __post_init__(self) -> None:
        check(self, "parts", 1 <= self.parts <= MOST, f"be 1 … {MOST}")
        check(self, "alpha", 0 < self.alpha < math.inf, "be a number above 0")
        check(self, "dim", self.dim is None or 1 <= self.dim <= MOST, f"be 1 … {MOST}")


@dataclass(frozen=True)
class ModelConfig:
    """A model to build: everything that its weights must fit."""

    model: ModelSettings
    height: int
    width: int
    """Of the input, in pixels."""
    num_classes: int
    """k: the identities of training."""
    method: Method = "cal"

    def __post_init__(self) -> None:
        for name, most in (("height", 1 << 14), ("width", 1 << 14), ("num_classes", MOST)):
            check(self, name, 1 <= getattr(self, name) <= most, f"be 1 … {most}")


@dataclass(frozen=True)
class LossSettings:
    triplet: float = 1.0
    """Weight of the weighted-regularised triplet loss on the global feature."""
    part_triplet: float = 4.0
    """CAL: weight of the same loss on the own-refined parts side by side."""
    label_smoothing: float = 0.1
    """Of the identity losses."""
    part_id: float = 1.0
    """Identity loss on refined parts."""
    metric: Literal["pcl", "direct", "triplet", "center", "hetero-center"] = "pcl"
    """L_pcl, or what stands in its place with its weight: see vireid/models/metric_losses.py."""
    pcl: float = 1.0
    """L_pcl."""
    margin: float = 0.7
    """σ of L_pcl."""
    l2_normalize: bool = True
    """L_pcl on features of norm 1; without, as in the paper's equation."""
    cosine: bool = True
    """L_div and L_kd1 by cosines of maps; without, by inner products as in the paper's equations."""
    reduction: Literal["mean", "sum"] = "mean"
    """Means over images, parts and pairs, or sums as in the paper's equations."""
    kd1: float = 0.2
    """λ1."""
    kd2: float = 0.1
    """λ2."""
    dis: float = 0.1
    """λ3."""
    div: float = 0.5
    """λ4."""
    attention_div: float = 0.5
    """Diversity of the attention maps: our addition."""

    def __post_init__(self) -> None:
        check_numbers(self, "triplet", "part_triplet", "part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div")
        check(self, "label_smoothing", 0 <= self.label_smoothing < 1, "be in [0, 1)")
        check(self, "margin", 0 < self.margin < math.inf, "be a number above 0")


@dataclass(frozen=True)
class OptimSettings:
    steps: int = 600
    """Steps of the optimiser."""
    accumulate: int = 1
    """Batches a step, whose losses are averaged. Each stands alone in its batch norms and its pairs of images."""
    lr: float = 3e-3
    """Highest learning rate of AdamW: a linear warm-up leads to it, a cosine away from it."""
    backbone_lr: float = 1.0
    """The backbone's learning rate, as a share of `lr`."""
    weight_decay: float = 0.02
    warmup: float = 0.1
    """Share of the steps that warm up."""
    clip: float = 10.0
    """Largest norm of the gradient."""
    ema: float = 0.0
    """Share that an average of the weights keeps of itself at each step (0.999, say). The average is what is evaluated
    and saved, with the latest statistics of the batch norms. 0: the weights themselves."""

    def __post_init__(self) -> None:
        check_counts(self, "accumulate")
        check_numbers(self, "steps", "lr", "backbone_lr", "weight_decay")
        check(self, "clip", self.clip > 0, "be above 0")
        check(self, "warmup", 0 <= self.warmup <= 1, "be in [0, 1]")
        check(self, "ema", 0 <= self.ema < 1, "be in [0, 1)")


@dataclass(frozen=True)
class RetrievalSettings:
    flip: bool = False
    """Average each embedding with that of the mirrored image."""
    rerank: bool = False
    """Re-rank by k-reciprocal neighbours (k1 = 20, k2 = 6, λ = 0.3)."""


@dataclass(frozen=True)
class Source:
    """The data, and how they are read; the subclasses have what each data set's protocol leaves open."""

    root: Path | None = None
    """The data directory."""


@dataclass(frozen=True)
class SysuSource(Source):
    gallery: Draw = "official"
    """The gallery draw: rand_perm_cam.mat, or Python's seeded random."""
    scored: Split = "test"
    """Whom the results are of. "validation" holds the validation identities out of training: to choose settings by."""


@dataclass(frozen=True)
class RegdbSource(Source):
    trial: int | Literal["all"] = 1
    """Which of the ten splits to train and test on; "all" is ten models, in `out`/trial-01 to trial-10."""


@dataclass(frozen=True)
class LlcmSource(Source):
    reading: Reading = "paper"
    """Of the protocol: the paper's; query and gallery swapped for visible to near-infrared, as the authors' code has
    it; or no gallery image of the query's camera at all."""


@dataclass(frozen=True)
class Settings(Source):
    """A training run, whatever the data set."""

    out: Path = Path("runs/demo")
    """Directory of everything that the run leaves behind."""
    method: Method = "cal"
    """CAL, or the baseline: a global feature with identity and triplet losses."""
    recipe: RecipeName = "default"
    """Of settings of the model and the loss: "default" has our additions, "paper" the paper's equations as printed.
    Other flags change single settings of either."""
    from_: Annotated[Path | None, arg(name="from")] = None
    """Start again from the record of a run, its run.json: with its settings, except for those given here, and only on
    the data that it was trained on."""
    resume: bool = False
    """Go on from the last checkpoint in `out`, or from the start if the run was ended before its first."""
    overwrite: bool = False
    """Delete what a former run left in `out`."""
    fast_dev_run: bool = False
    """Before a long run: go through all of it in a few steps, with a few people, in `out`-fast-dev-run."""
    save_every: int = 200
    """Steps between checkpoints."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision; "auto" is bf16 on a GPU that has it, and none on a CPU."""
    compile: bool = False
    """Compile the backbone's shared stages (needs a C++ compiler). On two cores of a CPU it gained nothing."""
    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    test: RetrievalSettings = field(default_factory=RetrievalSettings)
    """With any of these, results are given without them and with them."""

    def __post_init__(self) -> None:
        check_counts(self, "save_every")
        check(self, "seed", 0 <= self.seed < 1 << 32, "be in [0, 2³²)")

    def model_config(self, num_classes: int) -> ModelConfig:
        """The model that is trained on so many identities."""
        return ModelConfig(self.model, self.data.height, self.data.width, num_classes, self.method)


@dataclass(frozen=True)
class SysuSettings(SysuSource, Settings):
    pass


@dataclass(frozen=True)
class RegdbSettings(RegdbSource, Settings):
    pass


@dataclass(frozen=True)
class LlcmSettings(LlcmSource, Settings):
    pass


@configure(CascadeSubcommandArgs, OmitArgPrefixes, OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Evaluation:
    """A trained model on a data set."""

    data: (
        Annotated[SysuSource, subcommand("sysu")]
        | Annotated[RegdbSource, subcommand("regdb")]
        | Annotated[LlcmSource, subcommand("llcm")]
    )
    weights: Path | None = None
    """The model: model.safetensors of a run or of a saved model, with its run.json or config.json beside it. Of
    `--trial all`, the directory of such a run."""
    out: Path = Path("runs/evaluation")
    """Directory of the results."""
    verify: bool = False
    """Compare the data set with its published counts, and do nothing else."""
    overwrite: bool = False
    """Replace results that are in `out`."""
    cache: Path | None = None
    """Where decoded images are kept; by default `.cache` in the data directory."""
    test: RetrievalSettings = field(default_factory=RetrievalSettings)
    """With any of these, results are given without them and with them."""


@dataclass(frozen=True)
class PretrainSettings:
    """How the demo's backbone is pretrained on rendered attributes."""

    output: Path = Path("examples/weights/concordant_small.safetensors")
    """Where the weights go; a model card README.md is written beside them."""
    cache: Path = Path("data/pretraining")
    """Where the rendered people are kept between runs."""
    people: int = 8_000
    """People to learn from, in two visible and two infrared pictures each."""
    held_out: int = 1_000
    """Other people, on whom the accuracies are measured."""
    epochs: int = 5
    """Passes over the pictures."""
    batch_size: int = 96
    """Pictures a step, of both modalities mixed."""
    lr: float = 4e-3
    """The highest learning rate of the one-cycle schedule."""
    weight_decay: float = 0.02
    """AdamW's weight decay."""
    compile: bool = True
    """Compile the network with torch.compile (needs a C++ compiler): 1.7 times the speed."""
    threads: int = os.cpu_count() or 1
    """Threads of the network, and processes that render."""
    seed: int = 0
    """Of the people, the network's initialisation, the order and the augmentation."""

    def __post_init__(self) -> None:
        check_counts(self, "people", "held_out", "epochs", "batch_size", "threads")
        check_numbers(self, "weight_decay", "seed")
        check(self, "lr", 0 < self.lr < math.inf, "be a number above 0")
        check(self, "batch_size", self.batch_size <= 4 * self.people, "be at most 4 · `people`, as many as pictures")
