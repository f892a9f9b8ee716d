// SPDX-License-Identifier: GPL-2.0
/*
 * Our way: the bare ioctls, with 1 and with all of a thread's containers a call.
 */
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/ovltree.h>

#include "bench.h"

static int device = -1;

static bool available(void)
{
	if (device < 0)
		device = open("/dev/ovltree", O_RDWR | O_CLOEXEC);
	return device >= 0;
}

static struct ovltree_path path_of(const char *path)
{
	return (struct ovltree_path){
		.fd = AT_FDCWD,
		.path = (uintptr_t)path,
	};
}

static void submit(unsigned long command, const void *entries, size_t size,
		   const struct container *containers, unsigned int nr)
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
	for (i = 0; i < nr; i++)
		if (results[i].error)
			errx(1, "ovltree: %s: %s %s", containers[i].target,
			     strerror(-results[i].error), results[i].message);
	if ((unsigned int)done != nr)
		errx(1, "ovltree: %d of %u entries succeeded", done, nr);
	free(results);
}

static void attach(const struct world *world,
		   const struct container *containers, unsigned int nr)
{
	struct ovltree_path *lower = allocate(world->nr_layers, sizeof(*lower));
	struct ovltree_attach *entries = allocate(nr, sizeof(*entries));
	struct ovltree_tree *trees = allocate(nr, sizeof(*trees));
	int parent = open(world->parent, O_PATH | O_CLOEXEC);
	unsigned int i;

	if (parent < 0)
		err(1, "open %s", world->parent);
	for (i = 0; i < world->nr_layers; i++) {
		lower[i] = path_of(world->layers[i]);
		lower[i].fd = parent;
	}
	for (i = 0; i < nr; i++) {
		trees[i] = (struct ovltree_tree){
			.flags = OVLTREE_TREE_UPPER | OVLTREE_TREE_IDMAP,
			.nr_lower = world->nr_layers,
			.lower = (uintptr_t)lower,
			.upper = path_of(containers[i].upper),
			.work = path_of(containers[i].work),
			.userns_fd = containers[i].userns,
		};
		entries[i] = (struct ovltree_attach){
			.tree = (uintptr_t)&trees[i],
			.target = path_of(containers[i].target),
		};
	}
	submit(OVLTREE_IOC_ATTACH, entries, sizeof(*entries), containers, nr);
	close(parent);
	free(trees);
	free(entries);
	free(lower);
}

static void detach(const struct container *containers, unsigned int nr)
{
	struct ovltree_detach *entries = allocate(nr, sizeof(*entries));
	unsigned int i;

	for (i = 0; i < nr; i++)
		entries[i].target = path_of(containers[i].target);
	submit(OVLTREE_IOC_DETACH, entries, sizeof(*entries), containers, nr);
	free(entries);
}

static void single_attach(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		attach(share->world, &share->containers[i], 1);
}

static void single_detach(const struct share *share)
{
	unsigned int i;

	for (i = 0; i < share->nr; i++)
		detach(&share->containers[i], 1);
}

static void batch_attach(const struct share *share)
{
	attach(share->world, share->containers, share->nr);
}

static void batch_detach(const struct share *share)
{
	detach(share->containers, share->nr);
}

const struct peer peer_ovltree_1 = {
	.name = "ovltree-1",
	.idmapped = true,
	.available = available,
	.attach = single_attach,
	.detach = single_detach,
};

const struct peer peer_ovltree_batch = {
	.name = "ovltree-batch",
	.idmapped = true,
	.available = available,
	.attach = batch_attach,
	.detach = batch_detach,
};
