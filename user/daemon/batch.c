// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which requests make the next batch, and when. Nothing here has a state: the
 * order follows from what waits, and the time from that and the batch before.
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
 *	for all of @queue
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

/* Half of what is left to a request until the kernel would do it. */
static uint64_t half_deadline(const struct waiting *request)
{
	return request->since + (request->deadline - request->since) / 2;
}

/*
 * How long nothing has to come for a burst to be over. Where all is slow, or the
 * CPUs are busy, those of a burst come further apart, and a batch takes longer, too.
 */
static uint64_t pause_of(const struct pace *pace, uint64_t interval)
{
	uint64_t took = pace->end - pace->begin;

	return interval && 2 * took > interval ? 2 * took : interval;
}

/*
 * Who waits for each of its requests has none while the last batch is under way. It
 * may have the next one before the end of that, for it hears of it before we do.
 */
static bool is_of_burst(const struct pace *pace, uint64_t oldest,
			uint64_t pause)
{
	if (pace->nr > 1)
		return oldest < pace->end + pause;
	return oldest < pace->begin + (pace->end - pace->begin) / 2;
}

/*
 * Two batches of one size are of as many who each wait for their request and then
 * come again. When all of them are back there is nobody to wait for.
 */
static bool are_all_back(const struct queue *queue, const struct pace *pace)
{
	return pace->nr > 1 && pace->nr == pace->nr_before &&
	       queue->nr >= pace->nr;
}

/**
 * batch_due() - tell when the next batch is to begin
 * @queue: what waits
 * @pace: the batch before
 * @interval: what at least counts as a pause, 0 to gather nothing
 * @max: most requests in a batch, as batch_bound() tells
 *
 * A request that is alone goes at once. When several have met, or one meets a
 * batch, it is a burst. Its requests are gathered as long as they keep coming, which
 * ends with a pause, with ten times as long as one, with a batch that is full or as
 * large as the two before it, or with half the time to a deadline, after which the
 * kernel would do the work.
 *
 * Return: the time; 0 for at once, UINT64_MAX when nothing waits.
 */
uint64_t batch_due(const struct queue *queue, const struct pace *pace,
		   uint64_t interval, size_t max)
{
	uint64_t pause = pause_of(pace, interval);
	uint64_t oldest = UINT64_MAX, newest = 0, soonest = UINT64_MAX;
	uint64_t due;

	if (!queue->nr)
		return UINT64_MAX;
	for (size_t i = 0; i < queue->nr; i++) {
		const struct waiting *request = &queue->requests[i];

		if (request->since < oldest)
			oldest = request->since;
		if (request->since > newest)
			newest = request->since;
		if (half_deadline(request) < soonest)
			soonest = half_deadline(request);
	}
	if (queue->nr >= max || are_all_back(queue, pace) ||
	    (queue->nr == 1 && !is_of_burst(pace, oldest, pause)))
		return 0;
	due = newest + pause;
	if (due > oldest + 10 * pause)
		due = oldest + 10 * pause;
	return due < soonest ? due : soonest;
}

/**
 * batch_learn() - learn what a request costs from a batch that has ended
 * @cost: what was expected, in nanoseconds under the mount locks; 0 for nothing
 * @nr: requests in the batch
 * @hold: nanoseconds that it held the locks
 *
 * Each request of a batch is a sample: one that was alone also paid for what is done
 * once a batch, and is not to make batches small for long.
 *
 * Return: what is expected from now on.
 */
uint64_t batch_learn(uint64_t cost, size_t nr, uint64_t hold)
{
	if (!nr || !hold)
		return cost;
	return cost ? (7 * cost + hold) / (7 + nr) : hold / nr;
}
