# Each target sets up what it needs in .venv and then runs. A fresh machine needs Python 3.11 or newer, make and a C++20
# compiler; nothing is installed outside this directory. Arguments of the tool behind a target go into ARGS:
#     make test ARGS="tests/bench -k json"        make bench ARGS="--op logsumexp --shape 512,32000"

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/stamps
ENGINE := build/engine
SANITIZED := build/sanitize

# The directories too: their times change when a file comes or goes.
SOURCES := pyproject.toml CMakeLists.txt README.md $(shell find csrc src -name __pycache__ -prune -o -print)

CXX_SOURCES = find csrc tests -name '*.[ch]pp'

.PHONY: help verify test bench lint format install rules neon exhaustive sanitize clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/    make \1	\2/p' Makefile | expand -t 20

verify: $(STAMPS)/package ## check the article's claims and the accuracy of normexp and its peers
	$(BIN)/normexp verify $(ARGS)

# In two processes, a file in one of them: half of the tests use one thread, or wait.
test: lint ## run the linters and all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

bench: $(STAMPS)/package ## time normexp beside its peers
	$(BIN)/normexp bench $(ARGS)

lint: $(STAMPS)/package $(STAMPS)/tools ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(CXX_SOURCES) -exec $(BIN)/clang-format --dry-run -Werror {} +

format: $(STAMPS)/tools ## set the style right where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(CXX_SOURCES) -exec $(BIN)/clang-format -i {} +

install: $(STAMPS)/package $(STAMPS)/tools ## only set up .venv: the package, its peers, the development tools

rules: $(STAMPS)/package ## write the pages of the rules of normexp check
	$(BIN)/python -m normexp.check.pages docs/rules

neon: $(STAMPS)/package ## compile the engine for AArch64 and, under QEMU, compare the bits of its results
	$(BIN)/python tools/neon.py

exhaustive: ## hold the exponential of every float against exact values: some minutes (GCC)
	mkdir -p build
	$(CXX) -std=c++20 -O2 -march=native -ffp-contract=off -Wall -Wextra -Wno-psabi -Wno-maybe-uninitialized \
	    -Wno-uninitialized -DNORMEXP_LEVEL=native -Icsrc tests/exhaustive/exp.cpp -o build/exhaustive -pthread
	build/exhaustive

# The engine once more, under AddressSanitizer and UndefinedBehaviorSanitizer, ahead of the installed one on the path.
# Python is not built with them, so the runtime is loaded first, and the C++ library with it, whose exceptions it wraps.
# The leak check is off because Python itself leaves memory behind; its own allocator is off because it hides overruns.
# Asking for more memory than there is must give a MemoryError as ever. pytest leaves the reports their way to stderr.
sanitize: $(STAMPS)/package $(STAMPS)/tools ## run the tests on an engine built with the sanitizers (GCC)
	rm -rf $(SANITIZED)/site
	$(PIP) install --quiet --no-build-isolation --no-deps --target $(SANITIZED)/site \
	    -C build-dir=$(SANITIZED)/engine -C cmake.define.NORMEXP_SANITIZE=ON .
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libstdc++.so)" \
	    ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	    PYTHONMALLOC=malloc PYTHONPATH=$(SANITIZED)/site $(BIN)/python -m pytest --capture=sys $(ARGS)

clean: ## remove everything that was built or installed
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis src/normexp/_engine.pyi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv: tools/preflight.py
	$(PYTHON) tools/preflight.py
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=25.1' # the first that knows dependency groups
	mkdir -p $(STAMPS)
	touch $@

# Without build isolation, whose fresh directory for each build would have everything compiled again.
$(STAMPS)/builders: pyproject.toml $(STAMPS)/venv
	$(PIP) install --quiet cmake ninja \
	    $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])')
	touch $@

# The engine's stub goes beside the sources as well, where mypy looks for it.
$(STAMPS)/package: $(SOURCES) constraints.txt $(STAMPS)/builders
	$(PIP) install --no-build-isolation -C build-dir=$(ENGINE) --constraint constraints.txt --group peers '.[verify,bench,eval,explain,torch]'
	cp "$$($(BIN)/python -c 'import normexp; print(normexp.__path__[0])')/_engine.pyi" src/normexp/
	touch $@

$(STAMPS)/tools: pyproject.toml $(STAMPS)/venv
	$(PIP) install --quiet --group test --group lint
	touch $@
