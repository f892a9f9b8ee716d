// SPDX-License-Identifier: GPL-2.0-only
/*
 * From options to a tree, and from its result to words.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common.h"

/* Several -o are one. */
int common_append_options(char **options, const char *more)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *options ? *options : "",
		     *options ? "," : "", more) < 0)
		return -ENOMEM;
	free(*options);
	*options = joined;
	return 0;
}

/* A source is what mountinfo is to show as such, NULL is the library's. */
int common_fill_tree(struct ovlt_tree *tree, const char *source,
		     char *const options[], size_t nr)
{
	int err = 0;

	if (source)
		err = ovlt_tree_add_option(tree, "source", source);
	for (size_t i = 0; !err && i < nr; i++)
		err = ovlt_tree_parse_options(tree, options[i]);
	return err;
}

/* What to put between the target, which need not be named again, and the errno. */
const char *common_why(const struct ovlt_result *result)
{
	if (result->message[0])
		return result->message;
	switch (result->field) {
	case OVLTREE_FIELD_NONE:
	case OVLTREE_FIELD_TARGET:
	case OVLTREE_FIELD_MNT_ID:
		return "";
	}
	return ovlt_field_name(result->field);
}
