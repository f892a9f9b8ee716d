// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink family: messages to and from the queue, and a list of the layer sets.
 * The specification is Documentation/netlink/specs/ovltree.yaml.
 *
 * Generic netlink holds a lock of all its families around a handler. So these
 * resolve file descriptors and walk no paths; what they keep of a mount is put
 * where the task returns to user space.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/notifier.h>
#include <linux/path.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/string.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/sock.h>

#include "internal.h"
#include "netlink_gen.h"
#include "queue.h"

/* Both groups tell of other users' containers: the schema has no flag for it. */
static struct genl_multicast_group groups[] = {
	[OVLTREE_NLGRP_READY] = {
		OVLTREE_MCGRP_READY, GENL_MCAST_CAP_SYS_ADMIN,
	},
	[OVLTREE_NLGRP_MONITOR] = {
		OVLTREE_MCGRP_MONITOR, GENL_MCAST_CAP_SYS_ADMIN,
	},
};

/*
 * Sockets
 */

/* The sender's socket, which can't be closed while it sends. */
static struct ovlt_sock *sock_of(struct sk_buff *skb, struct genl_info *info)
{
	struct ovlt_sock *sock;

	sock = ovlt_sock_get(ovlt_queue_of(genl_info_net(info)),
			     NETLINK_CB(skb).sk, info->snd_portid);
	if (IS_ERR(sock))
		NL_SET_ERR_MSG(info->extack, "no memory for the socket's part of the queue");
	return sock;
}

static int sock_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct netlink_notify *notify = data;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC)
		ovlt_sock_closed(ovlt_queue_of(notify->net), notify->portid);
	return NOTIFY_DONE;
}

static struct notifier_block sock_notifier = { .notifier_call = sock_notify };

/*
 * Parts of messages. Each has a size and a put, which fails only if the size is
 * wrong or a dump's message is full.
 */

static size_t size_u64(unsigned int nr)
{
	return nr * nla_total_size_64bit(sizeof(u64));
}

static size_t size_u32(unsigned int nr)
{
	return nr * nla_total_size(sizeof(u32));
}

static size_t size_string(const char *string)
{
	return nla_total_size(strlen(string) + 1);
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, OVLTREE_A_REQUEST_PAD);
}

static int put_stat(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, OVLTREE_A_STATS_PAD);
}

static int put_string(struct sk_buff *skb, int attr, const char *string)
{
	return *string ? nla_put_string(skb, attr, string) : 0;
}

static struct ovlt_reader current_reader(void)
{
	return (struct ovlt_reader) {
		.user_ns = current_user_ns(),
		.pid_ns	 = task_active_pid_ns(current),
	};
}

static size_t size_waiting(const struct ovlt_request *request)
{
	return size_u64(5) + size_u32(5) + nla_total_size(sizeof(u8)) +
	       size_string(request->name);
}

static int put_waiting(struct sk_buff *skb, const struct ovlt_request *request,
		       const struct ovlt_reader *reader)
{
	bool detach = request->kind == OVLTREE_KIND_DETACH;

	if (put_u64(skb, OVLTREE_A_REQUEST_ID, request->id) ||
	    nla_put_u32(skb, OVLTREE_A_REQUEST_KIND, request->kind) ||
	    put_string(skb, OVLTREE_A_REQUEST_NAME, request->name) ||
	    nla_put_u8(skb, OVLTREE_A_REQUEST_PRIORITY, request->priority) ||
	    nla_put_u32(skb, OVLTREE_A_REQUEST_DEADLINE_MS, request->deadline_ms) ||
	    nla_put_u32(skb, OVLTREE_A_REQUEST_PID,
			pid_nr_ns(request->pid, reader->pid_ns)) ||
	    nla_put_u32(skb, OVLTREE_A_REQUEST_UID,
			from_kuid_munged(reader->user_ns, request->uid)) ||
	    put_u64(skb, OVLTREE_A_REQUEST_CGROUP_ID, request->cgroup_id) ||
	    nla_put_u32(skb, OVLTREE_A_REQUEST_USERNS_ID,
			request->share->user_ns->ns.inum) ||
	    (detach && put_u64(skb, OVLTREE_A_REQUEST_MNT_ID,
			       request->entry.mnt_id)) ||
	    put_u64(skb, OVLTREE_A_REQUEST_AGE,
		    ktime_get_ns() - request->submitted) ||
	    put_u64(skb, OVLTREE_A_REQUEST_SEQ, request->queue->seq))
		return -EMSGSIZE;
	return 0;
}

/* Whatever the result will be */
static size_t size_done(void)
{
	return size_u64(6) + size_u32(3) + nla_total_size(OVLTREE_NAME_MAX + 1) +
	       nla_total_size(OVLTREE_MESSAGE_MAX);
}

static int put_done(struct sk_buff *skb, const struct ovlt_request *request,
		    const struct ovltree_result *result,
		    const struct mnt_batch *batch, enum ovltree_reason by)
{
	u64 mnt_id = result->mnt_id;

	if (request->kind == OVLTREE_KIND_DETACH)
		mnt_id = request->entry.mnt_id;
	if (put_u64(skb, OVLTREE_A_REQUEST_ID, request->id) ||
	    nla_put_u32(skb, OVLTREE_A_REQUEST_KIND, request->kind) ||
	    put_string(skb, OVLTREE_A_REQUEST_NAME, request->name) ||
	    nla_put_s32(skb, OVLTREE_A_REQUEST_ERROR, result->error) ||
	    put_string(skb, OVLTREE_A_REQUEST_MESSAGE, result->message) ||
	    (mnt_id && put_u64(skb, OVLTREE_A_REQUEST_MNT_ID, mnt_id)) ||
	    put_u64(skb, OVLTREE_A_REQUEST_QUEUED,
		    request->claimed - request->submitted) ||
	    put_u64(skb, OVLTREE_A_REQUEST_SEQ, request->queue->seq))
		return -EMSGSIZE;
	if (batch &&
	    (put_u64(skb, OVLTREE_A_REQUEST_WAIT, batch->wait_ns) ||
	     put_u64(skb, OVLTREE_A_REQUEST_HOLD, batch->hold_ns) ||
	     nla_put_u32(skb, OVLTREE_A_REQUEST_COMMITTED_BY, by)))
		return -EMSGSIZE;
	return 0;
}

static int put_mount(struct sk_buff *skb, u64 mnt_id,
		     const struct mnt_batch *batch, const struct ovlt_queue *queue)
{
	if (put_u64(skb, OVLTREE_A_REQUEST_MNT_ID, mnt_id) ||
	    put_u64(skb, OVLTREE_A_REQUEST_CGROUP_ID, ovlt_current_cgroup_id()) ||
	    put_u64(skb, OVLTREE_A_REQUEST_WAIT, batch->wait_ns) ||
	    put_u64(skb, OVLTREE_A_REQUEST_HOLD, batch->hold_ns) ||
	    put_u64(skb, OVLTREE_A_REQUEST_SEQ, queue->seq))
		return -EMSGSIZE;
	return 0;
}

static int put_batch(struct sk_buff *skb, const struct ovlt_queue *queue)
{
	const struct ovlt_stats *stats = &queue->stats;

	if (put_stat(skb, OVLTREE_A_STATS_SUBMITTED, stats->submitted) ||
	    put_stat(skb, OVLTREE_A_STATS_ATTACHED, stats->attached) ||
	    put_stat(skb, OVLTREE_A_STATS_DETACHED, stats->detached) ||
	    put_stat(skb, OVLTREE_A_STATS_FAILED, stats->failed) ||
	    put_stat(skb, OVLTREE_A_STATS_HOLD_MAX, stats->hold_max) ||
	    put_stat(skb, OVLTREE_A_STATS_SEQ, queue->seq))
		return -EMSGSIZE;
	return 0;
}

static int put_stats(struct sk_buff *skb, const struct ovlt_queue *queue,
		     const struct ovlt_reader *reader)
{
	const struct ovlt_stats *stats = &queue->stats;

	if (put_batch(skb, queue) ||
	    put_stat(skb, OVLTREE_A_STATS_CANCELLED, stats->cancelled) ||
	    put_stat(skb, OVLTREE_A_STATS_REFUSED, stats->refused) ||
	    put_stat(skb, OVLTREE_A_STATS_EXPIRED, stats->expired) ||
	    put_stat(skb, OVLTREE_A_STATS_BATCHES, stats->batches) ||
	    nla_put_u32(skb, OVLTREE_A_STATS_BATCH_MAX, stats->batch_max) ||
	    nla_put_u32(skb, OVLTREE_A_STATS_QUEUED, queue->nr_waiting) ||
	    nla_put_u32(skb, OVLTREE_A_STATS_QUEUE_MAX, OVLT_QUEUE_MAX) ||
	    nla_put_u32(skb, OVLTREE_A_STATS_QUEUE_MAX_USERNS,
			OVLT_QUEUE_MAX_USERNS) ||
	    (queue->daemon.sock &&
	     nla_put_u32(skb, OVLTREE_A_STATS_DAEMON_PID,
			 pid_nr_ns(queue->daemon.pid, reader->pid_ns))))
		return -EMSGSIZE;
	return 0;
}

/* The number of a process that has ended may be another one's by now. */
static u32 layerset_pid(const struct ovlt_layerset *set,
			const struct ovlt_reader *reader)
{
	if (!pid_has_task(set->pid, PIDTYPE_TGID))
		return 0;
	return pid_nr_ns(set->pid, reader->pid_ns);
}

static int put_layerset(struct sk_buff *skb, const struct ovlt_layerset *set,
			const struct ovlt_reader *reader)
{
	if (nla_put_u64_64bit(skb, OVLTREE_A_LAYERSET_ID, set->id,
			      OVLTREE_A_LAYERSET_PAD) ||
	    nla_put_u32(skb, OVLTREE_A_LAYERSET_LAYERS,
			ovlt_layers_nr(set->layers)) ||
	    nla_put_u32(skb, OVLTREE_A_LAYERSET_PID,
			layerset_pid(set, reader)) ||
	    nla_put_u32(skb, OVLTREE_A_LAYERSET_UID,
			from_kuid_munged(reader->user_ns, set->uid)) ||
	    nla_put_u64_64bit(skb, OVLTREE_A_LAYERSET_CGROUP_ID, set->cgroup_id,
			      OVLTREE_A_LAYERSET_PAD) ||
	    nla_put_u64_64bit(skb, OVLTREE_A_LAYERSET_AGE,
			      ktime_get_ns() - set->made,
			      OVLTREE_A_LAYERSET_PAD))
		return -EMSGSIZE;
	return 0;
}

/*
 * Events. They are sent with the queue's lock held, so that they come in the order
 * of their numbers. One that can't be sent has its number too: who misses it
 * notices, as one whose socket was full does.
 */

/* Most often there are none, and nothing is made for them. */
static bool has_monitors(struct net *net)
{
	return genl_has_listeners(&ovltree_nl_family, net, OVLTREE_NLGRP_MONITOR);
}

static struct sk_buff *event_new(u8 cmd, size_t size, gfp_t gfp)
{
	struct sk_buff *skb = genlmsg_new(size, gfp);

	if (skb)
		genlmsg_put(skb, 0, 0, &ovltree_nl_family, 0, cmd);
	return skb;
}

/* To @group, and to @portid if it isn't 0. */
static void event_send(const struct ovlt_queue *queue, struct sk_buff *skb,
		       int err, unsigned int group, u32 portid)
{
	lockdep_assert_held(&queue->lock);
	if (WARN_ON_ONCE(err)) {
		nlmsg_free(skb);
		return;
	}
	nlmsg_end(skb, nlmsg_hdr(skb));
	nlmsg_notify(queue->net->genl_sock, skb, portid,
		     ovltree_nl_family.mcgrp_offset + group, !!portid, GFP_KERNEL);
}

/**
 * ovlt_netlink_ready - tell the daemon of a request
 * @request: waits now
 *
 * Context: The queue's lock is held.
 */
void ovlt_netlink_ready(const struct ovlt_request *request)
{
	const struct ovlt_queue *queue = request->queue;
	struct sk_buff *skb;

	/* The next daemon learns of it from a dump */
	if (!queue->daemon.sock)
		return;
	skb = event_new(OVLTREE_CMD_READY, size_waiting(request), GFP_KERNEL);
	if (skb)
		event_send(queue, skb,
			   put_waiting(skb, request, &queue->daemon.reader),
			   OVLTREE_NLGRP_READY, 0);
}

/**
 * ovlt_netlink_done_new - make the message that a request's end will be told by
 *
 * It is there before the request: for want of memory, a submitter who isn't told
 * would wait for ever.
 *
 * Return: The message, for ovlt_netlink_done() or nlmsg_free(); NULL if memory is
 *         short.
 */
struct sk_buff *ovlt_netlink_done_new(void)
{
	return event_new(OVLTREE_CMD_DONE, size_done(), GFP_KERNEL_ACCOUNT);
}

/**
 * ovlt_netlink_done - tell the submitter and the monitors how a request ended
 * @request: the request, whose message is used up
 * @result: how it ended
 * @batch: the batch that it was in; NULL if it was cancelled
 * @by: who has committed that
 *
 * Context: The queue's lock is held.
 */
void ovlt_netlink_done(struct ovlt_request *request,
		       const struct ovltree_result *result,
		       const struct mnt_batch *batch, enum ovltree_reason by)
{
	struct ovlt_queue *queue = request->queue;

	queue->seq++;
	event_send(queue, request->done,
		   put_done(request->done, request, result, batch, by),
		   OVLTREE_NLGRP_MONITOR,
		   request->sock ? request->sock->portid : 0);
	request->done = NULL;
}

/**
 * ovlt_netlink_batch - tell the monitors that a batch ended
 * @queue: whose counters have it already
 *
 * Context: The queue's lock is held.
 */
void ovlt_netlink_batch(struct ovlt_queue *queue)
{
	struct sk_buff *skb;

	queue->seq++;
	if (!has_monitors(queue->net))
		return;
	skb = event_new(OVLTREE_CMD_BATCH, size_u64(6), GFP_KERNEL);
	if (skb)
		event_send(queue, skb, put_batch(skb, queue),
			   OVLTREE_NLGRP_MONITOR, 0);
}

/**
 * ovlt_netlink_daemon_gone - tell the monitors that nobody serves any more
 * @queue: the queue
 *
 * Context: The queue's lock is held.
 */
void ovlt_netlink_daemon_gone(struct ovlt_queue *queue)
{
	struct sk_buff *skb;
	int err;

	queue->seq++;
	skb = event_new(OVLTREE_CMD_DAEMON_GONE, size_u64(1) + size_u32(1), GFP_KERNEL);
	if (!skb)
		return;
	err = nla_put_u32(skb, OVLTREE_A_STATS_QUEUED, queue->nr_waiting) ?:
	      put_stat(skb, OVLTREE_A_STATS_SEQ, queue->seq);
	event_send(queue, skb, err, OVLTREE_NLGRP_MONITOR, 0);
}

static void netlink_mount(struct ovlt_queue *queue, u8 cmd, u64 mnt_id,
			  const struct mnt_batch *batch)
{
	struct sk_buff *skb;

	queue->seq++;
	skb = event_new(cmd, size_u64(5), GFP_KERNEL);
	if (skb)
		event_send(queue, skb, put_mount(skb, mnt_id, batch, queue),
			   OVLTREE_NLGRP_MONITOR, 0);
}

/**
 * ovlt_netlink_mounts - tell the monitors what the caller did without requests
 * @cmd: OVLTREE_CMD_ATTACHED or OVLTREE_CMD_DETACHED
 * @batch: its mounts, when that is done
 * @requests: for each entry its request, of which DONE tells, or NULL
 *
 * Context: Process context, sleeps.
 */
void ovlt_netlink_mounts(u8 cmd, const struct mnt_batch *batch,
			 struct ovlt_request *const requests[])
{
	struct net *net = current->nsproxy->net_ns;
	struct ovlt_queue *queue = ovlt_queue_of(net);

	/* A direct call has no other need of the queue. */
	if (!has_monitors(net))
		return;
	guard(mutex)(&queue->lock);
	for (unsigned int i = 0; i < batch->nr; i++) {
		const struct mnt_batch_entry *entry = &batch->entries[i];

		if (!requests[i] && ovlt_entry_is_good(entry))
			netlink_mount(queue, cmd, entry->mnt_id, batch);
	}
}

/*
 * Commands
 */

static int check_rights(struct sk_buff *skb, struct net *net,
			struct netlink_ext_ack *extack)
{
	if (netlink_ns_capable(skb, net->user_ns, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(extack, "no CAP_SYS_ADMIN over the network namespace");
	return -EPERM;
}

/* Where a command has no policy generic netlink looks at no attribute. */
static int check_no_attributes(const struct nlmsghdr *nlh,
			       struct netlink_ext_ack *extack)
{
	if (nlmsg_attrlen(nlh, GENL_HDRLEN) <= 0)
		return 0;
	NL_SET_ERR_MSG(extack, "the command takes no attributes");
	return -EINVAL;
}

int ovltree_nl_pre_doit(const struct genl_split_ops *ops, struct sk_buff *skb,
			struct genl_info *info)
{
	int err;

	err = check_rights(skb, genl_info_net(info), info->extack);
	if (err || ops->policy)
		return err;
	return check_no_attributes(info->nlhdr, info->extack);
}

int ovltree_nl_pre_dumpit(struct netlink_callback *cb)
{
	return check_rights(cb->skb, sock_net(cb->skb->sk), cb->extack) ?:
	       check_no_attributes(cb->nlh, cb->extack);
}

static struct sk_buff *reply_new(struct genl_info *info, size_t size, void **hdr)
{
	struct sk_buff *skb = genlmsg_new(size, GFP_KERNEL);

	if (skb)
		*hdr = genlmsg_iput(skb, info);
	else
		NL_SET_ERR_MSG(info->extack, "no memory for the answer");
	return skb;
}

/*
 * Where there is no room for the answer there is none for the reason either, unless
 * somebody reads meanwhile. Tracers see it.
 */
static int reply_send(struct genl_info *info, struct sk_buff *skb, void *hdr)
{
	int err;

	genlmsg_end(skb, hdr);
	err = genlmsg_reply(skb, info);
	if (err)
		NL_SET_ERR_MSG(info->extack, "the socket has no room for the answer");
	return err;
}

static int submit_require(struct genl_info *info, int attr)
{
	if (info->attrs[attr])
		return 0;
	NL_SET_ERR_MSG(info->extack, "an attribute is missing");
	NL_SET_ERR_ATTR_MISS(info->extack, NULL, attr);
	return -EINVAL;
}

static int submit_refuse(struct genl_info *info, int attr)
{
	if (!info->attrs[attr])
		return 0;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr],
			    "not an attribute of this kind of request");
	return -EINVAL;
}

static struct file *submit_file(struct genl_info *info, int attr,
				struct file *(*get)(unsigned int fd))
{
	struct file *file = get(nla_get_s32(info->attrs[attr]));

	if (file)
		return file;
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[attr],
			    "not a file descriptor");
	return ERR_PTR(-EBADF);
}

/* The attribute for a field of the ioctl */
static int attr_of(enum ovltree_field field)
{
	switch (field) {
	case OVLTREE_FIELD_PROPAGATION:
		return OVLTREE_A_REQUEST_PROPAGATION;
	case OVLTREE_FIELD_MNTNS_FD:
		return OVLTREE_A_REQUEST_MNTNS_FD;
	default:
		return OVLTREE_A_REQUEST_TARGET_FD;
	}
}

/* The submitter's rights, as move_mount(2) checks them */
static int submit_check_attach(struct ovlt_request *request,
			       struct genl_info *info)
{
	struct nlattr *propagation = info->attrs[OVLTREE_A_REQUEST_PROPAGATION];
	struct nlattr *ns = info->attrs[OVLTREE_A_REQUEST_MNTNS_FD];
	struct file *mntns __free(fput) = NULL;
	enum ovltree_field field;
	const char *why;
	int err;

	if (ns) {
		mntns = submit_file(info, OVLTREE_A_REQUEST_MNTNS_FD, fget);
		if (IS_ERR(mntns))
			return PTR_ERR(mntns);
	}
	if (propagation)
		request->entry.propagation = nla_get_u32(propagation);
	err = mnt_batch_check(&request->entry, mntns);
	if (!err)
		return 0;

	field = ovlt_attach_blame(&request->entry, err, mntns, &why);
	NL_SET_ERR_MSG_ATTR_FMT(info->extack, info->attrs[attr_of(field)], "%s", why);
	return err;
}

/*
 * What move_mount(2) refuses and will not change; the rest is checked under the
 * mount locks.
 */
static int submit_check_paths(const struct ovlt_request *request,
			      struct genl_info *info)
{
	const struct path *mount = &request->entry.mount;

	if (mount->dentry != mount->mnt->mnt_root) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[OVLTREE_A_REQUEST_MNT_FD],
				    "not the root of a mount");
		return -EINVAL;
	}
	if (d_is_dir(mount->dentry) != d_is_dir(request->entry.target.dentry)) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[OVLTREE_A_REQUEST_TARGET_FD],
				    "a folder goes on a folder, a file on a file");
		return -EINVAL;
	}
	return 0;
}

/*
 * A request keeps O_PATH files only: there is nothing to wait for when they are
 * put. What may be attached is behind one anyway.
 */
static int submit_mount(struct ovlt_request *request, struct genl_info *info)
{
	struct file *file;

	file = submit_file(info, OVLTREE_A_REQUEST_MNT_FD, fget_raw);
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!(file->f_mode & FMODE_PATH)) {
		fput(file);
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[OVLTREE_A_REQUEST_MNT_FD],
				    "not of PREPARE, fsmount(2) or open_tree(2)");
		return -EINVAL;
	}
	request->mnt_file = file;
	request->entry.mount = file->f_path;
	return 0;
}

static int submit_target(struct ovlt_request *request, struct genl_info *info)
{
	struct file *given __free(fput) =
		submit_file(info, OVLTREE_A_REQUEST_TARGET_FD, fget_raw);
	struct file *file;

	if (IS_ERR(given))
		return PTR_ERR(given);
	file = dentry_open(&given->f_path, O_PATH, current_cred());
	if (IS_ERR(file)) {
		NL_SET_ERR_MSG_ATTR(info->extack,
				    info->attrs[OVLTREE_A_REQUEST_TARGET_FD],
				    "mountpoint can't be opened");
		return PTR_ERR(file);
	}
	request->target_file = file;
	request->entry.target = file->f_path;
	path_get(&request->entry.target);
	return 0;
}

static int submit_attach(struct ovlt_request *request, struct genl_info *info)
{
	int err;

	err = submit_require(info, OVLTREE_A_REQUEST_MNT_FD) ?:
	      submit_require(info, OVLTREE_A_REQUEST_TARGET_FD) ?:
	      submit_refuse(info, OVLTREE_A_REQUEST_MNT_ID) ?:
	      submit_refuse(info, OVLTREE_A_REQUEST_DETACH_FLAGS);
	if (err)
		return err;

	err = submit_mount(request, info) ?: submit_target(request, info);
	if (err)
		return err;
	return submit_check_attach(request, info) ?:
	       submit_check_paths(request, info);
}

static int submit_check_detach(struct mnt_batch_entry *entry,
			       struct nlattr *attr,
			       struct netlink_ext_ack *extack)
{
	struct mnt_batch batch = { .entries = entry, .nr = 1, .nowait = true };
	int err;

	err = mnt_batch_check_detach(&batch) ?: entry->error;
	switch (err) {
	case 0:
		return 0;
	case -EAGAIN:
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "the submitter's root is detached lazily only");
		return -EBUSY;
	case -ENOENT:
		NL_SET_ERR_MSG_ATTR(extack, attr,
				    "no such mount in the mount namespace");
		return err;
	case -EINVAL:
		NL_SET_ERR_MSG_ATTR(extack, attr, "the mount is locked");
		return err;
	default:
		NL_SET_ERR_MSG_ATTR(extack, attr, "not allowed to unmount it");
		return err;
	}
}

static int submit_detach(struct ovlt_request *request, struct genl_info *info)
{
	struct nlattr *attr = info->attrs[OVLTREE_A_REQUEST_MNT_ID];
	struct nlattr *flags = info->attrs[OVLTREE_A_REQUEST_DETACH_FLAGS];
	struct mnt_batch_entry *entry = &request->entry;
	int err;

	err = submit_require(info, OVLTREE_A_REQUEST_MNT_ID) ?:
	      submit_refuse(info, OVLTREE_A_REQUEST_MNT_FD) ?:
	      submit_refuse(info, OVLTREE_A_REQUEST_TARGET_FD) ?:
	      submit_refuse(info, OVLTREE_A_REQUEST_MNTNS_FD) ?:
	      submit_refuse(info, OVLTREE_A_REQUEST_PROPAGATION);
	if (err)
		return err;

	entry->mnt_id = nla_get_u64(attr);
	if (flags && nla_get_u32(flags) & OVLTREE_DETACH_FLAGS_LAZY)
		entry->flags |= MNT_DETACH;
	if (flags && nla_get_u32(flags) & OVLTREE_DETACH_FLAGS_FORCE)
		entry->flags |= MNT_FORCE;
	return submit_check_detach(entry, attr, info->extack);
}

static int submit_fill(struct ovlt_request *request, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;

	request->deadline_ms = OVLT_DEADLINE_MS;
	if (attrs[OVLTREE_A_REQUEST_DEADLINE_MS])
		request->deadline_ms =
			nla_get_u32(attrs[OVLTREE_A_REQUEST_DEADLINE_MS]);
	if (attrs[OVLTREE_A_REQUEST_PRIORITY])
		request->priority = nla_get_u8(attrs[OVLTREE_A_REQUEST_PRIORITY]);
	if (attrs[OVLTREE_A_REQUEST_NAME])
		nla_strscpy(request->name, attrs[OVLTREE_A_REQUEST_NAME],
			    sizeof(request->name));
	request->kind = nla_get_u32(attrs[OVLTREE_A_REQUEST_KIND]);
	if (request->kind == OVLTREE_KIND_ATTACH)
		return submit_attach(request, info);
	return submit_detach(request, info);
}

/* The answer is there before anything else that concerns the request. */
static int submit_reply(struct ovlt_request *request, struct ovlt_sock *sock,
			struct genl_info *info)
{
	struct sk_buff *reply;
	void *hdr;
	int err;

	reply = reply_new(info, size_u64(1), &hdr);
	if (!reply)
		return -ENOMEM;
	guard(mutex)(&request->queue->lock);
	err = ovlt_request_number(request, info->extack) ?:
	      put_u64(reply, OVLTREE_A_REQUEST_ID, request->id);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	err = reply_send(info, reply, hdr);
	if (err)
		return err;
	ovlt_request_submit(request, sock);
	return 0;
}

int ovltree_nl_submit_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ovlt_request *request;
	struct ovlt_sock *sock;
	int err;

	/*
	 * The rights over mounts are the sender's. A process that can be made
	 * to write to somebody else's socket must not lend it these.
	 */
	if (!netlink_ns_capable(skb, current_user_ns(), CAP_SYS_ADMIN)) {
		NL_SET_ERR_MSG(info->extack,
			       "the socket was opened with fewer rights than the sender's");
		return -EPERM;
	}
	err = submit_require(info, OVLTREE_A_REQUEST_KIND);
	if (err)
		return err;
	sock = sock_of(skb, info);
	if (IS_ERR(sock))
		return PTR_ERR(sock);
	request = ovlt_request_new(sock->queue, info->extack);
	if (IS_ERR(request))
		return PTR_ERR(request);

	err = submit_fill(request, info) ?: submit_reply(request, sock, info);
	if (err)
		ovlt_request_drop(request);
	return err;
}

int ovltree_nl_cancel_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *id = info->attrs[OVLTREE_A_REQUEST_ID];
	struct ovlt_sock *sock;
	int err;

	err = submit_require(info, OVLTREE_A_REQUEST_ID);
	if (err)
		return err;
	sock = sock_of(skb, info);
	if (IS_ERR(sock))
		return PTR_ERR(sock);
	err = ovlt_request_cancel(sock, nla_get_u64(id));
	if (err)
		NL_SET_ERR_MSG_ATTR(info->extack, id,
				    "no request of this socket waits under this id");
	return err;
}

int ovltree_nl_serve_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ovlt_sock *sock;
	struct sk_buff *reply;
	void *hdr;
	int err;

	sock = sock_of(skb, info);
	if (IS_ERR(sock))
		return PTR_ERR(sock);
	reply = reply_new(info, size_u64(1), &hdr);
	if (!reply)
		return -ENOMEM;
	scoped_guard(mutex, &sock->queue->lock)
		err = ovlt_sock_serve(sock, info->extack) ?:
		      put_stat(reply, OVLTREE_A_STATS_SEQ, sock->queue->seq);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	return reply_send(info, reply, hdr);
}

int ovltree_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct ovlt_queue *queue = ovlt_queue_of(genl_info_net(info));
	struct ovlt_reader reader = current_reader();
	struct sk_buff *reply;
	void *hdr;
	int err;

	reply = reply_new(info, size_u64(10) + size_u32(5), &hdr);
	if (!reply)
		return -ENOMEM;
	scoped_guard(mutex, &queue->lock)
		err = put_stats(reply, queue, &reader);
	if (WARN_ON_ONCE(err)) {
		nlmsg_free(reply);
		return err;
	}
	return reply_send(info, reply, hdr);
}

static void *dump_begin(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &ovltree_nl_family, NLM_F_MULTI, cmd);
}

static int dump_end(struct sk_buff *skb, void *hdr, int err)
{
	if (err)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

static int dump_request(struct sk_buff *skb, struct netlink_callback *cb,
			const struct ovlt_request *request)
{
	struct ovlt_reader reader = current_reader();
	void *hdr;

	hdr = dump_begin(skb, cb, OVLTREE_CMD_REQUEST_GET);
	if (!hdr)
		return -EMSGSIZE;
	genl_dump_check_consistent(cb, hdr);
	return dump_end(skb, hdr, put_waiting(skb, request, &reader));
}

/* Others' mounts, which have numbers, too, change nothing of what waits. */
static u32 queue_ended(const struct ovlt_queue *queue)
{
	const struct ovlt_stats *stats = &queue->stats;

	return stats->attached + stats->detached + stats->failed +
	       stats->cancelled;
}

int ovltree_nl_request_get_dumpit(struct sk_buff *skb,
				  struct netlink_callback *cb)
{
	struct ovlt_queue *queue = ovlt_queue_of(sock_net(cb->skb->sk));
	struct ovlt_request *request;
	unsigned long id;

	guard(mutex)(&queue->lock);
	cb->seq = queue_ended(queue) + 1;
	xa_for_each_start(&queue->requests, id, request, cb->args[0]) {
		if (!timerqueue_node_queued(&request->waiting))
			continue;
		if (dump_request(skb, cb, request)) {
			cb->args[0] = id;
			return skb->len ?: -EMSGSIZE;
		}
	}
	cb->args[0] = ULONG_MAX;
	return skb->len;
}

static int dump_layerset(struct sk_buff *skb, struct netlink_callback *cb,
			 const struct ovlt_layerset *set)
{
	struct ovlt_reader reader = current_reader();
	void *hdr;

	hdr = dump_begin(skb, cb, OVLTREE_CMD_LAYERSET_GET);
	if (!hdr)
		return -EMSGSIZE;
	return dump_end(skb, hdr, put_layerset(skb, set, &reader));
}

/*
 * One set doesn't depend on another: those that are there all the time are told
 * once each, whatever comes and goes, and so the dump needn't be consistent.
 */
int ovltree_nl_layerset_get_dumpit(struct sk_buff *skb,
				   struct netlink_callback *cb)
{
	u64 net_cookie = sock_net(cb->skb->sk)->net_cookie;
	struct ovlt_layerset *set;
	unsigned long id;

	guard(mutex)(&ovlt_layersets.lock);
	xa_for_each_start(&ovlt_layersets.sets, id, set, cb->args[0]) {
		if (set->net_cookie != net_cookie)
			continue;
		if (dump_layerset(skb, cb, set)) {
			cb->args[0] = id;
			return skb->len ?: -EMSGSIZE;
		}
	}
	cb->args[0] = ULONG_MAX;
	return skb->len;
}

int ovlt_netlink_init(void)
{
	int err;

	BUILD_BUG_ON(ARRAY_SIZE(groups) != OVLTREE_NLGRP_MONITOR + 1);
	err = ovlt_queues_init();
	if (err)
		return err;
	err = netlink_register_notifier(&sock_notifier);
	if (err)
		goto err_queues;
	ovltree_nl_family.mcgrps = groups;
	err = genl_register_family(&ovltree_nl_family);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	netlink_unregister_notifier(&sock_notifier);
err_queues:
	ovlt_queues_exit();
	return err;
}

void ovlt_netlink_exit(void)
{
	ovlt_queues_close();
	genl_unregister_family(&ovltree_nl_family);
	netlink_unregister_notifier(&sock_notifier);
	ovlt_queues_exit();
}
