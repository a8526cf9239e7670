"""Light that neighbouring pixels share, made even."""

from __future__ import annotations

import numpy as np

from vireid.people.kernels import compiled


@compiled
def even_out(values: np.ndarray, place: np.ndarray, depth: np.ndarray, mixed: np.ndarray, sparse: bool) -> np.ndarray:
    """Means over a block of 4 x 4 pixels, of those on the same surface, or of its middle where a pixel is of several
    surfaces. `sparse`: only every other pixel has values."""
    rows, columns, channels = values.shape
    out = np.zeros_like(values)
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for alone in range(2):
                # A lone pixel, as of a leaf, takes what its neighbours have.
                close = mixed[i, j] or alone == 1
                for k in range(max(i - 2, 0), min(i + 2, rows)):
                    for m in range(max(j - 2, 0), min(j + 2, columns)):
                        if sparse and (k + m) % 2:
                            continue
                        if close:
                            if abs(i - k) + abs(j - m) > 1:
                                continue
                        else:
                            same, away = 0.0, 0.0
                            for a in range(3):
                                same += place[i, j, 3 + a] * place[k, m, 3 + a]
                                # Distance from the plane of the pixel's own surface.
                                away += place[i, j, 3 + a] * (place[k, m, a] - place[i, j, a])
                            if same < 0.85 or abs(away) > 0.02 * depth[i, j]:
                                continue
                        total += 1.0
                        for c in range(channels):
                            out[i, j, c] += values[k, m, c]
                if total > 0.0:
                    break
            for c in range(channels):
                out[i, j, c] /= total
    return out
