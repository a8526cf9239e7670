"""Checks of settings, as they are made: each error names who, the rule, and the value received."""

from __future__ import annotations

import math


def check(settings: object, name: str, right: bool, rule: str) -> None:
    """Refuse a setting that is not right."""
    if not right:
        raise ValueError(f"{type(settings).__name__}: `{name}` must {rule}; got {getattr(settings, name)}")


def check_counts(settings: object, *names: str) -> None:
    """Refuse settings below 1."""
    for name in names:
        check(settings, name, getattr(settings, name) >= 1, "be at least 1")


def check_numbers(settings: object, *names: str) -> None:
    """Refuse settings that are negative, infinite or no numbers."""
    for name in names:
        check(settings, name, 0 <= getattr(settings, name) < math.inf, "be a number of at least 0")
