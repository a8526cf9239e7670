"""Is the attention of a trained model sound? What is measured of it on test images, and what to warn of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from concordant import CAL, attention_follows, attention_statistics, border_share, draw_crops
from vireid.datasets.cache import Images
from vireid.datasets.dataset import DataSet
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.inference import attend
from vireid.evaluation.semantics import (
    Pairs,
    by_part,
    exact_shares,
    pair_people,
    profiles,
    read_parts,
    semantic_scores,
)

CLEARLY = 0.25
"""A share is clearly above that of uniform attention from here on, on the way from there to all of the attention."""
LEAST_SLOPE = 0.5
"""Maps that move less than this, for what the content moves, do not follow it."""


class Watched(NamedTuple):
    """The attention on pairs of a visible and an infrared test image of one person."""

    pairs: Pairs
    maps: list[Tensor]
    """[m p gh gw] of the visible and of the infrared images, in the order of their modality's parts."""
    profiles: list[Tensor]
    """[m p s] of both: their shares on semantic parts. Nothing where images have no labels."""
    figures: dict[str, dict[str, Any]]
    """`attention` and `correspondence`, for metrics.json."""


def watch(model: CAL, data: DataSet, images: Images, device: torch.device) -> Watched:
    """What a model attends to in test images, and M̂. Figures are shares of 1; those of a part are in the order of the
    visible parts, each together with the infrared part that M̂ matches with it.

    entropy, overlap      see `attention_statistics`.
    border                share of a part's attention on the outermost tokens: see `border_share`.
    follows               how far a part's map moves with the content: see `attention_follows`.
    person, purity, …     of rendered people: see `semantic_scores`, and `exact_shares` for what is possible.
    """
    pairs, order = pair_people(data.test), model.correspondence.permutation().cpu()
    shown = [images[rows] for rows in pairs]
    crops = draw_crops(len(pairs.visible) + len(pairs.infrared), generator=torch.Generator().manual_seed(0))
    each = list(zip((VISIBLE, INFRARED), shown, crops.chunk(2), strict=True))
    maps = [attend(model, pictures, m, device=device) for m, pictures, _ in each]
    seen = [attend(model, pictures, m, device=device, crops=some) for m, pictures, some in each]
    both, again = (torch.cat([one, other[:, order]]) for one, other in (maps, seen))
    grid = (both.shape[2], both.shape[3])
    attention: dict[str, Any] = {
        name: float(value) for name, value in attention_statistics(both.flatten(2))._asdict().items()
    }
    attention["border"] = by_part(*border_share(both.flatten(2), grid=grid))
    attention["follows"] = by_part(attention_follows(both.flatten(2), again.flatten(2), crops, grid=grid))
    covered: list[Tensor] = []
    if (data.root / "parts").is_dir():
        labels = [read_parts(data.root, [data.test.paths[row] for row in rows]) for rows in pairs]
        covered = [profiles(own, some) for own, some in zip(maps, labels, strict=True)]
        even, every = torch.full_like(both[:, :1], 1 / both[0, 0].numel()), torch.cat(labels)
        attention |= semantic_scores(covered[0], covered[1], profiles(even, every), order)
        attention["person"]["exact"] = exact_shares(every, every.shape[2] // grid[1])
    correspondence = {"permutation": order.tolist(), "share": model.correspondence.stability()}
    return Watched(pairs, maps, covered, {"attention": attention, "correspondence": correspondence})


def sentences(metrics: dict[str, Any]) -> list[str]:
    """What `watch` measured, a line a figure. The numbers of a line are those of part 1, 2, … of attention.png."""
    found, correspondence = metrics["attention"], metrics["correspondence"]
    border, follows = found["border"], found["follows"]
    lines = [
        f"attention on test images: entropy {found['entropy']:.2f} (1: uniform), overlap of parts "
        f"{found['overlap']:.2f} (1: equal maps); M̂ = {correspondence['permutation']}, "
        f"{100 * correspondence['share']:.0f} % of the recent matchings",
        f"on the border, the outermost tokens, are {_percent(border)} % of each part's attention "
        f"(uniform attention: {100 * border['uniform']:.0f} %)",
        f"in crops of the images the maps move {', '.join(f'{slope:.2f}' for slope in follows['parts'])} times as far "
        "as what they look at (1: they follow it, 0: they stay)",
    ]
    if "person" in found:
        person, purity = found["person"], found["purity"]
        agreement, without, chance = (100 * found[f"agreement{end}"] for end in ("", "_without", "_chance"))
        exact = ", ".join(f"{name} {100 * share:.0f}" for name, share in person["exact"].items())
        lines += [
            f"on the person are {_percent(person)} % (uniform attention: {100 * person['uniform']:.0f} %; maps on this "
            f"grid that cover exactly one class of the body: {exact} %); of these, {_percent(purity)} % are on one "
            f"class of the body ({100 * purity['uniform']:.0f} %)",
            f"matched parts are mainly on the same class of the body in {agreement:.0f} % of the pairs of a person's "
            f"images (without M̂ {without:.0f} %, any two parts {chance:.0f} %)",
        ]
    return lines


def warnings(attention: dict[str, Any]) -> list[str]:
    """What is wrong with the attention of some parts, numbered as in attention.png; a line a fault.

    A part sits on the border if its share there is above that of uniform attention by more than a quarter of what
    remains to 1, does not follow if its map moves less than half as far as the content, and is beside the person, where
    labels tell, if its share on it is below that of uniform attention.
    """
    border, follows = attention["border"], attention["follows"]
    most = border["uniform"] + (1 - border["uniform"]) * CLEARLY
    faults: list[tuple[dict[str, Any], Callable[[float], bool], str]] = [
        (
            border,
            lambda share: share > most,
            f"on the border: more than {100 * most:.0f} % of the attention is on the outermost tokens",
        ),
        (
            follows,
            lambda slope: slope < LEAST_SLOPE,
            f"not following the content: in crops, maps move less than {LEAST_SLOPE} times as far",
        ),
    ]
    if "person" in attention:
        uniform = attention["person"]["uniform"]
        said = f"less than {100 * uniform:.0f} % of the attention is on it, the share of uniform attention"
        faults.append((attention["person"], lambda share: share < uniform, f"beside the person: {said}"))
    return [
        f"{_named(some)} {fault}"
        for figure, is_wrong, fault in faults
        if (some := [part for part, value in enumerate(figure["parts"], 1) if is_wrong(value)])
    ]


def _percent(figure: dict[str, list[float]]) -> str:
    return ", ".join(f"{100 * share:.0f}" for share in figure["parts"])


def _named(parts: list[int]) -> str:
    *others, last = map(str, parts)
    return (
        f"parts {', '.join(others)} and {last} of attention.png are" if others else f"part {last} of attention.png is"
    )
