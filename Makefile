# Each target makes the virtual environment it needs, and takes no time for it when it is there.
# PYTHON=python3.12 chooses the interpreter; without it the first suitable one is taken.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input
PYTHON ?=
CANDIDATES = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python3.10 \
	$(wildcard $(HOME)/.pyenv/versions/3.1[0-9].*/bin/python))

# Tests that need no socket. Those of the first two folders cover qqproto/, without those whose input is drawn at random,
# so that nothing is covered by luck; the others run untraced, which is several times as fast. Tests with sockets wait
# more than they work, so that more of them than there are cores run at a time.
COVERING := $(wildcard tests/core tests/testing)
SANS_IO := $(COVERING) $(wildcard tests/fuzz tests/outages)

.PHONY: help demo test test-all lint types proxies bench fuzz mutate simulate crash docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.run ## a bot and a local gateway over real sockets, with outages, in a minute and a half (DRIVER=trio, sync)
	@$(BIN)/qqproto demo $(DRIVER:%=--driver %)

test: lint types ## lint, types, and every test on one Python
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses auto --dist worksteal -m "not hypothesis and not untraced" \
		$(COVERING)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m "hypothesis or untraced" $(COVERING)
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(filter-out $(COVERING),$(SANS_IO))
	$(BIN)/python -m qqproto_transports.simulate --hours 2000
	$(BIN)/python -m pytest --numprocesses 5 --dist worksteal --doctest-modules qqproto transports tests $(SANS_IO:%=--ignore=%)

test-all: lint types ## lint, types, and every test on each installed CPython from 3.10
	$(BIN)/nox

lint: $(VENV)/.dev ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev ## mypy, strict, over everything
	$(BIN)/mypy

proxies: ## install squid, tinyproxy and dante for tests/real, as root on Debian (without them it skips)
	@tests/real/install.sh

bench: $(VENV)/.dev $(VENV)/sdks ## speed against named peers, as ratios within one run (ARGS=--help)
	@$(BIN)/python -m benchmarks $(ARGS)

fuzz: $(VENV)/.dev ## a campaign of hostile input against the machines (EXAMPLES=20000 a test)
	QQPROTO_FUZZ_EXAMPLES=$(or $(EXAMPLES),20000) $(BIN)/python -m pytest --durations=0 \
		tests/fuzz tests/core/test_shard_any_order.py

mutate: $(VENV)/.mutate ## break the machines in every small way, see the tests fail (10 min, JOBS=2; 90 % at least)
	rm -rf mutants
	$(BIN)/mutmut run --max-children $(or $(JOBS),2)
	@$(BIN)/python tests/mutation/summary.py mutants

simulate: $(VENV)/.run ## simulated connection-hours in which everything goes wrong (HOURS=10000, SEED=n); SEED=n alone replays it
	@$(BIN)/python -m qqproto_transports.simulate $(HOURS:%=--hours %) $(SEED:%=--seed %)

crash: $(VENV)/.run ## bots killed with SIGKILL under load and started again; 0 events may be lost (RUNS=1000, SEED=n)
	@$(BIN)/python -m tests.crash $(RUNS:%=--runs %) $(SEED:%=--seed %)

docs: $(VENV)/.docs ## the documentation in both languages, warnings as errors, into docs/_build
	$(BIN)/sphinx-build -W --keep-going -n -q docs docs/_build
	$(BIN)/sphinx-build -W --keep-going -n -q -t zh -c docs docs/zh docs/_build/zh
	$(BIN)/python -m docs.links docs/_build
	@echo "open docs/_build/index.html"

clean: ## remove what the other targets made
	rm -rf $(VENV) .nox .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	rm -rf docs/_build docs/_generated docs/zh/_generated
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in $(CANDIDATES); do \
		if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then \
			rm -rf $(VENV); echo "making $(VENV) with $$python"; exec "$$python" -m venv $(VENV); \
		fi; \
	done; \
	echo "qqproto needs CPython 3.10 or newer with venv and pip; tried: $(CANDIDATES)." >&2; \
	echo "Name one with: make PYTHON=/path/to/python3.12 ... (on Debian also install python3-venv)." >&2; \
	exit 1

$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "installing qqproto into $(VENV)"
	@$(PIP) --editable '.[asyncio,cli,sync,trio,webhook]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.run
	@echo "installing the test tools into $(VENV)"
	@$(PIP) --editable '.[asyncio,cli,dev,sync,trio,webhook]'
	@touch $@

$(VENV)/.mutate: $(VENV)/.dev
	@echo "installing mutmut into $(VENV)"
	@$(PIP) --editable '.[asyncio,cli,dev,mutate,sync,trio,webhook]'
	@touch $@

# Whole SDKs, which nothing of ours needs; one that cannot be had is a row that says so.
$(VENV)/sdks: | $(BIN)/python
	@echo "installing the SDKs that qqproto is compared with into $@"
	@$(BIN)/python -m venv $@
	-@$@/bin/python -m pip install --quiet --disable-pip-version-check --no-input qq-botpy
	-@$@/bin/python -m pip install --quiet --disable-pip-version-check --no-input nonebot-adapter-qq 'nonebot2[aiohttp]'

$(VENV)/.docs: pyproject.toml $(VENV)/.run
	@echo "installing the documentation tools into $(VENV)"
	@$(PIP) --editable '.[asyncio,cli,docs,speed,sync,trio,webhook]'
	@touch $@
