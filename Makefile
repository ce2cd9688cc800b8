# Two commands do all of their own set-up in .venv:  make demo  and  make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo docs test check lint bench build clean

$(BIN)/activate:
	$(PYTHON) -m venv $(VENV)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP := $(INSTALL) -c requirements.lock

# stamps for what is installed, newer than the constraints and the project file: what a user runs, what the tests need
$(VENV)/running: $(BIN)/activate requirements.lock pyproject.toml
	$(PIP) setuptools
	$(PIP) --no-build-isolation -e '.[demo,onnx]'
	touch $@

# by hash, but torch, whose build differs by machine
$(VENV)/installed: $(BIN)/activate requirements.lock requirements-hashed.txt pyproject.toml
	$(INSTALL) --require-hashes --no-deps -r requirements-hashed.txt
	$(PIP) --no-build-isolation -e '.[docs,test]'
	touch $@

$(VENV)/developing: $(VENV)/installed
	$(PIP) --no-build-isolation -e '.[dev]'
	touch $@

demo: $(VENV)/running
	$(BIN)/python examples/demo.py

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

# what to run before each commit: a minute
check: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not extra"

lint: $(VENV)/developing
	$(BIN)/ruff check src tests benchmarks examples experiments
	$(BIN)/ruff format --check src tests benchmarks examples experiments
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed
	$(BIN)/python -m mkdocs build

bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py

build: $(VENV)/developing
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist output
