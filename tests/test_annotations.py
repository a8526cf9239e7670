"""The shapes in the annotations are true.

The library is run with every annotation enforced. That is switched on for these tests alone: everywhere else errors
must be seen as users see them, and compilers must see the code as it is. jaxtyping does the checking; no type checker
at run time reads its strings under postponed annotations, so the few lines that walk the arguments stand here.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
import torch
from jaxtyping import jaxtyped
from torch import nn

import concordant
from concordant import functional
from concordant._reduce import Reduction
from support.case import LABELS, MODALITY
from support.contract import CASES, MASKED
from support.models import paired_batch, small_cal

VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Untrue(TypeError):
    """An annotation does not hold."""


def check(hint: Any, value: object, where: str) -> None:
    """Raise if a value does not agree with its annotation; letters bind in the scope of the caller."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        if not isinstance(value, hint):
            raise Untrue(f"{where}: {hint} does not hold for {getattr(value, 'shape', value)}")
    elif typing.get_origin(hint) in (typing.Union, types.UnionType):
        if not any(holds(option, value, where) for option in typing.get_args(hint)):
            raise Untrue(f"{where}: none of {hint} holds")
    elif isinstance(hint, type) and issubclass(hint, tuple) and hasattr(hint, "_fields"):
        if not isinstance(value, hint):
            raise Untrue(f"{where}: a {hint.__name__}, not {type(value).__name__}")
        with jaxtyped("context"):  # the letters of a record are its own: queries and gallery differ in number
            for field, inner in typing.get_type_hints(hint).items():
                check(inner, getattr(value, field), f"{where}.{field}")
    elif typing.get_origin(hint) is tuple and isinstance(value, tuple):
        for inner, item in zip(typing.get_args(hint), value, strict=False):
            check(inner, item, where)
    elif hint in (torch.Tensor, int, str, bool, types.NoneType) and not isinstance(value, hint):
        raise Untrue(f"{where}: {hint.__name__}, not {type(value).__name__}")


def holds(hint: Any, value: object, where: str) -> bool:
    try:
        check(hint, value, where)
    except Untrue:
        return False
    return True


def enforced(function: Callable[..., Any]) -> Callable[..., Any]:
    signature, hints = inspect.signature(function), typing.get_type_hints(function)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with jaxtyped("context"):
            for name, value in signature.bind(*arguments, **named).arguments.items():
                if signature.parameters[name].kind not in VARIADIC:
                    check(hints.get(name), value, f"{function.__qualname__}({name})")
            result = function(*arguments, **named)
            check(hints.get("return"), result, f"{function.__qualname__} returns")
        return result

    return call


@pytest.fixture
def annotated(monkeypatch: pytest.MonkeyPatch) -> int:
    """Enforce all annotations of the library; returns the number of functions and methods."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "concordant"]
    wrapped: dict[Callable[..., Any], Callable[..., Any]] = {}
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, types.FunctionType) and str(value.__module__).startswith("concordant"):
                wrapped.setdefault(value, enforced(value))
                monkeypatch.setattr(module, name, wrapped[value])
            elif (
                isinstance(value, type) and value.__module__ == module.__name__ and value is not concordant.cal.Matched
            ):
                for attribute, method in list(vars(value).items()):
                    if isinstance(method, types.FunctionType) and not attribute.startswith("__"):
                        wrapped[method] = enforced(method)
                        monkeypatch.setattr(value, attribute, wrapped[method])
    return len(wrapped)


@pytest.mark.parametrize("name", CASES | MASKED)
def test_modules_under_every_setting(name: str, annotated: int) -> None:
    assert annotated > 60
    case = (CASES | MASKED)[name]
    for settings in ({}, *(case.variants if name in CASES else ())):
        case.make(**settings)(*case.arguments(torch.float32))


@pytest.mark.usefixtures("annotated")
def test_the_system_and_retrieval() -> None:
    model = small_cal()
    images, labels, modality = paired_batch()
    output = model(images, labels, modality)
    model.observe(output, concordant.CALLoss()(output, labels, modality), modality)
    model.eval()
    for kind in (modality, 0, 1):
        embeddings, encoded = model.embed(images, kind), model.encode(images, kind)
    model.similarity(encoded, encoded[:2])
    model.similarity(encoded, encoded[:2], pairs=torch.zeros(6, 1, dtype=torch.int64))
    exclude = torch.zeros(6, 6, dtype=torch.bool)
    for over in ("images", "identities"):
        concordant.rank_metrics(embeddings @ embeddings.T, labels, labels, exclude=exclude, cmc_over=over)
    concordant.k_reciprocal_rerank(embeddings @ embeddings.T, 2)
    model.correspondence.stability()
    concordant.distributed.gather(embeddings)


@pytest.mark.usefixtures("annotated")
def test_functions_and_empty_batches() -> None:
    functional.draw_partners(LABELS, MODALITY)
    functional.instance_norm(torch.randn(2, 3, 4), torch.randn(2, 5, 4))
    functional.per_modality([nn.Identity(), nn.Identity()], torch.randn(4, 3), MODALITY)
    for b, reduction in ((b, reduction) for b in (0, 2) for reduction in typing.get_args(Reduction)):
        labels, own = torch.zeros(b, dtype=torch.int64), torch.randn(b, 2, 3)
        functional.discriminative_loss(torch.randn(b, 3, 5), labels, reduction=reduction)
        functional.diversity_loss(torch.rand(b, 3, 6), reduction=reduction)
        functional.part_center_loss(own, own, labels, labels, reduction=reduction)
        attention, logits = torch.rand(b, 3, 6), torch.randn(b, 3, 5)
        functional.match_distill(attention, attention, logits, logits, reduction=reduction)
        functional.weighted_triplet_loss(own[:, 0], labels, reduction=reduction)
        functional.hetero_center_loss(own, labels, labels, reduction=reduction)
        functional.attention_statistics(attention)
        functional.border_share(attention, grid=(3, 2))
        functional.attention_follows(attention, attention, functional.draw_crops(b), grid=(3, 2))
        functional.invert_matching(torch.zeros(b, 3, dtype=torch.int64))
        functional.draw_partners(labels, labels)
        concordant.TSAA(8)(torch.zeros(b, 5, 8), torch.zeros(b, 3, 8))
        concordant.PartMiner(8, 3)(torch.zeros(b, 8, 4, 2))


@pytest.mark.usefixtures("annotated")
def test_what_is_untrue_is_found() -> None:
    """Before the library's own check: the letters of two arguments, a rank, a type, a record's field."""
    with pytest.raises(Untrue, match="parts"):
        concordant.TSAA(8)(torch.zeros(2, 5, 8), torch.zeros(1, 3, 8))
    with pytest.raises(Untrue, match="maps"):
        functional.diversity_loss(torch.zeros(6, 3))
    with pytest.raises(Untrue, match="labels"):
        functional.discriminative_loss(torch.zeros(2, 3, 5), torch.zeros(2))
    queries = concordant.PartQueries(torch.zeros(2, 3, 8), torch.zeros(2, 4, 8))
    with pytest.raises(Untrue, match="gates"):
        concordant.TSAA(8).attend(torch.zeros(2, 5, 8), torch.zeros(2, 5, 8), queries)
