"""The picture of the idea: `PYTHONPATH=examples python docs/tools/idea.py` writes docs/images/idea.jpg, from
the run of `make demo`.

Of all test pairs of an infrared and a visible image of one person, whose heads are more than a stripe apart, the part
that stands for the head is looked for in the visible image. It prints how often the best token of both maps is on the
head, and shows the three persons with the largest distance among those.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vireid.config import SysuSettings
from vireid.datasets.items import INFRARED, VISIBLE
from vireid.evaluation.inference import attend, encode
from vireid.evaluation.semantics import BODY, part_cover, read_parts
from vireid.figures.attention import draw_part, enlarge
from vireid.figures.style import save
from vireid.models.hub import HubCAL
from vireid.run import decode, read
from vireid.runs import RECORD, read_settings

ROOT = Path(__file__).resolve().parents[2]
STRIPES, PEOPLE = 6, 3


def height_of_heads(labels: Tensor) -> NDArray[np.float64]:
    """The mean row of each head's pixels, as a share of the picture's height; NaN without a head, of labels [n H W]."""
    heads = torch.isin(labels, torch.tensor([int(part) for part in BODY["head"]])).double().sum(dim=2)
    rows = (torch.arange(heads.shape[1]) + 0.5) / heads.shape[1]
    mean: NDArray[np.float64] = (heads @ rows.double() / heads.sum(dim=1)).numpy()
    return mean


def main() -> None:
    run = ROOT / "runs" / "demo"
    settings, device = read_settings(run / RECORD, SysuSettings), torch.device("cpu")
    model, data = HubCAL.from_run(run), read(settings)
    images, identity = decode(settings.data, data, data.test, "test"), data.test.identity
    visible, infrared = (np.flatnonzero(data.test.modality == m) for m in (VISIBLE, INFRARED))
    labels = read_parts(data.root, data.test.paths)
    asked = attend(model, images[infrared], INFRARED, device=device)
    part = int(on_head(asked, labels[infrared]).double().mean(dim=0).argmax())
    heights = height_of_heads(labels)
    gap = np.abs(heights[infrared][:, None] - heights[visible])
    gap[(identity[infrared][:, None] != identity[visible]) | np.isnan(gap)] = 0
    far = np.argsort(-gap, axis=None)[: int((gap > 1 / STRIPES).sum())]
    own, other = (torch.from_numpy(some) for some in np.divmod(far, len(visible)))
    with torch.inference_mode():
        encoded = encode(model, images, data.test.modality, device=device)
        query, gallery = encoded[torch.from_numpy(infrared)[own]], encoded[torch.from_numpy(visible)[other]]
        found = model.attention.attend(gallery.tokens, gallery.keys, query.part_queries).attention
    answered = found[:, [part]].unflatten(2, asked.shape[2:])
    right = on_head(answered, labels[visible[other.numpy()]])[:, 0].numpy()
    right &= on_head(asked, labels[infrared])[own, part].numpy()
    print(f"{len(far)} pairs with heads more than a stripe apart; part {part + 1} is on both in {right.mean():.0%}")
    _, first = np.unique(identity[infrared[own.numpy()]][right], return_index=True)
    shown = np.flatnonzero(right)[np.sort(first)[:PEOPLE]]
    rows = infrared[own[shown].numpy()], visible[other[shown].numpy()]
    draw(images[rows[0]], images[rows[1]], asked[own[shown], part], answered[shown, 0], heights[rows[0]].tolist(), part)


def on_head(maps: Tensor, labels: Tensor) -> Tensor:
    """Whether the best token of each map [n p h w] has pixels of the head: [n p]."""
    cover = part_cover(labels, labels.shape[1] // maps.shape[2])[..., [int(part) for part in BODY["head"]]].sum(dim=3)
    return cover.flatten(1).gather(1, maps.flatten(2).argmax(dim=2)) > 0


def draw(
    queries: NDArray[np.uint8],
    gallery: NDArray[np.uint8],
    asked: Tensor,
    answered: Tensor,
    heights: list[float],
    part: int,
) -> None:
    """Three tiles a person: the query and its part, the stripe at the same height, and where the part is found."""
    ratios = [1.0, 1.0, 1.0, 0.3] * len(queries)
    tall = queries.shape[1] / queries.shape[2]
    figure, axes = plt.subplots(1, len(ratios) - 1, figsize=(1.0 * sum(ratios), tall + 0.45), width_ratios=ratios[:-1])
    for axis in axes:
        axis.set(xticks=[], yticks=[], frame_on=False)
    for person, (query, found, height) in enumerate(zip(queries, gallery, heights, strict=True)):
        one, two, three = axes[4 * person : 4 * person + 3]
        for axis, image, attention in ((one, query, asked[person]), (three, found, answered[person])):
            draw_part(axis, image, enlarge(attention[None], *image.shape[:2])[0], part)
        one.set_title("query", fontsize=9)
        two.imshow(found)
        side, stripe = found.shape[0] / STRIPES, min(int(height * STRIPES), STRIPES - 1)
        two.add_patch(Rectangle((0, stripe * side), found.shape[1] - 1, side, fill=False, color="#D55E00", linewidth=2))
        two.set_title("its stripe", fontsize=9)
        three.set_title("its part, found", fontsize=9)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=0.86, wspace=0.06)
    path = save(figure, ROOT / "runs" / "idea.png", dpi=140)
    Image.open(path).convert("RGB").save(ROOT / "docs" / "images" / "idea.jpg", quality=88)


if __name__ == "__main__":
    main()
