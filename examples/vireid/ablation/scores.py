"""All that is measured of one trained model."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from concordant import CAL
from vireid.baseline import GlobalBaseline
from vireid.data import INFRARED, VISIBLE, Similarity, Sysu, cosine, evaluate
from vireid.diagnostics import attention_health
from vireid.inference import attend, encode, extract
from vireid.report import Images
from vireid.search import target_aware
from vireid.semantics import pair_people, profiles, read_parts, semantic_scores

TASK = "all_single"


def score(
    model: CAL | GlobalBaseline, data: Sysu, images: Images, *, with_target_aware: bool, device: torch.device
) -> dict[str, Any]:
    """The figures of `TASK` by way of retrieval; of CAL, its attention, M̂ and what its parts stand for, too.

    distilled       the whole embedding, which is what is compared between configurations.
    global, parts   either half of it alone.
    … without M̂     the parts of modality 1 in their own order.
    target-aware    all pairs, with the seconds that the comparisons take.
    """
    embeddings = extract(model, images, data.test.modality, device=device, progress=False)
    ways = {"distilled": embeddings}
    if isinstance(model, CAL):
        whole, parts = embeddings.split([model.channels, embeddings.shape[1] - model.channels], dim=1)
        order = model.correspondence.permutation().cpu()
        unordered = undo_order(parts, torch.from_numpy(data.test.modality), order)
        ways |= {"global": whole, "parts": parts, "parts without M̂": unordered}
        ways["distilled without M̂"] = torch.cat([whole, unordered], dim=1)
    figures: dict[str, Any] = {name: figures_of(data, cosine(rows, data.test)) for name, rows in ways.items()}
    if not isinstance(model, CAL):
        return {"retrieval": figures}
    if with_target_aware:
        encoded, start = encode(model, images, data.test.modality, device=device, progress=False), time.perf_counter()
        similarity = target_aware(encoded, data.test, model.attention, progress=False)
        figures["target-aware"] = figures_of(data, similarity) | {"seconds": time.perf_counter() - start}
    return {"retrieval": figures} | describe_parts(model, data, images, order, device)


def undo_order(parts: Tensor, modality: Tensor, order: Tensor) -> Tensor:
    """Embedded parts [n p·c] with those of modality 1 put back in the order in which its miner numbers them."""
    split = parts.unflatten(1, (len(order), -1))
    return torch.where((modality == INFRARED)[:, None, None], split[:, order.argsort()], split).flatten(1)


def figures_of(data: Sysu, similarity: Similarity) -> dict[str, float]:
    return evaluate(data, similarity, tasks=[TASK])[TASK]


def describe_parts(model: CAL, data: Sysu, images: Images, order: Tensor, device: torch.device) -> dict[str, Any]:
    """The attention's health, M̂, and how parts go together with semantic parts: all on the same pairs of pictures."""
    pairs = pair_people(data.test)
    maps = [attend(model, images[rows], m, device=device) for m, rows in zip((VISIBLE, INFRARED), pairs, strict=True)]
    paths = data.test.paths
    covered = [
        profiles(attention, read_parts(data.root, [paths[row] for row in rows]))
        for attention, rows in zip(maps, pairs, strict=True)
    ]
    return {
        "attention": attention_health(torch.cat(maps)),
        "correspondence": {"permutation": order.tolist(), "share": model.correspondence.stability()},
        "semantics": semantic_scores(*covered, order),
        "profiles": [profile.double().mean(dim=0).tolist() for profile in covered],
    }
