"""Images as target-aware retrieval needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, SupportsIndex

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.fx._pytree import register_pytree_flatten_spec

from concordant._checks import as_integer, require
from concordant.distributed import gather, world_size
from concordant.layers.attention import PartQueries


@dataclass(frozen=True)
class Encoded:
    """n images, or other sets of tokens, as target-aware retrieval needs them: see `CAL.encode`.

    They are computed once an image. `len(encoded)` is n, `encoded[index]` selects images by a slice, an integer, a mask
    or a tensor of indices, `encoded.split(size)` gives them in pieces, `encoded.to(…)` moves and converts as
    `Tensor.to`, `Encoded.cat` puts several together, and `encoded.gather()` those of all processes.

    >>> parts = PartQueries(queries=torch.ones(5, 2, 4), gates=torch.ones(5, 2, 8))
    >>> encoded = Encoded(torch.randn(5, 12, 8), torch.randn(5, 12, 4), parts)
    >>> len(encoded), len(encoded[1:3]), len(encoded[0]), len(Encoded.cat([encoded, encoded[:2]]))
    (5, 2, 1, 7)
    >>> longer = Encoded(torch.randn(1, 13, 8), torch.randn(1, 13, 4))
    >>> both = Encoded.cat([encoded, longer])
    >>> both.tokens.shape, both.mask.sum(dim=1).tolist(), both.part_mask.sum(dim=1).tolist()
    (torch.Size([6, 13, 8]), [12, 12, 12, 12, 12, 13], [2, 2, 2, 2, 2, 0])
    """

    tokens: Float[Tensor, "n t c"]
    """T."""
    keys: Float[Tensor, "n t d"]
    """T̂."""
    part_queries: PartQueries = None  # type: ignore[assignment]
    """P̂ (n, p, d) and the channel gates (n, p, c). By default p = 0: for what is only read by the parts of others."""
    mask: Bool[Tensor, "n t"] | None = None
    """True for a real token; all are without it."""
    part_mask: Bool[Tensor, "n p"] | None = None
    """True for a real part; all are without it."""

    def __post_init__(self) -> None:
        if self.part_queries is None:
            none = [x.new_zeros(len(x), 0, x.shape[2]) for x in (self.keys, self.tokens)]
            object.__setattr__(self, "part_queries", PartQueries(*none))

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: SupportsIndex | slice | Tensor) -> Encoded:
        """The images of an index; an integer gives one image, still with its first dimension."""
        if (one := as_integer(index)) is not None:
            one = range(len(self))[one]  # an IndexError beyond the end, so that iteration ends
            index = slice(one, one + 1)
        return self._map(lambda tensor: tensor[index])

    def split(self, size: int) -> list[Encoded]:
        """Pieces of so many images, the last one of what is left."""
        return [self._with(piece) for piece in zip(*(x.split(size) for x in self.tensors()), strict=True)]

    def to(self, *args: Any, **kwargs: Any) -> Encoded:
        """The same images on another device or of another type; masks stay boolean."""

        def moved(tensor: Tensor) -> Tensor:
            there: Tensor = tensor.to(*args, **kwargs)
            return there.bool() if tensor.dtype == torch.bool else there

        return self._map(moved)

    def tensors(self) -> list[Tensor]:
        """The tensors that there are, in the order of the fields."""
        return [self.tokens, self.keys, *self.part_queries, *(x for x in (self.mask, self.part_mask) if x is not None)]

    @staticmethod
    def cat(several: Sequence[Encoded]) -> Encoded:
        """The images of several, one after another.

        Those with fewer tokens or parts are padded to the longest, and masks say what is real.

        Raises: ValueError for none.
        """
        require(len(several) > 0, "Encoded.cat", "`several` must hold at least one", "none")
        for one in several:
            require(isinstance(one, Encoded), "Encoded.cat", "`several` must be `Encoded`", type(one).__name__)
        sizes = [one._sizes() for one in several]
        padded = [one._padded(sizes) for one in several]
        columns = zip(*(one.tensors() for one in padded), strict=True)
        return padded[0]._with([torch.cat(column) for column in columns])

    def gather(self) -> Encoded:
        """The images of all processes, in the order of their ranks: `distributed.gather`, with its gradients.

        Each process may bring another number of images, tokens and parts: they are padded as by `cat`. Alone, it gives
        back the images themselves.
        """
        if world_size() == 1:
            return self
        sizes = gather(torch.tensor([self._sizes()], device=self.tokens.device)).tolist()
        padded = self._padded(sizes)
        return padded._with(gather(*padded.tensors()))

    def _sizes(self) -> tuple[int, int, bool, bool]:
        """The numbers of tokens and parts, and whether there are masks of them."""
        p = self.part_queries.queries.shape[1]
        return self.tokens.shape[1], p, self.mask is not None, self.part_mask is not None

    def _padded(self, sizes: Sequence[Sequence[int]]) -> Encoded:
        """As long as the longest of several that have these sizes, with masks where they need them."""
        t, p, masked, part_masked = map(max, zip(*sizes, strict=True))
        tokens, keys, mask = _pad(self.tokens, t), _pad(self.keys, t), self.mask
        queries, part_mask = PartQueries(*(_pad(x, p) for x in self.part_queries)), self.part_mask
        if masked or any(size[0] < t for size in sizes):
            mask = _pad(self.tokens.new_ones(self.tokens.shape[:2], dtype=torch.bool) if mask is None else mask, t)
        if part_masked or any(size[1] < p for size in sizes):
            real = self.part_queries.queries.new_ones(len(self), self._sizes()[1], dtype=torch.bool)
            part_mask = _pad(real if part_mask is None else part_mask, p)
        return Encoded(tokens, keys, queries, mask, part_mask)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Encoded:
        return self._with([function(tensor) for tensor in self.tensors()])

    def _with(self, tensors: Sequence[Tensor]) -> Encoded:
        """Others in the place of these."""
        tokens, keys, queries, gates, *masks = tensors
        mask = None if self.mask is None else masks[0]
        part_mask = None if self.part_mask is None else masks[-1]
        return Encoded(tokens, keys, PartQueries(queries, gates), mask, part_mask)


def _pad(tensor: Tensor, length: int) -> Tensor:
    """Zeros, or False, behind what stands along the second dimension."""
    missing = length - tensor.shape[1]
    return F.pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, missing)) if missing else tensor


# A tree of tensors, for compiled and exported graphs that take or return it.
torch.export.register_dataclass(Encoded, serialized_type_name="concordant.Encoded")
# Exported graphs of torch 2.6 take no dataclass without this.
register_pytree_flatten_spec(
    Encoded,
    lambda images, spec: [x for field in fields(images) if (x := getattr(images, field.name)) is not None],
)
