"""The total, term by term."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings

from concordant import CALLoss, CALOutput
from support import oracles
from support.models import cal_output, close
from support.strategies import SEEDS, Batch, batches, permutation


def literal(output: CALOutput, batch: Batch, loss: CALLoss) -> dict[str, float]:
    """Every term as the mean over its own terms."""
    n, p, _ = output.own.attention.shape
    labels, modality = batch

    def mean(values: Sequence[float], count: int | None = None) -> float:
        return sum(values) / max(len(values) if count is None else count, 1)

    def identity(logits: torch.Tensor) -> float:
        return mean(oracles.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(p)))

    partner = output.partner.tolist()
    paired = [i for i in range(n) if output.paired[i]]
    # Cross attention of row i lies on the tokens of its partner j, so it is matched with j's own attention.
    own_maps, cross_maps = output.own.attention[partner], output.cross.attention
    if loss.cosine:
        own_maps, cross_maps = (x / x.square().sum(dim=2, keepdim=True).sqrt() for x in (own_maps, cross_maps))
    kd1, kd2, _ = oracles.match_distill(own_maps, cross_maps, output.own_logits[partner], output.cross_logits)
    own, cross = output.own.features, output.cross.features
    if loss.normalize:
        own, cross = (x / x.square().sum(dim=2, keepdim=True).sqrt() for x in (own, cross))
    pairs = oracles.part_center_pairs(own, cross, labels, modality, loss.margin)
    same = labels[:, None] == labels
    near, far = same & (modality[:, None] == modality), ~same & (modality[:, None] >= modality)
    p2 = p * (p - 1) // 2
    attention = output.own.attention.transpose(1, 2)
    selection = output.mined.selection
    if loss.cosine:
        attention, selection = (x / x.square().sum(dim=1, keepdim=True).sqrt() for x in (attention, selection))
    return {
        "id": mean(oracles.cross_entropy(output.logits, labels)),
        "part_id": (identity(output.own_logits) + identity(output.cross_logits)) / 2,
        "pcl": mean(pairs[near].tolist()) + mean(pairs[far].tolist()),
        "kd1": mean([kd1[i] for i in paired], len(paired) * p),
        "kd2": mean([kd2[i] for i in paired], len(paired) * p),
        "dis": mean(oracles.discriminative(output.mined_logits, labels), n * p),
        "div": mean(oracles.diversity(selection), n * p2),
        "attention_div": mean(oracles.diversity(attention), n * p2),
    }


@pytest.mark.parametrize("plain", [True, False])
@settings(max_examples=15)
@given(batches(), SEEDS)
def test_agrees_with_the_loop(plain: bool, batch: Batch, seed: int) -> None:
    loss = CALLoss(normalize=not plain, cosine=not plain)
    output = cal_output(*batch, seed=seed)
    terms = loss(output, *batch)
    expected = literal(output, batch, loss)
    for name, value in expected.items():
        close(getattr(terms, name), oracles.tensor(value))
    total = sum(loss.weights[name] * value for name, value in expected.items())
    close(terms.total, oracles.tensor(total))


def test_the_total_is_the_equation() -> None:
    """L = L_id + L_pcl + λ1 L_kd1 + λ2 L_kd2 + λ3 L_dis + λ4 L_div; what is ours is off at weight 0."""
    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    terms = CALLoss(part_id=0, pcl=1, kd1=2, kd2=3, dis=4, div=5, attention_div=0)(
        cal_output(labels, modality), labels, modality
    )
    close(terms.total, terms.id + terms.pcl + 2 * terms.kd1 + 3 * terms.kd2 + 4 * terms.dis + 5 * terms.div)
    assert set(terms.named()) == {"total", "id", "part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div"}


@settings(max_examples=10)
@given(batches(), SEEDS)
def test_the_order_of_rows_does_not_matter(batch: Batch, seed: int) -> None:
    output, loss = cal_output(*batch, seed=seed), CALLoss()
    rows = permutation(len(batch.labels), seed)
    inverse = rows.argsort()
    moved = torch.utils._pytree.tree_map(lambda x: x[rows], output)
    moved = moved._replace(partner=inverse[moved.partner])
    before, after = loss(output, *batch), loss(moved, batch.labels[rows], batch.modality[rows])
    for name, value in before.named().items():
        close(after.named()[name], value)


def test_unpaired_rows_take_no_part_in_the_distillation() -> None:
    labels, modality = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])
    output = cal_output(labels, modality)
    loss = CALLoss()
    before = loss(output, labels, modality)
    changed = output._replace(
        cross_logits=output.cross_logits.clone().index_fill_(0, torch.tensor([2]), 7.0),
        own_logits=output.own_logits.clone().index_fill_(0, torch.tensor([2]), -3.0),
    )
    after = loss(changed, labels, modality)
    close(after.kd1, before.kd1)
    close(after.kd2, before.kd2)


def test_no_pair_at_all_has_zero_distillation() -> None:
    labels, modality = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 0])
    terms = CALLoss()(cal_output(labels, modality), labels, modality)
    assert terms.kd1.item() == 0
    assert terms.kd2.item() == 0


def test_an_empty_batch_costs_nothing() -> None:
    nobody = torch.zeros(0, dtype=torch.int64)
    output = cal_output(nobody, nobody)
    output.features.requires_grad_()
    terms = CALLoss()(output, nobody, nobody)
    assert all(value.item() == 0 for value in terms.named().values())


def test_label_smoothing_is_torchs() -> None:
    labels, modality = torch.tensor([0, 1]), torch.tensor([0, 1])
    output = cal_output(labels, modality)
    terms = CALLoss(label_smoothing=0.2)(output, labels, modality)
    close(terms.id, torch.nn.functional.cross_entropy(output.logits, labels, label_smoothing=0.2))


def test_detach_cross_keeps_the_distillation_from_the_teacher() -> None:
    labels, modality = torch.tensor([0, 0]), torch.tensor([0, 1])
    for detach in (False, True):
        output = cal_output(labels, modality)
        output.cross_logits.requires_grad_()
        output.own_logits.requires_grad_()
        CALLoss(detach_cross=detach, part_id=0)(output, labels, modality).total.backward()
        gradient = output.cross_logits.grad
        assert (gradient is None or not bool(gradient.any())) == detach
        assert output.own_logits.grad is not None


@pytest.mark.parametrize("name", ["part_id", "pcl", "kd1", "kd2", "dis", "div", "attention_div"])
def test_a_weight_is_the_weight_of_its_term(name: str) -> None:
    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    output = cal_output(labels, modality)
    none = CALLoss(**{name: 0.0})(output, labels, modality)  # type: ignore[arg-type]
    double = CALLoss(**{name: 2.0})(output, labels, modality)  # type: ignore[arg-type]
    close(double.total - none.total, 2 * getattr(none, name))
