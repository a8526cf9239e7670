"""Backbones, building a model from settings, and saving and exporting it."""
