"""One training run: the loop, its objective, and all that it writes down."""
