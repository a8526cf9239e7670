"""What every attention by parts shares: its types, the softmax over tokens, and the weighted mean."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from jaxtyping import Float
from torch import Tensor

from concordant._checks import check_floating, check_shapes
from concordant._precision import upcast


class Refined(NamedTuple):
    """Parts as an attention saw them in an image."""

    features: Float[Tensor, "b p c"]
    """A(T; P): each part's feature, refined on the tokens."""
    attention: Float[Tensor, "b p t"]
    """S(T, P): each part's distribution over the tokens."""


class PartQueries(NamedTuple):
    """All that an attention needs of the parts, computed once an image."""

    queries: Float[Tensor, "b p d"]
    """P̂."""
    gates: Float[Tensor, "b p c"]
    """M(P; θ3): what each part makes of each channel."""


class PartAttention(Protocol):
    """What `TSAA` and `DotProductAttention` both are."""

    def __call__(
        self,
        tokens: Float[Tensor, "b t c"],
        parts: Float[Tensor, "b p c"],
        source: Float[Tensor, "b s c"] | None = None,
    ) -> Refined: ...

    def encode_tokens(self, tokens: Float[Tensor, "b t c"]) -> Float[Tensor, "b t d"]: ...

    def encode_parts(
        self, parts: Float[Tensor, "b p c"], source: Float[Tensor, "b s c"] | None = None
    ) -> PartQueries: ...

    def attend(
        self, tokens: Float[Tensor, "b t c"], keys: Float[Tensor, "b t d"], part_queries: PartQueries
    ) -> Refined: ...


def spatial_similarity(queries: Float[Tensor, "b p d"], keys: Float[Tensor, "b t d"]) -> Float[Tensor, "b p t"]:
    """How each part's attention is spread over the tokens.

    Equation: `S = softmax(P̂ T̂ᵀ / √d)` over tokens, the softmax in float32 or wider.

    Shape: queries (b, p, d), keys (b, t, d) → attention (b, p, t), each part's summing to 1 over tokens.

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), the similarity S(T, P) of TSAA.

    >>> import torch
    >>> spatial_similarity(torch.zeros(1, 1, 4), torch.randn(1, 2, 4)).tolist()
    [[[0.5, 0.5]]]
    """
    sizes = check_shapes("spatial_similarity", queries=(queries, "b p d"), keys=(keys, "b t d"))
    check_floating("spatial_similarity", queries=queries, keys=keys)
    # Divided before the product: in float16 a product over d would overflow first.
    logits = (queries / math.sqrt(sizes["d"])) @ keys.transpose(1, 2)
    return upcast(logits).softmax(dim=2)


def refine(
    tokens: Float[Tensor, "b t c"], attention: Float[Tensor, "b p t"], gates: Float[Tensor, "b p c"]
) -> Float[Tensor, "b p c"]:
    """Average the tokens under each part's attention, and gate the channels.

    Equation: `A = S T ⊗ M(P; θ3)`, ⊗ channel by channel.

    Shape: tokens (b, t, c), attention (b, p, t), gates (b, p, c) → features (b, p, c).

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), the refinement A(T; P) of TSAA.

    >>> import torch
    >>> tokens, attention = torch.tensor([[[2.0], [4.0]]]), torch.tensor([[[0.5, 0.5]]])
    >>> refine(tokens, attention, torch.tensor([[[10.0]]])).tolist()
    [[[30.0]]]
    """
    check_shapes("refine", tokens=(tokens, "b t c"), attention=(attention, "b p t"), gates=(gates, "b p c"))
    check_floating("refine", tokens=tokens, attention=attention, gates=gates)
    return (attention.to(tokens.dtype) @ tokens) * gates.to(tokens.dtype)
