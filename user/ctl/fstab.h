/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Overlays in the syntax of fstab(5).
 */
#ifndef FSTAB_H
#define FSTAB_H

#include <stdio.h>

/**
 * struct fstab - a file that has been read
 * @table: its entries
 * @message: why it couldn't be
 */
struct fstab {
	struct libmnt_table *table;
	char message[256];
};

/**
 * struct fstab_entry - an entry of it, without what fstab(5) escapes
 * @type: type of the file system, NULL is none
 * @source: source, NULL is none
 * @options: options, empty if there are none
 * @target: mountpoint
 */
struct fstab_entry {
	const char *type;
	const char *source;
	const char *options;
	const char *target;
};

typedef int (*fstab_fn)(void *data, const struct fstab_entry *entry);

int fstab_read(struct fstab *fstab, FILE *file, const char *name);
int fstab_each(const struct fstab *fstab, fstab_fn fn, void *data);
void fstab_close(struct fstab *fstab);

#endif /* FSTAB_H */
