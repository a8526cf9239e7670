"""The study of the source's claims: its configurations, its statistics, and a small study from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from rich.console import Console

import ablate
from support.trained import SMALL_MODEL
from vireid.config import SysuSettings
from vireid.datasets.sysu import read_sysu
from vireid.evaluation.conditions import BINS
from vireid.evaluation.inference import attend
from vireid.files import plain
from vireid.models.build import build_model
from vireid.people.config import RenderConfig
from vireid.people.dataset import render_dataset
from vireid.recipes import DEMO
from vireid.study import pictures, results, study
from vireid.study.benchmark import BASE, PEOPLE, settings_of
from vireid.study.configurations import (
    BASELINE,
    COMPARISON,
    CONTRASTS,
    EQUAL_SECONDS,
    FULL,
    SWEEPS,
    Configuration,
    Study,
    base_value,
    configurations,
)
from vireid.study.pictures import picture_parts, picture_terms
from vireid.study.scores import undo_order
from vireid.study.study import jobs_of, last_losses, perform, run_study
from vireid.study.summary import (
    LOSSES,
    MEASURES,
    PARTS,
    TARGET_AWARE,
    WAYS,
    by_configuration,
    gain,
    likeness_over_seeds,
    paired,
    tables,
)

STUDIES = get_args(Study)
TINY = RenderConfig(
    train_identities=6, val_identities=3, test_identities=3, train_visible=1, train_infrared=2, test_visible=1,
    test_infrared=1, height=96, width=48, seed=3,
)  # fmt: skip


def small(settings: SysuSettings) -> SysuSettings:
    """With a backbone, images, a batch and a budget for a test."""
    data = replace(settings.data, height=96, width=48, identities=4, images=1)
    backbone = {name: getattr(SMALL_MODEL, name) for name in ("backbone", "pretrained", "stage", "frozen")}
    model = replace(settings.model, **backbone)
    return replace(settings, data=data, model=model, optim=replace(settings.optim, steps=2))


@pytest.mark.parametrize("name", STUDIES)
def test_every_configuration_is_another_model_or_loss(name: Study) -> None:
    some = configurations(name)
    assert len({one.name for one in some}) == len(some)
    assert len({json.dumps(plain(one.settings), sort_keys=True) for one in some}) == len(some)


@pytest.mark.parametrize("configuration", COMPARISON, ids=lambda one: one.name)
def test_every_configuration_builds(configuration: Configuration) -> None:
    assert isinstance(build_model(small(configuration.settings).model_config(4)), torch.nn.Module)


def test_what_a_configuration_changes_is_what_its_model_has() -> None:
    model: dict[str, Any] = {one.name: build_model(small(one.settings).model_config(4)) for one in COMPARISON}
    assert type(model["dot product"].attention).__name__ == "DotProductAttention"
    assert model["no channel gate"].attention.gate_mlp is None
    assert not model["no IN"].attention.instance_norm
    assert model["IN over parts"].norm_source == "parts"
    assert len(model["shared DRM"].miners) == 1
    assert type(model["stripes"].miners[0]).__name__ == "HorizontalParts"
    assert type(model["learnable"].miners[1]).__name__ == "LearnableParts"
    equal, other = (
        [torch.equal(a, b) for a, b in zip(*(miner.parameters() for miner in one.miners), strict=True) if a.ndim > 1]
        for one in (model["CAL"], model["independent scorers"])
    )
    assert all(equal)
    assert not any(other)


def test_the_benchmark_has_the_demos_settings_and_other_people() -> None:
    assert RenderConfig().seed != PEOPLE.seed
    assert {one.settings.optim.steps for one in COMPARISON if one is not EQUAL_SECONDS} == {BASE.optim.steps}
    assert EQUAL_SECONDS.settings.optim.steps > BASE.optim.steps
    assert FULL.settings == BASE
    elsewhere = {name: getattr(DEMO, name) for name in ("root", "gallery", "save_every", "precision")}
    assert replace(BASE, **elsewhere) == DEMO


def test_sweeps_leave_the_base_out() -> None:
    for name, values in SWEEPS.items():
        assert base_value(name) not in values, name
    with pytest.raises(ValueError, match=r"loss.pc is no setting"):
        settings_of({"loss.pc": 1.0})


def test_only_the_comparison_looks_at_test_images(tmp_path: Path) -> None:
    for name in STUDIES:
        jobs = jobs_of(name, configurations(name), 2, root=tmp_path, out=tmp_path, steps=None)
        assert {job.settings.scored for job in jobs} == {"test" if name == "comparison" else "validation"}
        assert len({job.settings.out for job in jobs}) == len(jobs)
        assert [job.settings.seed for job in jobs] == sorted(job.settings.seed for job in jobs)


def test_validation_identities_are_held_out(tmp_path: Path) -> None:
    render_dataset(tmp_path / "set", TINY, workers=1, progress=False)
    test, validation = (read_sysu(tmp_path / "set", scored=scored) for scored in ("test", "validation"))
    assert set(test.train_identities) == {*TINY.split("train"), *TINY.split("val")}
    assert set(test.test_identities) == {*TINY.split("test")}
    assert set(validation.train_identities) == {*TINY.split("train")}
    assert set(validation.test_identities) == set(validation.test.identity.tolist()) == {*TINY.split("val")}
    assert "of validation" in validation.title(10)
    assert validation.split == "split validation"
    assert test.split == ""


def run(name: str, seed: int, value: float) -> dict[str, object]:
    figures = dict.fromkeys(("rank1", "mAP", "mINP"), value)
    return {"configuration": name, "seed": seed, "retrieval": {"distilled": figures}}


def test_differences_are_paired_by_seed() -> None:
    runs = by_configuration([run("a", 0, 10.0), run("a", 1, 20.0), run("b", 1, 21.0), run("b", 2, 99.0)])
    measure = MEASURES["mAP"]
    difference = paired(runs["b"], runs["a"], measure)
    assert difference is not None
    assert difference.values == (1.0,)
    assert paired({}, runs["a"], measure) is paired(runs["a"], runs["a"], measure) is None
    row = "| b | 2 | 60.0 ± 495.5 | 60.0 ± 495.5 | 60.0 ± 495.5 | – | – | +1.0 | – |"
    assert row in tables([*runs["a"].values(), *runs["b"].values()]).replace("\N{NO-BREAK SPACE}", " ")


def test_figures_of_parts_are_their_mean_and_the_least() -> None:
    some = [
        run("a", seed, 1.0) | {"attention": {"person": {"parts": shares}}}
        for seed, shares in enumerate(((0.2, 0.8), (0.4, 0.5)))
    ]
    lines = tables(some).replace("\N{NO-BREAK SPACE}", " ").splitlines()
    head = next(line for line in lines if "on the person, %" in line).split(" | ")
    row = next(line for line in lines if line.startswith("| a | 2 | –")).split(" | ")
    assert [row[head.index(name)] for name in ("on the person, %", "least of a part, %")] == [
        "47.5 ± 31.8",
        "30.0 ± 127.1",
    ]


def test_conditions_are_compared_with_the_first_configuration() -> None:
    def with_conditions(name: str, none: float, more: float) -> dict[str, object]:
        bins = {"none": {"mAP": none, "queries": 9}, "more": {"mAP": more, "queries": 3}}
        return run(name, 0, 1.0) | {"conditions": {"hidden": bins}}

    text = tables([with_conditions("a", 50.0, 20.0), with_conditions("b", 51.0, 24.0), run("old", 0, 1.0)])
    assert "| hidden: none (9) | hidden: more (3) | Δ hidden: none (9) | Δ hidden: more (3) |" in text
    assert "| a | 1 | 50.0 | 20.0 | – | – |" in text
    assert "| b | 1 | 51.0 | 24.0 | +1.0 | +4.0 |" in text
    assert "| old | 0 | – | – | – | – |" in text
    assert "hidden" not in tables([run("a", 0, 1.0) | {"conditions": {}}])


def test_what_is_contrasted_is_configured_and_paired_by_seed() -> None:
    names = {one.name for one in COMPARISON}
    assert {name for pair in CONTRASTS for name in pair} <= names - {FULL.name}
    one, other = CONTRASTS[0]
    text = tables([run(FULL.name, 0, 1.0), run(one, 0, 5.0), run(one, 1, 7.0), run(other, 1, 4.0)])
    assert f"| {one} − {other} | 1 | +3.0 | – | – |" in text


def test_ways_of_retrieval_are_compared_within_a_run() -> None:
    measure = gain("parts", "global")
    retrieval = {"parts": {"mAP": 5.0}, "global": {"mAP": 3.0}}
    assert measure({"retrieval": retrieval}) == 2.0
    assert measure({"retrieval": {}}) is measure({"retrieval": {"parts": retrieval["parts"]}}) is None


def test_a_figure_of_each_part_is_averaged() -> None:
    scored = {"attention": {"entropy": 0.5, "border": {"parts": [0.2, 0.4], "uniform": 0.9}}}
    assert PARTS["entropy, % of ln t"](scored) == 50
    assert PARTS["on the border, %"](scored) == pytest.approx(30)
    assert PARTS["follows, %"](scored) is PARTS["on the border, %"]({}) is None


def test_parts_of_several_seeds_are_compared_pair_by_pair() -> None:
    runs = {seed: {"profiles": [np.eye(3)[order].tolist()] * 2} for seed, order in enumerate(([0, 1], [1, 0], [1, 2]))}
    likeness = likeness_over_seeds(runs)
    assert likeness is not None
    assert likeness.values == pytest.approx((100, 50, 50))


def test_parts_are_put_back_in_their_own_order() -> None:
    order, infrared = torch.tensor([2, 0, 1]), torch.tensor([False, True])
    own = torch.arange(12.0).view(2, 3, 2)
    embedded = torch.stack([own[0], own[1][order]]).flatten(1)
    assert torch.equal(undo_order(embedded, infrared, order), own.flatten(1))


def test_a_study_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "PEOPLE", TINY)
    render_dataset(tmp_path / "set", TINY, workers=1, progress=False)
    some = [replace(FULL, target_aware=True), BASELINE]
    jobs = [
        replace(job, settings=small(job.settings))
        for job in jobs_of("comparison", some, 1, root=tmp_path / "set", out=tmp_path / "out", steps=None)
    ]
    for job in jobs:
        perform(job, threads=1)
    scores = run_study(jobs, processes=1, threads=1, console=Console(quiet=True))  # all is done: nothing is trained
    full, baseline = scores
    assert full["retrieval"].keys() == {*WAYS, *TARGET_AWARE}
    own, aware = (full["retrieval"][way] for way in ("distilled", "target-aware"))
    assert own["numbers"] == 48 * (1 + 4)
    assert aware["numbers"] == 72 * (48 + 49) + 4 * (48 + 49)  # with the gate's channel
    assert aware["seconds"] > own["seconds"] > 0
    assert {*LOSSES, "total"} <= full["losses"].keys()
    assert full["retrieval"]["distilled"]["rank1"] > 0
    assert full["attention"]["own_chance"] == 0.25
    assert 0 < full["attention"]["own"] < 1
    assert full["attention"].keys() >= {"border", "follows", "person", "purity", "agreement", "constancy"}
    assert baseline.keys() & {"attention", "profiles"} == set()
    assert np.array(full["profiles"]).sum(axis=2) == pytest.approx(1, abs=1e-4)
    queries = 3 * 2 * TINY.test_infrared
    for one in scores:
        assert list(one["conditions"]) == list(BINS)
        for bins in one["conditions"].values():
            assert sum(figures["queries"] for figures in bins.values()) == queries
            total = sum(figures["queries"] * figures["mAP"] for figures in bins.values())
            assert total / queries == pytest.approx(one["retrieval"]["distilled"]["mAP"])
    assert "| CAL | 1 |" in tables(scores)
    assert results.draw("comparison", scores, tmp_path) == tmp_path / "comparison.png"
    assert (tmp_path / "comparison.png").is_file()
    assert results.draw("comparison", scores[:1], tmp_path) is None  # nothing to compare with
    assert picture_parts(jobs, tmp_path / "attention.png") == tmp_path / "attention.png"
    assert (tmp_path / "attention.png").is_file()
    large = replace(jobs[0].settings, data=replace(jobs[0].settings.data, height=128, width=64))
    sizes: list[tuple[int, ...]] = []

    def noted(*args: Any, **kwargs: Any) -> torch.Tensor:
        sizes.append(args[1].shape[1:3])
        return attend(*args, **kwargs)

    monkeypatch.setattr(pictures, "attend", noted)
    finer = replace(jobs[0], configuration=replace(FULL, name="finer"), settings=large)
    picture_parts([jobs[0], finer], tmp_path / "sizes.png")
    assert sizes == [(96, 48), (96, 48), (128, 64), (128, 64)]
    assert picture_parts(jobs[1:], tmp_path / "nothing.png") is None  # the baseline has none
    changed = replace(jobs[0], settings=replace(jobs[0].settings, loss=replace(jobs[0].settings.loss, pcl=9.0)))
    with pytest.raises(ValueError, match=r"these differ: --loss.pcl \(1.0 there, 9.0 here\)"):
        run_study([changed], processes=1, threads=1, console=Console(quiet=True))
    for content in ("5", "{", '{"seed": 0}'):
        jobs[0].scores.write_text(content)
        with pytest.raises(ValueError, match=r"seed-0/scores.json must be"):
            run_study(jobs[:1], processes=1, threads=1, console=Console(quiet=True))


def test_a_loss_is_drawn_with_its_weight_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_of("comparison", COMPARISON, 2, root=tmp_path, out=tmp_path, steps=None)
    assert picture_terms(jobs[1:2], tmp_path / "nothing.png") is None
    for job in jobs:
        job.settings.out.mkdir(parents=True)
        terms = ("pcl", "kd1", "kd2", "dis", "div", "attention_div", "equivariance", "coverage", "entropy", "overlap")
        rows = [dict.fromkeys(terms, 0.5)] * 3
        lines = [json.dumps(row | {"step": step}) for step, row in enumerate(rows, 1)]
        (job.settings.out / "log.jsonl").write_text("\n".join(lines))
    drawn: dict[str, dict[str, list[object]]] = {}
    monkeypatch.setattr(pictures, "draw_contrasts", lambda panels, path, title: drawn.update(panels) or path)
    assert picture_terms(jobs, tmp_path / "terms.png") == tmp_path / "terms.png"
    assert {term: list(ways) for term, ways in drawn.items()} == {
        "dis": ["CAL", "no L_dis"],
        "div": ["CAL", "no L_div"],
        "attention_div": ["CAL", "no attention diversity"],
        "equivariance": ["CAL", "no equivariance"],
        "coverage": ["CAL", "no coverage"],
        "pcl": ["CAL", "no L_pcl"],
        "kd1": ["CAL", "no L_kd1"],
        "kd2": ["CAL", "no L_kd2"],
        "entropy": ["CAL", "no attention diversity", "unprotected"],
        "overlap": ["CAL", "no attention diversity", "unprotected"],
    }
    assert {len(runs) for ways in drawn.values() for runs in ways.values()} == {2}
    monkeypatch.undo()
    assert picture_terms(jobs, tmp_path / "terms.png") == tmp_path / "terms.png"
    assert (tmp_path / "terms.png").is_file()


def test_losses_are_those_of_the_last_tenth(tmp_path: Path) -> None:
    rows = [{"step": step, "id": float(step), "lr": 0.1, "seconds": 1.0} for step in range(1, 31)]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert last_losses(tmp_path) == {"id": 29.0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "CALL"], "`--only` must name configurations of comparison"),
        (["--seeds", "0"], "`--seeds` must be at least 1; got 0"),
        (["--jobs", "0"], "`--jobs` must be at least 1; got 0"),
        (["--steps", "0"], "`--steps` must be at least 1; got 0"),
    ],
)
def test_wrong_input_is_one_line(arguments: list[str], message: str) -> None:
    script = str(Path(ablate.__file__))
    ended = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("ablate: ")
    assert message in ended.stderr
    assert ended.stderr.count("\n") == 1
