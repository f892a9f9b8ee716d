// SPDX-License-Identifier: GPL-2.0
/*
 * Rounds of attach and detach by a number of threads, and the figures of each
 * as a line of JSON.
 */
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define NS_PER_S 1000000000L

struct worker {
	struct share share;
	void (*work)(const struct share *share);
	pthread_barrier_t *barrier;
	pthread_t thread;
	uint64_t begin;
	uint64_t end;
};

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

double seconds_since(uint64_t ns)
{
	return (now_ns() - ns) / (double)NS_PER_S;
}

void sleep_ns(long ns)
{
	struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;

	pthread_barrier_wait(worker->barrier);
	worker->begin = now_ns();
	worker->work(&worker->share);
	worker->end = now_ns();
	return NULL;
}

/* From the first thread's beginning to the last one's end. */
static double storm(const struct world *world, unsigned int threads,
		    void (*work)(const struct share *share))
{
	struct worker *workers = allocate(threads, sizeof(*workers));
	pthread_barrier_t barrier;
	uint64_t begin = UINT64_MAX, end = 0;
	unsigned int i;

	pthread_barrier_init(&barrier, NULL, threads);
	for (i = 0; i < threads; i++) {
		const unsigned int first = i * world->nr_containers / threads;
		const unsigned int next = (i + 1) * world->nr_containers / threads;
		struct worker *worker = &workers[i];

		worker->share.world = world;
		worker->share.containers = &world->containers[first];
		worker->share.nr = next - first;
		worker->share.temp = world->temp[i];
		worker->work = work;
		worker->barrier = &barrier;
		errno = pthread_create(&worker->thread, NULL, worker_run, worker);
		if (errno)
			err(1, "pthread_create");
	}
	for (i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].begin < begin)
			begin = workers[i].begin;
		if (workers[i].end > end)
			end = workers[i].end;
	}
	pthread_barrier_destroy(&barrier);
	free(workers);
	return (end - begin) / (double)NS_PER_S;
}

static void run_round(const struct world *world, const struct peer *peer,
		      const struct pass *pass, unsigned int threads,
		      double values[NR_PHASES][MAX_FIGURES])
{
	unsigned int i;
	double seconds;

	pass->start();
	seconds = storm(world, threads, peer->attach);
	pass->stop(seconds, values[ATTACH]);
	if (!peer->idle)
		world_expect_attached(world, peer->idmapped);

	pass->start();
	seconds = storm(world, threads, peer->detach);
	pass->stop(seconds, values[DETACH]);
	world_expect_detached(world);

	for (i = 0; i < MAX_FIGURES; i++)
		values[BOTH][i] = values[ATTACH][i] + values[DETACH][i];
	if (pass->both)
		pass->both(values);
}

static void print_figure(const struct world *world, const char *peer,
			 unsigned int threads, enum phase phase,
			 const struct figure *figure, double *values,
			 unsigned int nr)
{
	static const char *const phases[] = { "attach", "detach", "both" };
	double median;

	qsort(values, nr, sizeof(*values), compare_doubles);
	median = (values[(nr - 1) / 2] + values[nr / 2]) / 2;
	printf("{\"peer\": \"%s\", \"containers\": %u, \"layers\": %u, "
	       "\"threads\": %u, \"phase\": \"%s\", \"figure\": \"%s\", "
	       "\"unit\": \"%s\", \"value\": %.9g, \"min\": %.9g, "
	       "\"max\": %.9g}\n",
	       peer, world->nr_containers, world->nr_layers, threads,
	       phases[phase], figure->name, figure->unit, median, values[0],
	       values[nr - 1]);
	fflush(stdout);
}

/* The first round is there to warm up. */
void measure(const struct world *world, const struct peer *peer,
	     const struct pass *pass, unsigned int threads,
	     unsigned int repeats)
{
	double(*rounds)[NR_PHASES][MAX_FIGURES] =
		allocate(repeats, sizeof(*rounds));
	double *values = allocate(repeats, sizeof(*values));
	unsigned int i, figure;
	int phase;

	run_round(world, peer, pass, threads, rounds[0]);
	for (i = 0; i < repeats; i++)
		run_round(world, peer, pass, threads, rounds[i]);

	for (figure = 0; pass->figures[figure].name; figure++)
		for (phase = ATTACH; phase <= BOTH; phase++) {
			for (i = 0; i < repeats; i++)
				values[i] = rounds[i][phase][figure];
			print_figure(world, peer->name, threads, phase,
				     &pass->figures[figure], values, repeats);
		}
	free(values);
	free(rounds);
}
