"""The directory of a run: its owner, the files that may be deleted, and the settings that may change on resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vireid.config import SysuSettings
from vireid.files import remove
from vireid.recipes import DEMO
from vireid.training.directory import alone, check_start, clear, differences

OURS = (
    *("metrics.json", "model.safetensors", "log.jsonl", "attention.png", "scores.json"),
    *("checkpoints/step-00000004/state.pt", "checkpoints/.step-00000008/state.pt"),
    "tensorboard/events.out.tfevents.1",
)
THEIRS = ("notes.txt", "checkpoints/best/model.safetensors", "tensorboard/notes.txt", "onnx/visible.onnx", "step-1")


def fill(out: Path, *names: str) -> None:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_overwrite_deletes_what_a_run_has_written_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path, "run.json", *OURS)
    assert clear(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json"]  # until there is another
    fill(tmp_path, "run.json", *OURS, *THEIRS)
    (note,) = clear(tmp_path)
    assert note.endswith(f"in {tmp_path}: checkpoints, notes.txt, onnx, step-1, tensorboard")
    assert files(tmp_path) == {"run.json", *THEIRS}


def test_a_directory_without_a_record_is_nobodys_to_delete(tmp_path: Path) -> None:
    fill(tmp_path, *OURS, *THEIRS)
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="must be empty, or the directory of a run"):
            check_start(replace(DEMO, out=tmp_path, overwrite=overwrite), {})
    assert files(tmp_path) == {*OURS, *THEIRS}


def test_of_a_link_the_link_is_deleted(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    remove(tmp_path / "link")
    assert files(tmp_path) == {"elsewhere/precious"}


def test_a_directory_is_one_runs_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    run, another = tmp_path / "run", tmp_path / "another"
    with alone(run), alone(another):
        rejection = pytest.raises(ValueError, match=r"run must be used by one run at a time; another run is using it")
        with rejection, alone(run):
            pass
    with alone(run):
        pass


def test_settings_that_differ_are_named_as_flags() -> None:
    other = replace(
        DEMO,
        seed=1,
        optim=replace(DEMO.optim, lr=0.01, backbone_lr=0.5),
        data=replace(DEMO.data, augment=replace(DEMO.data.augment, erase_area=(0.1, 0.2))),
    )
    assert list(differences(DEMO, other)) == [
        "--seed (0 there, 1 here)",
        "--data.augment.erase-area ((0.02, 0.4) there, (0.1, 0.2) here)",
        "--optim.lr (0.006 there, 0.01 here)",
        "--optim.backbone-lr (1.0 there, 0.5 here)",
    ]


def test_where_files_lie_is_no_difference() -> None:
    moved = replace(
        DEMO,
        root=Path("moved"),
        out=Path("elsewhere"),
        data=replace(DEMO.data, cache=Path("cache")),
        model=replace(DEMO.model, weights=Path("w")),
        test=replace(DEMO.test, flip=True),
        save_every=7,
    )
    assert isinstance(moved, SysuSettings)
    assert list(differences(DEMO, moved)) == []
