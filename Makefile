# Every verb sets up what it needs: a virtual environment in .venv with hash-checked dependencies.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PATHS  := src tests examples benchmarks

# Who has switched bytecode off would compile the framework anew in each of the many processes that start here.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test lint check bench docs pictures soak faults clean

run: $(VENV)/.run
	@echo "Starting the hotel booking site; stop it with Ctrl-C."
	cd examples/hotels && ../../$(BIN)/meristem run

test: $(VENV)/.dev
	@echo "Running every test."
	$(BIN)/python -m pytest -n auto --dist loadgroup --max-worker-restart 2

lint: $(VENV)/.dev
	$(BIN)/ruff check $(PATHS)
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/mypy

check: lint test

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run

docs: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/docs

pictures: $(VENV)/.dev
	@echo "Taking the pictures of the documentation; fonts-inter and Chromium must be installed."
	$(BIN)/python examples/hotels/tests/screenshots.py

soak: $(VENV)/.dev
	$(BIN)/python -m benchmarks.soak

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults.fuzz

clean:
	rm -rf $(VENV) .meristem examples/hotels/.meristem

# What `make run` needs is less than what development needs, so a first run is quick.
$(VENV)/.run: requirements/run.txt pyproject.toml examples/hotels/pyproject.toml examples/hotels/receipts/pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the hotel system needs (once)."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e examples/hotels/receipts -e examples/hotels
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "Installing what the tests need (once)."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/bin/python:
	@echo "Creating a virtual environment in $(VENV)."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Meristem needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
