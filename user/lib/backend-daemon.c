// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Backend that lets a daemon attach and detach, together with what other
 * processes have asked for. Trees are prepared here, with the caller's rights,
 * through the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "private.h"

/* Between two attempts to find a daemon, or room in its queue. */
#define RETRY_MS 20

/**
 * struct work - entries that are being attached or detached
 * @ctx: the context
 * @queue: the queue; NULL when everything is done directly
 * @kind: enum ovltree_kind
 * @entries: the entries
 * @ids: their requests; 0 where none is open
 * @direct: the queue didn't take them
 * @nr: number of them
 * @nr_open: requests that haven't ended
 * @times: gets what the locks cost
 */
struct work {
	struct ovlt_ctx *ctx;
	struct ovlt_queue *queue;
	unsigned int kind;
	struct ovlt_entry **entries;
	uint64_t *ids;
	bool *direct;
	unsigned int nr;
	unsigned int nr_open;
	struct ovlt_times *times;
};

/* 0 where it can't be told. */
static ino_t own_netns(void)
{
	struct stat st;

	return stat("/proc/thread-self/ns/net", &st) ? 0 : st.st_ino;
}

/*
 * A batch has a socket to itself, since its answers are nobody else's; so has a child,
 * though it inherits the parent's, and a thread in another network namespace. To open
 * one takes a dozen calls, and so the last one is kept.
 */
static struct ovlt_queue *take_queue(struct ovlt_ctx *ctx, ino_t netns)
{
	struct ovlt_queue *queue;
	bool own;

	pthread_mutex_lock(&ctx->lock);
	queue = ctx->queue;
	own = ctx->queue_owner == getpid() && netns &&
	      ctx->queue_netns == netns;
	ctx->queue = NULL;
	pthread_mutex_unlock(&ctx->lock);
	if (queue && own)
		return queue;
	ovlt_queue_free(queue);
	return ovlt_queue_new(0);
}

/* To be called with the lock held. */
static void keep_queue(struct ovlt_ctx *ctx, struct ovlt_queue *queue,
		       ino_t netns)
{
	ovlt_queue_free(ctx->queue);
	ctx->queue = queue;
	ctx->queue_owner = getpid();
	ctx->queue_netns = netns;
}

static int daemon_open(struct ovlt_ctx *ctx, struct ovlt_info *info)
{
	struct ovlt_queue *queue;
	struct ovlt_stats stats;
	int err;

	queue = ovlt_queue_new(0);
	if (!queue)
		return ovlt_ctx_fail(ctx, -errno,
				     "netlink family " OVLTREE_FAMILY_NAME);
	err = ovlt_queue_get_stats(queue, &stats, sizeof(stats));
	if (err) {
		const char *why = ovlt_queue_get_error(queue);

		ovlt_ctx_fail(ctx, err,
			      "netlink family " OVLTREE_FAMILY_NAME "%s%s",
			      why[0] ? ": " : "", why);
		ovlt_queue_free(queue);
		return err;
	}
	keep_queue(ctx, queue, own_netns());
	/* It may come yet, and until then there are other ways or there is time. */
	if (!stats.has_daemon && ctx->submit.refused == OVLT_REFUSED_FAIL)
		return ovlt_ctx_fail(ctx, -ENOTCONN,
				     "no daemon serves this network namespace");
	return ovlt_backend_ioctl.open(ctx, info);
}

static bool is_refusal(int err)
{
	return err == -ENOTCONN || err == -ENOBUFS || err == -EDQUOT;
}

static unsigned int field_of(const struct work *work, int err)
{
	if (is_refusal(err))
		return OVLTREE_FIELD_NONE;
	return work->kind == OVLTREE_KIND_ATTACH ? OVLTREE_FIELD_TARGET :
						   OVLTREE_FIELD_MNT_ID;
}

static void end(struct work *work, unsigned int index,
		const struct ovlt_request *request)
{
	struct ovlt_entry *entry = work->entries[index];
	struct ovlt_mount_id id;

	work->ids[index] = 0;
	work->nr_open--;
	ovlt_entry_fail(entry, request->error,
			request->error ? field_of(work, 0) : OVLTREE_FIELD_NONE,
			0, "%s", request->message);
	/* The requests of a batch all tell what the batch cost. */
	if (request->wait_ns > work->times->wait_ns)
		work->times->wait_ns = request->wait_ns;
	if (request->hold_ns > work->times->hold_ns)
		work->times->hold_ns = request->hold_ns;
	if (request->error || work->kind != OVLTREE_KIND_ATTACH)
		return;
	entry->result.mnt_id = request->mnt_id;
	if (!ovlt_mount_id_get(entry->kind == OVLT_KIND_MOUNT ? entry->mnt_fd :
								entry->out_fd,
			       "", AT_EMPTY_PATH, &id))
		entry->result.dev = id.dev;
}

/*
 * Take what has ended; -EAGAIN when nothing has in time. A signal is no reason to
 * go without having seen what a daemon does: there is an end, for requests have a
 * deadline.
 */
static int take_ended(struct work *work, int timeout_ms)
{
	long long last = ovlt_now_ms() + timeout_ms;
	struct ovlt_event event;
	int err;

	while ((err = ovlt_queue_wait(work->queue, timeout_ms, &event,
				      sizeof(event))) == -EINTR)
		if (timeout_ms >= 0)
			timeout_ms =
				last > ovlt_now_ms() ? last - ovlt_now_ms() : 0;
	/* Results have room in the buffer, and aren't lost */
	if (!err && event.type != OVLT_EVENT_DONE)
		err = -EPROTO;
	for (unsigned int i = 0; !err && i < work->nr; i++)
		if (work->ids[i] == event.request.id) {
			end(work, i, &event.request);
			break;
		}
	return err;
}

/* Submit one; while it is refused, wait if that is what was asked for. */
static int submit_or_wait(struct work *work, const struct ovlt_submit *submit,
			  uint64_t *id)
{
	const struct ovlt_submit_options *options = &work->ctx->submit;
	long long end = ovlt_now_ms() + options->wait_ms;
	int err;

	for (;;) {
		err = ovlt_queue_submit(work->queue, submit, sizeof(*submit),
					id);
		if (err == -EAGAIN) {
			err = take_ended(work, -1);
			if (err)
				return err;
			continue;
		}
		if (!is_refusal(err) || options->refused != OVLT_REFUSED_WAIT)
			return err;
		if (options->wait_ms && ovlt_now_ms() >= end)
			return err;
		/* Our own requests may be what fills the queue. */
		err = take_ended(work, RETRY_MS);
		if (err && err != -EAGAIN)
			return err;
	}
}

/*
 * The mountpoint of what is attached is a descriptor; of what is detached there
 * must be none, for it would keep the mount busy.
 */
static int fill_target(const struct ovlt_entry *entry,
		       struct ovlt_submit *submit)
{
	int fd = ovlt_file_open(&entry->target);
	struct ovlt_mount_id id;
	int err;

	if (fd < 0)
		return fd;
	if (submit->kind == OVLTREE_KIND_ATTACH) {
		submit->target_fd = fd;
		return 0;
	}
	err = ovlt_mount_id_get(fd, "", AT_EMPTY_PATH, &id);
	close(fd);
	if (!err && !id.root)
		err = -EINVAL;
	if (!err)
		submit->mnt_id = id.unique;
	return err;
}

static int submit_entry(struct work *work, unsigned int index)
{
	const struct ovlt_submit_options *options = &work->ctx->submit;
	struct ovlt_entry *entry = work->entries[index];
	struct ovlt_submit submit = {
		.kind = work->kind,
		.flags = entry->flags,
		.target_fd = -1,
		.mntns_fd = entry->mntns_fd,
		.propagation = ovlt_entry_propagation(entry),
		.name = options->name,
		.priority = options->priority,
		.deadline_ms = options->deadline_ms,
	};
	int err = 0;

	if (entry->kind == OVLT_KIND_ID)
		submit.mnt_id = entry->mnt_id;
	else
		err = fill_target(entry, &submit);
	if (err)
		return ovlt_entry_blame(entry, err, OVLTREE_FIELD_TARGET, 0);
	submit.mnt_fd = entry->kind == OVLT_KIND_MOUNT ? entry->mnt_fd :
							 entry->out_fd;
	err = submit_or_wait(work, &submit, &work->ids[index]);
	ovlt_close(submit.target_fd);
	if (!err) {
		work->nr_open++;
		return 0;
	}
	if (options->refused == OVLT_REFUSED_DIRECT &&
	    (is_refusal(err) || err == -ENOENT)) {
		work->direct[index] = true;
		return err;
	}
	return ovlt_entry_fail(entry, err, field_of(work, err), 0, "%s",
			       ovlt_queue_get_error(work->queue));
}

static int attach_or_detach(const struct work *work,
			    struct ovlt_entry **entries, unsigned int nr)
{
	const struct ovlt_backend *ioctl = &ovlt_backend_ioctl;

	if (!nr)
		return 0;
	return work->kind == OVLTREE_KIND_ATTACH ?
		       ioctl->attach(work->ctx, entries, nr, 0, work->times) :
		       ioctl->detach(work->ctx, entries, nr, 0, work->times);
}

/* What the queue didn't take, as entries of the ioctl backend. */
static void run_direct(struct work *work)
{
	struct ovlt_entry *copies = calloc(work->nr, sizeof(*copies));
	struct ovlt_entry **todo = calloc(work->nr, sizeof(*todo));
	unsigned int nr = 0;
	int err = -ENOMEM;

	for (unsigned int i = 0; copies && todo && i < work->nr; i++) {
		struct ovlt_entry *copy = &copies[nr];

		if (!work->direct[i])
			continue;
		*copy = *work->entries[i];
		copy->propagation = ovlt_entry_propagation(copy);
		if (copy->kind == OVLT_KIND_TREE) {
			copy->kind = OVLT_KIND_MOUNT;
			copy->mnt_fd = copy->out_fd;
			copy->tree = NULL;
		}
		todo[nr++] = copy;
	}
	if (copies && todo)
		err = attach_or_detach(work, todo, nr);
	nr = 0;
	for (unsigned int i = 0; i < work->nr; i++) {
		struct ovlt_entry *entry = work->entries[i];

		if (!work->direct[i])
			continue;
		if (err) {
			ovlt_entry_blame(entry, err, OVLTREE_FIELD_NONE, 0);
			continue;
		}
		entry->result = copies[nr].result;
		entry->result.message = entry->message;
		memcpy(entry->message, copies[nr++].message,
		       sizeof(entry->message));
	}
	free(copies);
	free(todo);
}

/* After @err nothing more is heard of what is open. */
static void take_back(struct work *work, int err)
{
	for (unsigned int i = 0; i < work->nr; i++) {
		if (!work->ids[i])
			continue;
		if (!ovlt_queue_cancel(work->queue, work->ids[i]))
			ovlt_entry_blame(work->entries[i], err,
					 OVLTREE_FIELD_NONE, 0);
		else
			ovlt_entry_fail(work->entries[i], -EINPROGRESS,
					OVLTREE_FIELD_NONE, 0,
					"it may be done: %s", strerror(-err));
	}
}

/* Entries that have failed already are left alone. */
static int run(struct ovlt_ctx *ctx, unsigned int kind,
	       struct ovlt_entry **entries, unsigned int nr,
	       struct ovlt_times *times)
{
	struct work work = {
		.ctx = ctx,
		.kind = kind,
		.entries = entries,
		.ids = calloc(nr, sizeof(*work.ids)),
		.direct = calloc(nr, sizeof(*work.direct)),
		.nr = nr,
		.times = times,
	};
	ino_t netns = own_netns();
	int err = -ENOMEM;

	if (!work.ids || !work.direct)
		goto out;
	work.queue = take_queue(ctx, netns);
	err = work.queue ? 0 : -errno;
	if (err && ctx->submit.refused != OVLT_REFUSED_DIRECT)
		goto out;
	for (unsigned int i = 0; i < nr; i++) {
		if (entries[i]->result.error)
			continue;
		if (work.queue)
			submit_entry(&work, i);
		else
			work.direct[i] = true;
	}
	run_direct(&work);
	err = 0;
	while (!err && work.nr_open)
		err = take_ended(&work, -1);
	if (err) {
		take_back(&work, err);
	} else if (work.queue) {
		pthread_mutex_lock(&ctx->lock);
		keep_queue(ctx, work.queue, netns);
		pthread_mutex_unlock(&ctx->lock);
		work.queue = NULL;
	}
	err = 0;
out:
	ovlt_queue_free(work.queue);
	free(work.ids);
	free(work.direct);
	return err;
}

static int daemon_prepare(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			  unsigned int nr, unsigned int flags,
			  struct ovlt_times *times)
{
	return ovlt_backend_ioctl.prepare(ctx, entries, nr, flags, times);
}

static int daemon_layerset(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			   unsigned int nr, unsigned int flags,
			   struct ovlt_times *times)
{
	return ovlt_backend_ioctl.layerset(ctx, entries, nr, flags, times);
}

/* Build the trees among the entries. */
static int prepare_trees(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, struct ovlt_times *times)
{
	struct ovlt_entry **trees = calloc(nr, sizeof(*trees));
	unsigned int nr_trees = 0;
	int err = 0;

	if (!trees)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		if (entries[i]->kind == OVLT_KIND_TREE)
			trees[nr_trees++] = entries[i];
	if (nr_trees)
		err = ovlt_backend_ioctl.prepare(ctx, trees, nr_trees, 0,
						 times);
	free(trees);
	return err;
}

static int attach_some(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		       unsigned int nr, struct ovlt_times *times)
{
	int err = prepare_trees(ctx, entries, nr, times);

	if (!err)
		err = run(ctx, OVLTREE_KIND_ATTACH, entries, nr, times);
	/* As with a tree that is attached directly, there is nothing to take. */
	for (unsigned int i = 0; i < nr; i++)
		ovlt_entry_close(entries[i]);
	return err;
}

/*
 * As many at a time as there may be descriptors for. All or nothing is a batch
 * already, and goes where it stays one.
 */
static int daemon_attach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times)
{
	unsigned int done = 0, max = ovlt_fds_max() ?: 1;
	int err = 0;

	if (flags & OVLT_ALL)
		return ovlt_backend_ioctl.attach(ctx, entries, nr, flags,
						 times);
	while (done < nr) {
		unsigned int some = nr - done < max ? nr - done : max;

		err = attach_some(ctx, &entries[done], some, times);
		if (err)
			break;
		done += some;
	}
	/* An error is for a batch of which nothing has been done. */
	if (!done)
		return err;
	while (done < nr)
		ovlt_entry_blame(entries[done++], err, OVLTREE_FIELD_NONE, 0);
	return 0;
}

static int daemon_detach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times)
{
	(void)flags;
	return run(ctx, OVLTREE_KIND_DETACH, entries, nr, times);
}

const struct ovlt_backend ovlt_backend_daemon = {
	.name = "daemon",
	.open = daemon_open,
	.prepare = daemon_prepare,
	.attach = daemon_attach,
	.detach = daemon_detach,
	.layerset = daemon_layerset,
};
