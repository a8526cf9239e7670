"""Target-aware contrastive loss: InfoNCE over the target-aware similarity of two sides of a batch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from concordant._checks import as_sizes, check_choice, check_number, check_shapes, checked, require
from concordant._module import Module
from concordant._precision import full_precision, unit, upcast
from concordant._reduce import Reduction, check_reduction, reduce
from concordant.layers.attention import PartAttention
from concordant.retrieval.encoded import Encoded
from concordant.retrieval.pairs import Direction, Reading, all_pairs
from concordant.retrieval.similarity import check_reading


@checked()
def target_aware_contrastive_loss(
    query: Encoded,
    gallery: Encoded,
    query_labels: Int[Tensor, "q"],
    gallery_labels: Int[Tensor, "g"],
    query_features: Float[Tensor, "q e"] | None = None,
    gallery_features: Float[Tensor, "g e"] | None = None,
    *,
    temperature: float | Tensor = 0.07,
    direction: Direction = "both",
    global_weight: float = 1.0,
    block: int | None = None,
    memory: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Tell each row's positives on the other side from all of the other side's rows, by target-aware similarity.

    Equation::

        s_ij = TAS(i, j) + w cos(x_i, x_j)                 rows i of the query side, j of the gallery side
        L_i  = −1/|P_i| Σ_{j∈P_i} log( exp(s_ij / τ) / Σ_k exp(s_ik / τ) ),  P_i = {j : y_j = y_i}
        L    = Σ_i L_i + Σ_j L_j                           L_j the same over the columns of s

    TAS is `target_aware_similarity`, x are global features. With several positives, the mean stands outside of the
    logarithm (L_out of the reference): each positive is pulled, where the logarithm of a sum is content with the
    nearest one.

    Args:
        query: q rows of one modality. In a step of `CAL`, both sides are pieces of
            `Encoded(output.tokens, output.own.keys, output.own.part_queries)`; with an encoder for each modality, each
            side is what its encoder gives.
        gallery: g rows of the other modality.
        query_labels: y, (q,).
        gallery_labels: y, (g,).
        query_features: x, (q, e), such as `output.features`; both sides have them, or neither: then w is zero.
        gallery_features: x, (g, e).
        temperature: τ.
        direction: whose parts read both rows of a pair, as in `target_aware_similarity`. One and the same similarity
            serves queries and gallery: for "query", no part queries of the gallery are needed.
        global_weight: w.
        block: at most so many rows of either side are compared with each other: the first `block` queries with the
            first `block` gallery rows, and so on. It makes a large batch cheap; rows that belong together must stand at
            like places. By default all are compared.
        memory: see `target_aware_similarity`.
        reduction: "sum" is the equation; "mean" divides by the number of rows that have a positive, of both sides;
            "none" gives the rows' terms, those of the queries and then those of the gallery, (q + g,).

    Shape: → (), or (q + g,).

    Raises: ValueError for shapes, types or settings that do not fit.

    Edge cases: a row without a positive, in its block, is not counted, and its term is zero; a batch of none gives
    zero. With n positives, the least possible term is log n.

    Under several processes, give the rows of all: `query.gather()` and `distributed.gather(query_labels)`. Loss and
    gradients are then those of one process on the whole batch.

    Reference: InfoNCE, van den Oord et al., Representation Learning with Contrastive Predictive Coding (2018); both
    directions, Radford et al. (CLIP, ICML 2021); several positives, Khosla et al., Supervised Contrastive Learning
    (NeurIPS 2020). On this similarity: our addition.

    >>> from concordant import TSAA
    >>> tsaa, tokens, labels = TSAA(8), torch.randn(4, 12, 8), torch.tensor([0, 1, 0, 1])
    >>> rows = Encoded(tokens, tsaa.encode_tokens(tokens), tsaa.encode_parts(tokens[:, :2], tokens))
    >>> target_aware_contrastive_loss(rows[:2], rows[2:], labels[:2], labels[2:], reduction="none").shape
    torch.Size([4])
    """
    who = "target_aware_contrastive_loss"
    check_reduction(who, reduction)
    check_number(who, global_weight=global_weight, at_least=0)
    if isinstance(temperature, Tensor):
        require(temperature.dim() == 0, who, "`temperature` must be one number", tuple(temperature.shape))
    else:
        check_number(who, temperature=temperature, above=0)
    how = check_reading(who, query, gallery, PartAttention.attend, direction, None, memory)
    check_shapes(who, query_tokens=(query.tokens, "q t c"), query_labels=(query_labels, "q"))
    check_shapes(who, gallery_tokens=(gallery.tokens, "g t c"), gallery_labels=(gallery_labels, "g"))
    alike = (query_features is None) == (gallery_features is None)
    require(alike, who, "`query_features` and `gallery_features` must both be given, or neither", "one")
    if block is not None:
        (block,) = as_sizes(who, block=block)
    with full_precision(query.tokens):
        terms: list[list[Tensor]] = [[], []]
        counted: list[list[Tensor]] = [[], []]
        sides = (
            _blocks(query, query_labels, query_features, block),
            _blocks(gallery, gallery_labels, gallery_features, block),
        )
        waiting = max(min(len(sides[0]), len(sides[1])), 1)  # all blocks wait for the backward pass
        how = Reading(how.attend, how.direction, how.norms, max(how.memory // waiting, 1))
        for (rows, y, x), (columns, z, w) in zip(*sides, strict=False):  # what one side has more, has no positive
            similarity = all_pairs(rows, columns, how)
            if x is not None and w is not None:
                similarity = similarity + global_weight * unit(x) @ unit(w).T
            logits, positive = similarity / temperature, y[:, None] == z
            for side, (table, near) in enumerate(((logits, positive), (logits.T, positive.T))):
                number = near.sum(dim=1)
                pulled = (table * near).sum(dim=1) / number.clamp_min(1)
                terms[side].append(table.logsumexp(dim=1) - pulled)
                counted[side].append(number > 0)
        lengths = len(query_labels), len(gallery_labels)
        every, taking = (
            torch.cat([_join(pieces, n) for pieces, n in zip(both, lengths, strict=True)]) for both in (terms, counted)
        )
        return reduce(every, reduction, real=taking)


Block = tuple[Encoded, Tensor, "Tensor | None"]


def _blocks(images: Encoded, labels: Tensor, features: Tensor | None, size: int | None) -> list[Block]:
    """The blocks of a side, in float32 or wider."""
    images, labels = images.to(upcast(images.tokens[:0]).dtype), labels.long()
    if size is None:
        return [(images, labels, features)]
    pieces = images.split(size)
    parts = [None] * len(pieces) if features is None else features.split(size)
    return list(zip(pieces, labels.split(size), parts, strict=True))


def _join(pieces: list[Tensor], n: int) -> Tensor:
    """The rows of blocks, and zeros for those beyond them, up to n."""
    joined = torch.cat(pieces)
    return F.pad(joined, (0, n - len(joined))) if len(joined) < n else joined


class TargetAwareContrastiveLoss(Module[Tensor]):
    """Contrast two sides of a batch by target-aware similarity: see `functional.target_aware_contrastive_loss`.

    Equation: `L = Σ_i L_i + Σ_j L_j`, `L_i = −1/|P_i| Σ_{j∈P_i} log softmax_j(s_ij / τ)`, s the target-aware similarity
    plus w times the cosine of global features.

    Args:
        temperature: τ; where training starts, if it is learnable.
        learnable: learn τ: `τ = τ_min + exp(θ)`. θ is a parameter of this module, so that the optimiser must know it.
            Without, τ is fixed and there is none.
        min_temperature: τ_min.
        direction: whose parts read both rows of a pair.
        global_weight: w.
        block: at most so many rows of either side are compared with each other.
        memory: see `target_aware_similarity`.
        reduction: "sum" is the equation; "mean" divides by the number of rows that have a positive; "none" gives the
            rows' terms.

    Shape: query (q images), gallery (g images), query_labels (q,), gallery_labels (g,), and where there are any
    query_features (q, e), gallery_features (g, e) → (), or (q + g,).

    Raises: ValueError for shapes, types or settings that do not fit.

    Where the reference is silent, or we differ: CLIP learns the logarithm of 1/τ and clips it at 100. A clipped
    parameter has no gradient, and stays where it is; the sum has one everywhere, and the same bound.

    Reference: InfoNCE, van den Oord et al. (2018); CLIP, Radford et al. (ICML 2021); Khosla et al. (NeurIPS 2020).

    >>> from concordant import CAL
    >>> model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_parts=2, num_classes=5)
    >>> images, labels, modality = torch.randn(4, 3, 16, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> output, loss = model(images, labels, modality), TargetAwareContrastiveLoss()
    >>> rows = Encoded(output.tokens, output.own.keys, output.own.part_queries)
    >>> first, second = slice(0, 2), slice(2, 4)  # the modalities; `modality == 0` finds them, too, but waits for a GPU
    >>> loss(rows[first], rows[second], labels[first], labels[second]).backward()
    >>> round(loss.temperature.item(), 4)
    0.07
    """

    def __init__(
        self,
        *,
        temperature: float = 0.07,
        learnable: bool = True,
        min_temperature: float = 0.01,
        direction: Direction = "both",
        global_weight: float = 1.0,
        block: int | None = None,
        memory: int | None = None,
        reduction: Reduction = "mean",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        who = "TargetAwareContrastiveLoss"
        check_reduction(who, reduction)
        check_choice(who, "direction", direction, ("query", "gallery", "both"))
        check_number(who, temperature=temperature, min_temperature=min_temperature, above=0)
        check_number(who, global_weight=global_weight, at_least=0)
        rule = f"`temperature` must be above `min_temperature`, {min_temperature:g}, to be learnable"
        require(not learnable or temperature > min_temperature, who, rule, temperature)
        self.block = None if block is None else as_sizes(who, block=block)[0]
        self.memory = None if memory is None else as_sizes(who, memory=memory)[0]
        self.start, self.min_temperature, self.global_weight = temperature, min_temperature, global_weight
        self.direction: Direction = direction
        self.reduction: Reduction = reduction
        empty = torch.empty((), device=device, dtype=dtype) if learnable else None
        self.log_excess = None if empty is None else nn.Parameter(empty)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """τ starts where it was set."""
        if self.log_excess is not None:
            nn.init.constant_(self.log_excess, math.log(self.start - self.min_temperature))

    @property
    def temperature(self) -> Tensor | float:
        """τ."""
        return self.start if self.log_excess is None else self.min_temperature + upcast(self.log_excess).exp()

    def forward(
        self,
        query: Encoded,
        gallery: Encoded,
        query_labels: Int[Tensor, "q"],
        gallery_labels: Int[Tensor, "g"],
        query_features: Float[Tensor, "q e"] | None = None,
        gallery_features: Float[Tensor, "g e"] | None = None,
    ) -> Tensor:
        return target_aware_contrastive_loss(
            query,
            gallery,
            query_labels,
            gallery_labels,
            query_features,
            gallery_features,
            temperature=self.temperature,
            direction=self.direction,
            global_weight=self.global_weight,
            block=self.block,
            memory=self.memory,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return (
            f"temperature={self.start}, learnable={self.log_excess is not None}, "
            f"min_temperature={self.min_temperature}, direction={self.direction!r}, "
            f"global_weight={self.global_weight}, block={self.block}, memory={self.memory}, "
            f"reduction={self.reduction!r}"
        )
