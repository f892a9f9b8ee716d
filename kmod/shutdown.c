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
#include <linux/cleanup.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/llist.h>
#include <linux/mnt_batch.h>
#include <linux/overlayfs.h>
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

static void supers_hold(struct ovlt_supers *supers, const struct mnt_batch *mounts)
{
	for (unsigned int i = 0; i < mounts->nr; i++) {
		if (!entry_detaches(&mounts->entries[i]))
			continue;
		supers->sbs[i] = mounts->entries[i].mount.mnt->mnt_sb;
		atomic_inc(&supers->sbs[i]->s_active);
	}
}

/*
 * Of what supers_hold() held, keep the superblocks of mounts that are detached, and
 * of those whether lazily or not; let the others go.
 */
static void supers_keep(struct ovlt_supers *supers, const struct ovlt_supers *held,
			const struct mnt_batch *mounts, bool lazy)
{
	for (unsigned int i = 0; i < mounts->nr; i++) {
		const struct mnt_batch_entry *entry = &mounts->entries[i];

		if (!held->sbs[i] || lazy != !!(entry->flags & MNT_DETACH))
			continue;
		if (supers && entry_detaches(entry))
			supers->sbs[supers->nr++] = held->sbs[i];
		else
			deactivate_super(held->sbs[i]);
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
	struct ovlt_supers *held __free(kvfree) = supers_alloc(mounts->nr);
	struct ovlt_supers *lazy, *plain;

	if (!held) {
		mnt_detach_batch(mounts);
		return;
	}
	supers_hold(held, mounts);
	mnt_detach_batch(mounts);

	lazy = supers_alloc(mounts->nr);
	supers_keep(lazy, held, mounts, true);
	if (lazy && lazy->nr) {
		llist_add(&lazy->node, &lazy_supers);
		queue_delayed_work(system_unbound_wq, &lazy_work, OVLT_LAZY_DELAY);
	} else {
		kvfree(lazy);
	}

	plain = supers_alloc(mounts->nr);
	supers_keep(plain, held, mounts, false);
	if (plain)
		supers_end(plain, 1);
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
