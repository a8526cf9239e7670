"""CAL at test time: the embeddings, and the order of their parts."""

from __future__ import annotations

from typing import cast

import pytest
import torch
import torch.utils.checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from concordant import CALLoss, PartMiner, functional
from concordant.layers.mining import to_tokens
from concordant.matching import invert_matching
from support import oracles
from support.case import floats
from support.models import cal_output, close, images_for, small_cal, trained_looking


@given(st.lists(st.integers(0, 1), min_size=1, max_size=5), st.permutations(range(3)))
@settings(max_examples=10)
def test_embeddings_do_not_depend_on_their_batch(modality: list[int], order: list[int]) -> None:
    """Row by row, with the modality as an integer, they are what they are in a mixed batch; and their norm is 1."""
    model, images = trained_looking(), images_for(len(modality))
    model.correspondence.update(torch.tensor([order]))
    together = model.embed(images, torch.tensor(modality))
    assert together.shape == (len(modality), 4 * 6)
    close(torch.linalg.vector_norm(together, dim=1), torch.ones(len(modality), dtype=torch.float64))
    for i, kind in enumerate(modality):
        close(model.embed(images[i : i + 1], kind), together[i : i + 1])
        close(model.embed(images[i : i + 1], torch.tensor([kind])), together[i : i + 1])


def test_the_embedding_is_the_global_feature_and_the_parts() -> None:
    """Dot products of embeddings are the mean of the global cosine and the parts' mean cosine."""
    model, images = trained_looking(), images_for(2)
    a, b = model.embed(images, 0)
    maps = model.backbone(images)
    tokens = to_tokens(maps)
    assert model.gate is not None
    log_gate = model.gate(tokens)
    own = model.attention(tokens, model.miners[0](maps).features, tokens, log_gate).features
    parts = model.part_norm(own.flatten(1)).view(2, 3, 6).tolist()
    whole = model.norm(functional.pool_tokens(tokens, log_gate)).tolist()
    by_part = sum(oracles.cosine(parts[0][u], parts[1][u]) for u in range(3)) / 3
    expected = (oracles.cosine(whole[0], whole[1]) + by_part) / 2
    close(a @ b, oracles.tensor(expected))


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_parts_of_modality_1_are_ordered_by_the_matching(order: list[int]) -> None:
    """Part u of modality 0 matches part order[u] of modality 1, which therefore stands at place u.

    Cyclic orders are not their own inverse, so the wrong direction does not pass.
    """
    model, images = trained_looking(), images_for(2)
    before = [model.embed(images, kind)[:, 6:].view(2, 3, 6) for kind in (0, 1)]
    model.correspondence.update(torch.tensor([order]))
    after = [model.embed(images, kind)[:, 6:].view(2, 3, 6) for kind in (0, 1)]
    close(after[0], before[0])
    close(after[1], before[1][:, order])


@pytest.mark.parametrize("turn", [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
def test_matchings_lead_from_modality_0_to_modality_1(turn: list[int]) -> None:
    """The scorer of modality 1 finds the parts of modality 0 under other names. Both directions of the distillation
    must agree on which, and the parts then meet at the same places of the embedding."""
    model = small_cal(dtype=torch.float64).eval()  # at its start, where the parts of an image look at different tokens
    model.miners[1].load_state_dict(model.miners[0].state_dict())
    with torch.no_grad():
        for parameter in cast(PartMiner, model.miners[1]).scorer.score.parameters():
            parameter.copy_(parameter.clone()[turn])
    images = images_for(3, 10).repeat(2, 1, 1, 1)
    labels, modality = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1])
    output = model(images, labels, modality)
    terms = CALLoss()(output, labels, modality)
    maps = output.own.attention
    assert float(torch.cdist(maps.detach(), maps.detach())[:, ~torch.eye(3, dtype=torch.bool)].min()) > 1e-3, (
        "one matching is the best"
    )
    # Part v of modality 1 is part turn[v] of modality 0.
    inverse = invert_matching(torch.tensor([turn]))[0]
    assert terms.matching[:3].tolist() == [inverse.tolist()] * 3
    assert terms.matching[3:].tolist() == [turn] * 3
    model.observe(output, terms, modality)
    assert model.correspondence.stability() == 1
    assert model.correspondence.permutation().tolist() == inverse.tolist()
    close(model.embed(images[:3], 0), model.embed(images[:3], 1))


def test_rows_without_partner_are_not_observed() -> None:
    model, labels, modality = small_cal(), torch.tensor([0, 0]), torch.tensor([0, 0])
    output = cal_output(labels, modality)._replace(paired=torch.tensor([False, True]))
    terms = CALLoss()(output, labels, modality)._replace(matching=torch.tensor([[1, 0, 2], [2, 1, 0]]))
    model.observe(output, terms, modality)
    assert int(model.correspondence.seen) == 1
    assert model.correspondence.permutation().tolist() == [2, 1, 0]


def test_encode_holds_what_forward_uses() -> None:
    model, images = trained_looking(), images_for(4)
    modality = torch.tensor([0, 1, 1, 0])
    encoded = model.encode(images, modality)
    own = model.attention.attend(encoded.tokens, encoded.keys, encoded.part_queries)
    close(own.features, model(images, torch.tensor([0, 0, 1, 1]), modality).own.features)
    alone = model.encode(images[1:2], 1)
    for a, b in zip(floats(alone), floats(encoded[1]), strict=True):
        close(a, b)


def test_an_empty_batch_can_be_embedded() -> None:
    assert trained_looking().embed(images_for(0), 1).shape == (0, 24)
