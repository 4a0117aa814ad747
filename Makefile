PYTHON ?= python3
BIN := .venv/bin
CASES ?= 20000
export YIWANG_HOME ?= data

.PHONY: help run serve test test-all lint type contract unit integration e2e slow bench docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

.venv/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "安装依赖（首次约两分钟）…"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@sh scripts/setup_test_machine.sh
	@touch $@

$(YIWANG_HOME)/sources.yml: | .venv/installed
	@$(BIN)/yiwang sample --cases $(CASES)

run: .venv/installed $(YIWANG_HOME)/sources.yml  ## generate the sample city (once), run the whole pipeline
	@$(BIN)/yiwang run

serve: .venv/installed  ## open the API and the pages on http://127.0.0.1:8000
	@YIWANG_DEV=1 $(BIN)/yiwang serve

test: lint type contract unit integration e2e  ## what CI runs: lint, types, contracts, fast tests
test-all: test slow  ## and the slow set

lint: .venv/installed-dev  ## ruff
	$(BIN)/ruff check .
type: .venv/installed-dev  ## mypy strict
	$(BIN)/mypy
contract: .venv/installed-dev  ## who may import whom; docs keep up with code
	$(BIN)/lint-imports
	$(BIN)/pytest -rs tests/contract
unit: .venv/installed-dev
	$(BIN)/pytest -rs -n 2 -m "not slow" tests/unit
integration: .venv/installed-dev
	$(BIN)/pytest -rs -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" tests/integration
e2e: .venv/installed-dev
	$(BIN)/pytest -rs -m "not slow" tests/e2e
slow: .venv/installed-dev  ## the slow set, and property tests with all their examples
	YIWANG_TESTS=all $(BIN)/pytest -rs -m "slow or property" tests
bench: .venv/installed-dev  ## figures beside the plain alternative
	$(BIN)/python -m bench
docs: .venv/installed-dev  ## reference generated from code; dbt's documentation as one page that works offline
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.dbt_site

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
