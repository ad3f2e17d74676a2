# Two commands are all a newcomer needs: `make demo` and `make test`.
# Each makes its own virtual environment (.venv) first, with the pinned packages.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TESTS ?=
# Folds and models are small, and two test processes share the cores.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help demo test test-oldest test-deeplake3 docs lint format clean

help:  ## Say what there is
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[torch,hub,plot,cli]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[docs]'
	@touch $@

# For the check of accessibility in the report's browser tests; they say so without it.
node_modules/axe-core:
	@if command -v npm >/dev/null; then \
	  npm install --no-save --no-audit --no-fund --silent axe-core@4; \
	else echo "npm is missing: the check of accessibility is skipped"; fi

demo: $(VENV)/.demo  ## Find planted wrong labels in images, end to end
	env -u OMP_NUM_THREADS -u OPENBLAS_NUM_THREADS $(BIN)/python -m hubclean demo

test: $(VENV)/.dev node_modules/axe-core  ## Run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

# The Hub line before Deep Lake 4, which needs numpy < 2: an environment of its own.
.venv-deeplake3/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-deeplake3
	.venv-deeplake3/bin/python -m pip install -q 'deeplake==3.9.52' 'numpy<2' 'pandas<3' 'pillow<11' \
	  pytest pytest-timeout -e .
	@touch $@

test-deeplake3: .venv-deeplake3/.ready  ## Run the workflow on deeplake 3.9.52
	.venv-deeplake3/bin/python -m pytest -q -p no:cacheprovider tests/deeplake3

.venv-oldest/.ready: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install -q -c constraints-oldest.txt torch==2.13.0 skorch \
	  tensorflow-cpu keras scikeras imbalanced-learn hypothesis pytest pytest-timeout polars -e .
	@touch $@

# What estimators and adapters promise, on the oldest versions they support.
test-oldest: .venv-oldest/.ready  ## Run core and adapters on the oldest versions
	.venv-oldest/bin/python -m pytest -o addopts= --import-mode=importlib -W default \
	  tests/test_cleaner.py tests/test_sampler.py tests/test_estimator_checks.py \
	  tests/test_find_label_issues.py tests/test_bad_input.py tests/test_rows.py \
	  tests/test_evidence.py tests/test_label_correction.py tests/test_auto_rule.py \
	  tests/test_keras_classifier.py tests/test_keras_data.py \
	  tests/test_keras_rebuild.py tests/test_keras_targets.py tests/adapters tests/pytorch

docs: $(VENV)/.docs  ## Build the documentation and run its code, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	HUBCLEAN_DOCS_PLOTS=0 $(BIN)/python -m sphinx -q -b doctest docs docs/_build/doctest

lint: $(VENV)/.dev  ## Check style, spelling and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell README.md CHANGES.md docs hubclean benchmarks tests
	$(BIN)/mypy

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environments and what the demo wrote
	rm -rf $(VENV) .venv-deeplake3 .venv-oldest demo-output docs/_build
