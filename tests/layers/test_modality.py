"""Rows through the module of their modality, and random partners."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from concordant import PartMiner, draw_partners, functional, per_modality, split_modality
from support import oracles
from support.models import close
from support.strategies import SEEDS, Batch, batches, values


@given(batches(min_rows=0), st.integers(0, 2**31 - 1))
def test_partners_are_other_modality_rows_of_the_identity(batch: Batch, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    partner, paired = functional.draw_partners(*batch, generator=generator)
    allowed = oracles.partners_allowed(*batch)
    assert all(j in options for j, options in zip(partner.tolist(), allowed, strict=True))
    assert paired.tolist() == [options != {i} for i, options in enumerate(allowed)]
    again, _ = functional.draw_partners(*batch, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(again, partner)


def test_every_partner_is_equally_likely() -> None:
    """Row 0 may have rows 2, 3, 4, 5. Out of 2,000 draws each gets 500 within seven standard deviations (19.4)."""
    labels, modality = torch.tensor([0, 0, 0, 0, 0, 0, 1]), torch.tensor([0, 0, 1, 1, 1, 1, 1])
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(int(functional.draw_partners(labels, modality, generator=generator)[0][0]) for _ in range(2000))
    assert set(drawn) == {2, 3, 4, 5}
    assert all(abs(count - 500) < 136 for count in drawn.values())


def test_draws_differ_from_step_to_step() -> None:
    labels, modality = torch.zeros(12, dtype=torch.int64), torch.arange(12) % 2
    draws = {tuple(functional.draw_partners(labels, modality)[0].tolist()) for _ in range(5)}
    assert len(draws) > 1


@given(batches(min_rows=0), SEEDS)
def test_rows_go_through_their_own_module(batch: Batch, seed: int) -> None:
    modules = [nn.Linear(3, 2, dtype=torch.float64) for _ in range(2)]
    inputs = values((len(batch.labels), 3), seed)
    outputs = per_modality(modules, inputs, batch.modality)
    assert outputs.shape == (len(batch.labels), 2)
    for row, kind, output in zip(inputs, batch.modality.tolist(), outputs, strict=True):
        close(output, modules[kind](row))


@given(batches(), SEEDS)
def test_named_tuples_keep_their_names(batch: Batch, seed: int) -> None:
    miners = [PartMiner(3, 2, dtype=torch.float64) for _ in range(2)]
    maps = values((len(batch.labels), 3, 3, 2), seed)
    mined = per_modality(miners, maps, batch.modality)
    for i, kind in enumerate(batch.modality.tolist()):
        alone = miners[kind](maps[i : i + 1])
        close(mined.features[i], alone.features[0])
        close(mined.selection[i], alone.selection[0])


@given(batches(min_rows=0), SEEDS)
def test_a_split_gives_what_the_modality_gives(batch: Batch, seed: int) -> None:
    modules = [nn.Linear(3, 2, dtype=torch.float64) for _ in range(2)]
    inputs = values((len(batch.labels), 3), seed)
    split = split_modality(batch.modality).to("cpu")
    assert torch.equal(per_modality(modules, inputs, split), per_modality(modules, inputs, batch.modality))
    assert torch.equal(per_modality(modules[:1], inputs, split), modules[0](inputs))
    assert [set(rows.tolist()) for rows in split.rows] == [
        {i for i, kind in enumerate(batch.modality.tolist()) if kind == m} for m in (0, 1)
    ]
    assert torch.equal(torch.cat(split.rows)[split.order], torch.arange(len(inputs)))


def test_a_split_that_does_not_fit_is_rejected() -> None:
    modules = [nn.Identity(), nn.Identity()]
    with pytest.raises(ValueError, match="split_modality: every row's `modality` must be in 0 … 1; got 1 rows of 2"):
        split_modality(torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="per_modality: the split of `modality` must be of 3 rows; got 2"):
        per_modality(modules, torch.zeros(3, 1), split_modality(torch.tensor([0, 1])))
    with pytest.raises(ValueError, match="per_modality: the split of `modality` must be into 2; got 3"):
        per_modality(modules, torch.zeros(2, 1), split_modality(torch.tensor([0, 1]), 3))


def test_an_integer_speaks_for_all_rows_and_one_module_for_all_modalities() -> None:
    modules, inputs = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)]), torch.randn(4, 3)
    assert torch.equal(per_modality(modules, inputs, 1), modules[1](inputs))
    assert torch.equal(per_modality(modules[:1], inputs, torch.tensor([0, 1, 0, 1])), modules[0](inputs))


def test_gradient_reaches_only_the_modality_present() -> None:
    modules = [nn.Linear(3, 2), nn.Linear(3, 2)]
    per_modality(modules, torch.randn(2, 3), torch.tensor([1, 1])).sum().backward()
    assert modules[0].weight.grad is None
    assert modules[1].weight.grad is not None


def test_a_modality_without_a_module_is_rejected_not_dropped() -> None:
    with pytest.raises(ValueError, match=r"^per_modality: .*; got "):
        per_modality([nn.Identity(), nn.Identity()], torch.zeros(3, 1), torch.tensor([0, 2, 1]))


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_forward_pass_that_is_computed_again_draws_the_same(reentrant: bool) -> None:
    """Activation checkpointing brings back torch's own generators only. Two batches, then two backward passes."""

    def weights(labels: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
        partner, _ = draw_partners(labels, modality, generator=generator)
        return (scale.square() * partner).sum()

    modality = torch.arange(40) % 2
    gradients: list[Tensor] = []
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    batches = [torch.arange(40) // 10, torch.arange(40) // 20]
    for again, generator in zip((False, True), generators, strict=True):
        scale = torch.ones(40, requires_grad=True)
        if again:
            losses = [checkpoint(weights, y, scale, generator, use_reentrant=reentrant) for y in batches]
        else:
            losses = [weights(y, scale, generator) for y in batches]
        torch.stack(losses).sum().backward()
        assert scale.grad is not None
        gradients.append(scale.grad)
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_draws_for_other_tensors_are_rejected_in_a_backward_pass() -> None:
    def weights(scale: Tensor, generator: torch.Generator) -> Tensor:
        kept.append(torch.zeros(4, dtype=torch.int64))
        partner, _ = draw_partners(kept[-1], modality, generator=generator)
        return (scale * partner).sin().sum()

    modality = torch.arange(4) % 2
    kept: list[Tensor] = []  # the labels of the first pass, so that those of the second lie elsewhere
    loss = checkpoint(weights, torch.ones(4, requires_grad=True), torch.Generator(), use_reentrant=False)
    with pytest.raises(ValueError, match="must be given the tensors of the first"):
        loss.backward()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.uint32, torch.int64])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    labels, modality = torch.tensor([3, 1, 3], dtype=dtype), torch.tensor([0, 0, 1], dtype=dtype)
    assert draw_partners(labels, modality)[0].tolist() == [2, 1, 0]
