# `make demo` and `make test` need Python 3.11+ with venv, and nothing else; each makes its environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench docs clean

# Prints the path of the gallery first: the page that shows all previews.
demo: .venv/demo
	$(BIN)/dsp-batch demo

test: check
	$(BIN)/pytest --numprocesses auto --dist loadgroup

check: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Minutes on a quiet machine; `python tests/benchmarks/run.py --help` shows how to measure a part.
bench: .venv/test
	$(BIN)/python tests/benchmarks/run.py

# Pages and pictures that the tool itself writes: the CLI reference and the images of docs/.
docs: .venv/test
	$(BIN)/python docs/make_docs.py

clean:
	rm -rf .venv demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip

.venv/demo: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ .venv/demo
