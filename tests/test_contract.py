"""The same tests for all public modules: see `contract.py` for the modules."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils._pytree import tree_flatten, tree_unflatten

import concordant
from concordant import CAL, CALLoss, Encoded, PartCorrespondence, TargetAwareContrastiveLoss, functional
from support.case import floats, leaves, zeros
from support.contract import CASES, MASKED
from support.models import paired_batch, small_cal
from support.running import loss_of, run, same

ALL = CASES | MASKED
every_module = pytest.mark.parametrize("name", CASES)
every_case = pytest.mark.parametrize("name", ALL)


# numbers -------------------------------------------------------------------------------------------------------------


def as_function(name: str) -> tuple[Callable[..., list[Tensor]], list[Tensor]]:
    """A module in float64 as a function of its floating-point arguments, and these arguments."""
    case = ALL[name]
    module = case.make(**({"dtype": torch.float64} if case.factory else {}))
    if isinstance(module, CAL):
        module.eval()  # batch statistics are torch's own business
        module.protect_attention = False  # which leaves a gradient out, on purpose
    flat, spec = tree_flatten(leaves(case.arguments(torch.float64)))
    places = [i for i, leaf in enumerate(flat) if isinstance(leaf, Tensor) and leaf.is_floating_point()]

    def of_floats(*values: Tensor) -> list[Tensor]:
        filled = list(flat)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        torch.manual_seed(1)
        return [x for x in floats(module(*tree_unflatten(filled, spec))) if x.requires_grad]

    return of_floats, [flat[i] for i in places]


@every_case
def test_gradient_is_that_of_the_value(name: str) -> None:
    # `fast_mode` checks along random directions: quick, and wrong gradients do not pass it.
    assert torch.autograd.gradcheck(*as_function(name), fast_mode=True, check_undefined_grad=False)


@every_case
def test_second_gradient_is_that_of_the_first(name: str) -> None:
    """As a gradient penalty needs."""
    assert torch.autograd.gradgradcheck(*as_function(name), fast_mode=True, check_undefined_grad=False, atol=1e-4)


@every_case
def test_torch_func_sees_the_same_gradient(name: str) -> None:
    function, inputs = as_function(name)

    def total(*values: Tensor) -> Tensor:
        return sum((x.square().sum() for x in function(*values)), 0 * values[0].sum())

    expected = torch.autograd.grad(total(*inputs), inputs, allow_unused=True)
    found = torch.func.grad(total, argnums=tuple(range(len(inputs))))(*(x.detach() for x in inputs))
    for x, y in zip(found, expected, strict=True):
        torch.testing.assert_close(x, torch.zeros_like(x) if y is None else y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_case
def test_autocast(name: str, dtype: torch.dtype) -> None:
    """Outputs and gradients are finite, and losses and distributions are not in half precision."""
    case = ALL[name]
    module, arguments = case.make(), leaves(case.arguments(torch.float32))
    with torch.autocast("cpu", dtype=dtype):
        result = module(*arguments)
    assert all(bool(x.isfinite().all()) for x in floats(result))
    if case.loss:
        assert {x.dtype for x in floats(result)} == {torch.float32}
    for field in ("selection", "attention"):
        if hasattr(result, field):
            assert getattr(result, field).dtype == torch.float32
            total = getattr(result, field).sum(dim=2)
            assert bool((total <= 1 + 1e-5).all())
    loss_of(result).backward()
    gradients = [x.grad for x in [*floats(arguments), *module.parameters()] if x.grad is not None]
    assert gradients
    assert all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", [name for name, case in ALL.items() if case.loss])
def test_losses_take_half_precision(name: str, dtype: torch.dtype) -> None:
    """Given halves, a loss computes in float32: it equals the loss of the same numbers in float32."""
    case = ALL[name]
    halves = case.arguments(dtype)
    wide = torch.utils._pytree.tree_map(
        lambda x: x.float() if isinstance(x, Tensor) and x.is_floating_point() else x, halves
    )
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
    case = ALL[name]
    module, arguments = case.make(), case.arguments(torch.float32)
    other = deepcopy(module)  # batch statistics move with every call
    torch.compiler.reset()
    compiled = torch.compile(other, fullgraph=True, backend=backend)
    same(run(module, arguments), run(compiled, arguments), case.tolerance)


@pytest.mark.slow
@every_case
def test_compiled_in_one_graph_is_the_same(name: str) -> None:
    """Forward and backward, captured without a graph break. A quick backend is enough for this."""
    check_compiled(name, "aot_eager")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("what", ["CAL", "CALLoss", "TargetAwareContrastiveLoss", "draw_partners"])
def test_batches_of_any_size_share_a_few_graphs(what: str) -> None:
    """One graph per size would be five, and reach torch's limit at the ninth."""
    model, counter = small_cal(), CompileCounterWithBackend("aot_eager")
    torch.compiler.reset()
    functions: dict[str, Callable[..., Any]]
    functions = {"CAL": model, "CALLoss": CALLoss(), "draw_partners": functional.draw_partners}
    functions["TargetAwareContrastiveLoss"] = TargetAwareContrastiveLoss()
    compiled = torch.compile(functions[what], fullgraph=True, backend=counter)
    for n in (4, 6, 8, 12, 32):
        images, labels, modality = torch.randn(n, 3, 16, 8), torch.arange(n) % 2, torch.arange(n) % 4 // 2
        if what == "CALLoss":
            compiled(model(images, labels, modality), labels, modality).total.backward()
        elif what == "TargetAwareContrastiveLoss":
            output = model(images, labels, modality)
            rows = Encoded(output.tokens, output.own.keys, output.own.part_queries)
            compiled(rows[: n // 2], rows[n // 2 :], labels[: n // 2], labels[n // 2 :]).backward()
        else:
            compiled(*((images, labels, modality) if what == "CAL" else (labels, modality)))
    assert counter.frame_count <= 3


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler here")
@pytest.mark.parametrize("name", ["DiversityLoss", "DotProductAttention"])
def test_compiled_to_machine_code_is_the_same(name: str) -> None:
    check_compiled(name, "inductor")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["embed", "encode"])
def test_retrieval_compiles_and_exports(method: str) -> None:
    """The graph for deployment: embeddings, with the order of parts from the model."""

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


@pytest.mark.slow
@every_case
def test_export(name: str) -> None:
    case = ALL[name]
    module, arguments = case.make().eval(), case.arguments(torch.float32)
    program = torch.export.export(module, arguments)
    for x, y in zip(floats(program.module()(*arguments)), floats(module(*arguments)), strict=True):
        torch.testing.assert_close(x, y, rtol=case.tolerance, atol=case.tolerance)


@pytest.mark.parametrize("weights", [zeros(2, 3, 3), torch.rand(1, 4, 3), torch.rand(2, 2, 2, dtype=torch.float64)])
def test_the_operator_is_sound(weights: Tensor) -> None:
    rows, columns = (torch.ones(weights.shape[:2], dtype=torch.bool), weights[:, 0] > 0.3)
    for masks in ((), (rows, None), (None, columns), (rows, columns)):
        torch.library.opcheck(torch.ops.concordant.match_parts.default, (weights, *masks))


def test_the_operator_of_the_correspondence_is_sound() -> None:
    correspondence = PartCorrespondence(3, window=5)
    correspondence.update(torch.tensor([[1, 2, 0], [0, 1, 2], [1, 2, 0]]))
    torch.library.opcheck(torch.ops.concordant.most_frequent.default, (correspondence.history,))


# names and settings --------------------------------------------------------------------------------------------------


@every_module
def test_state_keys_are_frozen(name: str) -> None:
    """A renamed key breaks all saved models."""
    assert sorted(CASES[name].make().state_dict()) == sorted(CASES[name].keys)


def test_state_keys_of_the_correspondence_are_frozen() -> None:
    assert sorted(PartCorrespondence(3).state_dict()) == ["history"]


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
    assert public == set(CASES) | {"PartCorrespondence", "PartAttention"}
