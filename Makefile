# `make test` needs nothing but Python 3.10 or later; `make check` runs in the environment at hand.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The rooms without those that only start whole runs, those that take longest first.
QUICK := worker config cli api agent sync queues plan wire cluster observe

.PHONY: test check quick lint types floors pytest coverage bench clean

test: $(BIN)/runner
	$(MAKE) check

$(BIN)/runner: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -e '.[dev]'
	touch $@

check: lint types floors pytest

quick: lint types floors
	$(MAKE) --no-print-directory -j$(shell nproc) -O $(QUICK:%=quick/%)

quick/%:
	@echo tests/$*
	@$(BIN)/python -m pytest -q -m 'not slow' tests/$*

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types:
	$(BIN)/mypy

floors:
	$(BIN)/lint-imports --no-logo

# Files of tests side by side, as many as there are cores: most of their time they wait.
JOBS ?= $(shell nproc)

pytest:
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

coverage:
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --show-missing

bench:
	$(BIN)/python -m benchmarks.speed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
