"""TSAA: target-aware, style-agnostic attention of parts on tokens."""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import check_floating, check_positive, check_shapes, require
from concordant.layers.attention import PartQueries, Refined, refine, spatial_similarity
from concordant.layers.instance_norm import instance_norm


class TSAA(nn.Module):
    """Let parts, of this image or of another, find and refine their regions among an image's tokens.

    Equation::

        A(T; P) = S(T, P) T ⊗ M(P; θ3)
        S(T, P) = softmax(P̂ T̂ᵀ / √d)          over tokens
        T̂ = M(IN(T); θ1),  P̂ = M(IN(P); θ2)

    M are perceptrons with one hidden layer, IN is `instance_norm`: a change of any channel's scale or shift in the
    tokens (the gap between modalities, seen as style) leaves the attention as it was.

    Args:
        channels: `c` of tokens and parts.
        dim: `d`, the width of queries and keys; by default `channels`, at most 256.
        channel_gate: with False, `M(P; θ3)` is 1: an ablation.
        normalize: with False, IN is left out: an ablation.
        sharpness: the logit that a token gets under its own query, on average, when training starts.
        eps: ε of IN.

    Shape: tokens (b, t, c), parts (b, p, c), source (b, s, c) → Refined(features (b, p, c), attention (b, p, t)).
    Tokens need no grid. `source` is what the parts were mined from: its statistics then stand for the parts' own,
    which are noisy over a handful of parts.

    Raises: ValueError for bad settings, shapes that do not fit, or integer types.

    Where the source is silent: the shapes of the perceptrons (θ1, θ2: c → d → d; θ3: c → c/4 → c with a sigmoid at
    its end) and the initialisation. A linear layer's usual start gives logits near zero, so an attention that is
    uniform and stays so. Here θ1 and θ2 start *equal* (they are separate afterwards) and keep the variance, so the
    logits start as a similarity of tokens; the last layer is scaled so that their size does not depend on d.

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
        normalize: bool = True,
        sharpness: float = 10.0,
        eps: float = 1e-5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive("TSAA", channels=channels)
        dim = min(channels, 256) if dim is None else dim
        check_positive("TSAA", dim=dim)
        require(sharpness > 0, "TSAA", "`sharpness` must be positive", sharpness)
        require(eps > 0, "TSAA", "`eps` must be positive", eps)
        self.channels, self.dim, self.normalize = channels, dim, normalize
        self.sharpness, self.eps = sharpness, eps

        def perceptron(hidden: int, out: int) -> nn.Sequential:
            first = nn.Linear(channels, hidden, device=device, dtype=dtype)
            return nn.Sequential(first, nn.ReLU(), nn.Linear(hidden, out, device=device, dtype=dtype))

        self.token_mlp = perceptron(dim, dim)
        self.part_mlp = perceptron(dim, dim)
        self.gate_mlp = perceptron(max(channels // 4, 1), channels) if channel_gate else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """θ1 keeps the variance, θ2 starts as its copy, θ3 starts with every gate near one half."""
        gain = math.sqrt(self.sharpness) / self.dim**0.25
        _reset_perceptron(self.token_mlp, gain)
        self.part_mlp.load_state_dict(self.token_mlp.state_dict())
        if self.gate_mlp is not None:
            _reset_perceptron(self.gate_mlp, 1.0)

    def forward(
        self,
        tokens: Float[Tensor, "b t c"],
        parts: Float[Tensor, "b p c"],
        source: Float[Tensor, "b s c"] | None = None,
    ) -> Refined:
        check_shapes("TSAA", tokens=(tokens, "b t c"), parts=(parts, "b p c"))
        return self.attend(tokens, self.encode_tokens(tokens), self.encode_parts(parts, source))

    def encode_tokens(self, tokens: Float[Tensor, "b t c"]) -> Float[Tensor, "b t d"]:
        """Keys `T̂ = M(IN(T); θ1)`: once an image, however many attentions read it."""
        self._check("encode_tokens", tokens, "b t c", "tokens")
        return cast(Tensor, self.token_mlp(self._norm(tokens, None)))

    def encode_parts(self, parts: Float[Tensor, "b p c"], source: Float[Tensor, "b s c"] | None = None) -> PartQueries:
        """Queries `P̂ = M(IN(P); θ2)` and the channel gate `M(P; θ3)`: once an image."""
        self._check("encode_parts", parts, "b p c", "parts")
        queries = self.part_mlp(self._norm(parts, source))
        gates = parts.new_ones(()).expand_as(parts) if self.gate_mlp is None else self.gate_mlp(parts).sigmoid()
        return PartQueries(queries, gates)

    def attend(
        self, tokens: Float[Tensor, "b t c"], keys: Float[Tensor, "b t d"], part_queries: PartQueries
    ) -> Refined:
        """`A = softmax(P̂ T̂ᵀ / √d) T ⊗ gates`, from what is encoded."""
        attention = spatial_similarity(part_queries.queries, keys)
        return Refined(refine(tokens, attention, part_queries.gates), attention)

    def _norm(self, features: Tensor, source: Tensor | None) -> Tensor:
        if not self.normalize:
            return features
        # Statistics are float32; the perceptrons read what their weights are (autocast casts for itself).
        return instance_norm(features, source, eps=self.eps).to(features.dtype)

    def _check(self, who: str, features: Tensor, pattern: str, name: str) -> None:
        sizes = check_shapes(f"TSAA.{who}", **{name: (features, pattern)})
        check_floating(f"TSAA.{who}", **{name: features})
        require(sizes["c"] == self.channels, f"TSAA.{who}", f"`{name}` must have {self.channels} channels", sizes["c"])

    def extra_repr(self) -> str:
        gate = self.gate_mlp is not None
        return (
            f"{self.channels}, {self.dim}, channel_gate={gate}, normalize={self.normalize}, "
            f"sharpness={self.sharpness}, eps={self.eps}"
        )


def _reset_perceptron(perceptron: nn.Sequential, gain: float) -> None:
    """He initialisation: inputs of unit variance give outputs of variance `gain²`."""
    first, last = cast(nn.Linear, perceptron[0]), cast(nn.Linear, perceptron[2])
    nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
    nn.init.normal_(last.weight, std=gain / math.sqrt(last.in_features))
    nn.init.zeros_(first.bias)
    nn.init.zeros_(last.bias)
