"""How materials reflect visible light and the near infrared of 850 nm lamps.

Reflectance follows Kubelka and Munk: K/S = (1 - R)² / 2R, and what absorbs adds up in K/S. A fabric in the near
infrared is its undyed fibre plus a small share of what its dye absorbs in visible light. That share decides what a
camera with infrared lamps sees.

Sources:

- Dyes. "The dye pigment is essentially transparent, and we see a reflection off the cotton itself" at 780-1100 nm:
  A. Richards, Alien Vision (SPIE Press, 2001), figures 1.17 and 1.19, where prints vanish and buttons stay. Many dyes
  and fabrics reflect most of the infrared, blood does not: the use of infrared photography in forensic science,
  reviewed by I. Jerković, hrcak.srce.hr/en/clanak/354349. A black felt hat as bright as its tan band:
  dwarmstr.blogspot.com/2007/04/blue-hat-day.html. Black cloths differ, some stay dark: Museum of Science, Boston,
  "Near Infrared and You". People and clothes in pairs of pictures: Mangold, Shaw and Vollmer, The physics of
  near-infrared photography, Eur. J. Phys. 34 (2013) S51.
- Carbon black. From 0.05 g in a kilogram of printing paste it lowers the near-infrared reflectance of printed cotton
  and nylon markedly: M. Khajeh Mehrizi et al., mallakpour.iut.ac.ir (carbon black nanoparticles). TiO2 raises it.
- Vat dyes. Some absorb in the near infrared, which is why camouflage is dyed with them; natural objects and cloth lie
  between 10 and 80 %: M. Khajeh Mehrizi et al., ICCC 2013.
- Skin. Measured from 250 to 2500 nm: Cooksey, Allen and Tsai, J. Res. NIST 122 (2017) 26. Differences of pigmentation
  appear below 1.2 µm and are small near it: Jacquez et al., Spectral reflectance of human skin 0.7-2.6 µ.
  Melanosomes absorb 1.70e12 · nm^-3.48 / cm: S. L. Jacques, omlc.org/spectra/melanin/mua.html.
- Hair. Melanin absorbs into the near infrared, synthetic hair dyes do not above 750 nm: J. Cosmet. Sci. 51 (2000) 184.
- Vegetation. Leaves reflect little visible light and, by scattering in their cells, about half of the near infrared
  up to 1.3 µm: E. B. Knipling, Remote Sens. Environ. 1 (1970) 155.

Assumed, as no table of numbers was found: the ranges of each fibre, of the dyes' leaks, of leather, of metal and of
indigo; the depth of melanin that light crosses; the law of hair's melanin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RED, GREEN, BLUE, INFRARED = 620.0, 545.0, 460.0, 850.0
"""Wavelengths, in nanometres, at which a channel is taken."""

METAL_INFRARED = 0.55
SURFACE = 0.03
"""What a fibre's surface reflects before the dye is reached."""
RETROREFLECTOR_INFRARED = 1.0


@dataclass(frozen=True)
class Fibre:
    """What a cloth is made of."""

    infrared: tuple[float, float]
    """The near-infrared reflectance of the undyed fibre."""
    dyes: tuple[tuple[str, float], ...]
    """The dyes that colour it, and how often."""
    black_dyes: tuple[tuple[str, float], ...]
    """The same for blacks and other very dark shades."""
    gloss: tuple[float, float]
    fuzz: float
    """How much single fibres stand out and soften what is drawn: 0 to 1."""


DYE_LEAKS: dict[str, tuple[float, float]] = {
    "transparent": (0.0003, 0.004),
    "vat": (0.006, 0.03),
    "sulphur": (0.02, 0.08),
    "indigo": (0.008, 0.03),
    "carbon": (0.08, 0.5),
}
"""The share of its visible K/S that a dye keeps in the near infrared. Reactive, disperse and acid dyes: transparent."""

REACTIVE = (("transparent", 0.88), ("vat", 0.12))
DISPERSE = (("transparent", 0.94), ("vat", 0.06))

FIBRES: dict[str, Fibre] = {
    "cotton": Fibre(
        (0.46, 0.80), REACTIVE, (("transparent", 0.62), ("sulphur", 0.25), ("carbon", 0.13)), (0.01, 0.04), 0.4
    ),
    "linen": Fibre((0.44, 0.72), REACTIVE, (("transparent", 0.75), ("sulphur", 0.25)), (0.02, 0.05), 0.3),
    "wool": Fibre((0.38, 0.66), DISPERSE, (("transparent", 0.75), ("carbon", 0.25)), (0.01, 0.03), 0.9),
    "denim": Fibre(
        (0.46, 0.70), (("indigo", 1.0),), (("sulphur", 0.7), ("transparent", 0.2), ("carbon", 0.1)), (0.01, 0.04), 0.3
    ),
    "polyester": Fibre((0.44, 0.78), DISPERSE, (("transparent", 0.55), ("carbon", 0.45)), (0.04, 0.14), 0.1),
    "nylon": Fibre((0.40, 0.72), DISPERSE, (("transparent", 0.5), ("carbon", 0.5)), (0.12, 0.35), 0.0),
    "fleece": Fibre((0.45, 0.76), DISPERSE, (("transparent", 0.65), ("carbon", 0.35)), (0.0, 0.01), 1.0),
    "corduroy": Fibre((0.44, 0.70), REACTIVE, (("transparent", 0.7), ("sulphur", 0.3)), (0.01, 0.04), 0.7),
    "viscose": Fibre((0.46, 0.78), REACTIVE, (("transparent", 0.85), ("carbon", 0.15)), (0.05, 0.15), 0.1),
    "leather": Fibre((0.42, 0.60), (("vat", 0.4), ("sulphur", 0.6)), (("carbon", 1.0),), (0.25, 0.55), 0.0),
    "rubber": Fibre((0.45, 0.70), (("transparent", 0.7), ("carbon", 0.3)), (("carbon", 1.0),), (0.03, 0.15), 0.0),
    "straw": Fibre((0.50, 0.65), (("transparent", 1.0),), (("transparent", 1.0),), (0.02, 0.06), 0.2),
}


def absorption(reflectance: np.ndarray | float) -> np.ndarray:
    """K/S of a reflectance."""
    held = np.clip(np.asarray(reflectance, np.float64), 0.004, 0.98)
    return np.asarray((1 - held) ** 2 / (2 * held))


def reflectance(absorbed: np.ndarray | float) -> np.ndarray:
    """The reflectance of a K/S."""
    k = np.asarray(absorbed, np.float64)
    return np.asarray(1 + k - np.sqrt(k * k + 2 * k))


def melanosome(nanometres: float) -> float:
    """The absorption of melanosomes, per centimetre (Jacques)."""
    return float(1.70e12 * nanometres**-3.48)


def dyed(fibre_infrared: float, leak: float, colour: tuple[float, float, float]) -> float:
    """The near-infrared reflectance of a fibre dyed to a visible colour."""
    inside = float(reflectance(absorption(fibre_infrared) + leak * absorption(float(np.mean(colour)))))
    return SURFACE + (1 - SURFACE) * inside


def draw_leak(rng: np.random.Generator, dyes: tuple[tuple[str, float], ...]) -> float:
    """The leak of one of the dyes, drawn evenly in its logarithm."""
    names, weights = zip(*dyes, strict=True)
    low, high = DYE_LEAKS[names[int(rng.choice(len(names), p=weights))]]
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
