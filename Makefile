# SPDX-License-Identifier: GPL-2.0-or-later
#
# A thin front of Meson and the scripts. Every target installs what it needs and builds what it
# uses; when nothing is to be done that takes no time.

BUILD := build/release
PREFIX ?= /usr/local
ARGS ?=

.PHONY: all setup run test bench install fmt check-layers check-style nightly fuzz conformance endurance \
	test-kvm clean help

all: setup
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --prefix=$(PREFIX)
	@ninja -C $(BUILD)
	@ln -sfn release/cmd/doppel/doppel build/doppel

setup:
	@scripts/setup build

run: all
	@scripts/setup guests
	@scripts/guests/run $(ARGS)

test: all
	@scripts/setup test
	@scripts/run-tests $(ARGS)

bench: all
	@scripts/setup bench
	@bench/run $(ARGS)

test-kvm: all
	@scripts/setup test
	@scripts/test-kvm $(ARGS)

install: all
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD)

fmt:
	@scripts/setup fmt
	@git ls-files -z '*.c' '*.h' | xargs -0 clang-format -i

check-layers:
	@scripts/check-layers

check-style:
	@scripts/setup fmt
	@scripts/check-style

nightly: all
	@scripts/setup test
	@scripts/nightly-diff $(BUILD) $(ARGS)
	@scripts/fuzz 300

fuzz:
	@scripts/setup build test
	@scripts/fuzz $(ARGS)

# make conformance ARGS="DIR": multiboot test kernels that were built elsewhere.
conformance: all
	@scripts/conformance $(ARGS)

endurance: all
	@scripts/setup guests
	@scripts/endurance $(ARGS)

clean:
	rm -rf build/release build/test-* build/doppel

help:
	@echo 'make                 build/doppel'
	@echo 'make run             boots Debian in a virtual machine (ARGS="-m 2G" for options)'
	@echo 'make test            all tests (ARGS="--help" for a selection)'
	@echo 'make test-kvm        the kvm engine on a host that QEMU emulates, an hour or two'
	@echo 'make bench           measures against native and the generic emulator'
	@echo 'make install         installs under PREFIX ($(PREFIX)); DESTDIR is respected'
	@echo 'make fmt             formats the sources'
	@echo 'make check-layers    refuses includes that break the layering'
	@echo 'make check-style     licence lines, formatting, sizes'
	@echo 'make nightly         millions of instruction sequences against the host CPU, 5 minutes of each fuzz target'
	@echo 'make fuzz            each fuzz target for a while (ARGS="SECONDS [TARGET]...")'
	@echo 'make conformance     a folder of multiboot test kernels (ARGS="DIR")'
	@echo 'make endurance       100 boots in a row, half an hour of load, 200 kills, guests of size'
	@echo 'make clean           removes what was built, the guests excepted'
