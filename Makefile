# `make repro` and `make test` set up what they need; a second call installs nothing.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# mmcv's operators are compiled once: as many jobs as cores
export MAX_JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export PATH := $(abspath $(BIN)):$(PATH)

# exits with 0 where mmcv's operators for GPUs can be compiled: nvcc is of torch's CUDA
define NVCC_FITS
import re, subprocess, sys, torch
from torch.utils.cpp_extension import CUDA_HOME
try:
    said = subprocess.check_output([f"{CUDA_HOME}/bin/nvcc", "--version"], text=True)
except OSError:
    sys.exit(1)
sys.exit(re.search(r"release (\d+)", said)[1] != torch.version.cuda.split(".")[0])
endef
# prints what else is needed: torchvision's operators where torch runs on GPUs and mmcv does not
define EXTRA
import torch, mmcv.ops
lacking = torch.version.cuda and mmcv.ops.get_compiling_cuda_version() == "not available"
print("[torchvision]" if lacking else "")
endef
export NVCC_FITS EXTRA

# DVC needs a repository; known before half an hour of installing
ifneq (,$(filter repro smoke test test-all,$(MAKECMDGOALS)))
GIT := $(shell LC_ALL=C git rev-parse --is-inside-work-tree 2>&1)
ifneq ($(GIT),true)
$(error DVC needs the project in a git repository ($(GIT)): `git clone` it instead of downloading \
an archive, or run `git init && git add --all && git commit --message start`)
endif
endif

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(VENV)/installed ## install, then run the whole pipeline on params.yaml
	dvc repro

smoke: $(VENV)/installed ## the whole chain, tiny, in a copy of the project under .smoke/
	rm -rf .smoke
	python -m pipeline.presets copy smoke .smoke
	cd .smoke && dvc repro

test: $(VENV)/tested ## install, then lint and run the tests
	ruff check .
	pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: $(VENV)/tested ## the slow tests too
	pytest -n 2 --dist loadfile --no-loadscope-reorder

install: $(VENV)/installed ## only install

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	pip install --quiet --upgrade pip 'setuptools<81' wheel ninja psutil
	pip install torch==2.13.0
	python -c "$$NVCC_FITS" || export CUDA_VISIBLE_DEVICES= FORCE_CUDA=0; \
	    pip install --no-build-isolation onedl-mmcv==2.3.6
	extra=$$(python -c "$$EXTRA") && pip install --editable ".$$extra"
	touch $@

$(VENV)/tested: $(VENV)/installed
	pip install --editable '.[test]'
	touch $@

clean: ## remove checkpoints of finished and abandoned runs
	python -m pipeline.training clean

.PHONY: help repro smoke test test-all install clean
