// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The context: which backend does the work, and where messages go.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "private.h"

/* The order is that in which they are tried. */
static const struct ovlt_backend *const backends[] = {
	&ovlt_backend_daemon,
	&ovlt_backend_ioctl,
	&ovlt_backend_mountapi,
	&ovlt_backend_mountns,
};

/**
 * ovlt_backend_name() - names of the backends
 * @index: which, from 0
 *
 * The order is that in which they are tried. "daemon" is passed over unless it
 * is asked for: trees are prepared here and attached by a daemon, together with
 * those of other processes; what it can't take goes to the others, see
 * ovlt_ctx_set_submit(). It is the daemon of the network namespace that the calling
 * thread is in. "ioctl" is the ovltree module: a batch is one system call. "mount-api" are the kernel's own
 * calls, a tree at a time; idmapped layers are taken from detached mounts where the
 * kernel can (6.15 and later), otherwise as "mount-ns" does. "mount-ns" is the same,
 * but always arranges idmapped layers in a private mount namespace.
 *
 * Thread rules: none. Since: 0.1.
 *
 * Return: the name, or NULL after the last.
 */
OVLT_EXPORT const char *ovlt_backend_name(unsigned int index)
{
	return index < ARRAY_SIZE(backends) ? backends[index]->name : NULL;
}

/**
 * ovlt_backend_is_automatic() - tell if a backend is chosen unasked
 * @index: which, as ovlt_backend_name() counts
 *
 * Thread rules: none. Since: 0.1.
 *
 * Return: 1; 0 if it is only asked for by name, or there is none.
 */
OVLT_EXPORT int ovlt_backend_is_automatic(unsigned int index)
{
	/* Who has a batch already gains nothing by a queue. */
	return index < ARRAY_SIZE(backends) &&
	       backends[index] != &ovlt_backend_daemon;
}

/**
 * ovlt_ctx_new() - make a context
 *
 * It has one reference, and chooses its backend when it first needs one.
 *
 * Thread rules: a context may be used by any number of threads at once, but is
 * configured (ovlt_ctx_set_*()) before the others begin. Since: 0.1.
 *
 * Return: the context, or NULL with errno ENOMEM.
 */
OVLT_EXPORT struct ovlt_ctx *ovlt_ctx_new(void)
{
	struct ovlt_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->refs = 1;
	ctx->dev_fd = -1;
	pthread_mutex_init(&ctx->lock, NULL);
	return ctx;
}

/**
 * ovlt_ctx_ref() - take a reference
 * @ctx: the context, or NULL
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: @ctx.
 */
OVLT_EXPORT struct ovlt_ctx *ovlt_ctx_ref(struct ovlt_ctx *ctx)
{
	if (ctx)
		__atomic_add_fetch(&ctx->refs, 1, __ATOMIC_RELAXED);
	return ctx;
}

/**
 * ovlt_ctx_unref() - drop a reference, with the last of them the context
 * @ctx: the context, or NULL
 *
 * Thread rules: any thread. Since: 0.1.
 */
OVLT_EXPORT void ovlt_ctx_unref(struct ovlt_ctx *ctx)
{
	if (!ctx || __atomic_sub_fetch(&ctx->refs, 1, __ATOMIC_ACQ_REL))
		return;
	ovlt_close(ctx->dev_fd);
	ovlt_queue_free(ctx->queue);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
}

/**
 * ovlt_ctx_set_log() - have messages delivered
 * @ctx: the context
 * @log: called from whichever thread has something to tell; NULL is silence
 * @data: its first argument
 *
 * Thread rules: before other threads use @ctx. Since: 0.1.
 */
OVLT_EXPORT void ovlt_ctx_set_log(struct ovlt_ctx *ctx, ovlt_log_fn log,
				  void *data)
{
	ctx->log = log;
	ctx->log_data = data;
}

void ovlt_log(struct ovlt_ctx *ctx, int priority, const char *fmt, ...)
{
	char message[512];
	va_list ap;

	if (!ctx->log)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	ctx->log(ctx->log_data, priority, message);
}

/* Remember why; to be called with the lock held. */
int ovlt_ctx_fail(struct ovlt_ctx *ctx, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ctx->error, sizeof(ctx->error), fmt, ap);
	va_end(ap);
	return err;
}

static int try_backend(struct ovlt_ctx *ctx, const struct ovlt_backend *backend)
{
	struct ovlt_info info = { .backend = backend->name };
	int err = backend->open(ctx, &info);

	if (err) {
		ovlt_log(ctx, LOG_INFO, "backend %s: %s: %s", backend->name,
			 ctx->error, strerror(-err));
		return err;
	}
	ovlt_log(ctx, LOG_DEBUG, "backend %s in use", backend->name);
	ctx->backend = backend;
	ctx->info = info;
	return 0;
}

/* The daemon was asked for, and isn't insisted on. */
static bool may_do_without(const struct ovlt_ctx *ctx)
{
	return ctx->wanted == &ovlt_backend_daemon &&
	       ctx->submit.refused == OVLT_REFUSED_DIRECT;
}

int ovlt_ctx_backend(struct ovlt_ctx *ctx, const struct ovlt_backend **backend)
{
	int err = 0;

	pthread_mutex_lock(&ctx->lock);
	if (!ctx->backend && ctx->wanted)
		err = try_backend(ctx, ctx->wanted);
	if (!ctx->wanted || (err && may_do_without(ctx)))
		for (size_t i = 0; !ctx->backend && i < ARRAY_SIZE(backends);
		     i++)
			if (ovlt_backend_is_automatic(i))
				err = try_backend(ctx, backends[i]);
	if (ctx->backend)
		err = 0;
	*backend = ctx->backend;
	pthread_mutex_unlock(&ctx->lock);
	return err;
}

/**
 * ovlt_ctx_set_backend() - choose the backend
 * @ctx: the context
 * @name: a name that ovlt_backend_name() tells; NULL or "auto" for the first
 *	that works, of those that are chosen unasked
 *
 * Whether the backend works here shows when it is first used: at
 * ovlt_ctx_get_info() or at the first batch.
 *
 * Thread rules: before other threads use @ctx. Since: 0.1.
 *
 * Return: 0, -EINVAL for an unknown name, -EBUSY when a backend is in use.
 */
OVLT_EXPORT int ovlt_ctx_set_backend(struct ovlt_ctx *ctx, const char *name)
{
	const struct ovlt_backend *wanted = NULL;
	int err = 0;

	pthread_mutex_lock(&ctx->lock);
	if (name && strcmp(name, "auto")) {
		for (size_t i = 0; !wanted && i < ARRAY_SIZE(backends); i++)
			if (!strcmp(name, backends[i]->name))
				wanted = backends[i];
		if (!wanted)
			err = ovlt_ctx_fail(ctx, -EINVAL,
					    "no backend is called %s", name);
	}
	if (!err && ctx->backend)
		err = ovlt_ctx_fail(ctx, -EBUSY, "backend %s is in use already",
				    ctx->backend->name);
	if (!err)
		ctx->wanted = wanted;
	pthread_mutex_unlock(&ctx->lock);
	return err;
}

/**
 * ovlt_ctx_set_threads() - say how many threads may build trees at once
 * @ctx: the context
 * @nr: most of them, the calling one included: 0 is one for each CPU that the
 *	caller may run on, 1 is none but the caller
 *
 * They exist during ovlt_batch_attach() and ovlt_batch_prepare() of more than a
 * few trees, if the backend gains by it: that is "ioctl".
 *
 * Thread rules: before other threads use @ctx. Since: 0.1.
 */
OVLT_EXPORT void ovlt_ctx_set_threads(struct ovlt_ctx *ctx, unsigned int nr)
{
	ctx->threads = nr;
}

/**
 * ovlt_ctx_set_submit() - say how the backend "daemon" submits
 * @ctx: the context
 * @options: what to say; the name is copied
 * @size: sizeof(struct ovlt_submit_options) of the caller
 *
 * Without this call it is all zeroes: no name, the least priority, the kernel's
 * deadline, and the work is done directly when there is no daemon or its queue
 * is full. Directly means with the first backend of ovlt_backend_name() that
 * works; it is "ioctl" where there is a queue at all.
 *
 * Thread rules: before other threads use @ctx. Since: 0.1.
 *
 * Return: 0; -EINVAL for a name, a priority or a deadline that the kernel
 * doesn't take, or an unknown @refused.
 */
OVLT_EXPORT int ovlt_ctx_set_submit(struct ovlt_ctx *ctx,
				    const struct ovlt_submit_options *options,
				    size_t size)
{
	struct ovlt_submit_options submit = { 0 };

	memcpy(&submit, options, size < sizeof(submit) ? size : sizeof(submit));
	if ((submit.name && strlen(submit.name) > OVLTREE_NAME_MAX) ||
	    submit.priority > 255 || submit.deadline_ms > 60000 ||
	    submit.refused > OVLT_REFUSED_FAIL)
		return -EINVAL;
	snprintf(ctx->submit_name, sizeof(ctx->submit_name), "%s",
		 submit.name ? submit.name : "");
	submit.name = submit.name ? ctx->submit_name : NULL;
	ctx->submit = submit;
	return 0;
}

/**
 * ovlt_ctx_get_info() - tell which backend is in use and what it can do
 * @ctx: the context
 * @info: gets the answer
 * @size: sizeof(struct ovlt_info) of the caller
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: 0; or, when no backend works, what open(2) or ioctl(2) of the last
 * that was tried said; ovlt_ctx_get_error() tells more.
 */
OVLT_EXPORT int ovlt_ctx_get_info(struct ovlt_ctx *ctx, struct ovlt_info *info,
				  size_t size)
{
	const struct ovlt_backend *backend;
	struct ovlt_info answer;
	int err = ovlt_ctx_backend(ctx, &backend);

	if (err)
		return err;
	answer = ctx->info;
	if (backend->query) {
		pthread_mutex_lock(&ctx->lock);
		err = backend->query(ctx, &answer);
		pthread_mutex_unlock(&ctx->lock);
		if (err)
			return err;
	}
	memset(info, 0, size);
	memcpy(info, &answer, size < sizeof(answer) ? size : sizeof(answer));
	return 0;
}

/**
 * ovlt_ctx_get_error() - tell why a call failed that no entry is to blame for
 * @ctx: the context
 * @text: gets the text of the last such error, empty when there was none
 * @size: bytes at @text
 *
 * Thread rules: any thread; with several of them it may be another's error.
 * Since: 0.1.
 *
 * Return: 0, or -ENOSPC when the text was cut.
 */
OVLT_EXPORT int ovlt_ctx_get_error(struct ovlt_ctx *ctx, char *text,
				   size_t size)
{
	int len;

	pthread_mutex_lock(&ctx->lock);
	len = snprintf(text, size, "%s", ctx->error);
	pthread_mutex_unlock(&ctx->lock);
	return (size_t)len < size ? 0 : -ENOSPC;
}
