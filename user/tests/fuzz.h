/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzers share. A fuzzer is libFuzzer's LLVMFuzzerTestOneInput();
 * "make fuzz-parsers" builds it with clang, replay.c runs it over a corpus without.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Also where assert(3) would be compiled out. */
#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

void fuzz_begin(void);
void fuzz_end(void);
void fuzz_check_tree(const struct ovlt_tree *tree);

#endif /* FUZZ_H */
