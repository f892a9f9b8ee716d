/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libovltree - attach and detach batches of overlay trees
 *
 * A tree says what an overlay is made of, a batch says where trees go, and a
 * context says who does the work: the ovltree module, or the kernel's own
 * mount system calls. Each function is described where it is defined.
 */
#ifndef LIBOVLTREE_H
#define LIBOVLTREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/ovltree.h>
#include <linux/ovltree_netlink.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of files that a call names, and of an entry that is detached. */
#define OVLT_DATA (1U << 0) /* a data-only lower layer */
#define OVLT_NOFOLLOW (1U << 1) /* not through a final symbolic link */
#define OVLT_LAZY (1U << 2) /* detach as MNT_DETACH does */
#define OVLT_FORCE (1U << 3) /* detach as MNT_FORCE does */

/* Flags of a batch. */
#define OVLT_ALL (1U << 0) /* all entries or none */

/* Context */

struct ovlt_ctx;

/**
 * struct ovlt_info - what the backend in use can do
 * @backend: its name
 * @version: OVLTREE_UAPI_VERSION of the kernel, 0 without the module
 * @max_entries: most entries of an all-or-nothing batch, 0 is no limit
 * @max_lower: most lower layers in a tree
 * @max_options: most bytes of options in a tree, 0 is no limit
 * @features: OVLTREE_FEATURE_*
 * @nr_layersets: layer sets that exist now, whoever made them
 */
struct ovlt_info {
	const char *backend;
	unsigned int version;
	unsigned int max_entries;
	unsigned int max_lower;
	unsigned int max_options;
	uint64_t features;
	unsigned int nr_layersets;
};

/**
 * typedef ovlt_log_fn - gets what the library has to tell
 * @data: as given to ovlt_ctx_set_log()
 * @priority: LOG_ERR to LOG_DEBUG of syslog(3)
 * @message: one line without a newline
 */
typedef void (*ovlt_log_fn)(void *data, int priority, const char *message);

/**
 * enum ovlt_refused - what to do when the daemon's queue takes no request
 * @OVLT_REFUSED_DIRECT: do the work directly
 * @OVLT_REFUSED_WAIT: wait for a daemon, or for room in the queue
 * @OVLT_REFUSED_FAIL: let the entry fail: -ENOTCONN, -ENOBUFS, -EDQUOT
 */
enum ovlt_refused {
	OVLT_REFUSED_DIRECT,
	OVLT_REFUSED_WAIT,
	OVLT_REFUSED_FAIL,
};

/**
 * struct ovlt_submit_options - how the backend "daemon" submits
 * @name: what the requests are called, or NULL
 * @priority: 0 to 255; greater goes first
 * @deadline_ms: after which the kernel commits them itself; 0 is its default
 * @refused: enum ovlt_refused
 * @wait_ms: longest time that OVLT_REFUSED_WAIT waits; 0 is for ever
 */
struct ovlt_submit_options {
	const char *name;
	unsigned int priority;
	unsigned int deadline_ms;
	unsigned int refused;
	unsigned int wait_ms;
};

struct ovlt_ctx *ovlt_ctx_new(void);
struct ovlt_ctx *ovlt_ctx_ref(struct ovlt_ctx *ctx);
void ovlt_ctx_unref(struct ovlt_ctx *ctx);
void ovlt_ctx_set_log(struct ovlt_ctx *ctx, ovlt_log_fn log, void *data);
int ovlt_ctx_set_backend(struct ovlt_ctx *ctx, const char *name);
void ovlt_ctx_set_threads(struct ovlt_ctx *ctx, unsigned int nr);
int ovlt_ctx_set_submit(struct ovlt_ctx *ctx,
			const struct ovlt_submit_options *options, size_t size);
int ovlt_ctx_get_info(struct ovlt_ctx *ctx, struct ovlt_info *info,
		      size_t size);
int ovlt_ctx_get_error(struct ovlt_ctx *ctx, char *text, size_t size);

const char *ovlt_backend_name(unsigned int index);
int ovlt_backend_is_automatic(unsigned int index);

/* User namespaces for idmaps */

/**
 * struct ovlt_id_range - a range of ids that are mapped alike
 * @type: 'u' for user ids, 'g' for group ids, 'b' for both
 * @inner: the first id, as it is stored in the layers
 * @outer: the id that it shows as
 * @count: number of ids
 */
struct ovlt_id_range {
	char type;
	uint32_t inner;
	uint32_t outer;
	uint32_t count;
};

int ovlt_userns_open(const struct ovlt_id_range *ranges, size_t nr);
int ovlt_userns_parse(const char *text);

/* Layer set */

struct ovlt_layerset;

struct ovlt_layerset *ovlt_layerset_from_fd(int fd);
struct ovlt_layerset *ovlt_layerset_ref(struct ovlt_layerset *layerset);
void ovlt_layerset_unref(struct ovlt_layerset *layerset);
int ovlt_layerset_get_fd(const struct ovlt_layerset *layerset);

/* Tree */

struct ovlt_tree;

struct ovlt_tree *ovlt_tree_new(void);
struct ovlt_tree *ovlt_tree_ref(struct ovlt_tree *tree);
void ovlt_tree_unref(struct ovlt_tree *tree);
int ovlt_tree_add_lower(struct ovlt_tree *tree, int fd, const char *path,
			unsigned int flags);
int ovlt_tree_set_layerset(struct ovlt_tree *tree,
			   struct ovlt_layerset *layerset);
int ovlt_tree_set_upper(struct ovlt_tree *tree, int fd, const char *path,
			unsigned int flags);
int ovlt_tree_set_work(struct ovlt_tree *tree, int fd, const char *path,
		       unsigned int flags);
int ovlt_tree_add_option(struct ovlt_tree *tree, const char *key,
			 const char *value);
int ovlt_tree_set_attr(struct ovlt_tree *tree, uint32_t attr);
int ovlt_tree_set_userns(struct ovlt_tree *tree, int fd);
int ovlt_tree_set_propagation(struct ovlt_tree *tree,
			      unsigned long propagation);
int ovlt_tree_parse_options(struct ovlt_tree *tree, const char *options);
const char *ovlt_tree_get_error(const struct ovlt_tree *tree);

/* Batch */

struct ovlt_batch;

/**
 * struct ovlt_result - what became of an entry
 * @error: 0 or a negative errno
 * @field: enum ovltree_field, what the error is about
 * @index: which element of @field, from 0
 * @message: why, empty where the errno says it all; valid until the next call
 *	that runs the batch, or the end of the batch
 * @mnt_id: unique id (STATX_MNT_ID_UNIQUE) of what was prepared or attached, 0
 *	where the kernel has none (before 6.8)
 * @dev: its device number
 */
struct ovlt_result {
	int error;
	unsigned int field;
	unsigned int index;
	const char *message;
	uint64_t mnt_id;
	dev_t dev;
};

struct ovlt_batch *ovlt_batch_new(struct ovlt_ctx *ctx, unsigned int flags);
struct ovlt_batch *ovlt_batch_ref(struct ovlt_batch *batch);
void ovlt_batch_unref(struct ovlt_batch *batch);
int ovlt_batch_add_tree(struct ovlt_batch *batch, struct ovlt_tree *tree,
			int fd, const char *target, unsigned int flags);
int ovlt_batch_add_mount(struct ovlt_batch *batch, int mnt_fd, int fd,
			 const char *target, unsigned int flags);
int ovlt_batch_add_target(struct ovlt_batch *batch, int fd, const char *target,
			  unsigned int flags);
int ovlt_batch_add_id(struct ovlt_batch *batch, uint64_t mnt_id,
		      unsigned int flags);
int ovlt_batch_add_layerset(struct ovlt_batch *batch, struct ovlt_tree *tree);
int ovlt_batch_add_request(struct ovlt_batch *batch, uint64_t id);
int ovlt_batch_set_mntns(struct ovlt_batch *batch, unsigned int index, int fd);
int ovlt_batch_set_propagation(struct ovlt_batch *batch, unsigned int index,
			       unsigned long propagation);
int ovlt_batch_prepare(struct ovlt_batch *batch);
int ovlt_batch_attach(struct ovlt_batch *batch);
int ovlt_batch_detach(struct ovlt_batch *batch);
int ovlt_batch_make_layersets(struct ovlt_batch *batch);
unsigned int ovlt_batch_get_nr(const struct ovlt_batch *batch);
const struct ovlt_result *ovlt_batch_get_result(const struct ovlt_batch *batch,
						unsigned int index);
int ovlt_batch_take_fd(struct ovlt_batch *batch, unsigned int index);
struct ovlt_layerset *ovlt_batch_take_layerset(struct ovlt_batch *batch,
					       unsigned int index);
void ovlt_batch_get_times(const struct ovlt_batch *batch, uint64_t *wait_ns,
			  uint64_t *hold_ns);

const char *ovlt_field_name(unsigned int field);

/* Queue of requests, which a daemon commits in batches */

struct ovlt_queue;

/* What a queue listens to. */
#define OVLT_QUEUE_READY (1U << 0) /* requests that come */
#define OVLT_QUEUE_MONITOR (1U << 1) /* all else that happens */

/**
 * struct ovlt_submit - a request to be submitted
 * @kind: enum ovltree_kind
 * @flags: OVLT_LAZY, OVLT_FORCE
 * @mnt_fd: attach: the mount, as ovlt_batch_take_fd() gives it
 * @target_fd: attach: where; O_PATH suffices
 * @mntns_fd: attach: mount namespace of the target, -1 for the caller's
 * @propagation: attach: 0 or MS_*
 * @mnt_id: detach: unique id of the mount
 * @name: what it is called, or NULL
 * @priority: 0 to 255; greater goes first
 * @deadline_ms: after which the kernel commits it itself; 0 is its default
 */
struct ovlt_submit {
	unsigned int kind;
	unsigned int flags;
	int mnt_fd;
	int target_fd;
	int mntns_fd;
	unsigned long propagation;
	uint64_t mnt_id;
	const char *name;
	unsigned int priority;
	unsigned int deadline_ms;
};

/* In place of an enum ovltree_reason, where a request was taken back or waits. */
#define OVLT_NOT_COMMITTED UINT32_MAX

/**
 * struct ovlt_request - a request that waits, or that has ended
 * @id: of this request
 * @mnt_id: unique id of the mount, 0 where there is none, or none yet
 * @cgroup_id: waits: cgroup of the submitter
 * @age_ns: waits: since so long
 * @queued_ns: ended: time in the queue
 * @wait_ns: ended: time that its batch waited for locks
 * @hold_ns: ended: time that its batch held them
 * @kind: enum ovltree_kind
 * @priority: waits: greater goes first
 * @deadline_ms: waits: after which the kernel commits it itself
 * @pid: waits: process of the submitter, 0 where it can't be seen
 * @uid: waits: user of the submitter
 * @userns_id: waits: user namespace of the submitter
 * @committed_by: enum ovltree_reason, or OVLT_NOT_COMMITTED
 * @error: ended: 0 or a negative errno
 * @name: what the submitter calls it
 * @message: ended: why it failed
 * @reserved: 0; it is inside &struct ovlt_event, where nothing may move when a later
 *	version tells more
 */
struct ovlt_request {
	uint64_t id;
	uint64_t mnt_id;
	uint64_t cgroup_id;
	uint64_t age_ns;
	uint64_t queued_ns;
	uint64_t wait_ns;
	uint64_t hold_ns;
	uint32_t kind;
	uint32_t priority;
	uint32_t deadline_ms;
	uint32_t pid;
	uint32_t uid;
	uint32_t userns_id;
	uint32_t committed_by;
	int32_t error;
	char name[OVLTREE_NAME_MAX + 1];
	char message[OVLTREE_MESSAGE_MAX];
	uint64_t reserved[8];
};

/**
 * struct ovlt_stats - counters of the queue since it exists
 * @submitted: requests
 * @attached: of these, succeeded
 * @detached: of these, succeeded
 * @failed: of these, failed
 * @cancelled: of these, taken back
 * @refused: submissions that found the queue full
 * @expired: requests that the kernel committed at their deadline
 * @batches: batches
 * @hold_max_ns: longest time that a batch held the mount locks
 * @seq: number of the last event
 * @batch_max: most requests in a batch
 * @queued: requests that wait now
 * @queue_max: most that may wait
 * @queue_max_userns: most that may wait from one user namespace
 * @daemon_pid: process of the daemon, 0 where it can't be seen
 * @has_daemon: there is a daemon
 */
struct ovlt_stats {
	uint64_t submitted;
	uint64_t attached;
	uint64_t detached;
	uint64_t failed;
	uint64_t cancelled;
	uint64_t refused;
	uint64_t expired;
	uint64_t batches;
	uint64_t hold_max_ns;
	uint64_t seq;
	uint32_t batch_max;
	uint32_t queued;
	uint32_t queue_max;
	uint32_t queue_max_userns;
	uint32_t daemon_pid;
	uint32_t has_daemon;
};

/**
 * enum ovlt_event_type - what has happened
 * @OVLT_EVENT_READY: a request waits
 * @OVLT_EVENT_DONE: a request has ended; a queue that listens to nothing gets
 *	these of its own requests
 * @OVLT_EVENT_BATCH: a batch has ended
 * @OVLT_EVENT_DAEMON_GONE: there is no daemon any more
 * @OVLT_EVENT_LOST: events were lost; dumps tell what is the case now
 * @OVLT_EVENT_ATTACHED: somebody has attached a mount without a request
 * @OVLT_EVENT_DETACHED: somebody has detached one
 */
enum ovlt_event_type {
	OVLT_EVENT_READY,
	OVLT_EVENT_DONE,
	OVLT_EVENT_BATCH,
	OVLT_EVENT_DAEMON_GONE,
	OVLT_EVENT_LOST,
	OVLT_EVENT_ATTACHED,
	OVLT_EVENT_DETACHED,
};

/**
 * struct ovlt_event - an event
 * @type: enum ovlt_event_type
 * @seq: its number, 0 if it has none
 * @request: of OVLT_EVENT_READY and OVLT_EVENT_DONE; of OVLT_EVENT_ATTACHED and
 *	OVLT_EVENT_DETACHED its mnt_id, cgroup_id, wait_ns and hold_ns
 * @stats: of OVLT_EVENT_BATCH and OVLT_EVENT_DAEMON_GONE, as far as they tell
 */
struct ovlt_event {
	unsigned int type;
	uint64_t seq;
	struct ovlt_request request;
	struct ovlt_stats stats;
};

/**
 * typedef ovlt_request_fn - takes a request that waits
 * @data: as given to ovlt_queue_dump()
 * @request: the request
 *
 * Return: 0, or a negative errno that ends the dump.
 */
typedef int (*ovlt_request_fn)(void *data, const struct ovlt_request *request);

/**
 * struct ovlt_layerset_info - a layer set, and who made it
 * @id: of this layer set; fdinfo of its descriptors has it, too
 * @cgroup_id: cgroup of the maker
 * @age_ns: since when it is there
 * @layers: how many
 * @pid: process of the maker, 0 where it has ended or can't be seen
 * @uid: user of the maker
 */
struct ovlt_layerset_info {
	uint64_t id;
	uint64_t cgroup_id;
	uint64_t age_ns;
	uint32_t layers;
	uint32_t pid;
	uint32_t uid;
};

/**
 * typedef ovlt_layerset_fn - takes a layer set
 * @data: as given to ovlt_queue_dump_layersets()
 * @info: the layer set
 *
 * Return: 0, or a negative errno that ends the dump.
 */
typedef int (*ovlt_layerset_fn)(void *data,
				const struct ovlt_layerset_info *info);

struct ovlt_queue *ovlt_queue_new(unsigned int flags);
void ovlt_queue_free(struct ovlt_queue *queue);
void ovlt_queue_set_buffer(struct ovlt_queue *queue, unsigned int bytes);
int ovlt_queue_get_fd(const struct ovlt_queue *queue);
const char *ovlt_queue_get_error(const struct ovlt_queue *queue);
int ovlt_queue_submit(struct ovlt_queue *queue,
		      const struct ovlt_submit *submit, size_t size,
		      uint64_t *id);
int ovlt_queue_cancel(struct ovlt_queue *queue, uint64_t id);
int ovlt_queue_wait(struct ovlt_queue *queue, int timeout_ms,
		    struct ovlt_event *event, size_t size);
int ovlt_queue_dump(struct ovlt_queue *queue, ovlt_request_fn fn, void *data);
int ovlt_queue_dump_layersets(struct ovlt_queue *queue, ovlt_layerset_fn fn,
			      void *data);
int ovlt_queue_get_stats(struct ovlt_queue *queue, struct ovlt_stats *stats,
			 size_t size);
int ovlt_queue_serve(struct ovlt_queue *queue);

#ifdef __cplusplus
}
#endif

#endif /* LIBOVLTREE_H */
