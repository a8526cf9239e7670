"""Training batches: sampled, augmented, and on the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils._pytree import tree_map

from concordant import ModalitySplit, Views, draw_views, split_modality
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
    split: ModalitySplit
    """That of the images, and of the views behind them."""
    views: Views | None = None
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
        """Draws what a step needs, on the device."""
        self.host = self.generator if self.device.type == "cpu" else torch.Generator()
        """Draws what decides about a batch: reading that off a GPU would wait for it."""
        self.share = torch.from_numpy(self.sampler.share)
        self.size = 2 * settings.data.identities * settings.data.images
        """Rows of a batch, over all processes."""

    def draw(self, index: int) -> Batch:
        """This process' share of batch `index`, from 0; also seeds the generators for that batch."""
        seed, rows = self.settings.seed + 1_000_003 * (index + 1), self.sampler.batch(index)
        labels, modality, pixels = self.labels[rows], self.modality[rows], torch.from_numpy(self.images[rows])
        draws = self.augment.draw(self.size, self.host.manual_seed(seed))[self.share]
        views = self.draw_views() if self.views else None
        if self.rank or self.generator is not self.host:
            self.generator.manual_seed(seed + self.rank)
        torch.manual_seed(seed + self.rank)
        every = modality if views is None else torch.cat([modality, modality[views.rows]])
        split = split_modality(every)
        labels, pixels, draws, split = self.to_device((labels, pixels, draws, split))
        views = None if views is None else self.to_device(views)
        modality = split.modality[: len(rows)]
        return Batch(self.augment(pixels, modality, draws=draws), labels, modality, split, views)

    def to_device(self, tensors: Any) -> Any:
        """Tensors on the device. A GPU copies them while it works, from memory that stays where it is."""
        if self.device.type != "cuda":
            return tree_map(lambda x: x.to(self.device), tensors)
        return tree_map(lambda x: x.pin_memory().to(self.device, non_blocking=True), tensors)

    def draw_views(self) -> Views:
        """Those of the complete batch that lie in this process' share."""
        rows, crops = draw_views(self.size, share=self.views, generator=self.host)
        drawn, own = (rows[:, None] == self.share).nonzero(as_tuple=True)
        return Views(own, crops[drawn])
