// SPDX-License-Identifier: GPL-2.0
/*
 * Rounds of attach and detach by a number of workers, and the figures of each as
 * a line of JSON.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* In memory that the workers share when they are processes. */
struct storm {
	pthread_barrier_t barrier;
	struct worker workers[];
};

struct tally *tally;

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

void note_hold(unsigned long ns)
{
	unsigned long longest = atomic_load(&tally->longest_hold);

	while (ns > longest &&
	       !atomic_compare_exchange_weak(&tally->longest_hold, &longest, ns))
		;
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

static void worker_start(struct worker *worker, bool process)
{
	pid_t pid;

	if (!process) {
		errno = pthread_create(&worker->thread, NULL, worker_run, worker);
		if (errno)
			err(1, "pthread_create");
		return;
	}
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		/* Who has run for a while has its memory to itself. */
		if (mlockall(MCL_CURRENT))
			err(1, "mlockall");
		worker_run(worker);
		_exit(0);
	}
}

/* The others would wait for one that is killed, so any process comes first. */
static void worker_join(struct worker *worker, bool process)
{
	int status;

	if (!process)
		pthread_join(worker->thread, NULL);
	else if (waitpid(0, &status, 0) < 0)
		err(1, "waitpid");
	else if (status)
		errx(1, "a worker ended with status %#x", status);
}

static void barrier_init(pthread_barrier_t *barrier, unsigned int nr)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &attr, nr);
	pthread_barrierattr_destroy(&attr);
}

/* From the first worker's beginning to the last one's end. */
static double storm(const struct world *world, const struct peer *peer,
		    unsigned int nr, void (*work)(const struct share *share))
{
	const size_t size = sizeof(struct storm) + nr * sizeof(struct worker);
	struct storm *storm = allocate_shared(size);
	uint64_t begin = UINT64_MAX, end = 0;
	unsigned int i;

	barrier_init(&storm->barrier, nr);
	for (i = 0; i < nr; i++) {
		const unsigned int first = i * world->nr_containers / nr;
		const unsigned int next = (i + 1) * world->nr_containers / nr;
		struct worker *worker = &storm->workers[i];

		worker->share.world = world;
		worker->share.worker = i;
		worker->share.containers = &world->containers[first];
		worker->share.nr = next - first;
		worker->share.temp = world->temp[i];
		worker->work = work;
		worker->barrier = &storm->barrier;
		worker_start(worker, peer->independent);
	}
	for (i = 0; i < nr; i++) {
		struct worker *worker = &storm->workers[i];

		worker_join(worker, peer->independent);
		if (worker->begin < begin)
			begin = worker->begin;
		if (worker->end > end)
			end = worker->end;
	}
	munmap(storm, size);
	return (end - begin) / (double)NS_PER_S;
}

static void run_round(const struct world *world, const struct peer *peer,
		      const struct pass *pass, unsigned int threads,
		      double values[NR_PHASES][MAX_FIGURES])
{
	unsigned int i;
	double seconds;

	pass->start();
	seconds = storm(world, peer, threads, peer->attach);
	pass->stop(seconds, values[ATTACH]);
	if (pass->attached)
		pass->attached(world);
	if (!peer->idle && !peer->bare)
		world_expect_attached(world, peer->idmapped);

	pass->start();
	seconds = storm(world, peer, threads, peer->detach);
	pass->stop(seconds, values[DETACH]);
	world_expect_detached(world);

	for (i = 0; i < MAX_FIGURES; i++)
		values[BOTH][i] = values[ATTACH][i] + values[DETACH][i];
	if (pass->both)
		pass->both(values);
}

/* What a round has no value for, none of the peer's rounds has. */
static void print_figure(const struct world *world, const char *peer,
			 unsigned int threads, enum phase phase,
			 const struct figure *figure, double *values,
			 unsigned int nr)
{
	static const char *const phases[] = { "attach", "detach", "both" };
	struct utsname kernel;
	double median;

	if (isnan(values[0]))
		return;
	uname(&kernel);
	qsort(values, nr, sizeof(*values), compare_doubles);
	median = (values[(nr - 1) / 2] + values[nr / 2]) / 2;
	printf("{\"peer\": \"%s\", \"containers\": %u, \"layers\": %u, "
	       "\"threads\": %u, \"phase\": \"%s\", \"figure\": \"%s\", "
	       "\"unit\": \"%s\", \"value\": %.9g, \"min\": %.9g, "
	       "\"max\": %.9g, \"rounds\": %u, \"cpus\": %ld, "
	       "\"filesystem\": \"%s\", \"kernel\": \"%s\"}\n",
	       peer, world->nr_containers, world->nr_layers, threads,
	       phases[phase], figure->name, figure->unit, median, values[0],
	       values[nr - 1], nr, sysconf(_SC_NPROCESSORS_ONLN),
	       world->filesystem, kernel.release);
	fflush(stdout);
}

/*
 * The first round is there to warm up, and counts only when it has used up the
 * time.
 */
static unsigned int run_rounds(const struct world *world,
			       const struct peer *peer,
			       const struct pass *pass, unsigned int threads,
			       const struct effort *effort,
			       double (*rounds)[NR_PHASES][MAX_FIGURES])
{
	const uint64_t begin = now_ns();
	unsigned int nr = 0;

	run_round(world, peer, pass, threads, rounds[0]);
	while (nr < effort->repeats && seconds_since(begin) < effort->limit)
		run_round(world, peer, pass, threads, rounds[nr++]);
	return nr ? nr : 1;
}

void measure(const struct world *world, const struct peer *peer,
	     const struct pass *pass, unsigned int threads,
	     const struct effort *effort)
{
	double(*rounds)[NR_PHASES][MAX_FIGURES] =
		allocate(effort->repeats, sizeof(*rounds));
	double *values = allocate(effort->repeats, sizeof(*values));
	unsigned int i, nr, figure;
	int phase;

	if (peer->open)
		peer->open(world);
	nr = run_rounds(world, peer, pass, threads, effort, rounds);
	if (peer->close)
		peer->close();

	for (figure = 0; pass->figures[figure].name; figure++)
		for (phase = ATTACH; phase <= BOTH; phase++) {
			for (i = 0; i < nr; i++)
				values[i] = rounds[i][phase][figure];
			print_figure(world, peer->name, threads, phase,
				     &pass->figures[figure], values, nr);
		}
	free(values);
	free(rounds);
}
