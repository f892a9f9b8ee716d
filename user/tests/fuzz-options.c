// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options of mount(8), as the library parses them; and as mount.ovltree does,
 * which has to know the same layers as the library that it passes them to.
 */
#include <string.h>

#include "common/common.h"
#include "fuzz.h"
#include "mount/mount.h"

static void parse(const char *text)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	int err;

	CHECK(tree);
	err = ovlt_tree_parse_options(tree, text);
	CHECK(err <= 0);
	fuzz_check_tree(tree);
	ovlt_tree_unref(tree);
}

static void compare(const struct options *options, const struct ovlt_tree *tree)
{
	CHECK(options->lower.nr == tree->nr_lower);
	for (unsigned int i = 0; i < tree->nr_lower; i++)
		CHECK(!strcmp(options->lower.word[i], tree->lower[i].path));
	CHECK(!options->upper == !tree->has_upper);
	if (options->upper)
		CHECK(!strcmp(options->upper, tree->upper.path));
}

static void parse_mount(const char *text)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	struct options options = { 0 };

	CHECK(tree);
	if (!options_parse(&options, text)) {
		if (!common_fill_tree(tree, NULL, options.all.word,
				      options.all.nr))
			compare(&options, tree);
		fuzz_check_tree(tree);
		options_drop(&options, "volatile");
	}
	options_clear(&options);
	ovlt_tree_unref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	CHECK(text);
	fuzz_begin();
	parse(text);
	parse_mount(text);
	fuzz_end();
	free(text);
	return 0;
}
