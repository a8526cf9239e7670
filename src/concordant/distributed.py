"""Rows of all processes, with the right gradient."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather

from concordant._checks import require


def world_size() -> int:
    """How many processes train together; 1 where none were started."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


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
    if tensor.is_floating_point() and tensor.requires_grad:
        gathered = list(all_gather(padded))  # type: ignore[no-untyped-call]
    else:
        gathered = [torch.empty_like(padded) for _ in rows]
        dist.all_gather(gathered, padded)
    return torch.cat([part[:n] for part, n in zip(gathered, rows, strict=True)])
