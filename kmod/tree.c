// SPDX-License-Identifier: GPL-2.0-only
/*
 * Building an overlay: what fsopen(2), fsconfig(2) and fsmount(2) do, with the
 * same checks, in the caller's own context and under no lock of the mount table.
 * Whoever fills the superblock becomes its creator, with whose credentials
 * overlayfs accesses the layers: this has to be the caller.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/overlayfs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

#define OVLT_TREE_FLAGS							\
	(OVLTREE_TREE_UPPER | OVLTREE_TREE_IDMAP | OVLTREE_TREE_LAYERSET)
#define OVLT_TREE_SIZE_VER0 72

static struct fs_context *tree_context(void)
{
	struct file_system_type *type = get_fs_type("overlay");
	struct fs_context *fc;
	struct fc_log *log;

	if (!type)
		return ERR_PTR(-ENODEV);
	fc = fs_context_for_mount(type, 0);
	module_put(type->owner);
	if (IS_ERR(fc))
		return fc;

	log = kzalloc(sizeof(*log), GFP_KERNEL_ACCOUNT);
	if (!log) {
		put_fs_context(fc);
		return ERR_PTR(-ENOMEM);
	}
	refcount_set(&log->usage, 1);
	log->owner = fc->fs_type->owner;
	fc->log.log = log;
	return fc;
}

/**
 * ovlt_tree_context - begin an overlay
 * @result: takes the reason of a failure
 *
 * Return: A context that keeps its messages, or an error pointer.
 */
struct fs_context *ovlt_tree_context(struct ovltree_result *result)
{
	struct fs_context *fc = tree_context();

	if (IS_ERR(fc))
		ovlt_fail(result, PTR_ERR(fc), OVLTREE_FIELD_NONE, 0,
			  "no overlayfs");
	return fc;
}

static bool option_is_layer(const char *key)
{
	static const char * const keys[] = {
		"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir",
	};

	return match_string(keys, ARRAY_SIZE(keys), key) >= 0;
}

static int tree_parse_option(struct fs_context *fc, char *option)
{
	char *value = strchr(option, '=');

	if (value)
		*value++ = '\0';
	if (option_is_layer(option))
		return invalfc(fc, "%s is a layer, not an option", option);
	return vfs_parse_fs_string(fc, option, value, value ? strlen(value) : 0);
}

static int tree_parse_options(struct fs_context *fc,
			      const struct ovltree_tree *tree,
			      struct ovltree_result *result)
{
	char *options __free(kvfree) = NULL;
	char *option;
	int err;

	if (!tree->options_size)
		return 0;
	if (tree->options_size > OVLT_MAX_OPTIONS)
		return ovlt_fail(result, -E2BIG, OVLTREE_FIELD_OPTIONS, 0,
				 "more than %u bytes of options",
				 OVLT_MAX_OPTIONS);
	options = vmemdup_user(u64_to_user_ptr(tree->options),
			       tree->options_size);
	if (IS_ERR(options))
		return ovlt_fail(result, PTR_ERR(options),
				 OVLTREE_FIELD_OPTIONS, 0,
				 "options can't be read");
	if (options[tree->options_size - 1])
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_OPTIONS, 0,
				 "the last option has no end");

	option = options;
	for (unsigned int i = 0; option < options + tree->options_size; i++) {
		char *next = option + strlen(option) + 1;

		err = tree_parse_option(fc, option);
		if (err)
			return ovlt_fail_fc(result, err, OVLTREE_FIELD_OPTIONS,
					    i, fc);
		option = next;
	}
	return 0;
}

static int tree_parse_folder(struct fs_context *fc, const char *key,
			     const struct ovltree_path *upath,
			     struct ovltree_result *result,
			     enum ovltree_field field)
{
	struct path path;
	char *name;
	int err;

	err = ovlt_path_get(upath, OVLTREE_PATH_NOFOLLOW, 0, &path, &name);
	if (err)
		return ovlt_fail(result, err, field, 0, "%s can't be resolved",
				 key);
	err = ovl_parse_layer_path(fc, key, name, &path, false);
	if (err)
		ovlt_fail_fc(result, err, field, 0, fc);
	kfree(name);
	path_put(&path);
	return err;
}

/* What of an overlay is its own: all but the lower layers. */
static int tree_parse(struct fs_context *fc, const struct ovltree_tree *tree,
		      struct ovltree_result *result)
{
	int err;

	err = tree_parse_options(fc, tree, result);
	if (!err && !fc->source)
		err = vfs_parse_fs_string(fc, "source", "overlay", 7);
	if (!err && tree->flags & OVLTREE_TREE_UPPER)
		err = tree_parse_folder(fc, "upperdir", &tree->upper, result,
					OVLTREE_FIELD_UPPER);
	if (!err && tree->flags & OVLTREE_TREE_UPPER)
		err = tree_parse_folder(fc, "workdir", &tree->work, result,
					OVLTREE_FIELD_WORK);
	return err;
}

/*
 * Overlayfs says why it refuses a superblock in the kernel log only.
 */
static int tree_refused(struct ovltree_result *result, int err,
			const struct ovltree_tree *tree, unsigned int nr_lower,
			const struct fs_context *fc)
{
	switch (err) {
	case -EBUSY:
		return ovlt_fail(result, err, OVLTREE_FIELD_UPPER, 0,
				 "upper or work folder in use by another overlay");
	case -ELOOP:
		return ovlt_fail(result, err, OVLTREE_FIELD_LOWER, 0,
				 "layers overlap, or are given twice");
	case -EINVAL:
		if (nr_lower == 1 && !(tree->flags & OVLTREE_TREE_UPPER))
			return ovlt_fail(result, err, OVLTREE_FIELD_LOWER, 0,
					 "without upper folder two lower layers are needed");
		return ovlt_fail(result, err, OVLTREE_FIELD_TREE, 0,
				 "refused by overlayfs, see the kernel log");
	default:
		return ovlt_fail_fc(result, err, OVLTREE_FIELD_TREE, 0, fc);
	}
}

static int tree_read(struct ovltree_tree *tree, const struct ovlt_batch *batch,
		     u64 utree, struct ovltree_result *result)
{
	size_t usize = batch->arg.tree_size;
	int err;

	if (!utree || usize < OVLT_TREE_SIZE_VER0)
		err = -EINVAL;
	else if (usize > PAGE_SIZE)
		err = -E2BIG;
	else
		err = copy_struct_from_user(tree, sizeof(*tree),
					    u64_to_user_ptr(utree), usize);
	if (err)
		return ovlt_fail(result, err, OVLTREE_FIELD_TREE, 0,
				 "tree can't be read");

	if (tree->flags & ~OVLT_TREE_FLAGS)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_FLAGS, 0,
				 "unknown flag of the tree");
	if (!(tree->flags & OVLTREE_TREE_UPPER)) {
		if (memchr_inv(&tree->upper, 0, sizeof(tree->upper)))
			return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_UPPER, 0,
					 "not zero without its flag");
		if (memchr_inv(&tree->work, 0, sizeof(tree->work)))
			return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_WORK, 0,
					 "not zero without its flag");
	}
	if (!(tree->flags & OVLTREE_TREE_IDMAP) && tree->userns_fd)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_USERNS_FD, 0,
				 "not zero without its flag");
	if (!(tree->flags & OVLTREE_TREE_LAYERSET) && tree->layerset_fd)
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_LAYERSET_FD, 0,
				 "not zero without its flag");
	if (tree->flags & OVLTREE_TREE_LAYERSET &&
	    (tree->lower || tree->nr_lower))
		return ovlt_fail(result, -EINVAL, OVLTREE_FIELD_LOWER, 0,
				 "either a layer set or layers");
	return 0;
}

static struct vfsmount *tree_build(struct fs_context *fc,
				   const struct ovltree_tree *tree,
				   const struct ovlt_layers *layers,
				   struct ovltree_result *result)
{
	struct ovlt_private *private;
	struct vfsmount *mnt;
	int err;

	err = tree_parse(fc, tree, result);
	if (err)
		return ERR_PTR(err);
	private = ovlt_layers_parse(layers, tree, fc, result);
	if (IS_ERR(private))
		return ERR_CAST(private);
	err = vfs_cmd_create(fc, false);
	ovlt_private_put(private, !err);
	if (err)
		return ERR_PTR(tree_refused(result, err, tree,
					    ovlt_layers_nr(layers), fc));

	mnt = vfs_fsmount(fc, tree->attr);
	if (IS_ERR(mnt))
		ovlt_fail(result, PTR_ERR(mnt), OVLTREE_FIELD_ATTR, 0,
			  "no mount with these attributes");
	return mnt;
}

/**
 * ovlt_tree_build - build an overlay
 * @batch: the batch that it is for
 * @utree: user pointer to the &struct ovltree_tree
 * @result: takes the reason of a failure
 *
 * Context: The caller's, no locks held.
 * Return: A mount that is not attached to anything, to be released with
 *         mntput(), or an error pointer.
 */
struct vfsmount *ovlt_tree_build(const struct ovlt_batch *batch, u64 utree,
				 struct ovltree_result *result)
{
	struct fs_context *fc __free(put_fs_context) = NULL;
	struct file *layerset __free(fput) = NULL;
	struct ovlt_layers *layers;
	struct ovltree_tree tree;
	struct vfsmount *mnt;
	int err;

	err = tree_read(&tree, batch, utree, result);
	if (err)
		return ERR_PTR(err);

	fc = ovlt_tree_context(result);
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	ovl_parse_known_upper(fc, batch->upper);

	if (tree.flags & OVLTREE_TREE_LAYERSET) {
		layerset = fget(tree.layerset_fd);
		layers = ovlt_layerset_from_file(layerset);
		if (IS_ERR(layers))
			return ERR_PTR(ovlt_fail(result, PTR_ERR(layers),
						 OVLTREE_FIELD_LAYERSET_FD, 0,
						 "not a layer set"));
		return tree_build(fc, &tree, layers, result);
	}

	layers = ovlt_layers_get(tree.lower, tree.nr_lower, result);
	if (IS_ERR(layers))
		return ERR_CAST(layers);
	mnt = tree_build(fc, &tree, layers, result);
	ovlt_layers_put(layers);
	return mnt;
}
