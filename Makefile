# Every target sets up .venv by itself, from an exact lock; a fresh machine needs Python >= 3.11 alone.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
PYTEST_ARGS ?=
BENCH_ARGS ?=
WORKERS ?= 2
ROUNDS ?= 200
SEED ?=
FAULT_ARGS ?=

DEV_STAMP := $(VENV)/.installed-dev
DEMO_STAMP := $(VENV)/.installed-demo

.PHONY: help demo test check docs faults bench format lock wheel clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

# An editable install holds the folders' paths only, so it is made again when pyproject.toml changes.
$(DEV_STAMP): requirements/dev.lock pyproject.toml
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements/dev.lock into $(VENV) (a few minutes the first time)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $(DEMO_STAMP) $@

# The demo needs far less than development; a development environment serves it as well.
$(DEMO_STAMP): requirements/demo.lock pyproject.toml
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements/demo.lock into $(VENV)"
	@$(PIP) install --require-hashes --only-binary :all: -r requirements/demo.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(DEMO_STAMP) ## Train and compare digit classifiers on two local workers; again: all from cache
	@$(BIN)/python -m examples.demo

# Artifacts are synced to the disk, so the tests' stores lie in memory where there is room.
TEST_TEMP := $(shell [ -w /dev/shm ] && [ $$(df --output=avail -k /dev/shm 2>/dev/null | tail -1) -gt 6000000 ] \
	&& echo /dev/shm)

# A test process that dies ends the run, which names the test: xdist waits for ever after a restart.
test: $(DEV_STAMP) ## Run every test that this machine can run
	@$(if $(TEST_TEMP),PYTEST_DEBUG_TEMPROOT=$(TEST_TEMP)) \
		$(BIN)/python -m pytest -n $(WORKERS) --max-worker-restart 0 --dist loadgroup -m "not bench" $(PYTEST_ARGS)

faults: $(DEV_STAMP) ## Kill, stop and fail everything at any moment, at length (ROUNDS=1000 SEED=1)
	@$(BIN)/python -m tests.faults --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED)) $(FAULT_ARGS)

check: $(DEV_STAMP) ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(DEV_STAMP) ## Build the documents as a site into build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(DEV_STAMP) ## Measure against the floor of the same file work
	@$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

format: $(DEV_STAMP) ## Format, and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(DEV_STAMP) ## Build the wheel into dist/
	@$(BIN)/python -m build --no-isolation --wheel --outdir dist

# Universal resolution: one file for every platform and Python >= 3.11. No index address goes in.
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --quiet \
	--generate-hashes --no-header --no-emit-index-url --no-annotate --no-config
lock: ## Write requirements/*.lock anew (UPGRADE=--upgrade for newer versions)
	$(LOCK) --all-extras --group dev $(UPGRADE) --output-file requirements/dev.lock
	$(LOCK) --extra demo --group lock-build --constraint requirements/dev.lock $(UPGRADE) \
		--output-file requirements/demo.lock
	$(LOCK) --group test --constraint requirements/dev.lock $(UPGRADE) \
		--output-file requirements/test.lock

clean: ## Remove what the targets made, except artifacts
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
