"""What every configuration is trained and scored on: one rendered data set, one budget. Fixed before any comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from vireid.config import RecipeName, SysuSettings
from vireid.people.config import RenderConfig
from vireid.recipes import DEMO, with_recipe

ROOT = Path("data/benchmark")

PEOPLE = RenderConfig(train_identities=150, val_identities=51, test_identities=99, seed=1)
"""Other people than the demo's, on whose test images its settings were chosen. Nuisances are the renderer's own."""

BASE = replace(
    DEMO,
    root=ROOT,
    gallery="seeded",  # the official lists end at identity 333, before the last of validation
    save_every=100,
    precision="no",  # the same arithmetic on a CPU and on a GPU
)
"""The default recipe, at the demo's size."""


def settings_of(changes: dict[str, object], *, base: SysuSettings = BASE) -> SysuSettings:
    """The settings with some changed, by names such as `loss.pcl`; `recipe` changes all that a recipe decides.

    Raises:
        ValueError: there is no such setting.
    """
    for name, value in changes.items():
        if name == "recipe":
            base = with_recipe(base, cast(RecipeName, value))
            continue
        group, _, field = name.rpartition(".")
        part: Any = getattr(base, group, None) if group else base
        if part is None or not hasattr(part, field):
            raise ValueError(f"settings_of: {name} is no setting of a run")
        part = replace(part, **{field: value})
        base = replace(base, **{group: part}) if group else part
    return base
