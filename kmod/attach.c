// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching: each entry is made ready in the caller's context, then all that
 * are ready are attached under one acquisition of the mount locks.
 */
#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/namei.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/mount.h>

#include "internal.h"
#include "queue.h"
#include "trace.h"

#define OVLT_ATTACH_FLAGS \
	(OVLTREE_ATTACH_MOUNT | OVLTREE_ATTACH_MNTNS | OVLTREE_ATTACH_REQUEST)

static void entry_release(struct mnt_batch_entry *entry)
{
	path_put(&entry->mount);
	path_put(&entry->target);
	mnt_batch_put(entry);
}

static int entry_get_mount(struct mnt_batch_entry *entry,
			   const struct ovltree_attach *attach,
			   const struct ovlt_batch *batch,
			   struct ovltree_result *result)
{
	struct vfsmount *mnt;
	struct file *file;

	if (attach->flags & OVLTREE_ATTACH_MOUNT) {
		file = fget_raw(attach->mnt_fd);
		if (!file)
			return ovlt_fail(result, -EBADF, OVLTREE_FIELD_MNT_FD, 0,
					 "not a file descriptor");
		entry->mount = file->f_path;
		path_get(&entry->mount);
		fput(file);
		return 0;
	}

	mnt = ovlt_tree_build(batch, attach->tree, result);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	entry->mount.mnt = mnt;
	entry->mount.dentry = dget(mnt->mnt_root);
	entry->flags = MNT_BATCH_NEW;
	return 0;
}

static int entry_check_flags(const struct ovltree_attach *attach,
			     struct ovltree_result *result)
{
	bool mount = attach->flags & OVLTREE_ATTACH_MOUNT;

	if (attach->flags & ~OVLT_ATTACH_FLAGS)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_FLAGS, 0,
				 "unknown flag");
	if (!(attach->flags & OVLTREE_ATTACH_REQUEST) && attach->id)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_ID, 0,
				 "not zero without its flag");
	if (mount && attach->tree)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_TREE, 0,
				 "either a mount or a tree");
	if (!mount && attach->mnt_fd)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_MNT_FD, 0,
				 "not zero without its flag");
	if (!(attach->flags & OVLTREE_ATTACH_MNTNS) && attach->mntns_fd)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_MNTNS_FD, 0,
				 "not zero without its flag");
	return 0;
}

/**
 * ovlt_attach_blame - tell what mnt_batch_check() has refused
 * @entry: the entry
 * @err: what it said
 * @foreign: the mount namespace was given
 * @why: gets the reason
 *
 * Return: The field that is to blame.
 */
enum ovltree_field ovlt_attach_blame(const struct mnt_batch_entry *entry, int err,
				     bool foreign, const char **why)
{
	unsigned int types = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

	if (err == -EINVAL && (entry->propagation & ~types ||
			       hweight32(entry->propagation) > 1)) {
		*why = "not one type of propagation";
		return OVLTREE_FIELD_PROPAGATION;
	}
	if (foreign && (err == -EINVAL || err == -EPERM)) {
		*why = "not a mount namespace, or one in which mounting is not allowed";
		return OVLTREE_FIELD_MNTNS_FD;
	}
	*why = "not allowed to mount there";
	return OVLTREE_FIELD_TARGET;
}

static int entry_check_rights(struct mnt_batch_entry *entry,
			      const struct ovltree_attach *attach,
			      struct ovltree_result *result)
{
	struct file *mntns __free(fput) = NULL;
	enum ovltree_field field;
	const char *why;
	int err;

	if (attach->flags & OVLTREE_ATTACH_MNTNS) {
		mntns = fget(attach->mntns_fd);
		if (!mntns)
			return ovlt_fail(result, -EBADF, OVLTREE_FIELD_MNTNS_FD,
					 0, "not a file descriptor");
	}
	entry->propagation = attach->propagation;
	err = mnt_batch_check(entry, mntns);
	if (!err)
		return 0;

	field = ovlt_attach_blame(entry, err, mntns, &why);
	return ovlt_fail(result, err, field, 0, "%s", why);
}

/* The rights were checked when the request was submitted. */
static int entry_get_request(struct mnt_batch_entry *entry,
			     const struct ovltree_attach *attach,
			     struct ovlt_request **request,
			     struct ovltree_result *result)
{
	struct ovltree_attach rest = *attach;
	struct ovlt_request *claimed;

	rest.flags &= ~OVLTREE_ATTACH_REQUEST;
	rest.id = 0;
	if (memchr_inv(&rest, 0, sizeof(rest)))
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_ID, 0,
				 "a request is given by its id alone");
	claimed = ovlt_request_claim(attach->id, OVLTREE_KIND_ATTACH, result);
	if (IS_ERR(claimed))
		return PTR_ERR(claimed);
	*request = claimed;
	*entry = claimed->entry;
	return 0;
}

static int entry_get(struct mnt_batch_entry *entry,
		     const struct ovlt_batch *batch, unsigned int i,
		     struct ovlt_request **request)
{
	struct ovltree_result *result = &batch->results[i];
	struct ovltree_attach attach;
	int err;

	err = ovlt_batch_entry(batch, i, &attach, sizeof(attach));
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_NONE, 0,
				 "entry can't be read");
	err = entry_check_flags(&attach, result);
	if (err)
		return err;
	if (attach.flags & OVLTREE_ATTACH_REQUEST)
		return entry_get_request(entry, &attach, request, result);
	err = ovlt_path_get(&attach.target, OVLTREE_PATH_NOFOLLOW, 0,
			    &entry->target, NULL);
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_TARGET, 0,
				 "mountpoint can't be resolved");
	err = entry_get_mount(entry, &attach, batch, result);
	if (err)
		return err;
	return entry_check_rights(entry, &attach, result);
}

/*
 * The kernel has one errno where a user wants to know more.
 */
static void entry_refused(struct ovltree_result *result,
			  const struct mnt_batch_entry *entry)
{
	enum ovltree_field field = OVLTREE_FIELD_TARGET;
	const char *why = "";

	switch (entry->error) {
	case -ENOENT:
		why = "mountpoint has been removed";
		break;
	case -ENOSPC:
		why = "too many mounts, see fs.mount-max";
		break;
	case -ELOOP:
		field = OVLTREE_FIELD_MNT_FD;
		why = "mount has a mount namespace in it that is older than the target's";
		break;
	case -EINVAL:
		if (!(entry->flags & MNT_BATCH_NEW) &&
		    entry->mount.dentry != entry->mount.mnt->mnt_root) {
			field = OVLTREE_FIELD_MNT_FD;
			why = "not the root of a mount";
		} else if (d_is_dir(entry->mount.dentry) !=
			   d_is_dir(entry->target.dentry)) {
			why = "a folder goes on a folder, a file on a file";
		} else if (entry->flags & MNT_BATCH_NEW) {
			why = "mountpoint is not in the mount namespace";
		} else {
			field = OVLTREE_FIELD_MNT_FD;
			why = "not a detached mount, or mountpoint not in the mount namespace";
		}
		break;
	}
	ovlt_fail(result, entry->error, field, 0, "%s", why);
}

/**
 * ovlt_attach_report - tell what became of an entry
 * @result: where to; an error that is there stays
 * @entry: the entry, after mnt_attach_batch()
 */
void ovlt_attach_report(struct ovltree_result *result,
			const struct mnt_batch_entry *entry)
{
	dev_t dev;

	if (result->error)
		return;
	if (entry->error) {
		entry_refused(result, entry);
		return;
	}
	dev = entry->mount.mnt->mnt_sb->s_dev;
	result->mnt_id = entry->mnt_id;
	result->dev_major = MAJOR(dev);
	result->dev_minor = MINOR(dev);
}

/* Return: 0, or the error for which an all-or-nothing batch ends here. */
static int attach_prepare(struct ovlt_batch *batch, struct mnt_batch *mounts,
			  struct ovlt_request **requests)
{
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		struct mnt_batch_entry *entry = &mounts->entries[i];
		u64 start = ktime_get_ns();
		int err;

		if (signal_pending(current))
			err = ovlt_fail(&batch->results[i], -EINTR,
					OVLTREE_FIELD_NONE, 0, "interrupted");
		else
			err = entry_get(entry, batch, i, &requests[i]);
		trace_ovltree_prepared(i, err, ktime_get_ns() - start);
		if (!err)
			continue;
		entry_release(entry);
		*entry = (struct mnt_batch_entry) { .error = err };
		if (mounts->all)
			return err;
	}
	return 0;
}

static int attach_commit(struct ovlt_batch *batch, struct mnt_batch *mounts,
			 struct ovlt_request *const requests[], u64 prepare_ns)
{
	int err;

	err = ovlt_merge_attach(mounts, prepare_ns);
	if (err)
		return err;
	batch->arg.wait_ns = mounts->wait_ns;
	batch->arg.hold_ns = mounts->hold_ns;
	for (unsigned int i = 0; i < mounts->nr; i++)
		ovlt_attach_report(&batch->results[i], &mounts->entries[i]);
	trace_ovltree_committed(mounts->nr, ovlt_batch_succeeded(batch),
				mounts->wait_ns, mounts->hold_ns);
	ovlt_netlink_mounts(OVLTREE_CMD_ATTACHED, mounts, requests);
	return 0;
}

static int attach_batch(struct ovlt_batch *batch)
{
	struct ovlt_request **requests __free(kvfree) =
		kvcalloc(batch->arg.nr, sizeof(*requests), GFP_KERNEL_ACCOUNT);
	struct mnt_batch_entry *entries __free(kvfree) =
		kvcalloc(batch->arg.nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	struct mnt_batch mounts = {
		.entries = entries,
		.nr	 = batch->arg.nr,
		.all	 = batch->arg.flags & OVLTREE_BATCH_ALL,
	};
	u64 start = ktime_get_ns();
	int refused, err = 0;

	if (!requests || !entries)
		return -ENOMEM;

	ovlt_merge_expect(&mounts);
	refused = attach_prepare(batch, &mounts, requests);
	ovlt_merge_withdraw(&mounts);
	if (refused)
		ovlt_batch_cancel(batch);
	else
		err = attach_commit(batch, &mounts, requests,
				    ktime_get_ns() - start);
	/* Nobody sees these results but the requests, which wait again */
	if (err)
		ovlt_batch_cancel(batch);
	for (unsigned int i = 0; i < mounts.nr; i++) {
		if (!requests[i])
			entry_release(&mounts.entries[i]);
	}
	ovlt_requests_end(requests, batch->results, &mounts,
			  OVLTREE_REASON_DAEMON);
	return err ?: ovlt_batch_write(batch);
}

/* OVLTREE_IOC_ATTACH */
const struct ovlt_batch_op ovlt_attach_op = {
	.name		= "attach",
	.flags		= OVLTREE_BATCH_ALL,
	.entry_size	= sizeof(struct ovltree_attach),
	.run		= attach_batch,
};
