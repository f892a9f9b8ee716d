// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Backends that use the kernel's own mount system calls, a tree at a time.
 *
 * Both do the same but for idmapped layers: "mount-api" has them on detached
 * mounts, for which overlayfs of Linux 6.15 or later is needed, and does as
 * "mount-ns" where it is not. "mount-ns" has them in a private mount namespace,
 * which costs a copy of the mount table for each tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <syslog.h>

#include "private.h"

static int mount_open(struct ovlt_ctx *ctx, struct ovlt_info *info)
{
	int fd = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fd < 0)
		return ovlt_ctx_fail(ctx, -errno, "fsopen(\"overlay\")");
	close(fd);
	info->max_lower = OVLT_MAX_LOWER;
	return 0;
}

/* Preparing */

/*
 * A way to give an overlay its lower layers. What is left at @layers has to
 * live until there is a superblock.
 */
typedef int (*lower_fn)(struct ovlt_fs *fs, struct ovlt_layers **layers);

static int lower_plain(struct ovlt_fs *fs, struct ovlt_layers **layers)
{
	(void)layers;
	return ovlt_fs_set_lower(fs);
}

static int lower_detached(struct ovlt_fs *fs, struct ovlt_layers **layers)
{
	int err = ovlt_layers_new(fs, layers);

	if (!err)
		err = ovlt_layers_clone(*layers);
	if (!err)
		err = ovlt_fs_set_lower_fds(fs, ovlt_layers_fds(*layers));
	return err;
}

/*
 * Overlayfs keeps clones of its layers' mounts, idmap included, but no
 * reference to their namespace: that ends with the thread.
 */
static int lower_private(struct ovlt_fs *fs, struct ovlt_layers **layers)
{
	int err = ovlt_layers_new(fs, layers);

	if (!err)
		err = ovlt_layers_cover(*layers);
	if (!err)
		err = ovlt_fs_set_lower(fs);
	return err;
}

/* Returns the descriptor of a detached mount. */
static int build_with(struct ovlt_entry *entry, lower_fn lower, bool private_ns)
{
	struct ovlt_layers *layers = NULL;
	struct ovlt_fs fs;
	int err;

	err = ovlt_fs_open(&fs, entry, private_ns);
	if (err)
		return err;
	err = ovlt_fs_set_options(&fs);
	/* Looked up before layers are covered, so that it stays as it is. */
	if (!err)
		err = ovlt_fs_set_upper(&fs);
	if (!err)
		err = lower(&fs, &layers);
	if (!err)
		err = ovlt_fs_mount(&fs);
	ovlt_layers_free(layers);
	ovlt_fs_close(&fs);
	return err;
}

static int build_private(void *arg)
{
	struct ovlt_entry *entry = arg;

	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return ovlt_entry_fail(entry, -errno, OVLTREE_FIELD_NONE, 0,
				       "cannot make a private mount namespace");
	return build_with(entry, lower_private, true);
}

/*
 * An old kernel refuses a layer for being a descriptor, one opened with O_PATH
 * even as such, or for being detached.
 */
static bool is_refused(const struct ovlt_entry *entry, int err)
{
	return (err == -EINVAL || err == -EBADF) &&
	       (entry->result.field == OVLTREE_FIELD_LOWER ||
		entry->result.field == OVLTREE_FIELD_TREE);
}

static int build(struct ovlt_ctx *ctx, struct ovlt_entry *entry)
{
	if (entry->tree->userns_fd < 0)
		return build_with(entry, lower_plain, false);
	if (ctx->backend != &ovlt_backend_mountns) {
		int err = build_with(entry, lower_detached, false);

		if (!is_refused(entry, err))
			return err;
		ovlt_log(
			ctx, LOG_DEBUG,
			"no detached layers (%s): using a private mount namespace",
			entry->message);
		ovlt_entry_blame(entry, 0, OVLTREE_FIELD_NONE, 0);
	}
	return ovlt_thread_call(build_private, entry);
}

static void fill_result(struct ovlt_entry *entry, int fd)
{
	struct ovlt_mount_id id;

	if (ovlt_mount_id_get(fd, "", AT_EMPTY_PATH, &id))
		return;
	entry->result.mnt_id = id.unique;
	entry->result.dev = id.dev;
}

/* Some errors come without blame, and leave what was there. */
static int entry_failed(struct ovlt_entry *entry, int err)
{
	entry->result.error = err;
	entry->result.mnt_id = 0;
	entry->result.dev = 0;
	return err;
}

static int prepare_entry(struct ovlt_ctx *ctx, struct ovlt_entry *entry)
{
	int fd = build(ctx, entry);

	if (fd < 0)
		return entry_failed(entry, fd);
	ovlt_entry_blame(entry, 0, OVLTREE_FIELD_NONE, 0);
	entry->out_fd = fd;
	fill_result(entry, fd);
	return 0;
}

/* Attaching */

/**
 * struct attach - an entry's way from a detached mount to an attached one
 * @entry: the entry
 * @mnt_fd: the mount
 * @target: the mountpoint, whose path is the entry's
 * @attached: it is attached
 * @fn: what to do in the mount namespace of the target
 */
struct attach {
	struct ovlt_entry *entry;
	int mnt_fd;
	struct ovlt_file target;
	bool attached;
	int (*fn)(void *arg);
};

static int enter_mntns(void *arg)
{
	struct attach *attach = arg;

	if (setns(attach->entry->mntns_fd, CLONE_NEWNS))
		return ovlt_entry_blame(attach->entry, -errno,
					OVLTREE_FIELD_MNTNS_FD, 0);
	return attach->fn(attach);
}

static int attach_here(void *arg)
{
	struct attach *attach = arg;
	struct ovlt_entry *entry = attach->entry;
	const struct ovlt_file *target = &attach->target;
	unsigned int flags = MOVE_MOUNT_F_EMPTY_PATH;
	struct mount_attr attr = { 0 };

	if (!target->path)
		flags |= MOVE_MOUNT_T_EMPTY_PATH;
	if (!(target->flags & OVLT_NOFOLLOW))
		flags |= MOVE_MOUNT_T_SYMLINKS;
	if (move_mount(attach->mnt_fd, "", target->fd,
		       target->path ? target->path : "", flags))
		return ovlt_entry_blame(entry, -errno, OVLTREE_FIELD_TARGET, 0);
	attach->attached = true;
	attr.propagation = ovlt_entry_propagation(entry);
	if (attr.propagation && mount_setattr(attach->mnt_fd, "", AT_EMPTY_PATH,
					      &attr, sizeof(attr)))
		return ovlt_entry_blame(entry, -errno,
					OVLTREE_FIELD_PROPAGATION, 0);
	return 0;
}

/* Paths are the caller's: setns(2) would have them begin elsewhere. */
static int attach_in_mntns(struct attach *attach)
{
	struct ovlt_entry *entry = attach->entry;
	int fd = ovlt_file_open(&entry->target);
	int err;

	if (fd < 0)
		return ovlt_entry_blame(entry, fd, OVLTREE_FIELD_TARGET, 0);
	attach->target = (struct ovlt_file){ .fd = fd };
	attach->fn = attach_here;
	err = ovlt_thread_call(enter_mntns, attach);
	close(fd);
	return err;
}

static int undo_here(void *arg)
{
	struct attach *attach = arg;
	char path[32] = ".";

	/* Needs no path, and so neither procfs nor luck, but a folder. */
	if (fchdir(attach->mnt_fd)) {
		if (errno != ENOTDIR)
			return -errno;
		snprintf(path, sizeof(path), "/proc/self/fd/%d",
			 attach->mnt_fd);
	}
	return umount2(path, MNT_DETACH) ? -errno : 0;
}

/* Always in a thread, as it changes the working folder. */
static void undo(struct ovlt_ctx *ctx, struct ovlt_entry *entry, int mnt_fd)
{
	struct attach attach = { .entry = entry,
				 .mnt_fd = mnt_fd,
				 .fn = undo_here };
	int err = ovlt_thread_call(
		entry->mntns_fd < 0 ? undo_here : enter_mntns, &attach);

	if (err)
		ovlt_log(ctx, LOG_ERR, "cannot detach what was attached: %s",
			 strerror(-err));
}

/* move_mount(2) would move a mount that is attached already. */
static int check_detached(struct ovlt_entry *entry)
{
	struct ovlt_mount_id id;
	char *path = NULL;
	int err;

	err = ovlt_mount_id_get(entry->mnt_fd, "", AT_EMPTY_PATH, &id);
	if (err)
		return ovlt_entry_blame(entry, err, OVLTREE_FIELD_MNT_FD, 0);
	if (!id.root)
		return ovlt_entry_fail(entry, -EINVAL, OVLTREE_FIELD_MNT_FD, 0,
				       "not the root of a mount");
	if (id.unique && !ovlt_mount_id_path(id.unique, &path)) {
		free(path);
		return ovlt_entry_fail(entry, -EINVAL, OVLTREE_FIELD_MNT_FD, 0,
				       "attached already");
	}
	return 0;
}

static int entry_mount(const struct ovlt_entry *entry)
{
	return entry->kind == OVLT_KIND_TREE ? entry->out_fd : entry->mnt_fd;
}

static int attach_entry(struct ovlt_ctx *ctx, struct ovlt_entry *entry)
{
	struct attach attach = { .entry = entry, .target = entry->target };
	int err;

	err = entry->kind == OVLT_KIND_TREE ? prepare_entry(ctx, entry) :
					      check_detached(entry);
	if (err)
		return err;
	attach.mnt_fd = entry_mount(entry);
	if (entry->mntns_fd < 0)
		err = attach_here(&attach);
	else
		err = attach_in_mntns(&attach);
	if (err) {
		if (attach.attached)
			undo(ctx, entry, attach.mnt_fd);
		return entry_failed(entry, err);
	}
	fill_result(entry, attach.mnt_fd);
	return 0;
}

/* Detaching */

struct detach {
	struct ovlt_entry *entry;
	const char *path;
	int flags;
};

static int detach_here(void *arg)
{
	struct detach *detach = arg;

	return umount2(detach->path, detach->flags) ? -errno : 0;
}

/* umount2(2) has no folder to begin at but the working one. */
static int detach_below(void *arg)
{
	struct detach *detach = arg;

	if (fchdir(detach->entry->target.fd))
		return -errno;
	return detach_here(arg);
}

static int detach_id(struct detach *detach)
{
	struct ovlt_entry *entry = detach->entry;
	struct ovlt_mount_id id;
	char *path = NULL;
	int err;

	err = ovlt_mount_id_path(entry->mnt_id, &path);
	if (err == -ENOSYS)
		return ovlt_entry_fail(
			entry, -EOPNOTSUPP, OVLTREE_FIELD_MNT_ID, 0,
			"this kernel has no unique ids of mounts");
	if (err)
		return ovlt_entry_blame(entry, err, OVLTREE_FIELD_MNT_ID, 0);
	detach->path = path;
	detach->flags |= UMOUNT_NOFOLLOW;
	err = ovlt_mount_id_get(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &id);
	if (!err && id.unique != entry->mnt_id)
		err = ovlt_entry_fail(entry, -EBUSY, OVLTREE_FIELD_MNT_ID, 0,
				      "covered by another mount");
	else if (!err)
		err = detach_here(detach);
	free(path);
	return err;
}

static const char *why_attached(int err)
{
	switch (err) {
	case -EBUSY:
		return "mount is in use";
	case -EINVAL:
		return "not a mountpoint, or locked";
	}
	return "";
}

static int detach_entry(struct ovlt_entry *entry)
{
	const struct ovlt_file *target = &entry->target;
	struct detach detach = {
		.entry = entry,
		.path = target->path ? target->path : ".",
		.flags =
			((entry->flags & OVLT_LAZY) ? MNT_DETACH : 0) |
			((entry->flags & OVLT_FORCE) ? MNT_FORCE : 0) |
			((target->flags & OVLT_NOFOLLOW) ? UMOUNT_NOFOLLOW : 0),
	};
	int err;

	entry->result.field = OVLTREE_FIELD_TARGET;
	if (entry->kind == OVLT_KIND_ID) {
		entry->result.field = OVLTREE_FIELD_MNT_ID;
		err = detach_id(&detach);
	} else if (target->path &&
		   (target->fd == AT_FDCWD || target->path[0] == '/')) {
		err = detach_here(&detach);
	} else {
		err = ovlt_thread_call(detach_below, &detach);
	}
	if (err && !entry->message[0])
		ovlt_entry_fail(entry, err, entry->result.field, 0, "%s",
				why_attached(err));
	if (!err)
		ovlt_entry_blame(entry, 0, OVLTREE_FIELD_NONE, 0);
	return err;
}

/* Batches */

static int mount_prepare(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times)
{
	(void)times;
	return ovlt_entries_each(ctx, entries, nr, flags, prepare_entry);
}

static int mount_attach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	unsigned int failed = nr;

	(void)times;
	for (unsigned int i = 0; i < nr && failed == nr; i++) {
		int err = attach_entry(ctx, entries[i]);

		if (!(flags & OVLT_ALL))
			ovlt_entry_close(entries[i]);
		else if (err)
			failed = i;
	}
	if (failed < nr) {
		for (unsigned int i = failed; i-- > 0;)
			undo(ctx, entries[i], entry_mount(entries[i]));
		for (unsigned int i = 0; i < nr; i++)
			if (i != failed)
				ovlt_entry_cancel(entries[i]);
	}
	for (unsigned int i = 0; i < nr; i++)
		ovlt_entry_close(entries[i]);
	return 0;
}

static int mount_detach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	(void)ctx;
	(void)flags;
	(void)times;
	for (unsigned int i = 0; i < nr; i++)
		detach_entry(entries[i]);
	return 0;
}

const struct ovlt_backend ovlt_backend_mountapi = {
	.name = "mount-api",
	.open = mount_open,
	.prepare = mount_prepare,
	.attach = mount_attach,
	.detach = mount_detach,
	.layerset = ovlt_layerset_expand,
};

const struct ovlt_backend ovlt_backend_mountns = {
	.name = "mount-ns",
	.open = mount_open,
	.prepare = mount_prepare,
	.attach = mount_attach,
	.detach = mount_detach,
	.layerset = ovlt_layerset_expand,
};
