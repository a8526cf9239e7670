"""Files that are complete or absent: on a full disk, and their permissions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vireid.files import replace_file

WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("x" * 100_000),
    "torch": lambda path: torch.save({"x": torch.zeros(25_000)}, path),
    "safetensors": lambda path: save_file({"x": torch.zeros(25_000)}, path),
}
resource = pytest.importorskip("resource")  # limits of a process, which Windows has not


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_without_room_the_former_file_stays(tmp_path: Path, write: Callable[[Path], object]) -> None:
    path = tmp_path / "file"
    path.write_text("former")
    with no_file_longer_than(10_000), pytest.raises(OSError, match=rf"{path} cannot be written; .*") as caught:
        replace_file(path, write)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]
    replace_file(path, write)
    assert path.stat().st_size >= 100_000


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_who_may_read_a_file_is_the_users_choice(tmp_path: Path, write: Callable[[Path], object], mask: int) -> None:
    before = os.umask(mask)
    try:
        replace_file(tmp_path / "file", write)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask
