"""Where a value may be looked at: on a CPU, where no look waits, and outside of what is compiled or transformed."""

from __future__ import annotations

import torch
from torch import Tensor


def may_look(tensor: Tensor) -> bool:
    """Whether a look at the tensor's values waits for nothing, and decides for no other tensor than this one."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active() or torch._C._get_tracing_state():
        return False
    intercepted = torch._C._len_torch_dispatch_stack() > 0  # by a mode, such as that of fake tensors
    return type(tensor) is Tensor and tensor.device.type == "cpu" and not intercepted
