"""TSAA: target-aware, style-agnostic attention of parts on tokens."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from concordant._checks import as_sizes, check_choice, check_number, checked
from concordant._mask import check_mask, keep
from concordant.layers.attention import PartAttention, PartQueries
from concordant.layers.instance_norm import instance_norm


class TSAA(PartAttention):
    """Let parts, of this image or of another, find and refine their regions among an image's tokens.

    Equation::

        A(T; P) = S(T, P) T ⊗ M(P; θ3)
        S(T, P) = softmax(P̂ T̂ᵀ / √d)          over tokens
        T̂ = M(IN(T); θ1),  P̂ = M(IN(P); θ2)

    M are perceptrons with one hidden layer, IN is `instance_norm`: a change of any channel's positive scale or its
    shift in the tokens (the gap between modalities, seen as style) leaves the attention as it was. A change of sign
    does not: what is bright in one modality and dark in the other must be learnt by the backbone.

    Args:
        channels: `c` of tokens and parts.
        dim: `d`, the width of queries and keys; by default `channels`, at most 256.
        channel_gate: with False, `M(P; θ3)` is 1: an ablation.
        reduction_ratio: the gate's hidden layer has `channels / reduction_ratio` units.
        instance_norm: True normalises both sides; "tokens" or "parts" that side alone; False neither. Over a single
            part, IN without a `norm_source` gives zeros.
        sharpness: the mean logit of a token under its own query, when training starts.
        eps: ε of IN.

    Shape: tokens (b, t, c), parts (b, p, c), norm_source (b, s, c) → Refined(features (b, p, c), attention (b, p, t),
    keys (b, t, d), part_queries). Tokens need no grid. `norm_source` is usually the tokens that the parts were mined
    from: its statistics then replace the parts' own, which are noisy over a few parts. Padding is told by masks, as
    `PartAttention` has them.

    Raises: ValueError for bad settings, shapes that do not fit, or integer types.

    Where the paper is silent: the shapes of the perceptrons (θ1, θ2: c → d → d; θ3: c → c/4 → c with a sigmoid at
    its end) and the initialisation. The usual initialisation of linear layers gives logits near zero: a uniform
    attention, which training does not leave. Here θ1 and θ2 start *equal* (they are separate afterwards) and keep the
    variance, so the logits start as a similarity of tokens; the last layer's scale makes their size independent of d.

    FAQ: `queries` P̂ and `keys` T̂ are attention's usual words; the values are the tokens themselves.

    Reference: CAL (ICCV 2023), TSAA.

    >>> tsaa = TSAA(8)
    >>> refined = tsaa(torch.randn(2, 12, 8), torch.randn(2, 3, 8))
    >>> refined.features.shape, refined.attention.shape
    (torch.Size([2, 3, 8]), torch.Size([2, 3, 12]))
    """

    def __init__(
        self,
        channels: int,
        dim: int | None = None,
        *,
        channel_gate: bool = True,
        reduction_ratio: int = 4,
        instance_norm: bool | Literal["tokens", "parts"] = True,
        sharpness: float = 10.0,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        (self.channels,) = as_sizes("TSAA", channels=channels)
        self.dim, self.reduction_ratio = as_sizes(
            "TSAA", dim=min(self.channels, 256) if dim is None else dim, reduction_ratio=reduction_ratio
        )
        check_choice("TSAA", "instance_norm", instance_norm, (True, False, "tokens", "parts"))
        check_number("TSAA", sharpness=sharpness, eps=eps, above=0)
        self.instance_norm, self.sharpness, self.eps = instance_norm, sharpness, eps

        def perceptron(hidden: int, out: int) -> nn.Sequential:
            first = nn.Linear(self.channels, hidden, device=device, dtype=dtype)
            return nn.Sequential(first, nn.ReLU(), nn.Linear(hidden, out, device=device, dtype=dtype))

        self.token_mlp = perceptron(self.dim, self.dim)
        self.part_mlp = perceptron(self.dim, self.dim)
        hidden = max(self.channels // self.reduction_ratio, 1)
        self.gate_mlp = perceptron(hidden, self.channels) if channel_gate else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """θ1 keeps the variance, θ2 starts as its copy, θ3 starts with every gate near one half."""
        gain = math.sqrt(self.sharpness) / self.dim**0.25
        _reset_perceptron(self.token_mlp, gain)
        self.part_mlp.load_state_dict(self.token_mlp.state_dict())
        if self.gate_mlp is not None:
            _reset_perceptron(self.gate_mlp, 1.0)

    @checked(c="channels")
    def encode_tokens(
        self, tokens: Float[Tensor, "b t c"], mask: Bool[Tensor, "b t"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """Keys `T̂ = M(IN(T); θ1)`; `mask` says which tokens are real."""
        normed = self._norm(tokens, None, mask) if self.instance_norm in (True, "tokens") else keep(tokens, mask)
        return cast(Tensor, self.token_mlp(normed))

    @checked(c="channels")
    def encode_parts(
        self,
        parts: Float[Tensor, "b p c"],
        norm_source: Float[Tensor, "b s c"] | None = None,
        mask: Bool[Tensor, "b s"] | None = None,
    ) -> PartQueries:
        """Queries `P̂ = M(IN(P); θ2)` and the channel gate `M(P; θ3)`.

        `mask` says what is real of the `norm_source`, or of the parts without one.
        """
        check_mask("TSAA.encode_parts", mask, (parts if norm_source is None else norm_source).shape[1])
        if norm_source is None:
            parts = keep(parts, mask)
        normed = self._norm(parts, norm_source, mask) if self.instance_norm in (True, "parts") else parts
        gates = parts.new_ones(()).expand_as(parts) if self.gate_mlp is None else self.gate_mlp(parts).sigmoid()
        return PartQueries(self.part_mlp(normed), gates)

    def _norm(self, features: Tensor, source: Tensor | None, mask: Tensor | None) -> Tensor:
        # Statistics are float32; the perceptrons read what their weights are (autocast casts for itself).
        return instance_norm(features, source, mask=mask, eps=self.eps).to(features.dtype)

    def extra_repr(self) -> str:
        gate = self.gate_mlp is not None
        return (
            f"{self.channels}, {self.dim}, channel_gate={gate}, reduction_ratio={self.reduction_ratio}, "
            f"instance_norm={self.instance_norm!r}, sharpness={self.sharpness}, eps={self.eps}"
        )


def _reset_perceptron(perceptron: nn.Sequential, gain: float) -> None:
    """He initialisation: inputs of unit variance give outputs of variance `gain²`."""
    first, last = cast(nn.Linear, perceptron[0]), cast(nn.Linear, perceptron[2])
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    nn.init.normal_(last.weight, std=gain / math.sqrt(last.in_features))
    nn.init.zeros_(first.bias)
    nn.init.zeros_(last.bias)
