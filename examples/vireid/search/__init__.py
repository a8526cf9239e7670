"""Search in galleries of any size: stores of embeddings, indices, two stages, and their measurements."""
