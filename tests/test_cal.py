"""CAL: who reads whom in training, and what the embeddings are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from concordant import CAL, CALLoss, DotProductAttention, HorizontalParts, LearnableParts, PartScorer, per_modality
from concordant.layers.mining import to_tokens
from concordant.matching import invert_matching
from support import oracles
from support.case import floats
from support.models import cal_output, close, paired_batch, randomize, small_cal
from support.strategies import Batch, batches, permutation


def trained_looking(**settings: object) -> CAL:
    """CAL in eval mode with random weights and statistics: scorers differ, and batch norms are not the identity."""
    model = small_cal(dtype=torch.float64, **settings)
    randomize(model, 3)
    generator = torch.Generator().manual_seed(4)
    for norm in (model.norm, model.part_norm):
        norm.running_mean.normal_(generator=generator)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr]
    return model.eval()


def images_for(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 16, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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
        for refined, read in ((output.own, tokens[0]), (output.cross, tokens[1])):
            expected = model.attention.attend(read, model.attention.encode_tokens(read), queries)
            close(refined.features[i], expected.features[0])
            close(refined.attention[i], expected.attention[0])
        close(output.mined.features[i], parts[0])
        close(output.features[i], maps[0][0].mean(dim=(1, 2)))


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
    """However many attentions read them; and by a call of the module, which hooks and compilers see."""
    model, calls, seen = small_cal(), [], []
    for mlp in (model.attention.token_mlp, model.attention.part_mlp):  # type: ignore[union-attr]
        mlp.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))  # type: ignore[union-attr]
    model.attention.register_forward_hook(lambda _, __, refined: seen.append(refined))
    images, labels, modality = paired_batch()
    output = model(images, labels, modality)
    assert calls == [6, 6]
    assert [refined is output.own for refined in seen] == [True]
    model.eval().embed(images, modality)
    model.encode(images, modality)
    assert len(seen) == 3


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
    assert (model.norm_source, model.protect_attention) == ("parts", False)
    output = model(*paired_batch())
    parts = output.mined.features
    close(output.own.part_queries.queries, model.attention.encode_parts(parts).queries)


@pytest.mark.parametrize("protect", [True, False])
def test_the_identity_loss_and_the_attention(protect: bool) -> None:
    """Protected, the classifiers of refined parts do not move what decides where parts look; the gate they do move."""
    model = small_cal(protect_attention=protect)
    output = model(*paired_batch())
    loss = output.own_logits.logsumexp(dim=2).sum() + output.cross_logits.logsumexp(dim=2).sum()
    mlps = [model.attention.token_mlp, model.attention.part_mlp]
    weights = [parameter for mlp in mlps for parameter in mlp.parameters()]
    gradients = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    reached = any(g is not None and bool((g != 0).any()) for g in gradients)
    assert reached == (not protect)
    gate = torch.autograd.grad(loss, list(model.attention.gate_mlp.parameters()))
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
    own = model.attention(tokens, model.miners[0](maps).features, tokens).features
    parts = model.part_norm(own.flatten(1)).view(2, 3, 6).tolist()
    whole = model.norm(tokens.mean(dim=1)).tolist()
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
    scorer = model.miners[1].scorer
    with torch.no_grad():
        scorer.score.weight.copy_(scorer.score.weight.clone()[turn])
        scorer.score.bias.copy_(scorer.score.bias.clone()[turn])
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


def test_norm_source_chooses_what_normalises_the_parts() -> None:
    tokens_model, parts_model = trained_looking(), trained_looking(norm_source="parts")
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


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: torch.compile(x, backend="eager"), Checkpointed])
def test_a_backbone_may_take_the_modality(wrap: Callable[[nn.Module], Any]) -> None:
    """Wrapped in anything, whose signature shows no modality."""
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


def test_an_empty_batch_can_be_embedded() -> None:
    assert trained_looking().embed(images_for(0), 1).shape == (0, 24)


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
    model = CAL(nn.Conv2d(3, 6, 4, stride=4), np.int64(6), np.int32(3), np.uint8(4)).eval()
    images, modality = torch.randn(2, 3, 16, 8), np.int64(1)
    assert repr(model.attention.channels) == "6"  # type: ignore[union-attr]
    close(model.embed(images, modality), model.embed(images, 1))
    close(model.encode(images, modality).tokens, model.encode(images, 1).tokens)
    with pytest.raises(ValueError, match=r"CAL: `images` must be a tensor; got ndarray"):
        model.embed(images.numpy(), 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"PartScorer: `feature_map` must be a tensor .*; got ndarray"):
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
