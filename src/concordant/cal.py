"""CAL: concordant attention learning on any backbone and any two modalities."""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from concordant._checks import check_choice, check_integral, check_positive, check_shapes, require
from concordant._precision import full_precision, unit
from concordant.layers.aggregation import MinedParts
from concordant.layers.attention import PartAttention, PartQueries, Refined, refine
from concordant.layers.classifier import PartClassifier
from concordant.layers.mining import PartMiner, to_tokens
from concordant.layers.modality import draw_partners, per_modality
from concordant.layers.tsaa import TSAA
from concordant.matching import PartCorrespondence, invert_matching
from concordant.retrieval.similarity import Encoded


class CALOutput(NamedTuple):
    """All that the losses of a training step need, row by row."""

    features: Float[Tensor, "n c"]
    """The global feature: the mean of the tokens."""
    logits: Float[Tensor, "n k"]
    """Of the global feature."""
    mined: MinedParts
    """P and Ŝ."""
    mined_logits: Float[Tensor, "n p k"]
    """Φ_i(P_i)."""
    own: Refined
    """`f_i^{m,m}`: each row's parts on its own tokens."""
    own_logits: Float[Tensor, "n p k"]
    """Of the own-refined parts."""
    cross: Refined
    """`f_i^{m',m}`: each row's parts on its partner's tokens."""
    cross_logits: Float[Tensor, "n p k"]
    """Of the cross-refined parts."""
    partner: Int[Tensor, "n"]
    """j of each row: a row of the same identity in the other modality."""
    paired: Bool[Tensor, "n"]
    """False where the batch has no such row; the row is its own partner then."""


class CAL(nn.Module):
    """Concordant attention learning: mine parts, let them attend across modalities, and embed.

    Equation::

        X_i = backbone(x_i);  T_i its tokens;  P_i, Ŝ_i = DRM_{m_i}(X_i)
        f_i^{m,m}  = A(T_i; P_i)                 own refinement
        f_i^{m',m} = A(T_j; P_i)                 cross refinement, j random with y_j = y_i, m_j ≠ m_i

    Args:
        backbone: maps images to a feature map (n, c, h, w). If its `forward` has an argument `modality` it is given
            the rows' modalities (for modality-specific first stages: see `per_modality`).
        channels: `c` of the feature map.
        num_classes: `k`, the identities of training.
        num_parts: `p`.
        dim: `d` of TSAA.
        alpha: α of the top-k aggregation.
        miner: the source of part queries, by default a `PartMiner`; `LearnableParts` and `HorizontalParts` are the
            ablations.
        attention: by default a `TSAA`; `DotProductAttention` is the ablation.
        shared_miner: one DRM for both modalities (an ablation: the source finds it worse).
        statistics: whose statistics normalise the parts in TSAA: the "tokens" they were mined from, or the "parts".
        protect_attention: the identity classifiers read refined parts through a copy of the attention map that takes
            no gradient, and with them L_kd2. The identity loss rewards pooling everything: without a diversity term on
            the maps (`CALLoss(attention_div=)`) it drives them to uniform. With one it is better let through.

    Shape: images (n, …), labels (n,), modality (n,) in {0, 1} → `CALOutput`.

    Raises: ValueError for bad settings, shapes or types that do not fit.

    Where the source is silent: batch normalisation before every identity classifier (a BNNeck); the scorers of both
    modalities start equal; `statistics` and `protect_attention`. The embedding is the normalised global feature
    followed by the normalised parts, each with weight 1/√p, so that the dot product of two embeddings is the mean of
    the global cosine and the parts' mean cosine.

    Reference: CAL (ICCV 2023).

    >>> model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_classes=5, num_parts=2)
    >>> images, labels, modality = torch.randn(4, 3, 16, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> model(images, labels, modality).own.features.shape, model.eval().embed(images, modality).shape
    (torch.Size([4, 2, 8]), torch.Size([4, 24]))
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        num_classes: int,
        num_parts: int,
        *,
        dim: int | None = None,
        alpha: float = 1.0,
        miner: nn.Module | None = None,
        attention: nn.Module | None = None,
        shared_miner: bool = False,
        statistics: Literal["tokens", "parts"] = "tokens",
        protect_attention: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive("CAL", channels=channels, num_classes=num_classes, num_parts=num_parts)
        check_choice("CAL", "statistics", statistics, ("tokens", "parts"))
        self.channels, self.num_classes, self.num_parts = channels, num_classes, num_parts
        self.statistics, self.protect_attention = statistics, protect_attention
        self.backbone = backbone
        self._by_modality = "modality" in inspect.signature(backbone.forward).parameters
        if miner is None:
            miner = PartMiner(channels, num_parts, alpha=alpha, device=device, dtype=dtype)
        self.miners = nn.ModuleList([miner] if shared_miner else [miner, deepcopy(miner)])
        self.attention = TSAA(channels, dim, device=device, dtype=dtype) if attention is None else attention
        self.norm = nn.BatchNorm1d(channels, device=device, dtype=dtype)
        self.classifier = nn.Linear(channels, num_classes, bias=False, device=device, dtype=dtype)
        self.mined_classifier = PartClassifier(num_parts, channels, num_classes, device=device, dtype=dtype)
        self.part_norm = nn.BatchNorm1d(num_parts * channels, device=device, dtype=dtype)
        self.part_classifier = PartClassifier(num_parts, channels, num_classes, bias=False, device=device, dtype=dtype)
        self.correspondence = PartCorrespondence(num_parts, device=device)

    def reset_parameters(self) -> None:
        """Draw the head's weights anew, both scorers equal; the backbone stays as it is."""
        modules = [self.attention, self.norm, self.classifier, self.mined_classifier, self.part_norm]
        for module in (self.miners[0], *modules, self.part_classifier, self.correspondence):
            cast(PartClassifier, module).reset_parameters()
        for miner in self.miners[1:]:
            miner.load_state_dict(self.miners[0].state_dict())

    def forward(
        self,
        images: Tensor,
        labels: Int[Tensor, "n"],
        modality: Int[Tensor, "n"],
        *,
        generator: torch.Generator | None = None,
    ) -> CALOutput:
        check_shapes("CAL", labels=(labels, "n"), modality=(modality, "n"))
        check_integral("CAL", labels=labels, modality=modality)
        tokens, mined = self._mine(images, modality)
        require(len(labels) == len(tokens), "CAL", f"`labels` must have {len(tokens)} rows, as `images`", len(labels))
        keys, part_queries = self._encode(tokens, mined)
        partner, paired = draw_partners(labels, modality, generator=generator)
        partner_tokens = tokens[partner]
        own = self._attention.attend(tokens, keys, part_queries)
        cross = self._attention.attend(partner_tokens, keys[partner], part_queries)
        features = tokens.mean(dim=1)
        return CALOutput(
            features=features,
            logits=self.classifier(self.norm(features)),
            mined=mined,
            mined_logits=self.mined_classifier(mined.features),
            own=own,
            own_logits=self._classify(own, tokens, part_queries),
            cross=cross,
            cross_logits=self._classify(cross, partner_tokens, part_queries),
            partner=partner,
            paired=paired,
        )

    @torch.no_grad()
    def observe(self, matching: Int[Tensor, "n p"], modality: Int[Tensor, "n"], paired: Bool[Tensor, "n"]) -> None:
        """Count a step's matchings (of `LossTerms`) towards M̂, read from modality 0 to modality 1.

        Row i's matching leads from the parts of its own modality to those of its partner's.
        """
        check_shapes("CAL.observe", matching=(matching, "n p"), modality=(modality, "n"), paired=(paired, "n"))
        forward = torch.where((modality == 0)[:, None], matching, invert_matching(matching))
        self.correspondence.update(forward[paired])

    def embed(self, images: Tensor, modality: int | Int[Tensor, "n"]) -> Float[Tensor, "n e"]:
        """Embeddings for distilled retrieval: no other image is needed. Compare them by dot products.

        The first `c` entries are the global feature, the other `p·c` the own-refined parts; the parts of modality 1
        are ordered by M̂, so that entry and entry speak of the same region. The embedding's norm is 1.

        Args:
            images: (n, …).
            modality: (n,), or one integer for all of them.

        Shape: → (n, e), with e = (p + 1)·c.
        """
        tokens, mined = self._mine(images, modality)
        own = self._attention.attend(tokens, *self._encode(tokens, mined))
        parts = self._normed(own.features)
        order = self.correspondence.permutation()
        if isinstance(modality, int):
            parts = parts[:, order] if modality == 1 else parts
        else:
            parts = torch.where((modality == 1)[:, None, None], parts[:, order], parts)
        with full_precision(tokens):
            whole = unit(self.norm(tokens.mean(dim=1)))
            parts = unit(parts) / self.num_parts**0.5
            return torch.cat([whole, parts.flatten(1)], dim=1) / 2**0.5

    def encode(self, images: Tensor, modality: int | Int[Tensor, "n"]) -> Encoded:
        """What target-aware retrieval needs of images: see `target_aware_similarity`, and give it `part_norm` as its
        `norm`, so that parts are normalised as those of `embed`."""
        tokens, mined = self._mine(images, modality)
        return Encoded(tokens, *self._encode(tokens, mined))

    def feature_map(self, images: Tensor, modality: int | Int[Tensor, "n"]) -> Float[Tensor, "n c h w"]:
        """X: what the backbone makes of the images; its grid is what tokens, row by row, stand for."""
        feature_map: Tensor = self.backbone(images, modality) if self._by_modality else self.backbone(images)
        sizes = check_shapes("CAL", feature_map=(feature_map, "n c h w"))
        right = sizes["c"] == self.channels
        require(right, "CAL", f"`backbone` must return {self.channels} channels", tuple(feature_map.shape))
        return feature_map

    @property
    def _attention(self) -> PartAttention:
        return cast(PartAttention, self.attention)

    def _mine(self, images: Tensor, modality: int | Tensor) -> tuple[Tensor, MinedParts]:
        """Tokens (n, t, c) and parts, each row's by the DRM of its modality."""
        feature_map = self.feature_map(images, modality)
        mined = per_modality(self.miners, feature_map, modality)
        parts = mined.features.shape[1]
        require(parts == self.num_parts, "CAL", f"`miner` must find {self.num_parts} parts", parts)
        return to_tokens(feature_map), mined

    def _encode(self, tokens: Tensor, mined: MinedParts) -> tuple[Tensor, PartQueries]:
        source = tokens if self.statistics == "tokens" else None
        return self._attention.encode_tokens(tokens), self._attention.encode_parts(mined.features, source)

    def _classify(self, refined: Refined, tokens: Tensor, part_queries: PartQueries) -> Tensor:
        features = refined.features
        if self.protect_attention:
            features = refine(tokens, refined.attention.detach(), part_queries.gates)
        return cast(Tensor, self.part_classifier(self._normed(features)))

    def _normed(self, features: Float[Tensor, "n p c"]) -> Float[Tensor, "n p c"]:
        """Batch normalisation, with statistics for every part and channel."""
        return cast(Tensor, self.part_norm(features.flatten(1))).view_as(features)

    def extra_repr(self) -> str:
        return (
            f"{self.channels}, {self.num_classes}, {self.num_parts}, statistics={self.statistics!r}, "
            f"protect_attention={self.protect_attention}"
        )
