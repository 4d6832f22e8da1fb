# `make demo` and `make test` need Python 3.11+ with venv, and nothing else; each makes its environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

# Tests that use each dependency: headers, decoders, indices, storage over S3 and HTTP, Dask's tasks, both programs.
LOWEST := tests/core tests/dicom tests/index tests/kinds tests/render tests/storage/backends tests/storage/test_objects.py \
	tests/idc tests/batch/manifest tests/batch/runs tests/batch/cluster tests/batch/test_run.py \
	tests/cli/test_batch_commands.py tests/cli/test_series_commands.py tests/web/test_gallery.py

.PHONY: demo test test-lowest check fuzz bench docs clean

# Prints the path of the gallery first: the page that shows all previews.
demo: .venv/demo
	$(BIN)/dsp-batch demo

test: check
	$(BIN)/pytest --numprocesses auto --dist loadgroup

check: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# With the lowest versions that pyproject.toml declares, in an environment of their own.
test-lowest: .lowest/test
	.lowest/bin/pytest --numprocesses auto --dist loadgroup $(LOWEST)

# Odd input of all kinds for SECONDS in all; inputs that fail are kept in .fuzz, with the command that tries them again.
SECONDS ?= 600
fuzz: .venv/test
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS)

# Minutes on a quiet machine; `python tests/benchmarks/run.py --help` shows how to measure a part.
bench: .venv/test
	$(BIN)/python tests/benchmarks/run.py

# Pages and pictures that the tool itself writes: the CLI reference and the images of docs/.
docs: .venv/test
	$(BIN)/python docs/make_docs.py

clean:
	rm -rf .venv .lowest .fuzz demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.lowest/test: pyproject.toml tests/lowest_versions.py .venv/bin/python
	$(PYTHON) -m venv .lowest
	$(BIN)/python tests/lowest_versions.py > .lowest/constraints.txt
	.lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint .lowest/constraints.txt --editable '.[test]'
	touch $@

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
