// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl queue and stats: what the kernel tells of the daemon's queue
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/*
 * Tell of an error of the queue, which may be that there is none, and the kernel's
 * reason; returns an exit status.
 */
int ctl_fail_queue(struct ctl *ctl, const struct ovlt_queue *queue, int err)
{
	const char *reason = queue ? ovlt_queue_get_error(queue) : "";
	char why[2 * OVLTREE_MESSAGE_MAX];

	snprintf(why, sizeof(why),
		 "netlink family " OVLTREE_FAMILY_NAME "%s%s%s",
		 err == -ENOENT ? ", which comes with the module" : "",
		 reason[0] ? ": " : "", reason);
	return ctl_fail_why(ctl, err, why);
}

/* Prints why when it fails. */
struct ovlt_queue *ctl_open_queue(struct ctl *ctl, unsigned int flags)
{
	struct ovlt_queue *queue = ovlt_queue_new(flags);

	if (!queue)
		ctl_fail_queue(ctl, NULL, -errno);
	return queue;
}

/* Which one it is, whether it waits or has ended. */
struct cJSON *ctl_identity_json(const struct ovlt_request *request)
{
	cJSON *json = cJSON_CreateObject();

	ctl_add_u64(json, "id", request->id);
	cJSON_AddStringToObject(json, "kind", common_kind_name(request->kind));
	cJSON_AddStringToObject(json, "name", request->name);
	if (request->mnt_id)
		ctl_add_u64(json, "mnt_id", request->mnt_id);
	return json;
}

/* Of one that waits. */
struct cJSON *ctl_request_json(const struct ovlt_request *request)
{
	cJSON *json = ctl_identity_json(request);

	cJSON_AddNumberToObject(json, "priority", request->priority);
	cJSON_AddNumberToObject(json, "deadline_ms", request->deadline_ms);
	cJSON_AddNumberToObject(json, "pid", request->pid);
	cJSON_AddNumberToObject(json, "uid", request->uid);
	ctl_add_u64(json, "cgroup_id", request->cgroup_id);
	cJSON_AddNumberToObject(json, "userns_id", request->userns_id);
	ctl_add_u64(json, "age_ns", request->age_ns);
	return json;
}

void ctl_print_request(const struct ovlt_request *request)
{
	printf("%" PRIu64
	       " %s age %.1f ms, deadline %u ms, priority %u, pid %u, uid %u, cgroup %" PRIu64
	       ", userns %u%s%s\n",
	       request->id, common_kind_name(request->kind),
	       request->age_ns / 1e6, request->deadline_ms, request->priority,
	       request->pid, request->uid, request->cgroup_id,
	       request->userns_id, request->name[0] ? ", name " : "",
	       request->name);
}

static int add_json(void *data, const struct ovlt_request *request)
{
	cJSON_AddItemToArray(data, ctl_request_json(request));
	return 0;
}

static int print_line(void *data, const struct ovlt_request *request)
{
	(void)data;
	ctl_print_request(request);
	return 0;
}

static int show_queue(struct ctl *ctl, struct ovlt_queue *queue)
{
	cJSON *array = ctl->json ? cJSON_CreateArray() : NULL;
	int err;

	err = ovlt_queue_dump(queue, array ? add_json : print_line, array);
	if (!err && array)
		ctl_print_json(array);
	else
		cJSON_Delete(array);
	return err;
}

static void print_stats(const struct ovlt_stats *stats)
{
	if (stats->has_daemon)
		printf("daemon: process %u\n", stats->daemon_pid);
	else
		puts("daemon: none");
	printf("waiting: %u, at most %u, from one user namespace %u\n"
	       "submitted: %" PRIu64 "\n"
	       "attached: %" PRIu64 "\n"
	       "detached: %" PRIu64 "\n"
	       "failed: %" PRIu64 "\n"
	       "cancelled: %" PRIu64 "\n"
	       "refused: %" PRIu64 "\n"
	       "expired: %" PRIu64 "\n"
	       "batches: %" PRIu64 ", at most %u requests\n"
	       "longest hold: %.3f ms\n",
	       stats->queued, stats->queue_max, stats->queue_max_userns,
	       stats->submitted, stats->attached, stats->detached,
	       stats->failed, stats->cancelled, stats->refused, stats->expired,
	       stats->batches, stats->batch_max, stats->hold_max_ns / 1e6);
}

static cJSON *stats_json(const struct ovlt_stats *stats)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddBoolToObject(json, "daemon", stats->has_daemon);
	cJSON_AddNumberToObject(json, "daemon_pid", stats->daemon_pid);
	cJSON_AddNumberToObject(json, "queued", stats->queued);
	cJSON_AddNumberToObject(json, "queue_max", stats->queue_max);
	cJSON_AddNumberToObject(json, "queue_max_userns",
				stats->queue_max_userns);
	ctl_add_u64(json, "submitted", stats->submitted);
	ctl_add_u64(json, "attached", stats->attached);
	ctl_add_u64(json, "detached", stats->detached);
	ctl_add_u64(json, "failed", stats->failed);
	ctl_add_u64(json, "cancelled", stats->cancelled);
	ctl_add_u64(json, "refused", stats->refused);
	ctl_add_u64(json, "expired", stats->expired);
	ctl_add_u64(json, "batches", stats->batches);
	cJSON_AddNumberToObject(json, "batch_max", stats->batch_max);
	ctl_add_u64(json, "hold_max_ns", stats->hold_max_ns);
	ctl_add_u64(json, "seq", stats->seq);
	return json;
}

static int show_stats(struct ctl *ctl, struct ovlt_queue *queue)
{
	struct ovlt_stats stats;
	int err = ovlt_queue_get_stats(queue, &stats, sizeof(stats));

	if (err)
		return err;
	if (ctl->json)
		ctl_print_json(stats_json(&stats));
	else
		print_stats(&stats);
	return 0;
}

static int show(struct ctl *ctl, int argc, char *argv[],
		int (*fn)(struct ctl *ctl, struct ovlt_queue *queue))
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		{ 0 },
	};
	struct ovlt_queue *queue;
	int opt, err, status;

	while ((opt = getopt_long(argc, argv, "vh", long_options, NULL)) != -1)
		if (ctl_option(ctl, opt))
			return EXIT_USAGE;
	if (optind != argc)
		return ctl_usage("%s takes no arguments", argv[0]);
	status = ctl_open(ctl);
	if (status)
		return status;
	queue = ctl_open_queue(ctl, 0);
	if (!queue)
		return EXIT_FAIL;
	err = fn(ctl, queue);
	if (err)
		status = ctl_fail_queue(ctl, queue, err);
	ovlt_queue_free(queue);
	return status;
}

int cmd_queue(struct ctl *ctl, int argc, char *argv[])
{
	return show(ctl, argc, argv, show_queue);
}

int cmd_stats(struct ctl *ctl, int argc, char *argv[])
{
	return show(ctl, argc, argv, show_stats);
}
