"""Checks of arguments: every error names who, the rule, and what came. None reads a value off the device."""

from __future__ import annotations

from torch import Tensor


def require(condition: bool, who: str, rule: str, got: object) -> None:
    """Raise `ValueError("who: rule; got …")` unless the condition holds."""
    if not condition:
        raise ValueError(f"{who}: {rule}; got {got}")


def check_shapes(who: str, **named: tuple[Tensor, str]) -> dict[str, int]:
    """Check tensors against patterns such as `"b t c"` whose letters agree across all of them.

    Returns the size of each letter. Patterns are read in order: the first tensor that has a letter sets it.
    """
    sizes: dict[str, int] = {}
    for name, (tensor, pattern) in named.items():
        letters = pattern.split()
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{who}: `{name}` must be a tensor ({_tuple(letters)}); got {type(tensor).__name__}")
        shape = tuple(tensor.shape)
        known = dict(sizes)
        fits = len(shape) == len(letters)
        if fits:
            for letter, size in zip(letters, shape, strict=True):
                fits = fits and known.setdefault(letter, size) == size
        if not fits:
            wanted = _tuple([str(sizes.get(letter, letter)) for letter in letters])
            rule = f"({_tuple(letters)})" + (f" = ({wanted})" if wanted != _tuple(letters) else "")
            raise ValueError(f"{who}: `{name}` must be {rule}; got {shape}")
        sizes = known
    return sizes


def check_floating(who: str, **named: Tensor) -> None:
    """Check that tensors hold real numbers of a floating-point type."""
    for name, tensor in named.items():
        require(tensor.is_floating_point(), who, f"`{name}` must be floating point", tensor.dtype)


def check_integral(who: str, **named: Tensor) -> None:
    """Check that tensors hold integers: labels, modalities, indices."""
    for name, tensor in named.items():
        integral = not (tensor.is_floating_point() or tensor.is_complex())
        require(integral, who, f"`{name}` must be of an integer type", tensor.dtype)


def check_alpha(who: str, alpha: float) -> None:
    """Check a share of tokens."""
    require(0 < alpha < float("inf"), who, "`alpha` must be positive and finite", alpha)


def check_choice(who: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check that a setting is one of the named choices."""
    require(value in choices, who, f"`{name}` must be one of {', '.join(map(repr, choices))}", repr(value))


def check_positive(who: str, **named: int) -> None:
    """Check that settings are whole numbers of at least one."""
    for name, value in named.items():
        require(isinstance(value, int) and value >= 1, who, f"`{name}` must be an integer of at least 1", repr(value))


def _tuple(letters: list[str]) -> str:
    return ", ".join(letters) + ("," if len(letters) == 1 else "")
