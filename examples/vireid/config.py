"""All settings of a training run, with types; the command line is generated from these classes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from vireid.checks import check, check_counts, check_numbers

MOST = 1 << 20
"""Upper bound for each size in a model's settings: a larger number comes from a damaged file."""

Method = Literal["cal", "global"]
RecipeName = Literal["default", "paper"]
Draw = Literal["official", "seeded"]
Reading = Literal["paper", "swapped", "camera-strict"]
Split = Literal["test", "validation"]


@dataclass(frozen=True)
class AugmentSettings:
    pad: int = 10
    """Black border in pixels, added before a random crop back to the image's size; 0: images stay in place."""
    flip: float = 0.5
    """Probability of a horizontal flip, 0 to 1."""
    exchange: float = 0.5
    """Probability that a visible image loses its colours: its red, green, blue or grey channel, each equally likely, is
    copied to all three channels. Infrared images stay as they are."""
    erase: float = 0.5
    """Probability that a random rectangle is filled with the mean colour (random erasing), 0 to 1."""
    erase_area: tuple[float, float] = (0.02, 0.4)
    """Smallest and largest area of the erased rectangle, as shares of the image."""
    erase_ratio: tuple[float, float] = (0.3, 1 / 0.3)
    """Smallest and largest height / width of the erased rectangle, sampled log-uniformly and cut to the image."""

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
    height: int = 192
    """Height of the model's input, in pixels. Image files are resized to it once, and cached."""
    width: int = 96
    """Width of the model's input, in pixels."""
    identities: int = 4
    """P: identities in a batch, over all processes. A batch has 2 · P · K images: lower P if memory runs out."""
    images: int = 4
    """K: images of each identity and modality in a batch."""
    views: float = 0.25
    """CAL: share of a batch's images that are seen a second time, through random crops, for `loss.equivariance`."""
    cache: Path | None = None
    """Directory for decoded images; by default `.cache` in the data directory."""
    augment: AugmentSettings = field(default_factory=lambda: AugmentSettings(pad=12, exchange=0.8, erase=0.3))

    def __post_init__(self) -> None:
        check_counts(self, "height", "width", "identities", "images")
        check(self, "views", 0 <= self.views <= 1, "be a share, 0 .. 1")
        if self.augment.pad >= min(self.height, self.width):  # a crop could contain nothing of the image
            rule = f"be below the sides of the image, {self.height} × {self.width}"
            check(self.augment, "pad", False, rule)


@dataclass(frozen=True)
class ModelSettings:
    backbone: str = "tf_efficientnet_lite0"
    """Name of a timm model that returns a spatial feature map: a ResNet, ConvNeXt, vision transformer, Swin, …"""
    pretrained: bool = True
    """Start from ImageNet weights: of an installed package for tf_efficientnet_lite0, otherwise timm downloads them."""
    weights: Path | None = None
    """Start from a safetensors file: weights of the plain timm model, or a trained model, whose backbone is used."""
    specific_stems: bool = True
    """ResNets only: a separate first stage (stem) for each modality; the later stages are shared."""
    stage: int | None = None
    """End the backbone after this stage, from 1, and normalise its output; by default all stages are used. A stage
    is a row of timm's `feature_info`: see `create_backbone`."""
    stride: Literal[8, 16, 32] | None = None
    """Pixels to a side of a token, by dilation, for models of timm that can; by default the model's own."""
    frozen: int = 0
    """Number of first stages that are not trained, and the stem with them; 0: all is trained."""
    parts: int = 4
    """p: number of parts that are mined in each image."""
    alpha: float = 1.0
    """α: share of the tokens that all parts together select, above 0; smaller values make smaller parts."""
    dim: int | None = None
    """d: width of the attention; by default the number of channels of the backbone, at most 256."""
    queries: Literal["mined", "learnable", "stripes"] = "mined"
    """Source of the part queries: mined from each image (the DRM), learned and the same for all images, or horizontal
    stripes. Learned queries are not on the tokens' scale: use them with `norm_source` "parts"."""
    shared_miner: bool = False
    """Use one DRM (part miner) for both modalities, not one for each."""
    equal_scorers: bool = True
    """Start the DRMs of both modalities from the same weights."""
    attention: Literal["tsaa", "dot-product"] = "tsaa"
    """Attention of the part queries over the tokens: the paper's TSAA, or dot products without parameters."""
    channel_gate: bool = True
    """Use the channel attention of TSAA; switch it off to measure its effect."""
    instance_norm: bool = True
    """Use the instance normalisation of TSAA; switch it off to measure its effect."""
    norm_source: Literal["tokens", "parts"] = "tokens"
    """Statistics that normalise the parts in TSAA: of the image's tokens (our addition), or its parts (the paper)."""
    gate: bool = True
    """Learn which tokens matter, for the global feature and for where parts look: our addition."""
    protect_attention: bool = True
    """Stop the gradient of the identity loss at the attention maps: our addition. With triplet losses, accuracy is the
    same and the maps are sharper: see docs/evidence.md."""

    def __post_init__(self) -> None:
        check(self, "parts", 1 <= self.parts <= MOST, f"be 1 … {MOST}")
        check(self, "alpha", 0 < self.alpha < math.inf, "be a number above 0")
        check(self, "stage", self.stage is None or self.stage >= 1, "be at least 1")
        check(self, "frozen", self.frozen >= 0, "not be negative")
        check(self, "dim", self.dim is None or 1 <= self.dim <= MOST, f"be 1 … {MOST}")


@dataclass(frozen=True)
class ModelConfig:
    """A model to build: the settings that its weights depend on."""

    model: ModelSettings
    height: int
    width: int
    """Size of the input, in pixels."""
    num_classes: int
    """k: number of training identities."""
    method: Method = "cal"

    def __post_init__(self) -> None:
        for name, most in (("height", 1 << 14), ("width", 1 << 14), ("num_classes", MOST)):
            check(self, name, 1 <= getattr(self, name) <= most, f"be 1 … {most}")


@dataclass(frozen=True)
class LossSettings:
    triplet: float = 1.0
    """Weight of the weighted-regularised triplet loss of the global feature: our addition."""
    part_triplet: float = 4.0
    """CAL: weight of the same loss of the own-refined parts, concatenated: our addition."""
    label_smoothing: float = 0.1
    """Label smoothing of the identity losses, from 0 to below 1: our addition."""
    part_id: float = 1.0
    """CAL: weight of the identity loss of the refined parts."""
    metric: Literal["pcl", "direct", "triplet", "center", "hetero-center"] = "pcl"
    """CAL: L_pcl, or a loss that replaces it, with the weight `pcl`: see vireid/models/metric_losses.py."""
    pcl: float = 1.0
    """CAL: weight of L_pcl, the part-aligned center loss, or of the loss that replaces it."""
    margin: float = 0.7
    """σ: L_pcl pushes the centers of different identities at least this far apart."""
    l2_normalize: bool = True
    """Divide features by their norm in L_pcl: our addition. Off: as in the paper's equation."""
    cosine: bool = True
    """Compare maps in L_div and L_kd1 by cosines: our addition. Off: by inner products, as in the paper."""
    reduction: Literal["mean", "sum"] = "mean"
    """Mean over images, parts and pairs, or sum, as in the paper's equations; a sum grows with the batch."""
    kd1: float = 0.2
    """λ1: weight of L_kd1, which makes the attention of matched own and cross parts alike."""
    kd2: float = 0.1
    """λ2: weight of L_kd2, which makes the identity logits of matched own and cross parts alike."""
    dis: float = 0.1
    """λ3: weight of L_dis, by which each mined part must tell identities apart."""
    div: float = 0.5
    """λ4: weight of L_div, which keeps parts from selecting the same tokens."""
    attention_div: float = 1.5
    """Weight of the diversity of attention maps: our addition. Raise it if all parts look everywhere."""
    equivariance: float = 6.0
    """CAL: weight of the equivariance of attention maps, by which parts follow the content: our addition."""
    coverage: float = 3.0
    """CAL: weight of the coverage, by which the parts together lie where the gate is open: our addition."""
    contrast: float = 0.0
    """CAL: weight of the target-aware contrastive loss of the two modalities, beside the loss of `metric`: our
    addition."""

    def __post_init__(self) -> None:
        check_numbers(self, "triplet", "part_triplet", "part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div")
        check_numbers(self, "equivariance", "coverage", "contrast")
        check(self, "label_smoothing", 0 <= self.label_smoothing < 1, "be in [0, 1)")
        check(self, "margin", 0 < self.margin < math.inf, "be a number above 0")


@dataclass(frozen=True)
class OptimSettings:
    steps: int = 300
    """Number of optimiser steps; each uses `accumulate` batches."""
    accumulate: int = 1
    """Batches per step, to save memory: losses are averaged, but batch norms and pairs stay within each batch."""
    lr: float = 3e-3
    """Highest learning rate of AdamW: it rises linearly to this value, then falls to 0 along a cosine."""
    backbone_lr: float = 1.0
    """Factor of `lr` for the backbone: with 0.1, the backbone learns ten times more slowly than the other layers."""
    weight_decay: float = 0.02
    """Weight decay of AdamW; biases and normalisation layers have none."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises, 0 to 1."""
    clip: float = 10.0
    """Largest norm of the gradient; a larger gradient is scaled down to it."""
    ema: float = 0.0
    """Decay of a moving average of the weights at each step, such as 0.999; 0: no average. The average is evaluated and
    saved, with the latest statistics of the batch norms."""

    def __post_init__(self) -> None:
        check_counts(self, "accumulate")
        check_numbers(self, "steps", "lr", "backbone_lr", "weight_decay")
        check(self, "clip", self.clip > 0, "be above 0")
        check(self, "warmup", 0 <= self.warmup <= 1, "be in [0, 1]")
        check(self, "ema", 0 <= self.ema < 1, "be in [0, 1)")


@dataclass(frozen=True)
class RetrievalSettings:
    flip: bool = False
    """Average the embedding of each image with that of its mirror image; takes twice the time."""
    rerank: bool = False
    """Re-rank the gallery by k-reciprocal neighbours (k1 = 20, k2 = 6, λ = 0.3)."""


@dataclass(frozen=True)
class Source:
    """The data set; each subclass has the variants of its data set's protocol."""

    root: Path | None = None
    """Directory of the data set. SYSU-MM01 only: without it, the rendered data set is used."""


@dataclass(frozen=True)
class SysuSource(Source):
    gallery: Draw = "official"
    """Samples gallery images by the data set's rand_perm_cam.mat ("official"), or by Python's `random` with a seed."""
    scored: Split = "test"
    """Identities that are scored. Use "validation" to choose settings: its identities are then not trained on."""


@dataclass(frozen=True)
class RegdbSource(Source):
    trial: int | Literal["all"] = 1
    """Train/test split, 1 to 10. "all": ten models, one for each split, in `out`/trial-01 to trial-10."""


@dataclass(frozen=True)
class LlcmSource(Source):
    reading: Reading = "paper"
    """Variant of the protocol: the paper's; query and gallery swapped for visible to near-infrared, as in the authors'
    code; or no gallery images of the query's camera."""


@dataclass(frozen=True)
class FolderSource(Source):
    modalities: tuple[str, str] | None = None
    """Names of two directories in train and in test; the first is augmented as the visible images of other data sets,
    so name the one with colours first. By default there are exactly two, in the order of their names."""


@dataclass(frozen=True)
class Settings(Source):
    """A training run on any data set."""

    out: Path = Path("runs/demo")
    """Directory for all files of the run."""
    method: Method = "cal"
    """CAL, or the baseline: one global feature, trained by identity and triplet losses."""
    recipe: RecipeName = "default"
    """Values of model and loss settings: "default" has our additions, "paper" is the paper's equations as printed.
    Other flags change single settings of either."""
    from_: Annotated[Path | None, arg(name="from")] = None
    """Repeat a run from its record, run.json: with its settings, except for the flags given here, and only on the same
    data."""
    resume: bool = False
    """Continue from the last checkpoint in `out`, with the same settings; without a checkpoint, from the start."""
    overwrite: bool = False
    """Delete the files of an earlier run in `out`; other files stay."""
    fast_dev_run: bool = False
    """Before a long run, find its errors: all stages in three steps, with few identities, in `out`-fast-dev-run."""
    save_every: int = 200
    """Steps between checkpoints; an interrupted run loses at most this many."""
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision (bf16, fp16) saves memory and time; "auto": bf16 on a GPU that supports it, otherwise none."""
    compile: Literal["auto", "none", "default", "graph"] = "auto"
    """"graph": on a GPU, capture the complete step, from the forward pass to the optimiser, and replay it; elsewhere,
    or where that fails, steps run one by one. "default": compile the model and the losses (needs a C++ compiler).
    "auto": "graph" on a GPU, with one process and without accumulation; otherwise "none"."""
    seed: int = 0
    """Seed of the initial weights, the batches and the augmentation."""
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    test: RetrievalSettings = field(default_factory=RetrievalSettings)
    """If any of these is on, results are given without them and with them."""

    def __post_init__(self) -> None:
        check_counts(self, "save_every")
        check(self, "seed", 0 <= self.seed < 1 << 32, "be in [0, 2³²)")

    def model_config(self, num_classes: int) -> ModelConfig:
        """The model for a number of training identities."""
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


@dataclass(frozen=True)
class FolderSettings(FolderSource, Settings):
    pass
