/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the workers of the stress test share. A worker is a process that takes a
 * step after another until the time is over. What a step chooses depends on the
 * seed, the worker and the number of the step alone, not on how the ones before
 * it went.
 */
#ifndef OVLT_WORKERS_H
#define OVLT_WORKERS_H

#include "../common.h"

#include <time.h>

#define STRESS_TARGETS 8
#define STRESS_MAX_ERRNO 134

enum stress_op {
	STRESS_OPEN,
	STRESS_ATTACH,
	STRESS_DETACH,
	STRESS_LAYERSET,
	STRESS_PASS,
	STRESS_RECEIVE,
	STRESS_SUBMIT,
	STRESS_CANCEL,
	STRESS_DONE,
	STRESS_UNLOAD,
	STRESS_LOAD,
	STRESS_DAEMON_KILL,
	STRESS_CGROUP_KILL,
	STRESS_CGROUP_RMDIR,
	STRESS_MEMORY,
	STRESS_MOUNT,
	STRESS_UMOUNT,
	STRESS_RENAME,
	STRESS_RMDIR,
	STRESS_BIND,
	STRESS_PROPAGATION,
	STRESS_UNSHARE,
	STRESS_UNSHARE_USER,
	STRESS_PIVOT_ROOT,
	STRESS_SETNS,
	STRESS_ATTACH_NS,
	STRESS_NR_OPS,
};

/* Shared by all processes */
struct stress {
	time_t end;
	unsigned int seed;
	bool quiet;		/* who has the device open closes it and waits */
	int sockets[2];		/* layer sets that are passed on */
	unsigned long counts[STRESS_NR_OPS][STRESS_MAX_ERRNO];
	int bad_op;
	int bad_error;
	int bad_count;
	int bad_status;
};

/**
 * struct stress_worker - a kind of worker
 * @step: does one thing, chosen by *@seed, a random number for rand_r(3)
 * @let_go: gives back what keeps the module; NULL if the worker has nothing
 *	    of it between steps and during them
 */
struct stress_worker {
	void (*step)(struct stress *stress, unsigned int *seed);
	void (*let_go)(struct stress *stress);
};

extern const struct stress_worker stress_batches;
extern const struct stress_worker stress_layersets;
extern const struct stress_worker stress_table;
extern const struct stress_worker stress_namespaces;
extern const struct stress_worker stress_queue;
extern const struct stress_worker stress_daemon;
extern const struct stress_worker stress_module;
extern const struct stress_worker stress_kill;
extern const struct stress_worker stress_memory;

extern const char *const stress_targets[STRESS_TARGETS];

const char *stress_target(unsigned int *seed);
void stress_count(struct stress *stress, enum stress_op op, int error);
void stress_count_batch(struct stress *stress, enum stress_op op,
			const struct ovltree_result *results, int nr, int ret);
int stress_open(struct stress *stress);
void stress_nothing_held(struct stress *stress);
void stress_work(struct stress *stress, const struct stress_worker *worker,
		 unsigned int seed, unsigned int at_least);
int stress_reap(pid_t pid);
int stress_serve(void);
long stress_queued(void);
int stress_module_unload(void);
int stress_module_load(void);

#endif /* OVLT_WORKERS_H */
