"""The page about other frameworks: all of its training loops train."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
SETUP = "What all three train"


def sections() -> dict[str, str]:
    """The Python of each section, by its heading."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    blocks = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return {title: "\n".join(blocks.findall(body)) for title, body in zip(parts[::2], parts[1::2], strict=True)}


def run(title: str) -> dict[str, Any]:
    """The variables after a section, which runs after the setup section."""
    names: dict[str, Any] = {}
    for code in (sections()[SETUP], sections()[title]):
        exec(compile(code, f"{PAGE.name}: {title}", "exec"), names)
    return names


def falls(losses: list[float]) -> bool:
    """By a third at least, from the mean of the first steps to that of the last."""
    assert len(losses) == 24
    return sum(losses[-4:]) < 2 / 3 * sum(losses[:4])


def test_plain_torch() -> None:
    names = run("Plain torch")
    assert falls(names["plain"])
    assert int(names["model"].correspondence.seen) == 24 * 32


def test_pytorch_metric_learning() -> None:
    pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is not installed")
    names = run("pytorch-metric-learning")
    assert falls(names["metric"])
    # Each of its parts takes part: the mined triplets, and a gradient of our loss in their clothes.
    anchors, positives, negatives = names["hard"]
    y = names["y"]
    assert bool((y[anchors] == y[positives]).all())
    assert bool((y[anchors] != y[negatives]).all())
    embeddings = torch.randn(6, 12, requires_grad=True)
    names["centers"](embeddings, torch.tensor([0, 0, 1, 1, 2, 2])).backward()
    assert embeddings.grad is not None
    assert bool((embeddings.grad != 0).any(dim=1).all())
    both = names["losses"].MultipleLosses([names["triplet"], names["centers"]])
    assert both(embeddings, torch.tensor([0, 0, 1, 1, 2, 2])).isfinite()


def test_lightning() -> None:
    pytest.importorskip("lightning", reason="lightning is not installed")
    names = run("Lightning")
    assert falls(names["lit"])
    assert names["trainer"].logged_metrics.keys() == names["module"].criterion.weights.keys() | {"total"}
    assert "model.correspondence.history" in names["module"].state_dict()
