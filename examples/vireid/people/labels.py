"""The semantic parts of a picture: the values of its label map."""

from __future__ import annotations

from enum import IntEnum


class Part(IntEnum):
    BACKGROUND = 0
    HAIR = 1
    FACE = 2
    SKIN = 3
    """Of neck, arms, hands and legs."""
    UPPER = 4
    LOWER = 5
    SHOES = 6
    BAG = 7
    HAT = 8
    OCCLUDER = 9
    """What stands before the person, other people included."""


PARTS = tuple(part.name.lower() for part in Part)

PERSON = tuple(part for part in Part if part not in (Part.BACKGROUND, Part.OCCLUDER))
"""The parts of a person and of what it carries."""
