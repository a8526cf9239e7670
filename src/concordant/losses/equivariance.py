"""Parts follow the content: the map of a crop is the crop of the map."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from concordant._checks import as_grid, checked
from concordant._module import Module
from concordant._precision import full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction, reduce
from concordant.crops import is_cropped, resized_crop


@checked()
def equivariance_loss(
    seen: Float[Tensor, "b p t"],
    maps: Float[Tensor, "b p t"],
    crops: Float[Tensor, "b 2 2"],
    grid: tuple[int, int],
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """How far the attention on a crop is from the crop of the attention, part by part.

    Equation: `L = Σ_i Σ_p (1 − cos(A(W_i x_i)_p, W_i A(x_i)_p))`, W_i a crop with its resizing.

    The crop of the attention is compared by its direction: how much of a map lies inside the crop does not count.
    A part that is always found at the same place of the picture, whatever is there, pays most.

    Args:
        seen: A(W x), (b, p, t): maps on the crops, each resized to the size of its image.
        maps: A(x), (b, p, t): maps on the images.
        crops: W, (b, 2, 2), as `draw_crops` gives them. Images whose crop is all of the image take no part.
        grid: (h, w) of the tokens, h·w = t.
        reduction: "sum" is the equation; "mean" divides by the number of parts of images that take part; "none" gives
            (b, p).

    Shape: → (), or (b, p).

    Raises: ValueError for shapes or types that do not fit.

    Reference: our addition; see Hung et al., SCOPS (CVPR 2019), for parts that are equivariant by training.

    >>> import torch
    >>> maps, left = torch.eye(4)[None], torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> equivariance_loss(maps.flip(2), maps, left, (1, 4)).item()
    0.0
    """
    check_reduction("equivariance_loss", reduction)
    h, w = as_grid("equivariance_loss", grid, maps.shape[2])
    with full_precision(maps):
        moved = resized_crop(upcast(maps).unflatten(2, (h, w)), crops).flatten(2)
        cosine = (unit(seen) * unit(moved)).sum(dim=2)
        return reduce(1 - cosine, reduction, real=is_cropped(crops))


class EquivarianceLoss(Module[Tensor]):
    """The map of a crop is the crop of the map: see `functional.equivariance_loss`.

    Equation: `L = Σ_i Σ_p (1 − cos(A(W_i x_i)_p, W_i A(x_i)_p))`, W_i a crop with its resizing.

    Args:
        reduction: "sum" is the equation; "mean" divides by the number of parts of images that take part; "none" gives
            (b, p).

    Shape: seen (b, p, t), maps (b, p, t), crops (b, 2, 2), grid (h, w) → (), or (b, p).

    Raises: ValueError for another reduction, or shapes or types that do not fit.

    Reference: our addition; see Hung et al., SCOPS (CVPR 2019).

    >>> import torch
    >>> maps, all_of_it = torch.eye(4)[None], torch.tensor([[[0.0, 1.0], [0.0, 1.0]]])
    >>> EquivarianceLoss()(maps, maps, all_of_it, (2, 2)).item()
    0.0
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_reduction("EquivarianceLoss", reduction)
        self.reduction: Reduction = reduction

    def forward(
        self,
        seen: Float[Tensor, "b p t"],
        maps: Float[Tensor, "b p t"],
        crops: Float[Tensor, "b 2 2"],
        grid: tuple[int, int],
    ) -> Tensor:
        return equivariance_loss(seen, maps, crops, grid, reduction=self.reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"
