/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * ovltree - attach and detach batches of overlay trees
 */
#ifndef _UAPI_LINUX_OVLTREE_H
#define _UAPI_LINUX_OVLTREE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: General ioctl format
 *
 * All commands are ioctls on /dev/ovltree and share one form. Each takes a
 * structure whose first member, @size, is the size in bytes that user space
 * was compiled with. The kernel accepts a shorter structure of an older header
 * (what is missing counts as zero) and a longer one of a newer header as long
 * as all that it doesn't know is zero. The arrays that a command points to
 * follow the same rule, with the size of an element in the command.
 *
 * Unknown flags and non-zero reserved members are refused, so that they can
 * get a meaning later.
 *
 * Each element of a batch is one entry and has a result of its own, in &struct
 * ovltree_result. An ioctl returns the number of entries that succeeded, so
 * that "all is well" reads "returns @nr"; or -1 with errno when the command
 * itself can't be read, in which case nothing has been done and no result has
 * been written:
 *
 *  - ENOTTY: the command number is not known
 *  - EINVAL: @size, @entry_size or @result_size is too short, @nr is 0, a flag
 *    of the command is unknown, or an array is missing
 *  - E2BIG: the command's structure is longer than the kernel knows and its tail
 *    is not zero, or @nr is over the limit that &OVLTREE_IOC_INFO tells
 *  - EFAULT: memory can't be read, or the results can't be written; this is found
 *    out before anything is done, unless the memory goes away during the call
 *  - ENOMEM: out of memory, or over the limit of the caller's memory cgroup
 *  - EPERM: the caller lacks CAP_SYS_ADMIN in the user namespace that owns
 *    its mount namespace
 *
 * An entry that can't be read, or a tree, fails for itself with the same errnos.
 *
 * With &OVLTREE_BATCH_ALL a batch is all or nothing: when an entry fails all
 * others are undone, their results are -ECANCELED, and the ioctl returns 0. An
 * entry whose target depends on another one's (the same mountpoint, or one inside
 * its tree) is attached after it; when it fails, the mount before it was visible
 * for a moment and is unmounted as MNT_DETACH does it, so that a mount that was
 * given by file descriptor can't be attached again.
 */

#define OVLTREE_UAPI_VERSION 1

#define OVLTREE_MESSAGE_MAX 128

/**
 * struct ovltree_path - a file, by descriptor or by path
 * @fd: a file descriptor (O_PATH suffices). With @path it is the folder at
 *	which a relative path begins, as the dirfd of openat(2), AT_FDCWD
 *	included.
 * @flags: OVLTREE_PATH_*
 * @path: pointer to a NUL-terminated path of less than PATH_MAX bytes, which
 *	takes no escapes; 0 means that @fd itself is the file
 */
struct ovltree_path {
	__s32 fd;
	__u32 flags;
	__aligned_u64 path;
};

/* The layer is a data-only one; these come after all others (lower only). */
#define OVLTREE_PATH_DATA	(1U << 0)
/* Don't follow a symbolic link at the end of the path. */
#define OVLTREE_PATH_NOFOLLOW	(1U << 1)

/**
 * struct ovltree_tree - an overlay that is to be built
 * @flags: OVLTREE_TREE_*
 * @nr_lower: number of lower layers, 1 to the limit of &OVLTREE_IOC_INFO
 * @lower: pointer to @nr_lower &struct ovltree_path, the uppermost layer first,
 *	data-only layers last
 * @upper: the upper folder, with &OVLTREE_TREE_UPPER; otherwise all zero
 * @work: the work folder, with &OVLTREE_TREE_UPPER; otherwise all zero
 * @options: pointer to options of the file system, as NUL-terminated strings
 *	"key" or "key=value" one after another, taken literally: nothing in them
 *	is escaped. All options of fsconfig(2) for an overlay are taken but
 *	those that name layers.
 * @options_size: bytes at @options, the last NUL included
 * @userns_fd: with &OVLTREE_TREE_IDMAP, the user namespace whose id mapping
 *	the lower layers get. The upper layer is not mapped: what a container
 *	writes is owned by the ids it runs as. Without the flag it must be 0.
 * @attr: MOUNT_ATTR_* of the mount, as fsmount(2) takes them
 * @layerset_fd: with &OVLTREE_TREE_LAYERSET, a layer set in place of @lower; then
 *	@lower and @nr_lower must be 0. Without the flag it must be 0.
 */
struct ovltree_tree {
	__u32 flags;
	__u32 nr_lower;
	__aligned_u64 lower;
	struct ovltree_path upper;
	struct ovltree_path work;
	__aligned_u64 options;
	__u32 options_size;
	__s32 userns_fd;
	__u32 attr;
	__s32 layerset_fd;
};

/* @upper and @work name folders; without it the overlay is read-only. */
#define OVLTREE_TREE_UPPER	(1U << 0)
/* @userns_fd names the id mapping of the lower layers. */
#define OVLTREE_TREE_IDMAP	(1U << 1)
/* @layerset_fd names the lower layers. */
#define OVLTREE_TREE_LAYERSET	(1U << 2)

/**
 * struct ovltree_layerset - an entry of LAYERSET
 * @flags: must be 0
 * @nr_lower: number of lower layers, as &ovltree_tree.nr_lower
 * @lower: pointer to @nr_lower &struct ovltree_path, as &ovltree_tree.lower
 *
 * A layer set is what many trees have in common: their lower layers, resolved and
 * checked once. It is immutable, and gone when its last descriptor is closed and
 * the last tree on it unmounted. As an O_PATH descriptor of each layer would, it
 * keeps the mounts that the layers are on busy while a descriptor is open, and
 * whoever gets it needs rights of their own to mount it: what depends on the
 * caller is checked when a tree is built.
 */
struct ovltree_layerset {
	__u32 flags;
	__u32 nr_lower;
	__aligned_u64 lower;
};

/**
 * struct ovltree_attach - an entry of PREPARE and ATTACH
 * @flags: OVLTREE_ATTACH_*
 * @mnt_fd: a detached mount from PREPARE, fsmount(2) or open_tree(2), with
 *	&OVLTREE_ATTACH_MOUNT. A success attaches it as move_mount(2) does: the
 *	descriptor stays open and names a mount that is attached now. Without
 *	the flag it must be 0.
 * @tree: pointer to a &struct ovltree_tree, without &OVLTREE_ATTACH_MOUNT
 * @target: the mountpoint; PREPARE wants zeroes here. What is mounted there
 *	already is covered.
 * @mntns_fd: with &OVLTREE_ATTACH_MNTNS, the mount namespace that @target is
 *	in when that isn't the caller's own. The caller must have the rights
 *	that setns(2) to it asks for. Without the flag it must be 0.
 * @propagation: 0, or one of MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE
 *	(of <linux/mount.h>), given to the mount once it is attached, as
 *	mount_setattr(2) does. PREPARE wants 0.
 * @id: with &OVLTREE_ATTACH_REQUEST, a request that waits in the queue of the
 *	netlink family (see ovltree_netlink.h); all else must be 0 then. Without
 *	the flag it must be 0.
 */
struct ovltree_attach {
	__u32 flags;
	__s32 mnt_fd;
	__aligned_u64 tree;
	struct ovltree_path target;
	__s32 mntns_fd;
	__u32 propagation;
	__aligned_u64 id;
};

#define OVLTREE_ATTACH_MOUNT	(1U << 0)
#define OVLTREE_ATTACH_MNTNS	(1U << 1)
#define OVLTREE_ATTACH_REQUEST	(1U << 2)

/**
 * struct ovltree_detach - an entry of DETACH
 * @flags: OVLTREE_DETACH_*
 * @__reserved: must be 0
 * @mnt_id: with &OVLTREE_DETACH_ID, the unique id (STATX_MNT_ID_UNIQUE) of a
 *	mount of the caller's mount namespace, which no locked mount covers;
 *	otherwise 0
 * @target: the mountpoint; zeroes with &OVLTREE_DETACH_ID
 */
struct ovltree_detach {
	__u32 flags;
	__u32 __reserved;
	__aligned_u64 mnt_id;
	struct ovltree_path target;
};

#define OVLTREE_DETACH_ID	(1U << 0)
/* As MNT_DETACH: gone from the table now, shut down when no longer in use. */
#define OVLTREE_DETACH_LAZY	(1U << 1)
/* As MNT_FORCE. */
#define OVLTREE_DETACH_FORCE	(1U << 2)
/*
 * @mnt_id is the id of a request in the netlink family's queue; all else is 0. It may
 * not be shut down yet when DETACH returns; DONE follows that.
 */
#define OVLTREE_DETACH_REQUEST	(1U << 3)

/**
 * enum ovltree_field - what an error is about
 * @OVLTREE_FIELD_NONE: nothing in particular
 * @OVLTREE_FIELD_FLAGS: flags of the entry, or of something in it
 * @OVLTREE_FIELD_MNT_FD: &ovltree_attach.mnt_fd
 * @OVLTREE_FIELD_TREE: &ovltree_attach.tree, as a whole
 * @OVLTREE_FIELD_LOWER: a lower layer; &ovltree_result.index tells which
 * @OVLTREE_FIELD_UPPER: the upper folder
 * @OVLTREE_FIELD_WORK: the work folder
 * @OVLTREE_FIELD_OPTIONS: an option; &ovltree_result.index tells which
 * @OVLTREE_FIELD_USERNS_FD: &ovltree_tree.userns_fd
 * @OVLTREE_FIELD_ATTR: &ovltree_tree.attr
 * @OVLTREE_FIELD_TARGET: the mountpoint
 * @OVLTREE_FIELD_MNTNS_FD: &ovltree_attach.mntns_fd
 * @OVLTREE_FIELD_PROPAGATION: &ovltree_attach.propagation
 * @OVLTREE_FIELD_MNT_ID: &ovltree_detach.mnt_id
 * @OVLTREE_FIELD_LAYERSET_FD: &ovltree_tree.layerset_fd
 * @OVLTREE_FIELD_ID: &ovltree_attach.id, or the id of a request to detach
 */
enum ovltree_field {
	OVLTREE_FIELD_NONE,
	OVLTREE_FIELD_FLAGS,
	OVLTREE_FIELD_MNT_FD,
	OVLTREE_FIELD_TREE,
	OVLTREE_FIELD_LOWER,
	OVLTREE_FIELD_UPPER,
	OVLTREE_FIELD_WORK,
	OVLTREE_FIELD_OPTIONS,
	OVLTREE_FIELD_USERNS_FD,
	OVLTREE_FIELD_ATTR,
	OVLTREE_FIELD_TARGET,
	OVLTREE_FIELD_MNTNS_FD,
	OVLTREE_FIELD_PROPAGATION,
	OVLTREE_FIELD_MNT_ID,
	OVLTREE_FIELD_LAYERSET_FD,
	OVLTREE_FIELD_ID,
};

/**
 * struct ovltree_result - what became of an entry
 * @error: 0, or a negative errno: what the system call that does the same for
 *	one mount would have said; -ECANCELED when another entry of an
 *	all-or-nothing batch failed; -EINTR when a signal came first
 * @fd: PREPARE: the descriptor of the detached mount; LAYERSET: that of the
 *	layer set; otherwise -1
 * @mnt_id: ATTACH: the unique id (STATX_MNT_ID_UNIQUE) of the mount
 * @dev_major: major number of the mount's device
 * @dev_minor: its minor number
 * @field: enum ovltree_field
 * @index: which element of @field, from 0
 * @message: why, NUL-terminated; empty where the errno says it all
 */
struct ovltree_result {
	__s32 error;
	__s32 fd;
	__aligned_u64 mnt_id;
	__u32 dev_major;
	__u32 dev_minor;
	__u32 field;
	__u32 index;
	char message[OVLTREE_MESSAGE_MAX];
};

/**
 * struct ovltree_batch - argument of PREPARE, ATTACH, DETACH and LAYERSET
 * @size: sizeof(struct ovltree_batch)
 * @flags: OVLTREE_BATCH_*
 * @entries: pointer to @nr &struct ovltree_attach, &struct ovltree_detach or
 *	&struct ovltree_layerset
 * @results: pointer to @nr &struct ovltree_result
 * @nr: number of entries, 1 to the limit of &OVLTREE_IOC_INFO
 * @entry_size: size in bytes of an element at @entries
 * @result_size: size in bytes of an element at @results
 * @tree_size: sizeof(struct ovltree_tree); ignored by DETACH and LAYERSET
 * @wait_ns: out: nanoseconds spent waiting for locks to attach or detach
 * @hold_ns: out: nanoseconds that the mount table was locked
 */
struct ovltree_batch {
	__u32 size;
	__u32 flags;
	__aligned_u64 entries;
	__aligned_u64 results;
	__u32 nr;
	__u32 entry_size;
	__u32 result_size;
	__u32 tree_size;
	__aligned_u64 wait_ns;
	__aligned_u64 hold_ns;
};

/* All or nothing (PREPARE, ATTACH and LAYERSET). */
#define OVLTREE_BATCH_ALL	(1U << 0)
/* Descriptors that PREPARE and LAYERSET return are closed by execve(2). */
#define OVLTREE_BATCH_CLOEXEC	(1U << 1)

/**
 * struct ovltree_info - argument of INFO
 * @size: sizeof(struct ovltree_info)
 * @flags: must be 0
 * @version: out: OVLTREE_UAPI_VERSION of the kernel
 * @max_entries: out: most entries in a batch
 * @max_lower: out: most lower layers in a tree
 * @max_options: out: most bytes of options in a tree
 * @features: out: OVLTREE_FEATURE_*
 * @nr_layersets: out: layer sets that exist now
 * @__reserved: out: 0
 */
struct ovltree_info {
	__u32 size;
	__u32 flags;
	__u32 version;
	__u32 max_entries;
	__u32 max_lower;
	__u32 max_options;
	__aligned_u64 features;
	__u32 nr_layersets;
	__u32 __reserved;
};

/* ATTACH and DETACH hold the mount locks once a batch. */
#define OVLTREE_FEATURE_BATCH		(1ULL << 0)
/* Layers of one mount share one private mount, idmapped once. */
#define OVLTREE_FEATURE_SHARED_LOWER	(1ULL << 1)
/* Trees can share a layer set. */
#define OVLTREE_FEATURE_LAYERSET	(1ULL << 2)
/* Requests wait in the queue of the netlink family (see ovltree_netlink.h). */
#define OVLTREE_FEATURE_NETLINK		(1ULL << 3)

#define OVLTREE_IOC_TYPE 0xC5

#define OVLTREE_IOC_INFO	_IO(OVLTREE_IOC_TYPE, 0x00)
#define OVLTREE_IOC_PREPARE	_IO(OVLTREE_IOC_TYPE, 0x01)
#define OVLTREE_IOC_ATTACH	_IO(OVLTREE_IOC_TYPE, 0x02)
#define OVLTREE_IOC_DETACH	_IO(OVLTREE_IOC_TYPE, 0x03)
#define OVLTREE_IOC_LAYERSET	_IO(OVLTREE_IOC_TYPE, 0x04)

#endif /* _UAPI_LINUX_OVLTREE_H */
