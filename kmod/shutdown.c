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
#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/mnt_batch.h>
#include <linux/overlayfs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>

#include "internal.h"

/* Long enough for the task to be back in user space. If it is not, it shuts down. */
#define OVLT_LAZY_DELAY msecs_to_jiffies(10)

/**
 * struct ovlt_supers - superblocks of what is detached together
 * @work: shuts them down, if they are detached lazily
 * @lazy: those of the batch that are, if any
 * @nr: number of @sbs
 * @sbs: the superblocks, each with an active reference
 */
struct ovlt_supers {
	struct delayed_work work;
	struct ovlt_supers *lazy;
	unsigned int nr;
	struct super_block *sbs[];
};

/* What it does may wait for a disk, and so nothing else is to wait for it. */
static struct workqueue_struct *shutdown_wq;

/* Batches that are to be shut down, but not before a while has passed */
static atomic_t nr_lazy;

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
	supers_end(container_of(to_delayed_work(work), struct ovlt_supers, work), 0);
	if (atomic_dec_and_test(&nr_lazy))
		wake_up_var(&nr_lazy);
}

static struct ovlt_supers *supers_alloc(unsigned int nr)
{
	struct ovlt_supers *supers;

	supers = kvzalloc(struct_size(supers, sbs, nr), GFP_KERNEL_ACCOUNT);
	if (supers)
		INIT_DELAYED_WORK(&supers->work, end_lazy);
	return supers;
}

/**
 * ovlt_supers_hold - keep superblocks from being shut down one by one
 * @mounts: as for mnt_detach_batch(), which is to follow
 *
 * Return: What is for ovlt_supers_shutdown(). NULL if memory is short; each of them
 *         is on its own then.
 */
struct ovlt_supers *ovlt_supers_hold(const struct mnt_batch *mounts)
{
	struct ovlt_supers *supers = supers_alloc(mounts->nr);
	bool lazy = false;

	if (!supers)
		return NULL;
	for (unsigned int i = 0; i < mounts->nr; i++) {
		const struct mnt_batch_entry *entry = &mounts->entries[i];

		if (!ovlt_entry_is_good(entry))
			continue;
		supers->sbs[i] = entry->mount.mnt->mnt_sb;
		atomic_inc(&supers->sbs[i]->s_active);
		lazy |= entry->flags & MNT_DETACH;
	}
	if (lazy)
		supers->lazy = supers_alloc(mounts->nr);
	return supers;
}

/*
 * Of what ovlt_supers_hold() has held keep what is detached, not lazily, and move
 * what is detached lazily. Let go of mounts that are not detached, and of lazy ones
 * if there was no memory for them.
 */
static void supers_sort(struct ovlt_supers *supers, const struct mnt_batch *mounts)
{
	struct ovlt_supers *lazy = supers->lazy;

	for (unsigned int i = 0; i < mounts->nr; i++) {
		const struct mnt_batch_entry *entry = &mounts->entries[i];
		struct super_block *sb = supers->sbs[i];

		if (!sb)
			continue;
		if (ovlt_entry_is_good(entry) && !(entry->flags & MNT_DETACH))
			supers->sbs[supers->nr++] = sb;
		else if (ovlt_entry_is_good(entry) && lazy)
			lazy->sbs[lazy->nr++] = sb;
		else
			deactivate_super(sb);
	}
}

/* @mounts: as for supers_end() */
static void supers_shutdown(struct ovlt_supers *supers, int mounts)
{
	if (supers->lazy) {
		atomic_inc(&nr_lazy);
		queue_delayed_work(shutdown_wq, &supers->lazy->work,
				   OVLT_LAZY_DELAY);
	}
	supers_end(supers, mounts);
}

/**
 * ovlt_supers_shutdown - shut down what has been detached
 * @supers: what ovlt_supers_hold() has returned
 * @mounts: after mnt_detach_batch()
 *
 * What is detached lazily is shut down after the caller has returned to user
 * space, all else before: in a kernel thread, before it returns.
 *
 * Context: Process context, sleeps: for the disks of uppers, too.
 */
void ovlt_supers_shutdown(struct ovlt_supers *supers,
			  const struct mnt_batch *mounts)
{
	bool kthread = current->flags & PF_KTHREAD;

	if (supers)
		supers_sort(supers, mounts);
	/* A task has its mounts freed when it returns to user space */
	if (kthread)
		mnt_flush_delayed();
	if (supers)
		supers_shutdown(supers, kthread ? 0 : 1);
	/* And those of their layers */
	if (kthread)
		mnt_flush_delayed();
}

/**
 * ovlt_shutdown_queue - do what may wait for a disk
 * @work: does it, in a worker of its own
 */
void ovlt_shutdown_queue(struct work_struct *work)
{
	queue_work(shutdown_wq, work);
}

/**
 * ovlt_shutdown_flush - wait until what ovlt_shutdown_queue() was given is done
 *
 * Context: Process context, sleeps.
 */
void ovlt_shutdown_flush(void)
{
	flush_workqueue(shutdown_wq);
}

int ovlt_shutdown_init(void)
{
	/* Those that wait for a disk that hangs take as many as there may be. */
	shutdown_wq = alloc_workqueue("ovltree", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return shutdown_wq ? 0 : -ENOMEM;
}

/**
 * ovlt_shutdown_exit - shut down what still waits for it
 *
 * Context: Process context, sleeps. Nothing is detached any more.
 */
void ovlt_shutdown_exit(void)
{
	wait_var_event(&nr_lazy, !atomic_read(&nr_lazy));
	destroy_workqueue(shutdown_wq);
}
