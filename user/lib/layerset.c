// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Layer sets: lower layers that are resolved once, for many trees.
 *
 * With the module one is a descriptor, and what it stands for is checked when
 * it is made. Without it, it is a descriptor for each layer, and a tree gets
 * these as its own.
 */
#include <errno.h>
#include <fcntl.h>

#include "private.h"

static struct ovlt_layerset *layerset_new(int fd)
{
	struct ovlt_layerset *layerset = calloc(1, sizeof(*layerset));

	if (!layerset)
		return NULL;
	layerset->refs = 1;
	layerset->fd = fd;
	return layerset;
}

/* Takes over @fd, also on failure: NULL with errno ENOMEM. */
struct ovlt_layerset *ovlt_layerset_adopt(int fd)
{
	struct ovlt_layerset *layerset = layerset_new(fd);

	if (!layerset)
		close(fd);
	return layerset;
}

/**
 * ovlt_layerset_from_fd() - make a layer set of one that was passed on
 * @fd: from ovlt_layerset_get_fd() of this or another process; the layer set
 *	keeps a descriptor of its own
 *
 * Only the module knows what it is: trees with it fail with -EOPNOTSUPP on
 * other backends, and when @fd is no layer set, with what the module says.
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: the layer set with one reference, or NULL with errno EBADF, EMFILE or
 * ENOMEM.
 */
OVLT_EXPORT struct ovlt_layerset *ovlt_layerset_from_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? NULL : ovlt_layerset_adopt(copy);
}

/**
 * ovlt_layerset_ref() - take a reference
 * @layerset: the layer set, or NULL
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: @layerset.
 */
OVLT_EXPORT struct ovlt_layerset *
ovlt_layerset_ref(struct ovlt_layerset *layerset)
{
	if (layerset)
		__atomic_add_fetch(&layerset->refs, 1, __ATOMIC_RELAXED);
	return layerset;
}

/**
 * ovlt_layerset_unref() - drop a reference, with the last of them the layer set
 * @layerset: the layer set, or NULL
 *
 * What has been attached stays, and so does what other processes have of it.
 *
 * Thread rules: any thread. Since: 0.1.
 */
OVLT_EXPORT void ovlt_layerset_unref(struct ovlt_layerset *layerset)
{
	if (!layerset ||
	    __atomic_sub_fetch(&layerset->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (unsigned int i = 0; i < layerset->nr_lower; i++)
		ovlt_close(layerset->lower[i].fd);
	free(layerset->lower);
	ovlt_close(layerset->fd);
	free(layerset);
}

/**
 * ovlt_layerset_get_fd() - get the descriptor by which a layer set is passed on
 * @layerset: the layer set
 *
 * Whoever gets it, by inheritance or through a socket, can make a layer set of
 * it with ovlt_layerset_from_fd(), and needs the rights to mount what is in it.
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: a descriptor, with FD_CLOEXEC, that stays @layerset's; -EOPNOTSUPP
 * when it wasn't made by the module.
 */
OVLT_EXPORT int ovlt_layerset_get_fd(const struct ovlt_layerset *layerset)
{
	return layerset->fd >= 0 ? layerset->fd : -EOPNOTSUPP;
}

static int open_layers(struct ovlt_ctx *ctx, struct ovlt_entry *entry)
{
	const struct ovlt_tree *tree = entry->tree;
	struct ovlt_layerset *layerset = layerset_new(-1);
	int err;

	(void)ctx;
	if (layerset)
		layerset->lower =
			calloc(tree->nr_lower, sizeof(*layerset->lower));
	if (!layerset || !layerset->lower) {
		err = ovlt_entry_blame(entry, -ENOMEM, OVLTREE_FIELD_NONE, 0);
		goto out;
	}
	for (unsigned int i = 0; i < tree->nr_lower; i++) {
		int fd = ovlt_file_open(&tree->lower[i]);

		if (fd < 0) {
			err = ovlt_entry_blame(entry, fd, OVLTREE_FIELD_LOWER,
					       i);
			goto out;
		}
		layerset->lower[layerset->nr_lower++] = (struct ovlt_file){
			.fd = fd,
			.flags = tree->lower[i].flags & OVLT_DATA,
		};
	}
	entry->layerset = layerset;
	return 0;
out:
	ovlt_layerset_unref(layerset);
	return err;
}

/* Make layer sets without the module. */
int ovlt_layerset_expand(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times)
{
	(void)times;
	return ovlt_entries_each(ctx, entries, nr, flags, open_layers);
}
