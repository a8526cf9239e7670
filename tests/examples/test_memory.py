"""Freed memory stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from vireid.memory import keep_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "keep":
    keep_memory()
pages = np.ones(1 << 26, np.uint8)
most = resident()
del pages
print((most - resident()) / (1 << 26))
"""


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="glibc alone has mallopt")
@pytest.mark.parametrize(("how", "given_back"), [("keep", 0), ("leave", 1)])
def test_freed_memory_is_kept(how: str, given_back: int) -> None:
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, env=variables, check=True
    )
    assert float(found.stdout) == pytest.approx(given_back, abs=0.1)
