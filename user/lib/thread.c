// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls in threads that are thrown away afterwards.
 *
 * A new thread has from the one that creates it: credentials, capabilities and
 * security labels, seccomp filters, all namespaces, the cgroup, the CPUs it may
 * run on, and what it shares: descriptors, memory, limits, working folder and
 * root. So what it does for its creator is done with its creator's rights, and is
 * accounted to it. Threads that are kept for the next caller would be another's.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "private.h"

static void *thread_main(void *data)
{
	struct ovlt_thread *thread = data;

	thread->err = thread->fn(thread->arg);
	return NULL;
}

int ovlt_thread_start(struct ovlt_thread *thread)
{
	sigset_t all, old;
	int err;

	/* The application's signal handlers aren't ours to run. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread->id, NULL, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* Returns what the call returned. */
int ovlt_thread_join(struct ovlt_thread *thread)
{
	pthread_join(thread->id, NULL);
	return thread->err;
}

/* Threads share folders until told otherwise, and setns(2) wants it so. */
static int call_apart(void *arg)
{
	struct ovlt_thread *call = arg;

	return unshare(CLONE_FS) ? -errno : call->fn(call->arg);
}

/*
 * The only place where a library may change its working folder, root or mount
 * namespace. Returns what @fn returns, or the error that kept it from being
 * called.
 */
int ovlt_thread_call(int (*fn)(void *arg), void *arg)
{
	struct ovlt_thread call = { .fn = fn, .arg = arg };
	struct ovlt_thread thread = { .fn = call_apart, .arg = &call };
	int err = ovlt_thread_start(&thread);

	return err ? err : ovlt_thread_join(&thread);
}
