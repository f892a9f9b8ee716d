// SPDX-License-Identifier: GPL-2.0
/*
 * Our ways: the bare ioctls, with one or with all of a worker's containers a
 * call; with a layer set made beforehand; and with the two phases apart, where
 * all workers prepare and the last of them attaches.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/ovltree.h>

#include "bench.h"

#define MAX_ENTRIES 1024

static int device = -1;
static int layerset = -1;	/* or -1: each tree names its layers */

static int *mounts;		/* of PREPARE, one a container */
static atomic_uint nr_prepared;

bool ovltree_available(void)
{
	if (device < 0)
		device = open("/dev/ovltree", O_RDWR | O_CLOEXEC);
	return device >= 0;
}

static bool layerset_available(void)
{
	struct ovltree_info info = { .size = sizeof(info) };

	if (!ovltree_available() || ioctl(device, OVLTREE_IOC_INFO, &info))
		return false;
	errno = EOPNOTSUPP;
	return info.features & OVLTREE_FEATURE_LAYERSET;
}

static struct ovltree_path path_of(const char *path)
{
	return (struct ovltree_path){
		.fd = AT_FDCWD,
		.path = (uintptr_t)path,
	};
}

/* The descriptors that the command returns go to @fds. */
static void submit(unsigned long command, const void *entries, size_t size,
		   unsigned int nr, int *fds)
{
	struct ovltree_result *results = allocate(nr, sizeof(*results));
	struct ovltree_batch batch = {
		.size = sizeof(batch),
		.entries = (uintptr_t)entries,
		.results = (uintptr_t)results,
		.nr = nr,
		.entry_size = size,
		.result_size = sizeof(*results),
		.tree_size = sizeof(struct ovltree_tree),
	};
	int done = COUNT(ioctl(device, command, &batch));
	unsigned int i;

	if (done < 0)
		err(1, "ovltree: a batch of %u", nr);
	for (i = 0; i < nr; i++) {
		if (results[i].error)
			errx(1, "ovltree: entry %u of %u: %s %s", i, nr,
			     strerror(-results[i].error), results[i].message);
		if (fds)
			fds[i] = results[i].fd;
	}
	if ((unsigned int)done != nr)
		errx(1, "ovltree: %d of %u entries succeeded", done, nr);
	note_hold(batch.hold_ns);
	free(results);
}

/* The layers, below an open folder. */
struct lower {
	int parent;
	struct ovltree_path *paths;
};

static struct lower lower_get(const struct world *world)
{
	struct lower lower = {
		.parent = open(world->parent, O_PATH | O_CLOEXEC),
		.paths = allocate(world->nr_layers, sizeof(*lower.paths)),
	};
	unsigned int i;

	if (lower.parent < 0)
		err(1, "open %s", world->parent);
	for (i = 0; i < world->nr_layers; i++) {
		lower.paths[i] = path_of(world->layers[i]);
		lower.paths[i].fd = lower.parent;
	}
	return lower;
}

static void lower_put(struct lower *lower)
{
	close(lower->parent);
	free(lower->paths);
}

static struct ovltree_tree tree_of(const struct world *world,
				   const struct container *c,
				   const struct lower *lower)
{
	struct ovltree_tree tree = {
		.flags = OVLTREE_TREE_UPPER | OVLTREE_TREE_IDMAP,
		.upper = path_of(c->upper),
		.work = path_of(c->work),
		.userns_fd = c->userns,
	};

	if (layerset < 0) {
		tree.nr_lower = world->nr_layers;
		tree.lower = (uintptr_t)lower->paths;
	} else {
		tree.flags |= OVLTREE_TREE_LAYERSET;
		tree.layerset_fd = layerset;
	}
	return tree;
}

/* ATTACH, or PREPARE with the mounts going to @fds. */
static void build(const struct world *world, const struct container *containers,
		  unsigned int nr, int *fds)
{
	struct ovltree_attach *entries = allocate(nr, sizeof(*entries));
	struct ovltree_tree *trees = allocate(nr, sizeof(*trees));
	struct lower lower = {};
	unsigned int i;

	if (layerset < 0)
		lower = lower_get(world);
	for (i = 0; i < nr; i++) {
		trees[i] = tree_of(world, &containers[i], &lower);
		entries[i].tree = (uintptr_t)&trees[i];
		if (!fds)
			entries[i].target = path_of(containers[i].target);
	}
	submit(fds ? OVLTREE_IOC_PREPARE : OVLTREE_IOC_ATTACH, entries,
	       sizeof(*entries), nr, fds);
	if (layerset < 0)
		lower_put(&lower);
	free(trees);
	free(entries);
}

void ovltree_prepare(const struct world *world,
		     const struct container *containers, unsigned int nr,
		     int *fds)
{
	build(world, containers, nr, fds);
}

static void detach(const struct container *containers, unsigned int nr)
{
	struct ovltree_detach *entries = allocate(nr, sizeof(*entries));
	unsigned int i;

	for (i = 0; i < nr; i++)
		entries[i].target = path_of(containers[i].target);
	submit(OVLTREE_IOC_DETACH, entries, sizeof(*entries), nr, NULL);
	free(entries);
}

static void single_attach(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		build(share->world, &share->containers[i], 1, NULL);
}

static void single_detach(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		detach(&share->containers[i], 1);
}

/* More than a call takes are several, as the library has it, too. */
static unsigned int next_call(const struct share *share, unsigned int done)
{
	return share->nr - done < MAX_ENTRIES ? share->nr - done : MAX_ENTRIES;
}

static void batch_attach(const struct share *share)
{
	unsigned int done, nr;

	for (done = 0; (nr = next_call(share, done)); done += nr)
		build(share->world, &share->containers[done], nr, NULL);
}

static void batch_detach(const struct share *share)
{
	unsigned int done, nr;

	for (done = 0; (nr = next_call(share, done)); done += nr)
		detach(&share->containers[done], nr);
}

static void layerset_open(const struct world *world)
{
	struct lower lower = lower_get(world);
	struct ovltree_layerset entry = {
		.nr_lower = world->nr_layers,
		.lower = (uintptr_t)lower.paths,
	};

	submit(OVLTREE_IOC_LAYERSET, &entry, sizeof(entry), 1, &layerset);
	lower_put(&lower);
}

static void layerset_close(void)
{
	close(layerset);
	layerset = -1;
}

static void parallel_open(const struct world *world)
{
	mounts = allocate(world->nr_containers, sizeof(*mounts));
}

static void parallel_close(void)
{
	free(mounts);
}

static void attach_mounts(const struct world *world)
{
	const unsigned int nr = world->nr_containers;
	struct ovltree_attach *entries = allocate(nr, sizeof(*entries));
	unsigned int i;

	for (i = 0; i < nr; i++)
		entries[i] = (struct ovltree_attach){
			.flags = OVLTREE_ATTACH_MOUNT,
			.mnt_fd = mounts[i],
			.target = path_of(world->containers[i].target),
		};
	submit(OVLTREE_IOC_ATTACH, entries, sizeof(*entries), nr, NULL);
	for (i = 0; i < nr; i++)
		COUNT(close(mounts[i]));
	free(entries);
}

static void parallel_attach(const struct share *share)
{
	const struct world *world = share->world;

	ovltree_prepare(world, share->containers, share->nr,
			&mounts[share->containers - world->containers]);
	if (atomic_fetch_add(&nr_prepared, share->nr) + share->nr <
	    world->nr_containers)
		return;
	atomic_store(&nr_prepared, 0);
	attach_mounts(world);
}

const struct peer peer_ovltree_1 = {
	.name = "ovltree-1",
	.idmapped = true,
	.independent = true,
	.available = ovltree_available,
	.attach = single_attach,
	.detach = single_detach,
};

const struct peer peer_ovltree_batch = {
	.name = "ovltree-batch",
	.idmapped = true,
	.available = ovltree_available,
	.attach = batch_attach,
	.detach = batch_detach,
};

const struct peer peer_ovltree_layerset = {
	.name = "ovltree-layerset",
	.idmapped = true,
	.available = layerset_available,
	.open = layerset_open,
	.close = layerset_close,
	.attach = batch_attach,
	.detach = batch_detach,
};

const struct peer peer_ovltree_parallel = {
	.name = "ovltree-parallel",
	.idmapped = true,
	.available = ovltree_available,
	.open = parallel_open,
	.close = parallel_close,
	.attach = parallel_attach,
	.detach = batch_detach,
};
