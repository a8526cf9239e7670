"""Rows of all processes, with the right gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from concordant._checks import require


def world_size() -> int:
    """How many processes train together; 1 where none were started."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_count(count: Tensor) -> Tensor:
    """The mean over processes of a number of rows (0-dimensional).

    A sum over own rows, divided by this, is a process' share of the mean over all rows of all processes:
    DistributedDataParallel's mean of the shares, and of their gradients, is that of one process on the whole batch.

    >>> mean_count(torch.tensor(8.0)).item()
    8.0
    """
    if world_size() == 1:
        return count
    total = count.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


class _Gather(torch.autograd.Function):
    """Equally many rows of every process; backward, the sum of what all processes ask of this one's rows."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> tuple[Tensor, ...]:
        gathered = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, tensor)
        return tuple(gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        asked = torch.stack(gradients)
        dist.all_reduce(asked)
        return asked[dist.get_rank()]


def gather(tensor: Tensor) -> Tensor:
    """Concatenate a tensor's rows over all processes, in the order of their ranks.

    Every process computes the same loss on the gathered rows; the backward pass sums what all of them ask of a row,
    and DistributedDataParallel's mean over processes then gives the gradients that one process would have on the
    whole batch: nothing is to be rescaled. Processes may bring different numbers of rows. Without several processes
    the tensor itself comes back.

    Args:
        tensor: (n, …), of the same type and trailing shape in every process.

    Shape: (n, …) → (N, …), N the sum of every process' n.

    Raises: ValueError for a tensor without rows to concatenate (0-dimensional).

    >>> gather(torch.arange(3)).tolist()
    [0, 1, 2]
    """
    require(tensor.dim() > 0, "gather", "`tensor` must have rows", "a 0-dimensional tensor")
    if world_size() == 1:
        return tensor
    own = torch.tensor([tensor.shape[0]], device=tensor.device)
    sizes = [torch.zeros_like(own) for _ in range(world_size())]
    dist.all_gather(sizes, own)
    rows = [int(size) for size in sizes]
    padding = tensor.new_zeros(max(rows) - tensor.shape[0], *tensor.shape[1:])
    padded = torch.cat([tensor, padding]).contiguous()
    gathered = _Gather.apply(padded)
    return torch.cat([part[:n] for part, n in zip(gathered, rows, strict=True)])
