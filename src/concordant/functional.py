"""Every equation as a pure function. Each stands in one file with its module; this is where they are found."""

from concordant.aggregation import aggregate_tokens, select_top_k
from concordant.attention import refine, spatial_similarity
from concordant.classifier import classify_parts
from concordant.discriminative import discriminative_loss
from concordant.diversity import diversity_loss
from concordant.instance_norm import instance_norm
from concordant.match_distill import match_distill
from concordant.matching import match_parts
from concordant.metrics import rank_metrics
from concordant.modality import draw_partners, per_modality
from concordant.part_center import part_center_loss
from concordant.retrieval import target_aware_similarity
from concordant.scoring import part_scores

__all__ = [
    "aggregate_tokens",
    "classify_parts",
    "discriminative_loss",
    "diversity_loss",
    "draw_partners",
    "instance_norm",
    "match_distill",
    "match_parts",
    "part_center_loss",
    "part_scores",
    "per_modality",
    "rank_metrics",
    "refine",
    "select_top_k",
    "spatial_similarity",
    "target_aware_similarity",
]
