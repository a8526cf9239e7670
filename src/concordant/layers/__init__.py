"""Layers: from feature maps and tokens to parts, and parts that attend."""
