// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layer sets: what the trees of an image have in common, behind a file descriptor.
 * A tree on a layer set holds what overlayfs shares of it, not the set.
 */
#include <linux/anon_inodes.h>
#include <linux/cleanup.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "internal.h"
#include "queue.h"

struct ovlt_layersets ovlt_layersets = {
	.lock	= __MUTEX_INITIALIZER(ovlt_layersets.lock),
	.sets	= XARRAY_INIT(ovlt_layersets.sets, XA_FLAGS_ACCOUNT),
};

/* Let it be found. */
static int layerset_enter(struct ovlt_layerset *set)
{
	u64 id;
	int err;

	guard(mutex)(&ovlt_layersets.lock);
	id = ovlt_layersets.last_id + 1;
	err = xa_insert(&ovlt_layersets.sets, id, set, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	ovlt_layersets.last_id = id;
	ovlt_layersets.nr++;
	set->id = id;
	return 0;
}

static void layerset_leave(const struct ovlt_layerset *set)
{
	guard(mutex)(&ovlt_layersets.lock);
	xa_erase(&ovlt_layersets.sets, set->id);
	ovlt_layersets.nr--;
}

static void layerset_free(struct ovlt_layerset *set)
{
	if (set->id)
		layerset_leave(set);
	ovlt_layers_put(set->layers);
	put_pid(set->pid);
	kfree(set);
}

DEFINE_FREE(layerset, struct ovlt_layerset *, if (!IS_ERR_OR_NULL(_T)) layerset_free(_T))

static int layerset_release(struct inode *inode, struct file *file)
{
	layerset_free(file->private_data);
	return 0;
}

static void layerset_show_fdinfo(struct seq_file *m, struct file *file)
{
	const struct ovlt_layerset *set = file->private_data;

	seq_printf(m, "id:\t%llu\n", set->id);
	seq_printf(m, "layers:\t%u\n", ovlt_layers_nr(set->layers));
}

static const struct file_operations layerset_fops = {
	.owner		= THIS_MODULE,
	.release	= layerset_release,
	.show_fdinfo	= layerset_show_fdinfo,
};

/**
 * ovlt_layerset_count - tell how many layer sets there are
 *
 * Return: Number of sets that are held by a file.
 */
unsigned int ovlt_layerset_count(void)
{
	guard(mutex)(&ovlt_layersets.lock);
	return ovlt_layersets.nr;
}

/**
 * ovlt_layerset_from_file - get the layers of a layer set
 * @file: of the set, or NULL
 *
 * Return: Layers that are valid as long as @file is, or an error pointer.
 */
struct ovlt_layers *ovlt_layerset_from_file(const struct file *file)
{
	const struct ovlt_layerset *set;

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &layerset_fops)
		return ERR_PTR(-EINVAL);
	set = file->private_data;
	return set->layers;
}

static int layerset_read(struct ovltree_layerset *entry,
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
				 "unknown flag");
	return 0;
}

/* The caller's layer set, which nobody else sees yet. */
static struct ovlt_layerset *layerset_new(struct ovlt_layers *layers)
{
	struct ovlt_layerset *set;

	set = kzalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);
	if (!set)
		return NULL;
	set->layers = layers;
	set->net_cookie = current->nsproxy->net_ns->net_cookie;
	set->pid = get_pid(task_tgid(current));
	set->uid = current_euid();
	set->cgroup_id = ovlt_current_cgroup_id();
	set->made = ktime_get_ns();
	return set;
}

static struct ovlt_layerset *layerset_make(const struct ovltree_layerset *entry,
					   struct fs_context *fc,
					   struct ovltree_result *result)
{
	struct ovlt_layerset *set __free(layerset) = NULL;
	struct ovlt_layers *layers;
	int err;

	layers = ovlt_layers_get(entry->lower, entry->nr_lower, result);
	if (IS_ERR(layers))
		return ERR_CAST(layers);
	set = layerset_new(layers);
	if (!set) {
		ovlt_layers_put(layers);
		return ERR_PTR(ovlt_fail(result, -ENOMEM, OVLTREE_FIELD_NONE, 0,
					 "%s", ""));
	}
	err = ovlt_layers_share(layers, fc, result);
	if (err)
		return ERR_PTR(err);
	err = layerset_enter(set);
	if (err)
		return ERR_PTR(ovlt_fail(result, err, OVLTREE_FIELD_NONE, 0,
					 "%s", ""));
	return no_free_ptr(set);
}

static struct file *layerset_open(const struct ovlt_batch *batch, unsigned int i)
{
	struct ovltree_result *result = &batch->results[i];
	struct fs_context *fc __free(put_fs_context) = NULL;
	struct ovlt_layerset *set __free(layerset) = NULL;
	struct ovltree_layerset entry;
	struct file *file;
	int err;

	err = layerset_read(&entry, batch, i, result);
	if (err)
		return ERR_PTR(err);
	fc = ovlt_tree_context(result);
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	set = layerset_make(&entry, fc, result);
	if (IS_ERR(set))
		return ERR_CAST(set);

	file = anon_inode_getfile("[ovltree_layerset]", &layerset_fops, set, 0);
	if (IS_ERR(file))
		return ERR_PTR(ovlt_fail(result, PTR_ERR(file),
					 OVLTREE_FIELD_NONE, 0, "no file"));
	retain_and_null_ptr(set);
	return file;
}

static int layerset_batch(struct ovlt_batch *batch)
{
	return ovlt_files_batch(batch, layerset_open);
}

/* OVLTREE_IOC_LAYERSET */
const struct ovlt_batch_op ovlt_layerset_op = {
	.name		= "layerset",
	.flags		= OVLTREE_BATCH_ALL | OVLTREE_BATCH_CLOEXEC,
	.entry_size	= sizeof(struct ovltree_layerset),
	.run		= layerset_batch,
};
