"""Plain dot-product attention of parts on tokens: what TSAA replaces."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import check_floating, check_shapes
from concordant.layers.attention import PartQueries, Refined, refine, spatial_similarity


class DotProductAttention(nn.Module):
    """The baseline attention, with the interface of `TSAA` and nothing to learn.

    Equation: `Attn(T; P) = softmax(P Tᵀ / √d) T`, with `d = c`.

    Shape: tokens (b, t, c), parts (b, p, c) → Refined(features (b, p, c), attention (b, p, t)). `source` is taken,
    as TSAA takes it, and not used.

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), the "intuitive way" that TSAA is compared with.

    >>> import torch
    >>> DotProductAttention()(torch.ones(1, 4, 8), torch.ones(1, 2, 8)).attention[0, 0].tolist()
    [0.25, 0.25, 0.25, 0.25]
    """

    def reset_parameters(self) -> None:
        """Nothing is learnt here."""

    def forward(
        self,
        tokens: Float[Tensor, "b t c"],
        parts: Float[Tensor, "b p c"],
        source: Float[Tensor, "b s c"] | None = None,
    ) -> Refined:
        check_shapes("DotProductAttention", tokens=(tokens, "b t c"), parts=(parts, "b p c"))
        return self.attend(tokens, self.encode_tokens(tokens), self.encode_parts(parts, source))

    def encode_tokens(self, tokens: Float[Tensor, "b t c"]) -> Float[Tensor, "b t c"]:
        """The tokens are the keys."""
        check_floating("DotProductAttention", tokens=tokens)
        return tokens

    def encode_parts(self, parts: Float[Tensor, "b p c"], source: Float[Tensor, "b s c"] | None = None) -> PartQueries:
        """The parts are the queries; every gate is 1."""
        check_floating("DotProductAttention", parts=parts)
        return PartQueries(parts, parts.new_ones(()).expand_as(parts))

    def attend(
        self, tokens: Float[Tensor, "b t c"], keys: Float[Tensor, "b t d"], part_queries: PartQueries
    ) -> Refined:
        """`softmax(P Tᵀ / √d) T`."""
        attention = spatial_similarity(part_queries.queries, keys)
        return Refined(refine(tokens, attention, part_queries.gates), attention)
