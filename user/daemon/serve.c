// SPDX-License-Identifier: GPL-2.0-only
/*
 * Serving a network namespace: learn what waits, commit it in batches.
 *
 * The daemon has no state of its own. What it knows of requests is a copy that a
 * dump restores, so that it may lose messages, be restarted, or be killed in the
 * middle of a batch.
 *
 * One thread does all. While the kernel commits a batch, what arrives gathers in
 * the socket, which is just where the next batch is to come from; a second
 * thread would only look at it sooner. A mountpoint on a file system that hangs
 * holds a batch up, and with it us: the kernel then commits what waits at its
 * deadlines, and the service manager's watchdog ends us, since that wait is
 * killable. A disk that hangs holds nothing up: the kernel syncs the uppers of what
 * is detached after it has answered us.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <linux/ovltree_netlink.h>

#include "daemon.h"

static int add_request(void *data, const struct ovlt_request *request)
{
	struct server *server = data;

	return queue_add(&server->queue, request, now_ns());
}

/* Where the queue changes faster than it can be told, the next tick tries again. */
static int resync(struct server *server)
{
	int err;

	queue_resync_begin(&server->queue);
	err = ovlt_queue_dump(server->kernel, add_request, server);
	server->stale = err == -EAGAIN;
	if (err)
		return server->stale ? 0 : err;
	queue_resync_end(&server->queue);
	server->metrics.resyncs++;
	return 0;
}

/* Begin to serve; what waited already is ours from now on. */
static int begin(struct server *server)
{
	int err;

	server->kernel = ovlt_queue_new(OVLT_QUEUE_READY);
	if (!server->kernel)
		return -errno;
	err = ovlt_queue_serve(server->kernel);
	if (!err)
		err = ovlt_queue_get_stats(server->kernel, &server->stats,
					   sizeof(server->stats));
	if (!err)
		err = resync(server);
	if (err) {
		ovlt_queue_free(server->kernel);
		server->kernel = NULL;
	}
	return err;
}

/* Returns 0, or an exit status after it has said why. */
int server_open(struct server *server)
{
	char why[512] = "the module isn't loaded";
	int err;

	if (server->config.load_module && load_module(why, sizeof(why))) {
		log_msg(LOG_ERR, "%s", why);
		return EXIT_FAIL;
	}
	err = begin(server);
	switch (err) {
	case 0:
		return 0;
	case -EBUSY:
		log_msg(LOG_ERR,
			"another daemon serves this network namespace already");
		return EXIT_TAKEN;
	case -ENOENT:
		log_msg(LOG_ERR, "the kernel has no netlink family %s: %s",
			OVLTREE_FAMILY_NAME, why);
		return EXIT_FAIL;
	case -EPERM:
		log_msg(LOG_ERR,
			"CAP_SYS_ADMIN is needed in the user namespace that owns this network namespace");
		return EXIT_FAIL;
	}
	log_msg(LOG_ERR, "netlink family %s: %s", OVLTREE_FAMILY_NAME,
		strerror(-err));
	return EXIT_FAIL;
}

/* An open device keeps the module from going. */
static void close_device(struct server *server)
{
	ovlt_ctx_unref(server->device);
	server->device = NULL;
}

void server_close(struct server *server)
{
	close_device(server);
	if (server->kernel)
		ovlt_queue_get_stats(server->kernel, &server->stats,
				     sizeof(server->stats));
	server->stats.has_daemon = 0;
	ovlt_queue_free(server->kernel);
	queue_clear(&server->queue);
}

/* To be polled; -1 while there is no module. */
int server_fd(const struct server *server)
{
	return server->kernel ? ovlt_queue_get_fd(server->kernel) : -1;
}

static void lose_module(struct server *server)
{
	log_msg(LOG_NOTICE, "the module is gone; waiting for it to come back");
	ovlt_queue_free(server->kernel);
	server->kernel = NULL;
	queue_clear(&server->queue);
	server->stats = (struct ovlt_stats){ 0 };
}

/* What isn't the module's end may be better a second later. */
static void fail(struct server *server, const char *what, int err)
{
	if (err == -ENOENT) {
		lose_module(server);
		return;
	}
	log_msg(LOG_WARNING, "%s: %s", what, strerror(-err));
	server->stuck = true;
}

/* Take all that has come. */
void server_read(struct server *server)
{
	struct ovlt_event event;
	int err = 0;

	while (server->kernel && !err) {
		err = ovlt_queue_wait(server->kernel, 0, &event, sizeof(event));
		if (err)
			break;
		if (event.type == OVLT_EVENT_READY) {
			err = queue_add(&server->queue, &event.request,
					now_ns());
		} else if (event.type == OVLT_EVENT_LOST) {
			log_msg(LOG_INFO, "events were lost, reading all anew");
			err = resync(server);
		}
	}
	if (err && err != -EAGAIN)
		fail(server, "netlink", err);
}

/* The module may be loaded again, which is not for us to do. */
static int try_begin(struct server *server)
{
	int err;

	if (access("/sys/module/ovltree", F_OK))
		return 0;
	err = begin(server);
	if (err == -EBUSY) {
		log_msg(LOG_ERR,
			"another daemon serves this network namespace by now");
		return EXIT_TAKEN;
	}
	if (!err)
		log_msg(LOG_NOTICE, "the module is back");
	else if (err != -ENOENT && err != -ENODEV)
		fail(server, "netlink", err);
	return 0;
}

/*
 * Once a second: see if the kernel still knows us, and what it counts. What
 * READY didn't tell, as when the kernel had no memory for it, shows in the
 * number of those that wait.
 */
int server_tick(struct server *server)
{
	int err;

	server->stuck = false;
	if (server->pace.end + NS_PER_S <= now_ns())
		close_device(server);
	if (!server->kernel)
		return try_begin(server);
	err = ovlt_queue_get_stats(server->kernel, &server->stats,
				   sizeof(server->stats));
	if (!err && !server->stats.has_daemon) {
		lose_module(server);
		return try_begin(server);
	}
	if (!err && (server->stale || server->stats.queued != server->queue.nr))
		err = resync(server);
	if (err)
		fail(server, "netlink", err);
	return 0;
}

static struct limits limits_of(const struct server *server)
{
	return (struct limits){
		.now = now_ns(),
		.max = server->config.batch_max,
		.age = server->config.age_ms * NS_PER_MS,
		.hold = server->config.hold_max_us * 1000ULL,
		.cost = server->cost,
	};
}

/* When the next batch is to begin. */
uint64_t server_due(const struct server *server)
{
	struct limits limits;

	if (!server->kernel || server->stuck)
		return UINT64_MAX;
	limits = limits_of(server);
	return batch_due(&server->queue, &server->pace,
			 server->config.interval_ms * NS_PER_MS,
			 batch_bound(&limits));
}

/* Returns whether it was in the batch at all. */
static bool count_result(struct server *server, unsigned int kind,
			 const struct ovlt_result *result)
{
	int err = -result->error;

	if (!err) {
		server->metrics.done[kind]++;
	} else if (err == ENOENT && result->field == OVLTREE_FIELD_ID) {
		/* Taken back, or committed by the kernel. */
		server->metrics.gone++;
		return false;
	} else {
		server->metrics.failed[err < 256 ? err : 255]++;
		log_msg(LOG_INFO, "%s: %s%s%s", common_kind_name(kind),
			result->message, result->message[0] ? ": " : "",
			strerror(err));
	}
	return true;
}

static const struct waiting *find_of_kind(const struct server *server,
					  uint64_t id, unsigned int kind)
{
	const struct waiting *request = queue_find(&server->queue, id);

	return request && request->kind == kind ? request : NULL;
}

/* Commit those of @ids that are of a kind; they wait no more, unless it fails. */
static int commit(struct server *server, unsigned int kind, const uint64_t *ids,
		  size_t nr)
{
	struct ovlt_batch *batch = ovlt_batch_new(server->device, 0);
	uint64_t now = now_ns(), wait, hold;
	unsigned int taken, nr_committed = 0;
	int err = 0;

	if (!batch)
		return -ENOMEM;
	for (size_t i = 0; err >= 0 && i < nr; i++)
		if (find_of_kind(server, ids[i], kind))
			err = ovlt_batch_add_request(batch, ids[i]);
	taken = ovlt_batch_get_nr(batch);
	if (err >= 0 && taken)
		err = kind == OVLTREE_KIND_ATTACH ? ovlt_batch_attach(batch) :
						    ovlt_batch_detach(batch);
	if (err < 0 || !taken)
		goto out;
	ovlt_batch_get_times(batch, &wait, &hold);
	log_msg(LOG_DEBUG, "%s %u, %d failed, held the locks for %llu us",
		common_kind_name(kind), taken, err,
		(unsigned long long)hold / 1000);
	for (size_t i = 0; i < nr; i++) {
		const struct waiting *request =
			find_of_kind(server, ids[i], kind);

		if (!request)
			continue;
		metrics_queued(&server->metrics, now - request->since);
		queue_remove(&server->queue, ids[i]);
	}
	for (unsigned int i = 0; i < taken; i++)
		nr_committed += count_result(server, kind,
					     ovlt_batch_get_result(batch, i));
	if (nr_committed)
		metrics_batch(&server->metrics, kind, nr_committed, wait, hold);
	server->cost = batch_learn(server->cost, nr_committed, hold);
out:
	ovlt_batch_unref(batch);
	return err < 0 ? err : 0;
}

/* As long as batches follow one another it is opened once. */
static int open_device(struct server *server)
{
	if (server->device)
		return 0;
	server->device = ovlt_ctx_new();
	return server->device ? ovlt_ctx_set_backend(server->device, "ioctl") :
				-ENOMEM;
}

static int commit_ids(struct server *server, const uint64_t *ids, size_t nr)
{
	char why[OVLTREE_MESSAGE_MAX] = "";
	int err = open_device(server);

	if (!err)
		err = commit(server, OVLTREE_KIND_ATTACH, ids, nr);
	if (!err)
		err = commit(server, OVLTREE_KIND_DETACH, ids, nr);
	if (err) {
		if (server->device)
			ovlt_ctx_get_error(server->device, why, sizeof(why));
		log_msg(LOG_WARNING,
			"%zu requests are left to the kernel: %s%s%s", nr, why,
			why[0] ? ": " : "", strerror(-err));
		server->stuck = true;
		close_device(server);
	}
	return err;
}

/* Commit the next batch. */
int server_commit(struct server *server)
{
	struct limits limits = limits_of(server);
	uint64_t *ids = calloc(server->queue.nr, sizeof(*ids));
	size_t nr = 0;
	int err = ids ? 0 : -ENOMEM;

	if (!err)
		err = batch_choose(&server->queue, &limits, ids, &nr);
	if (!err && nr)
		err = commit_ids(server, ids, nr);
	server->pace = (struct pace){
		.begin = limits.now,
		.end = now_ns(),
		.nr = nr,
		.nr_before = server->pace.nr,
	};
	free(ids);
	return err;
}

void server_write_metrics(struct server *server)
{
	const char *path = server->config.metrics_file;
	int err;

	if (!path[0])
		return;
	err = metrics_write(path, &server->metrics, server->queue.nr,
			    &server->stats);
	if (err)
		log_msg(LOG_WARNING, "%s: %s", path, strerror(-err));
}
