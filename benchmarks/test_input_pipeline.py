"""From files to batches at 288×144: our cache and batched augmentation, and the ways that public trainers go.

Those augment image by image in the workers of a loader: after reading each file anew, or from all images decoded into
the memory of the process. Memory is what the processes hold themselves, counted once where they share it (their
proportional set of anonymous and shared memory): pages of a mapped file belong to the machine, which takes them back
when it must.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

from vireid.config import AugmentSettings
from vireid.datasets.augment import Augment
from vireid.datasets.cache import cache_images

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
IMAGES, BATCH, HEIGHT, WIDTH = 4096, 64, 288, 144
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROW, SHAPE = "input pipeline, an image", f"{IMAGES:,} JPEGs of about 390×160 to {HEIGHT}×{WIDTH}, batches of {BATCH}"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Smooth pictures with some noise, of the size of the files of SYSU-MM01."""
    folder, random = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{i:05d}.jpg" for i in range(IMAGES)]
    for path in paths:
        coarse = Image.fromarray(random.integers(0, 256, (13, 6, 3), dtype=np.uint8))
        picture = np.asarray(coarse.resize((int(random.integers(130, 190)), int(random.integers(340, 440))), BICUBIC))
        noisy = picture + random.normal(0, 6, picture.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return paths


def mapped(paths: list[Path]) -> np.ndarray:
    return cache_images(paths, (HEIGHT, WIDTH), root=paths[0].parent, name="bench", progress=False)


def augmented(images: np.ndarray) -> Iterator[Tensor]:
    """Ours: rows of the mapped cache, augmented together."""
    augment, generator = Augment(AugmentSettings()), torch.Generator().manual_seed(0)
    order = np.random.default_rng(0).permutation(len(images))
    modality = torch.arange(2).repeat_interleave(BATCH // 2)
    for start in range(0, len(order), BATCH):
        yield augment(torch.from_numpy(images[order[start : start + BATCH]]), modality, generator)


def batched(paths: list[Path]) -> Iterator[Tensor]:
    return augmented(mapped(paths))


class OneByOne(Dataset[Tensor]):
    """The field's: a file, or an image in memory, through torchvision's transforms."""

    def __init__(self, images: list[Path] | np.ndarray) -> None:
        self.images = images
        self.transform = transforms.Compose(
            [
                transforms.Pad(10),
                transforms.RandomCrop((HEIGHT, WIDTH)),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
                transforms.RandomErasing(),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = self.images[index]
        if isinstance(image, Path):
            picture = Image.open(image).convert("RGB").resize((WIDTH, HEIGHT), BILINEAR)
        else:
            picture = Image.fromarray(image)
        pixels: Tensor = self.transform(picture)
        return pixels


def loader(images: list[Path] | np.ndarray) -> DataLoader[Tensor]:
    return DataLoader(OneByOne(images), BATCH, shuffle=True, num_workers=2)


def from_files(paths: list[Path]) -> Iterator[Tensor]:
    return iter(loader(paths))


def from_memory(paths: list[Path]) -> Iterator[Tensor]:
    def decode(path: Path) -> np.ndarray:
        return np.asarray(Image.open(path).convert("RGB").resize((WIDTH, HEIGHT), BILINEAR))

    yield from loader(np.stack([decode(path) for path in paths]))


def drain(batches: Iterator[Tensor]) -> None:
    assert sum(len(batch) for batch in batches) == IMAGES


def growth(way: Callable[[list[Path]], Iterator[Tensor]], paths: list[Path]) -> float:
    """Largest growth, in MB, of what a fresh process and its workers hold, over the batches of a round."""
    context = multiprocessing.get_context("spawn")
    answer: Queue[float] = context.Queue()
    process = context.Process(target=_grow, args=(way, paths, answer))
    process.start()
    most = answer.get(timeout=600)
    process.join()
    return most


def _grow(way: Callable[[list[Path]], Iterator[Tensor]], paths: list[Path], answer: Queue[float]) -> None:
    def held() -> float:
        own = psutil.Process()
        return sum(map(_held, [own, *own.children(recursive=True)]))

    next(iter(way(paths[:BATCH])))  # libraries are loaded
    before, most = held(), 0.0
    for number, _ in enumerate(way(paths)):
        if number % 8 == 0:
            most = max(most, held() - before)
    answer.put(most)


def _held(process: psutil.Process) -> float:
    lines = (line.split() for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {name: int(size) for name, size, *_ in lines}
    return (kilobytes["Pss_Anon:"] + kilobytes["Pss_Shmem:"]) * 1024 / 1e6


@pytest.fixture(scope="module")
def memory(paths: list[Path]) -> dict[str, float]:
    drain(batched(paths))  # the cache is written once
    return {way.__name__: growth(way, paths) for way in (batched, from_memory, from_files)}


def test_ours(measure: Callable[..., Any], paths: list[Path], memory: dict[str, float]) -> None:
    least, images = memory["batched"], mapped(paths)
    measure(ROW, "ours", lambda: drain(augmented(images)), shape=SHAPE, work=IMAGES, rounds=3, memory=least)
    assert least < memory["from_memory"] / 10


def test_from_memory(measure: Callable[..., Any], paths: list[Path], memory: dict[str, float]) -> None:
    images = np.zeros((IMAGES, HEIGHT, WIDTH, 3), np.uint8)
    role = "decoded in memory, per-image workers"
    used = memory["from_memory"]
    measure(ROW, role, lambda: drain(iter(loader(images))), shape=SHAPE, work=IMAGES, rounds=2, memory=used)


def test_from_files(measure: Callable[..., Any], paths: list[Path], memory: dict[str, float]) -> None:
    role, used = "files, per-image workers", memory["from_files"]
    measure(ROW, role, lambda: drain(from_files(paths)), shape=SHAPE, work=IMAGES, rounds=2, memory=used)
