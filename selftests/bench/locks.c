// SPDX-License-Identifier: GPL-2.0
/*
 * Acquisitions of the locks that mounts contend for, and how long they are held,
 * from /proc/lock_stat of a kernel with CONFIG_LOCK_STAT. The counts are exact; it
 * takes lockdep's work to get them, which the hold times contain.
 *
 * synchronize_rcu_expedited() takes rcu_state.exp_mutex once a call, unless
 * another caller's grace period does its work meanwhile.
 */
#include <err.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define LOCK_STAT "/proc/lock_stat"
#define SETTLE_NS 200000000

/* Numbers of a lock's line, counted from 1; times are in microseconds. */
enum column {
	ACQUISITIONS = 8,
	HOLD_MAX = 10,
	HOLD_TOTAL = 11,
};

struct lock {
	const char *class;
	char kind;	/* W: exclusive, R: shared */
	enum column column;
};

/* In the order of the figures. */
static const struct lock locks[] = {
	{ "namespace_sem", 'W', ACQUISITIONS },
	{ "namespace_sem", 'R', ACQUISITIONS },
	{ "mount_lock", 'W', ACQUISITIONS },
	{ "pcpu_lock", 'W', ACQUISITIONS },
	{ "mnt_id_ida.xa_lock", 'W', ACQUISITIONS },
	{ "rcu_state.exp_mutex", 'W', ACQUISITIONS },
	{ "namespace_sem", 'W', HOLD_TOTAL },
	{ "namespace_sem", 'W', HOLD_MAX },
	{ "namespace_sem", 'R', HOLD_TOTAL },
	{ "mount_lock", 'W', HOLD_TOTAL },
};

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "%s", path);
	close(fd);
}

/*
 * A line is "class:" and twelve numbers. The class carries "-W" or "-R" when there
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

static double read_column(const char *numbers, enum column column)
{
	double number = 0;
	unsigned int i;
	char *end;

	for (i = 0; i < column; i++) {
		number = strtod(numbers, &end);
		if (end == numbers)
			errx(1, LOCK_STAT ": not a number: %s", numbers);
		numbers = end;
	}
	return column == ACQUISITIONS ? number : number / 1e6;
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
			if (numbers)
				values[i] = read_column(numbers,
							locks[i].column);
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

static void both(double values[NR_PHASES][MAX_FIGURES])
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(locks); i++)
		if (locks[i].column == HOLD_MAX)
			values[BOTH][i] = fmax(values[ATTACH][i],
					       values[DETACH][i]);
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
		{ "namespace_sem_write_hold", "s" },
		{ "namespace_sem_write_hold_max", "s" },
		{ "namespace_sem_read_hold", "s" },
		{ "mount_lock_write_hold", "s" },
	},
	.open = open_locks,
	.start = start,
	.stop = stop,
	.both = both,
};
