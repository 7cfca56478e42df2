# Everything a developer runs. `make` alone lists it.
#
# The environment is .venv, made from requirements.lock whenever that or pyproject.toml is
# newer. uv installs it in a fraction of pip's time; without uv, pip does it.

.ONESHELL:
SHELL := /bin/sh
.SHELLFLAGS := -euc

BIN := .venv/bin

# What the database does to the store's tests; docs/vast-local.md has the words.
CHAOS := pages=50,shuffle,conflict=0.03,slowdown=0.003,lose=0.01,mute=0.005,cut=0.003,latency=2

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name does; do
		printf '  make %-10s %s\n' "$$name" "$$does"
	done

.PHONY: up
up: .venv/.ready ## start a whole store on this machine; Ctrl-C stops it
	@exec $(BIN)/tams up

.PHONY: test
test: .venv/.ready ## run all tests, with the real services they need
	@exec $(BIN)/pytest $(ARGS)

.PHONY: test-slow
test-slow: .venv/.ready ## run the tests that take minutes
	@exec $(BIN)/pytest -m slow $(ARGS)

.PHONY: test-chaos
test-chaos: .venv/.ready ## run the tests of the store on a database that makes trouble
	@TAMS_VAST_CHAOS="$(CHAOS)" exec $(BIN)/pytest tests/api tests/workers tests/spec tests/acceptance $(ARGS)

.PHONY: check
check: .venv/.ready ## format, lint, types and import contracts, as CI checks them
	@$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: .venv/.ready ## measure a store; ARGS=--long, ARGS=--help and see docs/performance.md
	@exec $(BIN)/python -m bench $(ARGS)

.PHONY: crash
crash: .venv/.ready ## kill a store at random under load, and look for losses; see bench/crash
	@exec $(BIN)/python -m bench.crash $(ARGS)

.PHONY: lock
lock: .venv/.ready ## write requirements.lock anew from pyproject.toml
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 \
		pyproject.toml --all-extras -o requirements.lock --no-annotate --no-header

.PHONY: clean
clean: ## remove the environment and caches; never the data directory
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

.venv/.ready: requirements.lock requirements-sdk-tests.lock pyproject.toml
	@recent='import sys; sys.exit(sys.version_info < (3, 11))'
	python=
	for each in $(PYTHON) python3 python3.13 python3.12 python3.11; do
		if "$$each" -c "$$recent" 2>/dev/null; then python=$$each; break; fi
	done
	if [ -z "$$python" ]; then
		echo "Python 3.11 or newer is needed; PYTHON=/path/to/python3 names one that is not on the PATH" >&2
		exit 1
	fi
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
		version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
		echo "$$python cannot make environments: install the package python$$version-venv (Debian, Ubuntu)" >&2
		exit 1
	fi
	echo "making .venv with $$("$$python" --version)"
	"$$python" -m venv .venv
	index=$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)
	index=$${PIP_INDEX_URL:-$$index}
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$index}"; fi
	export VIRTUAL_ENV="$$PWD/.venv" PIP_DISABLE_PIP_VERSION_CHECK=1
	install="$(BIN)/python -m uv pip install --quiet"
	if ! $(BIN)/python -m pip install -qq uv || ! $$install -r requirements.lock; then
		echo "uv could not install the packages; pip takes over, which is slower"
		install="$(BIN)/python -m pip install -qq"
		$$install -r requirements.lock
	fi
	$$install --no-deps --no-build-isolation -e .
	# Only VAST's own tests need pandas; where every process could see it, each would import it.
	$$install --no-deps --target .venv/sdk-tests -r requirements-sdk-tests.lock
	touch $@
