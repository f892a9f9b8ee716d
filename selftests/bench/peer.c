// SPDX-License-Identifier: GPL-2.0
/*
 * What container runtimes do today: an overlay on lower layers that were given
 * the container's id mapping by way of mounts on a temporary folder.
 *
 * The overlay is made with fsopen(2), not mount(2), whose one page of options
 * doesn't hold the layers of a large image.
 */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bench.h"

#define IDLE_NS 500000000

static bool always(void)
{
	return true;
}

static void idle(const struct share *share)
{
	(void)share;
	sleep_ns(IDLE_NS);
}

static void unmount(const char *target, int flags)
{
	if (COUNT(umount2(target, flags)))
		err(1, "umount %s", target);
}

static void move_and_close(int fd, const char *target)
{
	if (COUNT(move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)))
		err(1, "move_mount %s", target);
	COUNT(close(fd));
}

static void idmap(const char *from, const char *target, int userns, int attrs)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP | attrs,
		.userns_fd = userns,
	};
	int fd;

	fd = COUNT(open_tree(AT_FDCWD, from,
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
	if (fd < 0)
		err(1, "open_tree %s", from);
	if (COUNT(mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr))))
		err(1, "mount_setattr %s", from);
	move_and_close(fd, target);
}

static void set(int fs, const char *key, const char *value)
{
	if (COUNT(fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0)))
		err(1, "overlay: %s=%s", key, value);
}

static void mount_overlay(const struct container *c, char **lower,
			  unsigned int nr)
{
	unsigned int i;
	int fs, fd;

	fs = COUNT(fsopen("overlay", FSOPEN_CLOEXEC));
	if (fs < 0)
		err(1, "fsopen overlay");
	for (i = 0; i < nr; i++)
		set(fs, "lowerdir+", lower[i]);
	set(fs, "upperdir", c->upper);
	set(fs, "workdir", c->work);
	if (COUNT(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)))
		err(1, "overlay: create");
	fd = COUNT(fsmount(fs, FSMOUNT_CLOEXEC, 0));
	if (fd < 0)
		err(1, "fsmount");
	COUNT(close(fs));
	move_and_close(fd, c->target);
}

static char **paths_below(const struct world *world, const char *folder)
{
	char **paths = allocate(world->nr_layers, sizeof(char *));
	unsigned int i;

	for (i = 0; i < world->nr_layers; i++)
		paths[i] = format("%s/%s", folder, world->layers[i]);
	return paths;
}

static void free_paths(char **paths, unsigned int nr)
{
	while (nr--)
		free(paths[nr]);
	free(paths);
}

static void plain_attach(const struct share *share)
{
	const struct world *world = share->world;
	char **lower = paths_below(world, world->parent);
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		mount_overlay(&share->containers[i], lower, world->nr_layers);
	free_paths(lower, world->nr_layers);
}

/* containerd since 2.2 */
static void common_parent_attach(const struct share *share)
{
	const struct world *world = share->world;
	char **lower = paths_below(world, share->temp);
	unsigned int i;

	for (i = 0; i < share->nr; i++) {
		const struct container *c = &share->containers[i];

		idmap(world->parent, share->temp, c->userns,
		      MOUNT_ATTR_RDONLY);
		mount_overlay(c, lower, world->nr_layers);
		unmount(share->temp, 0);
	}
	free_paths(lower, world->nr_layers);
}

/* containerd from 2.1.0 to 2.1.4 */
static void per_layer_attach(const struct share *share)
{
	const struct world *world = share->world;
	char **lower = paths_below(world, world->parent);
	char **temp = allocate(world->nr_layers, sizeof(char *));
	unsigned int i, j;

	for (j = 0; j < world->nr_layers; j++)
		temp[j] = format("%s/%u", share->temp, j);
	for (i = 0; i < share->nr; i++) {
		const struct container *c = &share->containers[i];

		for (j = 0; j < world->nr_layers; j++)
			idmap(lower[j], temp[j], c->userns, 0);
		mount_overlay(c, temp, world->nr_layers);
		for (j = 0; j < world->nr_layers; j++)
			unmount(temp[j], MNT_DETACH);
	}
	free_paths(temp, world->nr_layers);
	free_paths(lower, world->nr_layers);
}

/* What mount(2) and umount(2) cost by themselves */
static void tmpfs_attach(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		if (COUNT(mount("bench", share->containers[i].target, "tmpfs", 0,
				NULL)))
			err(1, "mount %s", share->containers[i].target);
}

static void one_by_one_detach(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		unmount(share->containers[i].target, 0);
}

const struct peer peer_idle = {
	.name = "idle",
	.idle = true,
	.available = always,
	.attach = idle,
	.detach = idle,
};

const struct peer peer_tmpfs = {
	.name = "tmpfs",
	.bare = true,
	.available = always,
	.attach = tmpfs_attach,
	.detach = one_by_one_detach,
};

const struct peer peer_per_layer = {
	.name = "per-layer",
	.idmapped = true,
	.available = always,
	.attach = per_layer_attach,
	.detach = one_by_one_detach,
};

const struct peer peer_common_parent = {
	.name = "common-parent",
	.idmapped = true,
	.available = always,
	.attach = common_parent_attach,
	.detach = one_by_one_detach,
};

const struct peer peer_plain = {
	.name = "plain",
	.available = always,
	.attach = plain_attach,
	.detach = one_by_one_detach,
};
