// SPDX-License-Identifier: GPL-2.0-only
/*
 * Callers that attach at the same moment share the locks, whether or not they
 * know of one another: the first one leads and commits at once. Who comes while
 * it does so waits; when it is done the first of these leads for all of them.
 *
 * A leader waits for nobody's mountpoint: an entry whose inode is locked is left
 * to its own caller, so that a hung file system holds up nobody else.
 */
#include <linux/completion.h>
#include <linux/error-injection.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "internal.h"

enum merge_state {
	MERGE_WAITING,
	MERGE_LEADING,
	MERGE_DONE,
};

/* A caller's batch in the queue */
struct merge {
	struct list_head node;
	struct mnt_batch *batch;
	struct completion woken;
	enum merge_state state;
	int err;
};

static LIST_HEAD(merge_queue);		/* of who waits, oldest first */
static bool merge_led;			/* somebody leads */
static DEFINE_SPINLOCK(merge_lock);	/* for both */

static void merge_wake(struct merge *merge, enum merge_state state)
{
	merge->state = state;
	complete(&merge->woken);
}

/* Return once @self is led by somebody else and done, or has to lead. */
static void merge_enter(struct merge *self)
{
	scoped_guard(spinlock, &merge_lock) {
		if (!merge_led) {
			merge_led = true;
			self->state = MERGE_LEADING;
			return;
		}
		list_add_tail(&self->node, &merge_queue);
	}
	wait_for_completion(&self->woken);
}

/* Let the next one lead. */
static void merge_leave(void)
{
	struct merge *next;

	guard(spinlock)(&merge_lock);
	next = list_first_entry_or_null(&merge_queue, struct merge, node);
	if (next) {
		list_del(&next->node);
		merge_wake(next, MERGE_LEADING);
	} else {
		merge_led = false;
	}
}

/* Move who waits to @followers, as many as fit; return their entries. */
static unsigned int merge_collect(const struct merge *self,
				  struct list_head *followers)
{
	unsigned int nr = self->batch->nr;
	struct merge *merge, *next;

	guard(spinlock)(&merge_lock);
	list_for_each_entry_safe(merge, next, &merge_queue, node) {
		if (nr + merge->batch->nr > MNT_BATCH_MAX)
			break;
		nr += merge->batch->nr;
		list_move_tail(&merge->node, followers);
	}
	return nr;
}

static unsigned int merge_copy_in(struct mnt_batch *all, const struct merge *merge)
{
	memcpy(&all->entries[all->nr], merge->batch->entries,
	       merge->batch->nr * sizeof(*all->entries));
	return merge->batch->nr;
}

static unsigned int merge_copy_out(const struct mnt_batch *all, unsigned int i,
				   struct merge *merge)
{
	memcpy(merge->batch->entries, &all->entries[i],
	       merge->batch->nr * sizeof(*all->entries));
	merge->batch->wait_ns += all->wait_ns;
	merge->batch->hold_ns += all->hold_ns;
	return merge->batch->nr;
}

/* Attach what @self and @followers have, as one batch. */
static int merge_attach(struct merge *self, struct list_head *followers,
			unsigned int nr)
{
	struct mnt_batch_entry *entries __free(kvfree) =
		kvmalloc_array(nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	struct mnt_batch all = { .entries = entries, .nowait = true };
	struct merge *merge;
	unsigned int i = 0;
	int err;

	if (!entries)
		return -ENOMEM;
	all.nr += merge_copy_in(&all, self);
	list_for_each_entry(merge, followers, node)
		all.nr += merge_copy_in(&all, merge);

	err = mnt_attach_batch(&all);
	if (err)
		return err;

	i += merge_copy_out(&all, i, self);
	list_for_each_entry(merge, followers, node)
		i += merge_copy_out(&all, i, merge);
	return 0;
}

static void merge_lead(struct merge *self)
{
	struct merge *merge, *next;
	LIST_HEAD(followers);
	unsigned int nr;

	nr = merge_collect(self, &followers);
	self->err = merge_attach(self, &followers, nr);
	list_for_each_entry_safe(merge, next, &followers, node) {
		merge->err = self->err;
		merge_wake(merge, MERGE_DONE);
	}
	merge_leave();
}

/* Try again, with patience, what the leader would not wait for. */
static int merge_finish(struct mnt_batch *batch)
{
	bool again = false;

	for (unsigned int i = 0; i < batch->nr; i++) {
		struct mnt_batch_entry *entry = &batch->entries[i];

		if (entry->mount.mnt && entry->error == -EAGAIN) {
			entry->error = 0;
			again = true;
		}
	}
	return again ? mnt_attach_batch(batch) : 0;
}

/**
 * ovlt_merge_attach - attach a batch, together with those of other callers
 * @batch: the batch; an all-or-nothing one stays alone
 *
 * Return: as mnt_attach_batch().
 */
int ovlt_merge_attach(struct mnt_batch *batch)
{
	struct merge self = { .batch = batch };

	if (batch->all)
		return mnt_attach_batch(batch);

	init_completion(&self.woken);
	merge_enter(&self);
	if (self.state == MERGE_LEADING)
		merge_lead(&self);
	return self.err ?: merge_finish(batch);
}
ALLOW_ERROR_INJECTION(ovlt_merge_attach, ERRNO);
