# `make help` lists what there is. Everything runs in .venv, which the first target that needs it makes.
export NO_MKDOCS_2_WARNING := 1
PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
BIN := $(VENV)/bin
RUN := $(BIN)/python

# The oldest Python that is declared, or that is installed.
OLDEST_PYTHON ?= $(shell for python in python3.10 $(HOME)/.pyenv/versions/3.10.*/bin/python3.10; do \
	$$python -c '' 2>/dev/null && echo $$python && exit; done; echo $(PYTHON))
# Tests of the library and not of the trainers or the site, which need more than the library.
LIBRARY := --ignore=tests/examples --ignore=tests/docs --ignore=tests/support
# Tests of the examples that run on the oldest versions, too: a training among them.
EXAMPLES := datasets evaluation search models/test_backbones.py models/test_export.py models/test_hub.py training/test_train_sysu.py

.DEFAULT_GOAL := help
.PHONY: help demo baseline untrained test test-fast test-long test-oldest lint docs docs-serve bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 20

demo: $(VENV)/.examples  ## train, evaluate and draw CAL on the rendered data set: runs/demo
	$(RUN) examples/train_sysu.py --out runs/demo --overwrite

baseline: $(VENV)/.examples  ## the global baseline for as many seconds as the demo: runs/baseline
	$(RUN) examples/train_sysu.py --out runs/baseline --overwrite --method global --optim.steps $(BASELINE_STEPS)

untrained: $(VENV)/.examples  ## the ImageNet backbone before it has seen an identity: runs/untrained
	$(RUN) examples/train_sysu.py --out runs/untrained --overwrite --method global --optim.steps 0

test: $(VENV)/.examples $(VENV)/.milvus $(VENV)/.dev $(VENV)/.docs  ## the tests
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -m 'not long'

test-long: $(VENV)/.examples $(VENV)/.milvus $(VENV)/.dev $(VENV)/.docs  ## the tests that take long: runs that are killed and resumed, several processes, exports
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -m long

test-fast: $(VENV)/.dev  ## the library's own tests in under a minute: without compilers and processes
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -m 'not slow and not long' $(LIBRARY)

test-oldest: $(OLDEST)/.test  ## the tests on the oldest versions that are declared, but for the trainers' long ones
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n 2 -W default $(LIBRARY)
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n 2 -W default $(addprefix tests/examples/,$(EXAMPLES))

lint: $(VENV)/.examples $(VENV)/.dev $(VENV)/.docs  ## style, and strict types; a program that uses the library by two checkers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --project tests/typing --pythonpath $(RUN)

docs: $(VENV)/.docs $(VENV)/.examples  ## build the documentation site, strictly, with executed notebooks: site/
	NOTEBOOKS=1 PYTHONPATH=examples $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.docs  ## serve it while you write
	$(BIN)/mkdocs serve

bench: $(VENV)/.examples $(VENV)/.dev  ## the benchmarks: docs/benchmarks.md, and docs/benchmarks-gpu.md with a GPU
	$(RUN) -m pytest benchmarks --benchmark-only --benchmark-json=runs/bench.json -p no:cacheprovider
	$(RUN) docs/tools/benchmark_table.py runs/bench.json docs
	! $(RUN) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || \
		($(RUN) benchmarks/gpu.py runs/gpu.json && $(RUN) docs/tools/benchmark_table.py runs/gpu.json docs)

clean:  ## delete what was rendered, trained and built (not the environment)
	rm -rf data runs site dist

# About as many steps as the demo's seconds allow (see docs/measured.md).
BASELINE_STEPS ?= 650

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# One stamp for each extra: an environment is touched only when what it is made from has changed.
$(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

$(OLDEST)/.test: pyproject.toml constraints-oldest.txt
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt \
		--editable '.[test,examples]'
	@touch $@
