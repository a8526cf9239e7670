"""Losses, one a file, and the objective that they compose into."""
