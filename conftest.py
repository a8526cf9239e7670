"""Every test, and every example in a docstring, starts from the same seed."""

import pytest
import torch

# Else torch says some things once in a process: one test would fail, and not those after it.
torch.set_warn_always(True)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
