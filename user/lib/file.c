// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Files that are named by descriptor, by path, or by both.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "private.h"

int ovlt_file_set(struct ovlt_file *file, int fd, const char *path,
		  unsigned int flags)
{
	char *copy = NULL;

	if (!path && fd < 0)
		return -EBADF;
	if (path) {
		copy = strdup(path);
		if (!copy)
			return -ENOMEM;
	}
	ovlt_file_clear(file);
	*file = (struct ovlt_file){ .fd = fd, .flags = flags, .path = copy };
	return 0;
}

void ovlt_file_clear(struct ovlt_file *file)
{
	free(file->path);
	*file = (struct ovlt_file){ .fd = -1 };
}

/*
 * Open a folder; returns a descriptor that is the caller's to close. What is not
 * a folder fails later, in overlayfs' words; but a symbolic link, whose path
 * leads elsewhere, has to fail here with the same errno.
 */
int ovlt_file_open(const struct ovlt_file *file)
{
	int flags = O_PATH | O_CLOEXEC;
	struct stat st;
	int fd;

	if (file->flags & OVLT_NOFOLLOW)
		flags |= O_NOFOLLOW;
	if (file->path)
		fd = openat(file->fd, file->path, flags);
	else
		fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISLNK(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* Half of the descriptors that there may be are left to the rest of the program. */
unsigned int ovlt_fds_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur / 2 > UINT_MAX)
		return UINT_MAX;
	return limit.rlim_cur / 2;
}

/* The path at which the kernel sees a file; NULL with errno on failure. */
char *ovlt_fd_path(int fd)
{
	char link[32], path[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path));
	if (len < 0)
		return NULL;
	if (len == sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return strndup(path, len);
}
