"""Pretraining on attributes: pictures of people in no data set, and linear classifiers of their attributes."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from concordant import to_tokens
from vireid.files import read_json, write_json
from vireid.people import (
    ATTRIBUTES,
    CAMERAS,
    INFRARED_CAMERAS,
    NOT_APPLICABLE,
    PARTS,
    VISIBLE_CAMERAS,
    Part,
    attribute_targets,
    draw_person,
    render,
)
from vireid.people.dataset import VERSION

# Streams of random numbers that no data set draws from: these people are in none, whatever the seeds.
PEOPLE_STREAM, PICTURE_STREAM = 11, 12
BLOCK = 50

# The parts that an attribute is read from. Skin tells how long sleeves and trousers are.
BODY = tuple(part for part in Part if part not in (Part.BACKGROUND, Part.OCCLUDER))
SEEN_IN: dict[str, tuple[Part, ...]] = {
    "hair": (Part.HEAD, Part.HAIR),
    "upper": (Part.UPPER, Part.SKIN),
    "upper_pattern": (Part.UPPER,),
    "lower": (Part.LOWER, Part.SKIN),
    "lower_pattern": (Part.LOWER,),
    "shoes": (Part.SHOES,),
    "body": BODY,
}
SEEN_PIXELS = 12


def group_of(attribute: str) -> str:
    """The entry of SEEN_IN for an attribute: that of the pattern for its quantities, or the complete body."""
    if attribute.endswith(("_period", "_duty", "_offset")):
        return attribute.split("_")[0] + "_pattern"
    return attribute if attribute in SEEN_IN else "body"


@dataclass(frozen=True)
class PeopleConfig:
    """Which people are rendered: `people` of them from number `first` on, each in `pictures` pictures, of which every
    second one is infrared."""

    first: int
    people: int
    pictures: int = 4
    seed: int = 0
    height: int = 96
    width: int = 48

    def __len__(self) -> int:
        return self.people * self.pictures


@dataclass(frozen=True)
class AttributeSet:
    """images [n h w 3] uint8, parts [n h w] uint8 (indices of PARTS), modality [n] (0 visible, 1 infrared), targets
    [n a] in the order of ATTRIBUTES."""

    images: np.ndarray
    parts: np.ndarray
    modality: np.ndarray
    targets: np.ndarray


def render_block(config: PeopleConfig, start: int) -> tuple[np.ndarray, ...]:
    """The images, parts, modality and targets of up to BLOCK people, from the start-th one on."""
    pictures, modality, targets = [], [], []
    for number in range(config.first + start, config.first + min(start + BLOCK, config.people)):
        person = draw_person(np.random.default_rng([config.seed, PEOPLE_STREAM, number]))
        for index in range(config.pictures):
            rng = np.random.default_rng([config.seed, PICTURE_STREAM, number, index])
            camera = CAMERAS[int(rng.choice(INFRARED_CAMERAS if index % 2 else VISIBLE_CAMERAS))]
            pictures.append(render(person, camera, rng, (config.height, config.width)))
            modality.append(index % 2)
            targets.append(list(attribute_targets(person).values()))
    images, parts = np.stack([one.image for one in pictures]), np.stack([one.parts for one in pictures])
    return images, parts, np.array(modality), np.array(targets)


def render_people(folder: Path, config: PeopleConfig, *, workers: int, progress: bool = True) -> AttributeSet:
    """Render people once, in parallel, into memory-mapped files in `folder`; later calls open these."""
    n, h, w = len(config), config.height, config.width
    layout = {
        "images": (np.uint8, (n, h, w, 3)),
        "parts": (np.uint8, (n, h, w)),
        "modality": (np.int64, (n,)),
        "targets": (np.int64, (n, len(ATTRIBUTES))),
    }
    record = {"version": VERSION, "attributes": ATTRIBUTES, **asdict(config)}
    done = folder / "people.json"
    try:
        there = read_json(done) == record
    except (OSError, ValueError):
        there = False
    if not there:
        folder.mkdir(parents=True, exist_ok=True)
        done.unlink(missing_ok=True)
        needed = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in layout.values())
        if (free := shutil.disk_usage(folder).free) < needed:  # a memory map would have the process killed
            sizes = f"{needed / 2**20:,.0f} MiB; {free / 2**20:,.0f} are free"
            raise OSError(f"render_people: {folder} must have room for {sizes}")
        arrays = [
            np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
            for name, (dtype, shape) in layout.items()
        ]
        starts = range(0, config.people, BLOCK)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            blocks = zip(starts, pool.map(partial(render_block, config), starts), strict=True)
            for start, block in track(blocks, "Rendering people", total=len(starts), disable=not progress):
                for array, rows in zip(arrays, block, strict=True):
                    array[start * config.pictures :][: len(rows)] = rows
        for array in arrays:
            array.flush()
        write_json(done, record)
    return AttributeSet(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in layout})


class AttributeReader(nn.Module):
    """Linear classifiers of a feature map [n c h w], each with concatenated logits of all attributes [n k].

    The first is of the mean over the grid, which is what a global feature keeps of a picture. The second is of the mean
    over those tokens in which the attribute's own part lies: it keeps tokens local, and learns much faster, since a
    shoe is one token in seventy-two.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        total = sum(ATTRIBUTES.values())
        # Normalised first: a mean over the grid varies little, and its reading would be learnt slowly.
        self.whole = nn.Sequential(nn.BatchNorm1d(channels), nn.Linear(channels, total))
        self.local = nn.ModuleDict(
            {name: nn.Sequential(nn.BatchNorm1d(channels), nn.Linear(channels, k)) for name, k in ATTRIBUTES.items()}
        )

    def forward(self, feature_map: Tensor, cover: Tensor) -> tuple[Tensor, Tensor]:
        """`cover` [n h w s] is the share of each part in the pixels of a token."""
        tokens, shares = to_tokens(feature_map), cover.flatten(1, 2)
        weights = torch.stack([shares[..., list(parts)].sum(2) for parts in SEEN_IN.values()], dim=1)  # [n groups t]
        pooled = (weights / weights.sum(2, keepdim=True).clamp(min=1e-6)) @ tokens
        rows = {group: pooled[:, index] for index, group in enumerate(SEEN_IN)}
        local = [reading(rows[group_of(name)]) for name, reading in self.local.items()]
        return self.whole(tokens.mean(1)), torch.cat(local, dim=1)


def part_cover(parts: Tensor, stride: int) -> Tensor:
    """The share of each part in the pixels of each token: indices [n H W] -> [n h w s]."""
    planes = torch.stack([(parts == part).float() for part in range(len(PARTS))], dim=1)
    return F.avg_pool2d(planes, stride).permute(0, 2, 3, 1)


def visible_targets(targets: Tensor, parts: Tensor) -> Tensor:
    """The targets [n a], without those whose parts are hardly visible in the picture [n h w]."""
    targets = targets.clone()
    counts = torch.stack([(parts == part).sum((1, 2)) for part in range(len(PARTS))], dim=1)
    for column, name in enumerate(ATTRIBUTES):
        unseen = counts[:, list(SEEN_IN[group_of(name)])].sum(1) < SEEN_PIXELS
        targets[unseen, column] = NOT_APPLICABLE
    return targets


def attribute_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy over attributes, as a share of that of a uniform guess: logits [n k], targets [n a].
    Attributes that a person does not have, or a picture does not show, do not count."""
    losses = []
    for column, part in enumerate(logits.split(list(ATTRIBUTES.values()), dim=1)):
        summed = F.cross_entropy(part, targets[:, column], ignore_index=NOT_APPLICABLE, reduction="sum")
        known = (targets[:, column] != NOT_APPLICABLE).sum().clamp(min=1)
        losses.append(summed / known / np.log(part.shape[1]))
    return torch.stack(losses).mean()


def accuracies(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """The accuracy of each attribute, over people who have it: logits [n k], targets [n a]."""
    result = {}
    for column, (name, part) in enumerate(zip(ATTRIBUTES, logits.split(list(ATTRIBUTES.values()), dim=1), strict=True)):
        known = targets[:, column] != NOT_APPLICABLE
        result[name] = (part.argmax(1) == targets[:, column])[known].float().mean().item()
    return result
