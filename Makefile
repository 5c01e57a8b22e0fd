# `make book` and `make test` set themselves up in a fresh clone; nothing else is needed but Python and make.
PYTHON ?= python3
VENV ?= .venv
PROFILE ?= quick
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(shell command -v uv 2>/dev/null || echo _build/uv/bin/uv)

# byte code is compiled once and kept, wherever the caller's shell says otherwise: every kernel and worker starts faster
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help book pdf conf test check verify serve bench lock clean

help:  ## list what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

book: $(READY)  ## run the notebooks whose inputs changed and render the book (PROFILE=cpu for the paper's data)
	@$(BIN)/cemag book --profile $(PROFILE)

pdf: $(READY)  ## make the book, and all of it as one PDF (needs Chromium or Chrome)
	@$(BIN)/cemag book --profile $(PROFILE) --pdf

conf: $(READY)  ## write conf.py, for sphinx-build, from _config.yml
	@$(BIN)/jupyter-book config sphinx . >/dev/null

serve: $(READY)  ## serve the built book on this machine
	@$(BIN)/cemag serve

test: $(READY)  ## run all tests
	@$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder  # in their order the slow files come first

check: $(READY)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

verify: $(READY)  ## hold the published numbers against the records, and some of those against what comes out now
	@$(BIN)/cemag verify --sample 5 --budget 4m

bench: $(READY)  ## print how the package compares with plain loops and with the fits
	$(BIN)/python benchmarks/bench_metrics.py
	$(BIN)/python benchmarks/bench_eos.py
	$(BIN)/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_audit.py --small

lock: $(UV)  ## bring requirements.lock in step with pyproject.toml (UPGRADE=--upgrade: newer versions)
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 $(UPGRADE) \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url -o requirements.lock

clean:  ## remove what was built, keep the environment
	rm -rf _build

$(READY): requirements.lock pyproject.toml | $(UV)
	@echo "setting up $(VENV)"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

_build/uv/bin/uv:
	@$(PYTHON) -m venv _build/uv
	@_build/uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.5"
