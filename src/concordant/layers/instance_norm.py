"""Instance normalisation over tokens: a style (positive scale and shift of each channel) is taken away."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from concordant._checks import check_number, checked, require
from concordant._mask import check_mask, drop_full, keep
from concordant._precision import upcast


@checked()
def instance_norm(
    features: Float[Tensor, "b l c"],
    norm_source: Float[Tensor, "b s c"] | None = None,
    *,
    mask: Bool[Tensor, "b s"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "b l c"]:
    """Normalise each instance and channel over its tokens, by its own statistics or those of a `norm_source`.

    Equation: `IN(X) = (X − μ(Y)) / √(σ²(Y) + ε)`, with Y the `norm_source`, or X itself. σ² is the biased
    variance. In float32 or wider. A positive scale of a channel is taken away (but for ε), its sign is not.

    Args:
        features: X, (b, l, c): tokens or parts.
        norm_source: Y, (b, s, c), whose statistics are used in place of X's.
        mask: (b, s), True for a real token of Y, or of X where there is no `norm_source`; the statistics are those of
            the real ones. Padding of X itself gives zeros.
        eps: ε, added to the variance.

    Shape: (b, l, c) → (b, l, c).

    Raises: ValueError for shapes that do not fit, integer types, or an ε that is not positive.

    Edge cases: one token has no statistics but its own and gives zeros; so does a row without any real token of Y.

    Reference: CAL (ICCV 2023), IN(P) and IN(T) of TSAA.

    >>> instance_norm(torch.tensor([[[1.0], [3.0]]])).flatten()
    tensor([-1.0000,  1.0000])
    >>> instance_norm(torch.tensor([[[1.0], [3.0], [9.0]]]), mask=torch.tensor([[True, True, False]])).flatten()
    tensor([-1.0000,  1.0000,  0.0000])
    """
    check_number("instance_norm", eps=eps, above=0)
    features = upcast(features)
    source = features if norm_source is None else upcast(norm_source)
    enough = source.shape[1] > 0 or features.shape[1] == 0
    require(enough, "instance_norm", "`norm_source` must have tokens", "none")
    check_mask("instance_norm", mask, source.shape[1])
    mask = drop_full(mask)
    # Two means: `torch.var_mean` over an axis that is not the last one takes ten times as long on a CPU.
    if mask is None:
        mean = source.mean(dim=1, keepdim=True)
        centered = source - mean
        scale = torch.rsqrt(centered.square().mean(dim=1, keepdim=True) + eps)
    else:
        source, real, number = keep(source, mask), mask[:, :, None].to(source.dtype), mask.sum(dim=1)[:, None, None]
        mean = source.sum(dim=1, keepdim=True) / number.clamp_min(1)
        centered = torch.addcmul(source, real, mean, value=-1)  # in one pass: zero where there is padding
        variance = centered.square().sum(dim=1, keepdim=True) / number.clamp_min(1)
        scale = torch.where(number > 0, torch.rsqrt(variance + eps), 0.0)
    return (centered if norm_source is None else features - mean) * scale
