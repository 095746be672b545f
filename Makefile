# Every verb sets up what it needs: a virtual environment in .venv with hash-checked dependencies.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PATHS  := src tests examples benchmarks
# Those of the hotel site's suites that run a system; the others would only take time here.
EVERYWHERE := $(addprefix hotels/,tests/test_everywhere.py payments users reservations documents rooms/tests/test_holds.py \
	search/tests/test_partner.py notifications/tests/test_letters.py)

# Who has switched bytecode off would compile the framework anew in each of the many processes that start here.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run test collected lint check contracts divided divided-quickstart divided-hotels divided-bookshop scaffolds bench docs pictures postgresql soak faults clean

run: $(VENV)/.run
	@echo "Starting the hotel booking site; stop it with Ctrl-C."
	cd examples/hotels && ../../$(BIN)/meristem run --placement placements/single.toml

test: $(VENV)/.dev
	@echo "Running every test."
	$(BIN)/python -m pytest -n auto --dist loadgroup --max-worker-restart 2

# Whatever can't be imported is told in seconds; and the workers of `make test` find compiled what each would compile.
collected: $(VENV)/.dev
	@echo "Looking whether every test can be collected."
	@told=$$($(BIN)/python -m pytest --collect-only -qq 2>&1) || { echo "$$told" | grep -vE '\.py: [0-9]+$$'; exit 1; }

lint: $(VENV)/.dev
	$(BIN)/ruff check $(PATHS)
	$(BIN)/ruff format --check $(PATHS)
	$(BIN)/mypy

# `make -j 2 divided` checks two at once.
divided: divided-quickstart divided-hotels divided-bookshop

divided-quickstart: $(VENV)/.dev
	@echo "Running the tests of the shop in one file in every placement, one after the other."
	cd examples/quickstart && ../../$(BIN)/meristem check --divided tests/test_orders.py

divided-hotels: $(VENV)/.dev
	@echo "Running tests of the hotel site in every placement, one after the other."
	cd examples/hotels && ../../$(BIN)/meristem check --divided -n 3 $(EVERYWHERE)

divided-bookshop: $(VENV)/.dev
	@echo "Running a purchase in the bookshop, and what is recommended there, in every placement, one after the other."
	cd examples/bookshop && ../../$(BIN)/meristem check --divided bookshop/tests/test_everywhere.py \
		bookshop/recommendations/tests/test_requests.py::test_what_is_no_request_is_refused

# What it was: a commit. In a system that others call it would be what runs: origin/main, or the tag of a release.
AGAINST ?= HEAD~1

contracts: $(VENV)/.dev
	@echo "Looking for changes of the examples' contracts that would break who calls them, since $(AGAINST)."
	cd examples/quickstart && ../../$(BIN)/meristem contracts check orders.py --against $(AGAINST) --kind wire --kind json
	cd examples/hotels && ../../$(BIN)/meristem contracts check --against $(AGAINST) --kind wire --kind json
	if git cat-file -e $(AGAINST):examples/bookshop/pyproject.toml 2>/dev/null; then \
		cd examples/bookshop && ../../$(BIN)/meristem contracts check --against $(AGAINST) --kind wire --kind json; fi

scaffolds: $(VENV)/.dev
	@echo "Running new projects of every kind, each in an environment of its own."
	$(BIN)/python -m pytest tests/scaffolds -m ""

check: lint test divided

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.run

docs: $(VENV)/.dev
	$(BIN)/python -m pytest -q tests/docs

pictures: $(VENV)/.dev
	@echo "Taking the pictures of the documentation; fonts-inter and Chromium must be installed."
	PYTHONPATH=examples/tests $(BIN)/python examples/hotels/tests/screenshots.py
	PYTHONPATH=examples/tests:. $(BIN)/python examples/hotels/tests/dashboard_screenshots.py
	PYTHONPATH=examples/tests $(BIN)/python examples/bookshop/tests/screenshots.py

postgresql: $(VENV)/.dev
	@echo "Running the suites of placements, in one process and in several, of the examples, and of their sites in a browser, on the PostgreSQL of this machine."
	PARITY_SEED=whole $(BIN)/python -m pytest -n auto --dist loadgroup -p tests.suites.on_postgresql -k "not named" tests/placements
	$(BIN)/python -m pytest -n auto --dist loadgroup -p tests.suites.on_postgresql -k "not processes and not skewed and not named" \
		examples/quickstart examples/sitekit examples/hotels/hotels examples/bookshop/bookshop
	$(BIN)/python -m pytest -n 2 --dist loadgroup -p tests.suites.sites_on_postgresql \
		examples/hotels/tests/test_browser.py examples/hotels/tests/test_on_postgresql.py examples/bookshop/tests/test_browser.py

# Less: make soak SOAK="--bookings 200 --faults 15", which is on SQLite; with --bus nats or --bus rabbitmq events go
# over a broker of its own, which is struck as well.
SOAK ?= --postgresql --bookings 10000 --faults 110

soak: $(VENV)/.dev
	$(BIN)/python -m benchmarks.soak $(SOAK)

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults.fuzz
	$(BIN)/python -m tests.faults.crash.matrix
	$(BIN)/python -m tests.faults.crash.matrix --database postgresql
	$(BIN)/python -m tests.faults.takeover
	$(BIN)/python -m tests.faults.takeover --postgresql
	PARITY_SEED=whole $(BIN)/python -m pytest -n auto --dist loadgroup tests/placements tests/faults tests/dashboard \
		tests/unit/sagas/test_crash.py tests/unit/testing/test_divided.py tests/processes/test_crashing_methods.py \
		tests/processes/test_rolling_schema.py examples/hotels/tests/test_crashes.py examples/bookshop/tests/test_crashes.py \
		examples/hotels/tests/test_dashboard.py

clean:
	rm -rf $(VENV) .meristem examples/hotels/.meristem examples/bookshop/.meristem

# What `make run` needs is less than what development needs, so a first run is quick.
$(VENV)/.run: requirements/run.txt pyproject.toml examples/sitekit/pyproject.toml examples/hotels/pyproject.toml examples/hotels/receipts/pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the hotel system needs (once)."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e examples/sitekit -e examples/hotels/receipts -e examples/hotels
	@touch $@

$(VENV)/.dev: requirements/dev.txt examples/bookshop/pyproject.toml $(VENV)/.run
	@echo "Installing what the tests need (once)."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e examples/bookshop
	@touch $@

$(VENV)/bin/python:
	@echo "Creating a virtual environment in $(VENV)."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Meristem needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
