"""The input of the figures: embeddings, with test-time options or without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vireid.config import RetrievalSettings
from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.datasets.regdb import RegDB
from vireid.evaluation.inference import extract
from vireid.evaluation.protocol import OPTIONS
from vireid.evaluation.report import compare
from vireid.evaluation.rerank import reranked
from vireid.evaluation.similarity import cosine

CPU = torch.device("cpu")


class Pixels(torch.nn.Module):
    """Embeds an image by its pixels, so that a mirrored one is told from the image."""

    def embed(self, images: torch.Tensor, modality: int) -> torch.Tensor:
        return images.flatten(1) + modality


def _case() -> tuple[RegDB, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (8, 6, 4, 3), dtype=np.uint8)
    test = Items(Item(Path(f"{i}.bmp"), i % 4, i // 4 + 1, i // 4) for i in range(8))
    return RegDB(Path(), Items([]), test, (), (0, 1, 2, 3)), images


def test_mirrored_embeddings_are_those_of_mirrored_images() -> None:
    data, images = _case()
    mirrored = extract(Pixels(), images, data.test.modality, device=CPU, mirror=True, progress=False)  # type: ignore[arg-type]
    expected = extract(Pixels(), images[:, :, ::-1], data.test.modality, device=CPU, progress=False)  # type: ignore[arg-type]
    plain = extract(Pixels(), images, data.test.modality, device=CPU, progress=False)  # type: ignore[arg-type]
    torch.testing.assert_close(mirrored, expected)
    assert not torch.allclose(mirrored, plain)


@pytest.mark.parametrize(("flip", "rerank"), [(False, False), (True, False), (False, True), (True, True)])
def test_options_come_after_the_plain_similarity_and_add_up(flip: bool, rerank: bool) -> None:
    data, images = _case()
    query, gallery = (np.flatnonzero(data.test.modality == m) for m in (VISIBLE, INFRARED))
    found = compare(Pixels(), data, images, RetrievalSettings(flip=flip, rerank=rerank), CPU)  # type: ignore[arg-type]
    plain = extract(Pixels(), images, data.test.modality, device=CPU, progress=False)  # type: ignore[arg-type]
    torch.testing.assert_close(found.pop("")(query, gallery), cosine(plain, data.test)(query, gallery))
    if not flip and not rerank:
        assert not found
        return
    ((name, similarity),) = found.items()
    assert name == {(True, False): "flip", (False, True): "rerank", (True, True): "flip+rerank"}[flip, rerank]
    assert name in OPTIONS
    both = (plain + extract(Pixels(), images[:, :, ::-1], data.test.modality, device=CPU, progress=False)) / 2  # type: ignore[arg-type]
    expected = (reranked if rerank else cosine)(both if flip else plain, data.test)
    torch.testing.assert_close(similarity(query, gallery), expected(query, gallery))
