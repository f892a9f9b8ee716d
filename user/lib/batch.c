// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The batch: what goes where, and what became of it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "private.h"

/**
 * ovlt_batch_new() - make a batch that has no entries
 * @ctx: who does the work; the batch holds a reference
 * @flags: 0; or OVLT_ALL: when an entry fails, all others are undone
 *
 * A batch is one of trees and mounts to attach, or one of targets and ids to
 * detach. It may be run any number of times.
 *
 * Thread rules: a batch is used by one thread at a time. Since: 0.1.
 *
 * Return: the batch with one reference, or NULL with errno EINVAL for unknown
 * flags, or ENOMEM.
 */
OVLT_EXPORT struct ovlt_batch *ovlt_batch_new(struct ovlt_ctx *ctx,
					      unsigned int flags)
{
	struct ovlt_batch *batch;

	if (flags & ~OVLT_ALL) {
		errno = EINVAL;
		return NULL;
	}
	batch = calloc(1, sizeof(*batch));
	if (!batch)
		return NULL;
	batch->refs = 1;
	batch->flags = flags;
	batch->ctx = ovlt_ctx_ref(ctx);
	return batch;
}

/**
 * ovlt_batch_ref() - take a reference
 * @batch: the batch, or NULL
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: @batch.
 */
OVLT_EXPORT struct ovlt_batch *ovlt_batch_ref(struct ovlt_batch *batch)
{
	if (batch)
		__atomic_add_fetch(&batch->refs, 1, __ATOMIC_RELAXED);
	return batch;
}

static void entry_free(struct ovlt_entry *entry)
{
	ovlt_tree_unref(entry->tree);
	ovlt_file_clear(&entry->target);
	ovlt_layerset_unref(entry->layerset);
	ovlt_close(entry->out_fd);
	free(entry);
}

/**
 * ovlt_batch_unref() - drop a reference, with the last of them the batch
 * @batch: the batch, or NULL
 *
 * Mounts that were prepared and not taken are dropped too; what has been
 * attached stays.
 *
 * Thread rules: any thread. Since: 0.1.
 */
OVLT_EXPORT void ovlt_batch_unref(struct ovlt_batch *batch)
{
	if (!batch || __atomic_sub_fetch(&batch->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (unsigned int i = 0; i < batch->nr; i++)
		entry_free(batch->entries[i]);
	free(batch->entries);
	ovlt_ctx_unref(batch->ctx);
	free(batch);
}

/* There is no mount unless that is said afterwards. */
static void set_error(struct ovlt_entry *entry, int err, unsigned int field,
		      unsigned int index)
{
	entry->result.error = err;
	entry->result.field = field;
	entry->result.index = index;
	entry->result.mnt_id = 0;
	entry->result.dev = 0;
}

int ovlt_entry_fail(struct ovlt_entry *entry, int err, unsigned int field,
		    unsigned int index, const char *fmt, ...)
{
	va_list ap;

	set_error(entry, err, field, index);
	va_start(ap, fmt);
	vsnprintf(entry->message, sizeof(entry->message), fmt, ap);
	va_end(ap);
	return err;
}

/* Fail an entry where the errno says it all. */
int ovlt_entry_blame(struct ovlt_entry *entry, int err, unsigned int field,
		     unsigned int index)
{
	entry->message[0] = '\0';
	set_error(entry, err, field, index);
	return err;
}

/* Drop the mount that was prepared. */
void ovlt_entry_close(struct ovlt_entry *entry)
{
	ovlt_close(entry->out_fd);
	entry->out_fd = -1;
}

static void drop_layerset(struct ovlt_entry *entry)
{
	ovlt_layerset_unref(entry->layerset);
	entry->layerset = NULL;
}

/* Another entry of an all-or-nothing batch has failed. */
void ovlt_entry_cancel(struct ovlt_entry *entry)
{
	ovlt_entry_close(entry);
	drop_layerset(entry);
	ovlt_entry_blame(entry, -ECANCELED, OVLTREE_FIELD_NONE, 0);
}

/*
 * With OVLT_ALL, one error is that of the batch: the error of the first entry
 * that failed for itself.
 */
void ovlt_entries_settle(struct ovlt_entry **entries, unsigned int nr,
			 unsigned int flags)
{
	unsigned int failed = 0;

	if (!(flags & OVLT_ALL))
		return;
	while (failed < nr && (!entries[failed]->result.error ||
			       entries[failed]->result.error == -ECANCELED))
		failed++;
	for (unsigned int i = 0; failed < nr && i < nr; i++)
		if (i != failed)
			ovlt_entry_cancel(entries[i]);
}

/* One after the other, until one of an all-or-nothing batch fails. */
int ovlt_entries_each(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		      unsigned int nr, unsigned int flags,
		      int (*fn)(struct ovlt_ctx *ctx, struct ovlt_entry *entry))
{
	for (unsigned int i = 0; i < nr; i++)
		if (fn(ctx, entries[i]) && flags & OVLT_ALL)
			break;
	ovlt_entries_settle(entries, nr, flags);
	return 0;
}

unsigned long ovlt_entry_propagation(const struct ovlt_entry *entry)
{
	if (!entry->propagation && entry->tree)
		return entry->tree->propagation;
	return entry->propagation;
}

/* Add an entry; returns its index. */
static int add_entry(struct ovlt_batch *batch,
		     const struct ovlt_entry *template, int fd,
		     const char *target, unsigned int flags)
{
	struct ovlt_entry **entries;
	struct ovlt_entry *entry;

	entries = reallocarray(batch->entries, batch->nr + 1, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	batch->entries = entries;
	entry = malloc(sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	*entry = *template;
	entry->target.fd = -1;
	entry->mntns_fd = -1;
	entry->out_fd = -1;
	entry->result.message = entry->message;
	if (target || fd >= 0) {
		int err = ovlt_file_set(&entry->target, fd, target,
					flags & OVLT_NOFOLLOW);

		if (err) {
			free(entry);
			return err;
		}
	}
	ovlt_tree_ref(entry->tree);
	entries[batch->nr] = entry;
	return batch->nr++;
}

/**
 * ovlt_batch_add_tree() - add a tree to attach or to prepare
 * @batch: the batch
 * @tree: the tree; the batch holds a reference
 * @fd: the mountpoint's descriptor; with @target, the folder at which a
 *	relative path begins, or AT_FDCWD
 * @target: path of the mountpoint, or NULL
 * @flags: OVLT_NOFOLLOW
 *
 * For ovlt_batch_prepare() the mountpoint is not needed: -1 and NULL.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: the entry's index, -EINVAL for unknown flags, -ENOMEM.
 */
OVLT_EXPORT int ovlt_batch_add_tree(struct ovlt_batch *batch,
				    struct ovlt_tree *tree, int fd,
				    const char *target, unsigned int flags)
{
	const struct ovlt_entry template = { .kind = OVLT_KIND_TREE,
					     .tree = tree };

	if (flags & ~OVLT_NOFOLLOW)
		return -EINVAL;
	return add_entry(batch, &template, fd, target, flags);
}

/**
 * ovlt_batch_add_mount() - add a detached mount to attach
 * @batch: the batch
 * @mnt_fd: from ovlt_batch_take_fd(), fsmount(2) or open_tree(2); stays the
 *	caller's, and must stay open until the batch has been run
 * @fd: as for ovlt_batch_add_tree()
 * @target: as for ovlt_batch_add_tree()
 * @flags: OVLT_NOFOLLOW
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_add_tree().
 */
OVLT_EXPORT int ovlt_batch_add_mount(struct ovlt_batch *batch, int mnt_fd,
				     int fd, const char *target,
				     unsigned int flags)
{
	const struct ovlt_entry template = { .kind = OVLT_KIND_MOUNT,
					     .mnt_fd = mnt_fd };

	if (flags & ~OVLT_NOFOLLOW)
		return -EINVAL;
	return add_entry(batch, &template, fd, target, flags);
}

/**
 * ovlt_batch_add_target() - add a mount to detach by its mountpoint
 * @batch: the batch
 * @fd: as for ovlt_batch_add_tree()
 * @target: as for ovlt_batch_add_tree()
 * @flags: OVLT_NOFOLLOW, OVLT_LAZY, OVLT_FORCE
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_add_tree(); -EBADF when there is neither a path nor a
 * descriptor.
 */
OVLT_EXPORT int ovlt_batch_add_target(struct ovlt_batch *batch, int fd,
				      const char *target, unsigned int flags)
{
	const struct ovlt_entry template = {
		.kind = OVLT_KIND_TARGET,
		.flags = flags & (OVLT_LAZY | OVLT_FORCE),
	};

	if (flags & ~(OVLT_NOFOLLOW | OVLT_LAZY | OVLT_FORCE))
		return -EINVAL;
	if (fd < 0 && !target)
		return -EBADF;
	return add_entry(batch, &template, fd, target, flags);
}

/**
 * ovlt_batch_add_id() - add a mount to detach by its id
 * @batch: the batch
 * @mnt_id: the unique id (STATX_MNT_ID_UNIQUE) of a mount of the caller's mount
 *	namespace
 * @flags: OVLT_LAZY, OVLT_FORCE
 *
 * The mount-api backend can't detach what another mount covers: -EBUSY.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_add_tree().
 */
OVLT_EXPORT int ovlt_batch_add_id(struct ovlt_batch *batch, uint64_t mnt_id,
				  unsigned int flags)
{
	const struct ovlt_entry template = {
		.kind = OVLT_KIND_ID,
		.flags = flags,
		.mnt_id = mnt_id,
	};

	if (flags & ~(OVLT_LAZY | OVLT_FORCE))
		return -EINVAL;
	return add_entry(batch, &template, -1, NULL, 0);
}

/**
 * ovlt_batch_add_layerset() - add a layer set to make
 * @batch: the batch
 * @tree: its lower layers become the layer set, all else has no effect; the
 *	batch holds a reference
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: the entry's index, -ENOMEM.
 */
OVLT_EXPORT int ovlt_batch_add_layerset(struct ovlt_batch *batch,
					struct ovlt_tree *tree)
{
	const struct ovlt_entry template = { .kind = OVLT_KIND_LAYERSET,
					     .tree = tree };

	return add_entry(batch, &template, -1, NULL, 0);
}

/**
 * ovlt_batch_add_request() - add a request of the queue, to commit it
 * @batch: the batch
 * @id: of a request to attach or to detach, as the batch is run
 *
 * For the daemon, see ovlt_queue_serve(); with the ioctl backend only. A request
 * that has ended meanwhile is -ENOENT.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_add_tree().
 */
OVLT_EXPORT int ovlt_batch_add_request(struct ovlt_batch *batch, uint64_t id)
{
	const struct ovlt_entry template = {
		.kind = OVLT_KIND_REQUEST,
		.mnt_id = id,
	};

	return add_entry(batch, &template, -1, NULL, 0);
}

/**
 * ovlt_batch_set_mntns() - set the mount namespace of an entry's target
 * @batch: the batch
 * @index: the entry
 * @fd: the namespace, which must stay open until the batch has been run; -1
 *	for the caller's
 *
 * The target is looked up from the caller's root all the same: what leads into
 * the namespace is a descriptor from there, or a path below /proc/PID/root.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: 0, -EINVAL when there is no such entry.
 */
OVLT_EXPORT int ovlt_batch_set_mntns(struct ovlt_batch *batch,
				     unsigned int index, int fd)
{
	if (index >= batch->nr)
		return -EINVAL;
	batch->entries[index]->mntns_fd = fd;
	return 0;
}

/**
 * ovlt_batch_set_propagation() - set what an entry's mount is given once attached
 * @batch: the batch
 * @index: the entry
 * @propagation: as for ovlt_tree_set_propagation(), which it is instead of
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: 0, -EINVAL when there is no such entry.
 */
OVLT_EXPORT int ovlt_batch_set_propagation(struct ovlt_batch *batch,
					   unsigned int index,
					   unsigned long propagation)
{
	if (index >= batch->nr)
		return -EINVAL;
	batch->entries[index]->propagation = propagation;
	return 0;
}

static int check_propagation(struct ovlt_entry *entry, bool prepare)
{
	unsigned long propagation = ovlt_entry_propagation(entry);

	switch (propagation) {
	case 0:
		return 0;
	case MS_SHARED:
	case MS_PRIVATE:
	case MS_SLAVE:
	case MS_UNBINDABLE:
		if (!prepare)
			return 0;
		return ovlt_entry_fail(entry, -EINVAL,
				       OVLTREE_FIELD_PROPAGATION, 0,
				       "given once attached, not before");
	}
	return ovlt_entry_fail(entry, -EINVAL, OVLTREE_FIELD_PROPAGATION, 0,
			       "%#lx is no propagation", propagation);
}

/* One that came as a descriptor, or that the module has made. */
static bool is_opaque(const struct ovlt_layerset *layerset)
{
	return layerset && layerset->fd >= 0;
}

static int check_tree(const struct ovlt_ctx *ctx, struct ovlt_entry *entry)
{
	const struct ovlt_tree *tree = entry->tree;

	if (is_opaque(tree->layerset) &&
	    !(ctx->info.features & OVLTREE_FEATURE_LAYERSET))
		return ovlt_entry_fail(entry, -EOPNOTSUPP,
				       OVLTREE_FIELD_LAYERSET_FD, 0,
				       "backend %s knows no layer sets",
				       ctx->info.backend);
	if (!tree->nr_lower && !is_opaque(tree->layerset))
		return ovlt_entry_fail(entry, -EINVAL, OVLTREE_FIELD_LOWER, 0,
				       "no lower layer");
	if (tree->has_upper && !tree->has_work)
		return ovlt_entry_fail(entry, -EINVAL, OVLTREE_FIELD_WORK, 0,
				       "an upper folder needs a work folder");
	return 0;
}

static int check_layerset(struct ovlt_entry *entry)
{
	if (entry->tree->layerset)
		return ovlt_entry_fail(entry, -EINVAL,
				       OVLTREE_FIELD_LAYERSET_FD, 0,
				       "it is a layer set already");
	if (!entry->tree->nr_lower)
		return ovlt_entry_fail(entry, -EINVAL, OVLTREE_FIELD_LOWER, 0,
				       "no lower layer");
	return 0;
}

/*
 * What no backend is to see, because the ioctl has no form for it or because
 * the system calls would do more than the ioctl allows.
 */
static int check_entry(const struct ovlt_ctx *ctx, struct ovlt_entry *entry,
		       bool prepare)
{
	bool attach = entry->kind == OVLT_KIND_TREE ||
		      entry->kind == OVLT_KIND_MOUNT;
	int err = 0;

	if (entry->kind == OVLT_KIND_TREE)
		err = check_tree(ctx, entry);
	if (entry->kind == OVLT_KIND_LAYERSET)
		err = check_layerset(entry);
	if (!err && attach)
		err = check_propagation(entry, prepare);
	if (!err && attach && !prepare && !entry->target.path &&
	    entry->target.fd < 0)
		err = ovlt_entry_fail(entry, -EBADF, OVLTREE_FIELD_TARGET, 0,
				      "no mountpoint");
	return err;
}

static void reset_entry(struct ovlt_entry *entry)
{
	ovlt_entry_close(entry);
	drop_layerset(entry);
	entry->message[0] = '\0';
	entry->result = (struct ovlt_result){ .message = entry->message };
}

/* What the user has given by name, an error is to name too. */
static void explain(struct ovlt_entry *entry)
{
	const struct ovlt_tree *tree = entry->tree;
	const struct ovlt_result *result = &entry->result;
	char why[OVLTREE_MESSAGE_MAX];
	const char *name = NULL;

	if (!result->error || !tree)
		return;
	switch (result->field) {
	case OVLTREE_FIELD_LOWER:
		if (result->index < tree->nr_lower)
			name = tree->lower[result->index].path;
		break;
	case OVLTREE_FIELD_UPPER:
		name = tree->upper.path;
		break;
	case OVLTREE_FIELD_WORK:
		name = tree->work.path;
		break;
	case OVLTREE_FIELD_OPTIONS:
		if (result->index < tree->nr_options)
			name = tree->options[result->index];
		break;
	}
	if (!name || strstr(entry->message, name))
		return;
	memcpy(why, entry->message, sizeof(why));
	snprintf(entry->message, sizeof(entry->message), "%s %s%s%s",
		 ovlt_field_name(result->field), name, why[0] ? ": " : "", why);
}

/* Run the entries that pass the checks; returns the number that failed. */
static int run(struct ovlt_batch *batch, ovlt_run_fn fn, bool prepare)
{
	struct ovlt_entry **todo;
	unsigned int nr = 0;
	int failed = 0;
	int err = 0;

	todo = calloc(batch->nr, sizeof(*todo));
	if (!todo)
		return -ENOMEM;
	batch->times = (struct ovlt_times){ 0 };
	for (unsigned int i = 0; i < batch->nr; i++) {
		reset_entry(batch->entries[i]);
		if (!check_entry(batch->ctx, batch->entries[i], prepare))
			todo[nr++] = batch->entries[i];
	}
	if (nr < batch->nr && batch->flags & OVLT_ALL)
		while (nr)
			todo[--nr]->result.error = -ECANCELED;
	if (nr)
		err = fn(batch->ctx, todo, nr, batch->flags, &batch->times);
	free(todo);
	if (err)
		return err;
	for (unsigned int i = 0; i < batch->nr; i++) {
		explain(batch->entries[i]);
		failed += batch->entries[i]->result.error < 0;
	}
	return failed;
}

/* The backend for a batch of certain kinds; requests are the module's. */
static int find_backend(const struct ovlt_batch *batch, unsigned int kinds,
			const struct ovlt_backend **backend)
{
	unsigned int seen = 0;
	int err;

	for (unsigned int i = 0; i < batch->nr; i++)
		seen |= 1U << batch->entries[i]->kind;
	if (!seen || seen & ~kinds)
		return -EINVAL;
	err = ovlt_ctx_backend(batch->ctx, backend);
	if (!err && seen & 1U << OVLT_KIND_REQUEST &&
	    *backend != &ovlt_backend_ioctl)
		err = -EOPNOTSUPP;
	return err;
}

/**
 * ovlt_batch_prepare() - build the trees, attach none
 * @batch: entries of ovlt_batch_add_tree(), whose targets have no effect
 *
 * The mounts are ovlt_batch_take_fd()'s to give. They are as fsmount(2) makes
 * them: part of no mount namespace, and gone when their descriptors are closed.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: the number of entries that failed, so 0 is all well; or, with nothing
 * done and no results: -EINVAL for an empty batch or other entries, -E2BIG for
 * more entries than an all-or-nothing batch may have or for what the module is too
 * old for, -EPERM, -ENOMEM, -EINTR, or why no backend works.
 */
OVLT_EXPORT int ovlt_batch_prepare(struct ovlt_batch *batch)
{
	const struct ovlt_backend *backend;
	int err = find_backend(batch, 1U << OVLT_KIND_TREE, &backend);

	return err ? err : run(batch, backend->prepare, true);
}

/**
 * ovlt_batch_attach() - attach trees and mounts
 * @batch: entries of ovlt_batch_add_tree(), ovlt_batch_add_mount() and
 *	ovlt_batch_add_request()
 *
 * With the mount-api backends the entries of an all-or-nothing batch are seen
 * before the others have succeeded, and each of its trees has a descriptor
 * open until the end. With "daemon" so have the trees of any other batch, for as
 * many at a time as half of the descriptors that the process may have.
 *
 * Nor does a signal end the wait for a daemon: what it may have attached already
 * is waited for. An entry of which that can't be told has -EINPROGRESS.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_prepare().
 */
OVLT_EXPORT int ovlt_batch_attach(struct ovlt_batch *batch)
{
	const struct ovlt_backend *backend;
	int err = find_backend(batch,
			       1U << OVLT_KIND_TREE | 1U << OVLT_KIND_MOUNT |
				       1U << OVLT_KIND_REQUEST,
			       &backend);

	return err ? err : run(batch, backend->attach, false);
}

/**
 * ovlt_batch_detach() - detach mounts
 * @batch: entries of ovlt_batch_add_target(), ovlt_batch_add_id() and
 *	ovlt_batch_add_request(), without OVLT_ALL, for what is detached can't be
 *	undone
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_prepare().
 */
OVLT_EXPORT int ovlt_batch_detach(struct ovlt_batch *batch)
{
	const struct ovlt_backend *backend;
	int err;

	if (batch->flags & OVLT_ALL)
		return -EINVAL;
	err = find_backend(batch,
			   1U << OVLT_KIND_TARGET | 1U << OVLT_KIND_ID |
				   1U << OVLT_KIND_REQUEST,
			   &backend);
	return err ? err : run(batch, backend->detach, false);
}

/**
 * ovlt_batch_make_layersets() - make layer sets
 * @batch: entries of ovlt_batch_add_layerset()
 *
 * They are ovlt_batch_take_layerset()'s to give.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: as ovlt_batch_prepare().
 */
OVLT_EXPORT int ovlt_batch_make_layersets(struct ovlt_batch *batch)
{
	const struct ovlt_backend *backend;
	int err = find_backend(batch, 1U << OVLT_KIND_LAYERSET, &backend);

	return err ? err : run(batch, backend->layerset, false);
}

/**
 * ovlt_batch_get_nr() - tell the number of entries
 * @batch: the batch
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: the number.
 */
OVLT_EXPORT unsigned int ovlt_batch_get_nr(const struct ovlt_batch *batch)
{
	return batch->nr;
}

/**
 * ovlt_batch_get_result() - tell what became of an entry
 * @batch: a batch that has been run
 * @index: the entry
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: the result, which lives as long as @batch; or NULL with errno EINVAL
 * when there is no such entry.
 */
OVLT_EXPORT const struct ovlt_result *
ovlt_batch_get_result(const struct ovlt_batch *batch, unsigned int index)
{
	if (index >= batch->nr) {
		errno = EINVAL;
		return NULL;
	}
	return &batch->entries[index]->result;
}

/**
 * ovlt_batch_take_fd() - take the mount that was prepared for an entry
 * @batch: a batch that has been prepared
 * @index: the entry
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: a descriptor, with FD_CLOEXEC, that is the caller's to close; -EINVAL
 * when there is no such entry; -ENOENT when its mount has been taken, or when
 * there is none.
 */
OVLT_EXPORT int ovlt_batch_take_fd(struct ovlt_batch *batch, unsigned int index)
{
	int fd;

	if (index >= batch->nr)
		return -EINVAL;
	fd = batch->entries[index]->out_fd;
	batch->entries[index]->out_fd = -1;
	return fd < 0 ? -ENOENT : fd;
}

/**
 * ovlt_batch_take_layerset() - take the layer set that was made for an entry
 * @batch: a batch that ovlt_batch_make_layersets() has run
 * @index: the entry
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 *
 * Return: the layer set, whose reference is the caller's; or NULL with errno
 * EINVAL when there is no such entry, or ENOENT when its layer set has been
 * taken, or when there is none.
 */
OVLT_EXPORT struct ovlt_layerset *
ovlt_batch_take_layerset(struct ovlt_batch *batch, unsigned int index)
{
	struct ovlt_layerset *layerset;

	if (index >= batch->nr) {
		errno = EINVAL;
		return NULL;
	}
	layerset = batch->entries[index]->layerset;
	batch->entries[index]->layerset = NULL;
	if (!layerset)
		errno = ENOENT;
	return layerset;
}

/**
 * ovlt_batch_get_times() - tell what the locks cost when a batch was run
 * @batch: the batch
 * @wait_ns: gets the nanoseconds spent waiting for them; may be NULL
 * @hold_ns: gets the nanoseconds that the mount table was locked; may be NULL
 *
 * The mount-api backends don't know, and say 0.
 *
 * Thread rules: the thread that uses @batch. Since: 0.1.
 */
OVLT_EXPORT void ovlt_batch_get_times(const struct ovlt_batch *batch,
				      uint64_t *wait_ns, uint64_t *hold_ns)
{
	if (wait_ns)
		*wait_ns = batch->times.wait_ns;
	if (hold_ns)
		*hold_ns = batch->times.hold_ns;
}

/**
 * ovlt_field_name() - names of fields
 * @field: enum ovltree_field
 *
 * Thread rules: none. Since: 0.1.
 *
 * Return: a name for people, "unknown" for a field of a newer kernel.
 */
OVLT_EXPORT const char *ovlt_field_name(unsigned int field)
{
	static const char *const names[] = {
		[OVLTREE_FIELD_NONE] = "none",
		[OVLTREE_FIELD_FLAGS] = "flags",
		[OVLTREE_FIELD_MNT_FD] = "mount",
		[OVLTREE_FIELD_TREE] = "tree",
		[OVLTREE_FIELD_LOWER] = "lower layer",
		[OVLTREE_FIELD_UPPER] = "upper folder",
		[OVLTREE_FIELD_WORK] = "work folder",
		[OVLTREE_FIELD_OPTIONS] = "option",
		[OVLTREE_FIELD_USERNS_FD] = "user namespace",
		[OVLTREE_FIELD_ATTR] = "attributes",
		[OVLTREE_FIELD_TARGET] = "mountpoint",
		[OVLTREE_FIELD_MNTNS_FD] = "mount namespace",
		[OVLTREE_FIELD_PROPAGATION] = "propagation",
		[OVLTREE_FIELD_MNT_ID] = "mount id",
		[OVLTREE_FIELD_LAYERSET_FD] = "layer set",
		[OVLTREE_FIELD_ID] = "request",
	};

	return field < ARRAY_SIZE(names) ? names[field] : "unknown";
}
