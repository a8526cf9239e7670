"""Named settings: the default recipe, the paper's recipe, and the settings of each data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vireid.config import (
    AugmentSettings,
    DataSettings,
    FolderSettings,
    LlcmSettings,
    LossSettings,
    ModelSettings,
    OptimSettings,
    RecipeName,
    RegdbSettings,
    Settings,
    SysuSettings,
)

AnySettings = TypeVar("AnySettings", bound=Settings)


@dataclass(frozen=True)
class Recipe:
    """Settings of the model and the loss that do not depend on the backbone or the data."""

    model: dict[str, Any]
    """Settings of the model that belong to the recipe."""
    loss: LossSettings


RECIPES: dict[RecipeName, Recipe] = {
    "default": Recipe({"norm_source": "tokens", "protect_attention": True, "gate": True}, LossSettings()),
    "paper": Recipe(
        {"norm_source": "parts", "protect_attention": False, "gate": False},
        LossSettings(
            triplet=0.0,
            part_triplet=0.0,
            label_smoothing=0.0,
            attention_div=0.0,
            equivariance=0.0,
            coverage=0.0,
            l2_normalize=False,
            cosine=False,
            reduction="sum",
        ),
    ),
}
"""`default` are the defaults of `CAL` and `CALLoss`; `paper` are the settings of `CAL.paper` and `CALLoss.paper`."""


def with_recipe(settings: AnySettings, name: RecipeName) -> AnySettings:
    """The settings with the values of a recipe."""
    recipe = RECIPES[name]
    return replace(settings, recipe=name, model=replace(settings.model, **recipe.model), loss=recipe.loss)


DEMO = SysuSettings(
    data=DataSettings(identities=8, images=2),
    model=ModelSettings(stage=4, frozen=3),
    optim=OptimSettings(steps=450, lr=6e-3),
)
"""For the rendered data set: takes a few minutes on two cores. The backbone ends at a stride of 16, with 112 channels;
only the last of its stages is trained."""

LARGE_DEMO = replace(
    DEMO,
    data=DataSettings(288, 144, identities=8, augment=replace(DEMO.data.augment, pad=18)),
    model=replace(DEMO.model, frozen=0),
    optim=OptimSettings(steps=1100, lr=1e-3),
)
"""For the larger rendered data set, on a GPU."""

SYSU = SysuSettings(
    out=Path("runs/sysu"),
    save_every=1000,
    data=DataSettings(288, 144, identities=8, augment=AugmentSettings(pad=10, exchange=0.5, erase=0.5)),
    model=ModelSettings(backbone="resnet50", parts=6),
    optim=OptimSettings(steps=53_000, lr=3.5e-4),
)
"""For the real data set: 100 epochs of 34,167 images in batches of 64."""

REGDB = RegdbSettings(
    out=Path("runs/regdb"),
    save_every=1000,
    data=SYSU.data,
    model=SYSU.model,
    optim=replace(SYSU.optim, steps=6_400),
)
"""100 epochs of 4,120 images in batches of 64, for each trial."""

LLCM = LlcmSettings(
    out=Path("runs/llcm"),
    save_every=1000,
    data=SYSU.data,
    model=SYSU.model,
    optim=replace(SYSU.optim, steps=48_000),
)
"""100 epochs of 30,921 images in batches of 64."""

FOLDER = FolderSettings(
    out=Path("runs/folder"),
    save_every=1000,
    data=SYSU.data,
    model=SYSU.model,
    optim=replace(SYSU.optim, steps=6_400),
)
"""For a directory of any size: 100 epochs of 4,096 images in batches of 64."""
