"""Instance normalisation over tokens: a style (positive scale and shift of each channel) is taken away."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from concordant._checks import check_number, checked, require
from concordant._precision import upcast


@checked()
def instance_norm(
    features: Float[Tensor, "b l c"], norm_source: Float[Tensor, "b s c"] | None = None, *, eps: float = 1e-5
) -> Float[Tensor, "b l c"]:
    """Normalise each instance and channel over its tokens, by its own statistics or those of a `norm_source`.

    Equation: `IN(X) = (X − μ(Y)) / √(σ²(Y) + ε)`, with Y the `norm_source`, or X itself. σ² is the biased
    variance. In float32 or wider. A positive scale of a channel is taken away (but for ε), its sign is not.

    Args:
        features: X, (b, l, c): tokens or parts.
        norm_source: Y, (b, s, c), whose statistics are used in place of X's.
        eps: ε, added to the variance.

    Shape: (b, l, c) → (b, l, c).

    Raises: ValueError for shapes that do not fit, integer types, or an ε that is not positive.

    Reference: CAL (ICCV 2023), IN(P) and IN(T) of TSAA.

    >>> instance_norm(torch.tensor([[[1.0], [3.0]]])).flatten()
    tensor([-1.0000,  1.0000])
    """
    check_number("instance_norm", eps=eps, above=0)
    features = upcast(features)
    source = features if norm_source is None else upcast(norm_source)
    enough = source.shape[1] > 0 or features.shape[1] == 0
    require(enough, "instance_norm", "`norm_source` must have tokens", "none")
    # Two means: `torch.var_mean` over an axis that is not the last one takes ten times as long on a CPU.
    mean = source.mean(dim=1, keepdim=True)
    variance = (source - mean).square().mean(dim=1, keepdim=True)
    return (features - mean) * torch.rsqrt(variance + eps)
