"""The total, term by term."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from concordant import CALLoss, CALOutput, DiscriminativeLoss, MatchDistill, resized_crop
from support import oracles, oracles_metric, oracles_parts
from support.models import cal_output, close
from support.strategies import SEEDS, Batch, batches, permutation


def unit(x: Tensor) -> Tensor:
    return x / x.square().sum(dim=2, keepdim=True).sqrt()


def terms_of(output: CALOutput, batch: Batch, *, ours: bool) -> dict[str, list[float]]:
    """The terms that each loss adds up, with our additions (norms, cosines) or without."""
    labels, modality = batch
    p = output.own.attention.shape[1]

    def identity(logits: Tensor) -> list[float]:
        return oracles.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(p))

    def triplets(features: Tensor) -> list[float]:
        return [term for term in oracles_metric.weighted_triplet(features, labels) if term is not None]

    partner = output.partner.tolist()
    # Cross attention of row i lies on the tokens of its partner j, so it is matched with j's own attention.
    maps = [output.own.attention[partner], output.cross.attention, output.own.attention, output.mined.selection]
    features = [output.own.features, output.cross.features]
    if ours:
        maps, features = [unit(x) for x in maps], [unit(x) for x in features]
    kd1, kd2, _ = oracles.match_distill(maps[0], maps[1], output.own_logits[partner], output.cross_logits)
    paired = [i for i in range(len(labels)) if output.paired[i]]
    pairs = oracles.part_center_pairs(features[0], features[1], labels, modality, 0.7)
    same = labels[:, None] == labels
    grid = output.saliency.shape[1:]
    moved = resized_crop(output.own.attention.unflatten(2, grid), output.crops).flatten(2)
    followed = oracles_parts.equivariance(output.seen, moved, output.crops)
    return {
        "id": oracles.cross_entropy(output.logits, labels),
        "part_id": identity(output.own_logits) + identity(output.cross_logits),
        "near": pairs[same & (modality[:, None] == modality)].tolist(),
        "far": pairs[~same & (modality[:, None] >= modality)].tolist(),
        "kd1": [x for i in paired for x in kd1[i]],
        "kd2": [x for i in paired for x in kd2[i]],
        "dis": identity(output.mined_logits),
        "div": [x for image in oracles.diversity(maps[3]) for x in image],
        "attention_div": [x for image in oracles.diversity(maps[2]) for x in image],
        "equivariance": [x for i in range(0, len(labels), 2) for x in followed[i]],
        "coverage": oracles_parts.coverage(output.own.attention, output.saliency.flatten(1)),
        "triplet": triplets(output.features),
        "part_triplet": triplets(output.own.features.flatten(1)),
    }


def mean(terms: list[float]) -> float:
    return sum(terms) / max(len(terms), 1)


@settings(max_examples=15)
@given(batches(), SEEDS)
def test_each_term_is_the_mean_of_its_own_terms(batch: Batch, seed: int) -> None:
    loss, output = CALLoss(identity=DiscriminativeLoss()), cal_output(*batch, seed=seed)
    found = loss(output, *batch)
    terms = {name: mean(values) for name, values in terms_of(output, batch, ours=True).items()}
    terms["pcl"] = terms.pop("near") + terms.pop("far")
    for name, value in terms.items():
        close(getattr(found, name), oracles.tensor(value))
    close(found.total, oracles.tensor(sum(loss.weights[name] * value for name, value in terms.items())))


@settings(max_examples=15)
@given(batches(), SEEDS)
def test_the_papers_total_is_the_equation(batch: Batch, seed: int) -> None:
    """L = L_id + L_pcl + λ1 L_kd1 + λ2 L_kd2 + λ3 L_dis + λ4 L_div: sums, without our additions."""
    output = cal_output(*batch, seed=seed)
    terms = {name: sum(values) for name, values in terms_of(output, batch, ours=False).items()}
    expected = terms["id"] + terms["part_id"] + terms["near"] + terms["far"]
    expected += 2 * terms["kd1"] + 3 * terms["kd2"] + 4 * terms["dis"] + 5 * terms["div"]
    close(CALLoss.paper(kd1=2, kd2=3, dis=4, div=5)(output, *batch).total, oracles.tensor(expected))


def test_a_loss_can_be_replaced() -> None:
    class Spread(nn.Module):
        def forward(self, own: Tensor, cross: Tensor, labels: Tensor, modality: Tensor) -> Tensor:
            return (own - cross).square().mean()

    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    output = cal_output(labels, modality)
    plain, other = CALLoss()(output, labels, modality), CALLoss(metric=Spread(), pcl=3.0)(output, labels, modality)
    close(other.pcl, (output.own.features - output.cross.features).square().mean())
    close(other.total - 3 * other.pcl, plain.total - plain.pcl)


@settings(max_examples=10)
@given(batches(), SEEDS)
def test_the_order_of_rows_does_not_matter(batch: Batch, seed: int) -> None:
    output, loss = cal_output(*batch, seed=seed), CALLoss()
    rows = permutation(len(batch.labels), seed)
    inverse = rows.argsort()
    moved = torch.utils._pytree.tree_map(lambda x: x[rows], output)
    partner = inverse[output.partner[rows]]
    moved = moved._replace(partner_offset=partner - torch.arange(len(partner)))
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
    terms = CALLoss()(output, labels, modality)
    close(terms.id, torch.nn.functional.cross_entropy(output.logits, labels, label_smoothing=0.1))


def test_detach_cross_keeps_the_distillation_from_the_teacher() -> None:
    labels, modality = torch.tensor([0, 0]), torch.tensor([0, 1])
    for detach in (False, True):
        output = cal_output(labels, modality)
        output.cross_logits.requires_grad_()
        output.own_logits.requires_grad_()
        CALLoss(match_distill=MatchDistill(detach_cross=detach), part_id=0)(output, labels, modality).total.backward()
        gradient = output.cross_logits.grad
        assert (gradient is None or not bool(gradient.any())) == detach
        assert output.own_logits.grad is not None


@pytest.mark.parametrize("name", [name for name in CALLoss().weights if name != "id"])
def test_a_weight_is_the_weight_of_its_term(name: str) -> None:
    labels, modality = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1])
    output = cal_output(labels, modality)
    none = CALLoss(**{name: 0.0})(output, labels, modality)  # type: ignore[arg-type]
    double = CALLoss(**{name: 2.0})(output, labels, modality)  # type: ignore[arg-type]
    close(double.total - none.total, 2 * getattr(none, name))
