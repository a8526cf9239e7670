"""Do mined parts correspond to parts of people? The renderer labels each pixel with a semantic part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vireid.datasets.items import INFRARED, VISIBLE, Items
from vireid.people import PARTS, Part
from vireid.pictures import open_picture

EACH = 2
"""Number of pictures of each person and modality that are used."""


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
        FileNotFoundError: the data set was rendered without semantic parts.
    """
    files = [Path(root) / "parts" / Path(path).relative_to(root).with_suffix(".png") for path in paths]
    if missing := [file for file in files if not file.is_file()]:
        raise FileNotFoundError(f"read_parts: no semantic parts at {missing[0]}: render the set with them (--parts)")
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


def semantic_scores(visible: Tensor, infrared: Tensor, order: Tensor) -> dict[str, float | None]:
    """How mined parts correspond to semantic parts, from the profiles [m p s] of pairs and M̂ [p], in percent.

    The main part of an attention map is the semantic part that has the largest share of it.

    purity        share of an attention map on its main part.
    person        share of the attention on the person.
    constancy     how often a part index has its most frequent main part, within a modality.
    agreement     how often matched parts of the two pictures of a pair have the same main part; with equal indices:
                  `agreement_without`; with any two indices: `agreement_chance`.
    …_person      agreement if the main part in the visible picture is a part of the person, since agreement on the
                  background is easy. None if there are no such parts.
    """
    both = torch.cat([visible, infrared])
    main = [profile.argmax(dim=2) for profile in (visible, infrared)]
    constancy = [(tops == tops.mode(dim=0).values).double().mean() for tops in main]
    nobody = torch.tensor([Part.BACKGROUND, Part.OCCLUDER])
    on_person = ~torch.isin(main[0], nobody)
    agreement = {
        "agreement": (main[0] == main[1][:, order]).double(),
        "agreement_without": (main[0] == main[1]).double(),
        "agreement_chance": (main[0][:, :, None] == main[1][:, None, :]).double().mean(dim=2),
    }
    figures = {
        "purity": both.amax(dim=2).mean(),
        "person": 1 - both[:, :, nobody].sum(dim=2).mean(),
        "constancy": torch.stack(constancy).mean(),
    }
    figures |= {name: values.mean() for name, values in agreement.items()}
    figures |= {f"{name}_person": values[on_person].mean() for name, values in agreement.items()}
    return {name: None if value.isnan() else 100 * float(value) for name, value in figures.items()}


def same_parts(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Similarity of the parts of two models, in percent: the mean cosine of the best matching of their mean profiles
    [p s]."""
    one, other = (profile / np.linalg.norm(profile, axis=1, keepdims=True) for profile in (one, other))
    cosines = one @ other.T
    return 100 * float(cosines[linear_sum_assignment(-cosines)].mean())
