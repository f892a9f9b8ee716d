// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mounts of the caller's namespace.
 */
#include <fcntl.h>
#include <libmount/libmount.h>
#include <sys/stat.h>

#include "common.h"

/* NULL with errno. */
struct libmnt_table *common_mountinfo(void)
{
	return mnt_new_table_from_file("/proc/self/mountinfo");
}

/* The id that @mask asks for of the mount that a path leads to, or 0. */
uint64_t common_mount_id(const char *path, unsigned int mask)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, mask,
		  &stx) ||
	    !(stx.stx_mask & mask))
		return 0;
	return stx.stx_mnt_id;
}

/* The mount that a path leads to; NULL when there is none. */
struct libmnt_fs *common_find_mount(struct libmnt_table *table,
				    const char *path)
{
	uint64_t id = common_mount_id(path, STATX_MNT_ID);
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs, *found = NULL;

	while (id && iter && !found && !mnt_table_next_fs(table, iter, &fs))
		if ((uint64_t)mnt_fs_get_id(fs) == id)
			found = fs;
	mnt_free_iter(iter);
	return found;
}
