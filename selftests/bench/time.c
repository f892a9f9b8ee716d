// SPDX-License-Identifier: GPL-2.0
/*
 * The time a phase takes and the system calls it makes.
 */
#include "bench.h"

#define QUIET_NS 50000000

static void start(void)
{
	sleep_ns(QUIET_NS);
	atomic_store(&nr_syscalls, 0);
}

static void stop(double seconds, double *values)
{
	values[0] = seconds;
	values[1] = atomic_load(&nr_syscalls);
}

const struct pass pass_time = {
	.name = "time",
	.figures = { { "time", "s" }, { "syscalls", "count" } },
	.start = start,
	.stop = stop,
};
