# SPDX-License-Identifier: Apache-2.0
# The thin front door to CMake and the scripts. `make` builds and never installs anything on this machine; `make setup`
# installs what it and the tests need; demo, check, bench and lint see first that they have what they need, likewise.
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BUILD := build/release
# tests and tools never write bytecode into the tree
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: all setup setup-check setup-bench setup-lint demo check bench lint format install clean
.NOTPARALLEL:

all:
	@tools/setup.sh --look build
	@cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log; exit 1; }
	@cmake --build --preset release -j $(JOBS)

# What building and testing needs, from this machine's package manager. With nothing missing it does nothing.
setup: setup-check

setup-check setup-bench setup-lint: setup-%:
	@tools/setup.sh $*

# Crash a small program under this machine's python3 and explain the core that it leaves.
demo: setup all
	@python3 demo/run.py $(BUILD)/exuvia

# Every test: unit tests, then the tests of the command line with every interpreter that is found.
check: setup all
	tests/lib/setup-interpreters.sh
	ctest --preset release -j $(JOBS)
	EXUVIA=$(CURDIR)/$(BUILD)/exuvia tools/pytest.sh tests

# The same cores and live processes through exuvia and the other tools of its kind that this machine has.
bench: setup-bench all
	@cmake --build --preset release --target measure unwind
	@python3 bench/run.py --exuvia $(BUILD)/exuvia --measure $(BUILD)/measure --unwind $(BUILD)/unwind --work build/bench; \
	  cores=$$?; \
	  python3 bench/live.py --exuvia $(BUILD)/exuvia --measure $(BUILD)/measure --work build/bench && exit $$cores

lint: setup-lint
	tools/lint.sh

format:
	tools/lint.sh --format

# After `make`, so that root builds nothing: make install PREFIX=/usr/local DESTDIR=...
install:
	cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	rm -rf build
