# SPDX-License-Identifier: GPL-2.0
#
# Everything that is built goes to build/; kernels and the image are kept in
# $OVLTREE_CACHE, default ~/.cache/ovltree.

VARIANT ?= normal
VARIANTS := $(filter-out kernel,$(patsubst selftests/vm/%.config,%,$(wildcard selftests/vm/*.config)))

.PHONY: help deps kernel modules user vm demo check check-debug check-kcsan stress \
	fuzz-parsers endurance integration kselftest-install bench bench-doc lint install clean

help:		## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 26
	@echo
	@echo "  VARIANT=$(VARIANT), one of: $(VARIANTS)"
	@echo "  Any command in the virtual machine: selftests/vm/run --help"

deps:		## install the Debian packages that are needed
	scripts/install-deps

kernel:		## build the kernel of VARIANT, or find it in the cache
	scripts/kernel-build $(VARIANT)

modules:	## build the module for the kernel of VARIANT
	scripts/module-build $(VARIANT)

user: deps	## build the library, ovltreectl and their tests
	$(MAKE) -C user

vm: modules	## a shell in the virtual machine, with the module loaded
	selftests/vm/run --variant $(VARIANT) --shell

demo: deps	## start 100 containers of a real image with 50 layers
	selftests/demo/run

check:		## run all tests, on this machine and in virtual ones
	scripts/check

check-debug:	## the same on the kernel with KASAN, lockdep and kmemleak
	scripts/check debug

check-kcsan: deps	## the concurrent tests on the kernel that tells of data races
	scripts/kselftests --only "stress batch netlink detach layerset" kcsan --smp 4 \
		--env panic_on_warn=0

stress: deps	## 30 minutes of everything at once, on the kernel of VARIANT
	scripts/kselftests --only stress $(VARIANT) --smp 4 --timeout 3600 \
		--program-timeout 3000 --env OVLT_SECONDS=900

fuzz-parsers: deps	## look for inputs that break a parser; FUZZ_SECONDS for each
	$(MAKE) -C user fuzz

endurance:	## the long form of the daemon's tests: 500 kills, 100,000 requests
	scripts/endurance

integration: deps	## start containers with podman, containerd and others, on our roots
	selftests/integration/run

kselftest-install:	## put the kselftests into the kernel tree KDIR
	scripts/kselftest-install "$(KDIR)"

bench: deps	## measure our way beside the peers'; writes build/bench.jsonl
	selftests/bench/run --matrix

build/bench.jsonl: | deps
	selftests/bench/run --matrix

bench-doc: build/bench.jsonl	## put the last bench's figures into Documentation
	scripts/bench-doc build/bench.jsonl

lint: deps	## read everything with checkers and analyzers
	scripts/lint

install: user	## install what is in user/ under PREFIX, and /sbin/mount.ovltree
	$(MAKE) -C user install

clean:		## remove build/; the cache stays
	rm -rf build
