// SPDX-License-Identifier: GPL-2.0-only
/*
 * Committing requests in a worker: what is overdue, what waits when the module goes,
 * and each detach, whoever has claimed it.
 *
 * A detach ends with the sync of an upper's file system, which takes as long as a
 * disk does, or for ever. So each batch of detaches has a worker to itself: it holds
 * nobody up but its own submitters, who hear of the end when the superblocks are
 * shut down.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/nsproxy.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "internal.h"
#include "queue.h"
#include "trace.h"

#define OVLT_OVERDUE_BATCH 64

/**
 * struct ovlt_commit - requests of one kind that are committed together
 * @work: detaches them
 * @detached: they are, and @results are there
 * @users: the worker, and who waits for @detached
 * @net: their network namespace, with a reference: it doesn't wait for a disk when
 *	 it goes
 * @by: who has claimed them
 * @batch: the mounts
 * @results: what became of each
 * @requests: each with its place in @batch
 */
struct ovlt_commit {
	struct work_struct work;
	struct completion detached;
	refcount_t users;
	struct net *net;
	enum ovltree_reason by;
	struct mnt_batch batch;
	struct ovltree_result *results;
	struct ovlt_request **requests;
};

static void commit_put(struct ovlt_commit *commit)
{
	if (!refcount_dec_and_test(&commit->users))
		return;
	if (commit->net)
		put_net(commit->net);
	kvfree(commit->batch.entries);
	kvfree(commit->results);
	kvfree(commit->requests);
	kfree(commit);
}

static void commit_detach(struct work_struct *work)
{
	struct ovlt_commit *commit = container_of(work, struct ovlt_commit, work);
	struct mnt_batch *batch = &commit->batch;
	struct ovlt_supers *supers = ovlt_supers_hold(batch);
	unsigned int succeeded = 0;

	mnt_detach_batch(batch);
	for (unsigned int i = 0; i < batch->nr; i++) {
		ovlt_detach_report(&commit->results[i], &batch->entries[i]);
		succeeded += !commit->results[i].error;
	}
	trace_ovltree_detached(batch->nr, succeeded, batch->wait_ns,
			       batch->hold_ns);
	complete(&commit->detached);
	ovlt_supers_shutdown(supers, batch);
	ovlt_requests_end(commit->requests, commit->results, batch, commit->by);
	commit_put(commit);
}

static struct ovlt_commit *commit_new(unsigned int nr, enum ovltree_reason by,
				      gfp_t gfp)
{
	struct ovlt_commit *commit = kzalloc(sizeof(*commit), gfp);

	if (!commit)
		return NULL;
	INIT_WORK(&commit->work, commit_detach);
	init_completion(&commit->detached);
	refcount_set(&commit->users, 1);
	commit->by = by;
	commit->batch.entries = kvcalloc(nr, sizeof(*commit->batch.entries), gfp);
	commit->results = kvcalloc(nr, sizeof(*commit->results), gfp);
	commit->requests = kvcalloc(nr, sizeof(*commit->requests), gfp);
	if (commit->batch.entries && commit->results && commit->requests)
		return commit;
	commit_put(commit);
	return NULL;
}

/**
 * ovlt_commit_detach - detach the requests of a batch
 * @batch: the caller's batch; gets results and times
 * @requests: for each entry its request, claimed by the caller, or NULL
 *
 * Context: Process context, sleeps: for the mount locks, and for a disk only if as
 *          many batches as may wait for one already do. Can be killed then.
 * Return: 0 if the requests end without the caller; or -ENOMEM with nothing done.
 */
int ovlt_commit_detach(struct ovlt_batch *batch, struct ovlt_request *const requests[])
{
	struct ovlt_commit *commit;
	struct mnt_batch *mounts;
	unsigned int nr = 0;

	for (unsigned int i = 0; i < batch->arg.nr; i++)
		nr += !!requests[i];
	if (!nr)
		return 0;
	commit = commit_new(nr, OVLTREE_REASON_DAEMON, GFP_KERNEL_ACCOUNT);
	if (!commit)
		return -ENOMEM;
	commit->net = get_net(current->nsproxy->net_ns);
	mounts = &commit->batch;
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		if (!requests[i])
			continue;
		commit->requests[mounts->nr] = requests[i];
		commit->results[mounts->nr] = batch->results[i];
		mounts->entries[mounts->nr++] = requests[i]->entry;
	}

	refcount_inc(&commit->users);
	ovlt_shutdown_queue(&commit->work);
	/* Who is killed hears of nothing, and the work is done without it. */
	if (wait_for_completion_killable(&commit->detached)) {
		commit_put(commit);
		return 0;
	}
	batch->arg.wait_ns += mounts->wait_ns;
	batch->arg.hold_ns += mounts->hold_ns;
	nr = 0;
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		if (requests[i])
			batch->results[i] = commit->results[nr++];
	}
	commit_put(commit);
	return 0;
}

/*
 * Nobody's rights are needed. A mountpoint whose inode is locked is not waited
 * for: it might be for ever, and the other deadlines would pass meanwhile.
 */
static void commit_attach(struct ovlt_commit *commit)
{
	struct mnt_batch *batch = &commit->batch;
	int err;

	batch->nowait = true;
	err = mnt_attach_batch(batch);
	for (unsigned int i = 0; i < batch->nr; i++) {
		if (err)
			commit->results[i].error = -EAGAIN;
		else
			ovlt_attach_report(&commit->results[i], &batch->entries[i]);
	}
	ovlt_requests_end(commit->requests, commit->results, batch, commit->by);
	commit_put(commit);
}

/**
 * ovlt_commit_overdue - commit what is overdue
 * @queue: the queue
 * @until: the time, in ns, until which it is
 * @by: why
 *
 * Context: Process context, sleeps. What is to be detached may not have ended when
 *          it returns, see ovlt_shutdown_flush().
 */
void ovlt_commit_overdue(struct ovlt_queue *queue, u64 until,
			 enum ovltree_reason by)
{
	struct ovlt_commit *commit;
	enum ovltree_kind kind;

	for (;;) {
		commit = commit_new(OVLT_OVERDUE_BATCH, by,
				    GFP_KERNEL | __GFP_NOFAIL);
		kind = ovlt_requests_claim_overdue(queue, until, &commit->batch,
						   commit->requests,
						   OVLT_OVERDUE_BATCH);
		if (!commit->batch.nr)
			break;
		commit->net = queue->net;
		if (kind == OVLTREE_KIND_ATTACH)
			commit_attach(commit);
		else
			ovlt_shutdown_queue(&commit->work);
	}
	commit_put(commit);
}
