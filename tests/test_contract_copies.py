"""Copies of each public module, on other devices and of other types, do the same: the contract, second part."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from concordant import PartCorrespondence
from support.case import floats, leaves, on
from support.contract import CASES, MASKED
from support.running import loss_of, run, same

ALL = CASES | MASKED
every_module = pytest.mark.parametrize("name", CASES)
every_case = pytest.mark.parametrize("name", ALL)
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.mark.parametrize("copy", [deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["copy", "pickle"])
@every_module
def test_a_copy_does_the_same_and_is_separate(name: str, copy: Callable[[nn.Module], nn.Module]) -> None:
    case = CASES[name]
    module, arguments = case.make(), case.arguments(torch.float32)
    other = copy(module)
    same(run(module, arguments), run(other, arguments), 0)
    assert repr(other) == repr(module)
    assert not {x.data_ptr() for x in other.parameters()} & {x.data_ptr() for x in module.parameters()}


@every_case
def test_meta_device(name: str) -> None:
    """Shapes without values: built there where it can be, and run there."""
    case = ALL[name]
    arguments = case.arguments(torch.float32)
    module = case.make(device="meta") if case.factory else case.make()
    assert all(x.is_meta for x in [*module.parameters(), *module.buffers()])
    expected = [(x.shape, x.dtype) for x in tree_flatten(case.make()(*arguments))[0] if isinstance(x, Tensor)]
    found = [x for x in tree_flatten(module(*on(arguments, "meta")))[0] if isinstance(x, Tensor)]
    assert all(x.is_meta for x in found)
    assert [(x.shape, x.dtype) for x in found] == expected


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.factory])
def test_from_the_meta_device_to_the_start(name: str) -> None:
    """`to_empty` and `reset_parameters` give a complete model: equal for equal seeds, for any content of the memory."""
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
    """Bitwise, from the constructor and from `reset_parameters`."""
    case = CASES[name]
    assert callable(getattr(case.make(), "reset_parameters", None)) or not list(case.make().parameters())
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(case.make().state_dict())
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    if name != "TokenGate" and any(k.endswith("weight") for k in states[0]):  # which starts half open, always
        assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.factory])
def test_dtype_and_device_are_honoured(name: str, dtype: torch.dtype) -> None:
    module = CASES[name].make(device="cpu", dtype=dtype)
    assert {x.dtype for x in module.parameters()} == {dtype}
    assert all(x.dtype == dtype for x in module.buffers() if x.is_floating_point())


@GPU
@pytest.mark.gpu
@every_case
def test_on_the_gpu(name: str) -> None:
    """The same numbers as on the CPU, forward and backward; finite in half precision; and compiled."""
    case = ALL[name]
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


def test_the_correspondence_copies_and_shows_its_settings() -> None:
    correspondence = PartCorrespondence(3, window=5)
    correspondence.update(torch.tensor([[1, 2, 0]]))
    for other in (deepcopy(correspondence), pickle.loads(pickle.dumps(correspondence))):
        assert torch.equal(other.permutation(), correspondence.permutation())
        assert repr(other) == repr(correspondence)
    assert repr(PartCorrespondence(3)) != repr(correspondence)
    assert PartCorrespondence(3, device="meta").history.is_meta
