// SPDX-License-Identifier: GPL-2.0-only
/*
 * Overlays in the syntax of fstab(5).
 */
#include <errno.h>
#include <libmount/libmount.h>
#include <stdbool.h>

#include "fstab.h"

static int parse_error(struct libmnt_table *table, const char *file, int line)
{
	struct fstab *fstab = mnt_table_get_userdata(table);

	snprintf(fstab->message, sizeof(fstab->message),
		 "%s: line %d: not as fstab(5) has it", file, line);
	return -EINVAL;
}

/* Returns 0, -EINVAL with a message, or -ENOMEM. */
int fstab_read(struct fstab *fstab, FILE *file, const char *name)
{
	*fstab = (struct fstab){ .table = mnt_new_table() };
	if (!fstab->table)
		return -ENOMEM;
	mnt_table_set_userdata(fstab->table, fstab);
	mnt_table_set_parser_errcb(fstab->table, parse_error);
	return mnt_table_parse_stream(fstab->table, file, name);
}

static bool is_noauto(struct libmnt_fs *fs)
{
	const char *options = mnt_fs_get_options(fs);

	return options &&
	       mnt_optstr_get_option(options, "noauto", NULL, NULL) == 0;
}

/* Call @fn for each that isn't left out, until it fails. */
int fstab_each(const struct fstab *fstab, fstab_fn fn, void *data)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int err = 0;

	if (!iter)
		return -ENOMEM;
	while (!err && !mnt_table_next_fs(fstab->table, iter, &fs)) {
		const char *options = mnt_fs_get_options(fs);
		const struct fstab_entry entry = {
			.type = mnt_fs_get_fstype(fs),
			.source = mnt_fs_get_source(fs),
			.options = options ? options : "",
			.target = mnt_fs_get_target(fs),
		};

		if (!is_noauto(fs))
			err = fn(data, &entry);
	}
	mnt_free_iter(iter);
	return err;
}

void fstab_close(struct fstab *fstab)
{
	mnt_unref_table(fstab->table);
}
