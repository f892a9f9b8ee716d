// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lower layers of an overlay, resolved, and moved from the mounts they are
 * on to private ones: one a mount, idmapped if asked for, however many layers
 * are on it.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include <linux/overlayfs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "internal.h"

struct ovlt_layer {
	struct path path;
	char *name;
	bool data;
};

/**
 * struct ovlt_layers - the lower layers of one overlay
 * @private: the private mounts that the layers are on
 * @nr_private: number of these
 * @nr: number of layers
 * @layer: the layers, uppermost first
 */
struct ovlt_layers {
	struct vfsmount **private;
	unsigned int nr_private;
	unsigned int nr;
	struct ovlt_layer layer[] __counted_by(nr);
};

DEFINE_FREE(put_user_ns, struct user_namespace *, if (!IS_ERR_OR_NULL(_T)) put_user_ns(_T))
DEFINE_FREE(ovlt_layers, struct ovlt_layers *, if (_T) ovlt_layers_put(_T, false))

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

/*
 * Move the layers that are on the same mount as the layer @first to a private
 * mount.
 */
static int layers_make_private(struct ovlt_layers *layers, unsigned int first,
			       struct dentry **roots,
			       struct user_namespace *userns)
{
	struct vfsmount *from = layers->layer[first].path.mnt, *private;
	unsigned int nr = 0;

	for (unsigned int i = first; i < layers->nr; i++) {
		if (layers->layer[i].path.mnt == from)
			roots[nr++] = layers->layer[i].path.dentry;
	}

	private = clone_private_mount_idmapped(from, roots, nr, userns);
	if (IS_ERR(private))
		return PTR_ERR(private);
	/* Nothing is written to a lower layer, not even a time of access */
	private->mnt_flags |= MNT_READONLY | MNT_NOATIME;
	layers->private[layers->nr_private++] = private;

	for (unsigned int i = layers->nr; i-- > first;) {
		struct path *path = &layers->layer[i].path;

		if (path->mnt != from)
			continue;
		path->mnt = mntget(private);
		mntput(from);
	}
	return 0;
}

static bool layer_is_private(const struct ovlt_layers *layers, unsigned int i)
{
	for (unsigned int j = 0; j < layers->nr_private; j++) {
		if (layers->layer[i].path.mnt == layers->private[j])
			return true;
	}
	return false;
}

static int layers_isolate(struct ovlt_layers *layers,
			  struct user_namespace *userns,
			  struct ovltree_result *result)
{
	struct dentry **roots __free(kfree) =
		kcalloc(layers->nr, sizeof(*roots), GFP_KERNEL_ACCOUNT);
	int err;

	layers->private = kcalloc(layers->nr, sizeof(*layers->private),
				  GFP_KERNEL_ACCOUNT);
	if (!roots || !layers->private)
		return ovlt_fail(result, -ENOMEM, OVLTREE_FIELD_NONE, 0, "%s", "");

	for (unsigned int i = 0; i < layers->nr; i++) {
		if (layer_is_private(layers, i))
			continue;
		err = layers_make_private(layers, i, roots, userns);
		if (err)
			return ovlt_fail(result, err, OVLTREE_FIELD_LOWER, i,
					 "no private %smount of the layer's mount",
					 userns ? "idmapped " : "");
	}
	return 0;
}

/**
 * ovlt_layers_get - resolve the lower layers of a tree
 * @tree: the tree
 * @result: takes the reason of a failure
 *
 * Context: The caller's.
 * Return: The layers, to be released with ovlt_layers_put(), or an error
 *         pointer.
 */
struct ovlt_layers *ovlt_layers_get(const struct ovltree_tree *tree,
				    struct ovltree_result *result)
{
	struct user_namespace *userns __free(put_user_ns) = NULL;
	struct ovlt_layers *layers __free(ovlt_layers) = NULL;
	int err;

	if (!tree->lower || !tree->nr_lower)
		return ERR_PTR(ovlt_fail(result, -EINVAL, OVLTREE_FIELD_LOWER, 0,
					 "no lower layer"));
	if (tree->nr_lower > OVLT_MAX_LOWER)
		return ERR_PTR(ovlt_fail(result, -EINVAL, OVLTREE_FIELD_LOWER,
					 OVLT_MAX_LOWER,
					 "more than %u lower layers",
					 OVLT_MAX_LOWER));
	if (tree->flags & OVLTREE_TREE_IDMAP) {
		userns = mnt_userns_from_fd(tree->userns_fd);
		if (IS_ERR(userns))
			return ERR_PTR(ovlt_fail(result, PTR_ERR(userns),
						 OVLTREE_FIELD_USERNS_FD, 0,
						 "no user namespace to map to"));
	}

	layers = kvzalloc(struct_size(layers, layer, tree->nr_lower),
			  GFP_KERNEL_ACCOUNT);
	if (!layers)
		return ERR_PTR(ovlt_fail(result, -ENOMEM, OVLTREE_FIELD_NONE, 0,
					 "%s", ""));
	layers->nr = tree->nr_lower;

	for (unsigned int i = 0; i < layers->nr; i++) {
		u64 ulayer = tree->lower + i * sizeof(struct ovltree_path);

		err = layer_get(&layers->layer[i], ulayer, result, i);
		if (err)
			return ERR_PTR(err);
	}
	err = layers_isolate(layers, userns, result);
	if (err)
		return ERR_PTR(err);
	return no_free_ptr(layers);
}

/**
 * ovlt_layers_parse - give the layers to an overlay
 * @layers: the layers
 * @fc: the overlay's context
 * @result: takes the reason of a failure
 *
 * Return: 0 or a negative errno.
 */
int ovlt_layers_parse(const struct ovlt_layers *layers, struct fs_context *fc,
		      struct ovltree_result *result)
{
	int err;

	for (unsigned int i = 0; i < layers->nr; i++) {
		const struct ovlt_layer *layer = &layers->layer[i];

		err = ovl_parse_layer_path(fc, layer->data ? "datadir+" : "lowerdir+",
					   layer->name, &layer->path, true);
		if (err)
			return ovlt_fail_fc(result, err, OVLTREE_FIELD_LOWER, i,
					    fc);
	}
	return 0;
}

/**
 * ovlt_layers_put - release layers
 * @layers: the layers
 * @taken: an overlay has them now, and releases the private mounts
 */
void ovlt_layers_put(struct ovlt_layers *layers, bool taken)
{
	for (unsigned int i = 0; i < layers->nr; i++) {
		path_put(&layers->layer[i].path);
		kfree(layers->layer[i].name);
	}
	if (taken) {
		while (layers->nr_private)
			mntput(layers->private[--layers->nr_private]);
	} else if (layers->nr_private) {
		kern_unmount_array(layers->private, layers->nr_private);
	}
	kfree(layers->private);
	kvfree(layers);
}
