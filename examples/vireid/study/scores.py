"""All that is measured of one trained model."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from concordant import CAL, target_aware_similarity
from vireid.datasets.cache import Images
from vireid.datasets.dataset import DataSet, Rows
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.attention import watch
from vireid.evaluation.conditions import score_conditions
from vireid.evaluation.inference import encode, extract, select
from vireid.evaluation.protocol import evaluate
from vireid.evaluation.similarity import Similarity, cosine
from vireid.models.build import Built
from vireid.search.two_stage import target_aware

TASK = "all_single"


def score(
    model: Built, data: DataSet, images: Images, *, with_target_aware: bool, device: torch.device
) -> dict[str, Any]:
    """The results of `TASK` by way of retrieval, and those of distilled retrieval by how the query's picture was taken;
    of CAL, its attention, M̂ and what its parts stand for, too.

    distilled       the whole embedding, which is what is compared between configurations.
    global, parts   either half of it alone.
    … without M̂     the parts of modality 1 in their own order.
    target-aware    all pairs; and the mean of that similarity and the global half's.
    … without norm  parts as the attention leaves them, before the batch normalisation.

    Beside the results, the seconds that comparing all pairs takes, and how many numbers are kept of an image.
    """
    embeddings = extract(model, images, data.test.modality, device=device, progress=False)
    ways = {"distilled": embeddings}
    if isinstance(model, CAL):
        whole, parts = embeddings.split([model.channels, embeddings.shape[1] - model.channels], dim=1)
        order = model.correspondence.permutation().cpu()
        infrared = torch.from_numpy(data.test.modality) == INFRARED
        unordered = undo_order(parts, infrared, order)
        ways |= {"global": whole, "parts": parts, "parts without M̂": unordered}
        ways["distilled without M̂"] = torch.cat([whole, unordered], dim=1)
    figures: dict[str, dict[str, float]] = {}

    def measure(way: str, numbers: int, compare: Callable[[], Similarity]) -> Similarity:
        start = time.perf_counter()
        similarity = compare()
        seconds = time.perf_counter() - start
        figures[way] = evaluate(data, similarity, tasks=[TASK])[TASK] | {"seconds": seconds, "numbers": numbers}
        return similarity

    cosines = {way: measure(way, rows.shape[1], partial(cosine, rows, data.test)) for way, rows in ways.items()}
    found = {"retrieval": figures, "conditions": score_conditions(data, cosines["distilled"], TASK)}
    if not isinstance(model, CAL):
        return found
    if with_target_aware:
        encoded = encode(model, images, data.test.modality, device=device, progress=False)
        numbers = sum(kept[0].numel() for kept in (encoded.tokens, encoded.keys, *encoded.part_queries))
        pairs = partial(target_aware, encoded, data.test, progress=False)
        by_parts, by_whole = measure("target-aware", numbers, partial(pairs, model.similarity)), cosines["global"]

        def both(query: Rows, gallery: Rows) -> Tensor:
            return (by_parts(query, gallery) + by_whole(query, gallery)) / 2

        figures["target-aware and global"] = evaluate(data, both, tasks=[TASK])[TASK]
        without_norm = partial(target_aware_similarity, attention=model.attention)
        measure("target-aware without norm", numbers, partial(pairs, without_norm))
        refined = model.attention.attend(encoded.tokens, encoded.keys, encoded.part_queries)
        plain = normalize(refined.features.cpu(), dim=2)
        plain = torch.where(infrared[:, None, None], plain[:, order], plain).flatten(1)
        measure("parts without norm", plain.shape[1], partial(cosine, plain, data.test))
    return found | describe_parts(model, data, images, device)


def undo_order(parts: Tensor, infrared: Tensor, order: Tensor) -> Tensor:
    """Embedded parts [n p·c], those of infrared images [n] put back in the order in which their miner numbers them."""
    split = parts.unflatten(1, (len(order), -1))
    return torch.where(infrared[:, None, None], split[:, order.argsort()], split).flatten(1)


def describe_parts(model: CAL, data: DataSet, images: Images, device: torch.device) -> dict[str, Any]:
    """The attention and M̂ as in metrics.json (see `watch`), how much of the attention stays on the tokens that a part
    was made of, and the mean profiles of parts: all on the same pairs of pictures."""
    watched = watch(model, data, images, device)
    shown = zip((VISIBLE, INFRARED), watched.pairs, strict=True)
    made_of = torch.cat([select(model, images[rows], m, device=device) for m, rows in shown])
    own = {
        "own": float((torch.cat(watched.maps) * made_of).sum(dim=(2, 3)).mean()),
        "own_chance": float(made_of.float().mean()),
    }
    return {
        "attention": watched.figures["attention"] | own,
        "correspondence": watched.figures["correspondence"],
        "profiles": [profile.double().mean(dim=0).tolist() for profile in watched.profiles],
    }
