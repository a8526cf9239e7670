"""Every test, and every example in a docstring, starts from the same seed."""

import os
from importlib.util import find_spec

import pytest
import torch

# Triton must know when it is first imported that it has no GPU: its interpreter runs kernels on the CPU then.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
collect_ignore = [] if find_spec("triton") else ["src/concordant/retrieval/fused.py"]

# Else torch says some things once in a process: one test would fail, and not those after it.
torch.set_warn_always(True)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
