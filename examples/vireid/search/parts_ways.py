"""Ways to keep encoded images in fewer bytes: those of the part store, and those that it was compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import faiss
import numpy as np
import torch
from torch import Tensor

from concordant import CAL, Encoded, PartQueries
from vireid.search.parts_code import STEPS, PartSettings, Sizes, layout, pack, unpack

SAMPLE = 1 << 13
"""Tokens that codebooks and principal components are learnt from."""
WIDTHS = (16, 8)
"""Channels that one byte of a product quantiser stands for."""
SHARES = (8, 4)
"""Channels for each principal component that is kept."""


class Way(NamedTuple):
    """A way to keep images."""

    family: str
    label: str
    size: Callable[[Sizes], int]
    """Bytes of an image of these sizes."""
    keep: PartSettings | Callable[[Encoded], Encoded]
    """The settings of a store, or what would be read of images that were kept in another way."""


def ways(model: CAL, clusters: Sequence[int]) -> Iterator[Way]:
    """All ways; for a model with a token gate also clusters and keys that are computed again."""
    yield _stored("all tokens", "float32", PartSettings("float32"))
    yield Way("all tokens", "float16", lambda s: 2 * (s.t + s.p) * (s.c + s.d), _halved)
    yield _stored("all tokens", "int8", PartSettings("int8"))
    if model.gate is not None:
        for number in clusters:
            yield _stored("clusters of tokens, int8", f"{number}", PartSettings("int8", number))
        yield Way("keys computed again, int8", "", _without_keys, lambda images: _keyed(model, images))
    for share in SHARES:
        yield Way(
            "principal components, int8",
            f"1/{share}",
            lambda s, share=share: s.t * (s.c // share + s.d // share + 8) + _parts(s),  # type: ignore[misc]
            lambda images, share=share: _each(images, lambda x: _components(x, x.shape[2] // share)),  # type: ignore[misc]
        )
    for width in WIDTHS:
        yield Way(
            "product quantiser",
            f"1/{width}",
            lambda s, width=width: s.t * (s.c // width + (s.d - 1) // width + 4) + _parts(s),  # type: ignore[misc]
            lambda images, width=width: _each(images, lambda x: _quantised(x, width)),  # type: ignore[misc]
        )


def _stored(family: str, label: str, settings: PartSettings) -> Way:
    def size(sizes: Sizes) -> int:
        return layout(sizes._replace(t=min(sizes.t, settings.clusters or sizes.t)), settings).itemsize

    return Way(family, label, size, settings)


def _parts(sizes: Sizes) -> int:
    """Bytes of the parts in the store."""
    return sizes.p * (sizes.c + sizes.d + 8)


def _without_keys(sizes: Sizes) -> int:
    return sizes.t * (sizes.c + 4) + _parts(sizes)


def _halved(images: Encoded) -> Encoded:
    return images.to(torch.float16).to(torch.float32)


def _keyed(model: CAL, images: Encoded) -> Encoded:
    """Keys and gates of the tokens that were kept. Parts are as they were."""
    kept = unpack(pack(images, PartSettings("int8"))[1])
    assert model.gate is not None
    keys = torch.cat([model.attention.encode_tokens(kept.tokens), model.gate(kept.tokens)[:, :, None]], dim=2)
    return Encoded(kept.tokens, keys, kept.part_queries)


def _each(images: Encoded, approximate: Callable[[Tensor], Tensor]) -> Encoded:
    """Tokens and keys approximated each for itself; the last channel of a key, which may be a gate, is kept."""
    keys = torch.cat([approximate(images.keys[..., :-1]), images.keys[..., -1:]], dim=2)
    parts = PartQueries(*(_rounded(x) for x in images.part_queries))
    return Encoded(approximate(images.tokens), keys, parts)


def _rounded(features: Tensor) -> Tensor:
    """As the store rounds them."""
    scale = (features.abs().amax(dim=-1, keepdim=True) / STEPS).clamp_min(torch.finfo(features.dtype).tiny)
    return (features / scale).round() * scale


def _sample(features: Tensor) -> Tensor:
    rows = features.flatten(0, 1)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:SAMPLE]]


def _components(features: Tensor, number: int) -> Tensor:
    """Rounded coefficients of the first principal components of all images' rows [n t c]."""
    rows = _sample(features)
    mean = rows.mean(dim=0)
    basis = torch.linalg.eigh((rows - mean).T @ (rows - mean)).eigenvectors[:, -max(number, 1) :]
    components: Tensor = _rounded((features - mean) @ basis) @ basis.T + mean
    return components


def _quantised(features: Tensor, width: int) -> Tensor:
    """Rows [n t c] by a product quantiser of one byte for `width` channels, learnt from the same rows."""
    quantiser = faiss.ProductQuantizer(features.shape[2], max(features.shape[2] // width, 1), 8)
    quantiser.cp.min_points_per_centroid = 1
    quantiser.cp.niter = 10
    quantiser.train(np.ascontiguousarray(_sample(features).numpy()))
    rows = np.ascontiguousarray(features.flatten(0, 1).numpy())
    decoded = quantiser.decode(quantiser.compute_codes(rows))  # type: ignore[call-arg,func-returns-value]
    return torch.from_numpy(decoded).view(features.shape)
