// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests that wait to be committed: one queue for each network namespace.
 *
 * A request waits until somebody claims it, by its id in an ioctl or because its
 * deadline has come. Who has claimed it commits it without the queue's lock, and
 * ends it: with a result, or by letting it wait again when nothing has been done.
 * What waits belongs to the submitter's socket and ends with it, so that a network
 * namespace has no request left when it goes.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/error-injection.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/netlink.h>
#include <linux/nsproxy.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "internal.h"
#include "queue.h"
#include "trace.h"

#define OVLT_RETRY_NS (50 * NSEC_PER_MSEC)

static unsigned int queue_net_id __read_mostly;

/* The module goes. Set once; whoever holds a queue's lock sees it. */
static bool queues_closed;

struct ovlt_queue *ovlt_queue_of(struct net *net)
{
	return net_generic(net, queue_net_id);
}

/*
 * Shares of the user namespaces
 */

static struct ovlt_share *share_get(struct ovlt_queue *queue,
				    struct user_namespace *user_ns)
{
	struct ovlt_share *share;

	lockdep_assert_held(&queue->lock);
	hash_for_each_possible(queue->shares, share, node, (unsigned long)user_ns) {
		if (share->user_ns == user_ns) {
			share->nr++;
			return share;
		}
	}

	share = kzalloc(sizeof(*share), GFP_KERNEL_ACCOUNT);
	if (!share)
		return NULL;
	share->user_ns = get_user_ns(user_ns);
	share->nr = 1;
	hash_add(queue->shares, &share->node, (unsigned long)user_ns);
	return share;
}

static void share_put(struct ovlt_share *share)
{
	if (--share->nr)
		return;
	hash_del(&share->node);
	put_user_ns(share->user_ns);
	kfree(share);
}

/*
 * The life of a request
 */

u64 ovlt_current_cgroup_id(void)
{
#ifdef CONFIG_CGROUPS
	guard(rcu)();
	return cgroup_id(task_dfl_cgroup(current));
#else
	return 0;
#endif
}

static int queue_has_daemon(const struct ovlt_queue *queue,
			    struct netlink_ext_ack *extack)
{
	lockdep_assert_held(&queue->lock);
	if (queue->daemon.sock)
		return 0;
	NL_SET_ERR_MSG(extack, "no daemon serves the network namespace");
	return -ENOTCONN;
}

/* Take a place in the queue. */
static int request_enter(struct ovlt_request *request, struct ovlt_queue *queue,
			 struct netlink_ext_ack *extack)
{
	int err;

	guard(mutex)(&queue->lock);
	err = queue_has_daemon(queue, extack);
	if (err)
		return err;
	if (queue->nr >= OVLT_QUEUE_MAX) {
		queue->stats.refused++;
		NL_SET_ERR_MSG(extack, "the queue is full");
		return -ENOBUFS;
	}
	request->share = share_get(queue, current_user_ns());
	if (!request->share) {
		NL_SET_ERR_MSG(extack, "no memory for the user namespace's part of the queue");
		return -ENOMEM;
	}
	if (request->share->nr > OVLT_QUEUE_MAX_USERNS) {
		queue->stats.refused++;
		share_put(request->share);
		NL_SET_ERR_MSG(extack,
			       "the user namespace's part of the queue is full");
		return -EDQUOT;
	}
	queue->nr++;
	request->queue = queue;
	return 0;
}

static void request_leave(struct ovlt_request *request)
{
	struct ovlt_queue *queue = request->queue;

	lockdep_assert_held(&queue->lock);
	if (request->id)
		xa_erase(&queue->requests, request->id);
	queue->nr--;
	share_put(request->share);
}

/*
 * Give up the mount and the mountpoint, not under the queue's lock: a mount
 * namespace may go with them. The files have no file system of their own to wait
 * for, so that @put_file may be __fput_sync().
 */
static void request_release(struct ovlt_request *request,
			    void (*put_file)(struct file *file))
{
	mnt_batch_put(&request->entry);
	path_put(&request->entry.target);
	if (request->kind == OVLTREE_KIND_DETACH)
		path_put(&request->entry.mount);
	if (request->mnt_file)
		put_file(request->mnt_file);
	if (request->target_file)
		put_file(request->target_file);
}

static void request_free(struct ovlt_request *request)
{
	nlmsg_free(request->done);
	put_pid(request->pid);
	kfree(request);
}

/**
 * ovlt_request_new - begin a request of the caller's
 * @queue: where it is to wait
 * @extack: takes the reason of a failure
 *
 * It has its place in the queue, and nobody else sees it.
 *
 * Return: The request, for ovlt_request_drop() or ovlt_request_submit(), or an
 *         error pointer: -ENOTCONN if no daemon serves, -ENOBUFS if the queue is
 *         full, -EDQUOT if the user namespace's part of it is, -ENOMEM.
 */
struct ovlt_request *ovlt_request_new(struct ovlt_queue *queue,
				      struct netlink_ext_ack *extack)
{
	struct ovlt_request *request;
	int err;

	request = kzalloc(sizeof(*request), GFP_KERNEL_ACCOUNT);
	if (!request) {
		NL_SET_ERR_MSG(extack, "no memory for the request");
		return ERR_PTR(-ENOMEM);
	}
	request->done = ovlt_netlink_done_new();
	if (!request->done) {
		NL_SET_ERR_MSG(extack, "no memory for the request's answer");
		request_free(request);
		return ERR_PTR(-ENOMEM);
	}
	err = request_enter(request, queue, extack);
	if (err) {
		request_free(request);
		return ERR_PTR(err);
	}
	timerqueue_init(&request->waiting);
	INIT_LIST_HEAD(&request->of_sock);
	request->pid = get_pid(task_tgid(current));
	request->uid = current_euid();
	request->cgroup_id = ovlt_current_cgroup_id();
	return request;
}

/**
 * ovlt_request_drop - forget a request that has not been submitted
 * @request: the request
 */
void ovlt_request_drop(struct ovlt_request *request)
{
	scoped_guard(mutex, &request->queue->lock)
		request_leave(request);
	request_release(request, fput);
	request_free(request);
}

/**
 * ovlt_request_number - give a request its id
 * @request: the request
 * @extack: takes the reason of a failure
 *
 * Context: The queue's lock is held, until ovlt_request_submit() has returned if
 *          that is to follow.
 * Return: 0; -ENOTCONN if the daemon has gone meanwhile; -ENOMEM.
 */
int ovlt_request_number(struct ovlt_request *request,
			struct netlink_ext_ack *extack)
{
	struct ovlt_queue *queue = request->queue;
	u64 id = queue->last_id + 1;
	int err;

	err = queue_has_daemon(queue, extack);
	if (err)
		return err;
	err = xa_insert(&queue->requests, id, request, GFP_KERNEL_ACCOUNT);
	if (err) {
		NL_SET_ERR_MSG(extack, "no memory for the request's id");
		return err;
	}
	queue->last_id = id;
	request->id = id;
	return 0;
}
ALLOW_ERROR_INJECTION(ovlt_request_number, ERRNO);

/* See to it that the first deadline is kept. */
static void queue_arm(struct ovlt_queue *queue)
{
	struct timerqueue_node *first = timerqueue_getnext(&queue->waiting);
	s64 left;

	lockdep_assert_held(&queue->lock);
	if (!first || queues_closed)
		return;
	left = max_t(s64, first->expires - ktime_get_ns(), 0);
	mod_delayed_work(system_unbound_wq, &queue->expire,
			 nsecs_to_jiffies(left) + 1);
}

static void request_wait(struct ovlt_request *request, u64 until)
{
	struct ovlt_queue *queue = request->queue;

	request->waiting.expires = until;
	queue->nr_waiting++;
	if (timerqueue_add(&queue->waiting, &request->waiting))
		queue_arm(queue);
}

static void request_stop_waiting(struct ovlt_request *request)
{
	struct ovlt_queue *queue = request->queue;

	lockdep_assert_held(&queue->lock);
	timerqueue_del(&queue->waiting, &request->waiting);
	queue->nr_waiting--;
	request->claimed = ktime_get_ns();
}

static bool request_waits(struct ovlt_request *request)
{
	return timerqueue_node_queued(&request->waiting);
}

static u64 request_deadline(const struct ovlt_request *request)
{
	return request->submitted + (u64)request->deadline_ms * NSEC_PER_MSEC;
}

/**
 * ovlt_request_submit - let a request wait
 * @request: the request, with an id
 * @sock: the submitter's socket
 *
 * Context: The queue's lock is held since ovlt_request_number().
 */
void ovlt_request_submit(struct ovlt_request *request, struct ovlt_sock *sock)
{
	struct ovlt_queue *queue = request->queue;

	lockdep_assert_held(&queue->lock);
	request->sock = sock;
	list_add_tail(&request->of_sock, &sock->requests);
	request->submitted = ktime_get_ns();
	queue->stats.submitted++;
	trace_ovltree_submitted(request);
	request_wait(request, request_deadline(request));
	ovlt_netlink_ready(request);
}

/* It has ended; request_free() is to follow. */
static void request_end(struct ovlt_request *request,
			const struct ovltree_result *result,
			const struct mnt_batch *batch, enum ovltree_reason by)
{
	struct ovlt_stats *stats = &request->queue->stats;

	if (!batch)
		stats->cancelled++;
	else if (result->error)
		stats->failed++;
	else if (request->kind == OVLTREE_KIND_ATTACH)
		stats->attached++;
	else
		stats->detached++;
	if (batch && by == OVLTREE_REASON_DEADLINE)
		stats->expired++;

	trace_ovltree_ended(request, result->error);
	ovlt_netlink_done(request, result, batch, by);
	list_del(&request->of_sock);
	request_leave(request);
}

static void request_cancel(struct ovlt_request *request)
{
	static const struct ovltree_result cancelled = { .error = -ECANCELED };

	if (request_waits(request))
		request_stop_waiting(request);
	request_end(request, &cancelled, NULL, 0);
}

/**
 * ovlt_request_cancel - take a request back
 * @sock: the submitter's socket
 * @id: of the request
 *
 * Return: 0; -ENOENT if none waits under this id that @sock has submitted.
 */
int ovlt_request_cancel(struct ovlt_sock *sock, u64 id)
{
	struct ovlt_queue *queue = sock->queue;
	struct ovlt_request *request;

	scoped_guard(mutex, &queue->lock) {
		request = xa_load(&queue->requests, id);
		if (!request || request->id != id || request->sock != sock ||
		    !request_waits(request))
			return -ENOENT;
		request_cancel(request);
	}
	request_release(request, fput);
	request_free(request);
	return 0;
}

/*
 * Committing
 */

/**
 * ovlt_request_claim - take a request of the caller's network namespace to commit
 *			it
 * @id: of the request
 * @kind: what it has to be
 * @result: takes the reason of a failure
 *
 * Return: The request, for ovlt_requests_end(), or an error pointer: -EPERM if
 *         the caller has no CAP_SYS_ADMIN in the user namespace that owns the
 *         network namespace, -ENOENT if no such request waits, -EINVAL if it is of
 *         the other kind.
 */
struct ovlt_request *ovlt_request_claim(u64 id, enum ovltree_kind kind,
					struct ovltree_result *result)
{
	struct net *net = current->nsproxy->net_ns;
	struct ovlt_queue *queue = ovlt_queue_of(net);
	struct ovlt_request *request;
	int err;

	if (!ns_capable(net->user_ns, CAP_SYS_ADMIN)) {
		err = ovlt_fail(result, -EPERM, OVLTREE_FIELD_ID, 0,
				"no rights over the network namespace");
		return ERR_PTR(err);
	}

	guard(mutex)(&queue->lock);
	request = xa_load(&queue->requests, id);
	if (!request || request->id != id || !request_waits(request)) {
		err = ovlt_fail(result, -ENOENT, OVLTREE_FIELD_ID, 0,
				"no request waits under this id");
		return ERR_PTR(err);
	}
	if (request->kind != kind) {
		err = ovlt_fail(result, -EINVAL, OVLTREE_FIELD_ID, 0,
				"the request is of the other kind");
		return ERR_PTR(err);
	}
	request_stop_waiting(request);
	return request;
}

/*
 * Nothing has been done, and that is not the request's fault: let it wait again.
 * The deadline doesn't make it busy: it is tried again after a while.
 */
static bool request_again(struct ovlt_request *request, int error)
{
	u64 soonest = ktime_get_ns() + OVLT_RETRY_NS;

	if (error != -EINTR && error != -ECANCELED && error != -EAGAIN)
		return false;
	if (!request->sock || queues_closed)
		return false;

	request_wait(request, max(request_deadline(request), soonest));
	if (error != -EAGAIN)
		ovlt_netlink_ready(request);
	return true;
}

static void count_batch(struct ovlt_queue *queue, unsigned int nr, u64 hold_ns)
{
	struct ovlt_stats *stats = &queue->stats;

	stats->batches++;
	stats->batch_max = max(stats->batch_max, nr);
	stats->hold_max = max(stats->hold_max, hold_ns);
	ovlt_netlink_batch(queue);
}

/* A mountpoint that is covered was replaced by what covers it. */
static void requests_get_targets(struct ovlt_request **requests,
				 const struct mnt_batch *batch)
{
	for (unsigned int i = 0; i < batch->nr; i++) {
		if (requests[i] && requests[i]->kind == OVLTREE_KIND_ATTACH)
			requests[i]->entry.target = batch->entries[i].target;
	}
}

/* Let wait again what has not ended, and take it from @requests. */
static void requests_again(struct ovlt_queue *queue,
			   struct ovlt_request **requests,
			   const struct ovltree_result *results, unsigned int nr)
{
	guard(mutex)(&queue->lock);
	for (unsigned int i = 0; i < nr; i++) {
		if (requests[i] && request_again(requests[i], results[i].error))
			requests[i] = NULL;
	}
}

/* Who hears of the end may unmount, or remove the mountpoint, at once. */
static void requests_release(struct ovlt_request **requests,
			     const struct ovltree_result *results, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!requests[i])
			continue;
		/* mnt_detach_batch() has put it */
		if (!results[i].error &&
		    requests[i]->kind == OVLTREE_KIND_DETACH)
			requests[i]->entry.mount = (struct path) {};
		request_release(requests[i], __fput_sync);
	}
}

static void requests_finish(struct ovlt_queue *queue,
			    struct ovlt_request **requests,
			    const struct ovltree_result *results,
			    const struct mnt_batch *batch, enum ovltree_reason by)
{
	unsigned int nr = 0;

	guard(mutex)(&queue->lock);
	for (unsigned int i = 0; i < batch->nr; i++) {
		if (!requests[i])
			continue;
		request_end(requests[i], &results[i], batch, by);
		request_free(requests[i]);
		nr++;
	}
	if (nr)
		count_batch(queue, nr, batch->hold_ns);
}

/**
 * ovlt_requests_end - end the requests of a batch
 * @requests: for each entry of the batch, its request or NULL
 * @results: what became of each entry
 * @batch: the batch
 * @by: who has committed it
 *
 * What was interrupted, or undone because another entry of the batch failed, waits
 * again as if nobody had claimed it.
 *
 * Context: Process context, sleeps. No lock is held.
 */
void ovlt_requests_end(struct ovlt_request **requests,
		       const struct ovltree_result *results,
		       const struct mnt_batch *batch, enum ovltree_reason by)
{
	struct ovlt_queue *queue = NULL;

	for (unsigned int i = 0; i < batch->nr && !queue; i++)
		queue = requests[i] ? requests[i]->queue : NULL;
	if (!queue)
		return;

	requests_get_targets(requests, batch);
	requests_again(queue, requests, results, batch->nr);
	requests_release(requests, results, batch->nr);
	requests_finish(queue, requests, results, batch, by);
}

/*
 * Deadlines
 */

/**
 * ovlt_requests_claim_overdue - claim what is due, in the order of the deadlines
 * @queue: the queue
 * @until: the time, in ns, until which it is due
 * @batch: gets the mounts; empty before, with room for @max entries
 * @requests: gets the requests
 * @max: how many at most
 *
 * They are for ovlt_requests_end(). If there are any the network namespace has got
 * a reference: a request that waits has a socket, which has one.
 *
 * Return: The kind that all of them are of.
 */
enum ovltree_kind ovlt_requests_claim_overdue(struct ovlt_queue *queue, u64 until,
					      struct mnt_batch *batch,
					      struct ovlt_request **requests,
					      unsigned int max)
{
	enum ovltree_kind kind = OVLTREE_KIND_ATTACH;
	struct timerqueue_node *first;
	struct ovlt_request *request;

	guard(mutex)(&queue->lock);
	while (batch->nr < max) {
		first = timerqueue_getnext(&queue->waiting);
		if (!first || first->expires > until)
			break;
		request = container_of(first, struct ovlt_request, waiting);
		if (!batch->nr)
			kind = request->kind;
		if (request->kind != kind)
			break;
		request_stop_waiting(request);
		batch->entries[batch->nr] = request->entry;
		requests[batch->nr++] = request;
	}
	if (batch->nr)
		get_net(queue->net);
	return kind;
}

static void queue_expire(struct work_struct *work)
{
	struct ovlt_queue *queue = container_of(to_delayed_work(work),
						struct ovlt_queue, expire);

	ovlt_commit_overdue(queue, ktime_get_ns(), OVLTREE_REASON_DEADLINE);
	guard(mutex)(&queue->lock);
	queue_arm(queue);
}

/*
 * Sockets
 */

/**
 * ovlt_sock_serve - make a socket that of the daemon
 * @sock: the socket, of the caller
 * @extack: takes the reason of a failure
 *
 * Context: The queue's lock is held.
 * Return: 0, also if it is already; -EBUSY if another one is; -ENODEV if the module
 *         is being removed.
 */
int ovlt_sock_serve(struct ovlt_sock *sock, struct netlink_ext_ack *extack)
{
	struct ovlt_daemon *daemon = &sock->queue->daemon;

	lockdep_assert_held(&sock->queue->lock);
	if (daemon->sock == sock)
		return 0;
	if (daemon->sock) {
		NL_SET_ERR_MSG(extack, "a daemon serves the network namespace");
		return -EBUSY;
	}
	if (queues_closed) {
		NL_SET_ERR_MSG(extack, "the module is being removed");
		return -ENODEV;
	}
	*daemon = (struct ovlt_daemon) {
		.sock		= sock,
		.reader.user_ns	= get_user_ns(current_user_ns()),
		.reader.pid_ns	= get_pid_ns(task_active_pid_ns(current)),
		.pid		= get_pid(task_tgid(current)),
	};
	return 0;
}

static void daemon_leave(struct ovlt_queue *queue)
{
	struct ovlt_daemon *daemon = &queue->daemon;

	if (!daemon->sock)
		return;
	put_user_ns(daemon->reader.user_ns);
	put_pid_ns(daemon->reader.pid_ns);
	put_pid(daemon->pid);
	memset(daemon, 0, sizeof(*daemon));
	ovlt_netlink_daemon_gone(queue);
}

/*
 * End what the socket has submitted and waits, and its being the daemon. What is
 * being committed ends as it does, and nobody is told but the monitors.
 */
static void sock_close(struct ovlt_sock *sock, struct list_head *ended)
{
	struct ovlt_queue *queue = sock->queue;
	struct ovlt_request *request, *next;

	lockdep_assert_held(&queue->lock);
	if (queue->daemon.sock == sock)
		daemon_leave(queue);
	list_for_each_entry_safe(request, next, &sock->requests, of_sock) {
		request->sock = NULL;
		if (!request_waits(request)) {
			list_del_init(&request->of_sock);
			continue;
		}
		request_cancel(request);
		list_add(&request->of_sock, ended);
	}
	xa_erase(&queue->socks, sock->portid);
	sock_put(sock->sk);
	kfree(sock);
}

static struct ovlt_sock *sock_new(struct ovlt_queue *queue, struct sock *sk,
				  u32 portid)
{
	struct ovlt_sock *sock __free(kfree) =
		kzalloc(sizeof(*sock), GFP_KERNEL_ACCOUNT);
	int err;

	lockdep_assert_held(&queue->lock);
	if (!sock)
		return ERR_PTR(-ENOMEM);
	err = xa_insert(&queue->socks, portid, sock, GFP_KERNEL_ACCOUNT);
	if (err)
		return ERR_PTR(err);
	sock_hold(sk);
	sock->queue = queue;
	sock->sk = sk;
	sock->portid = portid;
	INIT_LIST_HEAD(&sock->requests);
	return no_free_ptr(sock);
}

static void requests_free(struct list_head *ended)
{
	struct ovlt_request *request, *next;

	list_for_each_entry_safe(request, next, ended, of_sock) {
		request_release(request, fput);
		request_free(request);
	}
}

/**
 * ovlt_sock_get - find what is known of a socket, or begin
 * @queue: of its network namespace
 * @sk: the socket; it is not being closed
 * @portid: its address
 *
 * Return: It, until ovlt_sock_closed(); or -ENOMEM.
 */
struct ovlt_sock *ovlt_sock_get(struct ovlt_queue *queue, struct sock *sk,
				u32 portid)
{
	struct ovlt_sock *sock;
	LIST_HEAD(ended);

	scoped_guard(mutex, &queue->lock) {
		sock = xa_load(&queue->socks, portid);
		/* Of a closed one, which ovlt_sock_closed() is to hear of still */
		if (sock && sock->sk != sk) {
			sock_close(sock, &ended);
			sock = NULL;
		}
		if (!sock)
			sock = sock_new(queue, sk, portid);
	}
	requests_free(&ended);
	return sock;
}

/**
 * ovlt_sock_closed - a netlink socket has been closed
 * @queue: of its network namespace
 * @portid: its address, which may be another one's by now
 */
void ovlt_sock_closed(struct ovlt_queue *queue, u32 portid)
{
	struct ovlt_sock *sock;
	LIST_HEAD(ended);

	scoped_guard(mutex, &queue->lock) {
		sock = xa_load(&queue->socks, portid);
		if (sock && sock_flag(sock->sk, SOCK_DEAD))
			sock_close(sock, &ended);
	}
	requests_free(&ended);
}

/*
 * Queues
 */

static int __net_init queue_init(struct net *net)
{
	struct ovlt_queue *queue = ovlt_queue_of(net);

	mutex_init(&queue->lock);
	queue->net = net;
	xa_init(&queue->socks);
	xa_init(&queue->requests);
	timerqueue_init_head(&queue->waiting);
	INIT_DELAYED_WORK(&queue->expire, queue_expire);
	hash_init(queue->shares);
	return 0;
}

/*
 * Nothing waits: no socket is left, or, when the module goes, ovlt_queues_close()
 * has been called.
 */
static void __net_exit queue_exit(struct net *net)
{
	struct ovlt_queue *queue = ovlt_queue_of(net);
	struct ovlt_sock *sock;
	unsigned long portid;
	LIST_HEAD(ended);

	cancel_delayed_work_sync(&queue->expire);
	WARN_ON(!xa_empty(&queue->requests));
	guard(mutex)(&queue->lock);
	xa_for_each(&queue->socks, portid, sock)
		sock_close(sock, &ended);
}

static struct pernet_operations queue_net_ops = {
	.init	= queue_init,
	.exit	= queue_exit,
	.id	= &queue_net_id,
	.size	= sizeof(struct ovlt_queue),
};

int ovlt_queues_init(void)
{
	return register_pernet_subsys(&queue_net_ops);
}

static void queue_close(struct ovlt_queue *queue)
{
	scoped_guard(mutex, &queue->lock)
		daemon_leave(queue);
	cancel_delayed_work_sync(&queue->expire);
	ovlt_commit_overdue(queue, U64_MAX, OVLTREE_REASON_EXIT);
}

/**
 * ovlt_queues_close - commit what waits, and accept nothing any more
 *
 * The module goes. What waits was accepted, its submitter's rights were checked,
 * and who submitted it may have no descriptor of the mount any more: it is
 * committed now rather than given back, so that removing the module loses nothing.
 * The one exception is a mountpoint that is locked at this moment, which might be
 * locked for ever; that request ends with -EAGAIN.
 *
 * Context: No ioctl runs: an open /dev/ovltree keeps the module.
 */
void ovlt_queues_close(void)
{
	struct net *net;

	WRITE_ONCE(queues_closed, true);
	scoped_guard(rwsem_read, &net_rwsem) {
		for_each_net(net)
			queue_close(ovlt_queue_of(net));
	}
	/* Here, and not above: a disk may be slow */
	ovlt_shutdown_flush();
}

void ovlt_queues_exit(void)
{
	unregister_pernet_subsys(&queue_net_ops);
}
