"""Data sets, their evaluation protocols, and the way from image files to batches."""

from vireid.data.augment import Augment, normalise
from vireid.data.cache import cache_images
from vireid.data.gallery import gallery_draw
from vireid.data.items import INFRARED, VISIBLE, Item, Items
from vireid.data.protocol import Results, evaluate, exclusion, table
from vireid.data.sampler import CrossModalSampler
from vireid.data.sysu import Sysu, counts_table, describe, read_sysu, verify

__all__ = [
    "INFRARED",
    "VISIBLE",
    "Augment",
    "CrossModalSampler",
    "Item",
    "Items",
    "Results",
    "Sysu",
    "cache_images",
    "counts_table",
    "describe",
    "evaluate",
    "exclusion",
    "gallery_draw",
    "normalise",
    "read_sysu",
    "table",
    "verify",
]
