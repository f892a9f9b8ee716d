// SPDX-License-Identifier: GPL-2.0-only
/*
 * Callers that attach at the same moment share the locks, whether or not they
 * know of one another: the first one leads. Who comes while it commits waits; when
 * it is done the first of these leads for all of them.
 *
 * A leader that knows of others who are still preparing gives them a while to come,
 * no longer than it took to prepare one of its own entries: a hold of the locks is
 * shorter than a preparation by far, so that even in a storm few would come during
 * one. Who is alone doesn't wait.
 *
 * A leader waits for nobody's mountpoint: an entry whose inode is locked is left
 * to its own caller, so that a hung file system holds up nobody else.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/error-injection.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "internal.h"

/* For who prepared on a slow file system: containers start in tens of these. */
#define MERGE_PATIENCE_MAX_NS (10 * NSEC_PER_MSEC)

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

static atomic_t merge_expected;		/* who prepares, and comes later */
static DECLARE_WAIT_QUEUE_HEAD(merge_all_here);

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

static void merge_await_others(u64 until)
{
	u64 now = ktime_get_ns();

	if (now < until)
		wait_event_hrtimeout(merge_all_here, !atomic_read(&merge_expected),
				     ns_to_ktime(until - now));
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
 * ovlt_merge_expect - say that the caller prepares what it is going to attach
 *
 * Until ovlt_merge_withdraw(), which is to be called right before
 * ovlt_merge_attach() or when nothing comes of it.
 */
void ovlt_merge_expect(void)
{
	atomic_inc(&merge_expected);
}

/**
 * ovlt_merge_withdraw - say that the caller prepares no more
 */
void ovlt_merge_withdraw(void)
{
	if (atomic_dec_and_test(&merge_expected))
		wake_up(&merge_all_here);
}

/**
 * ovlt_merge_attach - attach a batch, together with those of other callers
 * @batch: the batch; an all-or-nothing one stays alone
 * @patience_ns: how long others who are preparing may take to come
 *
 * Return: as mnt_attach_batch().
 */
int ovlt_merge_attach(struct mnt_batch *batch, u64 patience_ns)
{
	struct merge self = { .batch = batch };
	u64 until = ktime_get_ns() + min(patience_ns, MERGE_PATIENCE_MAX_NS);

	if (batch->all)
		return mnt_attach_batch(batch);

	init_completion(&self.woken);
	merge_enter(&self);
	if (self.state == MERGE_LEADING) {
		merge_await_others(until);
		merge_lead(&self);
	}
	return self.err ?: merge_finish(batch);
}
ALLOW_ERROR_INJECTION(ovlt_merge_attach, ERRNO);
