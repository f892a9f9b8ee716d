// SPDX-License-Identifier: GPL-2.0
/*
 * Acquisitions of the locks that mounts contend for, from /proc/lock_stat of a
 * kernel with CONFIG_LOCK_STAT.
 *
 * synchronize_rcu_expedited() takes rcu_state.exp_mutex once a call, unless
 * another caller's grace period does its work meanwhile.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define LOCK_STAT "/proc/lock_stat"
#define SETTLE_NS 200000000

struct lock {
	const char *class;
	char kind;	/* W: exclusive, R: shared */
};

/* In the order of the figures. */
static const struct lock locks[] = {
	{ "namespace_sem", 'W' },
	{ "namespace_sem", 'R' },
	{ "mount_lock", 'W' },
	{ "pcpu_lock", 'W' },
	{ "mnt_id_ida.xa_lock", 'W' },
	{ "rcu_state.exp_mutex", 'W' },
};

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

/*
 * A line is "class:" and ten numbers. The class carries "-W" or "-R" when there
 * are acquisitions of the shared kind.
 */
static const char *numbers_of(const char *line, const struct lock *lock)
{
	const size_t length = strlen(lock->class);

	line += strspn(line, " ");
	if (strncmp(line, lock->class, length))
		return NULL;
	line += length;
	if (line[0] == ':')
		return lock->kind == 'W' ? line + 1 : NULL;
	if (line[0] == '-' && line[1] == lock->kind && line[2] == ':')
		return line + 3;
	return NULL;
}

/* A class without acquisitions since the last reset has no line. */
static void read_locks(double *values)
{
	FILE *file = fopen(LOCK_STAT, "re");
	const char *numbers;
	char *line = NULL;
	size_t size = 0;
	unsigned int i;

	if (!file)
		err(1, LOCK_STAT);
	for (i = 0; i < ARRAY_SIZE(locks); i++)
		values[i] = 0;
	while (getline(&line, &size, file) > 0)
		for (i = 0; i < ARRAY_SIZE(locks); i++) {
			numbers = numbers_of(line, &locks[i]);
			if (numbers && sscanf(numbers,
					      "%*s%*s%*s%*s%*s%*s%*s%lf",
					      &values[i]) != 1)
				errx(1, LOCK_STAT ": %s", line);
		}
	free(line);
	fclose(file);
}

/* Mounts are freed after a grace period of RCU. */
static void settle(double *values)
{
	double before[ARRAY_SIZE(locks)];

	read_locks(values);
	do {
		memcpy(before, values, sizeof(before));
		sleep_ns(SETTLE_NS);
		read_locks(values);
	} while (memcmp(before, values, sizeof(before)));
}

static void open_locks(const struct world *world)
{
	double values[ARRAY_SIZE(locks)];
	unsigned int i;

	(void)world;
	read_locks(values);
	for (i = 0; i < ARRAY_SIZE(locks); i++)
		if (!values[i])
			errx(1, LOCK_STAT ": no %s-%c since boot",
			     locks[i].class, locks[i].kind);
	write_text("/proc/sys/kernel/lock_stat", "1");
}

static void start(void)
{
	double values[ARRAY_SIZE(locks)];

	settle(values);
	write_text(LOCK_STAT, "0");
}

static void stop(double seconds, double *values)
{
	(void)seconds;
	settle(values);
}

const struct pass pass_locks = {
	.name = "locks",
	.idle = true,
	.figures = {
		{ "namespace_sem_write", "count" },
		{ "namespace_sem_read", "count" },
		{ "mount_lock_write", "count" },
		{ "pcpu_lock", "count" },
		{ "mnt_id_ida", "count" },
		{ "rcu_expedited", "count" },
	},
	.open = open_locks,
	.start = start,
	.stop = stop,
};
