// SPDX-License-Identifier: GPL-2.0
/* What a worker does between its steps: choose, count, make way. */
#include "workers.h"

#include <sys/wait.h>

const char *const stress_targets[STRESS_TARGETS] = {
	"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7",
};

const char *stress_target(unsigned int *seed)
{
	return stress_targets[rand_r(seed) % STRESS_TARGETS];
}

/*
 * What can become of ours when others move things under it, unload the module or
 * leave no memory. The kernel's own calls may say what they like.
 */
static const int expected[STRESS_NR_OPS][12] = {
	[STRESS_OPEN] = { ENOENT, ENXIO, ENODEV, ENOMEM },
	[STRESS_ATTACH] = {
		ECANCELED, ENOMEM,
		ENOENT,		/* removed, or unmounted lazily */
		EINVAL,		/* not a mountpoint any more */
		EBUSY, ENOTDIR,
	},
	[STRESS_DETACH] = { ENOENT, EINVAL, EBUSY, ENOTDIR, ENOMEM },
	[STRESS_LAYERSET] = { ENOMEM },
	[STRESS_PASS] = { EAGAIN },
	[STRESS_RECEIVE] = { EAGAIN },
	[STRESS_SUBMIT] = {
		ENOENT,		/* no module, or no mountpoint */
		ENOTCONN,	/* no daemon */
		EINVAL, EBUSY, ENOTDIR, ENOMEM,
		ENOBUFS, EDQUOT, /* the queue is full */
	},
	[STRESS_CANCEL] = { ENOENT },
	[STRESS_DONE] = {
		ENOENT, EINVAL, EBUSY, ENOTDIR, ENOMEM,
		EAGAIN,		/* a mountpoint that was busy for too long */
		ECANCELED,	/* taken back */
	},
	[STRESS_DAEMON_KILL] = {
		ECHILD,		/* ended by itself: there is no module, or another one */
	},
	[STRESS_UNLOAD] = { EAGAIN, EBUSY },
	[STRESS_LOAD] = { EEXIST },
	[STRESS_CGROUP_RMDIR] = { 0 },
};

static bool is_expected(enum stress_op op, int error)
{
	if (!error || op >= STRESS_MOUNT)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(expected[op]) && expected[op][i]; i++)
		if (expected[op][i] == -error)
			return true;
	return false;
}

/**
 * stress_count - count an operation
 * @stress: the counts
 * @op: the operation
 * @error: what came of it, 0 or more, or -errno
 */
void stress_count(struct stress *stress, enum stress_op op, int error)
{
	if (error > 0)
		error = 0;
	if (!is_expected(op, error)) {
		stress->bad_op = op;
		stress->bad_error = error;
	}
	if (-error >= STRESS_MAX_ERRNO)
		error = 1 - STRESS_MAX_ERRNO;
	__atomic_fetch_add(&stress->counts[op][-error], 1, __ATOMIC_RELAXED);
}

/* Count the entries of a batch that returned @ret. */
void stress_count_batch(struct stress *stress, enum stress_op op,
			const struct ovltree_result *results, int nr, int ret)
{
	int ok = 0;

	if (ret < 0) {
		stress_count(stress, op, ret);
		return;
	}
	for (int i = 0; i < nr; i++) {
		stress_count(stress, op, results[i].error);
		ok += !results[i].error;
	}
	if (ret != ok)
		stress->bad_count = ret;
}

/* The device, or -errno while there is no module. */
int stress_open(struct stress *stress)
{
	int dev = open("/dev/ovltree", O_RDWR | O_CLOEXEC);

	if (dev < 0)
		dev = -errno;
	stress_count(stress, STRESS_OPEN, dev);
	return dev;
}

/* For workers that have the device open during a step only */
void stress_nothing_held(struct stress *stress)
{
}

static unsigned int mix(unsigned int seed, unsigned int step)
{
	unsigned int x = seed ^ (step * 0x9e3779b9);

	x = (x ^ (x >> 16)) * 0x7feb352d;
	x = (x ^ (x >> 15)) * 0x846ca68b;
	return x ^ (x >> 16);
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/**
 * stress_work - be a worker until the time is over
 * @stress: what all share
 * @worker: its kind
 * @seed: the worker's own, from which each step's comes
 * @at_least: steps to take, also when a slow machine has no time left for them
 */
void stress_work(struct stress *stress, const struct stress_worker *worker,
		 unsigned int seed, unsigned int at_least)
{
	unsigned int step = 0;

	while (step < at_least || now() < stress->end) {
		unsigned int choice;

		if (worker->let_go && __atomic_load_n(&stress->quiet, __ATOMIC_RELAXED)) {
			worker->let_go(stress);
			usleep(5000);
			continue;
		}
		choice = mix(seed, step++);
		worker->step(stress, &choice);
	}
	if (worker->let_go)
		worker->let_go(stress);
}

/* The status of a child that has ended. */
int stress_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		ovlt_die("waitpid");
	return status;
}
