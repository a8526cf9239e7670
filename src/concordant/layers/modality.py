"""Rows of a mixed batch, each through its own modality's module; and their random partners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from concordant._checks import as_integer, checked, require


class ModalitySplit(NamedTuple):
    """The modality of each row, with the rows of each modality: who has them asks no device for them."""

    modality: Int[Tensor, "n"]
    """The modality of each row."""
    rows: tuple[Tensor, ...]
    """The rows of each modality, (r,)."""
    order: Int[Tensor, "n"]
    """Where each row stands among those of modality 0, then those of modality 1, …"""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> ModalitySplit:
        """On another device."""
        moved: ModalitySplit = tree_map(lambda x: x.to(device, non_blocking=non_blocking), self)
        return moved


@checked()
def split_modality(modality: Int[Tensor, "n"], modalities: int = 2) -> ModalitySplit:
    """The rows of each modality, read from where they are known: on the host, before they go to a device.

    Equation: `rows[m] = {i : m_i = m}`, in the rows' order.

    Args:
        modality: m, (n,). On a GPU it is waited for.
        modalities: how many there are.

    Shape: (n,) → ModalitySplit(modality (n,), rows, order (n,)).

    Raises: ValueError for a modality that is none of them, or another shape or type.

    Reference: none; `per_modality` needs the rows, and reading them off a GPU holds up each step.

    >>> split = split_modality(torch.tensor([1, 0, 1]))
    >>> [rows.tolist() for rows in split.rows], split.order.tolist()
    ([[1], [0, 2]], [1, 0, 2])
    """
    return _split("split_modality", modality, modalities)


def _split(who: str, modality: Tensor, modalities: int) -> ModalitySplit:
    rows = tuple((modality == index).nonzero().squeeze(1) for index in range(modalities))
    wrong = len(modality) - sum(len(chosen) for chosen in rows)
    rule = f"every row's `modality` must be in 0 … {modalities - 1}"
    require(wrong == 0, who, rule, f"{wrong} rows of {len(modality)} that are not")
    return ModalitySplit(modality, rows, torch.cat(rows).argsort())


@checked()
def per_modality(
    modules: Sequence[nn.Module] | nn.ModuleList, inputs: Tensor, modality: int | Int[Tensor, "n"] | ModalitySplit
) -> Any:
    """Send each row through the module of its modality; outputs come back in the rows' order.

    Equation: `out[i] = modules[modality[i]](inputs[i])`.

    Args:
        modules: one for each modality; a single one serves all. Each may return a tensor or a (named) tuple of tensors.
        inputs: (n, …).
        modality: (n,) integers, or one integer for all rows; or their `split_modality`, which is read off no device.

    Shape: inputs (n, …), modality (n,) → what the modules return, (n, …).

    Raises: ValueError for no modules, a modality that is no module's (an integer), or a tensor of another shape
    or type.

    Without a split, compiled graphs and the meta device have fixed shapes: every module sees all rows there, and each
    row keeps its own output.

    Reference: CAL (ICCV 2023): "modality-specific DRM".

    >>> double, negate = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(double.weight, 2.0), nn.init.constant_(negate.weight, -1.0)
    >>> per_modality([double, negate], torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0, 1, 0])).flatten().tolist()
    [2.0, -2.0, 6.0]
    """
    modules = list(modules)
    require(len(modules) > 0, "per_modality", "`modules` must hold at least one", "none")
    split = modality if isinstance(modality, ModalitySplit) else None
    if split is not None:
        rule = f"the split of `modality` must be of {len(inputs)} rows"
        require(len(split.order) == len(inputs), "per_modality", rule, len(split.order))
        modality = split.modality
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
    if split is None and (torch.compiler.is_compiling() or inputs.is_meta):
        merged = modules[0](inputs)
        for index, module in enumerate(modules[1:], start=1):
            chosen = modality == index

            def keep(new: Tensor, old: Tensor, chosen: Tensor = chosen) -> Tensor:
                return torch.where(chosen.view(-1, *[1] * (new.dim() - 1)), new, old)

            merged = tree_map(keep, module(inputs), merged)
        return merged
    _, rows, order = _split("per_modality", modality, len(modules)) if split is None else split
    fits = len(rows) == len(modules)
    require(fits, "per_modality", f"the split of `modality` must be into {len(modules)}", len(rows))
    present = [index for index in range(len(modules)) if len(rows[index])] or [0]
    outputs = [modules[index](inputs[rows[index]]) for index in present]
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
    captured = generator is not None and generator.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
    if generator is None or captured or torch.compiler.is_compiling():  # a graph keeps no Python for a second pass
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
