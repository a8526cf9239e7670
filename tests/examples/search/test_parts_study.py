"""The study of the part store: its table, its bytes, and the codes that it compares with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from concordant import TSAA, target_aware_similarity
from support.encoded import gated
from support.models import close, small_cal
from support.trained import SMALL_MODEL, looks_trained
from vireid.config import DataSettings, SysuSettings
from vireid.files import plain, write_json
from vireid.models.build import build_model
from vireid.models.weights import as_json, save_weights

pytest.importorskip("faiss", reason="faiss-cpu is not installed: it comes with the extra `examples`")

from vireid.search import parts_study as study
from vireid.search import parts_ways
from vireid.search.options import Parts
from vireid.search.parts_code import PartSettings, Sizes, pack, sizes_of


def test_the_study_measures_each_way(
    make_tree: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "TIMED", 2)
    monkeypatch.setattr(parts_ways, "WIDTHS", ())  # codebooks of 256 need more tokens than these images have
    settings = SysuSettings(
        root=make_tree(pictures=2), data=DataSettings(height=32, width=16), model=replace(SMALL_MODEL, parts=2)
    )
    run = tmp_path / "run"
    run.mkdir()
    write_json(run / "run.json", {"settings": plain(settings), "model": as_json(settings.model_config(4))})
    save_weights(looks_trained(build_model(settings.model_config(4))), run / "model.safetensors")
    options = Parts(run=(run,), out=tmp_path / "out", length=3, clusters=(8, 1))
    study.parts_study(options, Console(quiet=True))
    made = json.loads((options.out / "parts.json").read_text())
    rows = {(row["family"], row["label"]): row for row in made["ways"]}
    exact, all_clusters, one = (
        rows[family, label]
        for family, label in (
            ("all tokens", "float32"),
            ("clusters of tokens, int8", "8"),  # as many as there are tokens
            ("clusters of tokens, int8", "1"),
        )
    )
    assert exact["lost"] == [0]
    assert made["runs"] == [str(run)]
    assert one["bytes"] < all_clusters["bytes"] == rows["all tokens", "int8"]["bytes"] < exact["bytes"] / 3
    assert abs(all_clusters["lost"][0]) < abs(one["lost"][0]) + 5
    assert (options.out / "parts.png").stat().st_size > 10_000
    for wrong, rule in (({"length": 0}, "`--length`"), ({"clusters": (0,)}, "`--clusters`"), ({"run": ()}, "`--run`")):
        with pytest.raises(ValueError, match=rule):
            study.parts_study(replace(options, **wrong), Console(quiet=True))


def test_sizes_are_those_of_what_is_kept() -> None:
    images, model = gated(2, 0, dtype=torch.float32), small_cal().eval()
    for way in parts_ways.ways(model, (3,)):
        if isinstance(way.keep, PartSettings):
            assert way.size(sizes_of(images)) == pack(images, way.keep)[1].dtype.itemsize
    half = next(way for way in parts_ways.ways(model, ()) if way.label == "float16")
    assert half.size(Sizes(7, 2, 6, 6)) == sum(x.numel() for x in images.to(torch.float16).tensors())


def test_codes_that_keep_everything_lose_nothing() -> None:
    images = gated(40, 1, t=8, c=4, dtype=torch.float32)
    close(parts_ways._components(images.tokens, 4), images.tokens, rtol=0, atol=0.05)
    few = images[:8].tokens.repeat(5, 1, 1)  # 64 tokens for 256 codes
    close(parts_ways._quantised(few, 4), few, rtol=0, atol=0.01)  # FAISS moves equal centres apart
    errors = [(parts_ways._components(images.tokens, r) - images.tokens).square().mean() for r in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2] > 0
    errors = [(parts_ways._quantised(images.tokens, width) - images.tokens).square().mean() for width in (2, 4)]
    assert 0 < errors[0] < errors[1]


def test_keys_computed_again_are_the_models() -> None:
    looks_trained(model := small_cal())
    images = model.encode(torch.randn(4, 3, 16, 8, generator=torch.Generator().manual_seed(0)), 0)
    again = parts_ways._keyed(model, images)
    close(again.keys, images.keys, rtol=0.1, atol=0.1)
    attention = TSAA(6)
    exact = target_aware_similarity(images, images, attention)
    close(target_aware_similarity(images, again, attention), exact, rtol=0, atol=0.05)
