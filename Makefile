# Everything a developer or a newcomer needs; each target sets up what it uses.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# All that is installed stands in a lock, with its hash; `make lock` renews them.
RUN := requirements/run.txt
DEV := requirements/dev.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq install
INSTALL := $(PIP) $(INSTALL_FLAGS) --require-hashes -r
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'
NPM_LOCK := npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --silent
NODE := examples/express examples/nextjs examples/consumers/node tests/node

# The layers whose branches are all tested: see tools/layers.toml.
DECIDING = $(shell $(BIN)/python -m tools.layers deciding)

# Tests run in this many processes; --dist loadfile keeps those of a file in one process and in order:
# they share its gateway, and some end it. Unit tests share nothing, and go where there is time.
JOBS   ?= auto
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --maxprocesses=8 --dist loadfile
UNITS  = $(BIN)/python -m pytest -n $(JOBS) --maxprocesses=8 --dist worksteal

.PHONY: tables demo test unit contract other-python without-kernel lowest lock peers soak soak-short chaos chaos-short browser screenshots lint bench sdk clean

demo: $(VENV)/.run       ## set up and run the demo
	$(BIN)/gateway demo

# Coverage is that of the unit tests: to trace takes half as long again as the tests themselves.
COVERED := tests/unit
# They start whole gateways, or measure: to trace them takes long, and they cover no branch that others do not.
UNTRACED := tests/unit/selftest tests/unit/benchmarks
UNIT    ?= tests/unit

# Tests of processes wait for what the machine lets them do: in CI, which sets ONCE_MORE=1, those that fail run again, one by one.
# What failed is noted in a folder of its own for each call, so that --last-failed finds it.
tried = $(1) || { test -n "$(ONCE_MORE)" && $(1) -n 0 --last-failed --last-failed-no-failures none; }

test: $(VENV)/.dev       ## set up and run the tests, with coverage
	$(UNITS) $(COVERED) $(UNTRACED:%=--ignore=%) --cov --cov-report=
	$(call tried,$(UNITS) $(UNTRACED) -o cache_dir=.pytest_cache/untraced)
	$(call tried,$(PYTEST) $(COVERED:%=--ignore=%) -o cache_dir=.pytest_cache/others)
	$(BIN)/coverage report --skip-covered
	$(BIN)/coverage report --include='$(DECIDING)' --fail-under=100 --show-missing

unit: $(VENV)/.dev       ## run the unit tests alone: less than a minute
	$(UNITS) $(UNIT)

contract: $(VENV)/.dev   ## one suite over every implementation of a port
	$(PYTEST) tests/contract

other-python: $(VENV)/.dev ## what depends most on the version of Python: for a second one
	$(UNITS) tests/unit/proxy/downstream tests/unit/store tests/unit/util tests/unit/admin

without-kernel: $(VENV)/.dev ## what hostile clients send, read by the Python beside the module in C
	GATEWAY_KERNEL=off $(PYTEST) tests/hostile/test_requests.py tests/hostile/test_late_requests.py tests/hostile/test_one_request.py \
		tests/hostile/test_checks.py tests/journey/test_fidelity.py

lowest:                  ## the unit tests with the lowest versions that pyproject.toml allows
	$(MAKE) --no-print-directory VENV=.venv-lowest RUN=requirements/lowest.txt DEV=requirements/lowest.txt unit

peers: $(VENV)/.dev      ## Caddy, Envoy, Traefik, gunicorn, waitress, Upstash's clients: 100 MB
	$(INSTALL) requirements/peers.txt

soak: $(VENV)/.dev       ## minutes of peers that leave, die, dawdle, flood and answer wrongly
	$(BIN)/python -m pytest -m slow -s tests/soak
	GARBAGE_CONNECTIONS=1000 $(BIN)/python -m pytest -s tests/journey/test_garbage.py

# What takes minutes, or has figures that need a machine of their own.
LONG := prometheus dead_endpoint gateway_deaths hooks_million dashboard dashboard_tab people_million

KEPT = -o cache_dir=.pytest_cache/$@
SHORT := SOAK_S=6 SLOW_S=2 WRONG_S=3 FLOOD_S=1 BROKEN_S=2 ADDRESS_S=3 HANDSHAKES=100 REPLACEMENTS=8 \
	PIPELINED_CONNECTIONS=200 ROUTES=3000 EXACT_ROUNDS=1 FAILOVER_KINDS=0

soak-short: $(VENV)/.dev ## the same in some two minutes, for CI
	$(call tried,$(SHORT) $(BIN)/python -m pytest -m slow -s $(KEPT) tests/soak $(LONG:%=--ignore=tests/soak/test_%.py))

chaos: $(VENV)/.dev      ## faults of every kind of store, under load: three minutes each
	$(BIN)/python -m pytest -m slow -s tests/chaos

chaos-short: $(VENV)/.dev ## some of it, ten seconds each, for CI
	$(call tried,CHAOS_S=10 $(BIN)/python -m pytest -m slow -s $(KEPT) tests/chaos -k "death_of or GARBLED")

browser: $(VENV)/.dev    ## the pages and the dashboard in Chromium, which has to be there
	$(call tried,$(BIN)/python -m pytest -m browser -n 2 --dist loadfile $(KEPT) tests/browser)

# In fonts that Debian has as fonts-inter and fonts-noto-cjk: what is missing, the system's own replace.
screenshots: $(VENV)/.dev ## pictures of the login pages and the dashboard, for docs/images
	SCREENSHOTS=docs/images FONTCONFIG_FILE=$(CURDIR)/tests/browser/fonts.conf $(BIN)/python -m pytest -m browser \
		tests/browser/test_looks.py tests/browser/test_dashboard_pictures.py

lint: $(VENV)/.dev       ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tables: $(VENV)/.dev     ## write the tables of docs/ that are generated from code
	$(BIN)/python -m tools.write_tables

bench: $(VENV)/.dev      ## measure CPU, memory and latency against the budgets
	$(BIN)/python -m benchmarks

# nginx with Lua of Debian 12, and what its packages need that nginx itself does not.
NGINX_LUA := nginx libnginx-mod-http-lua libnginx-mod-http-ndk libluajit2-5.1-2 lua-resty-core lua-resty-lrucache \
	lua-nginx-redis lua-cjson libpcre3
UNPACKED := benchmarks/build/nginx-lua

.PHONY: bench-peers
bench-peers:             ## unpack nginx with Lua beside the system, for the rows rival-… of make bench: needs apt
	rm -rf $(UNPACKED) && mkdir -p $(UNPACKED)/packages
	cd $(UNPACKED)/packages && apt-get download -qq $(NGINX_LUA)
	for package in $(UNPACKED)/packages/*.deb; do dpkg -x "$$package" $(UNPACKED) || exit 1; done

.PHONY: bench-growth
bench-growth: $(VENV)/.dev ## how cost grows with routes, sessions, callers and connections: a quarter of an hour
	$(BIN)/python -m benchmarks.growth --images docs/images $(GROWTH)

.PHONY: bench-figures
FIGURES := benchmarks/build/figures
bench-figures: $(VENV)/.dev ## measure all of it, and write the figures into README.md and docs/performance.md
	mkdir -p $(FIGURES)
	$(BIN)/python -m benchmarks --json $(FIGURES)/rows.json
	$(BIN)/python -m benchmarks.growth --images docs/images --json $(FIGURES)/growth.json
	$(BIN)/python -m benchmarks.where --json $(FIGURES)/where.json || echo "the parts of a request were left out"
	$(BIN)/python -m benchmarks.write $(FIGURES)

.PHONY: bench-ab
bench-ab: $(VENV)/.dev   ## compare the CPU of a request with another checkout's: make bench-ab BASE=DIR
	@test -n "$(BASE)" || { echo "Name the checkout to compare with: make bench-ab BASE=DIR"; exit 2; }
	$(BIN)/python -m benchmarks.ab --check --base "$(BASE)" $(AB)

sdk:                     ## fetch the latest magic-sdk from npm, and record which one it is
	$(PYTHON) tools/fetch_sdk.py

lock: $(VENV)/.uv        ## renew all locks: the newest versions that pyproject.toml and package.json allow
	$(COMPILE) --group build --output-file requirements/build.txt
	$(COMPILE) --group uv --output-file requirements/uv.txt
	$(COMPILE) pyproject.toml --output-file requirements/run.txt
	$(COMPILE) pyproject.toml --extra otel --group dev --constraints requirements/run.txt --output-file requirements/dev.txt
	$(COMPILE) --group peers --constraints requirements/dev.txt --output-file requirements/peers.txt
	$(COMPILE) pyproject.toml --extra otel --group dev --resolution lowest-direct --output-file requirements/lowest.txt
	for folder in $(NODE); do (cd $$folder && rm -f package-lock.json && $(NPM_LOCK)) || exit 1; done

$(VENV)/.build: requirements/build.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is needed; on Debian: apt-get install python3-venv"; exit 2; }
	$(INSTALL) requirements/build.txt
	touch $@

$(VENV)/.run: $(VENV)/.build $(RUN) pyproject.toml gateway/_kernel.c
	$(INSTALL) $(RUN)
	$(PIP) --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run $(DEV)
	$(INSTALL) $(DEV)
	touch $@

$(VENV)/.uv: $(VENV)/.build requirements/uv.txt
	$(INSTALL) requirements/uv.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-* .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
