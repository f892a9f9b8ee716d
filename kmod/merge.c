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
 * Those who merge have one mount each: entries of one caller may depend on one
 * another, and stay together in a batch of their own.
 *
 * A leader waits for nobody's mountpoint, and what is allocated for an entry is of its
 * own caller's cgroup. An entry whose inode is locked, or for which there is no memory,
 * is left to its caller, so that it holds up nobody else.
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

/* A caller in the queue, whose batch is one entry */
struct merge {
	struct list_head node;
	struct mnt_batch *batch;
	struct completion woken;
	enum merge_state state;
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

/* Move who waits to @merges, as many as fit beside the leader; return their number. */
static unsigned int merge_collect(struct list_head *merges)
{
	unsigned int nr = 0;

	guard(spinlock)(&merge_lock);
	while (nr + 1 < MNT_BATCH_MAX && !list_empty(&merge_queue)) {
		list_move_tail(merge_queue.next, merges);
		nr++;
	}
	return nr;
}

/* Attach what the callers in @merges have, as one batch. */
static int merge_attach(struct list_head *merges, unsigned int nr)
{
	struct mnt_batch_entry *entries __free(kvfree) =
		kvmalloc_array(nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	struct mnt_batch all = { .entries = entries, .nr = nr, .nowait = true };
	struct merge *merge;
	unsigned int i = 0;
	int err;

	if (!entries)
		return -ENOMEM;
	list_for_each_entry(merge, merges, node)
		entries[i++] = merge->batch->entries[0];

	err = mnt_attach_batch(&all);
	if (err)
		return err;

	i = 0;
	list_for_each_entry(merge, merges, node) {
		merge->batch->entries[0] = entries[i++];
		merge->batch->wait_ns = all.wait_ns;
		merge->batch->hold_ns = all.hold_ns;
	}
	return 0;
}

static void merge_lead(struct merge *self)
{
	struct merge *merge, *next;
	LIST_HEAD(merges);
	unsigned int nr;
	int err;

	nr = merge_collect(&merges) + 1;
	list_add(&self->node, &merges);
	err = merge_attach(&merges, nr);
	list_for_each_entry_safe(merge, next, &merges, node) {
		if (err)
			merge->batch->entries[0].error = err;
		if (merge != self)
			merge_wake(merge, MERGE_DONE);
	}
	merge_leave();
}

/* Does the leader leave an entry to its own caller? */
static bool merge_left(const struct mnt_batch_entry *entry)
{
	return entry->error == -EAGAIN || entry->error == -ENOMEM;
}

static bool merge_takes(const struct mnt_batch *batch)
{
	return batch->nr == 1 && !batch->all;
}

/**
 * ovlt_merge_expect - say that the caller prepares what it is going to attach
 * @batch: what that will be
 *
 * Until ovlt_merge_withdraw(), which is to be called right before
 * ovlt_merge_attach() or when nothing comes of it.
 */
void ovlt_merge_expect(const struct mnt_batch *batch)
{
	if (merge_takes(batch))
		atomic_inc(&merge_expected);
}

/**
 * ovlt_merge_withdraw - say that the caller prepares no more
 * @batch: as for ovlt_merge_expect()
 */
void ovlt_merge_withdraw(const struct mnt_batch *batch)
{
	if (merge_takes(batch) && atomic_dec_and_test(&merge_expected))
		wake_up(&merge_all_here);
}

/**
 * ovlt_merge_attach - attach a batch, together with those of other callers
 * @batch: the batch; one of more than one entry, or all-or-nothing, stays alone
 * @patience_ns: how long others who are preparing may take to come
 *
 * Return: as mnt_attach_batch().
 */
int ovlt_merge_attach(struct mnt_batch *batch, u64 patience_ns)
{
	struct merge self = { .batch = batch };
	u64 until = ktime_get_ns() + min(patience_ns, MERGE_PATIENCE_MAX_NS);
	struct mnt_batch_entry *entry = &batch->entries[0];

	if (!merge_takes(batch))
		return mnt_attach_batch(batch);
	if (entry->error)
		return 0;

	init_completion(&self.woken);
	merge_enter(&self);
	if (self.state == MERGE_LEADING) {
		merge_await_others(until);
		merge_lead(&self);
	}
	if (!merge_left(entry))
		return 0;
	entry->error = 0;
	return mnt_attach_batch(batch);
}
ALLOW_ERROR_INJECTION(ovlt_merge_attach, ERRNO);
