// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches that give a file descriptor for each entry.
 */
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static int file_open(const struct ovlt_batch *batch, unsigned int i,
		     struct file *(*open)(const struct ovlt_batch *batch,
					  unsigned int i), struct file **filep)
{
	struct ovltree_result *result = &batch->results[i];
	struct file *file;
	int fd;

	if (signal_pending(current))
		return ovlt_fail(result, -EINTR, OVLTREE_FIELD_NONE, 0,
				 "interrupted");
	file = open(batch, i);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(batch->arg.flags & OVLTREE_BATCH_CLOEXEC ?
				 O_CLOEXEC : 0);
	if (fd < 0) {
		fput(file);
		return ovlt_fail(result, fd, OVLTREE_FIELD_NONE, 0,
				 "no file descriptor");
	}
	result->fd = fd;
	*filep = file;
	return 0;
}

/* Nothing may fail once the first descriptor is installed. */
static void files_install(struct ovlt_batch *batch, struct file **files)
{
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		if (files[i])
			fd_install(batch->results[i].fd, files[i]);
	}
}

static void files_undo(struct ovlt_batch *batch, struct file **files)
{
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		if (!files[i])
			continue;
		put_unused_fd(batch->results[i].fd);
		fput(files[i]);
		files[i] = NULL;
		batch->results[i].fd = -1;
	}
}

/**
 * ovlt_files_batch - run a batch that gives file descriptors
 * @batch: the batch
 * @open: makes the file for an entry, or fails the entry
 *
 * Return: 0, or a negative errno with nothing done.
 */
int ovlt_files_batch(struct ovlt_batch *batch,
		     struct file *(*open)(const struct ovlt_batch *batch,
					  unsigned int i))
{
	bool all = batch->arg.flags & OVLTREE_BATCH_ALL;
	struct file **files __free(kvfree) =
		kvcalloc(batch->arg.nr, sizeof(*files), GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!files)
		return -ENOMEM;

	for (unsigned int i = 0; i < batch->arg.nr && !(err && all); i++) {
		u64 start = ktime_get_ns();

		err = file_open(batch, i, open, &files[i]);
		trace_ovltree_prepared(i, err, ktime_get_ns() - start);
	}
	if (err && all) {
		files_undo(batch, files);
		ovlt_batch_cancel(batch);
	}

	err = ovlt_batch_write(batch);
	if (err) {
		files_undo(batch, files);
		return err;
	}
	files_install(batch, files);
	return 0;
}
