// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A batch that several threads work on. They are made by the caller for this
 * batch alone, see thread.c.
 */
#include <errno.h>
#include <sched.h>

#include "private.h"

/* Fewer are built by the time that a thread is there. */
#define MIN_ENTRIES 4

/* As many CPUs as a kernel can be built for. */
#define MAX_CPUS 8192

/**
 * struct slice - entries that one thread works on
 * @thread: the thread
 * @started: it exists
 * @ctx: first argument of @fn, the others follow
 * @fn: what to do
 * @entries: the entries
 * @nr: number of them
 * @flags: flags of the batch
 * @times: how long it took
 */
struct slice {
	struct ovlt_thread thread;
	bool started;
	struct ovlt_ctx *ctx;
	ovlt_run_fn fn;
	struct ovlt_entry **entries;
	unsigned int nr;
	unsigned int flags;
	struct ovlt_times times;
};

static unsigned int count_cpus(void)
{
	cpu_set_t cpus[MAX_CPUS / CPU_SETSIZE];

	CPU_ZERO_S(sizeof(cpus), cpus);
	if (sched_getaffinity(0, sizeof(cpus), cpus))
		return 1;
	return CPU_COUNT_S(sizeof(cpus), cpus);
}

/* How many threads are of use for @nr entries, the calling one included. */
unsigned int ovlt_parallel_nr(const struct ovlt_ctx *ctx, unsigned int nr)
{
	unsigned int most = nr / MIN_ENTRIES;
	unsigned int threads;

	if (most < 2 || ctx->threads == 1)
		return 1;
	threads = ctx->threads ? ctx->threads : count_cpus();
	return threads < most ? threads : most;
}

static int run_slice(void *arg)
{
	struct slice *slice = arg;

	return slice->fn(slice->ctx, slice->entries, slice->nr, slice->flags,
			 &slice->times);
}

static int run_slices(struct slice *slices, unsigned int nr,
		      struct ovlt_times *times)
{
	int err = 0;

	for (unsigned int i = 1; i < nr; i++)
		slices[i].started = !ovlt_thread_start(&slices[i].thread);
	for (unsigned int i = 0; i < nr; i++) {
		int ret = slices[i].started ?
				  ovlt_thread_join(&slices[i].thread) :
				  run_slice(&slices[i]);

		if (!err)
			err = ret;
		times->wait_ns += slices[i].times.wait_ns;
		times->hold_ns += slices[i].times.hold_ns;
	}
	return err;
}

/*
 * Have @fn work on slices of @entries at the same time, with the outcome that
 * it would have had on all of them.
 */
int ovlt_parallel(struct ovlt_ctx *ctx, ovlt_run_fn fn,
		  struct ovlt_entry **entries, unsigned int nr,
		  unsigned int flags, struct ovlt_times *times)
{
	unsigned int nr_slices = ovlt_parallel_nr(ctx, nr);
	struct slice *slices;
	int err;

	if (nr_slices < 2)
		return fn(ctx, entries, nr, flags, times);
	slices = calloc(nr_slices, sizeof(*slices));
	if (!slices)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr_slices; i++) {
		unsigned int first = (uint64_t)nr * i / nr_slices;
		unsigned int end = (uint64_t)nr * (i + 1) / nr_slices;

		slices[i] = (struct slice){
			.thread = { .fn = run_slice, .arg = &slices[i] },
			.ctx = ctx,
			.fn = fn,
			.entries = entries + first,
			.nr = end - first,
			.flags = flags,
		};
	}
	err = run_slices(slices, nr_slices, times);
	free(slices);
	for (unsigned int i = 0; err && i < nr; i++)
		ovlt_entry_close(entries[i]);
	if (!err)
		ovlt_entries_settle(entries, nr, flags);
	return err;
}
