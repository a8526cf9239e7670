"""Backbones, the model that settings describe, and the ways to save and export it."""
