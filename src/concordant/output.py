"""What `CAL` gives in training, and the losses read."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from concordant.layers.aggregation import MinedParts
from concordant.layers.attention import Refined


class CALOutput(NamedTuple):
    """All that the losses of a training step need, row by row."""

    features: Float[Tensor, "n c"]
    """The global feature: the mean of the tokens, weighted by their saliency."""
    logits: Float[Tensor, "n k"]
    """Identity logits of the global feature."""
    tokens: Float[Tensor, "n t c"]
    """T. With `own.keys` and `own.part_queries` they are the rows' `Encoded`, as target-aware losses read them."""
    mined: MinedParts
    """P and Ŝ."""
    mined_logits: Float[Tensor, "n p k"]
    """Φ_i(P_i): identity logits of the mined parts."""
    saliency: Float[Tensor, "n h w"]
    """s of each token, on the grid of the feature map, without gradient; ones without a gate."""
    own: Refined
    """`f_i^{m,m}`: each row's parts on its own tokens."""
    own_logits: Float[Tensor, "n p k"]
    """Identity logits of the own-refined parts."""
    cross: Refined
    """`f_i^{m',m}`: each row's parts on its partner's tokens."""
    cross_logits: Float[Tensor, "n p k"]
    """Identity logits of the cross-refined parts."""
    seen: Float[Tensor, "n p t"]
    """Own attention on each row's crop; on the image itself where the row has none."""
    crops: Float[Tensor, "n 2 2"]
    """The rows' crops, as `draw_crops` gives them; all of the image where the row has none."""
    partner_offset: Int[Tensor, "n"]
    """j − i of each row i: outputs of several batches, one after another, keep their partners."""
    paired: Bool[Tensor, "n"]
    """False where the batch has no such row; the row is its own partner then."""

    @property
    def partner(self) -> Int[Tensor, "n"]:
        """j of each row: a row of the same identity in the other modality."""
        return torch.arange(len(self.partner_offset), device=self.partner_offset.device) + self.partner_offset
