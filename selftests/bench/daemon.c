// SPDX-License-Identifier: GPL-2.0
/*
 * By way of the daemon: each worker is a client that prepares one tree at a time,
 * hands it in, and waits for it to be attached. A client has its queue open
 * beforehand, as a runtime that starts more than one container does.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "libovltree.h"

#define DAEMON "/bin/ovltreed"
#define WAIT_NS 10000000

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000
#endif

static struct ovlt_queue **queues;	/* one a worker */
static unsigned int nr_queues;
static pid_t server;

static bool available(void)
{
	return ovltree_available() && !access(DAEMON, X_OK);
}

static void wait_for_daemon(struct ovlt_queue *queue)
{
	struct ovlt_stats stats;
	int ret;

	do {
		sleep_ns(WAIT_NS);
		if (waitpid(server, NULL, WNOHANG) == server)
			errx(1, DAEMON " has ended");
		ret = ovlt_queue_get_stats(queue, &stats, sizeof(stats));
		if (ret)
			errx(1, "ovltree's queue: %s", strerror(-ret));
	} while (!stats.has_daemon);
}

static void start(const struct world *world)
{
	unsigned int i;

	nr_queues = world->max_threads;
	queues = allocate(nr_queues, sizeof(*queues));
	server = fork();
	if (server < 0)
		err(1, "fork");
	if (!server) {
		execl(DAEMON, DAEMON, NULL);
		err(1, DAEMON);
	}
	for (i = 0; i < nr_queues; i++) {
		queues[i] = ovlt_queue_new(0);
		if (!queues[i])
			err(1, "ovltree's queue");
	}
	wait_for_daemon(queues[0]);
}

static void stop(void)
{
	while (nr_queues)
		ovlt_queue_free(queues[--nr_queues]);
	free(queues);
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
}

static void submit_and_wait(const struct share *share,
			    const struct ovlt_submit *submit)
{
	struct ovlt_queue *queue = queues[share->worker];
	struct ovlt_event event;
	uint64_t id;
	int ret;

	/* What the library calls isn't known here. */
	atomic_store(&tally->uncounted, true);
	ret = ovlt_queue_submit(queue, submit, sizeof(*submit), &id);
	if (ret)
		errx(1, "ovltree: not submitted: %s: %s",
		     ovlt_queue_get_error(queue), strerror(-ret));
	ret = ovlt_queue_wait(queue, -1, &event, sizeof(event));
	if (ret)
		errx(1, "ovltree: no result: %s", strerror(-ret));
	if (event.request.error)
		errx(1, "ovltree: %s %s", strerror(-event.request.error),
		     event.request.message);
	note_hold(event.request.hold_ns);
}

static void attach(const struct share *share)
{
	struct ovlt_submit submit = {
		.kind = OVLTREE_KIND_ATTACH,
		.mntns_fd = -1,
	};
	unsigned int i;

	for (i = 0; i < share->nr; i++) {
		const struct container *c = &share->containers[i];

		ovltree_prepare(share->world, c, 1, &submit.mnt_fd);
		submit.target_fd = open(c->target, O_PATH | O_CLOEXEC);
		if (submit.target_fd < 0)
			err(1, "open %s", c->target);
		submit_and_wait(share, &submit);
		close(submit.target_fd);
		close(submit.mnt_fd);
	}
}

static void detach(const struct share *share)
{
	struct ovlt_submit submit = {
		.kind = OVLTREE_KIND_DETACH,
		.target_fd = -1,
		.mntns_fd = -1,
	};
	struct statx stx;
	unsigned int i;

	for (i = 0; i < share->nr; i++) {
		const struct container *c = &share->containers[i];

		if (statx(AT_FDCWD, c->target, 0, STATX_MNT_ID_UNIQUE, &stx))
			err(1, "statx %s", c->target);
		submit.mnt_id = stx.stx_mnt_id;
		submit_and_wait(share, &submit);
	}
}

const struct peer peer_ovltree_daemon = {
	.name = "ovltree-daemon",
	.idmapped = true,
	.independent = true,
	.available = available,
	.open = start,
	.close = stop,
	.attach = attach,
	.detach = detach,
};
