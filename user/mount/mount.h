/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of mount.ovltree share.
 */
#ifndef MOUNT_H
#define MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "libovltree.h"

/* As mount(8) has them; what it means by 4, 8 and 16 doesn't happen here. */
#define EXIT_USAGE 1
#define EXIT_SYSTEM 2
#define EXIT_FAIL 32

/**
 * struct words - strings that grow in number
 * @word: the strings
 * @nr: number of them
 */
struct words {
	char **word;
	size_t nr;
};

/**
 * struct options - what was said with -o
 * @all: what is for the library, an option each
 * @ignored: what has a meaning to fuse-overlayfs only
 * @lower: paths of the lower layers
 * @upper: path of the upper folder, or NULL
 * @idmap: the idmap as mount(8) says it, or NULL
 * @ranges: the idmap as fuse-overlayfs says it
 * @nr_ranges: number of them
 * @message: why they were refused
 */
struct options {
	struct words all;
	struct words ignored;
	struct words lower;
	char *upper;
	char *idmap;
	struct ovlt_id_range *ranges;
	size_t nr_ranges;
	char message[OVLTREE_MESSAGE_MAX];
};

int options_parse(struct options *options, const char *text);
bool options_drop(struct options *options, const char *name);
void options_clear(struct options *options);

/**
 * struct mapping - the idmap of the lower layers
 * @proc_fd: /proc/self, as it was before the mount namespace was entered, if
 *	the idmap is as fuse-overlayfs says it; or -1
 * @userns_fd: a user namespace with the idmap, or -1
 * @message: why it failed
 */
struct mapping {
	int proc_fd;
	int userns_fd;
	char message[512];
};

int mapping_open(struct mapping *mapping, const struct options *options);
int mapping_apply(struct mapping *mapping, const struct options *options);
void mapping_close(struct mapping *mapping);

#endif /* MOUNT_H */
