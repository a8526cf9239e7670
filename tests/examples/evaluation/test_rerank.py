"""Re-ranking of test images: that of the library, for the given rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from concordant import k_reciprocal_rerank
from support.models import clusters
from vireid.datasets.items import Item, Items
from vireid.evaluation.rerank import reranked


def test_it_is_the_librarys_of_the_rows_asked_for() -> None:
    embeddings, test = 3 * clusters(60, e=8), Items(Item(Path(f"{i}.jpg"), i % 40, 1, i % 2) for i in range(60))
    query, gallery = np.array([8, 2, 4]), np.array([1, 59, 7, 21, 3, 5, 41])
    rows = torch.from_numpy(np.concatenate([query, gallery]))
    unit = torch.nn.functional.normalize(embeddings, dim=1)[rows]
    expected = k_reciprocal_rerank(unit @ unit.T, 3, k1=4, k2=2, weight=0.1)
    found = reranked(embeddings, test, k1=4, k2=2, weight=0.1)(query, gallery)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
