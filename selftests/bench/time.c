// SPDX-License-Identifier: GPL-2.0
/*
 * The time a phase takes, the system calls it makes, and how long the mount table
 * was locked by the call that locked it longest, as far as that is told. Or, by the
 * clock of an emulated CPU, the instructions that it takes, which are the same each
 * time.
 */
#include <math.h>

#include "bench.h"

#define QUIET_NS 50000000

enum { TIME, SYSCALLS, HOLD_MAX };

static void start(void)
{
	sleep_ns(QUIET_NS);
	atomic_store(&tally->syscalls, 0);
	atomic_store(&tally->uncounted, false);
	atomic_store(&tally->longest_hold, 0);
}

static void stop(double seconds, double *values)
{
	const unsigned long hold = atomic_load(&tally->longest_hold);

	values[TIME] = seconds;
	values[SYSCALLS] = atomic_load(&tally->uncounted) ?
				   NAN : atomic_load(&tally->syscalls);
	values[HOLD_MAX] = hold ? hold / 1e9 : NAN;
}

static void both(double values[NR_PHASES][MAX_FIGURES])
{
	values[BOTH][HOLD_MAX] = fmax(values[ATTACH][HOLD_MAX],
				      values[DETACH][HOLD_MAX]);
}

const struct pass pass_time = {
	.name = "time",
	.figures = {
		{ "time", "s" },
		{ "syscalls", "count" },
		{ "hold_max", "s" },
	},
	.start = start,
	.stop = stop,
	.both = both,
};

static void stop_counting(double seconds, double *values)
{
	values[0] = seconds * 1e9;
}

const struct pass pass_instructions = {
	.name = "instructions",
	.figures = {
		{ "instructions", "count" },
	},
	.start = start,
	.stop = stop_counting,
};
