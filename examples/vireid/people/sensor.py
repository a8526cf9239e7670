"""What a camera's sensor and its firmware make of the light: blur, noise, balance, tone, sharpening, JPEG."""

from __future__ import annotations

import functools
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vireid.people.kernels import compiled
from vireid.pictures import open_picture

if TYPE_CHECKING:
    from vireid.people.camera import Camera


@dataclass(frozen=True)
class Sensor:
    """`exposure` is the gain, and `balance` multiplies the channels; `black` lifts the darkest level, `gamma` is the
    exponent of the tone curve and `contrast` bends it into an S."""

    exposure: float
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 2.2
    contrast: float = 0.0
    saturation: float = 1.0
    shoulder: float = 0.7
    """The level, of 1, from which highlights are compressed."""
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


@compiled
def area_weights(start: float, stop: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """To resample [start, stop) of a line to `count` pixels: for each, the first source pixel and the weights from
    there on. Pixels beyond the line repeat its ends. Averages by area where it shrinks, interpolates where it grows."""
    step = (stop - start) / count
    reach = math.ceil(max(step, 1.0)) + 2
    begin = np.zeros(count, np.int64)
    weight = np.zeros((count, reach))
    wide = 0.5 * max(step, 1.0)
    for i in range(count):
        middle = start + (i + 0.5) * step
        begin[i] = math.floor(middle - wide)
        total = 0.0
        for k in range(reach):
            # Overlap of the image's pixel with the window.
            left, right = max(begin[i] + k, middle - wide), min(begin[i] + k + 1.0, middle + wide)
            weight[i, k] = max(right - left, 0.0)
            total += weight[i, k]
        weight[i] /= total
    return begin, weight


@compiled
def resample(image: np.ndarray, x0: float, y0: float, x1: float, y1: float, height: int, width: int) -> np.ndarray:
    """The window of an image [h w c], as float32 of another size."""
    h, w, channels = image.shape
    row_begin, row_weight = area_weights(y0, y1, height)
    column_begin, column_weight = area_weights(x0, x1, width)
    reach = row_weight.shape[1]
    out = np.zeros((height, width * channels), np.float32)
    line = np.empty(width * channels, np.float32)
    total = np.empty(channels)
    top, bottom = row_begin[0], row_begin[height - 1] + reach
    # Each row of the image is resampled once, then added to the rows of the result that it touches.
    first = 0
    for y in range(top, bottom):
        row = image[min(max(y, 0), h - 1)]
        needed = False
        while y - row_begin[first] >= reach:
            first += 1
        for i in range(first, height):
            k = y - row_begin[i]
            if k < 0:
                break
            if row_weight[i, k] > 0.0:
                if not needed:
                    needed = True
                    for j in range(width):
                        total[:] = 0.0
                        for m in range(column_weight.shape[1]):
                            weight = column_weight[j, m]
                            if weight > 0.0:
                                x = min(max(column_begin[j] + m, 0), w - 1)
                                for c in range(channels):
                                    total[c] += weight * row[x, c]
                        for c in range(channels):
                            line[j * channels + c] = total[c]
                share = row_weight[i, k]
                for x in range(width * channels):
                    out[i, x] += share * line[x]
    return out.reshape(height, width, channels)


@compiled
def bell(sigma: float) -> np.ndarray:
    """Weights of a Gaussian, out to 2.5 standard deviations."""
    reach = max(int(2.5 * sigma + 0.5), 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-3)) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


@compiled
def smooth(image: np.ndarray, down: float, across: float) -> np.ndarray:
    """Blur an image [h w c] by Gaussians of two standard deviations; its border is repeated."""
    h, w, channels = image.shape
    weights = bell(down)
    reach, line = len(weights) // 2, w * channels
    flat = image.reshape(h, line)
    columns = np.zeros((h, line), np.float32)
    for i in range(h):
        for k in range(2 * reach + 1):
            source = min(max(i + k - reach, 0), h - 1)
            for x in range(line):
                columns[i, x] += weights[k] * flat[source, x]
    weights = bell(across)
    reach = len(weights) // 2
    out = np.zeros((h, line), np.float32)
    padded = np.empty(line + 2 * reach * channels, np.float32)
    for i in range(h):
        padded[reach * channels : reach * channels + line] = columns[i]
        for k in range(reach):
            for c in range(channels):
                padded[k * channels + c] = columns[i, c]
                padded[(reach + w + k) * channels + c] = columns[i, line - channels + c]
        for k in range(2 * reach + 1):
            for x in range(line):
                out[i, x] += weights[k] * padded[x + k * channels]
    return out.reshape(h, w, channels)


@compiled
def expose(
    light: np.ndarray,
    noise: np.ndarray,
    blotches: np.ndarray,
    gain: np.ndarray,
    shot: float,
    read: float,
    vignette: float,
    shoulder: float,
    tone: np.ndarray,
) -> np.ndarray:
    """Gain, falloff toward the corners, noise, the soft shoulder, and the tone curve: linear light [h w c] to 0..1.

    The firmware smooths noise, which leaves blotches.
    """
    h, w, channels = light.shape
    out, room = np.empty((h, w, channels), np.float32), 1.0 - shoulder
    for i in range(h):
        for j in range(w):
            y, x = (i + 0.5) / h - 0.5, (j + 0.5) / w - 0.5
            fall = 1.0 - vignette * 2.0 * (x * x + y * y)
            for c in range(channels):
                value = max(light[i, j, c] * gain[c] * fall, 0.0)
                grain = np.float32(0.6) * noise[i, j, c] + np.float32(1.1) * blotches[i, j, c]
                value += grain * math.sqrt(shot * shot * value + read * read)
                if value > shoulder:
                    value = shoulder + room * (1.0 - math.exp((shoulder - value) / room))
                out[i, j, c] = tone[min(int(max(value, 0.0) * 4095.0 + 0.5), 4095)]
    return out


@compiled
def sharpened(image: np.ndarray, blurred: np.ndarray, strength: np.float32) -> np.ndarray:
    """An image [h w c] from 0 to 1, away from a blurred one by at most 0.12 times a strength, as uint8."""
    h, w, channels = image.shape
    out, most = np.empty((h, w, channels), np.uint8), np.float32(0.12)
    for i in range(h):
        for j in range(w):
            for c in range(channels):
                detail = min(max(image[i, j, c] - blurred[i, j, c], -most), most)
                value = (image[i, j, c] + strength * detail) * np.float32(255) + np.float32(0.5)
                out[i, j, c] = np.uint8(min(max(value, np.float32(0)), np.float32(255)))
    return out


@functools.cache
def tone_table(sensor: Sensor) -> np.ndarray:
    """The tone curve over 4096 levels."""
    level = np.linspace(0, 1, 4096, dtype=np.float32) ** np.float32(1 / sensor.gamma)
    level += sensor.contrast * (level * level * (3 - 2 * level) - level)
    return np.asarray(sensor.black + (1 - sensor.black) * level, np.float32)


def develop(radiance: np.ndarray, camera: Camera, rng: np.random.Generator, native_height: int) -> np.ndarray:
    """The picture a camera gives of a linear radiance [h w c], uint8 [h w 3], or [h w] in the infrared.

    The sensor had `native_height` rows for it: noise, blur and JPEG happen at that size.
    """
    sensor = camera.sensor
    height, width, channels = radiance.shape
    rows = min(native_height, height)
    columns = max(round(width * rows / height), 8)
    # What several pixels of the sensor share in a pixel of the picture is less noisy and less blurred.
    scale = rows / native_height
    blur, speed, heading = rng.random(3)
    drift = math.exp(sensor.drift * float(np.clip(rng.standard_normal(), -2, 2)))
    tint = np.exp(0.02 * np.clip(rng.standard_normal(3), -2, 2))
    image: np.ndarray = np.ascontiguousarray(radiance, np.float32)
    if rows != height:
        image = resample(image, 0.0, 0.0, width, height, rows, columns)
    sigma = scale * sensor.blur * (0.7 + 0.6 * blur)
    if sensor.bloom:
        over = np.maximum(image * np.float32(sensor.exposure) - 1, 0)
        if over.any():
            image = image + np.float32(sensor.bloom / sensor.exposure) * smooth(over, rows / 14, rows / 14)
    # A third of the pictures are taken of somebody who walks fast across.
    smear = scale * sensor.motion * max(speed - 0.67, 0) / 0.33
    image = smooth(image, sigma, math.hypot(sigma, smear * (0.5 + 0.5 * heading)))
    gain = np.full(channels, sensor.exposure * drift)
    if channels == 3:
        gain *= np.asarray(sensor.balance) * tint
    noise: np.ndarray = rng.standard_normal((rows, columns, channels), np.float32)
    image = expose(
        image,
        noise,
        smooth(noise, 0.9, 0.9),
        gain,
        sensor.shot * scale,
        sensor.read * scale,
        sensor.vignette,
        sensor.shoulder,
        tone_table(sensor),
    )
    if channels == 3 and sensor.saturation != 1:
        grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
        image = grey[..., None] + np.float32(sensor.saturation) * (image - grey[..., None])
    pixels = sharpened(image, smooth(image, 1.1, 1.1) if sensor.sharpen else image, np.float32(sensor.sharpen))
    file = io.BytesIO()
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(file, "JPEG", quality=sensor.quality)
    decoded = open_picture(file)
    if decoded.size == (width, height):
        return np.asarray(decoded)
    return np.asarray(decoded.resize((width, height), Image.Resampling.BILINEAR))
