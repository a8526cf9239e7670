"""A token gate: which tokens matter for telling identities apart, whatever part they belong to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from concordant._checks import as_sizes, checked
from concordant._mask import keep, masked_softmax
from concordant._module import Module
from concordant._precision import full_precision, upcast

LOWEST = -8.0
"""Lower bound of log s: a closed gate still lets a gradient through, and half precision holds it."""


class TokenGate(Module[Tensor]):
    """The saliency of each token, by its logarithm.

    Equation: `log s_t = max(log σ(w · LN(T_t) + v), −8)`; LN is a layer norm over the channels.

    `CAL` pools its global feature with s, so that identity and triplet losses teach the gate where identities differ,
    and lets its parts look there: log s, without gradient, is added to the logits of every part's attention.

    Args:
        channels: `c` of the tokens.

    Shape: tokens (b, t, c) → log s (b, t), each in −8 … 0, in float32 or wider. With a `mask` (b, t), True for the real
    tokens, padding has −8.

    Raises: ValueError for bad settings, or tokens of another rank, number of channels or type.

    Reference: none; our addition.

    >>> TokenGate(8)(torch.randn(2, 12, 8)).exp()[0, :3].tolist()
    [0.5, 0.5, 0.5]
    """

    def __init__(
        self, channels: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        (self.channels,) = as_sizes("TokenGate", channels=channels)
        self.norm = nn.LayerNorm(self.channels, device=device, dtype=dtype)
        self.score = nn.Linear(self.channels, 1, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All tokens start with a saliency of one half."""
        self.norm.reset_parameters()
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    @checked(c="channels")
    def forward(self, tokens: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, "b t"]:
        logits = self.score(self.norm(keep(tokens, mask))).squeeze(2)
        with full_precision(logits):
            saliency = F.logsigmoid(upcast(logits)).clamp_min(LOWEST)
            return saliency if mask is None else torch.where(mask, saliency, LOWEST)

    def extra_repr(self) -> str:
        return f"{self.channels}"


@checked()
def pool_tokens(
    tokens: Float[Tensor, "b t c"], log_gate: Float[Tensor, "b t"], mask: Bool[Tensor, "b t"] | None = None
) -> Float[Tensor, "b c"]:
    """The mean of the tokens, weighted by their saliency.

    Equation: `Σ_t s_t T_t / Σ_t s_t`.

    Args:
        tokens: T, (b, t, c).
        log_gate: log s, (b, t), of a `TokenGate`. Zeros give the mean.
        mask: (b, t), True for a real token: the mean is that of the real ones.

    Shape: → (b, c).

    Raises: ValueError for shapes that do not fit or integer types.

    Edge cases: a row without any real token gives zeros. Padding may hold any finite numbers.

    Reference: none; our addition.

    >>> pool_tokens(torch.tensor([[[1.0], [5.0]]]), torch.tensor([[0.0, -8.0]])).round(decimals=2).tolist()
    [[1.0]]
    """
    with full_precision(tokens):
        weights = masked_softmax(upcast(log_gate), mask)
    return (weights.to(tokens.dtype)[:, None] @ tokens).squeeze(1)
