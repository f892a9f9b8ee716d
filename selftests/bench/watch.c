// SPDX-License-Identifier: GPL-2.0
/*
 * What others on the host notice: one that waits for changes of the mount
 * table, as systemd does, and one that looks at a file.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define QUIET_NS 50000000
#define PACE_NS 100000
#define MAX_SAMPLES (1 << 20)

enum { EVENTS, P99 };

static pthread_t poller, statter;
static atomic_bool stopped;
static int mounts_fd, stop_fd;
static unsigned int events;

static const char *bystander;
static double *samples;		/* of a round: those of attach, then of detach */
static size_t nr_samples, phase_begin;

static void *poll_mounts(void *arg)
{
	struct pollfd fds[] = {
		{ .fd = mounts_fd, .events = POLLPRI },
		{ .fd = stop_fd, .events = POLLIN },
	};

	do {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			err(1, "poll");
		if (fds[0].revents)
			events++;
	} while (!fds[1].revents);
	return arg;
}

static void *stat_bystander(void *arg)
{
	struct stat st;
	uint64_t begin;

	prctl(PR_SET_TIMERSLACK, 1);
	do {
		sleep_ns(PACE_NS);
		begin = now_ns();
		if (stat(bystander, &st))
			err(1, "stat %s", bystander);
		samples[nr_samples++] = seconds_since(begin);
	} while (!atomic_load(&stopped) && nr_samples < MAX_SAMPLES);
	return arg;
}

static double p99(size_t first)
{
	const size_t nr = nr_samples - first;
	double *sorted = allocate(nr, sizeof(*sorted));
	double value;

	memcpy(sorted, samples + first, nr * sizeof(*sorted));
	qsort(sorted, nr, sizeof(*sorted), compare_doubles);
	value = sorted[(nr * 99 + 99) / 100 - 1];
	free(sorted);
	return value;
}

static void open_watch(const struct world *world)
{
	bystander = world->bystander;
	samples = allocate(MAX_SAMPLES + 1, sizeof(*samples));
}

static void start_thread(pthread_t *thread, void *(*run)(void *))
{
	errno = pthread_create(thread, NULL, run, NULL);
	if (errno)
		err(1, "pthread_create");
}

static void start(void)
{
	sleep_ns(QUIET_NS);
	mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (mounts_fd < 0 || stop_fd < 0)
		err(1, "can't watch the mount table");
	atomic_store(&stopped, false);
	phase_begin = nr_samples;
	events = 0;
	start_thread(&poller, poll_mounts);
	start_thread(&statter, stat_bystander);
}

static void stop(double seconds, double *values)
{
	(void)seconds;
	atomic_store(&stopped, true);
	if (eventfd_write(stop_fd, 1))
		err(1, "eventfd");
	pthread_join(statter, NULL);
	pthread_join(poller, NULL);
	close(stop_fd);
	close(mounts_fd);
	values[EVENTS] = events;
	values[P99] = p99(phase_begin);
}

static void both(double values[NR_PHASES][MAX_FIGURES])
{
	values[BOTH][P99] = p99(0);
	nr_samples = 0;
}

const struct pass pass_watch = {
	.name = "watch",
	.idle = true,
	.figures = { { "mount_events", "count" }, { "bystander_p99", "s" } },
	.open = open_watch,
	.start = start,
	.stop = stop,
	.both = both,
};
