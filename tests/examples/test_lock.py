"""A lock is released when the process that holds it ends."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from vireid import lock
from vireid.lock import locked

pytest.importorskip("fcntl")  # which Windows has not
HOLDER = """
import sys
from pathlib import Path
from vireid.lock import locked
with locked(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_system_without_locks_is_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    for name in ("a", "b"):
        with locked(tmp_path / name, wait=True) as held:
            assert not held
    rule = "is in a file system without locks: let no other process write there at the same time"
    assert capsys.readouterr().err == f"locked: {tmp_path} {rule}\n"


def test_one_process_holds_it_until_it_is_killed(tmp_path: Path) -> None:
    path, command = tmp_path / "lock", [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    folder = Path(lock.__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), locked(path, wait=False):
            pass
        holder.kill()
    with locked(path, wait=False) as held:
        assert held
