"""The picture of the idea counts a part as on the head only where its best token has pixels of the head."""

from __future__ import annotations

import torch

from idea import height_of_heads, on_head
from vireid.people.labels import Part


def test_the_best_token_decides() -> None:
    labels = torch.zeros(1, 32, 16, dtype=torch.uint8)
    labels[0, 4:8, 3:9] = Part.HAIR
    labels[0, 20:30] = Part.OCCLUDER  # another person's head is no head
    maps = torch.zeros(1, 3, 4, 2)
    maps[0, 0, 0, 1] = maps[0, 1, 3, 0] = maps[0, 2, 2, 1] = 1.0
    maps[0, 1, 0, 0] = 0.9
    assert on_head(maps, labels).tolist() == [[True, False, False]]
    assert height_of_heads(labels).tolist() == [6 / 32]
