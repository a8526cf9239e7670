"""Figures: training curves, attention of the parts, ranking lists, cost of a search, effect of a change."""

from vireid.figures.attention import draw_attention, draw_composites, draw_found
from vireid.figures.contrasts import draw_contrasts
from vireid.figures.curves import draw_curves
from vireid.figures.explanation import SIDES, Shown, draw_explanation
from vireid.figures.intervals import draw_intervals
from vireid.figures.page import write_page
from vireid.figures.ranking import draw_hits, draw_rankings
from vireid.figures.storage import Kept, draw_storage
from vireid.figures.sweeps import draw_sweeps
from vireid.figures.tradeoff import draw_tradeoff

__all__ = [
    "SIDES",
    "Kept",
    "Shown",
    "draw_attention",
    "draw_composites",
    "draw_contrasts",
    "draw_curves",
    "draw_explanation",
    "draw_found",
    "draw_hits",
    "draw_intervals",
    "draw_rankings",
    "draw_storage",
    "draw_sweeps",
    "draw_tradeoff",
    "write_page",
]
