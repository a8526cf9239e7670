"""The objectives: the recipes are those of the library, and both methods share their global losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from concordant import CAL, CALLoss, PartQueries
from support.trained import SMALL_MODEL
from vireid.config import LossSettings, ModelConfig, ModelSettings, RecipeName
from vireid.models.build import BuiltCAL, build_model
from vireid.models.objective import BaselineObjective, CALObjective, ContrastObjective
from vireid.recipes import RECIPES

LIBRARY: dict[RecipeName, tuple[Callable[..., CAL], Callable[[], CALLoss]]]
LIBRARY = {"default": (CAL, CALLoss), "paper": (CAL.paper, CALLoss.paper)}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_librarys(name: RecipeName) -> None:
    recipe, (make_model, make_loss) = RECIPES[name], LIBRARY[name]
    loss, expected = CALObjective(recipe.loss), make_loss()
    assert str(loss).replace("CALObjective", "CALLoss", 1) == str(expected)
    settings = replace(SMALL_MODEL, **recipe.model)
    model = BuiltCAL(ModelConfig(settings, 32, 16, 5))
    again = make_model(model.backbone, 48, settings.parts, 5, backbone_takes_modality=True)
    assert str(model).replace("BuiltCAL", "CAL", 1) == str(again)


def test_defaults_are_the_default_recipe() -> None:
    assert LossSettings() == RECIPES["default"].loss
    assert replace(ModelSettings(), **RECIPES["default"].model) == ModelSettings()


def test_the_baseline_and_cal_are_trained_by_the_same_global_losses() -> None:
    labels, modality = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    images = torch.randn(8, 3, 96, 48)
    for method in ("cal", "global"):
        model: Any = build_model(ModelConfig(SMALL_MODEL, 96, 48, 4, method))
        output = model(images, labels, modality)
        terms = model.objective(LossSettings())(output, labels, modality)
        model.observe(output, terms, modality)
        assert {"total", "id", "triplet"} <= terms.named().keys()
        assert (model.statistics(output).keys() >= {"entropy", "overlap"}) == (method == "cal")
        assert terms.total.isfinite()
        same = BaselineObjective(LossSettings())(output, labels, modality)
        torch.testing.assert_close((same.id, same.triplet), (terms.id, terms.triplet))


def test_what_is_not_finite_gives_a_loss_that_is_not() -> None:
    """And no error, which would name no file: the trainer stops at the loss."""
    model = CAL(nn.Conv2d(3, 8, 4, stride=4), channels=8, num_parts=2, num_classes=4)
    labels, modality = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    output = model(torch.randn(8, 3, 16, 8) * torch.nan, labels, modality)
    assert not CALObjective(LossSettings())(output, labels, modality).total.isfinite()


def test_every_weight_of_the_library_is_a_setting() -> None:
    weights = {name for name, one in inspect.signature(CALLoss).parameters.items() if isinstance(one.default, float)}
    assert weights == CALObjective(LossSettings()).weights.keys() - {"id"}
    assert weights <= vars(LossSettings()).keys()


def test_the_contrastive_loss_stands_beside_the_others() -> None:
    torch.manual_seed(0)
    labels, modality = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    model: Any = build_model(ModelConfig(SMALL_MODEL, 96, 48, 4))
    output: Any = model(torch.randn(8, 3, 96, 48), labels, modality)
    settings = LossSettings(contrast=2.0)
    loss = model.objective(settings)
    assert isinstance(loss, ContrastObjective)
    assert not list(loss.parameters())
    terms, others = loss(output, labels, modality), CALObjective(settings)(output, labels, modality)
    similarity = torch.stack(
        [
            model.attention.attend(output.tokens[row, None], output.own.keys[row, None], PartQueries(*of)).features[0]
            for of in zip(*(x[:, None] for x in output.own.part_queries), strict=True)
            for row in range(8)
        ]
    ).unflatten(0, (8, 8))  # [whose parts, whose tokens, p, c]
    cosines = torch.nn.functional.cosine_similarity
    first, second = range(4), range(4, 8)
    pairs = (
        torch.stack(
            [
                torch.stack(
                    [
                        torch.stack([cosines(similarity[k, i], similarity[k, j], dim=1).mean() for k in (i, j)]).mean()
                        for j in second
                    ]
                )
                for i in first
            ]
        )
        / 0.07
    )
    own = torch.arange(4)
    expected = (nn.functional.cross_entropy(pairs, own) + nn.functional.cross_entropy(pairs.T, own)) / 2
    torch.testing.assert_close(terms.contrast, expected)
    torch.testing.assert_close(terms.total, others.total + 2 * expected)
    assert terms.named().keys() == others.named().keys() | {"contrast"}
    assert terms.named()["total"] is terms.total
    model.observe(output, terms, modality)
    assert type(model.objective(LossSettings())) is CALObjective
