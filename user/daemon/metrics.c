// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the daemon has done, in Prometheus' text format: a file for the textfile
 * collector of node-exporter, which must never see half of one.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"

/* Requests in a batch; powers of two. */
#define SIZE_UNIT 1
/* Times; from 16 microseconds, in powers of four. */
#define TIME_UNIT 16000

/* Upper bound of a bucket. */
static uint64_t bound(uint64_t unit, unsigned int bucket)
{
	return unit << (unit == SIZE_UNIT ? bucket : 2 * bucket);
}

static void count(struct histogram *histogram, uint64_t value, uint64_t unit)
{
	histogram->count++;
	histogram->sum += value;
	for (unsigned int i = 0; i < NR_BUCKETS; i++) {
		if (value > bound(unit, i))
			continue;
		histogram->buckets[i]++;
		break;
	}
}

void metrics_batch(struct metrics *metrics, unsigned int kind, size_t nr,
		   uint64_t wait, uint64_t hold)
{
	metrics->batches[kind]++;
	count(&metrics->size, nr, SIZE_UNIT);
	count(&metrics->wait, wait, TIME_UNIT);
	count(&metrics->hold, hold, TIME_UNIT);
}

void metrics_queued(struct metrics *metrics, uint64_t ns)
{
	count(&metrics->queued, ns, TIME_UNIT);
}

static void head(FILE *file, const char *name, const char *type,
		 const char *help)
{
	fprintf(file, "# HELP ovltreed_%s %s\n# TYPE ovltreed_%s %s\n", name,
		help, name, type);
}

static void print_histogram(FILE *file, const char *name, const char *help,
			    const struct histogram *histogram, uint64_t unit)
{
	double scale = unit == SIZE_UNIT ? 1 : 1e9;
	uint64_t below = 0;

	head(file, name, "histogram", help);
	for (unsigned int i = 0; i < NR_BUCKETS; i++) {
		below += histogram->buckets[i];
		fprintf(file, "ovltreed_%s_bucket{le=\"%.9g\"} %" PRIu64 "\n",
			name, bound(unit, i) / scale, below);
	}
	fprintf(file,
		"ovltreed_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n"
		"ovltreed_%s_sum %.9g\n"
		"ovltreed_%s_count %" PRIu64 "\n",
		name, histogram->count, name, histogram->sum / scale, name,
		histogram->count);
}

void metrics_print(FILE *file, const struct metrics *metrics, size_t queued)
{
	head(file, "done_total", "counter", "Requests that ended well.");
	for (unsigned int i = 0; i < 2; i++)
		fprintf(file, "ovltreed_done_total{kind=\"%s\"} %" PRIu64 "\n",
			common_kind_name(i), metrics->done[i]);
	head(file, "errors_total", "counter", "Requests that failed.");
	for (int i = 1; i < 256; i++)
		if (metrics->failed[i])
			fprintf(file,
				"ovltreed_errors_total{errno=\"%s\"} %" PRIu64
				"\n",
				strerrorname_np(i) ?: "unknown",
				metrics->failed[i]);
	head(file, "gone_total", "counter",
	     "Requests that had ended before their batch began.");
	fprintf(file, "ovltreed_gone_total %" PRIu64 "\n", metrics->gone);
	head(file, "batches_total", "counter", "Batches.");
	for (unsigned int i = 0; i < 2; i++)
		fprintf(file,
			"ovltreed_batches_total{kind=\"%s\"} %" PRIu64 "\n",
			common_kind_name(i), metrics->batches[i]);
	head(file, "resyncs_total", "counter",
	     "Times that the queue was read anew.");
	fprintf(file, "ovltreed_resyncs_total %" PRIu64 "\n", metrics->resyncs);
	head(file, "queue_length", "gauge", "Requests that wait.");
	fprintf(file, "ovltreed_queue_length %zu\n", queued);
	print_histogram(file, "batch_size", "Requests in a batch.",
			&metrics->size, SIZE_UNIT);
	print_histogram(file, "queued_seconds",
			"Time from submission to the begin of the batch.",
			&metrics->queued, TIME_UNIT);
	print_histogram(file, "wait_seconds",
			"Time that batches waited for the mount locks.",
			&metrics->wait, TIME_UNIT);
	print_histogram(file, "hold_seconds",
			"Time that batches held the mount locks.",
			&metrics->hold, TIME_UNIT);
}

int metrics_write(const char *path, const struct metrics *metrics,
		  size_t queued, const struct ovlt_stats *stats)
{
	char new[PATH_MAX + sizeof(".new")];
	FILE *file;
	bool bad;
	int err;

	/* The collector takes what ends in .prom. */
	snprintf(new, sizeof(new), "%s.new", path);
	file = fopen(new, "we");
	if (!file)
		return -errno;
	fchmod(fileno(file), 0644);
	common_print_metrics(file, stats);
	metrics_print(file, metrics, queued);
	bad = ferror(file);
	bad |= fclose(file) != 0;
	if (!bad && !rename(new, path))
		return 0;
	err = bad ? -EIO : -errno;
	unlink(new);
	return err;
}
