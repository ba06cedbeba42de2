# Everything starts here: `make demo`, `make serve`, `make test`, `make lint`.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
TEST_LOCKS := $(LOCK:.txt=-extras.txt) $(LOCK:.txt=-openvino.txt) $(LOCK:.txt=-test.txt)
# Nothing is installed from outside the locks, and every file is what its hash there says; but for torch, see LOCK.
PIP := $(BIN)/pip install -q --disable-pip-version-check --no-deps
LOCKED := $(PIP) --require-hashes
OURS := $(PIP) --no-build-isolation
PROJECTS := engine worker server services/demucs
PYPROJECTS := $(PROJECTS:%=%/pyproject.toml)
# Where it is said which way imports point; the engine's contracts stand in the root's, with those between distributions.
CONTRACTS := pyproject.toml $(filter-out engine/%,$(PYPROJECTS)) training/pyproject.toml services/pitch/pyproject.toml
HOST ?= 127.0.0.1
PORT ?= 8080
DATA ?= data
WATCHED ?= server/src worker/src engine/src services/demucs/src
TESTS ?= engine/tests worker/tests server/tests services/demucs/tests
# Each of the two starts its own service, brokers and databases; without -n, as by `pytest PATH`, everything is in one process.
PYTEST := pytest -n2 --dist=worksteal
IMAGE ?= demucs-server:latest
# Services whose tests run in an environment of their own; tests/test_services.py runs them there
TESTED_SERVICES := $(wildcard services/*/requirements-test.txt)
TESTED_SERVICES := $(TESTED_SERVICES:%/requirements-test.txt=%/.venv/.tested)
# Services that `make services` installs, each into services/NAME/.venv
SERVICES ?= $(notdir $(patsubst %/,%,$(dir $(wildcard services/*/pyproject.toml))))

.DEFAULT_GOAL := help
.PHONY: help setup services lock-services demo serve server-build server-run server-dev web bench test coverage chaos lint format lock wheels version clean

help: ## Show what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(VENV)/.installed ## Install stemwright into .venv

services: $(SERVICES:%=services/%/.venv/.installed) ## Install each service into an environment of its own; SERVICES="demucs" for some

lock-services: services $(VENV)/.tested ## Write the versions in use in the services' environments into their lock files
	for each in $(SERVICES); do \
		PATH="$(abspath $(BIN)):$$PATH" services/$$each/.venv/bin/python scripts/lock.py services/$$each || exit; \
		touch services/$$each/.venv/.installed; \
	done

demo: $(VENV)/.installed ## Separate the example song through the service, and measure the stems
	$(BIN)/python scripts/demo.py

serve: $(VENV)/.installed ## Start the service and leave it running
	$(BIN)/stemwright serve --host $(HOST) --port $(PORT) --data-dir $(DATA)

server-build: ## Build the service's image (needs Docker)
	docker build -f deploy/Dockerfile -t $(IMAGE) .

server-run: ## Run the service's image at http://localhost:8080, for this machine only
	docker run --rm -it --name=demucs-server -p 127.0.0.1:8080:8080 -v demucs-server-data:/data $(IMAGE) stemwright serve --insecure

server-dev: $(VENV)/.tested ## Start the service and start it again whenever its code changes
	$(BIN)/watchfiles --filter python \
		'$(BIN)/stemwright serve --host $(HOST) --port $(PORT) --data-dir $(DATA) --log-level DEBUG' \
		$(WATCHED)

web: ## Build the page into the server package, from web/ (needs Node 20 or newer)
	scripts/install_web_tools.sh
	cd web && npm run --silent build

test: $(VENV)/.tested $(TESTED_SERVICES) lint ## Run all tests
	scripts/install_web_tools.sh
	$(BIN)/python -m $(PYTEST)

coverage: $(VENV)/.tested ## Run the tests of engine, worker, server and services, and show how much of the core they run; TESTS=server/tests/domain for some
	scripts/install_web_tools.sh
	rm -rf out/coverage
	$(BIN)/coverage run -m $(PYTEST) -q $(TESTS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage json -q --fail-under=0
	$(BIN)/python scripts/coverage_table.py

bench: $(VENV)/.tested ## Measure speed and memory side by side with demucs; ROWS="exact start" for some of it
	$(BIN)/python bench/run.py $(if $(ROWS),--only $(ROWS))

chaos: $(VENV)/.tested ## The bars of docs/reliability.md at full length: processes killed, brokers wiped, disks filled
	STEMWRIGHT_CHAOS=long $(BIN)/python -m pytest -m chaos -s

lint: $(VENV)/.tested ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for each in $(CONTRACTS); do PYTHONPATH=$$(dirname $$each)/src $(BIN)/lint-imports --no-cache --config $$each || exit; done

format: $(VENV)/.tested ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.tested ## Write the versions in use, with their hashes, into the lock files
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python scripts/lock.py

wheels: $(VENV)/.tested ## Build a wheel and an sdist of every distribution into dist/
	rm -rf dist
	for project in $(PROJECTS) services/pitch training; do $(BIN)/python -m build --no-isolation --outdir dist $$project || exit; done

version: $(VENV)/.tested ## Set the version of everything: make version TO=0.2.0
	$(BIN)/python scripts/set_version.py $(TO)
	$(MAKE) $(VENV)/.tested
	$(BIN)/python server/scripts/write_docs.py

clean: ## Remove what the targets above made
	rm -rf $(VENV) services/*/.venv out dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -c 'import ensurepip, venv' || { echo 'the venv module is missing: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/pip requirements/torch.txt $(LOCK) VERSION $(PYPROJECTS) scripts/install_torch.sh
	$(LOCKED) -r $(LOCK)
	scripts/install_torch.sh $(BIN)/pip
	$(OURS) $(PROJECTS:%=-e ./%)
	touch $@

# What a service needs for its tests, if they run in its environment: those that have a requirements-test.txt.
services/%/.venv/.tested: services/%/.venv/.installed services/%/requirements-test.lock
	services/$*/.venv/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r services/$*/requirements-test.lock
	touch $@

services/%/.venv/.installed: services/%/pyproject.toml services/%/requirements.txt services/%/requirements.lock worker/pyproject.toml scripts/install_service.sh
	scripts/install_service.sh services/$* $(PYTHON)
	touch $@

$(VENV)/.tested: $(VENV)/.installed $(TEST_LOCKS) training/pyproject.toml scripts/install_test_tools.sh
	scripts/install_test_tools.sh
	$(LOCKED) $(TEST_LOCKS:%=-r %)
	$(OURS) -e ./training
	touch $@
