"""torch's modules with a type for what a call returns: `nn.Module` itself says Any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torch import nn

R = TypeVar("R", covariant=True)


class Module(nn.Module, Generic[R]):
    """A module whose call returns R: `class TopKAggregator(Module[MinedParts])`."""

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> R: ...
