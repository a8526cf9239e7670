"""Data sets, and the way from image files to batches."""
