# Every target works as the first command in a fresh clone: each makes .venv if it is missing.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
DEMO_BETAS ?= 0.01:10:log12
DEMO_EPOCHS ?= 100
MNIST := runs/mnist
DATA_DIR ?= $(HOME)/tensorflow_datasets

.DEFAULT_GOAL := help
.PHONY: help install demo test check pythons bench faults healthy mnist clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

install: .venv/installed ## Make .venv and install the package with its test tools

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: install ## Sweep the embedded digits and draw the figures (about a minute)
	$(BIN)/rd-sweep $(DEMO) --dataset digits --binarize dynamic --betas $(DEMO_BETAS) --latents 16 --epochs $(DEMO_EPOCHS)
	$(BIN)/rd-plot $(DEMO) -o $(DEMO)/curve.png
	$(BIN)/rd-plot $(DEMO) -o $(DEMO)/information.png --kind information
	$(BIN)/rd-plot $(DEMO) -o $(DEMO)/gallery.png --kind gallery

test: install ## Run the tests
	$(BIN)/python -m pytest

check: install ## Formatting, lint, types and tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/python -m pytest

pythons: install ## Check the numbers on every Python that is found, and hold their tables together
	.ci/pythons

.venv-3.%/installed: pyproject.toml
	$(PYTHON) -m venv .venv-3.$*
	.venv-3.$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

bench: install .venv-torch/installed ## Measure the engine side by side with what a user would write instead
	$(BIN)/python tests/benchmarks/bench.py --torch .venv-torch/bin/python

.venv-torch/installed:
	$(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
	touch $@

faults: install ## Plant faults: do --verify and the tests see each? (about 40 minutes on 2 free cores)
	$(BIN)/python tests/benchmarks/faults.py

healthy: install ## Run 200 sweeps of random settings and list rows that are suspect (half an hour)
	XLA_FLAGS=--xla_backend_optimization_level=0 $(BIN)/python tests/benchmarks/healthy_sweeps.py

mnist: install ## Sweep statically binarised MNIST, prepared by TFDS in DATA_DIR (about 2 minutes)
	$(BIN)/rd-sweep $(MNIST) --config examples/mnist.toml --data-dir $(DATA_DIR)
	$(BIN)/rd-plot $(MNIST) -o $(MNIST)/curve.png
	$(BIN)/rd-plot $(MNIST) -o $(MNIST)/information.png --kind information
	$(BIN)/rd-plot $(MNIST) -o $(MNIST)/gallery.png --kind gallery

clean: ## Remove environments, caches and the runs of demo, mnist and pythons
	rm -rf .venv .venv-torch .venv-3.* build *.egg-info .pytest_cache .ruff_cache .hypothesis
	rm -rf $(DEMO) $(MNIST) runs/python-3.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
