"""Common settings of the tests: those of hypothesis."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

# No deadline: torch's first call in a process takes longer than any. A run repeats, so that what fails for one fails
# for all; HYPOTHESIS_PROFILE=search looks at other examples each time.
_QUIET = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large)
_COMMON: dict[str, Any] = {"deadline": None, "max_examples": 25, "suppress_health_check": _QUIET}
settings.register_profile("repeat", derandomize=True, database=None, **_COMMON)
settings.register_profile("search", **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
