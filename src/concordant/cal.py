"""CAL: concordant attention learning on any backbone and any two modalities."""

from __future__ import annotations

from copy import deepcopy
from typing import Literal, NamedTuple, Protocol, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from concordant._checks import as_integer, as_sizes, check_choice, check_shapes, checked, require
from concordant._module import Module
from concordant._precision import full_precision, unit
from concordant.crops import Views, all_of_it, resized_crop
from concordant.distributed import gather
from concordant.layers.aggregation import MinedParts
from concordant.layers.attention import PartAttention, Refined, refine
from concordant.layers.classifier import PartClassifier
from concordant.layers.gate import TokenGate, pool_tokens
from concordant.layers.mining import PartMiner, to_tokens
from concordant.layers.modality import ModalitySplit, draw_partners, per_modality
from concordant.layers.tsaa import TSAA
from concordant.matching import PartCorrespondence, invert_matching
from concordant.output import CALOutput
from concordant.retrieval.encoded import Encoded
from concordant.retrieval.pairs import Direction
from concordant.retrieval.similarity import target_aware_similarity


class _Found(NamedTuple):
    """What a batch of images holds before its rows meet."""

    tokens: Float[Tensor, "n t c"]
    log_gate: Float[Tensor, "n h w"]
    mined: MinedParts
    own: Refined


class Matched(Protocol):
    """What `CAL.observe` reads of `LossTerms`."""

    @property
    def matching(self) -> Int[Tensor, "n p"]: ...


class CAL(Module[CALOutput]):
    """Concordant attention learning: mine parts, let them attend across modalities, and embed.

    Equation::

        X_i = backbone(x_i);  T_i its tokens;  P_i, Ŝ_i = DRM_{m_i}(X_i)
        f_i^{m,m}  = A(T_i; P_i)                 own refinement
        f_i^{m',m} = A(T_j; P_i)                 cross refinement, j random with y_j = y_i, m_j ≠ m_i

    Args:
        backbone: maps images to a feature map (n, c, h, w).
        channels: `c` of the feature map.
        num_parts: `p`.
        num_classes: `k`, the identities of training.
        dim: `d` of TSAA.
        alpha: α of the top-k aggregation.
        miner: the source of part queries, by default a `PartMiner`; `LearnableParts` and `HorizontalParts` are the
            ablations.
        attention: by default a `TSAA`; `DotProductAttention` is the ablation.
        shared_miner: one DRM for both modalities (an ablation: the paper finds it worse).
        norm_source: the statistics that normalise the parts in TSAA: those of the "tokens" they were mined from (our
            addition), or of the "parts", as in the paper.
        protect_attention: the identity classifiers, and with them L_kd2, read refined parts through a copy of the
            attention map that takes no gradient. Our addition: the identity loss rewards pooling all tokens.
        gate: learn which tokens matter (`TokenGate`): they have more weight in the global feature and in all
            attention. Our addition.
        backbone_takes_modality: call `backbone(images, modality)`, for modality-specific first stages: see
            `per_modality`.

    Shape: images (n, …), labels (n,), modality (n,) in {0, 1} → `CALOutput`. Keywords: `views`, of `draw_views`, which
    images (n, c, h, w) are seen a second time, for `EquivarianceLoss`; `generator`, where partners are drawn from. With
    the `split_modality` of all rows that the backbone sees, those of the views last, in place of the modality, no value
    is read off a GPU.

    Raises: ValueError for bad settings, shapes or types that do not fit, or one row in training mode. A modality beyond
    1 is seen on a CPU, and where each modality has its own miner; in compiled graphs it is not.

    Where the paper is silent: batch normalisation before each identity classifier (a BNNeck); the scorers of both
    modalities start equal. The embedding is the normalised global feature
    followed by the normalised parts, each with weight 1/√p, so that the dot product of two embeddings is the mean of
    the global cosine and the parts' mean cosine.

    Reference: CAL (ICCV 2023).

    >>> model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_parts=2, num_classes=5)
    >>> images, labels, modality = torch.randn(4, 3, 16, 8), torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    >>> model(images, labels, modality).own.features.shape, model.eval().embed(images, modality).shape
    (torch.Size([4, 2, 8]), torch.Size([4, 24]))
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        num_parts: int,
        num_classes: int,
        *,
        dim: int | None = None,
        alpha: float = 1.0,
        miner: nn.Module | None = None,
        attention: PartAttention | None = None,
        shared_miner: bool = False,
        norm_source: Literal["tokens", "parts"] = "tokens",
        protect_attention: bool = True,
        gate: bool = True,
        backbone_takes_modality: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        channels, num_parts, num_classes = as_sizes(
            "CAL", channels=channels, num_parts=num_parts, num_classes=num_classes
        )
        check_choice("CAL", "norm_source", norm_source, ("tokens", "parts"))
        self.channels, self.num_parts, self.num_classes = channels, num_parts, num_classes
        self.norm_source, self.protect_attention = norm_source, protect_attention
        self.backbone, self.backbone_takes_modality = backbone, backbone_takes_modality
        if miner is None:
            miner = PartMiner(channels, num_parts, alpha=alpha, device=device, dtype=dtype)
        self.miners = nn.ModuleList([miner] if shared_miner else [miner, deepcopy(miner)])
        self.attention: PartAttention = (
            TSAA(channels, dim, device=device, dtype=dtype) if attention is None else attention
        )
        self.gate = TokenGate(channels, device=device, dtype=dtype) if gate else None
        self.norm = nn.BatchNorm1d(channels, device=device, dtype=dtype)
        self.classifier = nn.Linear(channels, num_classes, bias=False, device=device, dtype=dtype)
        self.mined_classifier = PartClassifier(channels, num_parts, num_classes, device=device, dtype=dtype)
        self.part_norm = nn.BatchNorm1d(num_parts * channels, device=device, dtype=dtype)
        self.part_classifier = PartClassifier(channels, num_parts, num_classes, bias=False, device=device, dtype=dtype)
        self.correspondence = PartCorrespondence(num_parts, device=device)

    @classmethod
    def paper(
        cls,
        backbone: nn.Module,
        channels: int,
        num_parts: int,
        num_classes: int,
        *,
        dim: int | None = None,
        alpha: float = 1.0,
        backbone_takes_modality: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> CAL:
        """The paper's equations as printed, without our additions; train it with `CALLoss.paper()`."""
        return cls(
            backbone,
            channels,
            num_parts,
            num_classes,
            dim=dim,
            alpha=alpha,
            norm_source="parts",
            protect_attention=False,
            gate=False,
            backbone_takes_modality=backbone_takes_modality,
            device=device,
            dtype=dtype,
        )

    def reset_parameters(self) -> None:
        """Draw the head's weights anew, both scorers equal; the backbone stays as it is."""
        modules = [self.miners[0], self.attention, self.norm, self.classifier, self.mined_classifier, self.part_norm]
        modules += [self.part_classifier, self.correspondence, *([] if self.gate is None else [self.gate])]
        for module in modules:
            cast(PartClassifier, module).reset_parameters()
        for miner in self.miners[1:]:
            miner.load_state_dict(self.miners[0].state_dict())

    @checked()
    def forward(
        self,
        images: Tensor,
        labels: Int[Tensor, "n"],
        modality: Int[Tensor, "n"] | ModalitySplit,
        *,
        views: Views | None = None,
        generator: torch.Generator | None = None,
    ) -> CALOutput:
        n = len(labels)
        enough = not self.training or n > 1
        require(enough, "CAL", "a batch must have two rows or more in training mode, for its batch norms", n)
        own_modality = modality.modality[:n] if isinstance(modality, ModalitySplit) else modality
        if views is None:
            found = self._find(images, modality)
            seen, crops = found.own.attention, all_of_it(images).expand(n, 2, 2)
        else:  # behind the batch, so that the backbone runs once
            check_shapes("CAL", rows=(views.rows, "m"), crops=(views.crops, "m 2 2"))
            again = resized_crop(images[views.rows], views.crops).to(images.dtype)
            if isinstance(modality, Tensor):
                modality = torch.cat([modality, modality[views.rows]])
            every = self._find(torch.cat([images, again]), modality)
            found = tree_map(lambda x: x[:n], every)
            seen = found.own.attention.index_copy(0, views.rows, every.own.attention[n:])
            crops = all_of_it(views.crops).repeat(n, 2, 1).index_copy(0, views.rows, views.crops)
        tokens, own, mined = found.tokens, found.own, found.mined
        check_shapes("CAL", tokens=(tokens, "n t c"), labels=(labels, "n"))
        partner, paired = draw_partners(labels, own_modality, generator=generator)
        partner_tokens = tokens[partner]
        cross = self.attention.attend(partner_tokens, own.keys[partner], own.part_queries)
        features = self._pool(found)
        return CALOutput(
            features=features,
            logits=self.classifier(self.norm(features)),
            tokens=tokens,
            mined=mined,
            mined_logits=self.mined_classifier(mined.features),
            saliency=found.log_gate.detach().exp(),
            own=own,
            own_logits=self._classify(own, tokens),
            cross=cross,
            cross_logits=self._classify(cross, partner_tokens),
            seen=seen,
            crops=crops,
            partner_offset=partner - torch.arange(n, device=partner.device),
            paired=paired,
        )

    @checked()
    @torch.no_grad()
    def observe(self, output: CALOutput, terms: Matched, modality: Int[Tensor, "n"]) -> None:
        """Count a step's matchings towards M̂, read from modality 0 to modality 1; those of all processes.

        Row i's matching leads from the parts of its own modality to those of its partner's. Rows without a partner
        are not counted.

        Args:
            output: of this model.
            terms: `LossTerms` of `CALLoss`, or any object with their `matching` (n, p).
            modality: (n,).
        """
        check_shapes("CAL.observe", modality=(modality, "n"), matching=(terms.matching, "n p"))
        kind = output.paired.dtype
        require(kind == torch.bool, "CAL.observe", "`output.paired` must be boolean", kind)
        matching, own_modality, paired = gather(terms.matching, modality, output.paired)
        forward = torch.where((own_modality == 0)[:, None], matching, invert_matching(matching))
        self.correspondence.update(torch.where(paired[:, None], forward, -1))

    def embed(self, images: Tensor, modality: int | Int[Tensor, "n"]) -> Float[Tensor, "n e"]:
        """Embeddings for distilled retrieval: no other image is needed. Compare them by dot products.

        The first `c` entries are the global feature, the other `p·c` the own-refined parts; the parts of modality 1
        are ordered by M̂, so that equal entries stand for the same region. The embedding's norm is 1.

        Args:
            images: (n, …).
            modality: (n,), or one integer for all of them.

        Shape: → (n, e), with e = (p + 1)·c.

        Raises: ValueError in training mode, and for modalities of another shape or type.
        """
        self._require_evaluation("embed")
        found = self._find(images, modality)
        parts = self._normed(found.own.features)
        order = self.correspondence.permutation()
        if isinstance(modality, Tensor):
            parts = torch.where((modality == 1).view(-1, 1, 1), parts[:, order], parts)
        elif modality == 1:
            parts = parts[:, order]
        with full_precision(found.tokens):
            whole = unit(self.norm(self._pool(found)))
            parts = unit(parts) / self.num_parts**0.5
            return torch.cat([whole, parts.flatten(1)], dim=1) / 2**0.5

    def encode(self, images: Tensor, modality: int | Int[Tensor, "n"]) -> Encoded:
        """Images as target-aware retrieval needs them: for `similarity`.

        Raises: ValueError in training mode, and for modalities of another shape or type.
        """
        self._require_evaluation("encode")
        found = self._find(images, modality)
        return Encoded(found.tokens, found.own.keys, found.own.part_queries)

    def similarity(
        self,
        query: Encoded,
        gallery: Encoded,
        *,
        direction: Direction = "both",
        pairs: Int[Tensor, "q s"] | None = None,
        memory: int | None = None,
    ) -> Float[Tensor, "q n"]:
        """`target_aware_similarity` of encoded images, by this model's attention and the norm of its parts."""
        return target_aware_similarity(
            query, gallery, self.attention, direction=direction, norm=self.part_norm, pairs=pairs, memory=memory
        )

    def feature_map(self, images: Tensor, modality: int | Tensor | ModalitySplit) -> Float[Tensor, "n c h w"]:
        """X: the backbone's feature map of the images; the tokens are its rows, one after another."""
        feature_map: Tensor
        feature_map = self.backbone(images, modality) if self.backbone_takes_modality else self.backbone(images)
        sizes = check_shapes("CAL", feature_map=(feature_map, "n c h w"))
        right = sizes["c"] == self.channels
        require(right, "CAL", f"`backbone` must return {self.channels} channels", tuple(feature_map.shape))
        return feature_map

    def _find(self, images: Tensor, modality: int | Tensor | ModalitySplit) -> _Found:
        """Tokens and parts, each row's mined by the DRM of its modality and refined on the row's own tokens."""
        require(isinstance(images, Tensor), "CAL", "`images` must be a tensor", type(images).__name__)
        if isinstance(modality, ModalitySplit):
            require(len(modality.rows) == 2, "CAL", "the split of `modality` must be into 2", len(modality.rows))
        elif not isinstance(modality, Tensor):
            modality = modality if as_integer(modality) is None else int(modality)
        elif len(self.miners) == 1 and modality.device.type == "cpu" and not torch.compiler.is_compiling():
            # One miner reads rows of any modality, and M̂ would be counted wrongly. (On a GPU a look would wait for it.)
            kinds = set(modality.tolist())
            require(kinds <= {0, 1}, "CAL", "`modality` must be 0 or 1", sorted(kinds))
        feature_map = self.feature_map(images, modality)
        tokens = to_tokens(feature_map)
        log_gate = tokens.new_zeros(tokens.shape[:2]) if self.gate is None else self.gate(tokens)
        mined = per_modality(self.miners, feature_map, modality)
        parts = mined.features.shape[1]
        require(parts == self.num_parts, "CAL", f"`miner` must find {self.num_parts} parts", parts)
        norm_source = tokens if self.norm_source == "tokens" else None
        # By a call of the module, which hooks, compilers and FSDP see.
        own = self.attention(tokens, mined.features, norm_source, None if self.gate is None else log_gate.detach())
        return _Found(tokens, log_gate.unflatten(1, feature_map.shape[2:]), mined, own)

    def _pool(self, found: _Found) -> Float[Tensor, "n c"]:
        """The global feature."""
        return found.tokens.mean(dim=1) if self.gate is None else pool_tokens(found.tokens, found.log_gate.flatten(1))

    def _classify(self, refined: Refined, tokens: Tensor) -> Tensor:
        features = refined.features
        if self.protect_attention:
            features = refine(tokens, refined.attention.detach(), refined.part_queries.gates)
        return self.part_classifier(self._normed(features))

    def _normed(self, features: Float[Tensor, "n p c"]) -> Float[Tensor, "n p c"]:
        """Batch normalisation, with statistics for each part and channel."""
        return cast(Tensor, self.part_norm(features.flatten(1))).view_as(features)

    def _require_evaluation(self, method: str) -> None:
        require(not self.training, f"CAL.{method}", "the model must be in evaluation mode (`eval()`)", "training mode")

    def extra_repr(self) -> str:
        return (
            f"{self.channels}, {self.num_parts}, {self.num_classes}, norm_source={self.norm_source!r}, "
            f"protect_attention={self.protect_attention}, gate={self.gate is not None}, "
            f"backbone_takes_modality={self.backbone_takes_modality}"
        )
