"""Images as target-aware retrieval needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from concordant._checks import as_integer, require
from concordant.layers.attention import PartQueries


@dataclass(frozen=True)
class Encoded:
    """n images as target-aware retrieval needs them, computed once an image: see `CAL.encode`.

    `len(encoded)` is n, `encoded[index]` selects images by a slice, an integer, a mask or a tensor of indices,
    `encoded.to(…)` moves and converts as `Tensor.to`, and `Encoded.cat` puts several together.

    >>> parts = PartQueries(queries=torch.ones(5, 2, 4), gates=torch.ones(5, 2, 8))
    >>> encoded = Encoded(torch.randn(5, 12, 8), torch.randn(5, 12, 4), parts)
    >>> len(encoded), len(encoded[1:3]), len(encoded[0]), len(Encoded.cat([encoded, encoded[:2]]))
    (5, 2, 1, 7)
    """

    tokens: Float[Tensor, "n t c"]
    """T."""
    keys: Float[Tensor, "n t d"]
    """T̂."""
    part_queries: PartQueries
    """P̂ (n, p, d) and the channel gates (n, p, c)."""

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: SupportsIndex | slice | Tensor) -> Encoded:
        """The images of an index; an integer gives one image, still with its first dimension."""
        if (one := as_integer(index)) is not None:
            one = range(len(self))[one]  # an IndexError beyond the end, so that iteration ends
            index = slice(one, one + 1)
        return self._map(lambda tensor: tensor[index])

    def to(self, *args: Any, **kwargs: Any) -> Encoded:
        """The same images on another device or of another type."""
        return self._map(lambda tensor: tensor.to(*args, **kwargs))

    @staticmethod
    def cat(several: Sequence[Encoded]) -> Encoded:
        """The images of several, one after another.

        Raises: ValueError for none.
        """
        require(len(several) > 0, "Encoded.cat", "`several` must hold at least one", "none")
        for one in several:
            require(isinstance(one, Encoded), "Encoded.cat", "`several` must be `Encoded`", type(one).__name__)
        columns = zip(*(one._tensors() for one in several), strict=True)
        return _from_tensors([torch.cat(column) for column in columns])

    def _map(self, function: Callable[[Tensor], Tensor]) -> Encoded:
        return _from_tensors([function(tensor) for tensor in self._tensors()])

    def _tensors(self) -> list[Tensor]:
        return [self.tokens, self.keys, *self.part_queries]


def _from_tensors(tensors: Sequence[Tensor]) -> Encoded:
    tokens, keys, queries, gates = tensors
    return Encoded(tokens, keys, PartQueries(queries, gates))


# A tree of tensors, for compiled and exported graphs that return it.
torch.export.register_dataclass(Encoded, serialized_type_name="concordant.Encoded")
