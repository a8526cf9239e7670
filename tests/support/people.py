"""A small rendered data set, which all tests of a session share."""

from __future__ import annotations

from pathlib import Path

import pytest

from vireid.people.config import RenderConfig
from vireid.people.dataset import render_dataset

SMALL = RenderConfig(
    train_identities=9,
    val_identities=3,
    test_identities=6,
    train_visible=2,
    train_infrared=2,
    test_visible=2,
    test_infrared=2,
    height=96,
    width=48,
)


def small_set(factory: pytest.TempPathFactory) -> Path:
    """The data set of SMALL. Rendered once, by the first process of the session that asks for it."""
    shared = factory.getbasetemp()
    if shared.name.startswith("popen-"):  # of one of several processes
        shared = shared.parent
    return render_dataset(shared / "people-small", SMALL, workers=1, progress=False)
