# Every target first sees to what it needs (python3 -m toolchain): a second when all is there.

PYTHON ?= python3
SHELL := /bin/sh
ENV := . ./.state/env.sh &&
# In the order in which failures are cheapest to find. For one test: make test TESTS="tests/unit -k pkix"
TESTS ?= $(wildcard tests/unit tests/policies tests/integration tests/e2e)

# pytest keeps what it compiled: every later run saves seconds. Some tests wait, so one process more
# than the cores of a small machine.
UNIT := env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest tests/unit -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup setup-quiet setup-python demo test test-unit coverage test-python test-integration
.PHONY: test-e2e lint docs release-files bench clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## install what is missing on this machine, and say what was found
	@$(PYTHON) -m toolchain

setup-quiet:
	@$(PYTHON) -m toolchain --quiet

setup-python:
	@$(PYTHON) -m toolchain --quiet python

demo: setup-quiet ## a small Internet, the gateway in it, and real mail in both directions
	@$(ENV) python -m lab.demo

test: setup-quiet ## all tests: unit, policies, integration, e2e
	@$(ENV) python -m pytest $(TESTS)

test-unit: setup-python ## the tests that need neither network nor Docker
	@$(UNIT)

coverage: setup-python ## the same with their branch coverage; fails below its floor
	@$(UNIT) --cov --cov-report=term:skip-covered

test-python: ## the unit tests under another Python: make test-python VERSION=3.14
	@program=$$($(PYTHON) -m toolchain.interpreters $(VERSION)) && $$program -m pytest tests/unit

test-integration: setup-quiet ## the tests of the policies, and of single containers
	@$(ENV) python -m pytest tests/policies tests/integration

test-e2e: setup-quiet ## the tests of the whole gateway in the lab
	@$(ENV) python -m pytest tests/e2e

lint: setup-python ## ruff, mypy, import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

docs: setup-python ## these pages and the API's as HTML, in .state/docs/html; a warning is an error
	@.venv/bin/sphinx-build -q --fail-on-warning --keep-going --doctree-dir .state/docs/doctrees docs .state/docs/html

release-files: setup-python ## wheel, source, bill of materials and notes of this version, in .state/release
	@if [ -f .state/env.sh ]; then . ./.state/env.sh; fi; \
		.venv/bin/python ci/release.py .state/release $${TAG:+--tag "$$TAG"}

bench: setup-quiet ## measure; JSON lines with the command that repeats each
	@$(ENV) python -m lab.bench

clean: ## remove the lab and the demo, with their mail and keys; other stacks and the tools stay
	@if [ -f .state/env.sh ]; then . ./.state/env.sh; fi; $(PYTHON) -m lab.clean
