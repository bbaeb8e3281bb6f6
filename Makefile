# brightspark: `make` lists what can be made. Everything works on a fresh machine with Python >= 3.11 and Java 17 or 21.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_VENV ?= .venv-bench
BENCH := $(BENCH_VENV)/.ready
# Tests mostly wait for Spark: two at a time take two cores' time. A file's tests share what it has made.
BESIDE := -n 2 --dist loadfile

.PHONY: help demo demo-full test test-fast test-kill check format bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(READY) ## Run the main job on real data and write report/index.html
	$(BIN)/brightspark demo --out report

demo-full: $(READY) ## The same, trained for longer and with several seeds (takes an hour)
	$(BIN)/brightspark demo --full --out report

test: $(READY) ## Run the tests, on classic Spark and on Spark Connect (make test-kill has more)
	$(BIN)/pytest -m "not kill and not alone" $(BESIDE)
	$(BIN)/pytest -m "not kill and alone"
	$(BIN)/pytest -m "not kill and not alone" --spark connect $(BESIDE)
	$(BIN)/pytest -m "not kill and alone" --spark connect

test-fast: $(READY) ## Run the tests that take seconds each
	$(BIN)/pytest -m "not slow and not kill"

test-kill: $(READY) ## Kill every part of a training at many moments (takes long)
	$(BIN)/pytest tests/core/test_deaths.py tests/core/test_loop.py

check: $(READY) ## Lint, check types, and import from the built wheel in an empty folder
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/wheel.py

format: $(READY) ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(BENCH) ## Measure against raw PyTorch and peers (takes hours; a second call goes on)
	$(BENCH_VENV)/bin/python benchmarks/score_images.py
	$(BENCH_VENV)/bin/python benchmarks/score_text.py

clean: ## Remove the venv, the report and all caches of the checkout
	rm -rf $(VENV) $(BENCH_VENV) report build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache spark-warehouse

# pip is upgraded first: older ones search for minutes for versions that go together.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "brightspark needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=python3.12 or the like."; exit 1; }
	@test -L brightspark/core || \
	  { echo "brightspark/core is no link: this checkout was made without symbolic links. On Windows, clone within WSL."; exit 1; }
	@command -v "$${JAVA_HOME:+$$JAVA_HOME/bin/}java" >/dev/null || \
	  { echo "Spark needs Java 17 or 21, and there is none: apt-get install openjdk-17-jre-headless, or set JAVA_HOME."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --progress-bar off --quiet --editable '.[dev]'
	touch $@

# The peers want other versions of pyarrow and pandas than we do: they get a venv of their own.
$(BENCH): pyproject.toml
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(BENCH_VENV)/bin/python -m pip install --progress-bar off --quiet --editable '.[vision,nlp,speech,bench]'
	touch $@
