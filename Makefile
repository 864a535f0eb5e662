# Everything runs in a private .venv; its stamp is renewed when what is to be installed changes.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
BENCH_STAMP := $(VENV)/installed-bench
PYTHON ?= python3
DEMO := runs/demo

.PHONY: demo test lint bench tour clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	rm -rf $(DEMO)
	$(BIN)/faltung train digits --repeat 5 --target-accuracy 0.99 --out $(DEMO)
	$(BIN)/faltung predict $(DEMO)/seed-0 $(DEMO)/seed-0/samples/*.png

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --cov --cov-report=term-missing:skip-covered

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	touch $@

bench: $(BENCH_STAMP)
	$(BIN)/faltung bench

tour: $(STAMP)
	$(BIN)/python notebooks/run.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
