# One word each. `make run` needs Python >= 3.11 and nothing else; what it installs stays in .venv.
#
#   make run [ARGS="--port 9000"]    install what is missing, start everything, print the URL
#   make test [TESTS=tests/unit]     all checks, then the tests (with a browser)
#   make check                       format, lint, types, the direction of imports, the lock files
#   make bench [ARGS="moves --games 1000 --url URL"]
#   make services                    fetch Kafka and a schema registry (Java) for tests and benches
#   make simulate [SEEDS=1000000]    clusters under faults, from seeds, on all cores
#   make faults [SEED=1 ROUNDS=240]  do faults to a system of its own; the scorecard is docs/FAULTS.md
#   make schemas [ARGS=--release]    write the events' schemas anew from their Structs
#   make lock                        write the lock files anew from pyproject.toml
#   make clean                       remove what was built or installed here, never a game

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test check bench simulate faults schemas lock clean chromium services
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
ARGS ?=
TESTS ?=
FRESH = import sys; sys.exit(sys.version_info < (3, 11))

help:
	@sed -n 's/^#   //p' Makefile

run: $(VENV)/.installed
	@exec $(BIN)/gameshard run $(ARGS)

bench: $(VENV)/.installed
	@exec $(BIN)/gameshard bench $(ARGS)

SEEDS ?= 10000
simulate: $(VENV)/.installed-dev
	@cd tests && ../$(BIN)/python -m simulation --seeds $(SEEDS) $(ARGS)

SEED ?= 1
ROUNDS ?= 240
faults: services
	@$(BIN)/gameshard bench faults --seed $(SEED) --rounds $(ROUNDS) $(ARGS)

schemas: $(VENV)/.installed
	@$(BIN)/python -m actors.published $(ARGS) schemas actors.chess persistence.kafka.records

# The checks come first: they are quick, and pytest's summary must be the last line.
test: check chromium services
	$(BIN)/python -m pytest $(TESTS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	@$(PIP) install -q --no-index --no-build-isolation --dry-run -e '.[build,dev]' \
	  || { echo "The lock files don't fit pyproject.toml. Run: make lock" >&2; exit 1; }

# A lock file names versions and hashes only, never a host, so that any mirror will do.
COMPILE = $(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 \
  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links $(UPGRADE)
lock: $(VENV)/.installed-dev
	$(COMPILE) --extra build -o requirements.lock
	$(COMPILE) --extra build --extra dev -c requirements.lock -o requirements-dev.lock
	@! grep -nE '://|^--' requirements.lock requirements-dev.lock

clean:
	rm -rf $(VENV) build bench-results .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} + ; rm -rf *.egg-info tests/nim/*.egg-info

# Each stamp is made when its step is complete: a second run starts at once, a broken one goes on.
$(BIN)/python:
	@python=; for name in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  if "$$name" -c '$(FRESH)' 2>/dev/null; then python=$$name; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "gameshard needs Python 3.11 or newer; found: $$(python3 --version 2>&1 || true)." >&2; \
	  echo "Install one, or name it: make run PYTHON=/path/to/python3.12" >&2; exit 1; fi; \
	echo "Making $(VENV) with $$("$$python" --version) ..."; \
	"$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "This Python can't make environments (on Debian: apt-get install python3-venv)." >&2; exit 1; }

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the packages of requirements.lock ..."
	@$(PIP) install -q --require-hashes -r requirements.lock
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock tests/nim/pyproject.toml $(VENV)/.installed
	@echo "Installing the packages of requirements-dev.lock ..."
	@$(PIP) install -q --require-hashes -r requirements-dev.lock
	@$(PIP) install -q --no-deps --no-build-isolation -e tests/nim
	@touch $@

# The browser tests use the machine's Chromium. Debian's can be had; elsewhere it's the person's
# business, and the tests say so. In CI there is no excuse.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium ..."; export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	elif [ "$${CI:-}" = true ]; then echo "There is no Chromium to test the page with." >&2; exit 1; \
	else echo "*** No Chromium here: the tests of the page will be left out. ***" >&2; fi

# Kafka and the schema registry run on Java; Maven fetches their jars once, into the user's cache
# (or GAMESHARD_JARS), where all copies of this repository find them. Valkey and Postgres are in .venv.
services: $(VENV)/.installed
	@if ! { command -v java && command -v mvn; } >/dev/null \
	  && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing Java and Maven ..."; export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jre-headless maven >/dev/null; fi; \
	$(BIN)/python -m persistence.local && exit 0; [ "$${CI:-}" != true ] || exit 1; \
	echo "*** No Kafka and no schema registry here: their tests will be left out. ***" >&2
