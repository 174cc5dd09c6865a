# Everything a developer or a newcomer needs; each target sets up what it uses.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/.run       ## set up and run the demo
	$(BIN)/gateway demo

test: $(VENV)/.dev       ## set up and run the tests, with coverage
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

lint: $(VENV)/.dev       ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev      ## measure CPU per request against the naive gateway
	$(BIN)/python -m benchmarks

$(VENV)/.run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is needed; on Debian: apt-get install python3-venv"; exit 2; }
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

clean:
	rm -rf $(VENV) .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
