"""One linear classifier a part, all in one batched product."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from concordant._checks import as_sizes, checked
from concordant._module import Module
from concordant._precision import check_types


@checked()
def classify_parts(
    features: Float[Tensor, "b p c"], weight: Float[Tensor, "p k c"], bias: Float[Tensor, "p k"] | None = None
) -> Float[Tensor, "b p k"]:
    """Logits of each part under its own linear classifier.

    Equation: `Φ_i(P_i) = W_i P_i + β_i` before the softmax.

    Shape: features (b, p, c), weight (p, k, c), bias (p, k) → logits (b, p, k).

    Raises: ValueError for shapes that do not fit or integer types.

    Reference: CAL (ICCV 2023), the classifiers Φ of the saliency constraint.

    >>> classify_parts(torch.ones(1, 2, 3), torch.stack([torch.ones(4, 3), torch.zeros(4, 3)]))[0].tolist()
    [[3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0]]
    """
    check_types("classify_parts", weight=weight, features=features)
    logits = (features.transpose(0, 1) @ weight.transpose(1, 2)).transpose(0, 1)
    return logits if bias is None else logits + bias.to(logits.dtype)


class PartClassifier(Module[Tensor]):
    """One linear classifier a part.

    Equation: `Φ_i(P_i) = W_i P_i + β_i` before the softmax.

    Args:
        channels: `c`.
        num_parts: `p`.
        num_classes: `k`, the identities.
        bias: learn β; with False it is zero.

    Shape: features (b, p, c) → logits (b, p, k).

    Raises: ValueError for bad settings, shapes that do not fit, or integer types.

    Reference: CAL (ICCV 2023), the classifiers Φ of the saliency constraint.

    >>> PartClassifier(8, num_parts=3, num_classes=5)(torch.randn(2, 3, 8)).shape
    torch.Size([2, 3, 5])
    """

    def __init__(
        self,
        channels: int,
        num_parts: int,
        num_classes: int,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.channels, self.num_parts, self.num_classes = as_sizes(
            "PartClassifier", channels=channels, num_parts=num_parts, num_classes=num_classes
        )
        shape = self.num_parts, self.num_classes
        self.weight = nn.Parameter(torch.empty(*shape, self.channels, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(*shape, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As torch's linear layers start: uniform within `1 / √c`; a zero bias."""
        bound = 1 / math.sqrt(self.channels)
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    @checked(p="num_parts", c="channels")
    def forward(self, features: Float[Tensor, "b p c"]) -> Float[Tensor, "b p k"]:
        return classify_parts(features, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.channels}, {self.num_parts}, {self.num_classes}, bias={self.bias is not None}"
