"""Pictures of a study's runs: what each of them learned to look at, and what a loss does where it has no weight."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vireid.config import SysuSettings
from vireid.datasets.cache import Images
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.inference import attend
from vireid.evaluation.semantics import pair_people
from vireid.figures import draw_composites, draw_contrasts
from vireid.models.build import BuiltCAL
from vireid.models.weights import WEIGHTS, load_model
from vireid.run import decode, read
from vireid.runs import read_log
from vireid.study.configurations import FULL, Configuration
from vireid.study.study import Job

PEOPLE = 3
HEALTH = ("no attention diversity", "unprotected")
"""Beside full CAL, what shows whether attention maps stay apart."""


def picture_terms(jobs: Sequence[Job], path: Path) -> Path | None:
    """Each loss term with its weight and without it, and the attention; None where there is nothing to compare."""
    some = {job.configuration.name: job.configuration for job in jobs}
    pairs: dict[str, tuple[str, ...]]
    pairs = {term: (FULL.name, name) for name, one in some.items() if (term := _dropped(one))}
    if set(HEALTH) <= some.keys():
        pairs |= dict.fromkeys(("entropy", "overlap"), (FULL.name, *HEALTH))
    if FULL.name not in some or not pairs:
        return None
    logs: dict[str, list[list[dict[str, float]]]] = {}
    for job in jobs:
        logs.setdefault(job.configuration.name, []).append(read_log(job.settings.out))
    panels = {term: {name: logs[name] for name in names} for term, names in pairs.items()}
    return draw_contrasts(panels, path, title="Terms of the loss, before their weights, with and without; every seed")


def picture_parts(jobs: Sequence[Job], path: Path) -> Path | None:
    """Where the parts of every configuration's first model look, on the same people; None where none has parts."""
    first = [job for job in jobs if job.settings.seed == 0 and job.settings.method == "cal"]
    if not first:
        return None
    data = read(first[0].settings)
    pairs = pair_people(data.test)
    some = np.linspace(0, len(pairs.visible) - 1, PEOPLE).astype(int)

    def taken(settings: SysuSettings) -> list[Images]:  # of the size that a model was trained on
        images = decode(settings.data, data, data.test, settings.scored)
        return [images[rows[some]] for rows in pairs]

    shown, maps = taken(first[0].settings), {}
    for job in first:
        model = load_model(job.settings.out / WEIGHTS, BuiltCAL)
        seen = zip((VISIBLE, INFRARED), taken(job.settings), strict=True)
        own = [attend(model, images, modality, device=torch.device("cpu")) for modality, images in seen]
        own[INFRARED] = own[INFRARED][:, model.correspondence.permutation()]
        maps[job.configuration.name] = [x for pair in zip(*own, strict=True) for x in pair]
    title = "All parts of each model of seed 0; matched parts in one colour"
    return draw_composites([x for pair in zip(*shown, strict=True) for x in pair], maps, path, title=title)


def _dropped(one: Configuration) -> str | None:
    """The loss whose weight is the only thing that a configuration changes, to 0."""
    if len(one.changes) != 1:
        return None
    ((name, value),) = one.changes.items()
    group, _, term = name.rpartition(".")
    return term if group == "loss" and value == 0 else None
