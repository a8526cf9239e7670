"""What others rely on: the names, their documentation, the wheel, and the direction of imports."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import zipfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import concordant
from concordant import functional
from diagrams import ROOT, SOURCES, imports, own_imports

PUBLIC = [
    "AttentionStatistics",
    "BorderShare",
    "CAL",
    "CALLoss",
    "CALOutput",
    "CoverageLoss",
    "DiscriminativeLoss",
    "Distilled",
    "DiversityLoss",
    "DotProductAttention",
    "Encoded",
    "EquivarianceLoss",
    "HeteroCenterLoss",
    "HorizontalParts",
    "LearnableParts",
    "LossTerms",
    "MatchDistill",
    "MinedParts",
    "ModalitySplit",
    "PartAttention",
    "PartCenterLoss",
    "PartClassifier",
    "PartCorrespondence",
    "PartMiner",
    "PartQueries",
    "PartScorer",
    "RankMetrics",
    "Refined",
    "TSAA",
    "TargetAwareContrastiveLoss",
    "TokenGate",
    "TopKAggregator",
    "Views",
    "WeightedTripletLoss",
    "attention_follows",
    "attention_statistics",
    "border_share",
    "distributed",
    "draw_crops",
    "draw_partners",
    "draw_views",
    "functional",
    "invert_matching",
    "k_reciprocal_rerank",
    "match_parts",
    "per_modality",
    "rank_metrics",
    "resized_crop",
    "split_modality",
    "target_aware_similarity",
    "to_tokens",
]
FUNCTIONAL = [
    "aggregate_tokens",
    "attention_follows",
    "attention_statistics",
    "border_share",
    "classify_parts",
    "coverage_loss",
    "discriminative_loss",
    "diversity_loss",
    "draw_crops",
    "draw_partners",
    "draw_views",
    "equivariance_loss",
    "gate_attention",
    "hetero_center_loss",
    "instance_norm",
    "invert_matching",
    "k_reciprocal_rerank",
    "match_distill",
    "match_parts",
    "part_center_loss",
    "part_scores",
    "per_modality",
    "pool_tokens",
    "rank_metrics",
    "refine",
    "resized_crop",
    "select_top_k",
    "spatial_similarity",
    "split_modality",
    "target_aware_contrastive_loss",
    "target_aware_similarity",
    "to_tokens",
    "weighted_triplet_loss",
]


def test_public_names_are_frozen() -> None:
    """A new name is a promise; a removed name breaks users' code."""
    assert sorted(concordant.__all__) == PUBLIC
    assert sorted(functional.__all__) == FUNCTIONAL
    for module in (concordant, functional):
        assert all(hasattr(module, name) for name in module.__all__)


def documented() -> dict[str, Any]:
    named = {name: getattr(concordant, name) for name in PUBLIC} | {n: getattr(functional, n) for n in FUNCTIONAL}
    named["gather"] = concordant.distributed.gather
    return {name: value for name, value in named.items() if not inspect.ismodule(value)}


def is_record(value: Any) -> bool:
    return isinstance(value, type) and (issubclass(value, tuple) or is_dataclass(value))


@pytest.mark.parametrize("name", documented())
def test_docstrings_have_their_sections(name: str) -> None:
    value = documented()[name]
    text = inspect.getdoc(value) or ""
    first = text.split("\n\n")[0]
    assert first.endswith(".") or "." in first, "one line saying what it does"
    if is_record(value):
        return
    sections = ["Shape:", "Raises:", ">>>"]
    if name != "gather":  # no equation of the paper
        sections += ["Equation", "Reference:"]
    for section in sections:
        assert section in text, section
    parameters = [p for p in inspect.signature(value).parameters if p not in ("device", "dtype", "args", "kwargs")]
    assert [p for p in parameters if p not in text] == [], "every argument is spoken of"
    if isinstance(value, type) and parameters:
        assert "Args:" in text


@pytest.mark.parametrize("name", [name for name, value in documented().items() if is_record(value)])
def test_fields_are_typed(name: str) -> None:
    record = documented()[name]
    names = {field.name for field in fields(record)} if is_dataclass(record) else set(record._fields)
    assert names == set(record.__annotations__)


@pytest.mark.parametrize("name", [name for name, value in documented().items() if not is_record(value)])
def test_signatures_are_typed(name: str) -> None:
    value = documented()[name]
    callables = [value.__init__, value.forward] if hasattr(value, "forward") else [value]
    for function in callables:
        signature = inspect.signature(function)
        if signature.parameters.keys() == {"self", "args", "kwargs"}:  # torch's own constructor
            continue
        untyped = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name != "self"]
        assert untyped == []
        assert signature.return_annotation is not signature.empty


def test_the_wheel_is_typed_and_whole(tmp_path: Path) -> None:
    """Built through the build backend's own interface, so no network is needed."""
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed: no wheel to look into")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("METADATA"))
    assert "concordant/py.typed" in names
    assert {path.relative_to(ROOT / "src").as_posix() for path in SOURCES} <= set(names)
    assert all(name.startswith("concordant") for name in names)
    assert f"Version: {concordant.__version__}" in metadata
    assert any(name.endswith("LICENSE") for name in names)
    required = {
        line.split()[1].split(">")[0]
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist") and "extra ==" not in line
    }
    assert required == {"torch", "einops", "scipy", "jaxtyping"}
    description = metadata.partition("\n\n")[2]
    assert description.startswith("# concordant\n\nPyTorch layers and losses")
    assert "find the same parts" in description
    assert not re.search(r"\]\((?!https:)|The same colour marks", description)  # a package index has no other files


def test_src_depends_on_what_it_says() -> None:
    """NumPy comes with SciPy and is not a dependency; examples import the library, never the reverse.

    Triton comes with PyTorch where that is for GPUs: the module of kernels alone imports it, and nothing imports that
    early.
    """
    allowed = {"torch", "einops", "scipy", "jaxtyping", "concordant", *sys.stdlib_module_names}
    for path in SOURCES:
        foreign = {name.split(".")[0] for name in imports(path)} - allowed
        assert foreign == ({"triton"} if path.name == "fused.py" else set()), path.name
        early = [line for line in path.read_text().splitlines() if re.match(r"(import|from) .*\bfused\b", line)]
        assert early == [], path.name


def test_imports_run_one_way() -> None:
    """Checks at the bottom; layers and losses above them; CAL above these; no cycles."""
    graph = own_imports()
    for private in ("_checks", "_precision", "_reduce", "_distance", "_module", "_mask"):
        assert all(name.startswith("_") for name in graph[private])
    above = {"cal", "losses.cal", "functional", "__init__"}
    for name, needs in graph.items():
        if name not in above:
            assert not needs & above, f"{name} needs {needs & above}"
    assert "losses.cal" not in graph["cal"]
    order: list[str] = []
    while len(order) < len(graph):
        ready = [name for name in sorted(graph) if name not in order and graph[name] <= set(order)]
        assert ready, f"a circle among {sorted(set(graph) - set(order))}"
        order += ready


def test_no_assert_meets_a_user() -> None:
    """`python -O` removes them, and they name neither the function nor the value."""
    for path in SOURCES:
        assert not [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)], path.name


def test_the_library_knows_no_person_and_no_camera() -> None:
    """Modalities are integers; the words of one data set belong to the examples."""
    words = ("infrared", "person", "pedestrian", "resnet", "regdb", "llcm")
    for path in SOURCES:
        code = ast.unparse(_without_docstrings(ast.parse(path.read_text()))).lower()
        assert [word for word in words if word in code] == [], path.name


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                statement
                for statement in body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ] or [ast.Pass()]
    return tree
