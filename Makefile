# Every target works as the first command in a fresh clone: each makes .venv if it is missing.
PYTHON ?= python3
BIN := .venv/bin
# Two processes, each with whole files: a file trains and compiles what its tests share once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
# These are about what XLA compiles for users. The others need no last digit: without XLA's emitters
# of fusions their programs take three fifths of the time to compile.
AS_USERS := tests/cli tests/engine tests/estimators tests/measuring tests/sweeping tests/verify
define run-tests
	XLA_FLAGS=--xla_cpu_use_fusion_emitters=false $(PYTEST) $(1) $(addprefix --ignore=,$(AS_USERS))
	$(PYTEST) $(1) $(AS_USERS)
endef
DEMO := runs/demo
DEMO_BETAS ?= 0.01:10:log12
DEMO_EPOCHS ?= 100
MNIST := runs/mnist
DATA_DIR ?= $(HOME)/tensorflow_datasets

.DEFAULT_GOAL := help
.PHONY: help install demo lint test test-quick check wheel pythons bench faults fuzz soak healthy mnist field clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'

install: .venv/installed ## Make .venv and install the package with its test tools (1 to 2 minutes)

# Also makes .venv-3.12 and the like, with PYTHON=python3.12.
%/installed: pyproject.toml
	@echo "Installing ratedistortion, JAX and the test tools into $*: 1 to 2 minutes, 1.3 GB on disk."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed: make install PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $*
	@$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: install ## Sweep the embedded digits and draw three figures (about a minute on two free cores)
	$(BIN)/rd-sweep $(DEMO) --dataset digits --binarize dynamic --betas $(DEMO_BETAS) --latents 16 --epochs $(DEMO_EPOCHS)
	$(BIN)/rd-plot $(DEMO) -o $(DEMO)/curve.png
	$(BIN)/rd-plot $(DEMO) -o $(DEMO)/information.png --kind information
	$(BIN)/rd-plot $(DEMO) -o $(DEMO)/gallery.png --kind gallery

lint: install ## Check formatting, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright

test: install ## Run all tests (about 15 minutes on two free cores)
	@echo "All tests take about 15 minutes on two free cores; 'make test-quick' takes about 7."
	$(call run-tests)

test-quick: install ## Run the tests that are not marked slow (about 7 minutes on two free cores)
	@echo "The quick tests take about 7 minutes on two free cores."
	$(call run-tests,-m "not slow")

check: lint test ## Formatting, lint, types and all tests

wheel: ## Build the wheel, install it into an empty environment and run it there (about 2 minutes)
	.ci/wheel $(PYTHON)

pythons: install ## Check that other Pythons compute the same (about 10 minutes for each one found)
	.ci/pythons

bench: install .venv-torch/installed ## Time the engine beside what a user would write instead
	$(BIN)/python tests/benchmarks/bench.py --torch .venv-torch/bin/python

.venv-torch/installed:
	@echo "Installing PyTorch into .venv-torch, for the benchmark only: a few minutes."
	@$(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
	@touch $@

faults: install ## Plant faults: do --verify and the tests see each? (about 40 minutes on two free cores)
	$(BIN)/python tests/benchmarks/faults.py

fuzz: install ## Damage files of every format: does each reader refuse them? (a minute each, 10 in all)
	$(BIN)/python tests/benchmarks/fuzz.py

soak: install ## Disturb operations on files, flip bits, kill sweeps: is each survived? (about 40 minutes)
	$(BIN)/python tests/benchmarks/soak.py

healthy: install ## Run 200 sweeps of random settings and list suspect rows (half an hour)
	XLA_FLAGS=--xla_backend_optimization_level=0 $(BIN)/python tests/benchmarks/healthy_sweeps.py

mnist: install ## Sweep statically binarised MNIST, prepared by TFDS in DATA_DIR (about 4 minutes)
	$(BIN)/rd-sweep $(MNIST) --config examples/mnist.toml --data-dir $(DATA_DIR)
	$(BIN)/rd-plot $(MNIST) -o $(MNIST)/curve.png
	$(BIN)/rd-plot $(MNIST) -o $(MNIST)/information.png --kind information
	$(BIN)/rd-plot $(MNIST) -o $(MNIST)/gallery.png --kind gallery

field: install ## Run the recipes of examples/field again and compare (about 25 minutes on two free cores)
	$(BIN)/python examples/field/run.py --data-dir $(DATA_DIR)

clean: ## Remove environments, caches, builds and the runs of demo, mnist and pythons
	rm -rf .venv .venv-torch .venv-3.* build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	rm -rf $(DEMO) $(MNIST) runs/field runs/python-3.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
