"""Writers of a store that are killed at random moments; started by tests/examples/search/test_store_faults.py.

In a process of its own, so that it can fork before grpc has started threads. The files of a directory are written
without torch, so that a child costs a few milliseconds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vireid.search.segments import Segment, alive, append, pack, read, segments

SIZE, STEPS = 40, 9
Write = Callable[[int], None]


def change(step: int) -> tuple[np.ndarray, bool]:
    """The ids of a step, and whether it deletes them: every third step deletes half of what that before has added."""
    ids = np.arange(SIZE * step, SIZE * (step + 1))
    return (ids[: SIZE // 2] - SIZE, True) if step % 3 == 2 else (ids, False)


def after(steps: int) -> set[int]:
    """The ids that a store has after a number of steps."""
    held: set[int] = set()
    for ids, deletes in map(change, range(steps)):
        held = held - set(ids.tolist()) if deletes else held | set(ids.tolist())
    return held


def to_directory(folder: Path) -> Write:
    """Additions and deletions in a directory, as `FaissStore` makes them."""
    folder.mkdir(exist_ok=True)

    def write(step: int) -> None:
        ids, deletes = change(step)
        embeddings = np.zeros((len(ids), 64), np.float32)
        names = pack([str(one) for one in ids])
        append(folder, Segment(ids) if deletes else Segment(ids, ids, ids.astype(float), ids % 2, names, embeddings))

    return write


def in_directory(folder: Path) -> set[int]:
    parts = [read(path, embeddings=True) for _, path in segments(folder)]
    rows = [part.ids for part in parts if part.names is not None]
    return set(np.concatenate([np.zeros(0, np.int64), *rows])[alive(parts)].tolist())


def to_milvus(path: Path) -> Write:
    import torch

    from vireid.search.store import Identity, Records, open_store

    store = open_store(str(path), Identity("a model", 8), write=True)

    def write(step: int) -> None:
        ids, deletes = change(step)
        if deletes:
            store.delete(ids)
        else:
            store.add(torch.ones(len(ids), 8), Records(ids, [str(one) for one in ids], ids, ids.astype(float), ids % 2))

    return write


def in_milvus(path: Path) -> set[int]:
    from vireid.search.store import open_store

    with open_store(str(path)) as store:
        return {one for some in store.listing() for one in some.ids.tolist()}


def killed(begin: Callable[[], Write], *, seconds: float, steps: int = 0) -> int:
    """Let a writer be killed some seconds after a number of steps; returns the number of steps that it said it did."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        write = begin()
        for step in range(STEPS):
            os.write(writer, b"x")  # what has been done before this step
            write(step)
        os.write(writer, b"x")
        os._exit(0)
    os.close(writer)
    done = b""
    while len(done) <= steps:
        done += os.read(reader, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while piece := os.read(reader, 100):
        done += piece
    os.close(reader)
    return len(done) - 1


def main(place: Path) -> None:
    if place.suffix == ".db":
        import pymilvus  # noqa: F401  # before the fork
        import torch  # noqa: F401

        steps = killed(lambda: to_milvus(place), seconds=0.003, steps=4)
        assert in_milvus(place) in (after(steps), after(steps + 1)), steps
        return
    dice, start, reached = random.Random(0), time.perf_counter(), []
    killed(lambda: to_directory(place), seconds=0, steps=STEPS)
    whole = time.perf_counter() - start
    for moment in range(50):
        shutil.rmtree(place)
        steps = killed(lambda: to_directory(place), seconds=dice.uniform(0, whole))
        assert in_directory(place) in (after(steps), after(steps + 1)), (moment, steps)
        to_directory(place)(0)  # it can be written again
        assert after(1) <= in_directory(place)
        reached.append(steps)
    assert len(set(reached)) > 2, reached


if __name__ == "__main__":
    main(Path(sys.argv[1]))
