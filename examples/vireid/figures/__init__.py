"""Pictures of a run: how it went, where the parts look, what is ranked first, and what a search costs."""

from vireid.figures.attention import draw_attention
from vireid.figures.curves import draw_curves
from vireid.figures.ranking import draw_rankings
from vireid.figures.tradeoff import draw_tradeoff

__all__ = ["draw_attention", "draw_curves", "draw_rankings", "draw_tradeoff"]
