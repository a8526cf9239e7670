"""Similarity, ranking and its metrics."""
