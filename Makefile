# `make help` lists the targets. Nothing here needs root; everything lands in .venv/ and build/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
RANKS ?= 4
JOBS ?= $(shell nproc)
PLOT ?= demo_curve.png
SOAK ?= 50

ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
BIN := $(ROOT).venv/bin
export PATH := $(BIN):$(PATH)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

ENV_STAMP := .venv/.env-ready
BUILD_STAMP := .venv/.build-ready
TENSORFLOW_STAMP := .venv/.tensorflow-ready
ECOSYSTEM_STAMP := .venv/.ecosystem-ready
TOOLKIT := build/sagemaker-toolkit
SDK2 := build/sagemaker-sdk2
SDK3 := build/sagemaker-sdk3
NATIVE := $(shell find native -type f -not -path 'native/tests/*' -not -path 'native/bench/*')
PYTHON_FILES = $(shell find smddp -name '*.py')
CPP_FILES = $(shell find native \( -name '*.cc' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \))
SHELL_FILES = $(wildcard .ci/run) $(shell find examples tests -name '*.sh')
HAS_DOCTEST = echo '\#include <doctest/doctest.h>' | $${CXX:-c++} -E -x c++ - >/dev/null 2>&1
HAS_BENCHMARK = echo '\#include <benchmark/benchmark.h>' | $${CXX:-c++} -E -x c++ - >/dev/null 2>&1

.PHONY: help env build build-all demo test test-cpp test-python test-gpu test-repeat test-soak parity ecosystem sagemaker lint lint-python \
  lint-cpp format bench bench-cpp bench-check clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(ENV_STAMP) ## Make .venv with PyTorch, an MPI launcher and the build, test and lint tools

$(ENV_STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit("smddp needs Python 3.10 or newer; run make PYTHON=python3.11" if sys.version_info < (3, 10) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing requirements-dev.txt into .venv"
	@$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

build: $(BUILD_STAMP) ## Compile and install smddp into .venv (edits of .py files are live; C++ edits need this again)

build-all: $(TENSORFLOW_STAMP) ## The same with TensorFlow and the adapter for it
	@$(MAKE) --no-print-directory build

$(TENSORFLOW_STAMP): $(ENV_STAMP) requirements-tensorflow.txt requirements-tf-keras.txt
	@echo "Installing requirements-tensorflow.txt into .venv"
	@$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt --requirement requirements-tensorflow.txt
	@$(BIN)/python -m pip install --quiet --no-deps --requirement requirements-tf-keras.txt
	@touch $@

# Editable, because an installed copy would be shadowed by the source folder for everyone who works in this directory.
$(BUILD_STAMP): $(ENV_STAMP) $(wildcard $(TENSORFLOW_STAMP)) pyproject.toml CMakeLists.txt $(NATIVE)
	@echo "Compiling smddp"
	@$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

demo: build ## Train a digit classifier on 4 ranks under mpirun and plot the curve
	@mkdir -p $(dir $(PLOT))
	$(BIN)/smddprun -np $(RANKS) $(BIN)/python examples/02_torch_ddp_digits.py --plot $(PLOT)

test: test-cpp test-python ## Run the C++ and the Python tests

test-cpp: $(ENV_STAMP) ## Run the C++ tests (needs the doctest header)
	@if $(HAS_DOCTEST); then \
	  cmake --preset dev >/dev/null && cmake --build --preset dev --target cpp_tests && ctest --preset dev; \
	else \
	  echo "C++ tests left out: doctest/doctest.h is not installed (apt-get install doctest-dev)"; \
	fi

test-python: build-all ## Run the Python tests (those marked ecosystem, perf, repeat, sagemaker, system or upstream have to be asked for: pytest -m system)
	$(BIN)/python -m pytest

test-gpu: build ## Run the tests that need a GPU; they say what they lack
	$(BIN)/python -m pytest tests/gpu

test-repeat: build-all ## Run the tests that do again, at other random moments, what others do a few times; half an hour
	$(BIN)/python -m pytest -m repeat

# A test that fails once in fifty runs is one that fails for somebody every day.
test-soak: build ## Run all tests SOAK times (default 50), up to the first failure; takes a day
	@for round in $$(seq $(SOAK)); do echo "=== round $$round of $(SOAK)"; $(MAKE) --no-print-directory test; done

parity: build ## Run PyTorch's own distributed tests on smddp and gloo, and write docs/torch-parity.md
	PYTHONPATH=tests $(BIN)/python -m upstream.page

ecosystem: build $(ECOSYSTEM_STAMP) ## Add accelerate, transformers, Lightning and DeepSpeed to .venv, and test them on smddp
	$(BIN)/python -m pytest -m ecosystem

# Both files at once, so that no library brings another torch. DS_BUILD_OPS: DeepSpeed compiles what it needs when it runs.
$(ECOSYSTEM_STAMP): $(ENV_STAMP) requirements-ecosystem.txt
	@echo "Installing requirements-ecosystem.txt into .venv"
	@DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --requirement requirements-dev.txt \
	  --requirement requirements-ecosystem.txt
	@touch $@

sagemaker: build-all ## Train under SageMaker's training toolkit on simulated hosts, and from its SDKs (root, openmpi-bin, openssh-server)
	@$(MAKE) --no-print-directory $(TOOLKIT)/.ready $(SDK2)/.ready $(SDK3)/.ready
	$(BIN)/python -m pytest -m sagemaker

# An environment above .venv, whose PyTorch and TensorFlow it sees: the toolkits want what .venv has in other versions.
# smddp comes as a wheel, as an image has it. The .pth file names a folder only, so .venv's editable smddp stays hidden.
$(TOOLKIT)/.ready: $(BUILD_STAMP) requirements-sagemaker.txt $(PYTHON_FILES)
	@echo "Installing requirements-sagemaker.txt and smddp into $(@D)"
	@test -x $(@D)/bin/python || $(BIN)/python -m venv $(@D)
	@packages="import sysconfig; print(sysconfig.get_path('purelib'))"; \
	  $(BIN)/python -c "$$packages" >"$$($(@D)/bin/python -c "$$packages")/zz_packages_below.pth"
	@$(@D)/bin/python -m pip install --quiet --no-deps --requirement requirements-sagemaker.txt
	@rm -rf build/wheel
	@$(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir build/wheel .
	@$(@D)/bin/python -m pip install --quiet --no-deps --force-reinstall build/wheel/smddp-*.whl
	@touch $@

$(SDK2)/.ready: requirements-sagemaker-sdk2.txt requirements-sagemaker-sdk2-no-deps.txt
	@echo "Installing requirements-sagemaker-sdk2.txt into $(@D)"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --requirement requirements-sagemaker-sdk2.txt
	@$(@D)/bin/python -m pip install --quiet --no-deps --requirement requirements-sagemaker-sdk2-no-deps.txt
	@touch $@

$(SDK3)/.ready: requirements-sagemaker-sdk3.txt requirements-sagemaker-sdk3-no-deps.txt
	@echo "Installing requirements-sagemaker-sdk3.txt into $(@D)"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --no-deps --requirement requirements-sagemaker-sdk3-no-deps.txt
	@$(@D)/bin/python -m pip install --quiet --requirement requirements-sagemaker-sdk3.txt
	@touch $@

lint: lint-python lint-cpp ## Run every static check

lint-python: $(ENV_STAMP) ## ruff, mypy, shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v shellcheck >/dev/null; then shellcheck $(SHELL_FILES); \
	else echo "shellcheck left out: not installed (apt-get install shellcheck)"; fi

lint-cpp: $(ENV_STAMP) ## clang-format, clang-tidy, self-contained headers
	$(BIN)/clang-format --dry-run -Werror $(CPP_FILES)
	@cmake --preset dev >/dev/null
	cmake --build --preset dev --target check_headers
	$(BIN)/run-clang-tidy.py -quiet -j $(JOBS) -p build/dev '$(ROOT)native/src/.*\.cc$$'

format: $(ENV_STAMP) ## Rewrite the sources the way `make lint` wants them
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_FILES)

bench: build bench-cpp ## Time kernels, calls and all_reduce beside the machine's limits, and beside gloo through torch.distributed
	$(BIN)/smddp bench --ranks 2
	$(BIN)/smddp bench --ranks 2 -b 16 -f 4 --compare gloo --compare torch

bench-cpp: $(ENV_STAMP) ## Time kernels, queue, plans and calls in C++ (needs google-benchmark)
	@if $(HAS_BENCHMARK); then \
	  cmake --preset bench >/dev/null && cmake --build --preset bench --target native_bench && \
	  build/bench/native/bench/native_bench; \
	else \
	  echo "C++ benchmarks left out: benchmark/benchmark.h is not installed (apt-get install libbenchmark-dev)"; \
	fi

bench-check: build ## Check that no ratio to gloo or to the machine's limits got much worse
	$(BIN)/python -m pytest -m perf -s tests/perf

clean: ## Remove what was compiled
	rm -rf build $(BUILD_STAMP)

distclean: clean ## Remove .venv as well
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
