"""All stages on a small rendered set: train, evaluate, plot, resume; and errors."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from support.people import small_set
from support.trained import SMALL_MODEL
from train_sysu import command_line, main
from vireid.config import DataSettings, ModelSettings, OptimSettings, Settings, SysuSettings
from vireid.datasets.items import Items
from vireid.datasets.sysu import read_sysu
from vireid.runs import read_log
from vireid.training.loop import train
from vireid.training.schedule import learning_rate
from vireid.training.step import Figures
from vireid.training.watch import Watch

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory)


def settings(root: Path, out: Path, **changes: Any) -> SysuSettings:
    small = SysuSettings(
        root=root,
        out=out,
        data=DataSettings(96, 48, identities=4, images=2),
        model=replace(SMALL_MODEL, parts=3),
        optim=OptimSettings(steps=4),
        gallery="seeded",
        save_every=2,
    )
    return replace(small, **changes)


@pytest.mark.parametrize("method", ["cal", "global"])
def test_a_run_leaves_everything_behind(root: Path, tmp_path: Path, method: str) -> None:
    main(settings(root, tmp_path / "run", method=method))
    left = {path.name for path in (tmp_path / "run").iterdir()}
    pictures = {"curves.png", "rankings.png"} | ({"attention.png", "found.png"} if method == "cal" else set())
    assert left >= {"metrics.json", "model.safetensors", "log.jsonl", "tensorboard", "run.json", *pictures}
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("all_single", "all_multi", "indoor_single", "indoor_multi"):
        assert set(metrics[name]) == {"rank1", "rank10", "rank20", "mAP", "mINP"}
        assert all(0 <= value <= 100 for value in metrics[name].values())
    assert ("attention" in metrics) == (method == "cal")
    if method == "cal":
        attention = metrics["attention"]
        for name in ("entropy", "overlap", "agreement", "agreement_without", "agreement_chance", "constancy"):
            assert 0 <= attention[name] <= 1, name
        for name in ("border", "person", "purity"):
            assert len(attention[name]["parts"]) == 3, name
            assert all(0 <= share <= 1 for share in (*attention[name]["parts"], attention[name]["uniform"])), name
        assert len(attention["follows"]["parts"]) == 3
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["optim"]["steps"] == 4
    assert {"torch", "timm", "concordant"} <= record["versions"].keys()
    rows = read_log(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert {"total", "id", "triplet", "lr", "seconds"} <= rows[0].keys()


def test_another_run_is_never_written_over_unasked(root: Path, tmp_path: Path) -> None:
    sysu, images = read_sysu(root), np.zeros((1, 96, 48, 3), np.uint8)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    for changes in ({}, {"overwrite": True}):
        with pytest.raises(ValueError, match="must be empty, or the directory of a run"):
            train(settings(root, tmp_path / "run", **changes), sysu.train, images, data={}, console=QUIET)
    assert (tmp_path / "run" / "thesis.txt").exists()
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        train(settings(root, tmp_path / "new", resume=True), sysu.train, images, data={}, console=QUIET)


def test_overwrite_keeps_the_former_run_until_the_model_is_built(root: Path, tmp_path: Path) -> None:
    sysu, images = read_sysu(root), np.zeros((1, 96, 48, 3), np.uint8)
    for name in ("run.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    broken = ModelSettings(weights=tmp_path / "mistyped.safetensors")
    with pytest.raises((ValueError, OSError), match=r"mistyped\.safetensors"):
        train(settings(root, tmp_path, overwrite=True, model=broken), sysu.train, images, data={}, console=QUIET)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "model.safetensors"}


def test_a_loss_that_is_not_finite_names_the_batch(root: Path) -> None:
    items = read_sysu(root).train
    figures = {"total": math.nan, "id": 1.0, "pcl": math.nan, "output": 1.0, "gradient": 1.0}
    drawn = SimpleNamespace(sampler=SimpleNamespace(batch=lambda index: np.array([0, 1]) if index == 6 else None))
    alone = SimpleNamespace(scaler=None, reduce=lambda rows, reduction: rows)
    state: Any = SimpleNamespace(items=items, accelerator=alone, batches=drawn, settings=Settings())
    watch = Watch(state)
    watch.add(Figures(tuple(figures), torch.tensor(list(figures.values()))), 0.1)
    with pytest.raises(FloatingPointError, match=r"the loss of step 7 is not finite: .*pcl = nan") as caught:
        watch.look(7)
    assert str(items[1].path) in str(caught.value)


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    fixed = Settings(optim=OptimSettings(steps=100, warmup=0.1))
    rates = [learning_rate(step, fixed) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert all(late <= early for early, late in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.0)


def test_the_command_line_knows_the_real_set_from_the_rendered_one() -> None:
    assert command_line([]).model.backbone == "tf_efficientnet_lite0"
    assert command_line([]).data.height == (288 if torch.cuda.is_available() else 192)
    real = command_line(["--root", "somewhere", "--optim.lr", "1e-4", "--model.no-pretrained"])
    assert (real.model.backbone, real.data.height, real.optim.lr, real.model.pretrained) == (
        "resnet50",
        288,
        1e-4,
        False,
    )


def test_items_are_what_the_sampler_reads(root: Path) -> None:
    sysu = read_sysu(root)
    assert isinstance(sysu.train, Items)
    assert len(sysu.train.identities) == 12
