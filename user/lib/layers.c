// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lower layers on idmapped mounts: one clone a mount, however many layers are
 * on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "private.h"

/**
 * struct group - layers that are on one mount
 * @mnt_id: the mount
 * @first: index of the first of the layers
 * @root_fd: its root, or the highest folder of it that can be reached
 * @root: the path of that
 * @clone_fd: the idmapped clone
 */
struct group {
	uint64_t mnt_id;
	unsigned int first;
	int root_fd;
	char *root;
	int clone_fd;
};

/**
 * struct ovlt_layers - the lower layers of a tree
 * @fs: the overlay that they are for
 * @nr: number of them
 * @fds: a descriptor for each; of the layer as it is, until ovlt_layers_clone()
 * @group: which group each is in
 * @groups: the groups
 * @nr_groups: number of groups
 */
struct ovlt_layers {
	struct ovlt_fs *fs;
	unsigned int nr;
	int *fds;
	unsigned int *group;
	struct group *groups;
	unsigned int nr_groups;
};

static int layer_fail(struct ovlt_layers *layers, int err, unsigned int index,
		      const char *message)
{
	return ovlt_entry_fail(layers->fs->entry, err, OVLTREE_FIELD_LOWER,
			       index, "%s", message);
}

/* From a folder up to the root of its mount, or to that of the process. */
static int open_root(int fd, const struct ovlt_mount_id *start)
{
	struct ovlt_mount_id id = *start, above;
	int root = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int up, err;

	if (root < 0)
		return -errno;
	while (!id.root) {
		up = openat(root, "..", O_PATH | O_CLOEXEC);
		if (up < 0) {
			err = -errno;
			goto out;
		}
		err = ovlt_mount_id_get(up, "", AT_EMPTY_PATH, &above);
		if (err || above.id != id.id ||
		    (above.dev == id.dev && above.ino == id.ino)) {
			close(up);
			if (err)
				goto out;
			break;
		}
		close(root);
		root = up;
		id = above;
	}
	return root;
out:
	close(root);
	return err;
}

static int find_group(struct ovlt_layers *layers, unsigned int index)
{
	struct ovlt_mount_id id;
	struct group *group;
	unsigned int i;
	int err;

	err = ovlt_mount_id_get(layers->fds[index], "", AT_EMPTY_PATH, &id);
	if (err)
		return err;
	for (i = 0; i < layers->nr_groups; i++)
		if (layers->groups[i].mnt_id == id.id)
			break;
	layers->group[index] = i;
	if (i < layers->nr_groups)
		return 0;

	group = &layers->groups[i];
	*group = (struct group){
		.mnt_id = id.id,
		.first = index,
		.root_fd = open_root(layers->fds[index], &id),
		.clone_fd = -1,
	};
	if (group->root_fd < 0)
		return group->root_fd;
	layers->nr_groups++;
	group->root = ovlt_fd_path(group->root_fd);
	return group->root ? 0 : -errno;
}

/* Open the layers and find the mounts that they are on. */
int ovlt_layers_new(struct ovlt_fs *fs, struct ovlt_layers **result)
{
	struct ovlt_tree *tree = fs->entry->tree;
	struct ovlt_layers *layers = calloc(1, sizeof(*layers));
	int err;

	if (!layers)
		return -ENOMEM;
	layers->fs = fs;
	layers->fds = calloc(tree->nr_lower, sizeof(*layers->fds));
	layers->group = calloc(tree->nr_lower, sizeof(*layers->group));
	layers->groups = calloc(tree->nr_lower, sizeof(*layers->groups));
	if (!layers->fds || !layers->group || !layers->groups) {
		err = -ENOMEM;
		goto out;
	}
	for (unsigned int i = 0; i < tree->nr_lower; i++) {
		int fd = ovlt_fs_open_layer(fs, &tree->lower[i]);

		if (fd < 0) {
			err = layer_fail(layers, fd, i, "");
			goto out;
		}
		layers->fds[layers->nr++] = fd;
		err = find_group(layers, i);
		if (err) {
			err = layer_fail(layers, err, i,
					 "cannot tell which mount it is on");
			goto out;
		}
	}
	*result = layers;
	return 0;
out:
	ovlt_layers_free(layers);
	return err;
}

void ovlt_layers_free(struct ovlt_layers *layers)
{
	if (!layers)
		return;
	for (unsigned int i = 0; i < layers->nr; i++)
		ovlt_close(layers->fds[i]);
	for (unsigned int i = 0; i < layers->nr_groups; i++) {
		ovlt_close(layers->groups[i].root_fd);
		ovlt_close(layers->groups[i].clone_fd);
		free(layers->groups[i].root);
	}
	free(layers->fds);
	free(layers->group);
	free(layers->groups);
	free(layers);
}

const int *ovlt_layers_fds(const struct ovlt_layers *layers)
{
	return layers->fds;
}

static int clone_group(struct ovlt_layers *layers, struct group *group, int fd,
		       const char *path, unsigned int flags)
{
	struct ovlt_entry *entry = layers->fs->entry;
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP,
		.userns_fd = entry->tree->userns_fd,
	};
	int err;

	group->clone_fd = open_tree(
		fd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	if (group->clone_fd < 0)
		return layer_fail(layers, -errno, group->first,
				  "its mount cannot be cloned");
	if (!mount_setattr(group->clone_fd, "", AT_EMPTY_PATH, &attr,
			   sizeof(attr)))
		return 0;
	err = -errno;
	/* The kernel has one EINVAL for a bad descriptor and for a bad mount. */
	if (err == -EINVAL &&
	    ioctl(attr.userns_fd, NS_GET_NSTYPE) == CLONE_NEWUSER)
		return layer_fail(layers, err, group->first,
				  "its mount cannot be idmapped");
	return ovlt_entry_fail(entry, err, OVLTREE_FIELD_USERNS_FD, 0, "%s",
			       err == -EINVAL ? "not a user namespace" : "");
}

/* Replace a layer's descriptor by that of the same folder on the clone. */
static int move_to_clone(struct ovlt_layers *layers, unsigned int index)
{
	const struct group *group = &layers->groups[layers->group[index]];
	struct ovlt_mount_id here, there;
	size_t len = strlen(group->root);
	char *path = ovlt_fd_path(layers->fds[index]);
	int err;
	int fd;

	if (!path)
		return -errno;
	if (strncmp(path, group->root, len))
		len = strlen(path);
	len += strspn(path + len, "/");
	fd = openat(group->clone_fd, path[len] ? path + len : ".",
		    O_PATH | O_CLOEXEC | O_NOFOLLOW);
	free(path);
	if (fd < 0)
		return -errno;
	err = ovlt_mount_id_get(layers->fds[index], "", AT_EMPTY_PATH, &here);
	if (!err)
		err = ovlt_mount_id_get(fd, "", AT_EMPTY_PATH, &there);
	if (!err && (here.dev != there.dev || here.ino != there.ino))
		err = -ESTALE;
	if (err) {
		close(fd);
		return err;
	}
	close(layers->fds[index]);
	layers->fds[index] = fd;
	return 0;
}

/* Have the layers on detached clones. */
int ovlt_layers_clone(struct ovlt_layers *layers)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < layers->nr_groups; i++) {
		struct group *group = &layers->groups[i];

		err = clone_group(layers, group, group->root_fd, "",
				  AT_EMPTY_PATH);
	}
	for (unsigned int i = 0; !err && i < layers->nr; i++) {
		err = move_to_clone(layers, i);
		if (err)
			err = layer_fail(layers, err, i,
					 "moved while it was looked up");
	}
	return err;
}

static int cover_group(struct ovlt_layers *layers, struct group *group)
{
	int err;

	/* With what is mounted below: a path may lead through that. */
	err = clone_group(layers, group, AT_FDCWD, group->root, AT_RECURSIVE);
	if (err)
		return err;
	if (move_mount(group->clone_fd, "", AT_FDCWD, group->root,
		       MOVE_MOUNT_F_EMPTY_PATH))
		return layer_fail(layers, -errno, group->first,
				  "its mount cannot be covered");
	/* What covers "/" is seen only from a root that is moved there. */
	if (!strcmp(group->root, "/") &&
	    (fchdir(group->clone_fd) || chroot(".")))
		return layer_fail(layers, -errno, group->first,
				  "cannot change the root");
	return 0;
}

/* By length, a mountpoint comes after those that it is below. */
static int compare_groups(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	size_t len_x = strlen(x->root), len_y = strlen(y->root);

	return (len_x > len_y) - (len_x < len_y);
}

/*
 * Have the layers' paths lead to idmapped clones, in a mount namespace, a root
 * and a working folder that are the caller's to throw away.
 */
int ovlt_layers_cover(struct ovlt_layers *layers)
{
	char *cwd = getcwd(NULL, 0);
	int err = 0;

	qsort(layers->groups, layers->nr_groups, sizeof(*layers->groups),
	      compare_groups);
	for (unsigned int i = 0; !err && i < layers->nr_groups; i++)
		err = cover_group(layers, &layers->groups[i]);
	/* The working folder is now below a clone; without one, so be it. */
	if (!err && cwd && cwd[0] == '/' && chdir(cwd))
		err = layer_fail(layers, -errno, 0,
				 "cannot return to the working folder");
	free(cwd);
	return err;
}
