"""What every test of the library shares: how hypothesis searches."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: torch's first call in a process takes longer than any. Derandomised in CI, so that a run repeats.
_QUIET = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)
settings.register_profile("local", deadline=None, max_examples=25, suppress_health_check=_QUIET)
settings.register_profile(
    "ci", deadline=None, max_examples=25, suppress_health_check=_QUIET, derandomize=True, database=None
)
settings.load_profile("ci" if os.environ.get("CI") else "local")
