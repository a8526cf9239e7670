"""The clothes: how each garment is cut, how loosely it sits, and what it is made with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vireid.people.drape import Drape
from vireid.people.shell import Fit, Inside, Legs, top_cut


@dataclass(frozen=True)
class Top:
    """A garment of the upper body."""

    fabric: str
    """The kind of its fabric: see `draw_fabric`."""
    hem: float
    """Height of the hem on the template; where cloth hangs free below, that of the waist."""
    sleeve: float | None
    """Length of the sleeves in metres; None for none."""
    fit: Fit
    neck: float = 1.385
    """Height of the front of the neckline."""
    width: float = 0.07
    """Half the width of the neckline."""
    vee: float = 0.8
    """How steeply it rises."""
    collar: str | None = None
    """Kind of its collar: see `COLLARS`."""
    opening: float = -1.0
    """Half the width of the opening at the front; below 0: closed. Something is worn under an open garment."""
    skirt: Drape | None = None
    """What hangs below the waist."""
    over: bool = False
    """It is worn over another garment of the upper body."""

    @property
    def cut(self) -> Inside:
        return top_cut(self.hem, self.sleeve, self.neck, self.width, self.opening, self.vee)


@dataclass(frozen=True)
class Bottom:
    """A garment of the lower body: legs or a skirt."""

    fabric: str
    fit: Fit | None = None
    cuff: float = 0.0
    """Height of the cuffs on the template."""
    skirt: Drape | None = None

    def cut(self, top: float) -> Inside:
        """The cut below a height, above which other clothes hide it."""
        return Legs(self.cuff, min(1.03, top))


TOPS: dict[str, Top] = {
    "T-shirt": Top("t-shirt", 0.89, 0.20, Fit(0.016, 0.6, 0.5)),
    "loose T-shirt": Top("t-shirt", 0.84, 0.25, Fit(0.022, 0.9, 0.9, 0.06)),
    "long-sleeved T-shirt": Top("t-shirt", 0.89, 0.50, Fit(0.015, 0.4, 0.3)),
    "polo shirt": Top("polo", 0.89, 0.20, Fit(0.016, 0.6, 0.5), 1.34, 0.06, 2.0, collar="polo"),
    "shirt": Top("shirt", 0.86, 0.51, Fit(0.018, 0.75, 0.7), 1.37, 0.065, 2.0, collar="shirt"),
    "blouse": Top("blouse", 0.90, 0.42, Fit(0.016, 0.7, 0.9, 0.04), 1.34, 0.08, 1.6),
    "tank top": Top("tank", 0.91, None, Fit(0.012, 0.4, 0.0), 1.33, 0.10, 0.5),
    "sweater": Top("sweater", 0.90, 0.51, Fit(0.024, 0.6, 0.6, smoothing=12), 1.395, 0.068),
    "turtleneck": Top("sweater", 0.90, 0.51, Fit(0.018, 0.4, 0.4, smoothing=10), 1.41, 0.062, collar="turtleneck"),
    "hoodie": Top("hoodie", 0.87, 0.52, Fit(0.030, 0.75, 0.8, smoothing=14), 1.385, 0.068, collar="hood down"),
}
"""What is worn on the skin."""

OVERS: dict[str, Top] = {
    "jacket": Top("jacket", 0.87, 0.53, Fit(0.036, 0.7, 0.7, smoothing=10), 1.40, 0.066, collar="stand", over=True),
    "open jacket": Top(
        "jacket", 0.87, 0.53, Fit(0.036, 0.8, 0.7, smoothing=10), 1.40, 0.066, collar="stand", opening=0.02, over=True
    ),
    "blazer": Top(
        "blazer", 0.82, 0.52, Fit(0.032, 0.6, 0.6, smoothing=10), 1.25, 0.066, 3.0, collar="lapels", opening=0.008,
        over=True,
    ),
    "down jacket": Top("down", 0.84, 0.53, Fit(0.055, 0.7, 0.8, smoothing=16), 1.41, 0.066, collar="stand", over=True),
    "vest": Top("vest", 0.87, None, Fit(0.036, 0.6, 0.0, smoothing=10), 1.40, 0.068, collar="stand", over=True),
    "coat": Top(
        "coat", 0.98, 0.53, Fit(0.040, 0.7, 0.7, smoothing=12), 1.38, 0.066, 2.0, collar="lapels", over=True,
        skirt=Drape(0.48, 1.0, 0.03, 0.06, 0.02, 5),
    ),
    "open coat": Top(
        "coat", 0.98, 0.53, Fit(0.040, 0.8, 0.7, smoothing=12), 1.36, 0.066, 2.0, collar="lapels", opening=0.03,
        over=True, skirt=Drape(0.52, 1.0, 0.03, 0.08, 0.03, 5, opening=0.06),
    ),
    "parka": Top(
        "coat", 0.98, 0.53, Fit(0.048, 0.85, 0.8, smoothing=14), 1.40, 0.066, collar="hood down", over=True,
        skirt=Drape(0.68, 1.0, 0.035, 0.02, 0.02, 6),
    ),
}  # fmt: skip
"""What is worn over a top."""

DRESSES: dict[str, Top] = {
    "dress": Top(
        "dress", 1.00, 0.16, Fit(0.010, 0.2, 0.5), 1.35, 0.09, skirt=Drape(0.52, 1.04, 0.012, 0.22, 0.05, 7)
    ),
    "short dress": Top(
        "dress", 1.00, None, Fit(0.009, 0.2, 0.0), 1.34, 0.10, 0.5, skirt=Drape(0.64, 1.04, 0.012, 0.32, 0.06, 8)
    ),
    "long dress": Top(
        "dress", 1.00, 0.45, Fit(0.010, 0.3, 0.6), 1.37, 0.08, skirt=Drape(0.14, 1.04, 0.012, 0.14, 0.06, 9)
    ),
    "pencil dress": Top(
        "dress", 1.00, 0.10, Fit(0.008, 0.1, 0.2), 1.36, 0.08, skirt=Drape(0.52, 1.04, 0.010, -0.25, 0.0, 5)
    ),
}  # fmt: skip
"""Tops that are skirts, too."""

BOTTOMS: dict[str, Bottom] = {
    "jeans": Bottom("jeans", Fit(0.008, 0.2, 0.45), 0.05),
    "slim jeans": Bottom("jeans", Fit(0.006, 0.15, 0.0, smoothing=4), 0.08),
    "trousers": Bottom("trousers", Fit(0.010, 0.25, 0.75), 0.04),
    "wide trousers": Bottom("trousers", Fit(0.012, 0.3, 1.0, 0.05), 0.03),
    "suit trousers": Bottom("suit-trousers", Fit(0.010, 0.25, 0.7), 0.04),
    "joggers": Bottom("trousers", Fit(0.014, 0.3, 0.6, -0.02), 0.09),
    "leggings": Bottom("leggings", Fit(0.003, 0.0, 0.0, smoothing=3), 0.11),
    "shorts": Bottom("shorts", Fit(0.012, 0.3, 1.0, 0.08), 0.58),
    "knee-length shorts": Bottom("shorts", Fit(0.013, 0.3, 1.0, 0.04), 0.45),
    "short skirt": Bottom("skirt", skirt=Drape(0.70, 1.02, 0.010, 0.25, 0.05, 8)),
    "pleated skirt": Bottom("skirt", skirt=Drape(0.56, 1.02, 0.010, 0.30, 0.07, 14)),
    "pencil skirt": Bottom("skirt", skirt=Drape(0.50, 1.02, 0.008, -0.30, 0.0, 5)),
    "knee-length skirt": Bottom("skirt", skirt=Drape(0.48, 1.02, 0.010, 0.16, 0.04, 7)),
    "long skirt": Bottom("skirt", skirt=Drape(0.16, 1.02, 0.010, 0.12, 0.05, 9)),
}


def under(skirt: Drape, top: float) -> Drape:
    """A skirt of which a garment that reaches down to the height `top` hides the upper end."""
    return replace(skirt, waist=min(skirt.waist, top))
