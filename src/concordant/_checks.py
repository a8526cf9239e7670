"""Checks of arguments. Each error names the function, the rule, and the value received; none reads the device."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import wraps
from inspect import signature
from math import isfinite
from numbers import Real
from typing import Any, ParamSpec, TypeVar, get_args, get_type_hints

from jaxtyping import AbstractArray
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_KINDS: dict[str, tuple[str, Callable[[Tensor], bool]]] = {
    "float32": ("floating point", lambda tensor: tensor.is_floating_point()),
    "int32": ("of an integer type", lambda tensor: not (tensor.is_floating_point() or tensor.is_complex())),
    "bool": ("boolean", lambda tensor: str(tensor.dtype) == "torch.bool"),
}
"""What an annotation asks for, by a type that no other kind of annotation takes: every jaxtyping lists those."""


def require(condition: bool, who: str, rule: str, got: object) -> None:
    """Raise `ValueError("who: rule; got …")` unless the condition holds."""
    if not condition:
        raise ValueError(f"{who}: {rule}; got {got}")


def checked(**letters: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Check the tensors of each call against the annotations of the function's parameters.

    A shape is stated once, where the parameter is annotated: `Float[Tensor, "b t c"]`. A letter has one size across
    all arguments; the first tensor that has it sets it. None passes where the annotation allows it, as do a record that
    it names, and a value of another kind where it allows an integer. Of several shapes that an annotation allows, the
    one of the tensor's rank counts.

    Args:
        letters: sizes that the method's object fixes, by the name of its attribute: `c="channels"`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name_of = function.__qualname__.removesuffix(".forward")
        hints, parameters = get_type_hints(function), list(signature(function).parameters)
        bound, shapes = parameters[0] == "self", []
        for index, name in enumerate(parameters):
            options = get_args(hints.get(name)) or (hints.get(name),)
            arrays = [hint for hint in options if isinstance(hint, type) and issubclass(hint, AbstractArray)]
            if arrays:
                others = tuple(option for option in options if option not in arrays)
                records = tuple(option for option in others if isinstance(option, type) and issubclass(option, tuple))
                kind, holds = next(what for dtype, what in _KINDS.items() if dtype in arrays[0].dtypes)
                shapes.append((index, name, tuple(hint.dim_str for hint in arrays), kind, holds, others, records))

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            who = _who(args[0], name_of) if bound else name_of
            sizes = {letter: int(getattr(args[0], attribute)) for letter, attribute in letters.items()}
            for index, name, patterns, kind, holds, others, records in shapes:
                if index >= len(args) and name not in kwargs:
                    continue
                value: Any = args[index] if index < len(args) else kwargs[name]
                if (value is None and type(None) in others) or (records and isinstance(value, records)):
                    continue
                if int in others and not isinstance(value, Tensor):
                    continue
                sizes = _fit(who, name, value, patterns, sizes)
                require(holds(value), who, f"`{name}` must be {kind}", value.dtype)
            return function(*args, **kwargs)

        return call

    return decorate


def check_shapes(who: str, **named: tuple[Tensor, str]) -> dict[str, int]:
    """Check tensors that are no parameters of their own, such as the fields of a record, against patterns.

    Returns the size of each letter.
    """
    sizes: dict[str, int] = {}
    for name, (tensor, pattern) in named.items():
        sizes = _fit(who, name, tensor, (pattern,), sizes)
    return sizes


def _fit(who: str, name: str, tensor: Tensor, patterns: tuple[str, ...], sizes: dict[str, int]) -> dict[str, int]:
    """The sizes with those of a tensor's letters, which must agree."""
    if not isinstance(tensor, Tensor):
        rule = " or ".join([_rule(pattern, {}) for pattern in patterns])
        raise ValueError(f"{who}: `{name}` must be a tensor {rule}; got {type(tensor).__name__}")
    shape, known = tuple(tensor.shape), dict(sizes)
    ranked = [pattern for pattern in patterns if len(pattern.split()) == len(shape)]
    fits = len(ranked) > 0
    if fits:
        for letter, size in zip(ranked[0].split(), shape, strict=True):
            fits = fits and known.setdefault(letter, size) == size
    if not fits:
        rule = " or ".join([_rule(pattern, sizes) for pattern in ranked or patterns])
        raise ValueError(f"{who}: `{name}` must be {rule}; got {shape}")
    return known


def _rule(pattern: str, sizes: dict[str, int]) -> str:
    """A shape by its letters, and by the sizes that are known."""
    letters = pattern.split()
    wanted = _tuple([str(sizes.get(letter, letter)) for letter in letters])
    return f"({_tuple(letters)})" + (f" = ({wanted})" if wanted != _tuple(letters) else "")


def check_choice(who: str, name: str, value: object, choices: tuple[object, ...]) -> None:
    """Check that a setting is one of the named choices."""
    require(value in choices, who, f"`{name}` must be one of {', '.join(map(repr, choices))}", repr(value))


def check_number(
    who: str, *, at_least: float | None = None, above: float | None = None, below: float | None = None, **named: float
) -> None:
    """Check that settings are finite numbers, within bounds where there are some."""
    bounds = {"of at least": at_least, "above": above, "below": below}
    rule = " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)
    for name, value in named.items():
        fits = isinstance(value, Real) and isfinite(value)
        fits = fits and (at_least is None or value >= at_least) and (above is None or value > above)
        fits = fits and (below is None or value < below)
        require(fits, who, f"`{name}` must be a finite number {rule}", repr(value))


def as_sizes(who: str, **named: int) -> tuple[int, ...]:
    """Settings that are whole numbers of at least one, NumPy's among them, as Python's integers."""
    for name, value in named.items():
        whole = as_integer(value)
        require(whole is not None and whole >= 1, who, f"`{name}` must be an integer of at least 1", repr(value))
    return tuple(operator.index(value) for value in named.values())


def as_grid(who: str, grid: tuple[int, int], tokens: int) -> tuple[int, int]:
    """The rows and columns of a grid, which must have a cell for each token."""
    pair = isinstance(grid, (tuple, list)) and len(grid) == 2  # not a union, which torch 2.6 compiles not
    require(pair, who, "`grid` must be (rows, columns)", grid)
    h, w = as_sizes(who, rows=grid[0], columns=grid[1])
    require(h * w == tokens, who, f"`grid` must have the {tokens} tokens of the maps", grid)
    return h, w


def as_integer(value: object) -> int | None:
    """An integer, of Python or NumPy, as Python's; None for anything else, tensors among it."""
    if isinstance(value, Tensor) or not hasattr(value, "__index__") or getattr(value, "shape", ()) != ():  # an array
        return None
    return operator.index(value)


def _who(owner: object, name: str) -> str:
    """A method by the class of its object, which may inherit it."""
    return ".".join([type(owner).__name__, *name.split(".")[1:]])


def _tuple(letters: list[str]) -> str:
    return ", ".join(letters) + ("," if len(letters) == 1 else "")
