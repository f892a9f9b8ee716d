/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libovltree - attach and detach batches of overlay trees
 *
 * A tree says what an overlay is made of, a batch says where trees go, and a
 * context says who does the work: the ovltree module, or the kernel's own
 * mount system calls. Each function is described where it is defined.
 */
#ifndef LIBOVLTREE_H
#define LIBOVLTREE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/ovltree.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of files that a call names, and of an entry that is detached. */
#define OVLT_DATA (1U << 0) /* a data-only lower layer */
#define OVLT_NOFOLLOW (1U << 1) /* not through a final symbolic link */
#define OVLT_LAZY (1U << 2) /* detach as MNT_DETACH does */
#define OVLT_FORCE (1U << 3) /* detach as MNT_FORCE does */

/* Flags of a batch. */
#define OVLT_ALL (1U << 0) /* all entries or none */

/* Context */

struct ovlt_ctx;

/**
 * struct ovlt_info - what the backend in use can do
 * @backend: its name
 * @version: OVLTREE_UAPI_VERSION of the kernel, 0 without the module
 * @max_entries: most entries of an all-or-nothing batch, 0 is no limit
 * @max_lower: most lower layers in a tree
 * @max_options: most bytes of options in a tree, 0 is no limit
 * @features: OVLTREE_FEATURE_*
 * @nr_layersets: layer sets that exist now, whoever made them
 */
struct ovlt_info {
	const char *backend;
	unsigned int version;
	unsigned int max_entries;
	unsigned int max_lower;
	unsigned int max_options;
	uint64_t features;
	unsigned int nr_layersets;
};

/**
 * typedef ovlt_log_fn - gets what the library has to tell
 * @data: as given to ovlt_ctx_set_log()
 * @priority: LOG_ERR to LOG_DEBUG of syslog(3)
 * @message: one line without a newline
 */
typedef void (*ovlt_log_fn)(void *data, int priority, const char *message);

struct ovlt_ctx *ovlt_ctx_new(void);
struct ovlt_ctx *ovlt_ctx_ref(struct ovlt_ctx *ctx);
void ovlt_ctx_unref(struct ovlt_ctx *ctx);
void ovlt_ctx_set_log(struct ovlt_ctx *ctx, ovlt_log_fn log, void *data);
int ovlt_ctx_set_backend(struct ovlt_ctx *ctx, const char *name);
void ovlt_ctx_set_threads(struct ovlt_ctx *ctx, unsigned int nr);
int ovlt_ctx_get_info(struct ovlt_ctx *ctx, struct ovlt_info *info,
		      size_t size);
int ovlt_ctx_get_error(struct ovlt_ctx *ctx, char *text, size_t size);

const char *ovlt_backend_name(unsigned int index);

/* User namespaces for idmaps */

/**
 * struct ovlt_id_range - a range of ids that are mapped alike
 * @type: 'u' for user ids, 'g' for group ids, 'b' for both
 * @inner: the first id, as it is stored in the layers
 * @outer: the id that it shows as
 * @count: number of ids
 */
struct ovlt_id_range {
	char type;
	uint32_t inner;
	uint32_t outer;
	uint32_t count;
};

int ovlt_userns_open(const struct ovlt_id_range *ranges, size_t nr);
int ovlt_userns_parse(const char *text);

/* Layer set */

struct ovlt_layerset;

struct ovlt_layerset *ovlt_layerset_from_fd(int fd);
struct ovlt_layerset *ovlt_layerset_ref(struct ovlt_layerset *layerset);
void ovlt_layerset_unref(struct ovlt_layerset *layerset);
int ovlt_layerset_get_fd(const struct ovlt_layerset *layerset);

/* Tree */

struct ovlt_tree;

struct ovlt_tree *ovlt_tree_new(void);
struct ovlt_tree *ovlt_tree_ref(struct ovlt_tree *tree);
void ovlt_tree_unref(struct ovlt_tree *tree);
int ovlt_tree_add_lower(struct ovlt_tree *tree, int fd, const char *path,
			unsigned int flags);
int ovlt_tree_set_layerset(struct ovlt_tree *tree,
			   struct ovlt_layerset *layerset);
int ovlt_tree_set_upper(struct ovlt_tree *tree, int fd, const char *path,
			unsigned int flags);
int ovlt_tree_set_work(struct ovlt_tree *tree, int fd, const char *path,
		       unsigned int flags);
int ovlt_tree_add_option(struct ovlt_tree *tree, const char *key,
			 const char *value);
int ovlt_tree_set_attr(struct ovlt_tree *tree, uint32_t attr);
int ovlt_tree_set_userns(struct ovlt_tree *tree, int fd);
int ovlt_tree_set_propagation(struct ovlt_tree *tree,
			      unsigned long propagation);
int ovlt_tree_parse_options(struct ovlt_tree *tree, const char *options);
const char *ovlt_tree_get_error(const struct ovlt_tree *tree);

/* Batch */

struct ovlt_batch;

/**
 * struct ovlt_result - what became of an entry
 * @error: 0 or a negative errno
 * @field: enum ovltree_field, what the error is about
 * @index: which element of @field, from 0
 * @message: why, empty where the errno says it all; valid until the next call
 *	that runs the batch, or the end of the batch
 * @mnt_id: unique id (STATX_MNT_ID_UNIQUE) of what was prepared or attached, 0
 *	where the kernel has none (before 6.8)
 * @dev: its device number
 */
struct ovlt_result {
	int error;
	unsigned int field;
	unsigned int index;
	const char *message;
	uint64_t mnt_id;
	dev_t dev;
};

struct ovlt_batch *ovlt_batch_new(struct ovlt_ctx *ctx, unsigned int flags);
struct ovlt_batch *ovlt_batch_ref(struct ovlt_batch *batch);
void ovlt_batch_unref(struct ovlt_batch *batch);
int ovlt_batch_add_tree(struct ovlt_batch *batch, struct ovlt_tree *tree,
			int fd, const char *target, unsigned int flags);
int ovlt_batch_add_mount(struct ovlt_batch *batch, int mnt_fd, int fd,
			 const char *target, unsigned int flags);
int ovlt_batch_add_target(struct ovlt_batch *batch, int fd, const char *target,
			  unsigned int flags);
int ovlt_batch_add_id(struct ovlt_batch *batch, uint64_t mnt_id,
		      unsigned int flags);
int ovlt_batch_add_layerset(struct ovlt_batch *batch, struct ovlt_tree *tree);
int ovlt_batch_set_mntns(struct ovlt_batch *batch, unsigned int index, int fd);
int ovlt_batch_set_propagation(struct ovlt_batch *batch, unsigned int index,
			       unsigned long propagation);
int ovlt_batch_prepare(struct ovlt_batch *batch);
int ovlt_batch_attach(struct ovlt_batch *batch);
int ovlt_batch_detach(struct ovlt_batch *batch);
int ovlt_batch_make_layersets(struct ovlt_batch *batch);
unsigned int ovlt_batch_get_nr(const struct ovlt_batch *batch);
const struct ovlt_result *ovlt_batch_get_result(const struct ovlt_batch *batch,
						unsigned int index);
int ovlt_batch_take_fd(struct ovlt_batch *batch, unsigned int index);
struct ovlt_layerset *ovlt_batch_take_layerset(struct ovlt_batch *batch,
					       unsigned int index);
void ovlt_batch_get_times(const struct ovlt_batch *batch, uint64_t *wait_ns,
			  uint64_t *hold_ns);

const char *ovlt_field_name(unsigned int field);

#ifdef __cplusplus
}
#endif

#endif /* LIBOVLTREE_H */
