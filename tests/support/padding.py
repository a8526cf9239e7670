"""The one property of every mask: what stands in place of padding changes nothing.

Inputs, masks and outputs are given by their letters, as in the library's annotations: a mask "b t" speaks of the axis
`t` of every input and output that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from support.case import floats
from support.models import close

Lettered = tuple[Tensor, str]
HUGE = 1.5e308
"""Twice as much is infinite, in float64."""


class _Run(NamedTuple):
    outputs: list[Tensor]
    first: list[Tensor]
    second: list[Tensor]
    parameters: list[Tensor]
    """Gradients of the first and of the second order, one after another."""


@st.composite
def masks(draw: st.DrawFn, rows: int, length: int, *, none: bool = True) -> Tensor:
    """Masks (rows, length): prefixes or any tokens, whole rows, a single real token, and none where that may be."""
    mask = torch.zeros(rows, length, dtype=torch.bool)
    for row in mask:
        kind = draw(st.sampled_from(["any", "prefix", "all", "one"] + ["none"] * none))
        if kind == "any":
            row[:] = torch.tensor(draw(st.lists(st.booleans(), min_size=length, max_size=length)))
        elif kind == "prefix":
            row[: draw(st.integers(1, length))] = True
        elif kind in ("all", "one"):
            row[slice(None) if kind == "all" else draw(st.integers(0, length - 1))] = True
        if not (none or row.any()):
            row[draw(st.integers(0, length - 1))] = True
    return mask


def check_padding(
    function: Callable[..., object],
    inputs: dict[str, Lettered],
    masks: dict[str, Lettered],
    outputs: Sequence[str],
    *,
    parameters: Sequence[Tensor] = (),
    alone: Literal["rows", "batch", "never"] = "rows",
    fills: Sequence[float] = (0.0, HUGE, -HUGE),
) -> None:
    """Check a function of named inputs and masks.

    Outputs, and gradients of the first and second order, are the same for any fill, and those of the padding are zero.
    They are those without the padding and without a mask.

    Args:
        outputs: the letters of the function's floating-point outputs.
        parameters: of the function, whose gradients are the sum over the rows.
        alone: what is compared with the function without a mask: each row by itself; the batch, for functions in which
            rows meet, where the masks must be the same in every row; or nothing, where there is no such thing.
    """
    named = {name: letters for name, (_, letters) in (inputs | masks).items()}
    given = {name: mask for name, (mask, _) in masks.items()}
    spoken_of = {letters.split()[1]: given[name] for name, (_, letters) in masks.items()}
    generator = torch.Generator().manual_seed(0)
    weights: list[Tensor] = []

    def real(tensor: Tensor, letters: str) -> Tensor:
        """Where a tensor is real: True in the shape of the tensor."""
        where = torch.ones(tensor.shape, dtype=torch.bool)
        for axis, letter in enumerate(letters.split()):
            if letter in spoken_of:
                shape = [1] * tensor.dim()
                shape[0], shape[axis] = tensor.shape[0], tensor.shape[axis]
                where &= spoken_of[letter].view(shape)
        return where

    def run(values: dict[str, Tensor], masks: dict[str, Tensor], weights: list[Tensor]) -> _Run:
        leaves = {n: x.detach().clone().requires_grad_() for n, x in values.items() if x.is_floating_point()}
        found = floats(function(**values | leaves, **masks))
        total = torch.stack([(x * w).sum() for x, w in zip(found, weights, strict=True)]).sum()
        wanted = [*leaves.values(), *parameters]
        first = _gradients(total, wanted, create_graph=True)
        penalty = torch.stack([g.square().sum() for g in first[: len(leaves)]]).sum()
        second = _gradients(penalty, wanted)
        n = len(leaves)
        return _Run([x.detach() for x in found], first[:n], second[:n], [*first[n:], *second[n:]])

    values = {name: tensor for name, (tensor, _) in inputs.items()}
    shapes = floats(function(**values, **given))
    for found, letters in zip(shapes, outputs, strict=True):
        weight = torch.randn(found.shape, generator=generator, dtype=torch.float64)
        weights.append(weight.where(real(weight, letters), 0.0) if letters else weight)

    def filled(fill: float) -> dict[str, Tensor]:
        return {name: x.where(real(x, named[name]), fill) if x.is_floating_point() else x for name, x in values.items()}

    names = [name for name, x in values.items() if x.is_floating_point()]
    runs = [run(filled(fill), given, weights) for fill in fills]
    for other in runs:
        for x, y, letters in zip(other.outputs, runs[0].outputs, outputs, strict=True):
            where = real(x, letters) if letters else torch.ones_like(x, dtype=torch.bool)
            assert torch.equal(x[where], y[where])
        for order in (1, 2):
            for name, x, y in zip(names, other[order], runs[0][order], strict=True):
                close(x, y)
                assert not bool(x[~real(x, named[name])].any()), f"a gradient of padding of {name}"
        for x, y in zip(other.parameters, runs[0].parameters, strict=True):
            close(x, y)

    if alone == "never":
        return
    rows = [slice(i, i + 1) for i in range(len(next(iter(given.values()))))] if alone == "rows" else [slice(None)]
    summed = [torch.zeros_like(x) for x in runs[0].parameters]

    def cut(tensor: Tensor, letters: str, row: slice) -> Tensor:
        """A row of a tensor without its padding."""
        piece = tensor[row]
        for axis, letter in enumerate(letters.split()):
            if letter in spoken_of:
                piece = piece.index_select(axis, spoken_of[letter][row][0].nonzero().squeeze(1))
        return piece

    for row in rows:
        if not all(bool(mask[row].any()) for mask in given.values()):
            summed = []  # what such a row gives is defined by itself
            continue
        bare = run(
            {name: cut(x, named[name], row) for name, x in values.items()},
            {},
            [cut(w, letters, row) if letters else w for w, letters in zip(weights, outputs, strict=True)],
        )
        for x, y, letters in zip(runs[0].outputs, bare.outputs, outputs, strict=True):
            close(cut(x, letters, row) if letters else x, y)
        for order in (1, 2):
            for name, x, y in zip(names, runs[0][order], bare[order], strict=True):
                close(cut(x, named[name], row), y, rtol=1e-7, atol=1e-7)
        summed = [x + y for x, y in zip(summed, bare.parameters, strict=True)] if summed else []
    for x, y in zip(runs[0].parameters, summed, strict=False):
        close(x, y, rtol=1e-7, atol=1e-7)


def _gradients(total: Tensor, wanted: Sequence[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Gradients, zeros where there is none."""
    if not total.requires_grad:
        return [torch.zeros_like(x) for x in wanted]
    found = torch.autograd.grad(total, wanted, create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)]
