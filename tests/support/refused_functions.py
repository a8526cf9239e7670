"""What re-ranking, attention statistics and small functions reject: `test_contract.py` asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from concordant.functional import attention_statistics
from support.contract import INT, zeros

REFUSED: dict[str, dict[str, Callable[[], object]]] = {
    "attention_statistics": {
        "rank 4": lambda: attention_statistics(zeros(2, 3, 4, 2)),
        "rank 2": lambda: attention_statistics(zeros(3, 4)),
        "integers": lambda: attention_statistics(zeros(2, 3, 4, dtype=INT)),
        "no tensor": lambda: attention_statistics(cast(Any, [[[1.0]]])),
    },
}
