"""Do mined parts correspond to parts of people? The renderer labels each pixel with a semantic part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vireid.datasets.items import INFRARED, VISIBLE, Items
from vireid.people.labels import PARTS, Part
from vireid.pictures import open_picture

EACH = 2
"""Number of pictures of each person and modality that are used."""
BODY = {
    "head": (Part.HAIR, Part.FACE, Part.HAT),
    "skin": (Part.SKIN,),
    "upper": (Part.UPPER,),
    "lower": (Part.LOWER,),
    "shoes": (Part.SHOES,),
    "bag": (Part.BAG,),
}
"""The classes of the body: what a part of a person can stand for."""


class Pairs(NamedTuple):
    """Rows of a visible and of an infrared picture of one person, pair by pair: [m] and [m]."""

    visible: NDArray[np.int64]
    infrared: NDArray[np.int64]


def pair_people(items: Items, each: int = EACH) -> Pairs:
    """Pairs of a visible and an infrared picture of each person."""
    pairs = []
    for identity in items.identities:
        own = items.identity == identity
        visible, infrared = (np.flatnonzero(own & (items.modality == m)) for m in (VISIBLE, INFRARED))
        # Spread from the first to the last camera.
        some = [rows[np.linspace(0, len(rows) - 1, each).astype(int)] for rows in (visible, infrared) if len(rows)]
        if len(some) == 2:
            pairs.append(np.stack(some))
    visible, infrared = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), np.int64)
    return Pairs(visible, infrared)


def read_parts(root: Path | str, paths: Sequence[Path | str]) -> Tensor:
    """The semantic part of each pixel [n H W] of rendered pictures.

    Raises:
        FileNotFoundError: a picture has no label map.
    """
    files = [Path(root) / "parts" / Path(path).relative_to(root).with_suffix(".png") for path in paths]
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"read_parts: no semantic parts at {missing[0]}")
    return torch.from_numpy(np.stack([np.asarray(open_picture(file)) for file in files]))


def part_cover(parts: Tensor, stride: int) -> Tensor:
    """The share of each semantic part in the pixels of each token: indices [n H W] -> [n h w s]."""
    planes = torch.stack([(parts == part).float() for part in range(len(PARTS))], dim=1)
    return avg_pool2d(planes, stride).permute(0, 2, 3, 1)


def profiles(attention: Tensor, parts: Tensor) -> Tensor:
    """[n p s]: the share of each attention map [n p h w] that lies on each semantic part, of pixels [n H W].

    The shares of a map sum to 1 over the s semantic parts.
    """
    cover = part_cover(parts, parts.shape[2] // attention.shape[3])
    return torch.einsum("nphw,nhws->nps", attention, cover)


def body_shares(shares: Tensor) -> Tensor:
    """[n p 6]: the share of each attention map that lies on each class of the body, of profiles [n p s]."""
    return torch.stack([shares[..., list(parts)].sum(dim=-1) for parts in BODY.values()], dim=-1)


def exact_shares(parts: Tensor, stride: int) -> dict[str, float]:
    """The share on the person of a map that covers one class of the body exactly, by class; mean over the pictures
    [n H W] that show it. No map of that class has more, unless it leaves out what is at its edge."""
    cover = part_cover(parts, stride).flatten(1, 2)
    person = body_shares(cover).sum(dim=2)
    shares = {}
    for name, some in BODY.items():
        own = cover[..., list(some)].sum(dim=2)
        total = own.sum(dim=1)
        if (shown := total > 0).any():
            shares[name] = float(((own * person).sum(dim=1)[shown] / total[shown]).mean())
    return shares


def purity(body: Tensor) -> Tensor:
    """[p]: of all attention of a part that lies on the person, the share on the main class of its map, of shares
    [n p 6]. 0 where there is none on the person."""
    return body.amax(dim=2).sum(dim=0) / body.sum(dim=(0, 2)).clamp_min(1e-12)


def main_classes(body: Tensor) -> Tensor:
    """[n p]: the class of the body that has the largest share of a map, of shares [n p 6]; −1 if no class has any."""
    return torch.where(body.amax(dim=2) > 0, body.argmax(dim=2), -1)


def semantic_scores(visible: Tensor, infrared: Tensor, uniform: Tensor, order: Tensor) -> dict[str, Any]:
    """How mined parts correspond to parts of people, from the profiles [m p s] of pairs, those of uniform attention on
    all their pictures [2m 1 s], and M̂ [p]. Shares of 1.

    The main class of an attention map is the class of `BODY` that has the largest share of it: background and what
    stands before a person are left out.

    person        share of the attention on the person.
    purity        of the attention on the person, the share on the main class of its map.
    constancy     how often a part index has its most frequent main class, within a modality.
    agreement     how often matched parts of the two pictures of a pair have the same main class; with equal indices:
                  `agreement_without`; with any two indices: `agreement_chance`.

    `person` and `purity` have a figure for each part, matched parts together, and that of uniform attention.
    """
    body = [body_shares(visible), body_shares(infrared)]
    matched, even = torch.cat([body[0], body[1][:, order]]), body_shares(uniform)
    one, other = (main_classes(shares) for shares in body)
    alike = (one[:, :, None] == other[:, None]) & (one[:, :, None] >= 0)
    usual = [(tops == tops.mode(dim=0).values).double().mean() for tops in (one, other)]
    rows = torch.arange(len(order))
    return {
        "person": by_part(matched.sum(dim=2).mean(dim=0), even.sum(dim=2).mean(dim=0)),
        "purity": by_part(purity(matched), purity(even)),
        "constancy": float(torch.stack(usual).mean()),
        "agreement": float(alike[:, rows, order].double().mean()),
        "agreement_without": float(alike[:, rows, rows].double().mean()),
        "agreement_chance": float(alike.double().mean()),
    }


def by_part(parts: Tensor, uniform: Tensor | None = None) -> dict[str, Any]:
    """A figure of each part, for JSON, and beside it that of uniform attention, where that says something."""
    figure: dict[str, Any] = {"parts": [round(value, 4) for value in parts.tolist()]}
    return figure if uniform is None else figure | {"uniform": round(float(uniform), 4)}


def same_parts(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Similarity of the parts of two models, in percent: the mean cosine of the best matching of their mean profiles
    [p s]."""
    one, other = (profile / np.linalg.norm(profile, axis=1, keepdims=True) for profile in (one, other))
    cosines = one @ other.T
    return 100 * float(cosines[linear_sum_assignment(-cosines)].mean())
