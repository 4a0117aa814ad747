PYTHON ?= python3
BIN := .venv/bin

.PHONY: test lint type unit clean

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

test: lint type unit  ## what CI runs

lint: .venv/installed
	$(BIN)/ruff check .

type: .venv/installed
	$(BIN)/mypy

unit: .venv/installed
	$(BIN)/pytest -rs tests

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
