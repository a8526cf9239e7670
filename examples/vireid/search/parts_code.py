"""Encoded images as records of bytes: one record an image, with a checksum."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from concordant import Encoded, PartQueries
from vireid.checks import check, check_counts
from vireid.search.parts_pool import pool

Records = NDArray[np.void]
STEPS = 127
"""Of an 8-bit number, on either side of zero."""
SLICE = 256
"""Images that are packed at a time."""


@dataclass(frozen=True)
class PartSettings:
    """How a store keeps images."""

    numbers: Literal["float32", "int8"] = "int8"
    """int8 keeps a scale for each token, key, query and gate; a number is off by at most half a step, 1/254 of the
    largest. float32 is exact."""
    clusters: int | None = None
    """Tokens that an image keeps, each the mean of a cluster; None keeps all. It needs a model with a token gate."""

    def __post_init__(self) -> None:
        check(self, "numbers", self.numbers in ("float32", "int8"), "be 'float32' or 'int8'")
        if self.clusters is not None:
            check_counts(self, "clusters")


class Sizes(NamedTuple):
    """Numbers of an image: tokens, parts, channels, and those of a key."""

    t: int
    p: int
    c: int
    d: int


def sizes_of(images: Encoded) -> Sizes:
    (t, c), p = images.tokens.shape[1:], images.part_queries.gates.shape[1]
    return Sizes(t, p, c, images.keys.shape[2])


def layout(sizes: Sizes, settings: PartSettings) -> np.dtype[np.void]:
    """The record of an image that is packed, and has these sizes then."""
    t, p, c, d = sizes
    fields: list[tuple[str, str, tuple[int, ...]]] = [("checksum", "<u4", ())]
    for name, rows, columns in (("tokens", t, c), ("keys", t, d), ("queries", p, d), ("gates", p, c)):
        if settings.numbers == "int8":
            fields += [(f"{name}_scale", "<f4", (rows,)), (name, "i1", (rows, columns))]
        else:
            fields.append((name, "<f4", (rows, columns)))
    fields += [("mask", "?", (t,)), ("part_mask", "?", (p,))]
    return np.dtype(fields, align=True)


def pack(images: Encoded, settings: PartSettings) -> tuple[Sizes, Records]:
    """The records of n images.

    Raises:
        ValueError: clusters without a token gate, or numbers that are not finite.
    """
    images = _clean(images)
    if settings.clusters is not None:
        _check_gate(images)
    sizes = sizes_of(images)
    sizes = sizes._replace(t=min(sizes.t, settings.clusters or sizes.t))
    records = np.zeros(len(images), layout(sizes, settings))  # the room between fields is zero
    for start in range(0, len(images), SLICE):
        some, into = images[start : start + SLICE], records[start : start + SLICE]
        if settings.clusters is not None:
            some = pool(some, settings.clusters)
        for name, tensor in _named(some).items():
            if settings.numbers == "int8":
                scale = tensor.abs().amax(dim=2) / STEPS
                into[f"{name}_scale"] = scale.numpy()
                tensor = (tensor / scale.clamp_min(torch.finfo(scale.dtype).tiny)[:, :, None]).round()
            into[name] = tensor.numpy()
        into["mask"] = True if some.mask is None else some.mask.numpy()
        into["part_mask"] = True if some.part_mask is None else some.part_mask.numpy()
    records["checksum"] = checksums(records)
    return sizes, records


def unpack(records: Records) -> Encoded:
    """The images of records; it does not look at checksums."""
    names = records.dtype.names or ()
    found: dict[str, Tensor] = {}
    for name in ("tokens", "keys", "queries", "gates"):
        found[name] = torch.from_numpy(records[name]).float().contiguous()
        if f"{name}_scale" in names:
            found[name].mul_(torch.from_numpy(records[f"{name}_scale"])[:, :, None])
    masks = [None if records[name].all() else torch.from_numpy(records[name]) for name in ("mask", "part_mask")]
    return Encoded(found["tokens"], found["keys"], PartQueries(found["queries"], found["gates"]), *masks)


def checksums(records: Records) -> NDArray[np.uint32]:
    """crc32 of each record, behind its checksum."""
    raw = records.view(np.uint8).reshape(len(records), records.dtype.itemsize)
    return np.array([zlib.crc32(row[4:].data) for row in raw], dtype=np.uint32)


def _named(images: Encoded) -> dict[str, Tensor]:
    return {"tokens": images.tokens, "keys": images.keys, **images.part_queries._asdict()}


def _clean(images: Encoded) -> Encoded:
    """On the CPU, in float32, with zeros in place of padding."""
    images = images.to("cpu", torch.float32)
    masks = {"tokens": images.mask, "keys": images.mask, "queries": images.part_mask, "gates": images.part_mask}
    clean: dict[str, Any] = {}
    for name, tensor in _named(images).items():
        mask = masks[name]
        clean[name] = tensor.detach() if mask is None else tensor.detach().masked_fill(~mask[:, :, None], 0.0)
        if not clean[name].isfinite().all():
            raise ValueError(f"PartStore.add: `images` must have finite numbers; got {name} that are not")
    parts = PartQueries(clean["queries"], clean["gates"])
    return Encoded(clean["tokens"], clean["keys"], parts, images.mask, images.part_mask)


def _check_gate(images: Encoded) -> None:
    """Reject keys whose last channel is no gate: `gate_attention` gives each part the constant √d there."""
    last, root = images.part_queries.queries[..., -1], images.keys.shape[2] ** 0.5
    if images.part_mask is not None:
        last = last[images.part_mask]
    if not torch.allclose(last, torch.full_like(last, root)):
        raise ValueError(
            "PartStore.add: `images` must be of a model with a token gate, as `clusters` needs; got parts without its "
            "channel"
        )
