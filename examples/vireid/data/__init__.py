"""Data sets, their evaluation protocols, and the way from image files to batches."""

from vireid.data.augment import Augment, normalise
from vireid.data.cache import cache_images
from vireid.data.counts import counts_table, describe, verify, verify_published
from vireid.data.dataset import Count, DataSet, Task, Trial
from vireid.data.gallery import gallery_draw
from vireid.data.items import INFRARED, VISIBLE, Item, Items
from vireid.data.llcm import LLCM, read_llcm
from vireid.data.protocol import Results, check_tasks, evaluate, table
from vireid.data.regdb import RegDB, read_regdb
from vireid.data.rerank import rerank_distances, reranked
from vireid.data.sampler import CrossModalSampler
from vireid.data.similarity import Similarity, by_modality, cosine, looked_up
from vireid.data.sysu import Sysu, exclusion, read_sysu

__all__ = [
    "INFRARED",
    "LLCM",
    "VISIBLE",
    "Augment",
    "Count",
    "CrossModalSampler",
    "DataSet",
    "Item",
    "Items",
    "RegDB",
    "Results",
    "Similarity",
    "Sysu",
    "Task",
    "Trial",
    "by_modality",
    "cache_images",
    "check_tasks",
    "cosine",
    "counts_table",
    "describe",
    "evaluate",
    "exclusion",
    "gallery_draw",
    "looked_up",
    "normalise",
    "read_llcm",
    "read_regdb",
    "read_sysu",
    "rerank_distances",
    "reranked",
    "table",
    "verify",
    "verify_published",
]
