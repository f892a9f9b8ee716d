// SPDX-License-Identifier: GPL-2.0
/* Batches of ATTACH and DETACH, on few mountpoints. */
#include "workers.h"

#define MAX_BATCH 12

static const unsigned int propagation[] = {
	0, 0, 0, MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE,
};

static void attach_some(struct stress *stress, int dev, unsigned int *seed)
{
	struct ovltree_attach entries[MAX_BATCH] = { };
	struct ovltree_result results[MAX_BATCH];
	struct ovltree_tree *tree = ovlt_simple_tree();
	int nr = 1 + rand_r(seed) % MAX_BATCH, fds[MAX_BATCH], ret;
	__u32 flags = rand_r(seed) % 2 ? OVLTREE_BATCH_ALL : 0;

	for (int i = 0; i < nr; i++) {
		const char *target = rand_r(seed) % 16 ? stress_target(seed) : "missing";

		fds[i] = -1;
		entries[i] = ovlt_entry_tree(tree, target);
		entries[i].propagation =
			propagation[rand_r(seed) % ARRAY_SIZE(propagation)];
		/* Descriptors of what is being renamed and removed */
		if (rand_r(seed) % 2)
			fds[i] = open(target, O_PATH | O_CLOEXEC);
		if (fds[i] >= 0)
			entries[i].target = (struct ovltree_path) { .fd = fds[i] };
	}
	ret = ovlt_attach(dev, flags, entries, nr, results);
	stress_count_batch(stress, STRESS_ATTACH, results, nr, ret);
	if (flags && ret > 0 && ret != nr)
		stress->bad_count = ret;
	for (int i = 0; i < nr; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free((void *)(uintptr_t)tree->lower);
	free(tree);
}

static void detach_some(struct stress *stress, int dev, unsigned int *seed)
{
	struct ovltree_detach entries[MAX_BATCH] = { };
	struct ovltree_result results[MAX_BATCH];
	__u64 room = ovlt_mount_id(AT_FDCWD, "/tmp");
	int nr = 1 + rand_r(seed) % MAX_BATCH, ret;

	for (int i = 0; i < nr; i++) {
		const char *target = stress_target(seed);
		__u32 flags = rand_r(seed) % 2 ? OVLTREE_DETACH_LAZY : 0;
		__u64 id;

		if (rand_r(seed) % 3) {
			entries[i] = ovlt_entry_path(target, flags);
			continue;
		}
		/* A bare folder has the id of the room's own mount, which must stay. */
		id = ovlt_mount_id(AT_FDCWD, target);
		entries[i] = ovlt_entry_id(id && id != room ? id : 1, flags);
	}
	ret = ovlt_detach(dev, entries, nr, results);
	stress_count_batch(stress, STRESS_DETACH, results, nr, ret);
}

static void step(struct stress *stress, unsigned int *seed)
{
	int dev = stress_open(stress);

	if (dev < 0)
		return;
	if (rand_r(seed) % 5 < 2)
		attach_some(stress, dev, seed);
	else
		detach_some(stress, dev, seed);
	close(dev);
}

const struct stress_worker stress_batches = {
	.step = step,
	.let_go = stress_nothing_held,
};
