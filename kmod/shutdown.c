// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shutting down: what follows when the last mount of a tree is detached.
 *
 * The task that puts a mount shuts its superblock down before it returns to user
 * space, and each overlay then syncs the file system of its upper. An active
 * reference to each superblock, held until all are detached, allows two things: to
 * sync such a file system once for all, and to leave to a worker what is detached
 * lazily.
 */
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/llist.h>
#include <linux/mnt_batch.h>
#include <linux/overlayfs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"

/* Long enough for the task to be back in user space. If it is not, it shuts down. */
#define OVLT_LAZY_DELAY msecs_to_jiffies(10)

struct ovlt_supers {
	struct llist_node node;
	unsigned int nr;
	struct super_block *sbs[];
};

static LLIST_HEAD(lazy_supers);

static struct ovlt_supers *supers_alloc(unsigned int nr)
{
	struct ovlt_supers *supers;

	return kvzalloc(struct_size(supers, sbs, nr), GFP_KERNEL_ACCOUNT);
}

/*
 * @mounts: how many mounts, at most, of a superblock that nobody uses may not be
 *	    freed yet
 */
static void supers_end(struct ovlt_supers *supers, int mounts)
{
	ovl_sync_unused(supers->sbs, supers->nr, mounts + 1);
	for (unsigned int i = 0; i < supers->nr; i++)
		deactivate_super(supers->sbs[i]);
	kvfree(supers);
}

static void end_lazy(struct work_struct *work)
{
	struct llist_node *list = llist_del_all(&lazy_supers);
	struct ovlt_supers *supers, *next;

	llist_for_each_entry_safe(supers, next, list, node)
		supers_end(supers, 0);
}

static DECLARE_DELAYED_WORK(lazy_work, end_lazy);

static bool entry_detaches(const struct mnt_batch_entry *entry)
{
	return entry->ns && !entry->error;
}

/* One for each entry, NULL for what has failed already. Returns whether any is lazy. */
static bool supers_hold(struct ovlt_supers *supers, const struct mnt_batch *mounts)
{
	bool lazy = false;

	for (unsigned int i = 0; i < mounts->nr; i++) {
		const struct mnt_batch_entry *entry = &mounts->entries[i];

		if (!entry_detaches(entry))
			continue;
		supers->sbs[i] = entry->mount.mnt->mnt_sb;
		atomic_inc(&supers->sbs[i]->s_active);
		lazy |= entry->flags & MNT_DETACH;
	}
	return lazy;
}

/*
 * Of what supers_hold() has held keep what is detached, not lazily, and move what
 * is detached lazily. Let go of mounts that are not detached, and of lazy ones if
 * there was no memory for @lazy.
 */
static void supers_sort(struct ovlt_supers *supers, struct ovlt_supers *lazy,
			const struct mnt_batch *mounts)
{
	for (unsigned int i = 0; i < mounts->nr; i++) {
		const struct mnt_batch_entry *entry = &mounts->entries[i];
		struct super_block *sb = supers->sbs[i];

		if (!sb)
			continue;
		if (entry_detaches(entry) && !(entry->flags & MNT_DETACH))
			supers->sbs[supers->nr++] = sb;
		else if (entry_detaches(entry) && lazy)
			lazy->sbs[lazy->nr++] = sb;
		else
			deactivate_super(sb);
	}
}

/**
 * ovlt_detach_mounts - detach mounts, and shut down their superblocks together
 * @mounts: as for mnt_detach_batch()
 *
 * What is detached lazily is shut down after the caller has returned to user
 * space, all else before. If memory is short each superblock is on its own.
 *
 * Context: Process context, sleeps. As mnt_detach_batch().
 */
void ovlt_detach_mounts(struct mnt_batch *mounts)
{
	struct ovlt_supers *supers = supers_alloc(mounts->nr);
	struct ovlt_supers *lazy = NULL;

	if (!supers) {
		mnt_detach_batch(mounts);
		return;
	}
	if (supers_hold(supers, mounts))
		lazy = supers_alloc(mounts->nr);
	mnt_detach_batch(mounts);
	supers_sort(supers, lazy, mounts);

	if (lazy) {
		llist_add(&lazy->node, &lazy_supers);
		queue_delayed_work(system_unbound_wq, &lazy_work, OVLT_LAZY_DELAY);
	}
	/* Mounts that a kernel thread puts are another worker's, at any time */
	supers_end(supers, current->flags & PF_KTHREAD ? 0 : 1);
}

/**
 * ovlt_shutdown_exit - shut down what still waits for it
 *
 * Context: Process context, sleeps. Nothing is detached any more.
 */
void ovlt_shutdown_exit(void)
{
	flush_delayed_work(&lazy_work);
}
