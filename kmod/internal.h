/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OVLTREE_INTERNAL_H
#define _OVLTREE_INTERNAL_H

#include <linux/cleanup.h>
#include <linux/compiler_attributes.h>
#include <linux/err.h>
#include <linux/fs_context.h>
#include <linux/mnt_batch.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/path.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/xarray.h>
#include <uapi/linux/ovltree.h>

#define OVLT_MAX_LOWER 500	/* as overlayfs' OVL_MAX_STACK */
#define OVLT_MAX_OPTIONS (64 * 1024)

struct file;
struct ovl_known_upper;
struct ovlt_layers;
struct ovlt_private;
struct ovlt_supers;
struct work_struct;
struct pid;

/* ioctl.c */
long ovlt_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* batch.c */

/**
 * struct ovlt_batch - a call with many entries
 * @arg: what the caller gave
 * @uarg: where it gave it
 * @results: what it gets, one for each entry
 * @upper: the upper file system that its trees have in common
 */
struct ovlt_batch {
	struct ovltree_batch arg;
	void __user *uarg;
	struct ovltree_result *results;
	struct ovl_known_upper *upper;
};

/**
 * struct ovlt_batch_op - a command that takes a batch
 * @name: for the tracepoints
 * @flags: OVLTREE_BATCH_* that it takes
 * @entry_size: least size of an entry
 * @run: does it and writes the results; returns 0, or a negative errno with
 *	nothing done, but for -EFAULT if the memory for the results has gone
 *	meanwhile
 */
struct ovlt_batch_op {
	const char *name;
	u32 flags;
	size_t entry_size;
	int (*run)(struct ovlt_batch *batch);
};

long ovlt_batch_run(const struct ovlt_batch_op *op, void __user *uarg,
		    size_t usize);
int ovlt_batch_entry(const struct ovlt_batch *batch, unsigned int i,
		     void *entry, size_t size);
int ovlt_batch_write(const struct ovlt_batch *batch);
unsigned int ovlt_batch_succeeded(const struct ovlt_batch *batch);
void ovlt_batch_cancel(struct ovlt_batch *batch);

__printf(5, 6)
int ovlt_fail(struct ovltree_result *result, int err, enum ovltree_field field,
	      unsigned int index, const char *fmt, ...);
int ovlt_fail_fc(struct ovltree_result *result, int err,
		 enum ovltree_field field, unsigned int index,
		 const struct fs_context *fc);

/* It is to be attached or detached, or it was. */
static inline bool ovlt_entry_is_good(const struct mnt_batch_entry *entry)
{
	return entry->ns && !entry->error;
}

/* path.c */
int ovlt_path_get(const struct ovltree_path *upath, u32 valid_flags,
		  unsigned int lookup, struct path *path, char **name);

/* layers.c */
struct ovlt_layers *ovlt_layers_get(u64 lower, unsigned int nr,
				    struct ovltree_result *result);
void ovlt_layers_put(struct ovlt_layers *layers);
unsigned int ovlt_layers_nr(const struct ovlt_layers *layers);
int ovlt_layers_share(struct ovlt_layers *layers, struct fs_context *fc,
		      struct ovltree_result *result);
struct ovlt_private *ovlt_layers_parse(const struct ovlt_layers *layers,
				       const struct ovltree_tree *tree,
				       struct fs_context *fc,
				       struct ovltree_result *result);
void ovlt_private_put(struct ovlt_private *private, bool taken);

/* layerset.c */

/**
 * struct ovlt_layerset - layers that a file holds
 * @layers: the layers
 * @id: its number
 * @net_cookie: network namespace of who has made it, which may be gone
 * @pid: thread group of who has made it
 * @uid: its effective user
 * @cgroup_id: its cgroup
 * @made: when, in ns
 */
struct ovlt_layerset {
	struct ovlt_layers *layers;
	u64 id;
	u64 net_cookie;
	struct pid *pid;
	kuid_t uid;
	u64 cgroup_id;
	u64 made;
};

/**
 * struct ovlt_layersets - all layer sets
 * @lock: protects it; a set that is found is there while it is held
 * @sets: &struct ovlt_layerset by id
 * @last_id: of a set
 * @nr: number of @sets
 */
struct ovlt_layersets {
	struct mutex lock; /* in cb_lock; no other is taken under it */
	struct xarray sets;
	u64 last_id;
	unsigned int nr;
};

extern struct ovlt_layersets ovlt_layersets;

struct ovlt_layers *ovlt_layerset_from_file(const struct file *file);
unsigned int ovlt_layerset_count(void);

/* tree.c */
DEFINE_FREE(put_fs_context, struct fs_context *, if (!IS_ERR_OR_NULL(_T)) put_fs_context(_T))
struct fs_context *ovlt_tree_context(struct ovltree_result *result);
struct vfsmount *ovlt_tree_build(const struct ovlt_batch *batch, u64 utree,
				 struct ovltree_result *result);

/* files.c */
int ovlt_files_batch(struct ovlt_batch *batch,
		     struct file *(*open)(const struct ovlt_batch *batch,
					  unsigned int i));

/* merge.c */
void ovlt_merge_expect(const struct mnt_batch *batch);
void ovlt_merge_withdraw(const struct mnt_batch *batch);
int ovlt_merge_attach(struct mnt_batch *batch, u64 patience_ns);

/* attach.c, detach.c */
enum ovltree_field ovlt_attach_blame(const struct mnt_batch_entry *entry, int err,
				     bool foreign, const char **why);
void ovlt_attach_report(struct ovltree_result *result,
			const struct mnt_batch_entry *entry);
void ovlt_detach_report(struct ovltree_result *result,
			const struct mnt_batch_entry *entry);

/* shutdown.c */
struct ovlt_supers *ovlt_supers_hold(const struct mnt_batch *mounts);
void ovlt_supers_shutdown(struct ovlt_supers *supers,
			  const struct mnt_batch *mounts);
void ovlt_shutdown_queue(struct work_struct *work);
void ovlt_shutdown_flush(void);
int ovlt_shutdown_init(void);
void ovlt_shutdown_exit(void);

/* The commands, each in the file of its name */
extern const struct ovlt_batch_op ovlt_layerset_op;
extern const struct ovlt_batch_op ovlt_prepare_op;
extern const struct ovlt_batch_op ovlt_attach_op;
extern const struct ovlt_batch_op ovlt_detach_op;

#endif /* _OVLTREE_INTERNAL_H */
