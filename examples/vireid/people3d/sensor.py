"""What a camera's sensor and its firmware make of the light: blur, noise, balance, tone, sharpening, JPEG."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

if TYPE_CHECKING:
    from vireid.people3d.camera import Camera


@dataclass(frozen=True)
class Sensor:
    """`balance` multiplies the channels after exposure; `exposure` is the gain; `black` lifts the darkest level, `gamma`
    is the exponent of the tone curve and `contrast` bends it into an S."""

    exposure: float
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 2.2
    contrast: float = 0.0
    saturation: float = 1.0
    black: float = 0.0
    shot: float = 0.01
    """Noise that grows with the root of the light."""
    read: float = 0.004
    """Noise that is always there."""
    blur: float = 0.6
    """Standard deviation of the optics' blur, in pixels of the frame."""
    motion: float = 1.0
    """Longest motion blur, in pixels of the frame."""
    sharpen: float = 0.5
    bloom: float = 0.0
    """How much of what is overexposed leaks into its surroundings."""
    vignette: float = 0.0
    drift: float = 0.08
    """Standard deviation of the exposure's drift from picture to picture, in natural logarithms."""
    quality: int = 80


@numba.njit(cache=True)
def area_weights(start: float, stop: float, count: int, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """To resample [start, stop) of a line to `count` pixels: for each, the first source pixel and the weights from there
    on. Pixels beyond the line repeat its ends. Averages by area where it shrinks, interpolates where it grows."""
    step = (stop - start) / count
    reach = int(math.ceil(max(step, 1.0))) + 2
    begin = np.zeros(count, np.int64)
    weight = np.zeros((count, reach))
    wide = 0.5 * max(step, 1.0)
    for i in range(count):
        middle = start + (i + 0.5) * step
        begin[i] = math.floor(middle - wide)
        total = 0.0
        for k in range(reach):
            # Overlap of the source pixel with the window.
            left, right = max(begin[i] + k, middle - wide), min(begin[i] + k + 1.0, middle + wide)
            weight[i, k] = max(right - left, 0.0)
            total += weight[i, k]
        weight[i] /= total
    return begin, weight


@numba.njit(cache=True)
def resample(
    image: np.ndarray, x0: float, y0: float, x1: float, y1: float, height: int, width: int
) -> np.ndarray:
    """The window of an image [h w c], as float32 of another size."""
    h, w, channels = image.shape
    row_begin, row_weight = area_weights(y0, y1, height, h)
    column_begin, column_weight = area_weights(x0, x1, width, w)
    out = np.zeros((height, width, channels), np.float32)
    line = np.empty((width, channels), np.float32)
    top, bottom = row_begin[0], row_begin[height - 1] + row_weight.shape[1]
    # Rows of the source one after the other: each is resampled once, then added to the rows that it touches.
    for y in range(top, bottom):
        source = min(max(y, 0), h - 1)
        needed = False
        for i in range(height):
            k = y - row_begin[i]
            if k < 0:
                break
            if k < row_weight.shape[1] and row_weight[i, k] > 0.0:
                if not needed:
                    needed = True
                    for j in range(width):
                        for c in range(channels):
                            total = 0.0
                            for m in range(column_weight.shape[1]):
                                weight = column_weight[j, m]
                                if weight > 0.0:
                                    x = min(max(column_begin[j] + m, 0), w - 1)
                                    total += weight * image[source, x, c]
                            line[j, c] = total
                share = row_weight[i, k]
                for j in range(width):
                    for c in range(channels):
                        out[i, j, c] += share * line[j, c]
    return out


@numba.njit(cache=True)
def expose(
    light: np.ndarray, normal: np.ndarray, gain: np.ndarray, shot: float, read: float, vignette: float
) -> np.ndarray:
    """Gain, falloff toward the corners and noise, then the soft shoulder: linear light [h w c] to 0..1."""
    h, w, channels = light.shape
    out = np.empty((h, w, channels), np.float32)
    for i in range(h):
        for j in range(w):
            y, x = (i + 0.5) / h - 0.5, (j + 0.5) / w - 0.5
            fall = 1.0 - vignette * 2.0 * (x * x + y * y)
            for c in range(channels):
                value = max(light[i, j, c] * gain[c] * fall, 0.0)
                value += normal[i, j, c] * math.sqrt(shot * shot * value + read * read)
                # Straight up to 0.7, then a shoulder that ends at 1.
                if value > 0.7:
                    value = 0.7 + 0.3 * (1.0 - math.exp(-(value - 0.7) / 0.3))
                out[i, j, c] = max(value, 0.0)
    return out


def tone_table(sensor: Sensor) -> np.ndarray:
    """The tone curve over 4096 levels."""
    level = np.linspace(0, 1, 4096, dtype=np.float32) ** np.float32(1 / sensor.gamma)
    level += sensor.contrast * (level * level * (3 - 2 * level) - level)
    return np.asarray(sensor.black + (1 - sensor.black) * level, np.float32)


def develop(
    radiance: np.ndarray, camera: Camera, rng: np.random.Generator, native_height: int
) -> np.ndarray:
    """The picture a camera gives of a linear radiance [h w c], uint8 [h w 3], or [h w] in the infrared.

    The sensor had `native_height` rows for it: noise, blur and JPEG happen at that size.
    """
    sensor = camera.sensor
    height, width, channels = radiance.shape
    rows = min(native_height, 2 * height)
    columns = max(round(width * rows / height), 8)
    # What happens per pixel of the sensor is drawn first, so that it does not depend on the size.
    blur, speed, heading = rng.random(3)
    drift = math.exp(sensor.drift * float(np.clip(rng.standard_normal(), -2, 2)))
    tint = np.exp(0.02 * np.clip(rng.standard_normal(3), -2, 2))
    image = resample(np.ascontiguousarray(radiance, np.float32), 0.0, 0.0, width, height, rows, columns)
    sigma = sensor.blur * (0.7 + 0.6 * blur) * max(rows / native_height, 0.5)
    if sensor.bloom:
        over = np.maximum(image * sensor.exposure - 1.0, 0)
        if over.any():
            spread = rows / 14
            image += sensor.bloom * gaussian_filter1d(gaussian_filter1d(over, spread, 0), spread, 1) / sensor.exposure
    # A third of the pictures are taken of somebody who walks fast across.
    smear = sensor.motion * max(speed - 0.67, 0) / 0.33
    across = math.hypot(sigma, smear * (0.5 + 0.5 * heading))
    image = gaussian_filter1d(gaussian_filter1d(image, sigma, 0, truncate=2.5), across, 1, truncate=2.5)
    gain = np.full(channels, sensor.exposure * drift)
    if channels == 3:
        gain *= np.asarray(sensor.balance) * tint
    noise = rng.standard_normal((rows, columns, channels), np.float32)
    # The firmware smooths noise, colour more than light, which leaves blotches.
    noise = 0.6 * noise + 1.1 * gaussian_filter1d(gaussian_filter1d(noise, 0.9, 0, truncate=2), 0.9, 1, truncate=2)
    image = expose(image, noise, gain, sensor.shot, sensor.read, sensor.vignette)
    image = tone_table(sensor)[np.minimum(image * 4095 + 0.5, 4095).astype(np.uint16)]
    if channels == 3 and sensor.saturation != 1:
        grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
        image = grey[..., None] + np.float32(sensor.saturation) * (image - grey[..., None])
    if sensor.sharpen:
        soft = gaussian_filter1d(gaussian_filter1d(image, 1.1, 0, truncate=2), 1.1, 1, truncate=2)
        image = image + np.float32(sensor.sharpen) * np.clip(image - soft, -0.12, 0.12)
    pixels = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(file, "JPEG", quality=sensor.quality)
    with Image.open(file) as decoded:
        if decoded.size == (width, height):
            return np.asarray(decoded)
        method = Image.Resampling.BILINEAR
        return np.asarray(decoded.resize((width, height), method))
