"""What is measured of the attention of models that are known to follow a bright spot, and of stencils."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from concordant import CAL
from vireid.datasets.items import Item, Items
from vireid.datasets.regdb import RegDB
from vireid.evaluation.attention import sentences, warnings, watch
from vireid.evaluation.inference import attend

CPU = torch.device("cpu")
ORDER = [1, 2, 0]


class Known(nn.Module):
    """Attends, in infrared in the order of `ORDER`, to what is bright, to a corner, and to the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = SimpleNamespace(attend=lambda maps, *_: SimpleNamespace(attention=maps))
        self.correspondence = SimpleNamespace(permutation=lambda: torch.tensor(ORDER), stability=lambda: 1.0)

    def feature_map(self, images: Tensor, modality: int) -> Tensor:
        return nn.functional.avg_pool2d(images, 2)

    def encode(self, images: Tensor, modality: int) -> SimpleNamespace:
        bright = self.feature_map(images, modality).mean(dim=1)
        corner, middle = torch.full_like(bright, -9.0), torch.full_like(bright, -9.0)
        corner[:, 0, 0] = middle[:, 5, 3] = 9.0
        maps = torch.stack([20 * bright, corner, middle], dim=1).flatten(2).softmax(dim=2)
        own = maps[:, torch.tensor(ORDER).argsort()] if modality else maps
        return SimpleNamespace(tokens=own, keys=own, part_queries=(own, own))


def case() -> tuple[RegDB, NDArray[np.uint8]]:
    """Two pictures of each of four people a modality, each with a bright spot somewhere near the middle."""
    rng = np.random.default_rng(0)
    images = np.full((16, 24, 16, 3), 90, dtype=np.uint8)
    for image, y, x in zip(images, rng.integers(8, 14, 16), rng.integers(5, 9, 16), strict=True):
        image[y : y + 3, x : x + 3] = 250
    test = Items(Item(Path(f"{i}.bmp"), i % 4, i // 8 + 1, i // 8) for i in range(16))
    return RegDB(Path("nowhere"), Items([]), test, (), (0, 1, 2, 3)), images


def test_a_bright_spot_is_followed_and_a_stencil_is_told() -> None:
    model: Any = Known()
    figures = watch(model, *case(), CPU).figures
    found = figures["attention"]
    assert found.keys() == {"entropy", "overlap", "border", "follows"}  # these pictures have no labels
    assert found["border"]["uniform"] == pytest.approx(1 - 10 * 6 / (12 * 8), abs=1e-4)
    assert found["border"]["parts"] == pytest.approx([0, 1, 0], abs=0.1)
    assert found["follows"]["parts"] == pytest.approx([1, 0, 0], abs=0.15)
    assert figures["correspondence"]["permutation"] == ORDER
    assert warnings(found) == [
        "part 2 of attention.png is on the border: more than 53 % of the attention is on the outermost tokens",
        "parts 2 and 3 of attention.png are not following the content: in crops, maps move less than 0.5 times as far",
    ]
    assert len(sentences(figures)) == 3
    again = watch(model, *case(), CPU).figures
    assert again == figures  # the crops are drawn from a fixed seed


def test_sound_attention_is_not_warned_of() -> None:
    sound: dict[str, Any] = {"border": {"parts": [0.4, 0.1], "uniform": 0.4}, "follows": {"parts": [0.9, 0.5]}}
    assert warnings(sound) == []
    sound["border"]["parts"] = [0.54, 0.56]  # a quarter of the way from 0.4 to 1 is 0.55
    assert [line.split(":")[0] for line in warnings(sound)] == ["part 2 of attention.png is on the border"]
    sound["border"]["parts"], sound["person"] = [0.4, 0.1], {"parts": [0.3, 0.29], "uniform": 0.3}
    assert warnings(sound) == [
        "part 2 of attention.png is beside the person: less than 30 % of the attention is on it, the share of uniform "
        "attention"
    ]


def test_every_figure_of_people_is_said() -> None:
    share = {"parts": [0.25, 0.5], "uniform": 0.125}
    found = dict.fromkeys(("border", "follows", "purity"), share) | {"entropy": 0.5, "overlap": 0.25}
    found["person"] = share | {"exact": {"head": 0.7, "upper": 0.86}}
    found |= {"agreement": 0.75, "agreement_without": 0.5, "agreement_chance": 0.375}
    lines = sentences({"attention": found, "correspondence": {"permutation": [1, 0], "share": 0.875}})
    assert lines == [
        "attention on test images: entropy 0.50 (1: uniform), overlap of parts 0.25 (1: equal maps); "
        "M̂ = [1, 0], 88 % of the recent matchings",
        "on the border, the outermost tokens, are 25, 50 % of each part's attention (uniform attention: 12 %)",
        "in crops of the images the maps move 0.25, 0.50 times as far as what they look at "
        "(1: they follow it, 0: they stay)",
        "on the person are 25, 50 % (uniform attention: 12 %; maps on this grid that cover exactly one class of the "
        "body: head 70, upper 86 %); of these, 25, 50 % are on one class of the body (12 %)",
        "matched parts are mainly on the same class of the body in 75 % of the pairs of a person's images "
        "(without M̂ 50 %, any two parts 38 %)",
    ]


@pytest.mark.parametrize("modality", [0, 1])
def test_maps_on_crops_are_those_of_the_pictures_that_they_show(modality: int) -> None:
    model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_classes=2, num_parts=3)
    pictures = np.random.default_rng(0).integers(0, 255, (3, 24, 8, 3), dtype=np.uint8)
    plain = attend(model, pictures, modality, device=CPU)
    whole = torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]).expand(3, 2, 2)
    torch.testing.assert_close(attend(model, pictures, modality, device=CPU, crops=whole), plain)
    mirrored = attend(model, pictures, modality, device=CPU, crops=torch.stack([whole[:, 0], whole[:, 1].flip(1)], 1))
    torch.testing.assert_close(mirrored, attend(model, pictures[:, :, ::-1], modality, device=CPU))
    assert not torch.allclose(mirrored, plain)
