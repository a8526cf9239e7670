"""Every equation as a pure function. Each stands in one file with its module; this is where they are found."""

from concordant.crops import draw_crops, draw_views, resized_crop
from concordant.diagnostics import attention_follows, attention_statistics, border_share
from concordant.layers.aggregation import aggregate_tokens, select_top_k
from concordant.layers.attention import gate_attention, refine, spatial_similarity
from concordant.layers.classifier import classify_parts
from concordant.layers.gate import pool_tokens
from concordant.layers.instance_norm import instance_norm
from concordant.layers.mining import to_tokens
from concordant.layers.modality import draw_partners, per_modality, split_modality
from concordant.layers.scoring import part_scores
from concordant.losses.contrastive import target_aware_contrastive_loss
from concordant.losses.coverage import coverage_loss
from concordant.losses.discriminative import discriminative_loss
from concordant.losses.diversity import diversity_loss
from concordant.losses.equivariance import equivariance_loss
from concordant.losses.hetero_center import hetero_center_loss
from concordant.losses.match_distill import match_distill
from concordant.losses.part_center import part_center_loss
from concordant.losses.triplet import weighted_triplet_loss
from concordant.matching import invert_matching, match_parts
from concordant.retrieval.metrics import rank_metrics
from concordant.retrieval.rerank import k_reciprocal_rerank
from concordant.retrieval.similarity import target_aware_similarity

__all__ = [
    "aggregate_tokens",
    "attention_follows",
    "attention_statistics",
    "border_share",
    "classify_parts",
    "coverage_loss",
    "discriminative_loss",
    "diversity_loss",
    "draw_crops",
    "draw_partners",
    "draw_views",
    "equivariance_loss",
    "gate_attention",
    "hetero_center_loss",
    "instance_norm",
    "invert_matching",
    "k_reciprocal_rerank",
    "match_distill",
    "match_parts",
    "part_center_loss",
    "part_scores",
    "per_modality",
    "pool_tokens",
    "rank_metrics",
    "refine",
    "resized_crop",
    "select_top_k",
    "spatial_similarity",
    "split_modality",
    "target_aware_contrastive_loss",
    "target_aware_similarity",
    "to_tokens",
    "weighted_triplet_loss",
]
