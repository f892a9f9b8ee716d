// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The queue of requests: to submit, to watch, and to serve as its daemon.
 *
 * Who listens has a second socket for it. Groups may bring more than a buffer
 * holds, and the answer to a command is not to be what is lost then.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "private.h"
#include "netlink.h"

/* For as many answers as the kernel's queue can hold requests. */
#define BUFFER_SIZE (4 * 1024 * 1024)

/* What the kernel takes from a buffer for one answer, and more. */
#define ANSWER_SIZE 2048

#define MAX_TRIES 16

/**
 * struct ovlt_queue - queue
 * @flags: OVLT_QUEUE_*
 * @calls: socket of commands, to which our requests belong
 * @events: socket of the groups, with @flags
 * @pending: events that came while a command was done, the oldest first
 * @first_pending: the first of them that hasn't been told
 * @nr_pending: behind the last of them
 * @room_pending: as many as there is room for
 * @open: ids of our requests that haven't ended
 * @nr_open: number of them
 * @room_open: as many as there is room for
 * @max_open: as many as the buffer has room for answers
 * @seq: number of the last event, 0 when the next may have any
 */
struct ovlt_queue {
	unsigned int flags;
	struct ovlt_nl calls;
	struct ovlt_nl events;
	struct ovlt_event *pending;
	size_t first_pending;
	size_t nr_pending;
	size_t room_pending;
	uint64_t *open;
	size_t nr_open;
	size_t room_open;
	size_t max_open;
	uint64_t seq;
};

/*
 * Returns @array with room for one more than @nr, or NULL. It never shrinks: in a
 * process that lives long, an array that moves with each burst is holes in the heap.
 */
static void *make_room(void *array, size_t *room, size_t nr, size_t size)
{
	size_t more = *room ? 2 * *room : 8;

	if (nr < *room)
		return array;
	array = reallocarray(array, more, size);
	if (array)
		*room = more;
	return array;
}

static int push(struct ovlt_queue *queue, const struct ovlt_event *event)
{
	struct ovlt_event *pending = queue->pending;

	/* What has been told makes room first. */
	if (queue->nr_pending == queue->room_pending && queue->first_pending) {
		queue->nr_pending -= queue->first_pending;
		memmove(pending, &pending[queue->first_pending],
			queue->nr_pending * sizeof(*pending));
		queue->first_pending = 0;
	}
	pending = make_room(queue->pending, &queue->room_pending,
			    queue->nr_pending, sizeof(*pending));
	if (!pending)
		return -ENOMEM;
	queue->pending = pending;
	pending[queue->nr_pending++] = *event;
	return 0;
}

static bool pop(struct ovlt_queue *queue, struct ovlt_event *event)
{
	if (queue->first_pending == queue->nr_pending) {
		queue->first_pending = 0;
		queue->nr_pending = 0;
		return false;
	}
	*event = queue->pending[queue->first_pending++];
	return true;
}

static bool forget(struct ovlt_queue *queue, uint64_t id)
{
	for (size_t i = 0; i < queue->nr_open; i++) {
		if (queue->open[i] != id)
			continue;
		queue->open[i] = queue->open[--queue->nr_open];
		return true;
	}
	return false;
}

/* What lies between this event and the one before it was lost. */
static int check_seq(struct ovlt_queue *queue, uint64_t seq)
{
	static const struct ovlt_event lost = { .type = OVLT_EVENT_LOST };
	uint64_t expected = queue->seq + 1;

	if (!(queue->flags & OVLT_QUEUE_MONITOR) || !seq)
		return 0;
	if (queue->seq && seq < expected)
		return -EALREADY;
	queue->seq = seq;
	return expected > 1 && seq > expected ? push(queue, &lost) : 0;
}

static int take_event(void *data, struct nlmsghdr *hdr)
{
	const struct genlmsghdr *genl = nlmsg_data(hdr);
	struct ovlt_queue *queue = data;
	struct ovlt_event event = { 0 };
	int err;

	switch (genl->cmd) {
	case OVLTREE_CMD_READY:
		event.type = OVLT_EVENT_READY;
		err = ovlt_nl_parse_request(hdr, &event.request, NULL);
		break;
	case OVLTREE_CMD_DONE:
		event.type = OVLT_EVENT_DONE;
		err = ovlt_nl_parse_request(hdr, &event.request, &event.seq);
		break;
	case OVLTREE_CMD_ATTACHED:
		event.type = OVLT_EVENT_ATTACHED;
		err = ovlt_nl_parse_request(hdr, &event.request, &event.seq);
		break;
	case OVLTREE_CMD_DETACHED:
		event.type = OVLT_EVENT_DETACHED;
		err = ovlt_nl_parse_request(hdr, &event.request, &event.seq);
		break;
	case OVLTREE_CMD_BATCH:
	case OVLTREE_CMD_DAEMON_GONE:
		event.type = genl->cmd == OVLTREE_CMD_BATCH ?
				     OVLT_EVENT_BATCH :
				     OVLT_EVENT_DAEMON_GONE;
		err = ovlt_nl_parse_stats(hdr, &event.stats);
		event.seq = event.stats.seq;
		break;
	default:
		/* Of a newer kernel. */
		return 0;
	}
	if (!err)
		err = check_seq(queue, event.seq);
	if (err)
		return err == -EALREADY ? 0 : err;
	return push(queue, &event);
}

/**
 * ovlt_queue_new() - open the queue of the caller's network namespace
 * @flags: OVLT_QUEUE_*, to listen; 0 to submit
 *
 * Thread rules: a queue is used by one thread at a time. Since: 0.1.
 *
 * Return: the queue, or NULL with errno EINVAL for unknown flags; ENOENT when
 * the kernel has no such family, because the module isn't loaded;
 * EPROTONOSUPPORT without generic netlink; EPERM, ENOMEM.
 */
OVLT_EXPORT struct ovlt_queue *ovlt_queue_new(unsigned int flags)
{
	struct ovlt_queue *queue;
	struct ovlt_stats stats;
	int err = 0;

	if (flags & ~(OVLT_QUEUE_READY | OVLT_QUEUE_MONITOR)) {
		errno = EINVAL;
		return NULL;
	}
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return NULL;
	queue->flags = flags;
	err = ovlt_nl_open(&queue->calls, take_event, queue);
	if (!err && flags)
		err = ovlt_nl_open(&queue->events, take_event, queue);
	if (!err)
		ovlt_queue_set_buffer(queue, BUFFER_SIZE);
	if (!err && flags & OVLT_QUEUE_READY)
		err = ovlt_nl_join(&queue->events, &queue->calls,
				   OVLTREE_MCGRP_READY);
	if (!err && flags & OVLT_QUEUE_MONITOR)
		err = ovlt_nl_join(&queue->events, &queue->calls,
				   OVLTREE_MCGRP_MONITOR);
	/* From here on none is missed. */
	if (!err && flags & OVLT_QUEUE_MONITOR) {
		err = ovlt_queue_get_stats(queue, &stats, sizeof(stats));
		queue->seq = stats.seq;
	}
	if (err) {
		ovlt_queue_free(queue);
		errno = -err;
		return NULL;
	}
	return queue;
}

/**
 * ovlt_queue_free() - close the queue
 * @queue: the queue, or NULL
 *
 * The kernel takes back those of its requests that have not been committed, and
 * a daemon that served ceases to.
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 */
OVLT_EXPORT void ovlt_queue_free(struct ovlt_queue *queue)
{
	if (!queue)
		return;
	ovlt_nl_close(&queue->events);
	ovlt_nl_close(&queue->calls);
	free(queue->pending);
	free(queue->open);
	free(queue);
}

/**
 * ovlt_queue_set_buffer() - set how much may come before it is taken
 * @queue: the queue
 * @bytes: size of the receive buffer, as far as the caller's rights allow
 *
 * What doesn't fit is lost when one listens, see OVLT_EVENT_LOST. The results of
 * one's own requests are never lost: no more are submitted than there is room for.
 * Without this call it is enough for a full queue, given CAP_NET_ADMIN.
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 */
OVLT_EXPORT void ovlt_queue_set_buffer(struct ovlt_queue *queue,
				       unsigned int bytes)
{
	struct ovlt_nl *nl = queue->flags ? &queue->events : &queue->calls;
	size_t room = ovlt_nl_set_buffer(nl, bytes) / ANSWER_SIZE;

	queue->max_open = room ? room : 1;
}

/**
 * ovlt_queue_get_fd() - tell what to poll(2)
 * @queue: the queue
 *
 * When it is readable, ovlt_queue_wait() has something to tell. It may have so
 * when the descriptor isn't readable, too, so call it until it says -EAGAIN
 * after each submission.
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: the descriptor, which is not to be closed.
 */
OVLT_EXPORT int ovlt_queue_get_fd(const struct ovlt_queue *queue)
{
	return ovlt_nl_fd(queue->flags ? &queue->events : &queue->calls);
}

/**
 * ovlt_queue_get_error() - tell why the kernel refused the last command
 * @queue: the queue
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: a text, empty where the errno says it all; valid until the next call.
 */
OVLT_EXPORT const char *ovlt_queue_get_error(const struct ovlt_queue *queue)
{
	return queue->calls.message;
}

static int put_attach(struct nl_msg *msg, const struct ovlt_submit *submit)
{
	int err = nla_put_s32(msg, OVLTREE_A_REQUEST_MNT_FD, submit->mnt_fd);

	if (!err)
		err = nla_put_s32(msg, OVLTREE_A_REQUEST_TARGET_FD,
				  submit->target_fd);
	if (!err && submit->mntns_fd >= 0)
		err = nla_put_s32(msg, OVLTREE_A_REQUEST_MNTNS_FD,
				  submit->mntns_fd);
	if (!err && submit->propagation)
		err = nla_put_u32(msg, OVLTREE_A_REQUEST_PROPAGATION,
				  submit->propagation);
	return err;
}

static int put_detach(struct nl_msg *msg, const struct ovlt_submit *submit)
{
	uint32_t flags = 0;
	int err = nla_put_u64(msg, OVLTREE_A_REQUEST_MNT_ID, submit->mnt_id);

	if (submit->flags & OVLT_LAZY)
		flags |= OVLTREE_DETACH_FLAGS_LAZY;
	if (submit->flags & OVLT_FORCE)
		flags |= OVLTREE_DETACH_FLAGS_FORCE;
	if (!err && flags)
		err = nla_put_u32(msg, OVLTREE_A_REQUEST_DETACH_FLAGS, flags);
	return err;
}

static int put_submit(struct nl_msg *msg, const struct ovlt_submit *submit)
{
	int err = nla_put_u32(msg, OVLTREE_A_REQUEST_KIND, submit->kind);

	if (!err && submit->name)
		err = nla_put_string(msg, OVLTREE_A_REQUEST_NAME, submit->name);
	if (!err && submit->priority)
		err = nla_put_u8(msg, OVLTREE_A_REQUEST_PRIORITY,
				 submit->priority);
	if (!err && submit->deadline_ms)
		err = nla_put_u32(msg, OVLTREE_A_REQUEST_DEADLINE_MS,
				  submit->deadline_ms);
	if (!err)
		err = submit->kind == OVLTREE_KIND_ATTACH ?
			      put_attach(msg, submit) :
			      put_detach(msg, submit);
	return err ? -ENOMEM : 0;
}

/* Results that have come are taken first, so that there is room for the answer. */
static int call(struct ovlt_queue *queue, struct nl_msg *msg, ovlt_nl_fn reply,
		void *data)
{
	int err = 0;

	while (queue->nr_open && !err)
		err = ovlt_nl_read(&queue->calls);
	if (err && err != -EAGAIN) {
		nlmsg_free(msg);
		return err;
	}
	return ovlt_nl_call(&queue->calls, msg, reply, data);
}

/* Our id goes to the end of the open ones, where there is room for it. */
static int take_id(void *data, struct nlmsghdr *hdr)
{
	struct ovlt_queue *queue = data;
	struct ovlt_request request;
	int err = ovlt_nl_parse_request(hdr, &request, NULL);

	if (!err)
		queue->open[queue->nr_open++] = request.id;
	return err;
}

/**
 * ovlt_queue_submit() - hand in a request
 * @queue: a queue that listens to nothing
 * @submit: the request; its descriptors may be closed afterwards
 * @size: sizeof(struct ovlt_submit) of the caller
 * @id: gets its id
 *
 * The call doesn't wait. How the request ends is told by ovlt_queue_wait(),
 * which may be before the daemon or the kernel, at the request's deadline, have
 * told anybody else.
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0; -EAGAIN when ovlt_queue_wait() has to take results first, for which
 * there would be no room; -ENOTCONN when there is no daemon; -ENOBUFS when the
 * kernel's queue is full;
 * -EDQUOT when the part of the caller's user namespace is; -ENOENT when the
 * module is gone; or what move_mount(2) or umount(2) would say, see
 * ovlt_queue_get_error().
 */
OVLT_EXPORT int ovlt_queue_submit(struct ovlt_queue *queue,
				  const struct ovlt_submit *submit, size_t size,
				  uint64_t *id)
{
	struct ovlt_submit copy = { .target_fd = -1, .mntns_fd = -1 };
	size_t nr = queue->nr_open;
	struct nl_msg *msg;
	uint64_t *open;
	int err;

	if (queue->flags)
		return -EINVAL;
	if (nr >= queue->max_open)
		return -EAGAIN;
	memcpy(&copy, submit, size < sizeof(copy) ? size : sizeof(copy));
	if (copy.priority > 255 ||
	    (copy.name && strlen(copy.name) > OVLTREE_NAME_MAX))
		return -EINVAL;
	open = make_room(queue->open, &queue->room_open, nr, sizeof(*open));
	if (!open)
		return -ENOMEM;
	queue->open = open;
	msg = ovlt_nl_new(&queue->calls, OVLTREE_CMD_SUBMIT, 0);
	if (!msg)
		return -ENOMEM;
	err = put_submit(msg, &copy);
	if (err) {
		nlmsg_free(msg);
		return err;
	}
	err = call(queue, msg, take_id, queue);
	if (!err && queue->nr_open == nr)
		err = -EPROTO;
	if (!err)
		*id = queue->open[nr];
	return err;
}

/**
 * ovlt_queue_cancel() - take a request back
 * @queue: the queue that it was submitted by
 * @id: the request
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0, and nothing more is told of the request; -ENOENT when it is
 * committed already, which ovlt_queue_wait() tells, or when there is none.
 */
OVLT_EXPORT int ovlt_queue_cancel(struct ovlt_queue *queue, uint64_t id)
{
	struct nl_msg *msg =
		ovlt_nl_new(&queue->calls, OVLTREE_CMD_CANCEL, NLM_F_ACK);
	int err;

	if (!msg)
		return -ENOMEM;
	if (nla_put_u64(msg, OVLTREE_A_REQUEST_ID, id)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	err = call(queue, msg, NULL, NULL);
	if (!err)
		forget(queue, id);
	return err;
}

/* Take the next of what has come; -EAGAIN when there is nothing. */
static int look(struct ovlt_queue *queue)
{
	static const struct ovlt_event lost = { .type = OVLT_EVENT_LOST };
	struct ovlt_nl *nl = queue->flags ? &queue->events : &queue->calls;
	int err = ovlt_nl_read(nl);

	if (!nl->lost)
		return err;
	/* What is there had come before something was lost. */
	while (!err)
		err = ovlt_nl_read(nl);
	if (err != -EAGAIN)
		return err;
	queue->seq = 0;
	nl->lost = false;
	return push(queue, &lost);
}

/* By a clock that nobody sets. */
long long ovlt_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* A request that was taken back has an end, too, but nobody to be told of it. */
static bool next_event(struct ovlt_queue *queue, struct ovlt_event *event)
{
	while (pop(queue, event))
		if (queue->flags || event->type != OVLT_EVENT_DONE ||
		    forget(queue, event->request.id))
			return true;
	return false;
}

/* Until there is something to take; -EAGAIN when there isn't by @end. */
static int await(const struct ovlt_queue *queue, int timeout_ms, long long end)
{
	const struct ovlt_nl *nl = queue->flags ? &queue->events :
						  &queue->calls;
	struct pollfd pollfd = { .fd = ovlt_queue_get_fd(queue),
				 .events = POLLIN };
	long long left = end - ovlt_now_ms();
	int nr;

	if (nl->lost)
		return 0;
	if (timeout_ms < 0)
		left = -1;
	else if (left < 0)
		left = 0;
	nr = poll(&pollfd, 1, left);
	if (nr < 0)
		return -errno;
	return nr ? 0 : -EAGAIN;
}

/**
 * ovlt_queue_wait() - tell the next event
 * @queue: the queue
 * @timeout_ms: how long to wait for one; 0 not at all, -1 for ever
 * @event: gets it
 * @size: sizeof(struct ovlt_event) of the caller
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0; -EAGAIN when there is none in time; -EINTR, -ENOMEM, -EPROTO.
 */
OVLT_EXPORT int ovlt_queue_wait(struct ovlt_queue *queue, int timeout_ms,
				struct ovlt_event *event, size_t size)
{
	long long end = ovlt_now_ms() + timeout_ms;
	struct ovlt_event next;

	while (!next_event(queue, &next)) {
		int err = timeout_ms ? await(queue, timeout_ms, end) : 0;

		if (err)
			return err;
		err = look(queue);
		if (err && (err != -EAGAIN || !timeout_ms))
			return err;
	}
	memset(event, 0, size);
	memcpy(event, &next, size < sizeof(next) ? size : sizeof(next));
	return 0;
}

struct dump {
	struct ovlt_request *requests;
	size_t nr;
	size_t room;
};

static int take_request(void *data, struct nlmsghdr *hdr)
{
	struct dump *dump = data;
	struct ovlt_request *requests;

	requests = make_room(dump->requests, &dump->room, dump->nr,
			     sizeof(*requests));
	if (!requests)
		return -ENOMEM;
	dump->requests = requests;
	return ovlt_nl_parse_request(hdr, &requests[dump->nr++], NULL);
}

/**
 * ovlt_queue_dump() - tell what waits
 * @queue: the queue
 * @fn: called for each request
 * @data: its first argument
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0, what @fn returns, -ENOENT when the module is gone, -EAGAIN when the
 * queue changes faster than it can be told, -EPERM, -ENOMEM.
 */
OVLT_EXPORT int ovlt_queue_dump(struct ovlt_queue *queue, ovlt_request_fn fn,
				void *data)
{
	struct dump dump = { 0 };
	int err = -EAGAIN;

	/* What a change has overtaken is begun again. */
	for (int tries = 0; err == -EAGAIN && tries < MAX_TRIES; tries++) {
		dump.nr = 0;
		err = call(queue,
			   ovlt_nl_new(&queue->calls, OVLTREE_CMD_REQUEST_GET,
				       NLM_F_DUMP),
			   take_request, &dump);
	}
	for (size_t i = 0; !err && i < dump.nr; i++)
		err = fn(data, &dump.requests[i]);
	free(dump.requests);
	return err;
}

struct layerset_dump {
	struct ovlt_layerset_info *infos;
	size_t nr;
	size_t room;
};

static int take_layerset(void *data, struct nlmsghdr *hdr)
{
	struct layerset_dump *dump = data;
	struct ovlt_layerset_info *infos;

	infos = make_room(dump->infos, &dump->room, dump->nr, sizeof(*infos));
	if (!infos)
		return -ENOMEM;
	dump->infos = infos;
	return ovlt_nl_parse_layerset(hdr, &infos[dump->nr++]);
}

/**
 * ovlt_queue_dump_layersets() - tell which layer sets there are
 * @queue: the queue
 * @fn: called for each layer set that was made in the queue's network namespace
 * @data: its first argument
 *
 * Each keeps the mounts that its layers are on busy, for whoever has a descriptor
 * of it, which needn't be who made it.
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0, what @fn returns, -ENOENT when the module is gone, -EPERM, -ENOMEM.
 */
OVLT_EXPORT int ovlt_queue_dump_layersets(struct ovlt_queue *queue,
					  ovlt_layerset_fn fn, void *data)
{
	struct layerset_dump dump = { 0 };
	int err;

	err = call(queue,
		   ovlt_nl_new(&queue->calls, OVLTREE_CMD_LAYERSET_GET,
			       NLM_F_DUMP),
		   take_layerset, &dump);
	for (size_t i = 0; !err && i < dump.nr; i++)
		err = fn(data, &dump.infos[i]);
	free(dump.infos);
	return err;
}

static int take_stats(void *data, struct nlmsghdr *hdr)
{
	return ovlt_nl_parse_stats(hdr, data);
}

/**
 * ovlt_queue_get_stats() - tell the kernel's counters
 * @queue: the queue
 * @stats: gets them
 * @size: sizeof(struct ovlt_stats) of the caller
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0, -ENOENT when the module is gone, -EPERM, -ENOMEM.
 */
OVLT_EXPORT int ovlt_queue_get_stats(struct ovlt_queue *queue,
				     struct ovlt_stats *stats, size_t size)
{
	struct ovlt_stats answer = { 0 };
	int err;

	err = call(queue, ovlt_nl_new(&queue->calls, OVLTREE_CMD_STATS_GET, 0),
		   take_stats, &answer);
	memset(stats, 0, size);
	memcpy(stats, &answer, size < sizeof(answer) ? size : sizeof(answer));
	return err;
}

/**
 * ovlt_queue_serve() - become the daemon of the network namespace
 * @queue: the queue, which has to listen to OVLT_QUEUE_READY
 *
 * It is, until @queue is freed. Requests that waited before come in
 * ovlt_queue_dump(); they are committed with ovlt_batch_add_request().
 *
 * Thread rules: the thread that uses @queue. Since: 0.1.
 *
 * Return: 0, -EBUSY when there is a daemon, -EPERM without CAP_SYS_ADMIN in the
 * user namespace that owns the network namespace, -EINVAL for a queue that
 * doesn't listen, -ENOENT when the module is gone.
 */
OVLT_EXPORT int ovlt_queue_serve(struct ovlt_queue *queue)
{
	if (!(queue->flags & OVLT_QUEUE_READY))
		return -EINVAL;
	return call(queue,
		    ovlt_nl_new(&queue->calls, OVLTREE_CMD_SERVE, NLM_F_ACK),
		    NULL, NULL);
}
