"""The input of the figures: embeddings, with test-time options or without; and what a report has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from vireid.config import RetrievalSettings
from vireid.datasets.items import INFRARED, VISIBLE, Item, Items
from vireid.datasets.llcm import CAMERAS, LLCM
from vireid.datasets.regdb import RegDB
from vireid.evaluation.inference import extract
from vireid.evaluation.protocol import OPTIONS, evaluate
from vireid.evaluation.report import compare, report
from vireid.evaluation.rerank import reranked
from vireid.evaluation.similarity import cosine
from vireid.files import read_json

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


def test_a_trained_model_is_scored_by_every_reading(tmp_path: Path) -> None:
    cameras = {m: cameras[:2] for m, cameras in CAMERAS.items()}
    test = Items(
        Item(Path(f"{i}.bmp"), i % 4, cameras[i // 8][i // 4 % 2], (VISIBLE, INFRARED)[i // 8]) for i in range(16)
    )
    data = LLCM(Path(), Items([]), test, (), (0, 1, 2, 3), "swapped")
    images = np.random.default_rng(0).integers(0, 256, (16, 6, 4, 3), dtype=np.uint8)
    model: Any = Pixels()
    embeddings = extract(model, images, test.modality, device=CPU, progress=False)
    for every in (True, False):
        report(
            model,
            data,
            images,
            RetrievalSettings(rerank=True),
            tmp_path,
            origin={},
            device=CPU,
            console=Console(quiet=True),
            every_reading=every,
        )
        metrics = read_json(tmp_path / "metrics.json")
        assert metrics["reading"] == "swapped"
        assert metrics["visible_to_nir"] == evaluate(data, cosine(embeddings, test))["visible_to_nir"]
        assert list(metrics.get("readings", {})) == (["paper", "camera-strict"] if every else [])
        for name, found in metrics.get("readings", {}).items():
            one = LLCM(Path(), Items([]), test, (), (0, 1, 2, 3), name)
            assert found["nir_to_visible"] == evaluate(one, cosine(embeddings, test))["nir_to_visible"]
            assert found["rerank"]["nir_to_visible"] == evaluate(one, reranked(embeddings, test))["nir_to_visible"]
            assert found["ties"].keys() == one.tasks.keys()
