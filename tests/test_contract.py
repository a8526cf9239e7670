"""Every public module is asked the same questions: see `contract.py` for the modules."""

from __future__ import annotations

import inspect
import pickle
import re
import shutil
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

import concordant
from concordant import CAL, CALLoss, PartCorrespondence, functional
from support.contract import CASES, CORRESPONDENCE_REFUSED, INT, LABELS, MODALITY, floats, leaves, on, zeros
from support.models import paired_batch, small_cal
from support.refused_functions import REFUSED

REFUSAL = re.compile(r"^[A-Za-z_.]+: .+; got .+", re.DOTALL)
every_module = pytest.mark.parametrize("name", CASES)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def loss_of(result: Any) -> Tensor:
    """One number that every floating-point output takes part in, each with weights of its own."""
    terms = [
        (x.float() * torch.linspace(0.5, 1.5, max(x.numel(), 1), device=x.device)[: x.numel()].view_as(x)).sum()
        for x in floats(result)
        if x.requires_grad
    ]
    return torch.stack(terms).sum()


def run(module: Callable[..., Any], arguments: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and gradients of all that takes part."""
    torch.manual_seed(1)
    arguments = leaves(arguments)
    result = module(*arguments)
    parameters = list(module.parameters()) if isinstance(module, nn.Module) else []
    wanted = floats(arguments) + parameters
    gradients = torch.autograd.grad(loss_of(result), wanted, allow_unused=True)
    outputs = [leaf.detach() for leaf in tree_flatten(result)[0] if isinstance(leaf, Tensor)]
    return outputs, [g for g in gradients if g is not None]


def same(a: tuple[list[Tensor], list[Tensor]], b: tuple[list[Tensor], list[Tensor]], tolerance: float) -> None:
    for left, right in zip(a, b, strict=True):
        assert len(left) == len(right)
        for x, y in zip(left, right, strict=True):
            torch.testing.assert_close(x, y, rtol=tolerance, atol=tolerance, check_device=False)


# numbers -------------------------------------------------------------------------------------------------------------


@every_module
def test_gradient_is_that_of_the_value(name: str) -> None:
    case = CASES[name]
    module = case.make(**({"dtype": torch.float64} if case.factory else {}))
    if isinstance(module, CAL):
        module.eval()  # batch statistics are torch's own business
    arguments = leaves(case.arguments(torch.float64))
    flat, spec = tree_flatten(arguments)
    places = [i for i, leaf in enumerate(flat) if leaf.is_floating_point()]

    def of_floats(*values: Tensor) -> list[Tensor]:
        filled = list(flat)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        return [x for x in floats(module(*tree_unflatten(filled, spec))) if x.requires_grad]

    inputs = [flat[i] for i in places]
    # `fast_mode` checks along random directions: quick, and wrong gradients do not pass it.
    assert torch.autograd.gradcheck(of_floats, inputs, fast_mode=True, check_undefined_grad=False)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_module
def test_autocast(name: str, dtype: torch.dtype) -> None:
    """Outputs and gradients are finite, and losses and distributions are not in half precision."""
    case = CASES[name]
    module, arguments = case.make(), leaves(case.arguments(torch.float32))
    with torch.autocast("cpu", dtype=dtype):
        result = module(*arguments)
    assert all(bool(x.isfinite().all()) for x in floats(result))
    if case.loss:
        assert {x.dtype for x in floats(result)} == {torch.float32}
    for field in ("selection", "attention"):
        if hasattr(result, field):
            assert getattr(result, field).dtype == torch.float32
            total = getattr(result, field).sum(dim=1 if field == "selection" else 2)
            assert bool((total <= 1 + 1e-5).all())
    loss_of(result).backward()
    gradients = [x.grad for x in [*floats(arguments), *module.parameters()] if x.grad is not None]
    assert gradients
    assert all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.loss])
def test_losses_take_half_precision(name: str, dtype: torch.dtype) -> None:
    """Given halves, a loss computes in float32: it equals the loss of the same numbers in float32."""
    case = CASES[name]
    halves = case.arguments(dtype)
    wide = torch.utils._pytree.tree_map(lambda x: x.float() if x.is_floating_point() else x, halves)
    found, expected = floats(case.make()(*halves)), floats(case.make()(*wide))
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_whole_of_a_training_step_under_autocast(dtype: torch.dtype) -> None:
    model, loss = small_cal(), CALLoss()
    images, labels, modality = paired_batch()
    with torch.autocast("cpu", dtype=dtype):
        terms = loss(model(images, labels, modality), labels, modality)
    assert {x.dtype for x in terms.named().values()} == {torch.float32}
    terms.total.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    with torch.autocast("cpu", dtype=dtype), torch.no_grad():
        embeddings = model.eval().embed(images, modality)
    torch.testing.assert_close(torch.linalg.vector_norm(embeddings.float(), dim=1), torch.ones(6))


# compilers -----------------------------------------------------------------------------------------------------------


def check_compiled(name: str, backend: str) -> None:
    case = CASES[name]
    module, arguments = case.make(), case.arguments(torch.float32)
    other = deepcopy(module)  # batch statistics move with every call
    torch.compiler.reset()
    compiled = torch.compile(other, fullgraph=True, backend=backend)
    same(run(module, arguments), run(compiled, arguments), case.tolerance)


@every_module
def test_compiled_in_one_graph_is_the_same(name: str) -> None:
    """Forward and backward, captured without a break. The capture is what a library breaks, so a quick backend."""
    check_compiled(name, "aot_eager")


@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler here")
@pytest.mark.parametrize("name", ["DiversityLoss", "DotProductAttention"])
def test_compiled_to_machine_code_is_the_same(name: str) -> None:
    check_compiled(name, "inductor")


@pytest.mark.parametrize("method", ["embed", "encode"])
def test_retrieval_compiles_and_exports(method: str) -> None:
    """What is deployed: embeddings, with the order of parts taken from the model."""

    class Retrieval(nn.Module):
        def __init__(self, model: CAL) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor, modality: Tensor) -> Any:
            return getattr(self.model, method)(images, modality)

    model = small_cal()
    model.correspondence.update(torch.tensor([[1, 2, 0]]))
    retrieval = Retrieval(model).eval()
    images, _, modality = paired_batch()
    with torch.no_grad():
        expected = floats(retrieval(images, modality))
        torch.compiler.reset()
        compiled = floats(torch.compile(retrieval, fullgraph=True, backend="aot_eager")(images, modality))
        exported = floats(torch.export.export(retrieval, (images, modality)).module()(images, modality))
    for x, y, z in zip(expected, compiled, exported, strict=True):
        torch.testing.assert_close(y, x, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(z, x, rtol=1e-5, atol=1e-5)


@every_module
def test_export(name: str) -> None:
    case = CASES[name]
    module, arguments = case.make().eval(), case.arguments(torch.float32)
    program = torch.export.export(module, arguments)
    for x, y in zip(floats(program.module()(*arguments)), floats(module(*arguments)), strict=True):
        torch.testing.assert_close(x, y, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize("weights", [zeros(2, 3, 3), torch.rand(1, 4, 4), torch.rand(2, 2, 2, dtype=torch.float64)])
def test_the_operator_is_sound(weights: Tensor) -> None:
    torch.library.opcheck(torch.ops.concordant.match_parts.default, (weights,))


def test_the_operator_of_the_correspondence_is_sound() -> None:
    correspondence = PartCorrespondence(3, window=5)
    correspondence.update(torch.tensor([[1, 2, 0], [0, 1, 2], [1, 2, 0]]))
    arguments = (correspondence.history, correspondence.seen)
    torch.library.opcheck(torch.ops.concordant.most_frequent.default, arguments)


# copies and devices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["copy", "pickle"])
@every_module
def test_a_copy_does_the_same_and_is_separate(name: str, copy: Callable[[nn.Module], nn.Module]) -> None:
    case = CASES[name]
    module, arguments = case.make(), case.arguments(torch.float32)
    other = copy(module)
    same(run(module, arguments), run(other, arguments), 0)
    assert repr(other) == repr(module)
    assert not {x.data_ptr() for x in other.parameters()} & {x.data_ptr() for x in module.parameters()}


@every_module
def test_meta_device(name: str) -> None:
    """Shapes without values: built there where it can be, and run there."""
    case = CASES[name]
    arguments = case.arguments(torch.float32)
    module = case.make(device="meta") if case.factory else case.make()
    assert all(x.is_meta for x in [*module.parameters(), *module.buffers()])
    expected = [(x.shape, x.dtype) for x in tree_flatten(case.make()(*arguments))[0] if isinstance(x, Tensor)]
    found = [x for x in tree_flatten(module(*on(arguments, "meta")))[0] if isinstance(x, Tensor)]
    assert all(x.is_meta for x in found)
    assert [(x.shape, x.dtype) for x in found] == expected


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.factory])
def test_from_the_meta_device_to_the_start(name: str) -> None:
    """`to_empty` and `reset_parameters` give a whole model: the same under the same seed, whatever was in memory."""
    case, states = CASES[name], []
    for garbage in (1e3, -7.0):
        module = case.make(device="meta").to_empty(device="cpu")
        backbone = getattr(module, "backbone", nn.Identity())
        for x in [*module.parameters(), *module.buffers()]:
            x.detach().fill_(garbage)
        nn.init.ones_(backbone.weight) if isinstance(backbone, nn.Conv2d) else None
        nn.init.ones_(backbone.bias) if isinstance(backbone, nn.Conv2d) and backbone.bias is not None else None
        torch.manual_seed(3)
        module.reset_parameters()  # type: ignore[operator]
        states.append(module.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    fresh = case.make().state_dict()
    assert {k: (v.shape, v.dtype) for k, v in fresh.items()} == {k: (v.shape, v.dtype) for k, v in states[0].items()}
    for key, value in fresh.items():
        if value.is_floating_point() and not bool(value.any()):
            assert not bool(states[0][key].any()), f"{key} starts at zero"


@every_module
def test_the_same_seed_gives_the_same_weights(name: str) -> None:
    """To the bit, from the constructor and from `reset_parameters`."""
    case = CASES[name]
    assert callable(getattr(case.make(), "reset_parameters", None)) or not list(case.make().parameters())
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(case.make().state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    if any(k.endswith("weight") for k in states[0]):
        assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.factory])
def test_dtype_and_device_are_honoured(name: str, dtype: torch.dtype) -> None:
    module = CASES[name].make(device="cpu", dtype=dtype)
    assert {x.dtype for x in module.parameters()} == {dtype}
    assert all(x.dtype == dtype for x in module.buffers() if x.is_floating_point())


@GPU
@pytest.mark.gpu
@every_module
def test_on_the_gpu(name: str) -> None:
    """The same numbers as on the CPU, forward and backward; finite in half precision; and compiled."""
    case = CASES[name]
    module, arguments = case.make(), case.arguments(torch.float32)
    there = deepcopy(module).cuda()
    same(run(module, arguments), run(there, on(arguments, "cuda")), 1e-3)
    for dtype in (torch.bfloat16, torch.float16):
        inputs = leaves(on(arguments, "cuda"))
        with torch.autocast("cuda", dtype=dtype):
            result = there(*inputs)
        assert all(bool(x.isfinite().all()) for x in floats(result))
        loss_of(result).backward()
        assert all(x.grad is None or bool(x.grad.isfinite().all()) for x in there.parameters())
    torch.compiler.reset()
    fresh = deepcopy(there)
    same(run(there, on(arguments, "cuda")), run(torch.compile(fresh, fullgraph=True), on(arguments, "cuda")), 1e-3)


# names and settings --------------------------------------------------------------------------------------------------


@every_module
def test_state_keys_are_frozen(name: str) -> None:
    """A renamed key breaks every saved model."""
    assert sorted(CASES[name].make().state_dict()) == sorted(CASES[name].keys)


def test_state_keys_of_the_correspondence_are_frozen() -> None:
    assert sorted(PartCorrespondence(3).state_dict()) == ["history", "seen"]


@every_module
def test_every_setting_shows(name: str) -> None:
    case = CASES[name]
    shown = {repr(case.make(**settings)) for settings in ({}, *case.variants)}
    assert len(shown) == len(case.variants) + 1


@every_module
def test_every_setting_is_tested(name: str) -> None:
    """A new keyword must be added to the case's variants."""
    module = type(CASES[name].make())
    settings = {
        key
        for key, parameter in inspect.signature(module.__init__).parameters.items()
        if parameter.default is not inspect.Parameter.empty and key not in ("device", "dtype", "miner", "attention")
    }
    assert settings <= {key for variant in CASES[name].variants for key in variant}


def test_every_public_module_has_a_case() -> None:
    public = {
        name
        for name in concordant.__all__
        if isinstance(getattr(concordant, name), type) and issubclass(getattr(concordant, name), nn.Module)
    }
    assert public == set(CASES) | {"PartCorrespondence"}


# refusals ------------------------------------------------------------------------------------------------------------


def encoded(q: int = 2, t: int = 5, p: int = 3, c: int = 8, d: int = 8) -> concordant.Encoded:
    queries = concordant.PartQueries(zeros(q, p, d), zeros(q, p, c))
    return concordant.Encoded(zeros(q, t, c), zeros(q, t, d), queries)


IDS = zeros(2, dtype=INT)
TSAA_8 = concordant.TSAA(8)
FUNCTIONS: dict[str, dict[str, Callable[[], object]]] = {
    "part_scores": {
        "rank 3": lambda: functional.part_scores(zeros(2, 3, 4)),
        "rank 5": lambda: functional.part_scores(zeros(2, 3, 4, 2, 1)),
        "integers": lambda: functional.part_scores(zeros(2, 3, 4, 2, dtype=INT)),
    },
    "select_top_k": {
        "rank 2": lambda: functional.select_top_k(zeros(8, 3)),
        "integers": lambda: functional.select_top_k(zeros(2, 8, 3, dtype=INT)),
        "alpha": lambda: functional.select_top_k(zeros(2, 8, 3), -1.0),
    },
    "aggregate_tokens": {
        "other tokens": lambda: functional.aggregate_tokens(zeros(2, 8, 3), zeros(2, 7, 3)),
        "rank 2": lambda: functional.aggregate_tokens(zeros(8, 3), zeros(2, 8, 3)),
        "integers": lambda: functional.aggregate_tokens(zeros(2, 8, 3), zeros(2, 8, 3, dtype=INT)),
    },
    "classify_parts": {
        "other parts": lambda: functional.classify_parts(zeros(2, 3, 8), zeros(4, 5, 8)),
        "other channels": lambda: functional.classify_parts(zeros(2, 3, 8), zeros(3, 5, 7)),
        "other bias": lambda: functional.classify_parts(zeros(2, 3, 8), zeros(3, 5, 8), zeros(3, 4)),
    },
    "instance_norm": {
        "rank 2": lambda: functional.instance_norm(zeros(3, 4)),
        "other channels": lambda: functional.instance_norm(zeros(2, 3, 4), zeros(2, 3, 5)),
        "integers": lambda: functional.instance_norm(zeros(2, 3, 4, dtype=INT)),
        "integer source": lambda: functional.instance_norm(zeros(2, 3, 4), zeros(2, 3, 4, dtype=INT)),
        "eps": lambda: functional.instance_norm(zeros(2, 3, 4), eps=0),
    },
    "spatial_similarity": {
        "other width": lambda: functional.spatial_similarity(zeros(2, 3, 4), zeros(2, 7, 5)),
        "other batch": lambda: functional.spatial_similarity(zeros(2, 3, 4), zeros(1, 7, 4)),
        "integers": lambda: functional.spatial_similarity(zeros(2, 3, 4, dtype=INT), zeros(2, 7, 4)),
    },
    "refine": {
        "other tokens": lambda: functional.refine(zeros(2, 7, 4), zeros(2, 3, 6), zeros(2, 3, 4)),
        "other gates": lambda: functional.refine(zeros(2, 7, 4), zeros(2, 3, 7), zeros(2, 3, 5)),
        "integers": lambda: functional.refine(zeros(2, 7, 4, dtype=INT), zeros(2, 3, 7), zeros(2, 3, 4)),
    },
    "match_parts": {
        "rank 2": lambda: functional.match_parts(zeros(3, 3)),
        "not square": lambda: functional.match_parts(zeros(2, 3, 4)),
        "integers": lambda: functional.match_parts(zeros(2, 3, 3, dtype=INT)),
        "not finite": lambda: functional.match_parts(zeros(2, 3, 3) + float("nan")),
        "no tensor": lambda: functional.match_parts([[[1.0]]]),  # type: ignore[arg-type]
    },
    "per_modality": {
        "no modules": lambda: functional.per_modality([], zeros(4, 2), 0),
        "integer": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), 2),
        "below zero": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), -1),
        "fewer rows": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY[1:]),
        "floating point": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY.float()),
        "a third modality": lambda: functional.per_modality([nn.Identity()] * 2, zeros(4, 2), MODALITY + 1),
        "one module, fewer rows": lambda: functional.per_modality([nn.Identity()], zeros(4, 2), MODALITY[1:]),
    },
    "draw_partners": {
        "rank 2": lambda: functional.draw_partners(LABELS[:, None], MODALITY),
        "other rows": lambda: functional.draw_partners(LABELS, MODALITY[1:]),
        "floating point": lambda: functional.draw_partners(LABELS.float(), MODALITY),
    },
    "target_aware_similarity": {
        "direction": lambda: functional.target_aware_similarity(
            encoded(),
            encoded(),
            TSAA_8,
            direction="left",  # type: ignore[arg-type]
        ),
        "memory": lambda: functional.target_aware_similarity(encoded(), encoded(), TSAA_8, memory=0),
        "other channels": lambda: functional.target_aware_similarity(encoded(), encoded(c=7), TSAA_8),
        "other width": lambda: functional.target_aware_similarity(encoded(d=4), encoded(), TSAA_8),
        "other rows": lambda: functional.target_aware_similarity(
            encoded()._replace(keys=zeros(3, 5, 8)), encoded(), TSAA_8
        ),
    },
    "rank_metrics": {
        "rank 1": lambda: functional.rank_metrics(zeros(2), IDS, IDS),
        "other queries": lambda: functional.rank_metrics(zeros(3, 2), IDS, IDS),
        "other gallery": lambda: functional.rank_metrics(zeros(2, 3), IDS, IDS),
        "other exclude": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, exclude=zeros(2, 3, dtype=torch.bool)),
        "exclude by numbers": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, exclude=zeros(2, 2)),
        "ids of floating point": lambda: functional.rank_metrics(zeros(2, 2), IDS.float(), IDS),
        "cmc over": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, cmc_over="cameras"),  # type: ignore[arg-type]
        "no ranks": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS, ranks=0),
        "not a number": lambda: functional.rank_metrics(zeros(2, 2) + float("nan"), IDS, IDS),
        "integer similarity": lambda: functional.rank_metrics(zeros(2, 2, dtype=INT), IDS, IDS),
        "no query": lambda: functional.rank_metrics(zeros(0, 2), IDS[:0], IDS),
        "no gallery": lambda: functional.rank_metrics(zeros(2, 0), IDS, IDS[:0]),
        "no match": lambda: functional.rank_metrics(zeros(2, 2), IDS, IDS + 1),
    },
    "gather": {"rank 0": lambda: concordant.distributed.gather(torch.tensor(1.0))},
    "PartCorrespondence": CORRESPONDENCE_REFUSED,
}
FUNCTIONS |= REFUSED
REFUSALS = [
    pytest.param(bad, id=f"{who}: {why}")
    for who, refused in [*((name, case.refused) for name, case in CASES.items()), *FUNCTIONS.items()]
    for why, bad in refused.items()
]


@pytest.mark.parametrize("bad", REFUSALS)
def test_bad_input_is_refused_with_who_the_rule_and_what_came(bad: Callable[[], object]) -> None:
    with pytest.raises(ValueError) as caught:
        bad()
    assert REFUSAL.match(str(caught.value)), str(caught.value)


@every_module
def test_at_least_five_bad_inputs_a_module(name: str) -> None:
    assert len(CASES[name].refused) >= 5


def test_the_form_of_a_refusal() -> None:
    """The design's own example, to the letter."""
    own, labels = zeros(16, 2, 3), zeros(15, dtype=INT)
    with pytest.raises(ValueError) as caught:
        functional.part_center_loss(own, own, labels, zeros(16, dtype=INT))
    assert str(caught.value) == "part_center_loss: `labels` must be (n,) = (16,); got (15,)"


def test_the_correspondence_copies_and_shows_its_settings() -> None:
    correspondence = PartCorrespondence(3, window=5)
    correspondence.update(torch.tensor([[1, 2, 0]]))
    for other in (deepcopy(correspondence), pickle.loads(pickle.dumps(correspondence))):
        assert torch.equal(other.permutation(), correspondence.permutation())
        assert repr(other) == repr(correspondence)
    assert repr(PartCorrespondence(3)) != repr(correspondence)
    assert PartCorrespondence(3, device="meta").history.is_meta
