/* SPDX-License-Identifier: GPL-2.0-only */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ovltree

#if !defined(_OVLTREE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _OVLTREE_TRACE_H

#include <linux/tracepoint.h>
#include <uapi/linux/ovltree.h>

#include "queue.h"

TRACE_EVENT(ovltree_begin,
	TP_PROTO(const char *command, unsigned int nr, u32 flags),
	TP_ARGS(command, nr, flags),
	TP_STRUCT__entry(
		__string(command, command)
		__field(unsigned int, nr)
		__field(u32, flags)
	),
	TP_fast_assign(
		__assign_str(command);
		__entry->nr = nr;
		__entry->flags = flags;
	),
	TP_printk("%s nr=%u flags=%#x", __get_str(command), __entry->nr,
		  __entry->flags)
);

TRACE_EVENT(ovltree_prepared,
	TP_PROTO(unsigned int index, int error, u64 ns),
	TP_ARGS(index, error, ns),
	TP_STRUCT__entry(
		__field(unsigned int, index)
		__field(int, error)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->index = index;
		__entry->error = error;
		__entry->ns = ns;
	),
	TP_printk("entry=%u error=%d ns=%llu", __entry->index, __entry->error,
		  __entry->ns)
);

DECLARE_EVENT_CLASS(ovltree_done,
	TP_PROTO(unsigned int nr, unsigned int succeeded, u64 wait_ns,
		 u64 hold_ns),
	TP_ARGS(nr, succeeded, wait_ns, hold_ns),
	TP_STRUCT__entry(
		__field(unsigned int, nr)
		__field(unsigned int, succeeded)
		__field(u64, wait_ns)
		__field(u64, hold_ns)
	),
	TP_fast_assign(
		__entry->nr = nr;
		__entry->succeeded = succeeded;
		__entry->wait_ns = wait_ns;
		__entry->hold_ns = hold_ns;
	),
	TP_printk("nr=%u succeeded=%u lock_wait_ns=%llu lock_hold_ns=%llu",
		  __entry->nr, __entry->succeeded, __entry->wait_ns,
		  __entry->hold_ns)
);

DEFINE_EVENT(ovltree_done, ovltree_committed,
	TP_PROTO(unsigned int nr, unsigned int succeeded, u64 wait_ns,
		 u64 hold_ns),
	TP_ARGS(nr, succeeded, wait_ns, hold_ns)
);

DEFINE_EVENT(ovltree_done, ovltree_detached,
	TP_PROTO(unsigned int nr, unsigned int succeeded, u64 wait_ns,
		 u64 hold_ns),
	TP_ARGS(nr, succeeded, wait_ns, hold_ns)
);

TRACE_EVENT(ovltree_error,
	TP_PROTO(const struct ovltree_result *result),
	TP_ARGS(result),
	TP_STRUCT__entry(
		__field(int, error)
		__field(u32, field)
		__field(u32, index)
		__string(message, result->message)
	),
	TP_fast_assign(
		__entry->error = result->error;
		__entry->field = result->field;
		__entry->index = result->index;
		__assign_str(message);
	),
	TP_printk("error=%d field=%u index=%u %s", __entry->error,
		  __entry->field, __entry->index, __get_str(message))
);

TRACE_EVENT(ovltree_submitted,
	TP_PROTO(const struct ovlt_request *request),
	TP_ARGS(request),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(int, kind)
		__field(u32, deadline_ms)
		__string(name, request->name)
	),
	TP_fast_assign(
		__entry->id = request->id;
		__entry->kind = request->kind;
		__entry->deadline_ms = request->deadline_ms;
		__assign_str(name);
	),
	TP_printk("id=%llu kind=%d deadline_ms=%u name=%s", __entry->id,
		  __entry->kind, __entry->deadline_ms, __get_str(name))
);

TRACE_EVENT(ovltree_ended,
	TP_PROTO(const struct ovlt_request *request, int error),
	TP_ARGS(request, error),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(int, error)
		__field(u64, queued)
	),
	TP_fast_assign(
		__entry->id = request->id;
		__entry->error = error;
		__entry->queued = request->claimed - request->submitted;
	),
	TP_printk("id=%llu error=%d queued_ns=%llu", __entry->id, __entry->error,
		  __entry->queued)
);

#endif /* _OVLTREE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
