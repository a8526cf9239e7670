"""One training run: the loop, its checkpoints, and its records."""
