"""`--fast-dev-run`: all stages of a long run in a few steps, to find its errors before it starts."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from vireid.config import Settings
from vireid.datasets.dataset import DataSet
from vireid.datasets.items import Items

AnySettings = TypeVar("AnySettings", bound=Settings)
AnyData = TypeVar("AnyData", bound=DataSet)

STEPS = 3
TEST_PEOPLE = 4


def rehearsal(settings: AnySettings) -> AnySettings:
    """The settings with a few steps, a checkpoint after each, and another directory beside `out`.

    Batches keep their size, so that a lack of memory shows.
    """
    out = settings.out.with_name(f"{settings.out.name}-fast-dev-run")
    optim = replace(settings.optim, steps=STEPS)
    return replace(settings, out=out, overwrite=True, resume=False, save_every=1, optim=optim)


def few(data: AnyData, people: int) -> AnyData:
    """A data set with few identities and all of their images: `people` for training, and four for the test."""
    return replace(data, train=some_people(data.train, people), test=some_people(data.test, TEST_PEOPLE))


def some_people(items: Items, number: int) -> Items:
    """The items of the identities with the most cameras, so that each protocol has images to compare."""
    cameras = [len(np.unique(items.camera[items.identity == identity])) for identity in items.identities]
    chosen = items.identities[np.argsort(-np.array(cameras), kind="stable")[:number]]
    return items.select(np.isin(items.identity, chosen))
