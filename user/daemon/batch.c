// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which requests make the next batch, and when. Nothing here has a state: the
 * order follows from what waits.
 *
 * A request that is old goes first, so that none starves. Then priority counts,
 * and among equals each user namespace gets its turn, and within it each cgroup:
 * the n-th request of a cgroup stands behind the (n-1)-th of all others, as if
 * they were dealt out one at a time.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon.h"

/**
 * struct candidate - a request with its place
 * @request: the request
 * @old: it goes before all that are not
 * @in_cgroup: how many of its cgroup go before it
 * @in_userns: how many of its user namespace do
 */
struct candidate {
	const struct waiting *request;
	bool old;
	size_t in_cgroup;
	size_t in_userns;
};

/* Less goes first. */
static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_age(const struct waiting *a, const struct waiting *b)
{
	int order = compare(a->since, b->since);

	return order ? order : compare(a->id, b->id);
}

static int by_cgroup(const void *left, const void *right)
{
	const struct waiting *a = ((const struct candidate *)left)->request;
	const struct waiting *b = ((const struct candidate *)right)->request;
	int order = compare(a->userns, b->userns);

	if (!order)
		order = compare(a->cgroup, b->cgroup);
	if (!order)
		order = compare(b->priority, a->priority);
	return order ? order : compare_age(a, b);
}

static int by_userns(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = compare(a->request->userns, b->request->userns);

	if (!order)
		order = compare(b->request->priority, a->request->priority);
	if (!order)
		order = compare(a->in_cgroup, b->in_cgroup);
	return order ? order : compare_age(a->request, b->request);
}

static int by_turn(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	int order = b->old - a->old;

	if (!order && !a->old)
		order = compare(b->request->priority, a->request->priority);
	if (!order)
		order = compare(a->in_userns, b->in_userns);
	return order ? order : compare_age(a->request, b->request);
}

static bool same_cgroup(const struct waiting *a, const struct waiting *b)
{
	return a->userns == b->userns && a->cgroup == b->cgroup;
}

static void rank(struct candidate *candidates, size_t nr)
{
	qsort(candidates, nr, sizeof(*candidates), by_cgroup);
	for (size_t i = 1; i < nr; i++)
		if (same_cgroup(candidates[i].request,
				candidates[i - 1].request))
			candidates[i].in_cgroup =
				candidates[i - 1].in_cgroup + 1;
	qsort(candidates, nr, sizeof(*candidates), by_userns);
	for (size_t i = 1; i < nr; i++)
		if (candidates[i].request->userns ==
		    candidates[i - 1].request->userns)
			candidates[i].in_userns =
				candidates[i - 1].in_userns + 1;
	qsort(candidates, nr, sizeof(*candidates), by_turn);
}

/**
 * batch_bound() - tell how many requests a batch may have
 * @limits: its bounds
 *
 * Return: the number; at least one, whatever that costs.
 */
size_t batch_bound(const struct limits *limits)
{
	size_t affordable = limits->max;

	if (limits->hold && limits->cost)
		affordable = limits->hold / limits->cost;
	if (!affordable)
		return 1;
	return affordable < limits->max ? affordable : limits->max;
}

/**
 * batch_choose() - choose the requests of the next batch
 * @queue: what waits
 * @limits: bounds of the batch
 * @ids: gets the ids, in the order in which they are to be committed; has room
 *	for @limits->max of them
 * @nr: gets the number of them
 *
 * Return: 0, -ENOMEM.
 */
int batch_choose(const struct queue *queue, const struct limits *limits,
		 uint64_t *ids, size_t *nr)
{
	struct candidate *candidates;

	*nr = 0;
	if (!queue->nr)
		return 0;
	candidates = calloc(queue->nr, sizeof(*candidates));
	if (!candidates)
		return -ENOMEM;
	for (size_t i = 0; i < queue->nr; i++) {
		candidates[i].request = &queue->requests[i];
		candidates[i].old = queue->requests[i].since + limits->age <=
				    limits->now;
	}
	rank(candidates, queue->nr);
	*nr = batch_bound(limits);
	if (*nr > queue->nr)
		*nr = queue->nr;
	for (size_t i = 0; i < *nr; i++)
		ids[i] = candidates[i].request->id;
	free(candidates);
	return 0;
}

/**
 * batch_due() - tell when the next batch is to begin
 * @queue: what waits
 * @last: when the last one began
 * @interval: the least time from one to the next
 * @max: most requests in a batch, as batch_bound() tells
 *
 * The first request after a pause goes at once. Those that follow it closely
 * are gathered until @interval has passed, a batch is full, or half the time to
 * a deadline, after which the kernel would do the work.
 *
 * Return: the time; UINT64_MAX when nothing waits.
 */
uint64_t batch_due(const struct queue *queue, uint64_t last, uint64_t interval,
		   size_t max)
{
	uint64_t due = last + interval;

	if (!queue->nr)
		return UINT64_MAX;
	if (queue->nr >= max)
		return 0;
	for (size_t i = 0; i < queue->nr; i++) {
		const struct waiting *request = &queue->requests[i];
		uint64_t half = request->since +
				(request->deadline - request->since) / 2;

		if (half < due)
			due = half;
	}
	return due;
}

/**
 * batch_learn() - learn what a request costs from a batch that has ended
 * @cost: what was expected, in nanoseconds under the mount locks; 0 for nothing
 * @nr: requests in the batch
 * @hold: nanoseconds that it held the locks
 *
 * Return: what is expected from now on.
 */
uint64_t batch_learn(uint64_t cost, size_t nr, uint64_t hold)
{
	uint64_t seen = nr ? hold / nr : 0;

	if (!seen)
		return cost;
	return cost ? (7 * cost + seen) / 8 : seen;
}
