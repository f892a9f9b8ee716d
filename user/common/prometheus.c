// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's counters in Prometheus' text format, for the daemon's file and
 * for "ovltreectl metrics".
 */
#include <inttypes.h>

#include "common.h"

static void print(FILE *file, const char *name, const char *type,
		  const char *help, uint64_t value)
{
	fprintf(file,
		"# HELP ovltree_%s %s\n"
		"# TYPE ovltree_%s %s\n"
		"ovltree_%s %" PRIu64 "\n",
		name, help, name, type, name, value);
}

void common_print_metrics(FILE *file, const struct ovlt_stats *stats)
{
	print(file, "submitted_total", "counter", "Requests submitted.",
	      stats->submitted);
	print(file, "attached_total", "counter", "Requests that attached.",
	      stats->attached);
	print(file, "detached_total", "counter", "Requests that detached.",
	      stats->detached);
	print(file, "failed_total", "counter", "Requests that failed.",
	      stats->failed);
	print(file, "cancelled_total", "counter", "Requests taken back.",
	      stats->cancelled);
	print(file, "refused_total", "counter",
	      "Submissions that found the queue full.", stats->refused);
	print(file, "expired_total", "counter",
	      "Requests that the kernel committed at their deadline.",
	      stats->expired);
	print(file, "batches_total", "counter", "Batches.", stats->batches);
	print(file, "batch_max", "gauge", "Most requests in a batch so far.",
	      stats->batch_max);
	print(file, "queue_length", "gauge", "Requests that wait.",
	      stats->queued);
	print(file, "queue_max", "gauge", "Most requests that may wait.",
	      stats->queue_max);
	print(file, "queue_max_userns", "gauge",
	      "Most that may wait from one user namespace.",
	      stats->queue_max_userns);
	fprintf(file,
		"# HELP ovltree_hold_max_seconds Longest time that a batch held the mount locks.\n"
		"# TYPE ovltree_hold_max_seconds gauge\n"
		"ovltree_hold_max_seconds %.9f\n",
		stats->hold_max_ns / 1e9);
	print(file, "daemon", "gauge", "Whether there is a daemon.",
	      stats->has_daemon);
}
