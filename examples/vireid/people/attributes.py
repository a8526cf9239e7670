"""A person's attributes as class indices, for pretraining a backbone without identities."""

from __future__ import annotations

from vireid.people.person import (
    BAGS,
    HAIRS,
    LOWER_PATTERNS,
    LOWERS,
    SHOES,
    UPPER_PATTERNS,
    UPPERS,
    Garment,
    Person,
)

NOT_APPLICABLE = -1

# Patterns that have a period, a share of the print, a place: of the others these attributes do not exist.
PERIODIC = {"rings", "stripes", "check", "dots", "diagonals"}
STRIPED = {"rings", "stripes", "diagonals"}
PLACED = {"two blocks", "band"}

# Edges between the classes of a quantity: three edges make four classes.
PERIOD_EDGES = (0.060, 0.075, 0.090)
DUTY_EDGES = (0.43, 0.52)
OFFSET_EDGES = (0.38, 0.48, 0.59)
SIZE_EDGES = (0.93, 1.17)
WIDTH_EDGES = (0.97, 1.10)
LEG_EDGES = (0.477, 0.503)

ATTRIBUTES: dict[str, int] = {
    "hair": len(HAIRS),
    "upper": len(UPPERS),
    "upper_pattern": len(UPPER_PATTERNS),
    "upper_period": len(PERIOD_EDGES) + 1,
    "upper_duty": len(DUTY_EDGES) + 1,
    "upper_offset": len(OFFSET_EDGES) + 1,
    "lower": len(LOWERS),
    "lower_pattern": len(LOWER_PATTERNS),
    "lower_period": len(PERIOD_EDGES) + 1,
    "lower_duty": len(DUTY_EDGES) + 1,
    "lower_offset": len(OFFSET_EDGES) + 1,
    "shoes": len(SHOES),
    "bag": len(BAGS),
    "bag_size": len(SIZE_EDGES) + 1,
    "width": len(WIDTH_EDGES) + 1,
    "leg": len(LEG_EDGES) + 1,
}
"""Each attribute and its number of classes."""


def quantise(value: float, edges: tuple[float, ...]) -> int:
    """The class of a quantity: the number of edges at or below it."""
    return sum(value >= edge for edge in edges)


def pattern_targets(prefix: str, garment: Garment) -> dict[str, int]:
    quantities = {
        "period": (PERIODIC, garment.period, PERIOD_EDGES),
        "duty": (STRIPED, garment.duty, DUTY_EDGES),
        "offset": (PLACED, garment.offset, OFFSET_EDGES),
    }
    return {
        f"{prefix}_{name}": quantise(value, edges) if garment.pattern in patterns else NOT_APPLICABLE
        for name, (patterns, value, edges) in quantities.items()
    }


def attribute_targets(person: Person) -> dict[str, int]:
    """The class of each attribute, in the order of ATTRIBUTES; NOT_APPLICABLE (-1) if a person does not have it.

    None concerns colour or reflectance, and none tells left from right: all can be told in both modalities, and hold
    in a mirrored picture.
    """
    bag_size = quantise(person.bag.size, SIZE_EDGES) if person.bag.kind != "none" else NOT_APPLICABLE
    targets = {
        "hair": HAIRS.index(person.hair),
        "upper": UPPERS.index(person.upper.kind),
        "upper_pattern": list(UPPER_PATTERNS).index(person.upper.pattern),
        **pattern_targets("upper", person.upper),
        "lower": LOWERS.index(person.lower.kind),
        "lower_pattern": list(LOWER_PATTERNS).index(person.lower.pattern),
        **pattern_targets("lower", person.lower),
        "shoes": SHOES.index(person.shoes),
        "bag": BAGS.index(person.bag.kind),
        "bag_size": bag_size,
        "width": quantise(person.build.width, WIDTH_EDGES),
        "leg": quantise(person.build.leg, LEG_EDGES),
    }
    return {name: targets[name] for name in ATTRIBUTES}
