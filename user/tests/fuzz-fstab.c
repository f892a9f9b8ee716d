// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files in the syntax of fstab(5), as ovltreectl attaches them.
 */
#include <stdio.h>
#include <string.h>

#include "common/common.h"
#include "ctl/fstab.h"
#include "fuzz.h"

static int take(void *data, const struct fstab_entry *entry)
{
	char *options = strdup(entry->options);
	struct ovlt_tree *tree = ovlt_tree_new();
	unsigned int *nr = data;

	CHECK(options && tree && entry->target);
	(*nr)++;
	common_fill_tree(tree, entry->source, &options, 1);
	fuzz_check_tree(tree);
	ovlt_tree_unref(tree);
	free(options);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *file = size ? fmemopen((void *)data, size, "r") : NULL;
	unsigned int nr = 0;
	struct fstab fstab;
	int err;

	if (!file)
		return 0;
	fuzz_begin();
	err = fstab_read(&fstab, file, "input");
	CHECK(err <= 0);
	CHECK(!err || fstab.message[0]);
	if (!err)
		CHECK(!fstab_each(&fstab, take, &nr));
	CHECK(nr <= size);
	fstab_close(&fstab);
	fuzz_end();
	fclose(file);
	return 0;
}
