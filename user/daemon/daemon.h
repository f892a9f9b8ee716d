/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of ovltreed share.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/common.h"
#include "libovltree.h"

#define CONFIG_FILE "/etc/ovltree/ovltreed.conf"

/* Exit status; a service manager is not to try again after the last two. */
#define EXIT_FAIL 1
#define EXIT_USAGE 2
#define EXIT_TAKEN 3

#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL

/* Log */

extern int log_level;

void log_msg(int priority, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t now_ns(void);

/* Configuration */

/**
 * struct config - settings, each described in ovltreed.conf(5)
 */
struct config {
	unsigned int batch_max;
	unsigned int interval_ms;
	unsigned int age_ms;
	unsigned int hold_max_us;
	unsigned int load_module;
	unsigned int log_level;
	unsigned int metrics_interval_s;
	char metrics_file[PATH_MAX];
};

void config_init(struct config *config);
int config_parse(struct config *config, const char *text, char *why,
		 size_t size);
int config_load(struct config *config, const char *path, bool optional,
		char *why, size_t size);

/* Requests that wait */

/**
 * struct waiting - a request, as far as the choice of a batch depends on it
 * @id: its id
 * @kind: enum ovltree_kind
 * @priority: greater goes first
 * @userns: user namespace of the submitter
 * @cgroup: its cgroup
 * @since: when it was submitted
 * @deadline: when the kernel commits it itself
 * @mark: for queue_resync()
 */
struct waiting {
	uint64_t id;
	unsigned int kind;
	unsigned int priority;
	uint32_t userns;
	uint64_t cgroup;
	uint64_t since;
	uint64_t deadline;
	bool mark;
};

/**
 * struct queue - all that wait, in no order
 */
struct queue {
	struct waiting *requests;
	size_t nr;
	size_t size;
};

struct waiting *queue_find(const struct queue *queue, uint64_t id);
int queue_add(struct queue *queue, const struct ovlt_request *request,
	      uint64_t now);
void queue_remove(struct queue *queue, uint64_t id);
void queue_resync_begin(struct queue *queue);
void queue_resync_end(struct queue *queue);
void queue_clear(struct queue *queue);

/* Choice of a batch */

/**
 * struct limits - bounds of a batch
 * @now: the time
 * @max: most requests
 * @age: what waits for longer than this goes before all others
 * @hold: longest time that it is to hold the mount locks, 0 is no bound
 * @cost: time that a request is expected to hold them
 */
struct limits {
	uint64_t now;
	size_t max;
	uint64_t age;
	uint64_t hold;
	uint64_t cost;
};

/**
 * struct pace - the last batch, which the time of the next depends on
 * @begin: when it began
 * @end: when it ended
 * @nr: requests in it
 * @nr_before: requests in the one before it
 */
struct pace {
	uint64_t begin;
	uint64_t end;
	size_t nr;
	size_t nr_before;
};

size_t batch_bound(const struct limits *limits);
int batch_choose(const struct queue *queue, const struct limits *limits,
		 uint64_t *ids, size_t *nr);
uint64_t batch_due(const struct queue *queue, const struct pace *pace,
		   uint64_t interval, size_t max);
uint64_t batch_learn(uint64_t cost, size_t nr, uint64_t hold);

/* Metrics */

#define NR_BUCKETS 12

struct histogram {
	uint64_t buckets[NR_BUCKETS];
	uint64_t count;
	uint64_t sum;
};

/**
 * struct metrics - what the daemon has done since it began
 * @done: requests that ended well, by kind
 * @failed: requests that failed, by errno
 * @gone: requests that had ended before their batch came to them
 * @batches: batches, by kind
 * @resyncs: times that all was read anew
 * @size: requests in a batch
 * @queued: nanoseconds from submission to the batch's begin, of each request
 * @wait: nanoseconds that batches waited for the mount locks
 * @hold: nanoseconds that they held them
 */
struct metrics {
	uint64_t done[2];
	uint64_t failed[256];
	uint64_t gone;
	uint64_t batches[2];
	uint64_t resyncs;
	struct histogram size;
	struct histogram queued;
	struct histogram wait;
	struct histogram hold;
};

void metrics_batch(struct metrics *metrics, unsigned int kind, size_t nr,
		   uint64_t wait, uint64_t hold);
void metrics_queued(struct metrics *metrics, uint64_t ns);
void metrics_print(FILE *file, const struct metrics *metrics, size_t queued);
int metrics_write(const char *path, const struct metrics *metrics,
		  size_t queued, const struct ovlt_stats *stats);

/* Module */

/**
 * struct load_facts - what explains that the module can't be loaded
 * @err: what the attempt said
 * @release: of the kernel that runs
 * @vermagic: kernel that the module was built for, empty if it isn't known
 * @lockdown: the kernel's lockdown allows signed modules only
 * @sig_enforce: so does its configuration
 * @is_signed: the module has a signature
 * @missing: a symbol that the module needs and the kernel lacks or refuses, or
 *	empty where that isn't known
 * @import_ns: symbol namespace that the module imports, or empty
 */
struct load_facts {
	int err;
	char release[128];
	char vermagic[128];
	bool lockdown;
	bool sig_enforce;
	bool is_signed;
	char missing[128];
	char import_ns[64];
};

void load_explain(const struct load_facts *facts, char *why, size_t size);
int load_module(char *why, size_t size);

/* Service manager */

void notify(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
uint64_t notify_watchdog(void);

/* Service */

/**
 * struct server - the daemon of a network namespace
 * @config: settings
 * @kernel: the kernel's queue, NULL while there is no module
 * @device: commits batches; NULL when there was none for a while
 * @queue: what waits
 * @stats: the kernel's counters, as last seen
 * @metrics: our own
 * @pace: the last batch
 * @cost: time that a request is expected to hold the mount locks
 * @stale: the copy of the queue has to be made again at the next tick
 * @stuck: batches fail as a whole, and have to wait for the next tick
 */
struct server {
	struct config config;
	struct ovlt_queue *kernel;
	struct ovlt_ctx *device;
	struct queue queue;
	struct ovlt_stats stats;
	struct metrics metrics;
	struct pace pace;
	uint64_t cost;
	bool stale;
	bool stuck;
};

int server_open(struct server *server);
void server_close(struct server *server);
int server_fd(const struct server *server);
void server_read(struct server *server);
int server_tick(struct server *server);
uint64_t server_due(const struct server *server);
int server_commit(struct server *server);
void server_write_metrics(struct server *server);

#endif /* DAEMON_H */
