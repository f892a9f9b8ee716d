/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What servers of FUSE file systems share.
 */
#ifndef OVLT_FUSESERVER_H
#define OVLT_FUSESERVER_H

#include <errno.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

static inline void reply(int fd, const struct fuse_in_header *in, int error, void *data,
			 size_t size)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + size, .error = error, .unique = in->unique,
	};
	struct iovec parts[] = { { &out, sizeof(out) }, { data, size } };

	/* Who asked may have gone meanwhile. */
	if (writev(fd, parts, size ? 2 : 1) < 0 && errno != ENOENT)
		_exit(1);
}

#endif /* OVLT_FUSESERVER_H */
