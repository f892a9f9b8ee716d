// SPDX-License-Identifier: GPL-2.0
/*
 * What of the kernel a run reaches: KCOV's trace of the calling task, as edges from
 * one place to the next.
 */
#include <fcntl.h>
#include <linux/kcov.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define TRACE_SIZE (1UL << 16)

/* Return: false where the kernel has no KCOV. */
bool coverage_open(struct coverage *coverage)
{
	coverage->fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	if (coverage->fd < 0)
		return false;
	coverage->met = calloc(NR_EDGES, sizeof(*coverage->met));
	if (!coverage->met || ioctl(coverage->fd, KCOV_INIT_TRACE, TRACE_SIZE))
		return false;
	coverage->trace = mmap(NULL, TRACE_SIZE * sizeof(*coverage->trace),
			       PROT_READ | PROT_WRITE, MAP_SHARED, coverage->fd, 0);
	return coverage->trace != MAP_FAILED &&
	       !ioctl(coverage->fd, KCOV_ENABLE, KCOV_TRACE_PC);
}

void coverage_start(struct coverage *coverage)
{
	if (coverage->trace)
		__atomic_store_n(&coverage->trace[0], 0, __ATOMIC_RELAXED);
}

static unsigned int edge(unsigned long from, unsigned long to)
{
	return ((from * 3 ^ to) * 0x9e3779b97f4a7c15UL) >> 46;
}

/* Take in what was reached since coverage_start(). */
void coverage_stop(struct coverage *coverage)
{
	unsigned long nr, from = 0;

	if (!coverage->trace)
		return;
	nr = __atomic_load_n(&coverage->trace[0], __ATOMIC_RELAXED);
	coverage->run++;
	for (unsigned long i = 1; i <= nr; i++) {
		coverage->met[edge(from, coverage->trace[i])] = coverage->run;
		from = coverage->trace[i];
	}
	coverage->nr = nr;
}

/* The edges of the last run that weren't @seen by any worker, and are now. */
void coverage_fresh(const struct coverage *coverage, unsigned char *seen,
		    struct fresh *fresh)
{
	unsigned long from = 0;

	fresh->nr = 0;
	for (unsigned long i = 1; i <= coverage->nr && fresh->nr < MAX_FRESH; i++) {
		unsigned int e = edge(from, coverage->trace[i]);

		if (!seen[e] && !__atomic_exchange_n(&seen[e], 1, __ATOMIC_RELAXED))
			fresh->edges[fresh->nr++] = e;
		from = coverage->trace[i];
	}
}

/* Forget those that the last run didn't have. */
void coverage_keep_met(const struct coverage *coverage, struct fresh *fresh)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < fresh->nr; i++)
		if (coverage->met[fresh->edges[i]] == coverage->run)
			fresh->edges[nr++] = fresh->edges[i];
	fresh->nr = nr;
}

/* Whether the last run had them all */
bool coverage_has(const struct coverage *coverage, const struct fresh *fresh)
{
	for (unsigned int i = 0; i < fresh->nr; i++)
		if (coverage->met[fresh->edges[i]] != coverage->run)
			return false;
	return true;
}
