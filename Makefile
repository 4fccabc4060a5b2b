# `make demo` and `make test` do all their own set-up. Python 3.11 and make are all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More than cores: scenarios mostly wait, for ticks and for quiet.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup toolchain demo test cover check clean lock

help:  ## show this list
	@grep -hE '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sed -E 's/: [^#]*## /\t/' | expand -t 12

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@echo "setting up $(VENV): $$(grep -c == requirements/dev.txt) pinned packages, checked by hash (about half a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "fleetproof needs Python 3.11 or newer: set PYTHON")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.installed  ## the virtual environment

toolchain: setup  ## the real servers: found, or built once (about five minutes)
	@$(BIN)/fleetproof toolchain

demo: setup  ## kill a real operator under load and prove its recovery
	@$(BIN)/fleetproof demo

test: toolchain  ## everything; REQUIRE=all turns skips into failures
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(if $(REQUIRE),--require=$(REQUIRE)) $(ARGS)

cover: toolchain  ## unit tests with branch coverage
	$(BIN)/python -m pytest -q fleet harness reports --cov --cov-report=term-missing:skip-covered

check: setup  ## linter, formatter, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: setup  ## pin the newest packages that pyproject.toml allows (needs uv)
	uv pip compile pyproject.toml --extra harness --extra dev --generate-hashes --no-header \
		--python-version 3.11 --universal -o requirements/dev.txt

clean:  ## remove what make and runs left in this folder
	rm -rf $(VENV) .fleetproof .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
