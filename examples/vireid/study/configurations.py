"""The configurations: what each changes in full CAL, and which claim of the paper it tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from vireid.config import SysuSettings
from vireid.study.benchmark import BASE, settings_of

Study = Literal["comparison", "parts", "contrast", "sensitivity", "metrics", "budget"]


@dataclass(frozen=True)
class Configuration:
    """One way to train: the settings of full CAL with some changed."""

    name: str
    claim: str = ""
    """Of the paper, or the question that this answers."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings by their dotted names."""
    target_aware: bool = False
    """Score target-aware retrieval, too: minutes, not seconds."""

    @property
    def settings(self) -> SysuSettings:
        return settings_of(self.changes)


FULL = Configuration("CAL", "the whole: the recipe of the benchmark", target_aware=True)

GLOBAL = {"method": "global"}
BASELINE = Configuration("identity + triplet", "the field's usual baseline", GLOBAL)

SAME_SECONDS = 1.44
"""Steps of the baseline for one of CAL, at equal seconds on two CPU cores: see docs/measured.md."""
EQUAL_SECONDS = Configuration(
    "identity + triplet, equal seconds",
    "the same for as many seconds as CAL trains on a CPU",
    GLOBAL | {"optim.steps": round(SAME_SECONDS * BASE.optim.steps)},
)
UNGUIDED = {"model.gate": False, "loss.coverage": 0.0, "loss.equivariance": 0.0, "loss.attention_div": 0.5}
"""Without what makes parts lie on people and follow them: the recipe of the first edition."""

GRIDS = {f"{h} × {w}": {"data.height": h, "data.width": w} for h, w in ((128, 64), (256, 128))}
"""Sizes of images beside the base's own: with its stride, 8 × 4 and 16 × 8 tokens."""

# What stands in L_pcl's place has the weight that the study `metrics` found best for it.
COMPARISON = (
    FULL,
    Configuration("as printed", "the paper's equations without our additions: --recipe paper", {"recipe": "paper"}),
    Configuration(
        "no triplets",
        "our addition: triplet losses beside the paper's objective",
        {"loss.triplet": 0.0, "loss.part_triplet": 0.0},
    ),
    Configuration("identity", "parts beat a global feature (identity loss alone)", GLOBAL | {"loss.triplet": 0.0}),
    BASELINE,
    EQUAL_SECONDS,
    Configuration("unguided parts", "our additions: gate, coverage, equivariance", UNGUIDED),
    Configuration(
        "no gate", "our addition: the gate, and the coverage of it", {"model.gate": False, "loss.coverage": 0.0}
    ),
    Configuration("no coverage", "our addition: parts together lie where the gate is open", {"loss.coverage": 0.0}),
    Configuration("no equivariance", "our addition: parts follow the content", {"loss.equivariance": 0.0}),
    Configuration(
        "direct",
        "target awareness beats a direct cross-modal objective",
        {"loss.metric": "direct"},
        target_aware=True,
    ),
    Configuration("stripes", "mined parts beat horizontal partition", {"model.queries": "stripes"}),
    Configuration(
        "learnable",
        "mined parts beat learnable vectors (which have not the scale of tokens, hence the paper's own statistics)",
        {"model.queries": "learnable", "model.norm_source": "parts"},
    ),
    Configuration("no L_dis", "L_dis helps", {"loss.dis": 0.0}),
    Configuration("no L_div", "L_div helps", {"loss.div": 0.0}),
    Configuration("no L_dis, no L_div", "both help", {"loss.dis": 0.0, "loss.div": 0.0}),
    Configuration("no attention diversity", "our addition: diversity of attention maps", {"loss.attention_div": 0.0}),
    Configuration(
        "no diversity", "neither L_div nor that of attention maps", {"loss.div": 0.0, "loss.attention_div": 0.0}
    ),
    Configuration("shared DRM", "a DRM for each modality beats a shared one", {"model.shared_miner": True}),
    Configuration("dot product", "TSAA beats dot-product attention", {"model.attention": "dot-product"}),
    Configuration("no channel gate", "query-guided channel attention helps", {"model.channel_gate": False}),
    Configuration("no IN", "instance normalisation helps", {"model.instance_norm": False}),
    Configuration("IN over parts", "the paper's statistics T_P, not the tokens'", {"model.norm_source": "parts"}),
    Configuration(
        "unprotected", "our addition: attention maps take no identity loss", {"model.protect_attention": False}
    ),
    Configuration("no L_pcl", "L_pcl helps", {"loss.pcl": 0.0}),
    Configuration("triplet for L_pcl", "L_pcl beats the hard triplet loss", {"loss.metric": "triplet"}),
    Configuration("center for L_pcl", "L_pcl beats the center loss", {"loss.metric": "center", "loss.pcl": 0.3}),
    Configuration(
        "hetero-center for L_pcl",
        "L_pcl beats the hetero-center loss",
        {"loss.metric": "hetero-center", "loss.pcl": 0.3},
    ),
    Configuration("no MatchDistill", "MatchDistill helps", {"loss.kd1": 0.0, "loss.kd2": 0.0}, target_aware=True),
    Configuration("no L_kd1", "L_kd1 helps", {"loss.kd1": 0.0}),
    Configuration("no L_kd2", "L_kd2 helps", {"loss.kd2": 0.0}),
    Configuration("independent scorers", "M̂ orders parts that did not start alike", {"model.equal_scorers": False}),
    *(
        Configuration(f"{one.name}, {size}", "parts pay more on a finer grid", one.changes | sides)
        for size, sides in GRIDS.items()
        for one in (FULL, BASELINE)
    ),
)

PARTS = (
    FULL,
    BASELINE,
    EQUAL_SECONDS,
    *(one for one in COMPARISON if one.name in ("unguided parts", "no gate", "no coverage", "no equivariance")),
    *(one for one in COMPARISON if one.name in ("no L_dis", "no MatchDistill", "unprotected")),
    Configuration("stage 3", "an earlier stage: stride 8, 40 channels", {"model.stage": 3, "model.frozen": 2}),
    Configuration("stage 5", "the last stage but one: stride 32, 320 channels", {"model.stage": 5}),
    Configuration("stride 8", "the same stage at stride 8, by dilation", {"model.stride": 8}),
    Configuration("two stages frozen", "more of the backbone is trained", {"model.frozen": 2}),
    *(Configuration(f"{n} parts", "number of parts", {"model.parts": n}) for n in (3, 5, 6)),
    *(
        Configuration(f"{name} = {weight:g}", "its weight", {f"loss.{name}": weight})
        for name, weights in {
            "equivariance": (1.0, 3.0),
            "coverage": (0.3, 1.0, 10.0),
            "attention_div": (0.5, 3.0),
            "triplet": (3.0,),
            "part_triplet": (0.0,),
        }.items()
        for weight in weights
    ),
    Configuration("coverage = 1, equivariance = 3", "both together", {"loss.coverage": 1.0, "loss.equivariance": 3.0}),
    Configuration("all seen twice", "crops of every image", {"data.views": 1.0}),
)
"""What makes parts lie on people and follow them, one change at a time; chosen on validation identities."""

TRAINED_TARGET_AWARE = (
    FULL,
    *(
        Configuration(
            f"contrast = {weight:g}{where}",
            "target-aware retrieval pays once it is trained for",
            {"loss.contrast": weight} | changes,
            target_aware=True,
        )
        for where, changes in ((" beside L_pcl", {}), (" for L_pcl", {"loss.pcl": 0.0}))
        for weight in (0.3, 1.0, 3.0)
    ),
)
"""The contrastive loss over target-aware similarity, beside L_pcl and in its place; on validation identities."""

CONTRASTS = (
    ("no MatchDistill", "direct"),  # target awareness by itself: nothing is distilled in either
    ("learnable", "IN over parts"),  # both by the statistics of the parts
    ("dot product", "no channel gate"),  # neither has a gate
    ("no diversity", "no attention diversity"),  # L_div where nothing else keeps parts apart
    ("no triplets", "identity"),
    *((f"{FULL.name}, {size}", f"{BASELINE.name}, {size}") for size in GRIDS),
)
"""Pairs that differ in one thing, neither of which is full CAL."""

SWEEPS: dict[str, tuple[float, ...]] = {
    "model.parts": (2, 6, 8),
    "model.alpha": (0.25, 4.0),
    "loss.margin": (0.3, 1.0),
    "loss.pcl": (0.3, 3.0),
    "loss.kd1": (0.8,),
    "loss.kd2": (1.0,),
    "loss.dis": (1.0,),
    "loss.div": (1.5,),
    "loss.attention_div": (0.5, 5.0),
    "loss.triplet": (0.3, 3.0),
    "loss.part_triplet": (0.0, 1.0, 10.0),
}
"""Values beside the base's own, of one setting at a time: far ones, as near ones differ by less than seeds do. The
comparison has the other weights at 0."""

WEIGHTS = (0.3, 1.0, 3.0)
BUDGETS = (300, 600, 1200)


def configurations(study: Study) -> tuple[Configuration, ...]:
    """All of a study. The first is what the others are compared with."""
    if study == "comparison":
        return COMPARISON
    if study == "parts":
        return PARTS
    full = Configuration(FULL.name, "the base")
    if study == "contrast":
        return TRAINED_TARGET_AWARE
    if study == "sensitivity":
        swept = ((name, value) for name, values in SWEEPS.items() for value in values)
        return (full, *(Configuration(f"{name} = {value:g}", changes={name: value}) for name, value in swept))
    if study == "metrics":  # each with its weight chosen alike; the direct objective has that of L_pcl, its like
        names = ("pcl", "triplet", "center", "hetero-center")
        pairs = ((name, weight) for name in names for weight in WEIGHTS)
        return tuple(
            Configuration(f"{name} = {weight:g}", changes={"loss.metric": name, "loss.pcl": weight})
            for name, weight in pairs
        )
    return tuple(
        Configuration(f"{one.name}, {steps} steps", changes=one.changes | {"optim.steps": steps})
        for one in (BASELINE, full)
        for steps in BUDGETS
    )


def base_value(name: str) -> float:
    """What a setting is where a sweep leaves it alone."""
    group, _, field_name = name.rpartition(".")
    value: float = getattr(getattr(BASE, group), field_name)
    return value
