# Needs Python 3.11.5 or later, make and git. Each target first installs the pinned requirements
# into .venv, if they are not there yet.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book pdf test lint types unit check nbval test-browser notebooks lab bench comparison mutants fuzz dist clean

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
PIP := $(RUN) pip install --quiet --disable-pip-version-check
SOURCES := _config.yml _toc.yml references.bib \
	$(wildcard chapters/api/*.rst chapters/*.md chapters/*.rst chapters/*.ipynb chapters/_*/* _ext/*.py mflib/*.py mflib/*/*)

export PYTHONUTF8 := 1

# Tests and chapters: two processes, and in each of them one thread for linear algebra. More threads
# only wait for each other there, and one rounds the same everywhere.
JOBS ?= 2
THREADS ?= 1
unit nbval notebooks: export OMP_NUM_THREADS := $(THREADS)

# make unit nbval PORTABLE=1: the same packages, computing as on an x86-64 processor of 2004. Matrix
# products, sums, exp and powers are then rounded otherwise.
ifdef PORTABLE
unit nbval: export OPENBLAS_CORETYPE := Prescott
unit nbval: export MKL_CBWR := COMPATIBLE
unit nbval: export ATEN_CPU_CAPABILITY := default
unit nbval: export NPY_DISABLE_CPU_FEATURES := X86_V3 X86_V4 AVX512_ICL AVX512_SPR
unit nbval: export GLIBC_TUNABLES := glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-FMA,-FMA4
endif

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

book: _build/.done  ## build the book from the stored outputs
	@echo "The book is at $(CURDIR)/_build/html/index.html"

pdf: _build/.done  ## bind the book into one PDF; needs Chromium
	@echo "== PDF"
	$(RUN) tools.pdf

test: lint types unit check nbval book test-browser  ## everything that CI runs

lint: $(VENV)/.done  ## style
	@echo "== style"
	$(RUN) ruff check
	$(RUN) ruff format --check

types: $(VENV)/.done  ## type annotations
	@echo "== types"
	$(RUN) mypy

unit: $(VENV)/.done  ## unit tests, doctests and their coverage; make unit PYTEST=--random-order
	@echo "== unit tests"
	MPLBACKEND=agg $(RUN) pytest --cov -n $(JOBS) --dist loadgroup $(PYTEST)
	$(RUN) coverage json -q --fail-under=0 -o - | $(RUN) tools.branches

check: $(VENV)/.done  ## each notebook agrees with its source, mflib and our rules
	@echo "== notebooks against their sources"
	$(RUN) tools.sources --check
	$(RUN) tools.readme_figure --check
	$(RUN) tools.notebooks check

nbval: export MPLBACKEND := module://matplotlib_inline.backend_inline
nbval: $(VENV)/.done  ## execute every notebook and compare with its stored outputs
	@echo "== notebooks against their stored outputs"
	$(RUN) pytest --nbval --nbval-current-env --nbval-cell-timeout 300 \
		--nbval-sanitize-with tests/nbval.cfg -p tests.kernels -n $(JOBS) --dist loadfile chapters

test-browser: _build/.done  ## every page in Chromium or Chrome, offline; skipped where there is none
	@echo "== pages in a browser"
	$(RUN) pytest -q -n $(JOBS) --dist loadfile tests/browser

notebooks: export MPLBACKEND := module://matplotlib_inline.backend_inline
notebooks: $(VENV)/.done  ## execute what changed; make notebooks NOTEBOOKS="--all NAME" in any case
	$(RUN) tools.sources
	$(RUN) tools.notebooks refresh $(NOTEBOOKS)
	$(RUN) tools.readme_figure
	$(RUN) tools.notebooks check

lab: $(VENV)/.lab  ## open the chapters in JupyterLab
	$(VENV)/bin/jupyter lab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/chapters/index.ipynb

bench: export MPLBACKEND := module://matplotlib_inline.backend_inline
bench: $(VENV)/.bench  ## time mflib beside the plain ways; make bench BENCH="--only limit"
	$(RUN) pytest -q tests/test_benchmarks.py
	$(RUN) benchmarks.run --json benchmarks/results.json $(BENCH)
	$(RUN) tools.notebooks refresh --all benchmarks

comparison: export OMP_NUM_THREADS := 1
comparison: $(VENV)/.comparison  ## hold mflib beside other packages: benchmarks/comparison.csv
	$(RUN) benchmarks.comparison

mutants: $(VENV)/.mutants  ## change mflib and see if the tests notice; make mutants MUTANTS="flow"
	$(RUN) tools.mutants --jobs $(JOBS) $(MUTANTS)

fuzz: export OMP_NUM_THREADS := 1
fuzz: export MPLBACKEND := agg
fuzz: $(VENV)/.done  ## random problems against independent answers, 15 minutes; make fuzz FUZZ="--seed 1 flow"
	$(RUN) tools.fuzz --jobs $(JOBS) $(FUZZ)

dist: $(VENV)/.dist  ## build sdist and wheel, check them, and try the wheel where nothing else is
	rm -rf dist
	$(RUN) build --no-isolation --outdir dist .
	$(RUN) twine check --strict dist/*
	$(RUN) tools.clean_install dist/*.whl

clean:  ## remove the built book and the caches; .venv stays
	rm -rf _build build dist .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -exec rm -rf {} +

# A full build each time: an incremental one repeats no warning. There only when all went well, and
# as old as its beginning: what is edited meanwhile counts as newer.
_build/.done: $(VENV)/.done $(SOURCES)
	@echo "== book"
	@mkdir -p _build
	@rm -f $@
	@touch _build/.begun
	$(VENV)/bin/jupyter-book build . --all -W -n --keep-going
	@mv _build/.begun $@

# JupyterLab is a requirement of `make lab` only.
$(VENV)/.lab: tools/requirements-lab.txt $(VENV)/.done
	$(PIP) --no-build-isolation -r requirements.txt -r $<
	touch $@

# CVXPY is a requirement of the benchmarks only. All pins together, so that none moves another.
$(VENV)/.bench: benchmarks/requirements.txt $(VENV)/.done
	$(PIP) --no-build-isolation -r requirements.txt -r $<
	touch $@

# JAX and the other packages that we compare with are requirements of `make comparison` only.
$(VENV)/.comparison: benchmarks/requirements-comparison.txt $(VENV)/.bench
	$(PIP) --no-build-isolation --no-deps -r $<
	touch $@

# build and twine are requirements of `make dist` only.
$(VENV)/.dist: tools/requirements-dist.txt $(VENV)/.done
	$(PIP) --no-build-isolation -r requirements.txt -r $<
	touch $@

# mutmut is a requirement of `make mutants` only.
$(VENV)/.mutants: tools/requirements-mutants.txt $(VENV)/.done
	$(PIP) --no-build-isolation -r requirements.txt -r $<
	touch $@

# First what the lock file vouches for by its hashes; then Torch, which has other files for each kind
# of processor, and mflib.
$(VENV)/.done: requirements.txt requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("the book needs Python 3.11.5 or later: make PYTHON=python3.12 ..." if sys.version_info < (3, 11, 5) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-deps --require-hashes -r requirements.lock
	$(PIP) --no-build-isolation -r requirements.txt
	touch $@
