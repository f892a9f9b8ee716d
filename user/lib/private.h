/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the library share.
 *
 * Errors are negative errnos everywhere; an entry's error also says which field
 * is to blame. Functions that can fail halfway have one label, "out", which
 * undoes all.
 */
#ifndef OVLT_PRIVATE_H
#define OVLT_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "libovltree.h"

#define OVLT_EXPORT __attribute__((visibility("default")))
#define OVLT_PRINTF(f) __attribute__((format(printf, f, (f) + 1)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What overlayfs itself allows. */
#define OVLT_MAX_LOWER 500

struct ovlt_entry;
struct ovlt_times;

/*
 * Work on the entries of a batch. Each gets a result of its own; an error that
 * is returned means that none has been touched.
 */
typedef int (*ovlt_run_fn)(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			   unsigned int nr, unsigned int flags,
			   struct ovlt_times *times);

/**
 * struct ovlt_backend - a way to get the work done
 * @name: name for ovlt_ctx_set_backend()
 * @open: find out if it works here and tell what it can do
 * @query: tell again what changes with time, or NULL
 * @prepare: build the trees of entries, leave the mounts in &ovlt_entry.out_fd
 * @attach: build where there is a tree, and attach
 * @detach: detach
 * @layerset: make layer sets, leave them in &ovlt_entry.layerset
 */
struct ovlt_backend {
	const char *name;
	int (*open)(struct ovlt_ctx *ctx, struct ovlt_info *info);
	int (*query)(struct ovlt_ctx *ctx, struct ovlt_info *info);
	ovlt_run_fn prepare;
	ovlt_run_fn attach;
	ovlt_run_fn detach;
	ovlt_run_fn layerset;
};

extern const struct ovlt_backend ovlt_backend_ioctl;
extern const struct ovlt_backend ovlt_backend_mountapi;
extern const struct ovlt_backend ovlt_backend_mountns;
extern const struct ovlt_backend ovlt_backend_daemon;

/**
 * struct ovlt_ctx - context
 * @refs: reference count
 * @log: where messages go
 * @log_data: its first argument
 * @threads: most threads that build trees at once, 0 is one for each CPU
 * @lock: protects what follows
 * @wanted: the backend that was asked for, NULL is the first that works
 * @backend: the backend in use, NULL until one is needed
 * @info: what it can do
 * @dev_fd: /dev/ovltree
 * @queue: the socket that the backend "daemon" used last, unless a batch has it
 * @queue_owner: the process that opened it
 * @queue_netns: the network namespace that it belongs to
 * @submit: how the backend "daemon" submits
 * @submit_name: memory of its name
 * @error: text of the last error that no entry is to blame for
 */
struct ovlt_ctx {
	unsigned int refs;
	ovlt_log_fn log;
	void *log_data;
	unsigned int threads;
	pthread_mutex_t lock;
	const struct ovlt_backend *wanted;
	const struct ovlt_backend *backend;
	struct ovlt_info info;
	int dev_fd;
	struct ovlt_queue *queue;
	pid_t queue_owner;
	ino_t queue_netns;
	struct ovlt_submit_options submit;
	char submit_name[OVLTREE_NAME_MAX + 1];
	char error[OVLTREE_MESSAGE_MAX];
};

void ovlt_log(struct ovlt_ctx *ctx, int priority, const char *fmt, ...)
	OVLT_PRINTF(3);
int ovlt_ctx_fail(struct ovlt_ctx *ctx, int err, const char *fmt, ...)
	OVLT_PRINTF(3);
int ovlt_ctx_backend(struct ovlt_ctx *ctx, const struct ovlt_backend **backend);

/**
 * struct ovlt_file - a file, as &struct ovltree_path has it
 * @fd: a descriptor, or the folder at which @path begins
 * @flags: OVLT_DATA, OVLT_NOFOLLOW
 * @path: NULL means @fd itself
 */
struct ovlt_file {
	int fd;
	unsigned int flags;
	char *path;
};

int ovlt_file_set(struct ovlt_file *file, int fd, const char *path,
		  unsigned int flags);
void ovlt_file_clear(struct ovlt_file *file);
int ovlt_file_open(const struct ovlt_file *file);
unsigned int ovlt_fds_max(void);

long long ovlt_now_ms(void);

/**
 * struct ovlt_layerset - lower layers that many trees have in common
 * @refs: reference count
 * @fd: the module's layer set, or -1
 * @lower: without it, a descriptor for each layer, the uppermost first
 * @nr_lower: number of them
 */
struct ovlt_layerset {
	unsigned int refs;
	int fd;
	struct ovlt_file *lower;
	unsigned int nr_lower;
};

struct ovlt_layerset *ovlt_layerset_adopt(int fd);

/**
 * struct ovlt_tree - what an overlay is made of
 * @refs: reference count
 * @lower: lower layers, the uppermost first
 * @nr_lower: number of them
 * @layerset: what @lower has its descriptors from, or what is in place of it;
 *	or NULL
 * @upper: upper folder, with @has_upper
 * @work: work folder, with @has_work
 * @options: "key" or "key=value"
 * @nr_options: number of them
 * @userns_fd: the idmap of the lower layers, or -1
 * @attr: MOUNT_ATTR_*
 * @propagation: 0 or MS_*
 * @error: why the last call failed
 */
struct ovlt_tree {
	unsigned int refs;
	struct ovlt_file *lower;
	unsigned int nr_lower;
	struct ovlt_layerset *layerset;
	struct ovlt_file upper;
	struct ovlt_file work;
	bool has_upper;
	bool has_work;
	char **options;
	unsigned int nr_options;
	int userns_fd;
	uint32_t attr;
	unsigned long propagation;
	char error[OVLTREE_MESSAGE_MAX];
};

int ovlt_tree_fail(struct ovlt_tree *tree, int err, const char *fmt, ...)
	OVLT_PRINTF(3);

enum ovlt_kind {
	OVLT_KIND_TREE,
	OVLT_KIND_MOUNT,
	OVLT_KIND_TARGET,
	OVLT_KIND_ID,
	OVLT_KIND_LAYERSET,
	OVLT_KIND_REQUEST,
};

/**
 * struct ovlt_entry - an entry of a batch
 * @kind: which members count
 * @flags: OVLT_LAZY, OVLT_FORCE
 * @tree: OVLT_KIND_TREE: what to attach; OVLT_KIND_LAYERSET: whose lower layers
 * @mnt_fd: OVLT_KIND_MOUNT: what to attach
 * @mnt_id: OVLT_KIND_ID: what to detach; OVLT_KIND_REQUEST: id of the request
 * @target: where
 * @mntns_fd: the mount namespace that @target is in, or -1
 * @propagation: 0 or MS_*, instead of the tree's
 * @out_fd: the mount that was prepared, until it is taken; or -1
 * @layerset: OVLT_KIND_LAYERSET: what was made, until it is taken;
 *	OVLT_KIND_TREE: what the tree shares with others while it is built
 * @result: what became of it
 * @message: memory of the result's message
 */
struct ovlt_entry {
	enum ovlt_kind kind;
	unsigned int flags;
	struct ovlt_tree *tree;
	int mnt_fd;
	uint64_t mnt_id;
	struct ovlt_file target;
	int mntns_fd;
	unsigned long propagation;
	int out_fd;
	struct ovlt_layerset *layerset;
	struct ovlt_result result;
	char message[OVLTREE_MESSAGE_MAX];
};

int ovlt_entry_fail(struct ovlt_entry *entry, int err, unsigned int field,
		    unsigned int index, const char *fmt, ...) OVLT_PRINTF(5);
int ovlt_entry_blame(struct ovlt_entry *entry, int err, unsigned int field,
		     unsigned int index);
void ovlt_entry_cancel(struct ovlt_entry *entry);
void ovlt_entry_close(struct ovlt_entry *entry);
unsigned long ovlt_entry_propagation(const struct ovlt_entry *entry);
void ovlt_entries_settle(struct ovlt_entry **entries, unsigned int nr,
			 unsigned int flags);
int ovlt_entries_each(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		      unsigned int nr, unsigned int flags,
		      int (*fn)(struct ovlt_ctx *ctx,
				struct ovlt_entry *entry));

struct ovlt_batch {
	unsigned int refs;
	unsigned int flags;
	struct ovlt_ctx *ctx;
	struct ovlt_entry **entries;
	unsigned int nr;
	struct ovlt_times {
		uint64_t wait_ns;
		uint64_t hold_ns;
	} times;
};

int ovlt_layerset_expand(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times);

int ovlt_share_layers(struct ovlt_ctx *ctx, ovlt_run_fn make,
		      struct ovlt_entry **entries, unsigned int nr,
		      struct ovlt_times *times);
void ovlt_unshare_layers(struct ovlt_entry **entries, unsigned int nr);

unsigned int ovlt_parallel_nr(const struct ovlt_ctx *ctx, unsigned int nr);
int ovlt_parallel(struct ovlt_ctx *ctx, ovlt_run_fn fn,
		  struct ovlt_entry **entries, unsigned int nr,
		  unsigned int flags, struct ovlt_times *times);

/**
 * struct ovlt_fs - an overlay that is being configured
 * @fd: the context of fsopen(2)
 * @entry: gets the blame for errors
 * @private_ns: the caller is in a mount namespace of its own, to which no
 *	descriptor that came from outside belongs
 */
struct ovlt_fs {
	int fd;
	struct ovlt_entry *entry;
	bool private_ns;
};

int ovlt_fs_open(struct ovlt_fs *fs, struct ovlt_entry *entry, bool private_ns);
int ovlt_fs_set_options(struct ovlt_fs *fs);
int ovlt_fs_set_upper(struct ovlt_fs *fs);
int ovlt_fs_set_lower(struct ovlt_fs *fs);
int ovlt_fs_set_lower_fds(struct ovlt_fs *fs, const int *fds);
int ovlt_fs_mount(struct ovlt_fs *fs);
int ovlt_fs_open_layer(struct ovlt_fs *fs, const struct ovlt_file *file);
void ovlt_fs_close(struct ovlt_fs *fs);

struct ovlt_layers;

int ovlt_layers_new(struct ovlt_fs *fs, struct ovlt_layers **layers);
int ovlt_layers_clone(struct ovlt_layers *layers);
int ovlt_layers_cover(struct ovlt_layers *layers);
const int *ovlt_layers_fds(const struct ovlt_layers *layers);
void ovlt_layers_free(struct ovlt_layers *layers);

/**
 * struct ovlt_mount_id - what identifies a mount and a file on it
 * @unique: id that is never used again, 0 before Linux 6.8
 * @id: id as in mountinfo
 * @root: the file is the root of its mount
 * @dev: device of the file
 * @ino: its inode number
 */
struct ovlt_mount_id {
	uint64_t unique;
	uint64_t id;
	bool root;
	dev_t dev;
	uint64_t ino;
};

int ovlt_mount_id_get(int fd, const char *path, int flags,
		      struct ovlt_mount_id *id);
int ovlt_mount_id_path(uint64_t unique, char **path);

char *ovlt_fd_path(int fd);

/**
 * struct ovlt_thread - a call in a thread
 * @fn: what to call
 * @arg: its argument
 * @id: the thread
 * @err: what @fn returned
 */
struct ovlt_thread {
	int (*fn)(void *arg);
	void *arg;
	pthread_t id;
	int err;
};

int ovlt_thread_start(struct ovlt_thread *thread);
int ovlt_thread_join(struct ovlt_thread *thread);
int ovlt_thread_call(int (*fn)(void *arg), void *arg);

static inline void ovlt_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

#endif /* OVLT_PRIVATE_H */
