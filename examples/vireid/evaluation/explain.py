"""Why two images are similar: what each part adds to target-aware similarity, and where it looks in both images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import cosine_similarity

from concordant import CAL, Encoded, PartQueries
from vireid.datasets.cache import read_picture
from vireid.datasets.items import INFRARED
from vireid.evaluation.inference import default_device, encode, read
from vireid.figures import SIDES, Shown, draw_explanation, write_page
from vireid.files import write_json
from vireid.models.build import BuiltCAL


class Explanation(NamedTuple):
    """Target-aware similarity of a query and a gallery image by parts; parts are in the order of their image."""

    contributions: Tensor
    """[2 p], of the parts of the query, and of the gallery image. Their sum is the similarity."""
    maps: Tensor
    """[2 p 2 t], attention of these parts on the query, and on the gallery image."""


@torch.inference_mode()
def explain(model: CAL, query: Encoded, gallery: Encoded) -> Explanation:
    """The parts of `model.similarity(query, gallery)`, for one image on each side.

    Equation: part k of P, the parts of the query or those of the gallery image, adds `cos(A(T_q; P)_k, A(T_g; P)_k)`
    over 2p. The features A pass the model's norm before.

    Raises:
        ValueError: a side is not one image.
    """
    if len(query) != 1 or len(gallery) != 1:
        raise ValueError(f"explain: `query` and `gallery` must be one image each; got {len(query)} and {len(gallery)}")
    both = Encoded.cat([query, gallery])
    contributions, maps = [], []
    for owner in (query, gallery):
        queries, gates = owner.part_queries
        p = queries.shape[1]
        parts = PartQueries(queries.expand(2, -1, -1), gates.expand(2, -1, -1))
        features, attention, *_ = model.attention.attend(both.tokens, both.keys, parts, both.mask)
        one, other = model.part_norm(features.flatten(1)).unflatten(1, (p, -1))
        contributions.append(cosine_similarity(one, other, dim=1) / (2 * p))
        maps.append(attention.transpose(0, 1))
    return Explanation(torch.stack(contributions), torch.stack(maps))


def explain_files(
    model: BuiltCAL, paths: tuple[Path, Path], modalities: Sequence[int], out: Path, console: Console
) -> None:
    """Explain the similarity of two image files, of these modalities: explain.json, explain.png and explain.html.

    Parts that M̂ matches have one number, that of the part of modality 0.

    Raises:
        ValueError, OSError: an image cannot be read, or a file cannot be written.
    """
    device = default_device()
    size = (model.config.height, model.config.width)
    images = np.stack([read_picture(path, size) for path in paths])
    query, gallery = (
        encode(model.to(device), images[[side]], np.array([modality]), device=device, progress=False)
        for side, modality in enumerate(modalities)
    )
    matched = model.correspondence.permutation().cpu()
    orders = [matched if modality == INFRARED else torch.arange(len(matched)) for modality in modalities]
    contributions, maps = (
        torch.stack([side[order] for side, order in zip(found.cpu(), orders, strict=True)])
        for found in explain(model, query, gallery)
    )
    with torch.inference_mode():
        grid = model.feature_map(read(images, np.arange(1), device), modalities[0]).shape[2:]
    shown = Shown(images, ["/".join(path.parts[-3:]) for path in paths], contributions, maps.unflatten(3, grid))
    out.mkdir(parents=True, exist_ok=True)
    numbers = {"similarity": float(contributions.sum()), "query": str(paths[0]), "gallery": str(paths[1])}
    numbers |= {f"parts of the {name}": each for name, each in zip(SIDES, contributions.tolist(), strict=True)}
    write_json(out / "explain.json", numbers)
    draw_explanation(shown, out / "explain.png")
    write_page(shown, out / "explain.html")
    console.print(f"similarity {contributions.sum():.3f}, of which each part adds:", highlight=False)
    for name, each in zip(SIDES, contributions, strict=True):
        console.print(f"  parts of the {name}: " + ", ".join(f"{x:+.3f}" for x in each), highlight=False)
    console.print(f"[bold]{out}[/bold] holds explain.html, explain.json and explain.png")
