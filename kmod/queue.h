/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OVLTREE_QUEUE_H
#define _OVLTREE_QUEUE_H

#include <linux/hashtable.h>
#include <linux/mnt_batch.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/timerqueue.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <uapi/linux/ovltree.h>
#include <uapi/linux/ovltree_netlink.h>

struct file;
struct net;
struct ovlt_batch;
struct netlink_ext_ack;
struct pid;
struct pid_namespace;
struct sk_buff;
struct sock;
struct user_namespace;

#define OVLT_QUEUE_MAX		4096	/* requests in a network namespace */
#define OVLT_QUEUE_MAX_USERNS	1024	/* of these, from one user namespace */
#define OVLT_DEADLINE_MS	1000	/* unless the submitter says otherwise */

/**
 * struct ovlt_share - what a user namespace has in a queue
 * @node: in the queue's shares
 * @user_ns: the user namespace, with a reference
 * @nr: its requests; at 0 the share is gone
 */
struct ovlt_share {
	struct hlist_node node;
	struct user_namespace *user_ns;
	unsigned int nr;
};

/**
 * struct ovlt_request - a mount that is to be attached or detached
 * @waiting: in the queue's waiting requests while nobody commits it
 * @queue: its queue
 * @share: the submitter's user namespace there
 * @sock: the submitter's socket; NULL once that is closed
 * @of_sock: in the requests of @sock
 * @mnt_file: attach: what the submitter gave as mount; keeps the mount from being
 *	      dissolved when the submitter closes its descriptor
 * @target_file: attach: an O_PATH file of the mountpoint, so that its dentry goes
 *		 with a file, too
 * @entry: what is to be done, checked; the path of a mount to attach belongs to
 *	   @mnt_file
 * @done: what its end is told by; NULL once it is
 * @id: its number in the queue
 * @kind: attach or detach
 * @pid: thread group of the submitter
 * @uid: its effective user
 * @cgroup_id: its cgroup
 * @submitted: when it began to wait, in ns
 * @claimed: when it was last claimed, in ns
 * @deadline_ms: how long it may wait
 * @priority: greater goes first
 * @name: what the submitter calls it
 */
struct ovlt_request {
	struct timerqueue_node waiting;
	struct ovlt_queue *queue;
	struct ovlt_share *share;
	struct ovlt_sock *sock;
	struct list_head of_sock;
	struct file *mnt_file;
	struct file *target_file;
	struct mnt_batch_entry entry;
	struct sk_buff *done;
	u64 id;
	enum ovltree_kind kind;
	struct pid *pid;
	kuid_t uid;
	u64 cgroup_id;
	u64 submitted;
	u64 claimed;
	u32 deadline_ms;
	u8 priority;
	char name[OVLTREE_NAME_MAX + 1];
};

/**
 * struct ovlt_sock - a netlink socket that has submitted, or serves
 * @queue: the queue of its network namespace
 * @sk: the socket, with a reference
 * @portid: its address
 * @requests: what it has submitted and has not ended
 */
struct ovlt_sock {
	struct ovlt_queue *queue;
	struct sock *sk;
	u32 portid;
	struct list_head requests;
};

/**
 * struct ovlt_reader - whose ids are to be told
 * @user_ns: user namespace
 * @pid_ns: pid namespace
 */
struct ovlt_reader {
	struct user_namespace *user_ns;
	struct pid_namespace *pid_ns;
};

/**
 * struct ovlt_daemon - who serves a queue
 * @sock: its socket; NULL if nobody does
 * @reader: its namespaces, with references
 * @pid: its thread group, with a reference
 */
struct ovlt_daemon {
	struct ovlt_sock *sock;
	struct ovlt_reader reader;
	struct pid *pid;
};

/**
 * struct ovlt_stats - counters of a queue, as in the netlink family
 */
struct ovlt_stats {
	u64 submitted;
	u64 attached;
	u64 detached;
	u64 failed;
	u64 cancelled;
	u64 refused;
	u64 expired;
	u64 batches;
	u64 hold_max;
	u32 batch_max;
};

/**
 * struct ovlt_queue - the requests of a network namespace
 * @lock: protects all of it, and the numbers of events and their order
 * @net: the network namespace
 * @socks: &struct ovlt_sock by its address
 * @requests: all requests by id, those that are being committed included
 * @waiting: those that wait, by deadline
 * @expire: commits what is overdue
 * @shares: &struct ovlt_share by user namespace
 * @daemon: who serves
 * @last_id: of a request
 * @seq: number of the last event
 * @nr: of requests that are accepted and have not ended
 * @nr_waiting: number of @waiting
 * @stats: counters
 */
struct ovlt_queue {
	struct mutex lock; /* in cb_lock; mount locks are not taken under it */
	struct net *net;
	struct xarray socks;
	struct xarray requests;
	struct timerqueue_head waiting;
	struct delayed_work expire;
	DECLARE_HASHTABLE(shares, 6);
	struct ovlt_daemon daemon;
	u64 last_id;
	u64 seq;
	unsigned int nr;
	unsigned int nr_waiting;
	struct ovlt_stats stats;
};

/* queue.c */
int ovlt_queues_init(void);
void ovlt_queues_close(void);
void ovlt_queues_exit(void);
struct ovlt_queue *ovlt_queue_of(struct net *net);
u64 ovlt_current_cgroup_id(void);

struct ovlt_request *ovlt_request_new(struct ovlt_queue *queue,
				      struct netlink_ext_ack *extack);
void ovlt_request_drop(struct ovlt_request *request);
int ovlt_request_number(struct ovlt_request *request,
			struct netlink_ext_ack *extack);
void ovlt_request_submit(struct ovlt_request *request, struct ovlt_sock *sock);
int ovlt_request_cancel(struct ovlt_sock *sock, u64 id);

struct ovlt_sock *ovlt_sock_get(struct ovlt_queue *queue, struct sock *sk,
				u32 portid);
int ovlt_sock_serve(struct ovlt_sock *sock, struct netlink_ext_ack *extack);
void ovlt_sock_closed(struct ovlt_queue *queue, u32 portid);

enum ovltree_kind ovlt_requests_claim_overdue(struct ovlt_queue *queue, u64 until,
					      struct mnt_batch *batch,
					      struct ovlt_request **requests,
					      unsigned int max);
struct ovlt_request *ovlt_request_claim(u64 id, enum ovltree_kind kind,
					struct ovltree_result *result);
void ovlt_requests_end(struct ovlt_request **requests,
		       const struct ovltree_result *results,
		       const struct mnt_batch *batch, enum ovltree_reason by);

/* commit.c */
int ovlt_commit_detach(struct ovlt_batch *batch, struct ovlt_request *const requests[]);
void ovlt_commit_overdue(struct ovlt_queue *queue, u64 until,
			 enum ovltree_reason by);

/* netlink.c */
int ovlt_netlink_init(void);
void ovlt_netlink_exit(void);
void ovlt_netlink_ready(const struct ovlt_request *request);
struct sk_buff *ovlt_netlink_done_new(void);
void ovlt_netlink_done(struct ovlt_request *request,
		       const struct ovltree_result *result,
		       const struct mnt_batch *batch, enum ovltree_reason by);
void ovlt_netlink_batch(struct ovlt_queue *queue);
void ovlt_netlink_daemon_gone(struct ovlt_queue *queue);
void ovlt_netlink_mounts(u8 cmd, const struct mnt_batch *batch,
			 struct ovlt_request *const requests[]);

#endif /* _OVLTREE_QUEUE_H */
