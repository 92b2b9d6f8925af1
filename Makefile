# The two commands a newcomer needs: `make demo` and `make test`. Each sets up what is missing.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SYNCED := $(VENV)/.synced

# The web page. Where there is no npm, everything but the page works.
PAGE   := src/dxray/server/page/index.html
MODULES := ui/node_modules/.package-lock.json
NPM    := $(shell command -v npm)

# One environment, ours: whatever is activated in the calling shell is left alone, and no interpreter is downloaded.
unexport VIRTUAL_ENV
export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup lock demo test test-long ui types screenshots faults faults-long fuzz oracles lint fmt bench-sdk bench-ingest bench-query bench-questions bench-page bench-integrations clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(SYNCED) ## Make .venv with everything in it (quick when nothing changed)

$(SYNCED): pyproject.toml uv.lock | $(BIN)/uv
	$(BIN)/uv sync --locked --all-extras --quiet
	@touch $@

# uv is not on every machine; pip is. The dev group names uv too, so that a sync keeps it.
$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dxray needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13'

lock: | $(BIN)/uv ## Write uv.lock again after a change of pyproject.toml
	$(BIN)/uv lock

# On a terminal the demo goes on serving, to be looked at; in a pipe or in CI it ends after printing.
demo: setup $(if $(NPM),$(PAGE)) ## Record an example pipeline and print why it decided as it did
	@if [ -t 1 ]; then exec $(BIN)/dxray demo --rebookings 50; \
	 else exec $(BIN)/dxray demo --rebookings 50 --exit; fi

ui: $(PAGE) ## Build the web page, which the server then shows at /ui/ (needs Node 20 or newer)

$(PAGE): $(MODULES) ui/index.html ui/package.json ui/tsconfig.json ui/vite.config.ts $(shell find ui/src ui/public -type f)
	cd ui && npm run --silent build
	@touch $@

types: setup $(MODULES) ## After a change of the API: ui/openapi.json, and the types that the page has of it
	cd ui && npm run types

screenshots: setup $(PAGE) ## Every screen, and hostile runs: light, dark and as wide as a phone, in build/screenshots
	$(BIN)/pytest -q tests/e2e/test_page_screens.py tests/e2e/test_page_hostile.py

$(MODULES): ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund --silent
	@touch $@

test: setup $(if $(NPM),$(PAGE)) ## Run the whole test suite (ARGS="tests/unit -k name" for a part)
	$(if $(NPM),cd ui && npm run --silent test)
	$(BIN)/pytest -n 2 -m "not faults and not long" $(ARGS)

test-long: setup ## The long forms of tests that `make test` runs in short
	$(BIN)/pytest -m long $(ARGS)

fuzz: setup ## The property tests again, with many more examples than `make test` takes
	$(BIN)/pytest -n 2 --hypothesis-profile=fuzz -m hypothesis $(ARGS)

faults: setup ## Kills, forks, broken networks and disks: a table of what was to be reached, and was (ARGS="A1 A8" for some)
	$(BIN)/python -m tests.faults $(ARGS)

faults-long: setup ## The same in its long forms: about an hour
	$(BIN)/python -m tests.faults --long $(ARGS)

oracles: setup ## The answers against what is known to be true, with full counts: a table (ARGS="why diff" for some)
	$(BIN)/python -m tests.oracles $(ARGS)

lint: setup $(if $(NPM),$(MODULES)) ## Style, types, the import rule, sizes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/check_size.py
	$(if $(NPM),cd ui && npm run --silent lint)

fmt: setup ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench-sdk: setup ## What a call costs the pipeline
	$(BIN)/python -m bench.sdk $(ARGS)

bench-ingest: setup ## Events per second from a client to queryable, memory, bytes on disk
	$(BIN)/python -m bench.ingest $(ARGS)

bench-page: setup $(PAGE) ## How the web page feels with 10,000 runs, and a run of 100,000 items
	$(BIN)/python -m bench.page $(ARGS)

bench-integrations: setup ## What each adapter adds to its framework, and how long the first why takes from a wheel
	$(BIN)/python -m bench.integrations $(ARGS)
	$(BIN)/python -m bench.first_why

bench-query: setup ## How long the pages of a filled store wait
	$(BIN)/python -m bench.query $(ARGS)

bench-questions: setup ## How long questions take on a long history (20 and 10 million events; ARGS=--quick for a short form)
	$(BIN)/python -m bench.questions $(ARGS)
	$(BIN)/python -m bench.whatif $(ARGS)
	$(BIN)/python -m bench.explain $(ARGS)

clean: ## Remove .venv, caches and builds (recorded data in ~/.dxray stays)
	rm -rf $(VENV) ui/node_modules src/dxray/server/page dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './ui/*' -prune -exec rm -rf {} +
