// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layer sets: what the trees of an image have in common, behind a file descriptor.
 * A tree on a layer set holds what overlayfs shares of it, not the set.
 */
#include <linux/anon_inodes.h>
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/seq_file.h>

#include "internal.h"

static atomic_t layerset_count;

static int layerset_release(struct inode *inode, struct file *file)
{
	ovlt_layers_put(file->private_data);
	atomic_dec(&layerset_count);
	return 0;
}

static void layerset_show_fdinfo(struct seq_file *m, struct file *file)
{
	seq_printf(m, "layers:\t%u\n", ovlt_layers_nr(file->private_data));
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
	return atomic_read(&layerset_count);
}

/**
 * ovlt_layerset_from_file - get the layers of a layer set
 * @file: of the set, or NULL
 *
 * Return: Layers that are valid as long as @file is, or an error pointer.
 */
struct ovlt_layers *ovlt_layerset_from_file(const struct file *file)
{
	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &layerset_fops)
		return ERR_PTR(-EINVAL);
	return file->private_data;
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

static struct file *layerset_open(const struct ovlt_batch *batch, unsigned int i)
{
	struct ovltree_result *result = &batch->results[i];
	struct fs_context *fc __free(put_fs_context) = NULL;
	struct ovltree_layerset entry;
	struct ovlt_layers *layers;
	struct file *file;
	int err;

	err = layerset_read(&entry, batch, i, result);
	if (err)
		return ERR_PTR(err);
	fc = ovlt_tree_context(result);
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	layers = ovlt_layers_get(entry.lower, entry.nr_lower, result);
	if (IS_ERR(layers))
		return ERR_CAST(layers);

	err = ovlt_layers_share(layers, fc, result);
	if (err) {
		ovlt_layers_put(layers);
		return ERR_PTR(err);
	}
	file = anon_inode_getfile("[ovltree_layerset]", &layerset_fops, layers,
				  0);
	if (IS_ERR(file)) {
		ovlt_layers_put(layers);
		return ERR_PTR(ovlt_fail(result, PTR_ERR(file),
					 OVLTREE_FIELD_NONE, 0, "no file"));
	}
	atomic_inc(&layerset_count);
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
