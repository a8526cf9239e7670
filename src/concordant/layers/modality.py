"""Rows of a mixed batch, each through its own modality's module; and their random partners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from concordant._checks import as_integer, checked, require


@checked()
def per_modality(modules: Sequence[nn.Module] | nn.ModuleList, inputs: Tensor, modality: int | Int[Tensor, "n"]) -> Any:
    """Send each row through the module of its modality; outputs come back in the rows' order.

    Equation: `out[i] = modules[modality[i]](inputs[i])`.

    Args:
        modules: one for each modality; a single one serves all. Each may return a tensor or a (named) tuple of tensors.
        inputs: (n, …).
        modality: (n,) integers, or one integer for all rows.

    Shape: inputs (n, …), modality (n,) → what the modules return, (n, …).

    Raises: ValueError for no modules, a modality that is no module's (an integer), or a tensor of another shape
    or type.

    Compiled graphs and the meta device have fixed shapes: every module sees all rows, each row keeps its own output.

    Reference: CAL (ICCV 2023): "modality-specific DRM".

    >>> double, negate = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(double.weight, 2.0), nn.init.constant_(negate.weight, -1.0)
    >>> per_modality([double, negate], torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 1, 0])).flatten().tolist()
    [2.0, -2.0, 6.0]
    """
    modules = list(modules)
    require(len(modules) > 0, "per_modality", "`modules` must hold at least one", "none")
    if not isinstance(modality, Tensor):
        index, last = as_integer(modality), max(len(modules) - 1, 1)
        fits = index is not None and 0 <= index <= last
        require(fits, "per_modality", f"`modality` must be a tensor or an integer in 0 … {last}", repr(modality))
        return modules[index if index is not None and len(modules) > 1 else 0](inputs)
    if modality.shape != inputs.shape[:1]:  # a message with sizes would fix them in a compiled graph
        rule = f"`modality` must be (n,) = {tuple(inputs.shape[:1])}"
        raise ValueError(f"per_modality: {rule}; got {tuple(modality.shape)}")
    if len(modules) == 1:
        return modules[0](inputs)
    if torch.compiler.is_compiling() or inputs.is_meta:
        merged = modules[0](inputs)
        for index, module in enumerate(modules[1:], start=1):
            chosen = modality == index

            def keep(new: Tensor, old: Tensor, chosen: Tensor = chosen) -> Tensor:
                return torch.where(chosen.view(-1, *[1] * (new.dim() - 1)), new, old)

            merged = tree_map(keep, module(inputs), merged)
        return merged
    rows = [(modality == index).nonzero().squeeze(1) for index in range(len(modules))]
    routed = sum(len(chosen) for chosen in rows)
    rule = f"every row's `modality` must be in 0 … {len(modules) - 1}"
    require(routed == len(inputs), "per_modality", rule, f"{len(inputs) - routed} rows of {len(inputs)} that are not")
    present = [index for index in range(len(modules)) if len(rows[index])] or [0]
    outputs = [modules[index](inputs[rows[index]]) for index in present]
    order = torch.cat([rows[index] for index in present]).argsort()
    return tree_map(lambda *parts: torch.cat(parts)[order], *outputs)


@checked()
def draw_partners(
    labels: Int[Tensor, "n"], modality: Int[Tensor, "n"], *, generator: torch.Generator | None = None
) -> tuple[Int[Tensor, "n"], Bool[Tensor, "n"]]:
    """For each row a random row of the same identity in another modality.

    Equation: `j ~ Uniform{j : y_j = y_i, m_j ≠ m_i}`, independently for each i.

    Args:
        labels: (n,) identities.
        modality: (n,).
        generator: where the draw comes from; by default torch's global one.

    Shape: labels (n,), modality (n,) → partner (n,), paired (n,). A row whose identity is in no other modality is its
    own partner, and is not `paired`.

    Raises: ValueError for shapes or types that do not fit.

    Where autograd computes a forward pass again (activation checkpointing), the draws for the same tensors come again.

    Reference: CAL (ICCV 2023), cross-modal refinement: "T_j drawn at random".

    >>> partner, paired = draw_partners(torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
    >>> partner.tolist(), paired.tolist()
    ([2, 1, 0], [True, False, True])
    """
    source = _replayed(generator, labels, modality)
    labels, modality = labels.long(), modality.long()
    n, device = len(labels), labels.device
    if n == 0:
        return labels, labels.bool()
    candidates = (labels[:, None] == labels) & (modality[:, None] != modality)
    # Uniform marks in [0, 1): the highest among the candidates wins.
    # (`torch.rand` with a generator takes no symbolic sizes.)
    marks = torch.empty(n, n, device=device).uniform_(generator=source).masked_fill(~candidates, -1.0)
    paired = candidates.any(dim=1)
    return torch.where(paired, marks.argmax(dim=1), torch.arange(n, device=device)), paired


_STATES: dict[tuple[torch.Generator | int, ...], Tensor] = {}
"""How a generator stood before it drew for some inputs, by itself and where they lie in memory; the last `_KEPT`."""
_KEPT = 256


def _replayed(generator: torch.Generator | None, *inputs: Tensor) -> torch.Generator | None:
    """The generator to draw from for these inputs: in a backward pass, as it stood when it drew for them forward.

    `torch.utils.checkpoint` brings back the states of torch's own generators only, and its inputs as they were.
    """
    if generator is None or torch.compiler.is_compiling():
        return generator
    key: tuple[torch.Generator | int, ...] = (generator, *(x.data_ptr() for x in inputs))
    if torch._C._current_graph_task_id() == -1:  # no backward pass
        _STATES.pop(key, None)
        _STATES[key] = generator.get_state()
        if len(_STATES) > _KEPT:
            del _STATES[next(iter(_STATES))]
        return generator
    rule = "a forward pass that is computed again must be given the tensors of the first, or no `generator`"
    require(key in _STATES, "draw_partners", rule, "other tensors")
    again = torch.Generator(generator.device)
    again.set_state(_STATES[key])
    return again
