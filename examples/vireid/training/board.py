"""TensorBoard values, written immediately: torch's writer uses a thread, whose errors come late and without details."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Board:
    """A file of events; events of later steps in earlier files are hidden."""

    def __init__(self, folder: Path, *, step: int) -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = self.path.open("wb")
        self._records = RecordWriter(self._file)
        self._add(Event(file_version="brain.Event:2"), step + 1)
        self._add(Event(session_log=SessionLog(status=SessionLog.START)), step + 1)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._add(Event(summary=Summary(value=values)), step)

    def _add(self, event: Event, step: int) -> None:
        event.step, event.wall_time = step, time.time()
        self._records.write(event.SerializeToString())
        self._file.flush()

    def close(self) -> None:
        self._file.close()
