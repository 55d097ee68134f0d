# Two commands matter: `make bench` and `make test`. Nothing needs to be installed beforehand but Python, gcc and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
READY := $(VENV)/ready
ARGS ?=
REPEATS ?= 50
SECONDS ?= 60
BENCHES := $(addprefix tests/processes/test_,bench.py bench_peers.py bench_servers.py model_server.py)
# Tests mostly wait, so more of them at a time than there are processors.
PYTEST := $(BIN)/python -m pytest -n 4 --dist worksteal

CORE := $(wildcard native/include/ipckit/*.h native/src/*.[ch] native/lane/*.[ch]) native/build_ffi.py setup.py
BUILT := build/built
# What pip has built, when it installed ipckit, need not be built again.
STALE = $(if $(shell ls ipckit/_lane.*so 2>/dev/null),$(shell find $(CORE) -newer $(READY)),all)

.DEFAULT_GOAL := help
.PHONY: help bench bench-peers test build check lint types test-bench test-c pythons stress asan tsan mutate fuzz-rpc repeat docs wheel fix clean distclean

help: ## this list
	@echo "ipckit: inter-process communication on Linux"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || \
		sed -n 's/^\([a-z-]*\):.*## /  make \1: /p' $(MAKEFILE_LIST)
	@echo
	@echo "make bench ARGS='--quick --only pipe,spsc' passes arguments on; PYTHON=python3.12 chooses an interpreter"

bench: build ## compare every primitive on this machine: table, results/bench.json and results/bench.html
	@mkdir -p results
	$(BIN)/ipckit bench --json results/bench.json --html results/bench.html $(ARGS)

bench-peers: $(PEERS)/ready build ## compare with other packages, in versions of their own: table and benchmarks/results/*.json
	$(PEERS)/bin/python -m benchmarks.peers $(ARGS)

$(PEERS)/ready: pyproject.toml benchmarks/peers/requirements.txt $(READY)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement benchmarks/peers/requirements.txt
	$(PEERS)/bin/python -m pip install --quiet --editable '.[cli,numpy]'
	@touch $@

test: build ## the tests (some three minutes)
	$(PYTEST) -m 'not stress and not apart' $(ARGS)

build: $(BUILT) ## the virtual environment and the C core

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("ipckit needs Python 3.10 or later, and $(PYTHON) is " + sys.version.split()[0] + \
		": try make PYTHON=python3.12") if sys.version_info < (3, 10) else None'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) lacks venv; install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(BUILT): $(READY) $(CORE)
	$(if $(STALE),$(BIN)/python setup.py -q build_ext --inplace)
	@mkdir -p $(@D)
	@touch $@

check: lint types test test-bench test-c ## what CI runs: lint, types, C warnings as errors, layering, tests, examples of the documents

lint: build ## format and lint, Python and C
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python native/build_stubs.py --check
	$(MAKE) -C native lint
	$(MAKE) -C native lint-lane PYTHON_INCLUDE=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')

types: build ## mypy --strict, of ours and of programs as users write them
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m apart tests/typing

test-bench: build ## the tests of the benchmarks: whole runs, also killed and interrupted ones
	$(PYTEST) -m apart $(BENCHES)

test-c: build ## the C core's tests, which need no Python: every kill point, and some seconds of each storm
	$(BIN)/python -m pytest -m apart tests/processes/test_native.py

asan: ## the C core's tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$(MAKE) -C native asan

tsan: ## the C core's tests under ThreadSanitizer
	$(MAKE) -C native tsan

mutate: ## weaken each memory order of the C core in turn; a test must fail
	$(MAKE) -C native mutate

stress: build ## kill sweeps and storms, soaks and fuzzing, and the whole suite again and again (REPEATS=50)
	$(MAKE) -C native sweep ARGS=
	$(MAKE) -C native sweep ARGS=every
	$(MAKE) -C native storm
	$(MAKE) -C native storm-sync SECONDS=600
	$(MAKE) -C native storm-rings SECONDS=600
	$(MAKE) -C native fuzz SECONDS=600
	$(MAKE) -C native fuzz-planted
	$(MAKE) fuzz-rpc SECONDS=600
	$(BIN)/python -m pytest -m stress $(ARGS)
	IPCKIT_EXAMPLES=20 $(PYTEST) $$(grep -l 'examples(' tests/*/test_*.py)
	$(MAKE) repeat

fuzz-rpc: build ## fuzz what ipckit.rpc reads from peers with libFuzzer, SECONDS=60 for each of its two halves
	@mkdir -p build; why=$$($(BIN)/python -m pip install -q --only-binary atheris 'atheris>=3' 2>&1) || \
		{ echo "fuzz-rpc: nothing was fuzzed, for atheris cannot be installed: $$(echo "$$why" | tail -n 1)"; exit 0; }; \
	for name in $(basename $(notdir $(wildcard tests/rpc/fuzz_*.py))); do \
		$(BIN)/python -m tests.rpc.$$name -max_total_time=$(SECONDS) -artifact_prefix=build/$$name- || exit 1; done

pythons: build ## the suite on each other supported Python of this machine, in virtual environments of their own
	@$(BIN)/python tests/pythons.py | while read -r version path; do echo "Python $$version"; \
		$(MAKE) test PYTHON=$$path VENV=.venv-$$version BUILT=build/built-$$version \
			ARGS='-q -m "not stress and not slow and not apart" $(ARGS)' </dev/null || exit 1; done

repeat: build ## the suite REPEATS times over: no flake
	@for i in $$(seq $(REPEATS)); do echo "repeat $$i of $(REPEATS)"; \
		$(PYTEST) -q -x -m 'not stress and not apart' || exit 1; done

docs: build ## run the examples of the documents, and look for the test of each claim in docs/conformance
	$(PYTEST) tests/docs

wheel: build ## sdist and wheel, in dist/
	$(BIN)/python -m build

fix: build ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## what was built
	rm -rf build dist results *.egg-info ipckit/*.so
	$(MAKE) -C native clean

distclean: clean ## and the virtual environments
	rm -rf $(VENV) $(VENV)-*
