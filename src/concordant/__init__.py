"""Layers and losses for cross-modal retrieval by parts, which compose into CAL (ICCV 2023).

Letters, used in every shape: `b` batch, `c` channels, `h w` grid, `t = h·w` tokens, `p` parts, `d` attention width,
`k` identities, `n` rows of a mixed-modality batch, `q` queries, `g` gallery.
"""

from concordant import distributed, functional
from concordant.cal import CAL
from concordant.crops import Views, draw_crops, draw_views, resized_crop
from concordant.diagnostics import (
    AttentionStatistics,
    BorderShare,
    attention_follows,
    attention_statistics,
    border_share,
)
from concordant.layers.aggregation import MinedParts, TopKAggregator
from concordant.layers.attention import PartAttention, PartQueries, Refined
from concordant.layers.classifier import PartClassifier
from concordant.layers.dot_product import DotProductAttention
from concordant.layers.gate import TokenGate
from concordant.layers.mining import HorizontalParts, LearnableParts, PartMiner, to_tokens
from concordant.layers.modality import ModalitySplit, draw_partners, per_modality, split_modality
from concordant.layers.scoring import PartScorer
from concordant.layers.tsaa import TSAA
from concordant.losses.cal import CALLoss, LossTerms
from concordant.losses.contrastive import TargetAwareContrastiveLoss
from concordant.losses.coverage import CoverageLoss
from concordant.losses.discriminative import DiscriminativeLoss
from concordant.losses.diversity import DiversityLoss
from concordant.losses.equivariance import EquivarianceLoss
from concordant.losses.hetero_center import HeteroCenterLoss
from concordant.losses.match_distill import Distilled, MatchDistill
from concordant.losses.part_center import PartCenterLoss
from concordant.losses.triplet import WeightedTripletLoss
from concordant.matching import PartCorrespondence, invert_matching, match_parts
from concordant.output import CALOutput
from concordant.retrieval.encoded import Encoded
from concordant.retrieval.metrics import RankMetrics, rank_metrics
from concordant.retrieval.rerank import k_reciprocal_rerank
from concordant.retrieval.similarity import target_aware_similarity

__version__ = "0.1.0"

__all__ = [
    "CAL",
    "TSAA",
    "AttentionStatistics",
    "BorderShare",
    "CALLoss",
    "CALOutput",
    "CoverageLoss",
    "DiscriminativeLoss",
    "Distilled",
    "DiversityLoss",
    "DotProductAttention",
    "Encoded",
    "EquivarianceLoss",
    "HeteroCenterLoss",
    "HorizontalParts",
    "LearnableParts",
    "LossTerms",
    "MatchDistill",
    "MinedParts",
    "ModalitySplit",
    "PartAttention",
    "PartCenterLoss",
    "PartClassifier",
    "PartCorrespondence",
    "PartMiner",
    "PartQueries",
    "PartScorer",
    "RankMetrics",
    "Refined",
    "TargetAwareContrastiveLoss",
    "TokenGate",
    "TopKAggregator",
    "Views",
    "WeightedTripletLoss",
    "attention_follows",
    "attention_statistics",
    "border_share",
    "distributed",
    "draw_crops",
    "draw_partners",
    "draw_views",
    "functional",
    "invert_matching",
    "k_reciprocal_rerank",
    "match_parts",
    "per_modality",
    "rank_metrics",
    "resized_crop",
    "split_modality",
    "target_aware_similarity",
    "to_tokens",
]
