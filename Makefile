# SPDX-License-Identifier: GPL-2.0
VARIANT ?= normal

help:	## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22
	@echo
	@echo '  VARIANT=$(VARIANT): of $(VARIANTS)'
	@echo '  selftests/vm/run --help: run any command in the virtual machine'

VARIANTS := $(filter-out kernel,$(patsubst selftests/vm/%.config,%,$(wildcard selftests/vm/*.config)))

deps:	## install the Debian packages that are needed
	scripts/install-deps

kernel:	## build the kernel of VARIANT, or find it in the cache
	scripts/kernel-build $(VARIANT)

clean:	## remove what was built here; the cache stays
	rm -rf build

.PHONY: help deps kernel clean
