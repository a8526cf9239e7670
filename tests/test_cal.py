"""CAL: which rows read which rows in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from concordant import (
    CAL,
    TSAA,
    CALLoss,
    DotProductAttention,
    HorizontalParts,
    LearnableParts,
    PartScorer,
    draw_views,
    functional,
    per_modality,
    resized_crop,
)
from concordant.layers.mining import to_tokens
from support import oracles
from support.models import close, images_for, paired_batch, small_cal, trained_looking
from support.strategies import Batch, batches, permutation


@settings(max_examples=10)
@given(batches(min_rows=2), st.integers(0, 9))
def test_every_row_reads_itself_and_a_partner(batch: Batch, seed: int) -> None:
    """Row by row: own = A(T_i; P_i), cross = A(T_j; P_i) with j of the same identity in the other modality."""
    model, images = trained_looking(), images_for(len(batch.labels), seed)
    output = model(images, *batch)
    allowed = oracles.partners_allowed(*batch)
    for i in range(len(batch.labels)):
        j = int(output.partner[i])
        assert j in allowed[i]
        assert bool(output.paired[i]) == (allowed[i] != {i})
        maps = [model.backbone(images[k : k + 1]) for k in (i, j)]
        tokens = [to_tokens(m) for m in maps]
        parts = model.miners[int(batch.modality[i])](maps[0]).features
        queries = model.attention.encode_parts(parts, tokens[0])
        assert model.gate is not None
        for refined, read in ((output.own, tokens[0]), (output.cross, tokens[1])):
            keys = model.attention.encode_tokens(read)
            expected = model.attention.attend(read, *functional.gate_attention(keys, queries, model.gate(read)))
            close(refined.features[i], expected.features[0])
            close(refined.attention[i], expected.attention[0])
        close(output.mined.features[i], parts[0])
        close(output.features[i], functional.pool_tokens(tokens[0], model.gate(tokens[0]))[0])
        close(output.saliency[i].flatten(), model.gate(tokens[0])[0].exp())


def test_a_row_without_partner_is_its_own() -> None:
    model = trained_looking()
    output = model(images_for(3), torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
    assert output.paired.tolist() == [True, True, False]
    assert output.partner.tolist() == [1, 0, 2]
    assert torch.equal(output.cross.features[2], output.own.features[2])


def test_partners_come_from_the_generator() -> None:
    model, images = trained_looking(), images_for(8)
    labels, modality = torch.zeros(8, dtype=torch.int64), torch.arange(8) % 2
    partners = [
        model(images, labels, modality, generator=torch.Generator().manual_seed(s)).partner.tolist()
        for s in (0, 0, 1, 2)
    ]
    assert partners[0] == partners[1]
    assert len({tuple(p) for p in partners}) > 1


def test_keys_and_queries_are_computed_once_an_image() -> None:
    """For any number of attentions; and by calling the module, so that hooks and compilers see it."""
    model, calls, seen = small_cal(), [], []
    attention = cast(TSAA, model.attention)
    for mlp in (attention.token_mlp, attention.part_mlp):
        mlp.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    model.attention.register_forward_hook(lambda _, __, refined: seen.append(refined))
    images, labels, modality = paired_batch()
    output = model(images, labels, modality)
    assert calls == [6, 6]
    assert [refined is output.own for refined in seen] == [True]
    model.eval().embed(images, modality)
    model.encode(images, modality)
    assert len(seen) == 3


@pytest.mark.slow
def test_the_attention_can_be_compiled_by_itself() -> None:
    model, graphs = small_cal(), []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph

    model.attention.compile(backend=backend)
    model(*paired_batch())
    assert graphs


def test_the_papers_model_has_none_of_our_additions() -> None:
    backbone = nn.Conv2d(3, 6, 4, stride=4)
    model = CAL.paper(backbone, 6, 3, 4, dim=2, alpha=0.5)
    assert (model.norm_source, model.protect_attention, model.gate) == ("parts", False, None)
    output = model(*paired_batch())
    parts = output.mined.features
    close(output.own.part_queries.queries, model.attention.encode_parts(parts).queries)
    close(output.features, to_tokens(model.feature_map(paired_batch()[0], 0)).mean(dim=1), rtol=1e-5, atol=1e-6)
    assert output.saliency.unique().tolist() == [1.0]


def test_views_are_seen_as_images_are() -> None:
    """In evaluation mode: rows read what they read without views, and `seen` is the own attention on the crops."""
    model, (images, labels, modality) = trained_looking(), paired_batch(torch.float64)
    views = draw_views(6, generator=torch.Generator().manual_seed(0))
    views = views._replace(crops=views.crops.double())
    plain, output = model(images, labels, modality), model(images, labels, modality, views=views)
    for name, value in plain._asdict().items():
        if name not in ("seen", "crops"):
            torch.testing.assert_close(getattr(output, name), value)
    crops = model(resized_crop(images[views.rows], views.crops), labels[views.rows], modality[views.rows])
    close(output.seen[views.rows], crops.own.attention)
    close(output.crops[views.rows], views.crops)
    others = [row for row in range(6) if row not in views.rows.tolist()]
    close(output.seen[others], plain.own.attention[others])
    assert output.crops[others].unique().tolist() == [0.0, 1.0]
    assert torch.equal(plain.seen, plain.own.attention)


@pytest.mark.slow
def test_views_compile_in_one_graph() -> None:
    model, batch = trained_looking(), paired_batch(torch.float64)
    views = draw_views(6, generator=torch.Generator().manual_seed(0))
    expected = model(*batch, views=views)
    found = torch.compile(model, backend="eager", fullgraph=True)(*batch, views=views)
    for x, y in zip(tree_flatten(found)[0], tree_flatten(expected)[0], strict=True):
        torch.testing.assert_close(x, y)


def test_the_gate_learns_from_the_global_feature_alone() -> None:
    """Maps and saliency take no gradient to it: they would close it wherever a loss of maps is cheaper so."""
    model = small_cal(protect_attention=False)
    output = model(*paired_batch())
    assert model.gate is not None
    weights = list(model.gate.score.parameters())
    for value in (output.own.attention.square().sum(), output.cross_logits.logsumexp(dim=2).sum()):
        reached = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
        assert all(gradient is None for gradient in reached)
    assert not output.saliency.requires_grad
    assert bool(torch.autograd.grad(output.logits.logsumexp(dim=1).sum(), weights[0])[0].any())


@pytest.mark.parametrize("protect", [True, False])
def test_the_identity_loss_and_the_attention(protect: bool) -> None:
    """Protected, the classifiers of refined parts do not move what decides where parts look; the gate they do move."""
    model = small_cal(protect_attention=protect)
    output = model(*paired_batch())
    loss = output.own_logits.logsumexp(dim=2).sum() + output.cross_logits.logsumexp(dim=2).sum()
    attention = cast(TSAA, model.attention)
    weights = [*attention.token_mlp.parameters(), *attention.part_mlp.parameters()]
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    reached = any(g is not None and bool((g != 0).any()) for g in gradients)
    assert reached == (not protect)
    assert attention.gate_mlp is not None
    gate = torch.autograd.grad(loss, list(attention.gate_mlp.parameters()))
    assert all(bool((g != 0).any()) for g in gate)


def test_protection_changes_gradients_not_values() -> None:
    a, b = small_cal(protect_attention=True), small_cal(protect_attention=False)
    b.load_state_dict(a.state_dict())
    for x, y in zip(a(*paired_batch()), b(*paired_batch()), strict=True):
        torch.testing.assert_close(x, y)


def test_miners_start_equal_and_are_separate() -> None:
    model = small_cal()
    first, second = (miner.state_dict() for miner in model.miners)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not {id(p) for p in model.miners[0].parameters()} & {id(p) for p in model.miners[1].parameters()}
    assert len(small_cal(shared_miner=True).miners) == 1


def test_norm_source_chooses_what_normalises_the_parts() -> None:
    tokens_model, parts_model = (trained_looking(gate=False, norm_source=source) for source in ("tokens", "parts"))
    parts_model.load_state_dict(tokens_model.state_dict())
    images = images_for(2)
    maps = tokens_model.backbone(images)
    tokens, parts = to_tokens(maps), tokens_model.miners[0](maps).features
    for model, source in ((tokens_model, tokens), (parts_model, None)):
        close(model.encode(images, 0).part_queries.queries, model.attention.encode_parts(parts, source).queries)


@pytest.mark.parametrize(
    "settings",
    [
        {"miner": LearnableParts(6, 3)},
        {"miner": HorizontalParts(3)},
        {"attention": DotProductAttention()},
        {"shared_miner": True},
        {"norm_source": "parts"},
        {"dim": 2, "alpha": 0.5},
        {"gate": False},
    ],
)
def test_ablations_train(settings: dict[str, Any]) -> None:
    model = small_cal(**settings)
    images, labels, modality = paired_batch()
    CALLoss()(model(images, labels, modality), labels, modality).total.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
    assert model.eval().embed(images, modality).shape == (6, 24)


class Checkpointed(nn.Module):
    """Any module, its activations computed again in the backward pass."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any) -> Any:
        return torch.utils.checkpoint.checkpoint(self.module, *inputs, use_reentrant=False)


class TwoStems(nn.Module):
    """A backbone with a first stage for each modality."""

    def __init__(self) -> None:
        super().__init__()
        self.stems = nn.ModuleList([nn.Conv2d(3, 6, 4, stride=4), nn.Conv2d(3, 6, 4, stride=4)])

    def forward(self, images: Tensor, modality: int | Tensor) -> Tensor:
        maps: Tensor = per_modality(self.stems, images, modality)
        return maps


COMPILED = pytest.param(lambda x: torch.compile(x, backend="eager"), marks=pytest.mark.slow)


@pytest.mark.parametrize("wrap", [lambda x: x, COMPILED, Checkpointed])
def test_a_backbone_may_take_the_modality(wrap: Callable[[nn.Module], Any]) -> None:
    """In a wrapper whose signature has no modality."""
    backbone = TwoStems()
    model = CAL(wrap(backbone), 6, 3, 4, backbone_takes_modality=True).eval()
    images, labels, modality = paired_batch()
    features = model(images, labels, modality).features
    for kind in (0, 1):
        expected = backbone.stems[kind](images[modality == kind]).mean(dim=(2, 3))
        close(features[modality == kind], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.embed(images[3:], 1), model.embed(images, modality)[3:])


def test_the_order_of_rows_does_not_matter() -> None:
    model = trained_looking()
    images, labels, modality = paired_batch(torch.float64)
    rows = permutation(6, 1)
    before = CALLoss()(model(images, labels, modality), labels, modality)
    after = CALLoss()(model(images[rows], labels[rows], modality[rows]), labels[rows], modality[rows])
    close(after.total, before.total)
    assert torch.equal(after.matching, before.matching[rows])


def test_same_seed_same_weights_to_the_bit() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(small_cal().state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_outputs_put_together_keep_their_partners() -> None:
    """Chunks of a batch, as gradient caching has them: the loss of both is that of rows that know their partners."""
    model, loss = trained_looking(), CALLoss()
    images, labels, modality = images_for(8), torch.tensor([0, 1, 0, 1, 2, 3, 2, 3]), torch.tensor([0, 0, 1, 1] * 2)
    chunks = [model(images[rows], labels[rows], modality[rows]) for rows in (slice(0, 4), slice(4, 8))]
    parts = [tree_flatten(chunk) for chunk in chunks]
    together = tree_unflatten([torch.cat(x) for x in zip(*(leaves for leaves, _ in parts), strict=True)], parts[0][1])
    whole = model(images, labels, modality)
    assert torch.equal(labels[together.partner], labels)
    assert torch.equal(together.partner, whole.partner)
    close(loss(together, labels, modality).total, loss(whole, labels, modality).total)


def test_numpys_integers_are_integers() -> None:
    sizes: list[Any] = [np.int64(6), np.int32(3), np.uint8(4)]
    modality: Any = np.int64(1)
    model, images = CAL(nn.Conv2d(3, 6, 4, stride=4), *sizes).eval(), torch.randn(2, 3, 16, 8)
    assert repr(cast(TSAA, model.attention).channels) == "6"
    close(model.embed(images, modality), model.embed(images, 1))
    close(model.encode(images, modality).tokens, model.encode(images, 1).tokens)
    with pytest.raises(ValueError, match=r"CAL: `images` must be a tensor; got ndarray"):
        model.embed(images.numpy(), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"PartScorer: `features` must be a tensor .*; got ndarray"):
        PartScorer(6, 3)(images.numpy())


def test_a_third_modality_is_seen_where_one_miner_reads_all() -> None:
    images, labels, modality = paired_batch()
    with pytest.raises(ValueError, match=r"CAL: `modality` must be 0 or 1; got \[1, 2\]"):
        small_cal(shared_miner=True)(images, labels, modality + 1)


def test_one_row_cannot_train() -> None:
    images, labels, modality = paired_batch()
    with pytest.raises(ValueError, match=r"CAL: a batch must have two rows or more in training mode.*; got 1"):
        small_cal()(images[:1], labels[:1], modality[:1])
    assert len(small_cal().eval()(images[:1], labels[:1], modality[:1]).logits) == 1
