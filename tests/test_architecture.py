"""The architecture page: its diagrams agree with the code, and it has all modules."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from itertools import permutations
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import Tensor

import concordant
import diagrams
from concordant import CAL, CALLoss, CALOutput, Encoded, draw_views
from support.case import floats
from support.models import paired_batch, small_cal

PAGE = (diagrams.ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("name", ["data.svg", "imports.svg"])
def test_the_pictures_are_those_of_the_code(name: str) -> None:
    drawn = (diagrams.IMAGES / name).read_text()
    assert drawn == diagrams.diagrams()[name], "run `python docs/tools/diagrams.py`"


def test_an_import_more_changes_the_picture() -> None:
    graph = diagrams.own_imports()
    drawn, tsaa = diagrams.draw_imports(graph), graph["layers.tsaa"]
    assert diagrams.draw_imports(graph | {"layers.tsaa": tsaa | {"layers.scoring"}}) != drawn
    assert diagrams.draw_imports(graph | {"layers.tsaa": tsaa | {"_reduce"}}) != drawn
    with pytest.raises(ValueError, match="every module and no other; got entropy amiss"):
        diagrams.draw_imports(graph | {"entropy": set()})
    with pytest.raises(ValueError, match=r"`GROUPS` must have layers\.tsaa below layers\.attention"):
        diagrams.draw_imports(graph | {"layers.attention": {"layers.tsaa"}})


def test_every_module_is_on_the_page() -> None:
    named = set(re.findall(r"`([\w/]+)\.py`", PAGE))
    assert {name.replace("/", ".") for name in named} >= set(diagrams.own_imports())


def test_the_names_in_the_picture_exist() -> None:
    picture = diagrams.draw_data()
    for name in diagrams.MAKERS:
        assert attrgetter(name)(concordant)
        assert name.split(".")[-1] in picture


# the way of the data, by gradients -----------------------------------------------------------------------------------


def depends(result: Any, source: Any) -> bool:
    """Whether any number of the source has a gradient from any of the result."""
    outputs, inputs = floats(result), floats(source)
    generator = torch.Generator().manual_seed(0)  # plain sums of distributions are constant
    total = torch.stack([(x * torch.randn(x.shape, generator=generator)).sum() for x in outputs]).sum()
    gradients = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
    return any(g is not None and bool((g.abs() > 1e-9).any()) for g in gradients)


def spied(model: CAL, run: Callable[[CAL], Any]) -> tuple[Any, dict[str, Any]]:
    """The result of `run`, and the intermediate results of the model, by the names of `FLOW`."""
    seen: dict[str, Any] = {}
    attention: Any = model.attention
    feature_map, encode_tokens, encode_parts = model.feature_map, attention.encode_tokens, attention.encode_parts

    def mapped(*args: Any) -> Any:
        seen["feature_map"] = feature_map(*args)
        return seen["feature_map"]

    def keyed(tokens: Tensor, *mask: Any) -> Any:
        seen["tokens"], seen["keys"] = tokens, encode_tokens(tokens, *mask)
        return seen["keys"]

    def queried(parts: Tensor, *source: Any) -> Any:
        seen["mined"], seen["part_queries"] = parts, encode_parts(parts, *source)
        return seen["part_queries"]

    vars(model)["feature_map"] = mapped
    attention.encode_tokens, attention.encode_parts = keyed, queried
    return run(model), seen


def upstream(name: str) -> set[str]:
    """All inputs of a result, direct or not, in the diagram."""
    sources = set(diagrams.FLOW[name])
    return sources.union(*(upstream(source) for source in sources))


@pytest.mark.parametrize("way", ["training", "retrieval"])
def test_the_data_flows_as_drawn(way: str) -> None:
    images, labels, modality = paired_batch()
    images.requires_grad_()
    result, seen = spied(
        small_cal().eval(),
        lambda model: model(images, labels, modality) if way == "training" else model.embed(images, modality),
    )
    seen["images"] = images
    seen |= {"own": result.own[:2], "cross": result.cross[:2]} if way == "training" else {"embeddings": result}
    assert set(seen) == set(diagrams.FLOW) - ({"embeddings"} if way == "training" else {"own", "cross"})
    for source, name in permutations(seen, 2):
        assert depends(seen[name], seen[source]) == (source in upstream(name)), f"{source} → {name}"


def test_each_loss_reads_what_is_drawn() -> None:
    images, labels, modality = paired_batch()
    output: CALOutput = small_cal()(images, labels, modality, views=draw_views(6, share=1.0))
    named = ["features", "logits", "mined.features", "mined.selection", "mined_logits", "own.features"]
    named += ["own.attention", "own_logits", "cross.features", "cross.attention", "cross_logits"]
    named += ["saliency", "seen", "crops"]
    with torch.no_grad():
        apart = torch.utils._pytree.tree_map(lambda x: x.clone(), output)  # each field a leaf of its own
    for leaf in floats(apart):
        leaf.requires_grad_()
    terms = CALLoss()(apart, labels, modality).named()
    read = {
        term: tuple(field for field in named if depends(value, attrgetter(field)(apart)))
        for term, value in terms.items()
    }
    assert read.pop("total") == tuple(field for field in named if field != "mined.features")
    assert read == diagrams.READS


def test_what_is_encoded_is_what_the_frame_holds() -> None:
    assert [field.name for field in fields(Encoded)] == ["tokens", "keys", "part_queries", "mask", "part_mask"]
