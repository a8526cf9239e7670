"""Layers and losses for cross-modal retrieval by parts, which compose into CAL (ICCV 2023).

Letters, used in every shape: `b` batch, `c` channels, `h w` grid, `t = h·w` tokens, `p` parts, `d` attention width,
`k` identities, `n` rows of a mixed-modality batch, `q` queries, `g` gallery.
"""

from concordant import distributed, functional
from concordant.aggregation import MinedParts, TopKAggregator
from concordant.attention import PartQueries, Refined
from concordant.cal import CAL, CALOutput
from concordant.cal_loss import CALLoss, LossTerms
from concordant.classifier import PartClassifier
from concordant.discriminative import DiscriminativeLoss
from concordant.diversity import DiversityLoss
from concordant.dot_product import DotProductAttention
from concordant.match_distill import Distilled, MatchDistill
from concordant.matching import PartCorrespondence, match_parts
from concordant.metrics import RankMetrics, rank_metrics
from concordant.mining import HorizontalParts, LearnableParts, PartMiner
from concordant.modality import per_modality
from concordant.part_center import PartCenterLoss
from concordant.retrieval import Encoded, target_aware_similarity
from concordant.scoring import PartScorer
from concordant.tsaa import TSAA

__version__ = "0.1.0"

__all__ = [
    "CAL",
    "TSAA",
    "CALLoss",
    "CALOutput",
    "DiscriminativeLoss",
    "Distilled",
    "DiversityLoss",
    "DotProductAttention",
    "Encoded",
    "HorizontalParts",
    "LearnableParts",
    "LossTerms",
    "MatchDistill",
    "MinedParts",
    "PartCenterLoss",
    "PartClassifier",
    "PartCorrespondence",
    "PartMiner",
    "PartQueries",
    "PartScorer",
    "RankMetrics",
    "Refined",
    "TopKAggregator",
    "distributed",
    "functional",
    "match_parts",
    "per_modality",
    "rank_metrics",
    "target_aware_similarity",
]
