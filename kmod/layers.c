// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lower layers of overlays: resolved, and for each overlay moved from the
 * mounts they are on to private ones: one a mount, idmapped if asked for, however
 * many layers are on it.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/namei.h>
#include <linux/overlayfs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "internal.h"

struct ovlt_layer {
	struct path path;
	char *name;
	unsigned int mnt;
	bool data;
};

/**
 * struct ovlt_layers_mnt - a mount that layers are on
 * @mnt: the mount, which the layers have references to
 * @first: the first of the layers that are on it
 * @roots: where these layers begin
 * @nr: number of @roots
 */
struct ovlt_layers_mnt {
	struct vfsmount *mnt;
	unsigned int first;
	struct dentry **roots;
	unsigned int nr;
};

/**
 * struct ovlt_layers - lower layers
 * @shared: what overlayfs has found out about them, if they are a layer set
 * @nr_mnts: number of mounts that they are on
 * @mnts: these mounts, as they come
 * @roots: the array that the mounts' arrays are parts of
 * @nr: number of layers
 * @layer: the layers, uppermost first
 */
struct ovlt_layers {
	struct ovl_lowers *shared;
	unsigned int nr_mnts;
	struct ovlt_layers_mnt *mnts;
	struct dentry **roots;
	unsigned int nr;
	struct ovlt_layer layer[] __counted_by(nr);
};

/**
 * struct ovlt_private - the private mounts of one overlay
 * @nr: number of mounts
 * @mnts: for each mount of the layers a private one
 */
struct ovlt_private {
	unsigned int nr;
	struct vfsmount *mnts[];
};

DEFINE_FREE(put_user_ns, struct user_namespace *, if (!IS_ERR_OR_NULL(_T)) put_user_ns(_T))
DEFINE_FREE(ovlt_layers, struct ovlt_layers *, if (_T) ovlt_layers_put(_T))

static int layer_get(struct ovlt_layer *layer, u64 ulayer,
		     struct ovltree_result *result, unsigned int i)
{
	struct ovltree_path upath;
	int err;

	if (copy_from_user(&upath, u64_to_user_ptr(ulayer), sizeof(upath)))
		return ovlt_fail(result, -EFAULT, OVLTREE_FIELD_LOWER, i,
				 "layer can't be read");
	err = ovlt_path_get(&upath, OVLTREE_PATH_DATA | OVLTREE_PATH_NOFOLLOW,
			    0, &layer->path, &layer->name);
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_LOWER, i,
				 "layer can't be resolved");
	layer->data = upath.flags & OVLTREE_PATH_DATA;
	return 0;
}

/* Number the mounts, and find the layers of each. */
static int layers_group(struct ovlt_layers *layers)
{
	struct dentry **roots;

	layers->mnts = kvcalloc(layers->nr, sizeof(*layers->mnts),
				GFP_KERNEL_ACCOUNT);
	layers->roots = kvmalloc_array(layers->nr, sizeof(*layers->roots),
				       GFP_KERNEL_ACCOUNT);
	if (!layers->mnts || !layers->roots)
		return -ENOMEM;

	for (unsigned int i = 0; i < layers->nr; i++) {
		struct ovlt_layer *layer = &layers->layer[i];
		struct ovlt_layers_mnt *on = layers->mnts;

		while (on->nr && on->mnt != layer->path.mnt)
			on++;
		if (!on->nr++) {
			on->mnt = layer->path.mnt;
			on->first = i;
			layers->nr_mnts++;
		}
		layer->mnt = on - layers->mnts;
	}

	roots = layers->roots;
	for (unsigned int i = 0; i < layers->nr_mnts; i++) {
		struct ovlt_layers_mnt *on = &layers->mnts[i];

		on->roots = roots;
		roots += on->nr;
		on->nr = 0;
	}
	for (unsigned int i = 0; i < layers->nr; i++) {
		struct ovlt_layers_mnt *on = &layers->mnts[layers->layer[i].mnt];

		on->roots[on->nr++] = layers->layer[i].path.dentry;
	}
	return 0;
}

/**
 * ovlt_layers_get - resolve lower layers
 * @lower: user pointer to an array of &struct ovltree_path
 * @nr: number of its elements
 * @result: takes the reason of a failure
 *
 * Context: The caller's.
 * Return: The layers, to be released with ovlt_layers_put(), or an error
 *         pointer.
 */
struct ovlt_layers *ovlt_layers_get(u64 lower, unsigned int nr,
				    struct ovltree_result *result)
{
	struct ovlt_layers *layers __free(ovlt_layers) = NULL;
	int err;

	if (!lower || !nr)
		return ERR_PTR(ovlt_fail(result, -EINVAL, OVLTREE_FIELD_LOWER, 0,
					 "no lower layer"));
	if (nr > OVLT_MAX_LOWER)
		return ERR_PTR(ovlt_fail(result, -EINVAL, OVLTREE_FIELD_LOWER,
					 OVLT_MAX_LOWER,
					 "more than %u lower layers",
					 OVLT_MAX_LOWER));

	layers = kvzalloc(struct_size(layers, layer, nr), GFP_KERNEL_ACCOUNT);
	if (!layers)
		return ERR_PTR(ovlt_fail(result, -ENOMEM, OVLTREE_FIELD_NONE, 0,
					 "%s", ""));
	layers->nr = nr;

	for (unsigned int i = 0; i < nr; i++) {
		u64 ulayer = lower + i * sizeof(struct ovltree_path);

		err = layer_get(&layers->layer[i], ulayer, result, i);
		if (err)
			return ERR_PTR(err);
	}
	err = layers_group(layers);
	if (err)
		return ERR_PTR(ovlt_fail(result, err, OVLTREE_FIELD_NONE, 0,
					 "%s", ""));
	return no_free_ptr(layers);
}

void ovlt_layers_put(struct ovlt_layers *layers)
{
	/* The mounts keep the file systems that the shared layers are on */
	if (layers->shared)
		ovl_lowers_put(layers->shared);
	for (unsigned int i = 0; i < layers->nr; i++) {
		path_put(&layers->layer[i].path);
		kfree(layers->layer[i].name);
	}
	kvfree(layers->mnts);
	kvfree(layers->roots);
	kvfree(layers);
}

unsigned int ovlt_layers_nr(const struct ovlt_layers *layers)
{
	return layers->nr;
}

/* Give each layer to an overlay, on private mounts if there are some. */
static int layers_parse(const struct ovlt_layers *layers,
			const struct ovlt_private *private,
			struct fs_context *fc, struct ovltree_result *result)
{
	int err;

	for (unsigned int i = 0; i < layers->nr; i++) {
		const struct ovlt_layer *layer = &layers->layer[i];
		struct path path = layer->path;

		if (private)
			path.mnt = private->mnts[layer->mnt];
		err = ovl_parse_layer_path(fc, layer->data ? "datadir+" : "lowerdir+",
					   layer->name, &path, !!private);
		if (err)
			return ovlt_fail_fc(result, err, OVLTREE_FIELD_LOWER, i,
					    fc);
	}
	return 0;
}

/**
 * ovlt_layers_share - make a layer set of layers
 * @layers: the layers
 * @fc: an overlay's context, of no use afterwards
 * @result: takes the reason of a failure
 *
 * Return: 0 or a negative errno.
 */
int ovlt_layers_share(struct ovlt_layers *layers, struct fs_context *fc,
		      struct ovltree_result *result)
{
	struct ovl_lowers *shared;
	unsigned int index;
	int err;

	err = layers_parse(layers, NULL, fc, result);
	if (err)
		return err;
	shared = ovl_share_lowers(fc, &index);
	if (IS_ERR(shared))
		return ovlt_fail_fc(result, PTR_ERR(shared), OVLTREE_FIELD_LOWER,
				    index, fc);
	layers->shared = shared;
	for (unsigned int i = 0; i < layers->nr; i++) {
		kfree(layers->layer[i].name);
		layers->layer[i].name = NULL;
	}
	return 0;
}

static struct ovlt_private *private_get(const struct ovlt_layers *layers,
					struct user_namespace *userns,
					struct ovltree_result *result)
{
	struct ovlt_private *private;

	private = kzalloc(struct_size(private, mnts, layers->nr_mnts),
			  GFP_KERNEL_ACCOUNT);
	if (!private)
		return ERR_PTR(ovlt_fail(result, -ENOMEM, OVLTREE_FIELD_NONE, 0,
					 "%s", ""));

	for (unsigned int i = 0; i < layers->nr_mnts; i++) {
		const struct ovlt_layers_mnt *on = &layers->mnts[i];
		struct vfsmount *mnt;

		mnt = clone_private_mount_idmapped(on->mnt, on->roots, on->nr,
						   userns);
		if (IS_ERR(mnt)) {
			ovlt_private_put(private, false);
			return ERR_PTR(ovlt_fail(result, PTR_ERR(mnt),
						 OVLTREE_FIELD_LOWER, on->first,
						 "no private %smount of the layer's mount",
						 userns ? "idmapped " : ""));
		}
		/* Nothing is written to a lower layer, not even a time of access */
		mnt->mnt_flags |= MNT_READONLY | MNT_NOATIME;
		private->mnts[private->nr++] = mnt;
	}
	return private;
}

/**
 * ovlt_private_put - release private mounts
 * @private: the mounts
 * @taken: an overlay has them now, and unmounts them
 */
void ovlt_private_put(struct ovlt_private *private, bool taken)
{
	if (taken) {
		while (private->nr)
			mntput(private->mnts[--private->nr]);
	} else if (private->nr) {
		kern_unmount_array(private->mnts, private->nr);
	}
	kfree(private);
}

/**
 * ovlt_layers_parse - give layers to an overlay
 * @layers: the layers
 * @tree: the tree that they are for, with its idmap
 * @fc: the overlay's context
 * @result: takes the reason of a failure
 *
 * Context: The caller's, which has to have the right to clone and to idmap the
 *          layers' mounts.
 * Return: The private mounts that the overlay has its layers on, to be released
 *         with ovlt_private_put() once it has a superblock, or an error pointer.
 */
struct ovlt_private *ovlt_layers_parse(const struct ovlt_layers *layers,
				       const struct ovltree_tree *tree,
				       struct fs_context *fc,
				       struct ovltree_result *result)
{
	struct user_namespace *userns __free(put_user_ns) = NULL;
	struct ovlt_private *private;
	int err;

	if (tree->flags & OVLTREE_TREE_IDMAP) {
		userns = mnt_userns_from_fd(tree->userns_fd);
		if (IS_ERR(userns))
			return ERR_PTR(ovlt_fail(result, PTR_ERR(userns),
						 OVLTREE_FIELD_USERNS_FD, 0,
						 "no user namespace to map to"));
	}
	private = private_get(layers, userns, result);
	if (IS_ERR(private))
		return private;

	if (layers->shared) {
		err = ovl_parse_lowers(fc, layers->shared, private->mnts,
				       private->nr);
		if (err)
			ovlt_fail_fc(result, err, OVLTREE_FIELD_LAYERSET_FD, 0,
				     fc);
	} else {
		err = layers_parse(layers, private, fc, result);
	}
	if (!err)
		return private;
	ovlt_private_put(private, false);
	return ERR_PTR(err);
}
