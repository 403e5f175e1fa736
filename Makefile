# make demo    see it work: record, replay, inspect
# make test    everything, from a bare checkout
# make check   what `test` runs, without setting up first

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(shell for p in python3.12 python3.13 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
RECORDINGS := .cache/recordings
OLD_WEBSOCKETS := .cache/websockets-15/site-packages
NODE_MODULES := tests/clients/node/node_modules examples/node_modules

.PHONY: demo test setup check bench clean

demo: $(VENV)/.installed
	PYTHON=$(CURDIR)/$(BIN)/python PLAYHEAD=$(CURDIR)/$(BIN)/playhead sh examples/demo.sh

test: setup
	$(MAKE) check

setup: $(VENV)/.developing $(NODE_MODULES) $(RECORDINGS)/.fetched $(OLD_WEBSOCKETS)/.installed

check:
	$(BIN)/ruff format --check src tests benchmarks examples scripts
	$(BIN)/ruff check src tests benchmarks examples scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 3 --dist worksteal

bench: $(VENV)/.developing
	set -e; for script in benchmarks/*.py; do $(BIN)/python $$script; done

clean:
	rm -rf $(VENV) $(NODE_MODULES) .cache

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Playhead needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[examples]" -c constraints.txt
	touch $@

$(VENV)/.developing: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]" -c constraints.txt
	touch $@ $(VENV)/.installed

%/node_modules: %/package.json
	cd $* && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	touch $@

$(RECORDINGS)/.fetched: $(VENV)/.developing scripts/fetch_recordings.py
	$(BIN)/python scripts/fetch_recordings.py $(RECORDINGS)
	touch $@

# what openai[realtime] asks for, beside the newest
$(OLD_WEBSOCKETS)/.installed: $(VENV)/.developing
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(OLD_WEBSOCKETS) websockets==15.0.1
	touch $@
