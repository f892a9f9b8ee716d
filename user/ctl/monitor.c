// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl monitor: a line for each event
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* How often it is looked whether the module is there still. */
#define LOOK_MS 1000

static const char *const types[] = {
	[OVLT_EVENT_READY] = "ready", [OVLT_EVENT_DONE] = "done",
	[OVLT_EVENT_BATCH] = "batch", [OVLT_EVENT_DAEMON_GONE] = "daemon-gone",
	[OVLT_EVENT_LOST] = "lost", [OVLT_EVENT_ATTACHED] = "attached",
	[OVLT_EVENT_DETACHED] = "detached",
};

static const char *const reasons[] = {
	[OVLTREE_REASON_DAEMON] = "daemon",
	[OVLTREE_REASON_DEADLINE] = "deadline",
	[OVLTREE_REASON_EXIT] = "exit",
};

static const char *reason_name(unsigned int reason)
{
	return reason < sizeof(reasons) / sizeof(reasons[0]) ? reasons[reason] :
							       "unknown";
}

static bool is_committed(const struct ovlt_request *request)
{
	return request->committed_by != OVLT_NOT_COMMITTED;
}

/* Who submitted it, and how, was told when it came. */
static cJSON *done_json(const struct ovlt_request *request)
{
	cJSON *json = ctl_identity_json(request);

	cJSON_AddBoolToObject(json, "ok", !request->error);
	if (request->error)
		cJSON_AddStringToObject(json, "errno",
					strerrorname_np(-request->error) ?:
						"unknown");
	cJSON_AddStringToObject(json, "message", request->message);
	ctl_add_u64(json, "queued_ns", request->queued_ns);
	if (!is_committed(request))
		return json;
	ctl_add_u64(json, "wait_ns", request->wait_ns);
	ctl_add_u64(json, "hold_ns", request->hold_ns);
	cJSON_AddStringToObject(json, "committed_by",
				reason_name(request->committed_by));
	return json;
}

/* Done by somebody without a request. */
static cJSON *mount_json(const struct ovlt_request *mount)
{
	cJSON *json = cJSON_CreateObject();

	ctl_add_u64(json, "mnt_id", mount->mnt_id);
	ctl_add_u64(json, "cgroup_id", mount->cgroup_id);
	ctl_add_u64(json, "wait_ns", mount->wait_ns);
	ctl_add_u64(json, "hold_ns", mount->hold_ns);
	return json;
}

static cJSON *event_json(const struct ovlt_event *event)
{
	cJSON *json;

	switch (event->type) {
	case OVLT_EVENT_READY:
		json = ctl_request_json(&event->request);
		break;
	case OVLT_EVENT_DONE:
		json = done_json(&event->request);
		break;
	case OVLT_EVENT_ATTACHED:
	case OVLT_EVENT_DETACHED:
		json = mount_json(&event->request);
		break;
	case OVLT_EVENT_BATCH:
		json = cJSON_CreateObject();
		ctl_add_u64(json, "submitted", event->stats.submitted);
		ctl_add_u64(json, "attached", event->stats.attached);
		ctl_add_u64(json, "detached", event->stats.detached);
		ctl_add_u64(json, "failed", event->stats.failed);
		ctl_add_u64(json, "hold_max_ns", event->stats.hold_max_ns);
		break;
	case OVLT_EVENT_DAEMON_GONE:
		json = cJSON_CreateObject();
		cJSON_AddNumberToObject(json, "queued", event->stats.queued);
		break;
	default:
		json = cJSON_CreateObject();
	}
	cJSON_AddStringToObject(json, "event", types[event->type]);
	ctl_add_u64(json, "seq", event->seq);
	return json;
}

static void print_done(const struct ovlt_request *request)
{
	printf("%" PRIu64 " %s", request->id, common_kind_name(request->kind));
	if (request->error)
		printf(" failed: %s%s%s", request->message,
		       request->message[0] ? ": " : "",
		       strerror(-request->error));
	else
		printf(" mount %" PRIu64, request->mnt_id);
	printf(", queued %.3f ms", request->queued_ns / 1e6);
	if (is_committed(request))
		printf(", waited %.3f ms, held %.3f ms, by %s",
		       request->wait_ns / 1e6, request->hold_ns / 1e6,
		       reason_name(request->committed_by));
	printf("%s%s\n", request->name[0] ? ", name " : "", request->name);
}

static void print_mount(const struct ovlt_request *mount)
{
	printf("mount %" PRIu64
	       ", waited %.3f ms, held %.3f ms, cgroup %" PRIu64 "\n",
	       mount->mnt_id, mount->wait_ns / 1e6, mount->hold_ns / 1e6,
	       mount->cgroup_id);
}

static void print_event(const struct ovlt_event *event)
{
	const struct ovlt_stats *stats = &event->stats;

	printf("%s ", types[event->type]);
	switch (event->type) {
	case OVLT_EVENT_READY:
		ctl_print_request(&event->request);
		break;
	case OVLT_EVENT_DONE:
		print_done(&event->request);
		break;
	case OVLT_EVENT_ATTACHED:
	case OVLT_EVENT_DETACHED:
		print_mount(&event->request);
		break;
	case OVLT_EVENT_BATCH:
		printf("in all %" PRIu64 " submitted, %" PRIu64
		       " attached, %" PRIu64 " detached, %" PRIu64 " failed\n",
		       stats->submitted, stats->attached, stats->detached,
		       stats->failed);
		break;
	case OVLT_EVENT_DAEMON_GONE:
		printf("%u wait\n", stats->queued);
		break;
	default:
		puts("events; what follows is what waits now");
	}
}

static int print_waiting(void *data, const struct ovlt_request *request)
{
	const struct ctl *ctl = data;

	if (ctl->json) {
		cJSON *json = ctl_request_json(request);

		cJSON_AddStringToObject(json, "event", "waits");
		ctl_print_json_line(json);
		return 0;
	}
	fputs("waits ", stdout);
	ctl_print_request(request);
	return 0;
}

/* What is the case now, in place of the events that were lost. */
static int resync(struct ctl *ctl, struct ovlt_queue *queue)
{
	struct ovlt_stats stats;
	int err = ovlt_queue_dump(queue, print_waiting, ctl);

	if (!err)
		err = ovlt_queue_get_stats(queue, &stats, sizeof(stats));
	if (err)
		return err;
	if (ctl->json) {
		struct ovlt_event event = {
			.type = OVLT_EVENT_BATCH,
			.seq = stats.seq,
			.stats = stats,
		};

		ctl_print_json_line(event_json(&event));
		return 0;
	}
	printf("now %u wait, in all %" PRIu64 " submitted, %" PRIu64
	       " attached, %" PRIu64 " detached, %" PRIu64 " failed\n",
	       stats.queued, stats.submitted, stats.attached, stats.detached,
	       stats.failed);
	return 0;
}

static int monitor(struct ctl *ctl, struct ovlt_queue *queue)
{
	struct ovlt_event event;
	struct ovlt_stats stats;
	int err = 0;

	while (!err) {
		err = ovlt_queue_wait(queue, LOOK_MS, &event, sizeof(event));
		if (err == -EAGAIN) {
			err = ovlt_queue_get_stats(queue, &stats,
						   sizeof(stats));
			continue;
		}
		if (err)
			break;
		if (ctl->json)
			ctl_print_json_line(event_json(&event));
		else
			print_event(&event);
		if (event.type == OVLT_EVENT_LOST)
			err = resync(ctl, queue);
	}
	return err;
}

int cmd_monitor(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		{ "buffer", required_argument, NULL, OPT_BUFFER },
		{ 0 },
	};
	struct ovlt_queue *queue;
	unsigned int buffer = 0;
	int status = 0;
	int opt;

	while (!status &&
	       (opt = getopt_long(argc, argv, "vh", long_options, NULL)) != -1)
		status = opt == OPT_BUFFER ?
				 ctl_number(optarg, INT_MAX / 2, &buffer) :
				 ctl_option(ctl, opt);
	if (status)
		return status;
	if (optind != argc)
		return ctl_usage("monitor takes no arguments");
	status = ctl_open(ctl);
	if (status)
		return status;
	queue = ctl_open_queue(ctl, OVLT_QUEUE_READY | OVLT_QUEUE_MONITOR);
	if (!queue)
		return EXIT_FAIL;
	if (buffer)
		ovlt_queue_set_buffer(queue, buffer);
	setvbuf(stdout, NULL, _IOLBF, 0);
	status = ctl_fail_queue(ctl, queue, monitor(ctl, queue));
	ovlt_queue_free(queue);
	return status;
}
