// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/error-injection.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/limits.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

static int path_get_fd(int fd, struct path *path)
{
	struct file *file = fget_raw(fd);

	if (!file)
		return -EBADF;
	*path = file->f_path;
	path_get(path);
	fput(file);
	return 0;
}

static char *path_name(const struct path *path)
{
	char *buf __free(kfree) = kmalloc(PATH_MAX, GFP_KERNEL);
	char *name;

	if (!buf)
		return ERR_PTR(-ENOMEM);
	name = d_path(path, buf, PATH_MAX);
	if (IS_ERR(name))
		return name;
	name = kstrdup(name, GFP_KERNEL_ACCOUNT);
	return name ?: ERR_PTR(-ENOMEM);
}

/* Like strndup_user(), with the errno of a system call that takes a path. */
static char *path_string(u64 upath)
{
	char *name = strndup_user(u64_to_user_ptr(upath), PATH_MAX);

	return name == ERR_PTR(-EINVAL) ? ERR_PTR(-ENAMETOOLONG) : name;
}

/**
 * ovlt_path_get - resolve what the caller has given
 * @upath: a file descriptor, or a path
 * @valid_flags: OVLTREE_PATH_* that may be set
 * @lookup: LOOKUP_* of the path walk
 * @path: the result, to be released with path_put()
 * @name: if not NULL: what to call it, to be released with kfree()
 *
 * The name is the path as given if it needs no file descriptor to be found again,
 * as it is when overlayfs is given the path as an option.
 *
 * Context: The caller's: its root, working directory, files and credentials.
 * Return: 0 or a negative errno.
 */
int ovlt_path_get(const struct ovltree_path *upath, u32 valid_flags,
		  unsigned int lookup, struct path *path, char **name)
{
	char *given __free(kfree) = NULL;
	int err;

	if (upath->flags & ~valid_flags)
		return -EINVAL;
	if (!(upath->flags & OVLTREE_PATH_NOFOLLOW))
		lookup |= LOOKUP_FOLLOW;

	if (!upath->path) {
		err = path_get_fd(upath->fd, path);
	} else {
		given = path_string(upath->path);
		if (IS_ERR(given))
			return PTR_ERR(given);
		if (!*given)
			return -ENOENT;
		if (*given == '/' || upath->fd == AT_FDCWD) {
			err = kern_path(given, lookup, path);
		} else {
			err = user_path_at(upath->fd,
					   u64_to_user_ptr(upath->path), lookup,
					   path);
			kfree(no_free_ptr(given));
		}
	}
	if (err || !name)
		return err;

	*name = given ? no_free_ptr(given) : path_name(path);
	if (!IS_ERR(*name))
		return 0;
	err = PTR_ERR(*name);
	*name = NULL;
	path_put(path);
	*path = (struct path) {};
	return err;
}
ALLOW_ERROR_INJECTION(ovlt_path_get, ERRNO);
