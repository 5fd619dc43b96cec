# `make demo` and `make test` are all that a fresh machine needs: Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check stress lab notebooks reference clean

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'ticketlab needs Python 3.11 or newer: make PYTHON=python3.12 ...' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## Compare six strategies on an embedded PostgreSQL and write a report
	$(BIN)/ticketlab run --server embedded

check: $(STAMP)  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check  ## Checks and tests; ON=container:16 on another server than the embedded one
	$(BIN)/pytest -n 3 --dist loadgroup -m 'not slow' $(if $(ON),--on $(ON))

test-all: test  ## What is slow by nature too: executed notebooks, browsers, wheels, containers
	$(BIN)/pytest -n 2 --dist loadgroup -m slow $(if $(ON),--on $(ON))

stress: $(STAMP)  ## Every strategy and mutant on every server at hand, in 40 minutes; SHARD=1/4 a part of it, ON=… some servers
	$(BIN)/pytest tests/stress -n 2 --maxschedchunk 1 $(if $(SHARD),--shard $(SHARD)) $(if $(ON),--on $(ON))

lab: $(STAMP)  ## Open JupyterLab on a copy of the notebooks
	$(BIN)/ticketlab lab

notebooks: $(STAMP)  ## Execute all notebooks anew, and keep them executed
	$(BIN)/python notebooks/refresh.py

# pdoc looks for what a module holds, and the package's names are there once they were asked for.
reference: $(STAMP)  ## Write the API reference to dist/reference
	$(BIN)/python -c 'from ticketlab import *; from pdoc.__main__ import cli; cli()' \
		--docformat google --output-directory dist/reference ticketlab \
		$(addprefix ticketlab.,errors tickets servers load checks formats formats.imports bench power pytest_plugin)

clean:  ## Remove the environment and what tools cached
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
