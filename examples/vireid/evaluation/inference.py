"""Embeddings and attention maps of images, in batches, without gradients."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from concordant import CAL, Encoded, PartQueries, per_modality, resized_crop
from vireid.datasets.augment import normalise
from vireid.datasets.cache import Images
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.models.baseline import GlobalBaseline


def default_device() -> torch.device:
    """The GPU where there is one, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batches(rows: NDArray[np.int64], device: torch.device) -> list[NDArray[np.int64]]:
    """Rows in batches that keep a device busy: a GPU works on all images of a batch at once."""
    size = 512 if device.type == "cuda" else 128
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def read(images: Images, rows: NDArray[np.int64], device: torch.device) -> Tensor:
    """Normalised images [n 3 h w] from rows of a cache [N h w 3]."""
    return normalise(torch.from_numpy(np.ascontiguousarray(images[rows])).to(device))


@torch.inference_mode()
def extract(
    model: CAL | GlobalBaseline,
    images: Images,
    modality: NDArray[np.int64],
    *,
    device: torch.device,
    mirror: bool = False,
    progress: bool = True,
) -> Tensor:
    """Embeddings [n e] of all images [n h w 3], or of their mirror images; each is computed once. On the CPU."""
    model.eval()
    embeddings: Tensor | None = None
    work = [(m, rows) for m in (VISIBLE, INFRARED) for rows in batches(np.flatnonzero(modality == m), device)]
    for m, rows in track(work, description="embedding images", disable=not progress):
        pixels = read(images, rows, device)
        part = model.embed(pixels.flip(-1) if mirror else pixels, m).float().cpu()
        if embeddings is None:
            embeddings = part.new_empty(len(images), part.shape[1])
        embeddings[rows] = part
    if embeddings is None:
        raise ValueError("extract: `images` must not be empty; got none")
    return embeddings


@torch.inference_mode()
def encode(
    model: CAL,
    images: Images,
    modality: NDArray[np.int64],
    *,
    device: torch.device,
    progress: bool = True,
) -> Encoded:
    """Encodings of all images [n h w 3] for target-aware retrieval; each is computed once. On the device.

    An image takes 4·(t + p)·(c + d) bytes: 78 kB for 72 tokens of 128 channels, 4 parts and d = 128.
    """
    model.eval()
    whole: list[Tensor] = []
    work = [(m, rows) for m in (VISIBLE, INFRARED) for rows in batches(np.flatnonzero(modality == m), device)]
    for m, rows in track(work, description="encoding images", disable=not progress):
        some = model.encode(read(images, rows, device), m)
        parts = [tensor.float() for tensor in (some.tokens, some.keys, *some.part_queries)]
        whole = whole or [part.new_empty(len(images), *part.shape[1:]) for part in parts]
        for tensor, part in zip(whole, parts, strict=True):
            tensor[rows] = part
    if not whole:
        raise ValueError("encode: `images` must not be empty; got none")
    tokens, keys, queries, gates = whole
    return Encoded(tokens, keys, PartQueries(queries, gates))


@torch.inference_mode()
def attend(
    model: CAL,
    images: Images,
    modality: int,
    *,
    device: torch.device,
    crops: Tensor | None = None,
    parts_of: tuple[Images, int] | None = None,
) -> Tensor:
    """Attention maps [n p gh gw] on images [n h w 3] of one modality, of their own parts, in that modality's order.

    With crops [n 2 2] (see `draw_crops`): on each image's crop, resized to the size of the whole. With `parts_of`: of
    the parts of other images [n h w 3] of a modality, image by image, in that modality's order.
    """
    model.eval()
    maps = []
    for rows in batches(np.arange(len(images)), device):
        pixels = read(images, rows, device)
        if crops is not None:
            pixels = resized_crop(pixels, crops[rows].to(device))
        some = model.encode(pixels, modality)
        owner = some if parts_of is None else model.encode(read(parts_of[0], rows, device), parts_of[1])
        maps.append(model.attention.attend(some.tokens, some.keys, owner.part_queries).attention.float().cpu())
    grid = model.feature_map(read(images, np.arange(1), device), modality).shape[-2:]
    attention: Tensor = torch.cat(maps).unflatten(2, grid)
    return attention


@torch.inference_mode()
def select(model: CAL, images: Images, modality: int, *, device: torch.device) -> Tensor:
    """The tokens that each part selects, [n p gh gw] booleans, in images [n h w 3] of one modality."""
    model.eval()
    masks = []
    for rows in batches(np.arange(len(images)), device):
        feature_map = model.feature_map(read(images, rows, device), modality)
        selection = per_modality(model.miners, feature_map, modality).selection
        masks.append((selection > 0).unflatten(2, feature_map.shape[-2:]).cpu())
    return torch.cat(masks)
