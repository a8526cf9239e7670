"""Rows of all processes, with the right gradient."""

from __future__ import annotations

from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor

from concordant._checks import require


def world_size() -> int:
    """How many processes train together; 1 where none were started."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_count(count: Tensor) -> Tensor:
    """The mean over processes of a number of rows (0-dimensional).

    A sum over the rows of one process, divided by this, is its share of the mean over all rows of all processes:
    DistributedDataParallel's mean of the shares, and of their gradients, is that of one process on the whole batch.

    >>> mean_count(torch.tensor(8.0)).item()
    8.0
    """
    if world_size() == 1:
        return count
    total = count.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


@overload
def gather(tensor: Tensor, /) -> Tensor: ...
@overload
def gather(first: Tensor, second: Tensor, /, *others: Tensor) -> tuple[Tensor, ...]: ...
def gather(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Concatenate the rows of tensors over all processes, in the order of their ranks.

    Each process computes the same loss on the gathered rows; the gradient of a row is the sum of the gradients from
    all ranks, and DistributedDataParallel's mean over processes then gives the gradients of one process on the whole
    batch: rescale nothing. Second derivatives are right, too. Processes may bring different numbers of rows. Without
    several processes the tensors are returned unchanged.

    Args:
        tensors: (n, …), of equal n within a process, and of one type and trailing shape over all processes.

    Shape: (n, …) → (N, …), N the sum of n over all processes; a tuple for more than one tensor.

    Raises: ValueError for a tensor without rows to concatenate (0-dimensional), or another number of rows.

    >>> gather(torch.arange(3)).tolist()
    [0, 1, 2]
    """
    for tensor in tensors:
        require(isinstance(tensor, Tensor), "gather", "`tensors` must be tensors", type(tensor).__name__)
        require(tensor.dim() > 0, "gather", "`tensors` must have rows", "a 0-dimensional tensor")
        require(len(tensor) == len(tensors[0]), "gather", "`tensors` must have as many rows as the first", len(tensor))
    if world_size() > 1:
        own = torch.tensor([len(tensors[0])], device=tensors[0].device)
        sizes = [torch.zeros_like(own) for _ in range(world_size())]
        dist.all_gather(sizes, own)
        counts = [int(size) for size in sizes]
        first = sum(counts[: dist.get_rank()])
        tensors = tuple(_spread(tensor, first, sum(counts)) for tensor in tensors)
    return tensors[0] if len(tensors) == 1 else tensors


class _Sum(torch.autograd.Function):
    """The sum over processes. Its gradient is again the sum over processes, so derivatives of any order are right."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient)


def _spread(tensor: Tensor, first: int, total: int) -> Tensor:
    """The rows of all processes: each puts its own at their place, among zeros, and all are summed."""
    values = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
    before, after = (values.new_zeros(n, *values.shape[1:]) for n in (first, total - first - len(values)))
    rows: Tensor = _Sum.apply(torch.cat([before, values, after]))
    return rows.to(tensor.dtype)
