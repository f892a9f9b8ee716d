// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Identity of mounts: from a file to the ids of its mount, and from a unique id
 * to the mountpoint.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "private.h"

/* Since Linux 6.8, which the C library's headers may not know yet. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#endif

#define REQ_SIZE_VER0 24
#define WANT_MNT_POINT 0x10

struct req {
	uint32_t size;
	uint32_t spare;
	uint64_t mnt_id;
	uint64_t param;
};

_Static_assert(sizeof(struct req) == REQ_SIZE_VER0, "struct mnt_id_req");

struct reply {
	uint32_t size;
	uint32_t mnt_opts;
	uint64_t mask;
	uint8_t unused[88];
	uint32_t mnt_root;
	uint32_t mnt_point;
	uint8_t spare[400];
	char str[];
};

_Static_assert(offsetof(struct reply, str) == 512, "struct statmount");

static int get(int fd, const char *path, int flags, unsigned int mask,
	       struct statx *stx)
{
	if (statx(fd, path, flags | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, mask,
		  stx))
		return -errno;
	return 0;
}

int ovlt_mount_id_get(int fd, const char *path, int flags,
		      struct ovlt_mount_id *id)
{
	struct statx stx;
	int err;

	/* The mount's id in mountinfo and the unique one share a member. */
	err = get(fd, path, flags, STATX_MNT_ID | STATX_INO, &stx);
	if (err)
		return err;
	*id = (struct ovlt_mount_id){
		.id = stx.stx_mnt_id,
		.root = stx.stx_attributes & STATX_ATTR_MOUNT_ROOT,
		.dev = makedev(stx.stx_dev_major, stx.stx_dev_minor),
		.ino = stx.stx_ino,
	};
	err = get(fd, path, flags, STATX_MNT_ID_UNIQUE, &stx);
	if (!err && stx.stx_mask & STATX_MNT_ID_UNIQUE)
		id->unique = stx.stx_mnt_id;
	return err;
}

/* -ENOENT also when the mount isn't in the caller's namespace. */
int ovlt_mount_id_path(uint64_t unique, char **path)
{
	struct req req = {
		.size = sizeof(req),
		.mnt_id = unique,
		.param = WANT_MNT_POINT,
	};
	size_t size = sizeof(struct reply) + 4096;
	struct reply *reply = NULL;
	int err;

	do {
		free(reply);
		size *= 2;
		reply = malloc(size);
		if (!reply)
			return -ENOMEM;
		err = syscall(SYS_statmount, &req, reply, size, 0) ? -errno : 0;
	} while (err == -EOVERFLOW);
	if (!err) {
		*path = strdup(reply->str + reply->mnt_point);
		if (!*path)
			err = -ENOMEM;
	}
	free(reply);
	return err;
}
