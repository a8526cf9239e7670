"""The tokens that parts select, by the kind of part queries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from concordant import CAL, HorizontalParts, LearnableParts
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.inference import select


def masks(miner: torch.nn.Module | None, modality: int) -> Tensor:
    """Of three pictures on a grid of 6 × 2, four parts."""
    model = CAL(torch.nn.Conv2d(3, 8, 4, stride=4), channels=8, num_classes=2, num_parts=4, miner=miner)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 24, 8, 3), dtype=np.uint8)
    return select(model, pictures, modality, device=torch.device("cpu"))


@pytest.mark.parametrize("modality", [VISIBLE, INFRARED])
def test_parts_are_made_of_the_tokens_that_were_chosen(modality: int) -> None:
    mined = masks(None, modality)
    assert mined.shape == (3, 4, 6, 2)
    assert mined.sum(dim=(2, 3)).unique().tolist() == [3]  # α t / p
    stripes = masks(HorizontalParts(4), modality)
    assert torch.equal(stripes, stripes[..., :1].expand(stripes.shape))
    assert stripes[:, 0, 0].all()
    assert stripes[:, 3, 5].all()
    assert not stripes[:, 0, 3:].any()
    assert masks(LearnableParts(8, 4), modality).all()
