"""The work of each of several processes, and of one process with the complete batch.

In a file of its own, for a started process must be able to import its function.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from concordant import CALLoss, Encoded, PartCenterLoss, PartQueries, TargetAwareContrastiveLoss, distributed
from support.models import randomize, small_cal

# Rows of each process; identities are never split. The second has a row without partner.
LABELS = torch.tensor([0, 1, 0, 1, 2, 2, 3])
MODALITY = torch.tensor([0, 0, 1, 1, 0, 1, 1])
SPLITS = {"equal": [3, 3], "unequal": [4, 2], "one empty": [6, 0]}
HALVES = [slice(0, 4), slice(4, 7)]
SHARDS = hasattr(torch.cpu.Stream, "record_event")
"""Whether FSDP2 runs on a CPU: torch 2.6's calls this method there, and has none."""


def rows_of(name: str, rank: int | None) -> slice:
    first = SPLITS[name][0]
    return slice(None) if rank is None else (slice(0, first), slice(first, None))[rank]


def pairwise(features: Tensor) -> Tensor:
    """A loss over all pairs of rows, each pair with another weight."""
    n = len(features)
    pairs = torch.linspace(1, 2, n * n, dtype=features.dtype).view(n, n)
    return (pairs * (features @ features.T).tanh()).sum()


def parallel(module: nn.Module, rank: int | None) -> nn.Module:
    """The module as a process trains it. It must be kept until the backward pass is done, or nothing is averaged."""
    return module if rank is None else DistributedDataParallel(module)


def gathered(name: str, rank: int | None) -> dict[str, Tensor]:
    """A linear map under `gather`: values, loss, and the gradient that the optimiser would see."""
    linear = randomize(nn.Linear(3, 2, dtype=torch.float64))
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = parallel(linear, rank)
    features = distributed.gather(model(inputs[rows_of(name, rank)]))
    ids = distributed.gather(torch.arange(6)[rows_of(name, rank)])
    loss = pairwise(features)
    loss.backward()
    return {"features": features.detach(), "ids": ids, "loss": loss.detach(), **gradients(linear)}


def penalised(name: str, rank: int | None) -> dict[str, Tensor]:
    """A gradient penalty under `gather`: the gradient of the gradient that all processes ask of a row."""
    linear = randomize(nn.Linear(3, 2, dtype=torch.float64))
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = linear(inputs[rows_of(name, rank)])
    loss = pairwise(distributed.gather(features))
    # Each process has the loss of all rows, so the sum over processes is what it asks; their mean is the loss's.
    (asked,) = torch.autograd.grad(loss / distributed.world_size(), features, create_graph=True)
    penalty = asked.square().sum()
    penalty.backward()
    total = {f"gradient of {name}": p.grad for name, p in linear.named_parameters() if p.grad is not None}
    if rank is not None:
        for gradient in total.values():
            dist.all_reduce(gradient)  # the penalty of all rows is the sum of the processes'
    return total


class OwnAndCross(nn.Module):
    """Two kinds of part features from one input."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Linear(3, 8, dtype=torch.float64)
        self.cross = nn.Linear(3, 8, dtype=torch.float64)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return self.own(inputs).view(-1, 2, 4), self.cross(inputs).view(-1, 2, 4)


def centers(rank: int | None) -> dict[str, Tensor]:
    rows = slice(None) if rank is None else HALVES[rank]
    plain = randomize(OwnAndCross())
    model = parallel(plain, rank)
    inputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    own, cross = model(inputs[rows])
    batch = distributed.gather(own, cross, LABELS[rows], MODALITY[rows])
    loss = PartCenterLoss(margin=2.0)(*batch)
    loss.backward()
    return {"loss": loss.detach(), **gradients(plain)}


class Words(nn.Module):
    """Rows of four words at most, each a token and a part, of an encoder of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4, dtype=torch.float64)

    def forward(self, words: Tensor) -> Tensor:
        encoded: Tensor = self.layer(words)
        return encoded


WORDS = torch.tensor([2, 1, 2, 2, 4, 3, 4])
"""Words of each row: the processes pad to other lengths."""


def contrasted(rank: int | None) -> dict[str, Tensor]:
    """The contrastive loss of all rows of one modality against all of the other, and a gradient penalty of it.

    The second process has an odd number of rows. The temperature is learnt in each process alike.
    """
    rows = slice(None) if rank is None else HALVES[rank]
    plain, loss = randomize(Words()), TargetAwareContrastiveLoss(temperature=0.5, dtype=torch.float64)
    model = parallel(plain, rank)
    words = torch.randn(7, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = model(words[rows, : int(WORDS[rows].max())])

    def value(tokens: Tensor) -> Tensor:
        mask = torch.arange(tokens.shape[1]) < WORDS[rows, None]
        own = Encoded(tokens, tokens, PartQueries(tokens, tokens), mask, mask)
        sides = [own[MODALITY[rows] == kind].gather() for kind in (0, 1)]
        labels = [distributed.gather(LABELS[rows][MODALITY[rows] == kind]) for kind in (0, 1)]
        return loss(*sides, *labels)

    total = value(found)
    total.backward()
    results = {"loss": total.detach(), **gradients(plain), **gradients(loss)}
    loss.requires_grad_(False)
    plain.zero_grad()
    tokens = plain(words[rows, : int(WORDS[rows].max())])
    (asked,) = torch.autograd.grad(value(tokens) / distributed.world_size(), tokens, create_graph=True)
    asked.square().sum().backward()
    for name, gradient in gradients(plain).items():
        if rank is not None:
            dist.all_reduce(gradient)  # the penalty of all rows is the sum of the processes'
        results[f"second {name}"] = gradient
    return results


def training_step(rank: int | None) -> dict[str, Tensor]:
    """CAL and its complete loss. Batch norms read stored statistics: torch decides what they do across processes."""
    rows = slice(None) if rank is None else HALVES[rank]
    torch.manual_seed(0)
    plain = small_cal(dtype=torch.float64).eval()
    model = parallel(plain, rank)
    images = torch.randn(7, 3, 16, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    output = model(images[rows], LABELS[rows], MODALITY[rows])
    terms = CALLoss()(output, LABELS[rows], MODALITY[rows])
    terms.total.backward()
    return {name: value.detach() for name, value in terms.named().items()} | gradients(plain)


def sharded(rank: int | None) -> dict[str, Tensor]:
    """CAL under FSDP2, the attention a unit of its own, on the same rows in each process."""
    torch.manual_seed(0)
    model = small_cal(dtype=torch.float64).eval()
    if rank is not None:
        mesh = init_device_mesh("cpu", (2,))
        for unit in (model.attention, model.backbone, model):
            fully_shard(unit, mesh=mesh)
        for method in ("embed", "encode", "similarity"):
            register_fsdp_forward_method(model, method)
    images = torch.randn(4, 3, 16, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    loss = CALLoss(triplet=0, part_triplet=0)  # which a row's copy in the other process would change
    loss(model(images, labels, modality), labels, modality).total.backward()
    results = {
        name: gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
        for name, gradient in gradients(model).items()
    }
    with torch.no_grad():
        encoded = model.encode(images, modality)
        return results | {"embed": model.embed(images, modality), "similarity": model.similarity(encoded, encoded)}


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {f"gradient of {name}": p.grad for name, p in module.named_parameters() if p.grad is not None}


def everything(rank: int | None) -> dict[str, dict[str, Tensor]]:
    results: dict[str, Any] = {f"gather, {name}": gathered(name, rank) for name in SPLITS}
    results |= {f"penalty, {name}": penalised(name, rank) for name in SPLITS}
    results |= {"centers": centers(rank), "contrasted": contrasted(rank), "training step": training_step(rank)}
    return results | ({"sharded": sharded(rank)} if SHARDS else {})


def work(rank: int, folder: str) -> None:
    """One process of two. They connect through a file, without a port."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    try:
        torch.save(everything(rank), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
