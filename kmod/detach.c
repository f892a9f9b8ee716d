// SPDX-License-Identifier: GPL-2.0-only
/*
 * Detaching: what umount(2) does, for many mounts under one acquisition of the
 * mount locks and with one RCU grace period.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"
#include "queue.h"
#include "trace.h"

#define OVLT_DETACH_FLAGS						\
	(OVLTREE_DETACH_ID | OVLTREE_DETACH_LAZY | OVLTREE_DETACH_FORCE |	\
	 OVLTREE_DETACH_REQUEST)

/*
 * The rights were checked when the request was submitted. The error keeps the
 * caller's own batch from it: ovlt_commit_detach() detaches it.
 */
static int entry_get_request(const struct ovltree_detach *detach,
			     struct ovlt_request **request,
			     struct ovltree_result *result)
{
	struct ovlt_request *claimed;

	if (detach->flags != OVLTREE_DETACH_REQUEST ||
	    memchr_inv(&detach->target, 0, sizeof(detach->target)))
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_ID, 0,
				 "a request is given by its id alone");
	claimed = ovlt_request_claim(detach->mnt_id, OVLTREE_KIND_DETACH, result);
	if (IS_ERR(claimed))
		return PTR_ERR(claimed);
	*request = claimed;
	return -EINPROGRESS;
}

static int entry_get(struct mnt_batch_entry *entry,
		     const struct ovlt_batch *batch, unsigned int i,
		     struct ovlt_request **request)
{
	struct ovltree_result *result = &batch->results[i];
	struct ovltree_detach detach;
	bool by_id;
	int err;

	err = ovlt_batch_entry(batch, i, &detach, sizeof(detach));
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_NONE, 0,
				 "entry can't be read");
	if (detach.flags & ~OVLT_DETACH_FLAGS)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_FLAGS, 0,
				 "unknown flag");
	if (detach.__reserved)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_NONE, 0,
				 "reserved member is not zero");
	if (detach.flags & OVLTREE_DETACH_REQUEST)
		return entry_get_request(&detach, request, result);
	by_id = detach.flags & OVLTREE_DETACH_ID;
	if (!by_id && detach.mnt_id)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_MNT_ID, 0,
				 "not zero without its flag");
	if (by_id && memchr_inv(&detach.target, 0, sizeof(detach.target)))
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_TARGET, 0,
				 "either an id or a target");

	if (detach.flags & OVLTREE_DETACH_LAZY)
		entry->flags |= MNT_DETACH;
	if (detach.flags & OVLTREE_DETACH_FORCE)
		entry->flags |= MNT_FORCE;
	entry->mnt_id = detach.mnt_id;
	if (by_id)
		return 0;

	err = ovlt_path_get(&detach.target, OVLTREE_PATH_NOFOLLOW,
			    LOOKUP_MOUNTPOINT, &entry->mount, NULL);
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_TARGET, 0,
				 "mountpoint can't be resolved");
	return 0;
}

/**
 * ovlt_detach_report - tell what became of an entry
 * @result: where to; an error that is there stays
 * @entry: the entry, after mnt_detach_batch()
 */
void ovlt_detach_report(struct ovltree_result *result,
			const struct mnt_batch_entry *entry)
{
	bool by_id = entry->mnt_id || !entry->mount.mnt;
	enum ovltree_field field = by_id ? OVLTREE_FIELD_MNT_ID :
					   OVLTREE_FIELD_TARGET;
	const char *why = "";

	if (!entry->error || result->error)
		return;
	switch (entry->error) {
	case -EBUSY:
		why = "mount is in use";
		break;
	case -ENOENT:
		why = "no such mount in the mount namespace";
		break;
	case -EINVAL:
		why = "not a mountpoint, not ours, locked, or given twice";
		break;
	}
	ovlt_fail(result, entry->error, field, 0, "%s", why);
}

/*
 * Those that are to be detached, or that were. The caller's root is neither: it has
 * been made read-only.
 */
static unsigned int count_good(const struct mnt_batch *mounts)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < mounts->nr; i++)
		nr += ovlt_entry_is_good(&mounts->entries[i]);
	return nr;
}

/* What the caller has named itself it shuts down itself, too. */
static void detach_own(struct ovlt_batch *batch, struct mnt_batch *mounts)
{
	struct ovlt_supers *supers = ovlt_supers_hold(mounts);

	mnt_detach_batch(mounts);
	ovlt_supers_shutdown(supers, mounts);
	batch->arg.wait_ns += mounts->wait_ns;
	batch->arg.hold_ns += mounts->hold_ns;
	trace_ovltree_detached(mounts->nr, count_good(mounts), mounts->wait_ns,
			       mounts->hold_ns);
}

/*
 * As umount(2), it can't be interrupted: it waits for nobody but the locks, and for
 * the disks of what is the caller's own. A batch that has that and requests, too,
 * takes the locks twice.
 */
static int detach_commit(struct ovlt_batch *batch, struct mnt_batch *mounts,
			 struct ovlt_request *const requests[])
{
	int err;

	err = mnt_batch_check_detach(mounts) ?: ovlt_commit_detach(batch, requests);
	if (err)
		return err;
	if (count_good(mounts)) {
		detach_own(batch, mounts);
		ovlt_netlink_mounts(OVLTREE_CMD_DETACHED, mounts, requests);
	}
	for (unsigned int i = 0; i < mounts->nr; i++) {
		if (!requests[i])
			ovlt_detach_report(&batch->results[i], &mounts->entries[i]);
	}
	return 0;
}

static int detach_batch(struct ovlt_batch *batch)
{
	struct ovlt_request **requests __free(kvfree) =
		kvcalloc(batch->arg.nr, sizeof(*requests), GFP_KERNEL_ACCOUNT);
	struct mnt_batch_entry *entries __free(kvfree) =
		kvcalloc(batch->arg.nr, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	struct mnt_batch mounts = { .entries = entries, .nr = batch->arg.nr };
	int err;

	if (!requests || !entries)
		return -ENOMEM;

	for (unsigned int i = 0; i < mounts.nr; i++)
		entries[i].error = entry_get(&entries[i], batch, i, &requests[i]);
	err = detach_commit(batch, &mounts, requests);
	for (unsigned int i = 0; i < mounts.nr; i++) {
		mnt_batch_put(&entries[i]);
		path_put(&entries[i].mount);
	}
	if (!err)
		return ovlt_batch_write(batch);
	/* Nobody sees these results but the requests, which wait again */
	ovlt_batch_cancel(batch);
	ovlt_requests_end(requests, batch->results, &mounts,
			  OVLTREE_REASON_DAEMON);
	return err;
}

/* OVLTREE_IOC_DETACH */
const struct ovlt_batch_op ovlt_detach_op = {
	.name		= "detach",
	.entry_size	= sizeof(struct ovltree_detach),
	.run		= detach_batch,
};
