"""k-reciprocal re-ranking of test images, as a similarity for evaluations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from concordant import k_reciprocal_rerank
from vireid.datasets.dataset import Rows
from vireid.datasets.items import Items
from vireid.evaluation.similarity import Similarity, check_embeddings


def reranked(embeddings: Tensor, test: Items, *, k1: int = 20, k2: int = 6, weight: float = 0.3) -> Similarity:
    """The similarity after k-reciprocal re-ranking of embeddings [n e], one row per image of `test`.

    All queries and gallery images can be neighbours of a query, also gallery images that the protocol hides from it:
    these are removed from the ranking afterwards.

    Args:
        k1, k2, weight: see `concordant.k_reciprocal_rerank`.

    Raises:
        ValueError: for embeddings that are not one row per image.
    """
    check_embeddings("reranked", embeddings, test)
    unit = normalize(embeddings.float(), dim=1)
    # Of all test images, once for all tasks and trials: the largest array of an evaluation.
    cosines = (unit @ unit.T).numpy()

    def similarity(query: Rows, gallery: Rows) -> Tensor:
        rows = np.concatenate([query, gallery])
        chosen = torch.from_numpy(cosines[np.ix_(rows, rows)])
        return k_reciprocal_rerank(chosen, len(query), k1=k1, k2=k2, weight=weight)

    return similarity
