// SPDX-License-Identifier: GPL-2.0
/*
 * The time that programs take to look at all files of some merged roots and to
 * read them. The trees are new, so that nothing of them is cached but the data.
 */
#include <err.h>
#include <math.h>
#include <stdlib.h>

#include "bench.h"

#define MAX_ROOTS 4

static double reading;

static void start(void)
{
}

static void stop(double seconds, double *values)
{
	(void)seconds;
	values[0] = NAN;
}

static void attached(const struct world *world)
{
	unsigned int i, nr = world->nr_containers;
	char *commands[MAX_ROOTS];
	uint64_t begin;

	if (nr > MAX_ROOTS)
		nr = MAX_ROOTS;
	for (i = 0; i < nr; i++)
		commands[i] = format("find %s -type f -exec sha256sum {} + >/dev/null",
				     world->containers[i].target);
	begin = now_ns();
	for (i = 0; i < nr; i++)
		if (system(commands[i]))
			errx(1, "%s", commands[i]);
	reading = seconds_since(begin);
	for (i = 0; i < nr; i++)
		free(commands[i]);
}

static void both(double values[NR_PHASES][MAX_FIGURES])
{
	values[BOTH][0] = reading;
}

const struct pass pass_read = {
	.name = "read",
	.single = true,
	.figures = { { "read_time", "s" } },
	.start = start,
	.stop = stop,
	.attached = attached,
	.both = both,
};
