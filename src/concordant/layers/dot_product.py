"""Plain dot-product attention of parts on tokens: what TSAA replaces."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import checked
from concordant._mask import check_mask
from concordant.layers.attention import PartAttention, PartQueries


class DotProductAttention(PartAttention):
    """The baseline attention, with the interface of `TSAA` and no parameters.

    Equation: `Attn(T; P) = softmax(P Tᵀ / √d) T`, with `d = c`.

    Shape: tokens (b, t, c), parts (b, p, c) → Refined(features (b, p, c), attention (b, p, t), keys (b, t, c),
    part_queries). Padding is told by masks, as `PartAttention` has them. `norm_source` is accepted, as by TSAA, and not
    used.

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), the "intuitive way" that TSAA is compared with.

    >>> import torch
    >>> DotProductAttention()(torch.ones(1, 4, 8), torch.ones(1, 2, 8)).attention[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def reset_parameters(self) -> None:
        """No parameters."""

    @checked()
    def encode_tokens(
        self, tokens: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t c"]:
        """The tokens are the keys; `mask` is accepted, as by TSAA, and not used: `attend` leaves padding out."""
        return tokens

    @checked()
    def encode_parts(
        self,
        parts: Float[Tensor, "b p c"],
        norm_source: Float[Tensor, "b s c"] | None = None,
        mask: Bool[Tensor, "b s"] | None = None,
    ) -> PartQueries:
        """The parts are the queries; each gate is 1. `norm_source` and its `mask` are not used."""
        check_mask("DotProductAttention.encode_parts", mask, (parts if norm_source is None else norm_source).shape[1])
        return PartQueries(parts, parts.new_ones(()).expand_as(parts))
