"""What a surface sends back to a camera, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Appearance:
    """The surface at n points, float32."""

    colour: np.ndarray
    """[n, 3] linear RGB reflectance, 0 to 1."""
    infrared: np.ndarray
    """[n] reflectance in the near infrared, 0 to 1."""
    gloss: np.ndarray
    """[n] share of light that is mirrored: 0 is matt, 1 polished."""
    relief: np.ndarray
    """[n] height in metres, for bump shading."""
