// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls in a thread that is thrown away afterwards: the only place where a
 * library may change its working folder, root or mount namespace.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>

#include "private.h"

struct call {
	int (*fn)(void *arg);
	void *arg;
	int err;
};

static void *thread_main(void *data)
{
	struct call *call = data;

	/* Threads share these until told otherwise, and setns(2) wants it so. */
	if (unshare(CLONE_FS))
		call->err = -errno;
	else
		call->err = call->fn(call->arg);
	return NULL;
}

/* Returns what @fn returns, or the error that kept it from being called. */
int ovlt_thread_call(int (*fn)(void *arg), void *arg)
{
	struct call call = { .fn = fn, .arg = arg };
	sigset_t all, old;
	pthread_t thread;
	int err;

	/* The application's signal handlers aren't ours to run. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, thread_main, &call);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	pthread_join(thread, NULL);
	return call.err;
}
