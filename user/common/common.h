/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs share.
 */
#ifndef COMMON_H
#define COMMON_H

#include <stddef.h>

#include "libovltree.h"

int common_append_options(char **options, const char *more);
int common_fill_tree(struct ovlt_tree *tree, const char *source,
		     char *const options[], size_t nr);
const char *common_why(const struct ovlt_result *result);

#endif /* COMMON_H */
