"""The questions that each public module is asked, and what each module needs to answer them.

A case (`support/case.py`) says how to build a module and its arguments, which keys its state has, which settings show
in its `repr`, and which inputs it must reject. `tests/test_contract*.py` ask; a new module is one more case.
"""

from support import cases_layers, cases_losses, cases_masked, cases_metric, cases_system

CASES = cases_layers.CASES | cases_losses.CASES | cases_metric.CASES | cases_system.CASES
MASKED = {f"{name}, masked": case for name, case in cases_masked.CASES.items()}
