# `make` or `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
HOST ?= 127.0.0.1
PORT ?= 9090
LABEL_STUDIO_PORT ?= 8080
STUDIO_VENV := .venv-ls
# torch without CUDA comes from PyTorch's own index, given up after five seconds where it is not reached.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# The first Python on the PATH for which there are wheels of everything.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$python && break; done)

.PHONY: help setup serve demo lint test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.development ## install everything into .venv

serve: $(VENV)/.runtime ## serve on HOST and PORT (127.0.0.1, 9090)
	exec $(PY) -m backend serve --host $(HOST) --port $(PORT)

demo: $(VENV)/.runtime $(STUDIO_VENV)/.installed ## a real Label Studio to click in (CHECK=1: one click, then stop)
	exec $(PY) -m demo --label-studio-port $(LABEL_STUDIO_PORT) --port $(PORT) $(if $(CHECK),--check)

lint: $(VENV)/.development ## style, types, and who may import whom
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# A process for each: torch that trains and OpenVINO's engines of hundreds of tests crash one that holds them all.
ROOMS := $(patsubst tests/%/,%,$(filter-out %/photos/ %/recordings/ %/__pycache__/,$(wildcard tests/*/)))

test: $(VENV)/.development $(STUDIO_VENV)/.installed ## the tests; those in Label Studio's page need chromium
	$(foreach room,$(ROOMS),$(PY) -m pytest tests/$(room) &&) $(PY) -m pytest tests/*.py

# The stamps below are files, so that a second run has nothing to do.
$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11, 3.12 or 3.13 on the PATH: install one, or say where: make setup PYTHON=/path/to/python3.11" >&2; \
		exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --upgrade pip
	touch $@

$(VENV)/.runtime: $(VENV)/.python requirements.txt
	sh docker/install_torch.sh $(PY) $(TORCH_INDEX)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.development: $(VENV)/.runtime requirements-dev.txt requirements-no-deps.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-no-deps.txt
	touch $@

# Label Studio asks for other versions of what the backend uses: it lives apart.
$(STUDIO_VENV)/.installed: $(VENV)/.python demo/requirements.txt
	@echo "Installing Label Studio into $(STUDIO_VENV): a few minutes, once"
	$(PYTHON) -m venv $(STUDIO_VENV)
	$(STUDIO_VENV)/bin/pip install --quiet --disable-pip-version-check -r demo/requirements.txt
	touch $@
