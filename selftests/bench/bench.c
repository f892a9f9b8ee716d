// SPDX-License-Identifier: GPL-2.0
/*
 * Runs each peer with each number of threads and prints a line of JSON a
 * figure. Progress is told on stderr; so is what is absent, which has no line.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define MAX_THREAD_COUNTS 16

static const struct peer *const peers[] = {
	&peer_idle,
	&peer_tmpfs,
	&peer_round_trip,
	&peer_per_layer,
	&peer_common_parent,
	&peer_plain,
	&peer_ovltree_1,
	&peer_ovltree_batch,
	&peer_ovltree_layerset,
	&peer_ovltree_parallel,
	&peer_ovltree_daemon,
};

static const struct pass *const passes[] = {
	&pass_time,
	&pass_instructions,
	&pass_watch,
	&pass_read,
	&pass_locks,
};

static const char usage[] =
	"usage: bench [--containers N] [--layers N] [--threads N,N...]\n"
	"             [--peers NAME,NAME...] [--repeats N] [--limit SECONDS]\n"
	"             [--device EXT4] [--output FILE] PASS...\n"
	"passes: time, watch, read, locks (this one needs CONFIG_LOCK_STAT), and\n"
	"instructions, for a machine whose clock counts them as nanoseconds\n"
	"More threads than containers are left out. A peer gets fewer rounds in a\n"
	"pass when these take longer than the limit.\n";

static unsigned int number(const char *text, char **end)
{
	unsigned long value = strtoul(text, end, 10);

	if (*end == text || (**end && **end != ',') || !value || value > 100000)
		errx(2, "%s: not a number from 1 to 100000", text);
	return value;
}

static unsigned int number_only(const char *text)
{
	char *end;
	unsigned int value = number(text, &end);

	if (*end)
		errx(2, "%s: not a number", text);
	return value;
}

static unsigned int list(char *text, unsigned int *values)
{
	unsigned int nr = 0;

	do {
		if (nr == MAX_THREAD_COUNTS)
			errx(2, "more than %u numbers of threads", nr);
		values[nr++] = number(text, &text);
	} while (*text++);
	return nr;
}

static const struct pass *find_pass(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(passes); i++)
		if (!strcmp(passes[i]->name, name))
			return passes[i];
	errx(2, "%s: no such pass\n%s", name, usage);
}

struct options {
	unsigned int threads[MAX_THREAD_COUNTS];
	unsigned int nr_threads;
	struct effort effort;
	const char *peers;	/* NULL: all */
	const char *device;
};

static void parse(int argc, char **argv, struct options *options,
		  struct world *world)
{
	static const struct option known[] = {
		{ "containers", required_argument, NULL, 'c' },
		{ "layers", required_argument, NULL, 'l' },
		{ "threads", required_argument, NULL, 't' },
		{ "peers", required_argument, NULL, 'p' },
		{ "repeats", required_argument, NULL, 'r' },
		{ "limit", required_argument, NULL, 's' },
		{ "device", required_argument, NULL, 'd' },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int i;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		switch (option) {
		case 'c':
			world->nr_containers = number_only(optarg);
			break;
		case 'l':
			world->nr_layers = number_only(optarg);
			break;
		case 't':
			options->nr_threads = list(optarg, options->threads);
			break;
		case 'r':
			options->effort.repeats = number_only(optarg);
			break;
		case 's':
			options->effort.limit = number_only(optarg);
			break;
		case 'p':
			options->peers = optarg;
			break;
		case 'd':
			options->device = optarg;
			break;
		case 'o':
			if (!freopen(optarg, "w", stdout))
				err(1, "%s", optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	for (i = 0; i < options->nr_threads; i++)
		if (options->threads[i] > world->max_threads)
			world->max_threads = options->threads[i];
	if (optind == argc)
		errx(2, "no pass\n%s", usage);
}

static void run_peer(const struct world *world, const struct peer *peer,
		     const struct pass *pass, const struct options *options)
{
	unsigned int i, threads;

	for (i = 0; i < options->nr_threads; i++) {
		threads = options->threads[i];
		if (threads > world->nr_containers)
			continue;
		warnx("%s of %s, threads: %u", pass->name, peer->name, threads);
		measure(world, peer, pass, threads, &options->effort);
		if (peer->idle || pass->single)
			return;
	}
}

static bool listed(const char *names, const char *name)
{
	const size_t length = strlen(name);

	for (; names; names = strchr(names, ',')) {
		names += *names == ',';
		if (!strncmp(names, name, length) &&
		    (!names[length] || names[length] == ','))
			return true;
	}
	return false;
}

static void run_pass(const struct world *world, const struct pass *pass,
		     const struct options *options)
{
	unsigned int i;

	if (pass->open)
		pass->open(world);
	for (i = 0; i < ARRAY_SIZE(peers); i++) {
		if (peers[i]->idle && !pass->idle)
			continue;
		if (options->peers ? !listed(options->peers, peers[i]->name) :
				     peers[i]->bare)
			continue;
		if (peers[i]->available())
			run_peer(world, peers[i], pass, options);
		else
			warn("%s is absent", peers[i]->name);
	}
}

int main(int argc, char **argv)
{
	struct options options = {
		.threads = { 1, 2, 16 },
		.nr_threads = 3,
		.effort = { .repeats = 5, .limit = 100000 },
	};
	struct world world = { .nr_containers = 100, .nr_layers = 50 };
	int i;

	parse(argc, argv, &options, &world);
	tally = allocate_shared(sizeof(*tally));
	for (i = optind; i < argc; i++)
		find_pass(argv[i]);
	world_create(&world, options.device);
	for (i = optind; i < argc; i++)
		run_pass(&world, find_pass(argv[i]), &options);
	return 0;
}
