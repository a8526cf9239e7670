"""From a trained model to results: embeddings, protocols, search."""
