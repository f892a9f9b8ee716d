// SPDX-License-Identifier: GPL-2.0
/*
 * The time that programs take to look at all files of some merged roots and to
 * read them, and how that compares with plain overlays of the same layers. These
 * are read in turn with the others, so that what else slows the machine down slows
 * both. The trees are new, so that nothing of them is cached but the data.
 */
#include <err.h>
#include <math.h>
#include <stdlib.h>

#include "bench.h"

enum { READ_TIME, READ_RATIO, NR_FIGURES };

static double values_read[NR_FIGURES];

static void start(void)
{
}

static void stop(double seconds, double *values)
{
	(void)seconds;
	values[READ_TIME] = NAN;
	values[READ_RATIO] = NAN;
}

static double read_root(const struct container *c)
{
	char *command = format("find %s -type f -exec sha256sum {} + >/dev/null",
			       c->target);
	const uint64_t begin = now_ns();
	double seconds;

	if (system(command))
		errx(1, "%s", command);
	seconds = seconds_since(begin);
	free(command);
	return seconds;
}

static void attached(const struct world *world)
{
	const struct share share = {
		.world = world,
		.containers = world->reference,
		.nr = NR_REFERENCE,
	};
	double ours = 0, plain = 0;
	unsigned int i;

	peer_plain.attach(&share);
	for (i = 0; i < NR_REFERENCE && i < world->nr_containers; i++) {
		/* The second one finds more in the CPU's caches. */
		if (i % 2)
			ours += read_root(&world->containers[i]);
		plain += read_root(&world->reference[i]);
		if (!(i % 2))
			ours += read_root(&world->containers[i]);
	}
	peer_plain.detach(&share);
	values_read[READ_TIME] = ours;
	values_read[READ_RATIO] = ours / plain;
}

static void both(double values[NR_PHASES][MAX_FIGURES])
{
	values[BOTH][READ_TIME] = values_read[READ_TIME];
	values[BOTH][READ_RATIO] = values_read[READ_RATIO];
}

const struct pass pass_read = {
	.name = "read",
	.single = true,
	.figures = {
		{ "read_time", "s" },
		{ "read_ratio", "ratio" },
	},
	.start = start,
	.stop = stop,
	.attached = attached,
	.both = both,
};
