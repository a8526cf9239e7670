"""What a step costs a GPU's host, counted on a CPU: operators that are dispatched, and values that are read.

An operator stands in for the launch of a kernel. A read waits for the device, whether a value is asked for by name
(`item`, `tolist`) or decides a shape (`nonzero`, `unique`, a boolean index).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READS = frozenset(
    {"_local_scalar_dense", "item", "nonzero", "equal", "is_nonzero", "masked_select"}
    | {"unique_dim", "_unique2", "unique_consecutive", "unique_dim_consecutive", "most_frequent"}
)
"""Operators that wait for the device, by name; one of the library's own is among them."""
VIEWS = frozenset(
    {"view", "_unsafe_view", "expand", "permute", "transpose", "t", "slice", "select", "unsqueeze", "squeeze"}
    | {"detach", "alias", "as_strided", "unbind", "split", "split_with_sizes", "unfold", "diagonal", "empty"}
    | {"empty_like", "new_empty", "empty_strided", "new_empty_strided", "lift_fresh", "_reshape_alias", "resize_"}
)
"""Operators that launch nothing: another look at the same memory, or memory alone."""
OWN = tuple(f"/{folder}/" for folder in ("concordant", "vireid", "accelerate", "timm"))


class Operators(TorchDispatchMode):
    """Count the operators below autograd, forward and backward, while the context is open.

    >>> with Operators() as counted:
    ...     _ = torch.ones(3).cumsum(0).sum().item()
    >>> counted.launches, counted.reads
    (3, 1)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        """Launches, by the nearest line of the library, the examples or their trainers' packages."""
        self.read_lines: Counter[str] = Counter()

    @property
    def launches(self) -> int:
        return sum(number for name, number in self.names.items() if name not in READS)

    @property
    def reads(self) -> int:
        return sum(self.read_lines.values())

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = function.name().split("::")[1].split(".")[0]
        boolean = name == "index" and any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1])
        if name in READS or boolean:
            self.read_lines[f"{name} {_line()}"] += 1
        elif name not in VIEWS:
            self.names[name] += 1
            self.lines[_line()] += 1
        return function(*args, **(kwargs or {}))

    def table(self, most: int = 30) -> str:
        """The lines that read, and those that launch most."""
        rows = [f"{number:6} {what}" for what, number in self.read_lines.most_common(most)]
        rows += ["", *(f"{number:6} {line}" for line, number in self.lines.most_common(most))]
        return "\n".join(rows)


def _line() -> str:
    """The innermost frame in the packages of `OWN`; in a backward pass, the line that asked for it."""
    frame: Any = sys._getframe(2)
    while frame is not None and not any(part in frame.f_code.co_filename for part in OWN):
        frame = frame.f_back
    if frame is None:
        return "elsewhere"
    path = Path(frame.f_code.co_filename)
    return f"{path.parent.name}/{path.name}:{frame.f_lineno}"


def count(do: Callable[[], object]) -> Operators:
    """The operators of a call."""
    counted = Operators()
    with counted:
        do()
    return counted
