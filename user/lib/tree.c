// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The tree: what an overlay is made of.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

/**
 * ovlt_tree_new() - make a tree that has nothing in it
 *
 * Descriptors that are given to a tree as files must stay open until the tree
 * has been attached or prepared; paths are copied, and looked up only then.
 *
 * Thread rules: a tree is filled by one thread at a time; once filled, it may
 * be in batches of several. Since: 0.1.
 *
 * Return: the tree with one reference, or NULL with errno ENOMEM.
 */
OVLT_EXPORT struct ovlt_tree *ovlt_tree_new(void)
{
	struct ovlt_tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return NULL;
	tree->refs = 1;
	tree->userns_fd = -1;
	return tree;
}

/**
 * ovlt_tree_ref() - take a reference
 * @tree: the tree, or NULL
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: @tree.
 */
OVLT_EXPORT struct ovlt_tree *ovlt_tree_ref(struct ovlt_tree *tree)
{
	if (tree)
		__atomic_add_fetch(&tree->refs, 1, __ATOMIC_RELAXED);
	return tree;
}

/**
 * ovlt_tree_unref() - drop a reference, with the last of them the tree
 * @tree: the tree, or NULL
 *
 * What has been attached stays.
 *
 * Thread rules: any thread. Since: 0.1.
 */
OVLT_EXPORT void ovlt_tree_unref(struct ovlt_tree *tree)
{
	if (!tree || __atomic_sub_fetch(&tree->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (unsigned int i = 0; i < tree->nr_lower; i++)
		ovlt_file_clear(&tree->lower[i]);
	free(tree->lower);
	ovlt_layerset_unref(tree->layerset);
	ovlt_file_clear(&tree->upper);
	ovlt_file_clear(&tree->work);
	for (unsigned int i = 0; i < tree->nr_options; i++)
		free(tree->options[i]);
	free(tree->options);
	ovlt_close(tree->userns_fd);
	free(tree);
}

int ovlt_tree_fail(struct ovlt_tree *tree, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(tree->error, sizeof(tree->error), fmt, ap);
	va_end(ap);
	return err;
}

/**
 * ovlt_tree_get_error() - tell why a call on a tree failed
 * @tree: the tree
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: the text, which the next call on @tree may change; empty where the
 * errno says it all.
 */
OVLT_EXPORT const char *ovlt_tree_get_error(const struct ovlt_tree *tree)
{
	return tree->error;
}

static int check_flags(struct ovlt_tree *tree, unsigned int flags,
		       unsigned int known)
{
	if (flags & ~known)
		return ovlt_tree_fail(tree, -EINVAL, "unknown flags %#x",
				      flags & ~known);
	return ovlt_tree_fail(tree, 0, "%s", "");
}

static int add_lower(struct ovlt_tree *tree, int fd, const char *path,
		     unsigned int flags)
{
	struct ovlt_file file = { .fd = -1 };
	struct ovlt_file *lower;
	int err;

	err = ovlt_file_set(&file, fd, path, flags);
	if (err)
		return err;
	lower = reallocarray(tree->lower, tree->nr_lower + 1, sizeof(*lower));
	if (!lower) {
		ovlt_file_clear(&file);
		return -ENOMEM;
	}
	lower[tree->nr_lower++] = file;
	tree->lower = lower;
	return 0;
}

/**
 * ovlt_tree_add_lower() - add a lower layer below those that are there
 * @tree: the tree
 * @fd: a folder's descriptor; with @path, the folder at which a relative path
 *	begins, or AT_FDCWD
 * @path: a path, taken literally; or NULL
 * @flags: OVLT_DATA for a data-only layer, which no other kind may follow;
 *	OVLT_NOFOLLOW
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0, -EINVAL for unknown flags or when the tree has a layer set, -EBADF
 * when there is neither a path nor a descriptor, -ENOMEM.
 */
OVLT_EXPORT int ovlt_tree_add_lower(struct ovlt_tree *tree, int fd,
				    const char *path, unsigned int flags)
{
	int err = check_flags(tree, flags, OVLT_DATA | OVLT_NOFOLLOW);

	if (!err && tree->layerset)
		err = ovlt_tree_fail(tree, -EINVAL,
				     "lower layers beside a layer set");
	return err ? err : add_lower(tree, fd, path, flags);
}

/**
 * ovlt_tree_set_layerset() - set the lower layers by a layer set
 * @tree: the tree, which has no lower layers yet
 * @layerset: the layer set; the tree holds a reference
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0, -EINVAL when the tree has lower layers, -ENOMEM.
 */
OVLT_EXPORT int ovlt_tree_set_layerset(struct ovlt_tree *tree,
				       struct ovlt_layerset *layerset)
{
	int err = 0;

	if (tree->nr_lower || tree->layerset)
		return ovlt_tree_fail(tree, -EINVAL,
				      "a layer set beside lower layers");
	ovlt_tree_fail(tree, 0, "%s", "");
	for (unsigned int i = 0; !err && i < layerset->nr_lower; i++)
		err = add_lower(tree, layerset->lower[i].fd, NULL,
				layerset->lower[i].flags);
	if (err) {
		tree->nr_lower = 0;
		return err;
	}
	tree->layerset = ovlt_layerset_ref(layerset);
	return 0;
}

/**
 * ovlt_tree_set_upper() - set the upper folder
 * @tree: the tree
 * @fd: as for ovlt_tree_add_lower()
 * @path: as for ovlt_tree_add_lower()
 * @flags: OVLT_NOFOLLOW
 *
 * It needs a work folder beside it.
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: as ovlt_tree_add_lower().
 */
OVLT_EXPORT int ovlt_tree_set_upper(struct ovlt_tree *tree, int fd,
				    const char *path, unsigned int flags)
{
	int err = check_flags(tree, flags, OVLT_NOFOLLOW);

	if (!err)
		err = ovlt_file_set(&tree->upper, fd, path, flags);
	if (!err)
		tree->has_upper = true;
	return err;
}

/**
 * ovlt_tree_set_work() - set the work folder
 * @tree: the tree
 * @fd: as for ovlt_tree_add_lower()
 * @path: as for ovlt_tree_add_lower()
 * @flags: OVLT_NOFOLLOW
 *
 * Without an upper folder it has no effect, as with mount(8).
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: as ovlt_tree_add_lower().
 */
OVLT_EXPORT int ovlt_tree_set_work(struct ovlt_tree *tree, int fd,
				   const char *path, unsigned int flags)
{
	int err = check_flags(tree, flags, OVLT_NOFOLLOW);

	if (!err)
		err = ovlt_file_set(&tree->work, fd, path, flags);
	if (!err)
		tree->has_work = true;
	return err;
}

/**
 * ovlt_tree_add_option() - add an option of overlayfs or of its superblock
 * @tree: the tree
 * @key: name, without "="
 * @value: value, taken literally; NULL for a flag
 *
 * The kernel checks it when the tree is built. Those that name layers are
 * refused then.
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0, -EINVAL for a key that can't be one, -ENOMEM.
 */
OVLT_EXPORT int ovlt_tree_add_option(struct ovlt_tree *tree, const char *key,
				     const char *value)
{
	char **options;
	char *option;
	int len;

	if (!*key || strchr(key, '='))
		return ovlt_tree_fail(tree, -EINVAL,
				      "\"%s\" is no option's name", key);
	ovlt_tree_fail(tree, 0, "%s", "");
	options = reallocarray(tree->options, tree->nr_options + 1,
			       sizeof(*options));
	if (!options)
		return -ENOMEM;
	tree->options = options;
	len = asprintf(&option, "%s%s%s", key, value ? "=" : "",
		       value ? value : "");
	if (len < 0)
		return -ENOMEM;
	options[tree->nr_options++] = option;
	return 0;
}

/**
 * ovlt_tree_set_attr() - set the attributes of the mount
 * @tree: the tree
 * @attr: MOUNT_ATTR_* as fsmount(2) takes them, instead of those before
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0. The kernel checks @attr when the tree is built.
 */
OVLT_EXPORT int ovlt_tree_set_attr(struct ovlt_tree *tree, uint32_t attr)
{
	tree->attr = attr;
	return 0;
}

/**
 * ovlt_tree_set_userns() - have the lower layers idmapped
 * @tree: the tree
 * @fd: a user namespace, of which the tree keeps a descriptor of its own; -1
 *	for no idmap
 *
 * The upper layer is not mapped.
 *
 * With the mount-api backend the kernel shows idmapped layers by their paths
 * from the root of the mount that they are on; with mount-ns, by the paths that
 * were given.
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0, -EBADF, -EMFILE.
 */
OVLT_EXPORT int ovlt_tree_set_userns(struct ovlt_tree *tree, int fd)
{
	int copy = -1;

	if (fd != -1) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy < 0)
			return -errno;
	}
	ovlt_close(tree->userns_fd);
	tree->userns_fd = copy;
	return 0;
}

/**
 * ovlt_tree_set_propagation() - set what the mount is given once attached
 * @tree: the tree
 * @propagation: MS_SHARED, MS_PRIVATE, MS_SLAVE or MS_UNBINDABLE; 0 for what
 *	the parent mount makes it
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0. The value is checked when the tree is attached.
 */
OVLT_EXPORT int ovlt_tree_set_propagation(struct ovlt_tree *tree,
					  unsigned long propagation)
{
	tree->propagation = propagation;
	return 0;
}
