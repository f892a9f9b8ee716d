// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits: a copy of the kernel's queue, which READY adds to and a dump puts
 * right. It may have requests that have ended meanwhile; the kernel knows.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon.h"

/* NULL when it isn't known. */
struct waiting *queue_find(const struct queue *queue, uint64_t id)
{
	for (size_t i = 0; i < queue->nr; i++)
		if (queue->requests[i].id == id)
			return &queue->requests[i];
	return NULL;
}

int queue_add(struct queue *queue, const struct ovlt_request *request,
	      uint64_t now)
{
	struct waiting *known = queue_find(queue, request->id);
	struct waiting *requests;
	uint64_t since;
	size_t size;

	if (known) {
		known->mark = true;
		return 0;
	}
	if (queue->nr == queue->size) {
		size = 2 * queue->size + 64;
		requests =
			reallocarray(queue->requests, size, sizeof(*requests));
		if (!requests)
			return -ENOMEM;
		queue->requests = requests;
		queue->size = size;
	}
	since = now - request->age_ns;
	queue->requests[queue->nr++] = (struct waiting){
		.id = request->id,
		.kind = request->kind,
		.priority = request->priority,
		.userns = request->userns_id,
		.cgroup = request->cgroup_id,
		.since = since,
		.deadline = since + request->deadline_ms * NS_PER_MS,
		.mark = true,
	};
	return 0;
}

void queue_remove(struct queue *queue, uint64_t id)
{
	struct waiting *request = queue_find(queue, id);

	if (request)
		*request = queue->requests[--queue->nr];
}

/* Between begin and end all that still waits is added; the rest is gone. */
void queue_resync_begin(struct queue *queue)
{
	for (size_t i = 0; i < queue->nr; i++)
		queue->requests[i].mark = false;
}

void queue_resync_end(struct queue *queue)
{
	size_t nr = 0;

	for (size_t i = 0; i < queue->nr; i++)
		if (queue->requests[i].mark)
			queue->requests[nr++] = queue->requests[i];
	queue->nr = nr;
}

void queue_clear(struct queue *queue)
{
	free(queue->requests);
	*queue = (struct queue){ 0 };
}
