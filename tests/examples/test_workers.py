"""Processes beside the main one."""

from __future__ import annotations

import multiprocessing
import time

import pytest

from vireid.workers import ending_workers


def test_an_interruption_ends_the_workers() -> None:
    run = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    run.start()
    with pytest.raises(KeyboardInterrupt), ending_workers():
        raise KeyboardInterrupt
    run.join(20)
    assert run.exitcode
