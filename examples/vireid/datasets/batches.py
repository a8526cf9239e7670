"""Training batches: sampled, augmented, and on the device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from concordant import Views, draw_views
from vireid.config import Settings
from vireid.datasets.augment import Augment
from vireid.datasets.cache import Images
from vireid.datasets.items import Items
from vireid.datasets.sampler import CrossModalSampler


class Batch(NamedTuple):
    """The share of a process in a batch."""

    images: Tensor
    """[n 3 h w], augmented."""
    labels: Tensor
    modality: Tensor
    rows: NDArray[np.int64]
    """[n]: rows of the training images."""
    views: Views | None
    """Some of the images, seen through crops; for CAL with a loss of equivariance."""


class Batches:
    """The batches of a run by their index; all random numbers are a function of the seed and the index.

    A resumed run therefore gets the same batches. All processes sample augmentation and views of the complete batch,
    and use their share. Later numbers of `generator` (for partners), and those of torch's global generator (for
    dropout in a backbone), differ between processes.
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
        self.views = settings.data.views if settings.method == "cal" and settings.loss.equivariance else 0.0
        self.generator = torch.Generator(self.device)
        self.share = torch.from_numpy(self.sampler.share).to(self.device)
        self.size = 2 * settings.data.identities * settings.data.images
        """Rows of a batch, over all processes."""

    def draw(self, index: int) -> Batch:
        """This process' share of batch `index`, from 0; also seeds the generators for that batch."""
        seed, rows = self.settings.seed + 1_000_003 * (index + 1), self.sampler.batch(index)
        labels, modality = (x[rows].to(self.device) for x in (self.labels, self.modality))
        pixels = torch.from_numpy(self.images[rows]).to(self.device)
        draws = self.augment.draw(self.size, self.generator.manual_seed(seed))[self.share]
        images = self.augment(pixels, modality, draws=draws)
        views = self.draw_views() if self.views else None
        if self.rank:
            self.generator.manual_seed(seed + self.rank)
        torch.manual_seed(seed + self.rank)
        return Batch(images, labels, modality, rows, views)

    def draw_views(self) -> Views:
        """Those of the complete batch that lie in this process' share."""
        rows, crops = draw_views(self.size, share=self.views, generator=self.generator)
        drawn, own = (rows[:, None] == self.share).nonzero(as_tuple=True)
        return Views(own, crops[drawn])
