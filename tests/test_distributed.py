"""Two processes on halves of a batch against one process on the complete batch."""

from __future__ import annotations

from typing import TypeAlias

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from concordant import distributed
from support import distributed_worker as worker
from support.models import close

pytestmark = pytest.mark.slow

Results: TypeAlias = "dict[str, dict[str, Tensor]]"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """The results of the two processes, which are started once for all tests."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch was built without gloo")
    folder = tmp_path_factory.mktemp("processes")
    spawn(worker.work, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def one() -> Results:
    return worker.everything(None)


@pytest.mark.parametrize("split", worker.SPLITS)
def test_gather_has_all_rows_and_the_gradient_of_the_whole_batch(split: str, one: Results, two: list[Results]) -> None:
    expected = one[f"gather, {split}"]
    for rank in (0, 1):
        found = two[rank][f"gather, {split}"]
        assert found.keys() == expected.keys()
        for name, value in found.items():
            close(value, expected[name])


@pytest.mark.parametrize("split", worker.SPLITS)
def test_a_gradient_penalty_is_that_of_the_whole_batch(split: str, one: Results, two: list[Results]) -> None:
    for rank in (0, 1):
        for name, value in two[rank][f"penalty, {split}"].items():
            close(value, one[f"penalty, {split}"][name])


def test_part_center_loss_sees_the_centers_of_all(one: Results, two: list[Results]) -> None:
    for rank in (0, 1):
        assert two[rank]["centers"].keys() == one["centers"].keys()
        for name, value in two[rank]["centers"].items():
            close(value, one["centers"][name])


def test_contrastive_loss_compares_the_rows_of_all(one: Results, two: list[Results]) -> None:
    """Of processes that pad to other lengths; first and second gradients, and that of the temperature."""
    assert len(one["contrasted"]) == 6
    for rank in (0, 1):
        assert two[rank]["contrasted"].keys() == one["contrasted"].keys()
        for name, value in two[rank]["contrasted"].items():
            close(value, one["contrasted"][name])


def test_a_training_step_of_two_is_that_of_one(one: Results, two: list[Results]) -> None:
    """Gradients are equal in both, and the mean of the two losses, term by term, is that of the complete batch."""
    expected, first, second = one["training step"], two[0]["training step"], two[1]["training step"]
    assert first.keys() == expected.keys()
    assert any(name.startswith("gradient") for name in expected)
    for name, value in expected.items():
        if name.startswith("gradient"):
            close(first[name], value)
            close(second[name], value)
        else:
            close((first[name] + second[name]) / 2, value)


@pytest.mark.skipif(not worker.SHARDS, reason="FSDP2 of torch 2.6 does not run on a CPU")
def test_a_sharded_model_trains_embeds_and_compares_as_a_plain_one(one: Results, two: list[Results]) -> None:
    """FSDP2: losses over all processes count each row twice here, which leaves means as they are."""
    for rank in (0, 1):
        assert two[rank]["sharded"].keys() == one["sharded"].keys()
        for name, value in two[rank]["sharded"].items():
            close(value, one["sharded"][name], rtol=1e-6, atol=1e-6)


def test_alone_gather_gives_back_the_tensor_itself() -> None:
    tensor = nn.Parameter(torch.randn(3, 2))
    assert distributed.gather(tensor) is tensor
    assert distributed.world_size() == 1
