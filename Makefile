# `make` or `make help` prints what there is. PYTHON picks the interpreter: make test PYTHON=.venv/bin/python
PYTHON ?= python3
PLUGINS := $(sort $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml)))
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install test lint types contracts check slow bars wheels clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## core and every plugin, editable, with the tools of the checks
	$(PYTHON) -m pip install -r requirements.txt $(addprefix -e ,$(PLUGINS))
	$(PYTHON) -m pip install ruff pyright import-linter pre-commit build hypothesis

test: ## the quick suite, on two cores
	$(PYTHON) -m pytest

lint: ## style and format, changing nothing
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: ## static types of the core
	$(PYTHON) -m pyright

contracts: ## who may import whom (.importlinter)
	$(PYTHON) -c "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"

check: lint types contracts test ## all of the above: what must pass before a change goes in

slow: ## the tests that train to a level, and benchmarks from end to end; minutes, needs the data (RECBENCH_DATA_DIR)
	$(PYTHON) -m pytest -m slow

bars: $(if $(ROW),,slow) ## published tables reproduced, hours; ROW=NAME SEED=N for one run: stored and resumable, docs/published.md
	$(PYTHON) benchmarks/bars.py $(if $(ROW),--row $(ROW)) $(if $(SEED),--seed $(SEED))

wheels: ## wheel and source archive of core and of every plugin, into dist/
	@for package in . $(PLUGINS); do $(PYTHON) -m build --outdir dist $$package || exit 1; done
	@ls dist

clean: ## remove what builds and checks leave behind; runs/ and leaderboards/ stay
	rm -rf dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
