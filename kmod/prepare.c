// SPDX-License-Identifier: GPL-2.0-only
/*
 * Overlays behind file descriptors, as fsmount(2) gives them. Nothing of this
 * takes the locks of the mount table.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"
#include "trace.h"

static int prepare_read(struct ovltree_attach *entry,
			const struct ovlt_batch *batch, unsigned int i,
			struct ovltree_result *result)
{
	int err;

	err = ovlt_batch_entry(batch, i, entry, sizeof(*entry));
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_NONE, 0,
				 "entry can't be read");
	if (entry->flags)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_FLAGS, 0,
				 "only a tree can be prepared");
	if (entry->mnt_fd)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_MNT_FD, 0,
				 "only a tree can be prepared");
	if (memchr_inv(&entry->target, 0, sizeof(entry->target)))
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_TARGET, 0,
				 "what is prepared has no target yet");
	if (entry->mntns_fd)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_MNTNS_FD, 0,
				 "what is prepared has no target yet");
	if (entry->propagation)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_PROPAGATION, 0,
				 "propagation is given when a mount is attached");
	return 0;
}

/*
 * Return: 0 with a file at @filep and a descriptor for it in @result.
 */
static int prepare_entry(const struct ovlt_batch *batch, unsigned int i,
			 struct file **filep)
{
	struct ovltree_result *result = &batch->results[i];
	struct ovltree_attach entry;
	struct vfsmount *mnt;
	struct file *file;
	int err, fd;

	err = prepare_read(&entry, batch, i, result);
	if (err)
		return err;
	mnt = ovlt_tree_build(batch, entry.tree, result);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	file = mnt_open_detached(mnt, current_cred());
	result->dev_major = MAJOR(mnt->mnt_sb->s_dev);
	result->dev_minor = MINOR(mnt->mnt_sb->s_dev);
	mntput(mnt);
	if (IS_ERR(file))
		return ovlt_fail(result, PTR_ERR(file), OVLTREE_FIELD_NONE, 0,
				 "mount can't be opened");

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
static void prepare_install(struct ovlt_batch *batch, struct file **files)
{
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		if (files[i])
			fd_install(batch->results[i].fd, files[i]);
	}
}

static void prepare_undo(struct ovlt_batch *batch, struct file **files)
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

static int prepare_batch(struct ovlt_batch *batch)
{
	bool all = batch->arg.flags & OVLTREE_BATCH_ALL;
	struct file **files __free(kvfree) =
		kvcalloc(batch->arg.nr, sizeof(*files), GFP_KERNEL_ACCOUNT);
	unsigned int i;
	int err = 0;

	if (!files)
		return -ENOMEM;

	for (i = 0; i < batch->arg.nr; i++) {
		u64 start = ktime_get_ns();

		if (signal_pending(current))
			err = ovlt_fail(&batch->results[i], -EINTR,
					OVLTREE_FIELD_NONE, 0, "interrupted");
		else
			err = prepare_entry(batch, i, &files[i]);
		trace_ovltree_prepared(i, err, ktime_get_ns() - start);
		if (err && all)
			break;
	}
	if (err && all) {
		prepare_undo(batch, files);
		ovlt_batch_cancel(batch);
	}

	err = ovlt_batch_write(batch);
	if (err) {
		prepare_undo(batch, files);
		return err;
	}
	prepare_install(batch, files);
	return 0;
}

/* OVLTREE_IOC_PREPARE */
const struct ovlt_batch_op ovlt_prepare_op = {
	.name		= "prepare",
	.flags		= OVLTREE_BATCH_ALL | OVLTREE_BATCH_CLOEXEC,
	.entry_size	= sizeof(struct ovltree_attach),
	.run		= prepare_batch,
};
