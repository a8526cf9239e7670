"""What a step trains on: drawn, augmented, and on the device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from vireid.config import Settings
from vireid.datasets.augment import Augment
from vireid.datasets.cache import Images
from vireid.datasets.items import Items
from vireid.datasets.sampler import CrossModalSampler


class Batch(NamedTuple):
    """A process' share of a batch."""

    images: Tensor
    """[n 3 h w], augmented."""
    labels: Tensor
    modality: Tensor
    rows: NDArray[np.int64]
    """[n]: which of the training images these are."""


class Batches:
    """The batches of a run by their index; every draw is a function of the seed and that index.

    So a resumed run repeats what it would have drawn. All processes draw the augmentation of the whole batch and keep
    their share. What comes from `generator` after that (partners), and from torch's global one (dropout, if a backbone
    has any), is each process' own.
    """

    def __init__(self, settings: Settings, items: Items, images: Images, accelerator: Accelerator) -> None:
        self.settings, self.images = settings, images
        self.device, self.rank = accelerator.device, accelerator.process_index
        self.sampler = CrossModalSampler(
            items,
            settings.data.identities,
            settings.data.images,
            seed=settings.seed,
            rank=self.rank,
            world_size=accelerator.num_processes,
        )
        self.labels, self.modality = (torch.from_numpy(x.copy()) for x in (items.labels, items.modality))
        self.augment = Augment(settings.data.augment)
        self.generator = torch.Generator(self.device)
        self.share = torch.from_numpy(self.sampler.share).to(self.device)
        self.size = 2 * settings.data.identities * settings.data.images
        """Rows of a batch, over all processes."""

    def draw(self, index: int) -> Batch:
        """This process' share of a batch, any number from 0; leaves the generators as that batch is to find them."""
        seed, rows = self.settings.seed + 1_000_003 * (index + 1), self.sampler.batch(index)
        labels, modality = (x[rows].to(self.device) for x in (self.labels, self.modality))
        pixels = torch.from_numpy(self.images[rows]).to(self.device)
        draws = self.augment.draw(self.size, self.generator.manual_seed(seed))[self.share]
        images = self.augment(pixels, modality, draws=draws)
        if self.rank:
            self.generator.manual_seed(seed + self.rank)
        torch.manual_seed(seed + self.rank)
        return Batch(images, labels, modality, rows)
