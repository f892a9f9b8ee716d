// SPDX-License-Identifier: GPL-2.0-only
/*
 * Overlays behind file descriptors, as fsmount(2) gives them. Nothing of this
 * takes the locks of the mount table.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/string.h>

#include "internal.h"

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
	if (entry->id)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_ID, 0,
				 "a request is not prepared");
	return 0;
}

static struct file *prepare_open(const struct ovlt_batch *batch, unsigned int i)
{
	struct ovltree_result *result = &batch->results[i];
	struct ovltree_attach entry;
	struct vfsmount *mnt;
	struct file *file;
	int err;

	err = prepare_read(&entry, batch, i, result);
	if (err)
		return ERR_PTR(err);
	mnt = ovlt_tree_build(batch, entry.tree, result);
	if (IS_ERR(mnt))
		return ERR_CAST(mnt);
	file = mnt_open_detached(mnt, current_cred());
	result->dev_major = MAJOR(mnt->mnt_sb->s_dev);
	result->dev_minor = MINOR(mnt->mnt_sb->s_dev);
	mntput(mnt);
	if (IS_ERR(file))
		return ERR_PTR(ovlt_fail(result, PTR_ERR(file),
					 OVLTREE_FIELD_NONE, 0,
					 "mount can't be opened"));
	return file;
}

static int prepare_batch(struct ovlt_batch *batch)
{
	return ovlt_files_batch(batch, prepare_open);
}

/* OVLTREE_IOC_PREPARE */
const struct ovlt_batch_op ovlt_prepare_op = {
	.name		= "prepare",
	.flags		= OVLTREE_BATCH_ALL | OVLTREE_BATCH_CLOEXEC,
	.entry_size	= sizeof(struct ovltree_attach),
	.run		= prepare_batch,
};
