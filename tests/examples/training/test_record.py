"""The record of a run is enough to repeat the run, and only on the same data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import concordant
import train_llcm
import train_regdb
import train_sysu
from support.people import small_set
from support.trained import SMALL_MODEL
from vireid.command import argument
from vireid.config import (
    AugmentSettings,
    DataSettings,
    LlcmSettings,
    LossSettings,
    ModelSettings,
    OptimSettings,
    RegdbSettings,
    RetrievalSettings,
    SysuSettings,
)
from vireid.files import plain, read_json, revive, write_json
from vireid.models.build import build_model
from vireid.models.weights import load_model
from vireid.people.config import RenderConfig
from vireid.people.dataset import render_dataset
from vireid.recipes import DEMO, SYSU
from vireid.runs import read_settings
from vireid.study.results import describe
from vireid.training.record import compare_records, fingerprint, versions

NUMBERS = [field.name for field in fields(LossSettings) if isinstance(field.default, float)]
OTHER = SysuSettings(
    root=Path("a/b"),
    out=Path("c"),
    method="global",
    recipe="paper",
    gallery="seeded",
    scored="validation",
    from_=Path("d/run.json"),
    resume=True,
    overwrite=True,
    fast_dev_run=True,
    save_every=3,
    precision="bf16",
    compile="graph",
    seed=4,
    data=DataSettings(64, 32, 2, 3, 0.75, Path("e"), AugmentSettings(1, 0.1, 0.2, 0.4, (0.1, 0.2), (0.5, 2.0))),
    model=ModelSettings(
        "resnet18",
        False,
        Path("f"),
        False,
        3,
        8,
        2,
        5,
        0.5,
        64,
        "stripes",
        True,
        False,
        "dot-product",
        False,
        False,
        "parts",
        False,
        False,
    ),
    loss=LossSettings(
        metric="direct",
        l2_normalize=False,
        cosine=False,
        reduction="sum",
        **{name: 0.011 * i for i, name in enumerate(NUMBERS, 1)},
    ),
    optim=OptimSettings(7, 2, 1e-5, 0.5, 0.03, 0.2, 1.0, 0.9),
    test=RetrievalSettings(True, True),
)
NO_ERRAND: dict[str, Any] = {"from_": None, "resume": False, "overwrite": False, "fast_dev_run": False}


def differing(one: Any, other: Any) -> int:
    """The number of fields, including nested ones; all of them must differ."""
    count = 0
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if is_dataclass(a):
            count += differing(a, b)
        else:
            assert a != b, field.name
            count += 1
    return count


@pytest.mark.parametrize("settings", [DEMO, SYSU, OTHER], ids=["demo", "sysu", "other"])
def test_every_setting_comes_back_from_json(settings: SysuSettings) -> None:
    assert revive(SysuSettings, json.loads(json.dumps(plain(settings)))) == settings


def test_the_settings_of_that_test_are_others_in_every_field() -> None:
    assert differing(OTHER, DEMO) > 40


def test_unions_and_what_does_not_fit() -> None:
    @dataclass
    class Trial:
        number: int | Literal["all"] = 1
        share: float = 0.5

    globals()["Trial"] = Trial
    for value in (3, "all"):
        assert revive(Trial, {"number": value}) == Trial(value)
    assert revive(Trial, {"share": 1}) == Trial(share=1.0)
    for bad in ({"number": "some"}, {"share": "half"}, {"trail": 3}, {"number": None}, 3):
        with pytest.raises(ValueError):
            revive(Trial, bad)


def test_a_record_gives_settings_but_not_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"settings": plain(OTHER)})
    expected = replace(OTHER, **NO_ERRAND)
    assert read_settings(path, SysuSettings) == expected
    older = read_json(path)
    del older["settings"]["optim"]["ema"]
    write_json(path, older)
    assert read_settings(path, SysuSettings).optim == replace(OTHER.optim, ema=0.0)
    write_json(path, {"settings": {"trial": 3}})
    with pytest.raises(ValueError, match="must be the record of a run of this trainer: SysuSettings has no trial"):
        read_settings(path, SysuSettings)
    with pytest.raises(FileNotFoundError, match=r"no record of a run at .*gone"):
        read_settings(tmp_path / "gone", SysuSettings)


def test_the_command_line_overrides_the_record(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"settings": plain(OTHER)})
    for words in (["--from", str(tmp_path / "run.json")], [f"--from={tmp_path / 'run.json'}"]):
        settings = train_sysu.command_line([*words, "--optim.lr", "0.5", "--out", "again"])
        assert (settings.optim.lr, settings.out, settings.seed) == (0.5, Path("again"), 4)
        assert settings.from_ == tmp_path / "run.json"
    assert argument(["--from"[:4], "x"], "--from") is None


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_set(tmp_path_factory)


def test_a_run_started_from_a_record_has_the_same_weights(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vireid.run.report", lambda *_, **__: None)
    first = replace(
        OTHER,
        root=root,
        out=tmp_path / "first",
        **NO_ERRAND,
        precision="no",
        method="cal",
        data=replace(OTHER.data, cache=None),
        model=replace(OTHER.model, backbone="test_resnet", weights=None),
        optim=OptimSettings(steps=2),
    )
    train_sysu.main(first)
    record = read_json(tmp_path / "first" / "run.json")
    assert record["data"]["fingerprint"]
    assert record["machine"]["processes"] == 1
    assert record["settings"]["seed"] == 4
    assert len(record["commit"]) == 40 or record["commit"] == "not a git checkout"
    # As if it had been made elsewhere: that is said, a line each.
    record["versions"]["timm"], record["commit"], record["uncommitted_changes"] = "0.0.1", "f00", False
    write_json(tmp_path / "first" / "run.json", record)
    capsys.readouterr()
    words = ["--from", str(tmp_path / "first" / "run.json")]
    train_sysu.main(train_sysu.command_line([*words, "--out", str(tmp_path / "again")]))
    said = capsys.readouterr().out.splitlines()
    assert len([line for line in said if line.startswith("note: timm was 0.0.1 in ")]) == 1
    assert len([line for line in said if line.startswith("note: the commit was f00 in ")]) == 1
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("first", "again")]
    assert weights[0] == weights[1]
    with pytest.raises(ValueError, match="first holds a run already"):
        train_sysu.main(train_sysu.command_line(words))

    moved = render_dataset(
        tmp_path / "other", RenderConfig(2, 2, 3, test_visible=2, test_infrared=2, height=96, width=48), workers=1
    )
    with pytest.raises(ValueError, match=r"the data set must be that of .*run\.json, whose fingerprint is") as caught:
        train_sysu.main(train_sysu.command_line([*words, "--out", str(tmp_path / "third"), "--root", str(moved)]))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "third").exists()


def test_the_fingerprint_knows_paths_sizes_and_lists(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp" / "train_id.txt").write_text("1,2")
    images = [tmp_path / "cam1" / "1.jpg", tmp_path / "cam2" / "1.jpg"]
    for image in images:
        image.parent.mkdir()
        image.write_bytes(b"1234")
    seen = {mark := fingerprint(tmp_path, images)}
    assert fingerprint(tmp_path, images[::-1]) == mark
    (tmp_path / "exp" / "._train_id.txt").write_text("left by a system")
    assert fingerprint(tmp_path, images) == mark
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    images = [moved / image.relative_to(tmp_path) for image in images]
    assert fingerprint(moved, images) == mark
    images[0].write_bytes(b"12345")
    seen.add(fingerprint(moved, images))
    seen.add(fingerprint(moved, images[1:]))
    (moved / "exp" / "train_id.txt").write_text("1,3")
    seen.add(fingerprint(moved, images))
    assert len(seen) == 4


def test_records_are_compared(tmp_path: Path) -> None:
    record: dict[str, Any] = {
        "data": {"fingerprint": "a"},
        "commit": "c",
        "uncommitted_changes": False,
        "versions": {"torch": "2"},
        "machine": {"device": "cpu", "processes": 1, "precision": "no", "threads": 1},
    }
    write_json(tmp_path / "run.json", record)
    assert compare_records(tmp_path / "run.json", record) == []
    now = record | {"machine": record["machine"] | {"processes": 2}, "uncommitted_changes": True}
    notes = compare_records(tmp_path / "run.json", now)
    assert len(notes) == 2
    assert notes[0].startswith("processes was 1 in")
    write_json(tmp_path / "run.json", {"settings": {}, "data": {}})
    with pytest.raises(ValueError, match=r"run.json must be the record of a run; it has no commit, machine, "):
        compare_records(tmp_path / "run.json", record)


@pytest.mark.parametrize(
    "content",
    [b"", b"5", b"[]", b'{"settings": {', b"\xff\xfe", b'{"settings": 5}', b'{"settings": {}, "versions": 5}', None],
    ids=["empty", "number", "list", "cut", "bytes", "settings", "versions", "directory"],
)
def test_a_damaged_record_is_named_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "run.json"
    path.mkdir() if content is None else path.write_bytes(content)
    now: dict[str, Any] = {"settings": {}, "data": {}, "versions": {}}
    with pytest.raises((ValueError, OSError), match=r"run.json") as caught:
        compare_records(path, now)
    assert "\n" not in str(caught.value)
    if content is None or b"versions" not in content:
        with pytest.raises((ValueError, OSError), match=r"run.json") as caught:
            read_settings(path, SysuSettings)
        assert "\n" not in str(caught.value)


def test_a_package_without_metadata_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("vireid.training.record.version", absent)
    expected = {"concordant": concordant.__version__, "torch": "unknown"}
    assert versions(["torch"]) == expected
    assert describe(1)["versions"] == expected | {"timm": "unknown", "numpy": "unknown"}


@pytest.mark.long
def test_a_fast_dev_run_goes_the_whole_way_beside_the_real_one(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = train_sysu.command_line(["--out", str(tmp_path / "run"), "--fast-dev-run"])
    small = DataSettings(height=32, width=16, identities=3, images=2)
    settings = replace(settings, root=root, data=small, model=replace(settings.model, parts=2))
    left = tmp_path / "run-fast-dev-run"
    left.mkdir()
    for name in ("run.json", "curves.png", "notes.txt"):  # of one before, and what somebody wrote about it
        (left / name).write_text("before")
    train_sysu.main(settings)
    assert [path.name for path in tmp_path.iterdir()] == [left.name]
    names = {path.name for path in left.iterdir()}
    assert {"metrics.json", "model.safetensors", "rankings.png", "attention.png", "notes.txt"} <= names
    assert (left / "curves.png").read_bytes() != b"before"
    assert [path.name for path in (left / "checkpoints").iterdir()] == ["step-00000003"]
    metrics = read_json(left / "metrics.json")
    assert np.isfinite(metrics["all_single"]["mAP"])
    assert metrics["fast_dev_run"] is True
    assert "These are no results: --fast-dev-run trains a few steps" in capsys.readouterr().out
    assert load_model(left / "model.safetensors", build_model).config.num_classes == 3


@pytest.mark.long
def test_every_data_set_has_its_fast_dev_run(
    make_regdb: Callable[..., Path], make_llcm: Callable[..., Path], tmp_path: Path
) -> None:
    small: dict[str, Any] = {
        "data": DataSettings(height=32, width=16, identities=2, images=2),
        "model": replace(SMALL_MODEL, parts=2),
        "method": "global",
        "fast_dev_run": True,
    }
    regdb = make_regdb(tmp_path / "regdb", people=6, pictures=2, trials=tuple(range(1, 11)))
    train_regdb.main(RegdbSettings(root=regdb, out=tmp_path / "one", trial="all", **small))
    llcm = make_llcm(tmp_path / "llcm", train=(1, 2, 3), test=(4, 5, 6, 7, 8), pictures=1)
    train_llcm.main(LlcmSettings(root=llcm, out=tmp_path / "two", **small))
    for run in ("one", "two"):
        assert (tmp_path / f"{run}-fast-dev-run" / "metrics.json").exists()
        assert not (tmp_path / run).exists()


@pytest.mark.parametrize(("former", "now"), [(False, "none"), (True, "default")])
def test_older_records_say_whether_a_run_was_compiled(former: bool, now: str, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"settings": plain(SysuSettings()) | {"compile": former}})
    assert read_settings(tmp_path / "run.json", SysuSettings).compile == now
