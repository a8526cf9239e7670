"""Checks of settings when they are created: each error names the class, the rule, and the value received."""

from __future__ import annotations

import math


def check(settings: object, name: str, right: bool, rule: str) -> None:
    """Reject a setting that breaks a rule."""
    if not right:
        raise ValueError(f"{type(settings).__name__}: `{name}` must {rule}; got {getattr(settings, name)}")


def check_counts(settings: object, *names: str) -> None:
    """Reject settings below 1."""
    for name in names:
        check(settings, name, getattr(settings, name) >= 1, "be at least 1")


def check_numbers(settings: object, *names: str) -> None:
    """Reject settings that are negative, infinite or NaN."""
    for name in names:
        check(settings, name, 0 <= getattr(settings, name) < math.inf, "be a number of at least 0")
