"""What each attention by parts shares: its types, the softmax over tokens, and the weighted mean."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import check_shapes, checked, require
from concordant._mask import keep, masked_softmax
from concordant._module import Module
from concordant._precision import check_types, full_precision, upcast


class PartQueries(NamedTuple):
    """All that an attention needs of the parts, computed once an image."""

    queries: Float[Tensor, "b p d"]
    """P̂."""
    gates: Float[Tensor, "b p c"]
    """M(P; θ3): the factor of each channel, for each part."""


class Refined(NamedTuple):
    """Parts refined on the tokens of an image, and what they were read with."""

    features: Float[Tensor, "b p c"]
    """A(T; P): each part's feature, refined on the tokens."""
    attention: Float[Tensor, "b p t"]
    """S(T, P): each part's distribution over the tokens."""
    keys: Float[Tensor, "b t d"]
    """T̂ of the tokens."""
    part_queries: PartQueries
    """P̂ of the parts, and their gates."""


@checked()
def spatial_similarity(
    queries: Float[Tensor, "b p d"], keys: Float[Tensor, "b t d"], mask: Bool[Tensor, "b t"] | None = None
) -> Float[Tensor, "b p t"]:
    """How each part's attention is spread over the tokens.

    Equation: `S = softmax(P̂ T̂ᵀ / √d)` over tokens, the softmax in float32 or wider.

    Args:
        queries: P̂, (b, p, d).
        keys: T̂, (b, t, d).
        mask: (b, t), True for a real token. Padding has exactly zero attention.

    Shape: queries (b, p, d), keys (b, t, d) → attention (b, p, t), each part's summing to 1 over tokens.

    Raises: ValueError for shapes that do not fit or integer types.

    Edge cases: in a row without any real token all attention is zero.

    Reference: CAL (ICCV 2023), the similarity S(T, P) of TSAA.

    >>> spatial_similarity(torch.zeros(1, 1, 4), torch.randn(1, 2, 4)).tolist()
    [[[0.5, 0.5]]]
    >>> spatial_similarity(torch.zeros(1, 1, 4), torch.randn(1, 3, 4), torch.tensor([[True, False, True]])).tolist()
    [[[0.5, 0.0, 0.5]]]
    """
    check_types("spatial_similarity", queries=queries, keys=keys)
    with full_precision(queries):
        if not queries.dtype == keys.dtype == torch.bfloat16:  # in float16 moderate numbers overflow
            queries, keys = upcast(queries), upcast(keys)
        logits = (queries / math.sqrt(queries.shape[2])) @ keys.transpose(1, 2)
        return masked_softmax(upcast(logits), mask)


@checked()
def refine(
    tokens: Float[Tensor, "b t c"], attention: Float[Tensor, "b p t"], gates: Float[Tensor, "b p c"]
) -> Float[Tensor, "b p c"]:
    """Average the tokens under each part's attention, and gate the channels.

    Equation: `A = S T ⊗ M(P; θ3)`, ⊗ channel by channel.

    Shape: tokens (b, t, c), attention (b, p, t), gates (b, p, c) → features (b, p, c).

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), the refinement A(T; P) of TSAA.

    >>> tokens, attention = torch.tensor([[[2.0], [4.0]]]), torch.tensor([[[0.5, 0.5]]])
    >>> refine(tokens, attention, torch.tensor([[[10.0]]])).tolist()
    [[[30.0]]]
    """
    return (attention.to(tokens.dtype) @ tokens) * gates.to(tokens.dtype)


@checked()
def gate_attention(
    keys: Float[Tensor, "b t d"], part_queries: PartQueries, log_gate: Float[Tensor, "b t"]
) -> tuple[Tensor, PartQueries]:
    """Keys and queries whose attention is that of the given ones, with log s added to every logit.

    Equation: `⟨√((d+1)/d) P̂ ⊕ √(d+1), T̂ ⊕ log s⟩ / √(d+1) = ⟨P̂, T̂⟩ / √d + log s`, ⊕ one more channel.

    The gate belongs to the tokens: parts of another image, which read these keys, see it too.

    Args:
        keys: T̂, (b, t, d).
        part_queries: P̂ and the channel gates of parts.
        log_gate: log s, (b, t).

    Shape: → keys (b, t, d + 1), part_queries with queries (b, p, d + 1).

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: none; our addition.

    >>> keys, queries = gate_attention(torch.zeros(1, 2, 4), PartQueries(torch.zeros(1, 3, 4), torch.ones(1, 3, 8)),
    ...     torch.zeros(1, 2))
    >>> keys.shape, queries.queries.shape
    (torch.Size([1, 2, 5]), torch.Size([1, 3, 5]))
    """
    queries, d = part_queries.queries, keys.shape[2]
    check_shapes("gate_attention", keys=(keys, "b t d"), queries=(queries, "b p d"))
    longer = torch.cat([keys, log_gate.to(keys.dtype)[:, :, None]], dim=2)
    constant = queries.new_full((), (d + 1) ** 0.5).expand(*queries.shape[:2], 1)
    queries = torch.cat([queries * ((d + 1) / d) ** 0.5, constant], dim=2)
    return longer, PartQueries(queries, part_queries.gates)


class PartAttention(Module[Refined], ABC):
    """What `TSAA` and `DotProductAttention` share, and any attention for `CAL(attention=)`.

    Equation: `A(T; P) = softmax(P̂ T̂ᵀ / √d) T ⊗ M(P)`, over tokens; ⊗ channel by channel.

    A subclass says how tokens become keys T̂ (`encode_tokens`) and parts become queries P̂ and gates M(P)
    (`encode_parts`). Both are computed once an image; `attend` then reads any parts on any tokens. It is the equation,
    and no subclass may change it: target-aware similarity computes it for all pairs in a way of its own.

    Shape: tokens (b, t, c), parts (b, p, c), norm_source (b, s, c), log_gate (b, t) → Refined(features (b, p, c),
    attention (b, p, t), keys (b, t, d), part_queries). With a `log_gate`, of a `TokenGate`, it is added to every part's
    logits; keys and queries have one more channel then.

    Padding: `mask` (b, t) is True for the real tokens, `part_mask` (b, p) for the real parts, and `norm_mask` (b, s)
    for the real rows of the `norm_source`. Padding, any finite numbers, has no attention and is in no statistics. A row
    without a real token has zero features. What is given for a part that is padding, or as the key of such a token,
    means nothing.

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), TSAA.

    >>> class Halves(PartAttention):
    ...     def encode_tokens(self, tokens, mask=None):
    ...         return tokens
    ...     def encode_parts(self, parts, norm_source=None, mask=None):
    ...         return PartQueries(parts, torch.full_like(parts, 0.5))
    >>> Halves()(torch.ones(1, 4, 8), torch.ones(1, 2, 8)).features[0, 0, 0].item()
    0.5
    """

    @checked()
    def forward(
        self,
        tokens: Float[Tensor, "b t c"],
        parts: Float[Tensor, "b p c"],
        norm_source: Float[Tensor, "b s c"] | None = None,
        log_gate: Float[Tensor, "b t"] | None = None,
        *,
        mask: Bool[Tensor, "b t"] | None = None,
        part_mask: Bool[Tensor, "b p"] | None = None,
        norm_mask: Bool[Tensor, "b s"] | None = None,
    ) -> Refined:
        alone = norm_mask is not None and norm_source is None
        require(not alone, type(self).__name__, "`norm_mask` must come with its `norm_source`", "no `norm_source`")
        keys = self.encode_tokens(tokens, mask)
        source_mask = part_mask if norm_source is None else norm_mask
        part_queries = self.encode_parts(keep(parts, part_mask), norm_source, source_mask)
        if log_gate is not None:
            keys, part_queries = gate_attention(keys, part_queries, log_gate)
        return self.attend(tokens, keys, part_queries, mask)

    @abstractmethod
    def encode_tokens(
        self, tokens: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """Keys T̂; `mask` says which tokens are real."""

    @abstractmethod
    def encode_parts(
        self,
        parts: Float[Tensor, "b p c"],
        norm_source: Float[Tensor, "b s c"] | None = None,
        mask: Bool[Tensor, "b s"] | None = None,
    ) -> PartQueries:
        """Queries P̂ and gates M(P); `mask` says what is real of the `norm_source`, or of the parts without one."""

    @staticmethod
    def attend(
        tokens: Float[Tensor, "b t c"],
        keys: Float[Tensor, "b t d"],
        part_queries: PartQueries,
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> Refined:
        """`A = softmax(P̂ T̂ᵀ / √d) T ⊗ M(P)`, from encoded tokens and parts; no parameters."""
        attention = spatial_similarity(part_queries.queries, keys, mask)
        return Refined(refine(tokens, attention, part_queries.gates), attention, keys, part_queries)
