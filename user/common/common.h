/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs share.
 */
#ifndef COMMON_H
#define COMMON_H

#include <stddef.h>
#include <stdio.h>

#include "libovltree.h"

int common_append_options(char **options, const char *more);
int common_fill_tree(struct ovlt_tree *tree, const char *source,
		     char *const options[], size_t nr);
const char *common_why(const struct ovlt_result *result);

const char *common_kind_name(unsigned int kind);
void common_print_metrics(FILE *file, const struct ovlt_stats *stats);

struct libmnt_table;
struct libmnt_fs;

struct libmnt_table *common_mountinfo(void);
uint64_t common_mount_id(const char *path, unsigned int mask);
struct libmnt_fs *common_find_mount(struct libmnt_table *table,
				    const char *path);

#endif /* COMMON_H */
