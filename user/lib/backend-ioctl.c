// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Backend that uses the ovltree module. A batch is one ioctl; or one that makes
 * layer sets for trees to share, one a thread to prepare many trees, and one to
 * attach what they have prepared.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "private.h"

#define DEVICE "/dev/ovltree"

/* It refuses structures that have something where its own have ended. */
#define TOO_OLD \
	"the module is older than the library and lacks what this asks for"

/**
 * struct request - the memory of a batch
 * @batch: argument of the ioctl
 * @entries: its entries
 * @attach: they are of PREPARE or ATTACH
 * @detach: of DETACH
 * @layersets: of LAYERSET
 * @trees: their trees; NULL, as the next two, of DETACH
 * @lower: the lower layers of all trees and layer sets
 * @options: the options of all trees
 * @results: what the kernel answers
 */
struct request {
	struct ovltree_batch batch;
	union {
		void *entries;
		struct ovltree_attach *attach;
		struct ovltree_detach *detach;
		struct ovltree_layerset *layersets;
	};
	struct ovltree_tree *trees;
	struct ovltree_path *lower;
	char *options;
	struct ovltree_result *results;
};

static uint64_t to_u64(const void *pointer)
{
	return (uintptr_t)pointer;
}

static struct ovltree_path to_path(const struct ovlt_file *file)
{
	return (struct ovltree_path){
		.fd = file->fd,
		.flags = ((file->flags & OVLT_DATA) ? OVLTREE_PATH_DATA : 0) |
			 ((file->flags & OVLT_NOFOLLOW) ?
				  OVLTREE_PATH_NOFOLLOW :
				  0),
		.path = to_u64(file->path),
	};
}

static size_t options_size(const struct ovlt_tree *tree)
{
	size_t size = 0;

	for (unsigned int i = 0; i < tree->nr_options; i++)
		size += strlen(tree->options[i]) + 1;
	return size;
}

static void request_free(struct request *request)
{
	free(request->entries);
	free(request->trees);
	free(request->lower);
	free(request->options);
	free(request->results);
}

static size_t entry_size(unsigned long command)
{
	switch (command) {
	case OVLTREE_IOC_LAYERSET:
		return sizeof(struct ovltree_layerset);
	case OVLTREE_IOC_DETACH:
		return sizeof(struct ovltree_detach);
	default:
		return sizeof(struct ovltree_attach);
	}
}

static bool alloc_trees(struct request *request, struct ovlt_entry **entries,
			unsigned int nr)
{
	size_t nr_lower = 0, size = 0;

	for (unsigned int i = 0; i < nr; i++) {
		if (!entries[i]->tree)
			continue;
		nr_lower += entries[i]->tree->nr_lower;
		size += options_size(entries[i]->tree);
	}
	request->trees = calloc(nr, sizeof(*request->trees));
	request->lower = calloc(nr_lower + 1, sizeof(*request->lower));
	request->options = malloc(size + 1);
	return request->trees && request->lower && request->options;
}

static int request_alloc(struct request *request, unsigned long command,
			 struct ovlt_entry **entries, unsigned int nr)
{
	*request = (struct request){ 0 };
	request->entries = calloc(nr, entry_size(command));
	request->results = calloc(nr, sizeof(*request->results));
	if (!request->entries || !request->results ||
	    (command != OVLTREE_IOC_DETACH &&
	     !alloc_trees(request, entries, nr))) {
		request_free(request);
		return -ENOMEM;
	}
	request->batch = (struct ovltree_batch){
		.size = sizeof(request->batch),
		.entries = to_u64(request->entries),
		.results = to_u64(request->results),
		.nr = nr,
		.entry_size = entry_size(command),
		.result_size = sizeof(*request->results),
		.tree_size = sizeof(*request->trees),
	};
	return 0;
}

/* Fills in lower layers; moves @lower to behind what it used. */
static uint64_t fill_lower(const struct ovlt_tree *tree,
			   struct ovltree_path **lower)
{
	uint64_t first = to_u64(*lower);

	for (unsigned int i = 0; i < tree->nr_lower; i++)
		*(*lower)++ = to_path(&tree->lower[i]);
	return first;
}

/* The tree's own, or the one that it shares with others. */
static int layerset_fd(const struct ovlt_entry *entry)
{
	const struct ovlt_layerset *layerset = entry->layerset;

	if (!layerset)
		layerset = entry->tree->layerset;
	return layerset ? layerset->fd : -1;
}

/* Fills in a tree; moves @lower and @options to behind what it used. */
static void fill_tree(struct ovltree_tree *out, const struct ovlt_entry *entry,
		      struct ovltree_path **lower, char **options)
{
	const struct ovlt_tree *tree = entry->tree;

	*out = (struct ovltree_tree){ .attr = tree->attr };
	if (layerset_fd(entry) >= 0) {
		out->flags |= OVLTREE_TREE_LAYERSET;
		out->layerset_fd = layerset_fd(entry);
	} else {
		out->nr_lower = tree->nr_lower;
		out->lower = fill_lower(tree, lower);
	}
	if (tree->nr_options) {
		out->options = to_u64(*options);
		out->options_size = options_size(tree);
		for (unsigned int i = 0; i < tree->nr_options; i++)
			*options = stpcpy(*options, tree->options[i]) + 1;
	}
	if (tree->has_upper) {
		out->flags |= OVLTREE_TREE_UPPER;
		out->upper = to_path(&tree->upper);
		out->work = to_path(&tree->work);
	}
	if (tree->userns_fd >= 0) {
		out->flags |= OVLTREE_TREE_IDMAP;
		out->userns_fd = tree->userns_fd;
	}
}

static void fill_attach(struct request *request, struct ovlt_entry **entries,
			bool prepare)
{
	struct ovltree_path *lower = request->lower;
	char *options = request->options;

	for (unsigned int i = 0; i < request->batch.nr; i++) {
		struct ovltree_attach *attach = &request->attach[i];
		const struct ovlt_entry *entry = entries[i];

		if (entry->kind == OVLT_KIND_REQUEST) {
			attach->flags |= OVLTREE_ATTACH_REQUEST;
			attach->id = entry->mnt_id;
			continue;
		}
		if (entry->kind == OVLT_KIND_TREE && entry->out_fd < 0) {
			fill_tree(&request->trees[i], entry, &lower, &options);
			attach->tree = to_u64(&request->trees[i]);
		} else {
			attach->flags |= OVLTREE_ATTACH_MOUNT;
			attach->mnt_fd = entry->kind == OVLT_KIND_TREE ?
						 entry->out_fd :
						 entry->mnt_fd;
		}
		if (prepare)
			continue;
		attach->target = to_path(&entry->target);
		attach->propagation = ovlt_entry_propagation(entry);
		if (entry->mntns_fd >= 0) {
			attach->flags |= OVLTREE_ATTACH_MNTNS;
			attach->mntns_fd = entry->mntns_fd;
		}
	}
}

static void fill_detach(struct request *request, struct ovlt_entry **entries)
{
	for (unsigned int i = 0; i < request->batch.nr; i++) {
		struct ovltree_detach *detach = &request->detach[i];
		const struct ovlt_entry *entry = entries[i];

		if (entry->flags & OVLT_LAZY)
			detach->flags |= OVLTREE_DETACH_LAZY;
		if (entry->flags & OVLT_FORCE)
			detach->flags |= OVLTREE_DETACH_FORCE;
		if (entry->kind == OVLT_KIND_REQUEST) {
			detach->flags |= OVLTREE_DETACH_REQUEST;
			detach->mnt_id = entry->mnt_id;
		} else if (entry->kind == OVLT_KIND_ID) {
			detach->flags |= OVLTREE_DETACH_ID;
			detach->mnt_id = entry->mnt_id;
		} else {
			detach->target = to_path(&entry->target);
		}
	}
}

static void fill_layersets(struct request *request, struct ovlt_entry **entries)
{
	struct ovltree_path *lower = request->lower;

	for (unsigned int i = 0; i < request->batch.nr; i++) {
		request->layersets[i].nr_lower = entries[i]->tree->nr_lower;
		request->layersets[i].lower =
			fill_lower(entries[i]->tree, &lower);
	}
}

/* The entry as a whole, or its tree; what is in them is a field of its own. */
static bool is_unknown(const struct ovltree_result *result)
{
	return result->error == -E2BIG &&
	       (result->field == OVLTREE_FIELD_NONE ||
		result->field == OVLTREE_FIELD_TREE);
}

static void take_failure(struct ovlt_entry *entry,
			 const struct ovltree_result *result)
{
	ovlt_entry_fail(entry, result->error, result->field, result->index,
			"%.*s", OVLTREE_MESSAGE_MAX - 1, result->message);
	/* Of what the caller knows as a tree, a mount was made on the way. */
	if (entry->kind == OVLT_KIND_TREE &&
	    result->field == OVLTREE_FIELD_MNT_FD)
		ovlt_entry_fail(
			entry, result->error, OVLTREE_FIELD_TARGET, 0, "%s",
			result->error == -EINVAL ?
				"mountpoint is not in the mount namespace" :
				"");
	if (is_unknown(result))
		ovlt_entry_fail(entry, result->error, result->field,
				result->index, "%.*s%s" TOO_OLD,
				OVLTREE_MESSAGE_MAX - 1, result->message,
				result->message[0] ? ": " : "");
}

static void take_result(struct ovlt_entry *entry, unsigned long command,
			const struct ovltree_result *result)
{
	if (result->error) {
		take_failure(entry, result);
		return;
	}
	ovlt_entry_blame(entry, 0, OVLTREE_FIELD_NONE, 0);
	switch (command) {
	case OVLTREE_IOC_LAYERSET:
		entry->layerset = ovlt_layerset_adopt(result->fd);
		if (!entry->layerset)
			ovlt_entry_blame(entry, -ENOMEM, OVLTREE_FIELD_NONE, 0);
		return;
	case OVLTREE_IOC_PREPARE:
		entry->out_fd = result->fd;
		break;
	}
	entry->result.mnt_id = result->mnt_id;
	entry->result.dev = makedev(result->dev_major, result->dev_minor);
}

static void tell_too_old(struct ovlt_ctx *ctx)
{
	pthread_mutex_lock(&ctx->lock);
	ovlt_ctx_fail(ctx, -E2BIG, TOO_OLD);
	pthread_mutex_unlock(&ctx->lock);
}

static int run(struct ovlt_ctx *ctx, unsigned long command,
	       struct ovlt_entry **entries, unsigned int nr, unsigned int flags,
	       struct ovlt_times *times)
{
	struct request request;
	int err;

	err = request_alloc(&request, command, entries, nr);
	if (err)
		return err;
	if (flags & OVLT_ALL)
		request.batch.flags |= OVLTREE_BATCH_ALL;
	switch (command) {
	case OVLTREE_IOC_LAYERSET:
		request.batch.flags |= OVLTREE_BATCH_CLOEXEC;
		fill_layersets(&request, entries);
		break;
	case OVLTREE_IOC_PREPARE:
		request.batch.flags |= OVLTREE_BATCH_CLOEXEC;
		fill_attach(&request, entries, true);
		break;
	case OVLTREE_IOC_ATTACH:
		fill_attach(&request, entries, false);
		break;
	case OVLTREE_IOC_DETACH:
		fill_detach(&request, entries);
		break;
	}
	if (ioctl(ctx->dev_fd, command, &request.batch) < 0) {
		err = -errno;
		if (err == -E2BIG)
			tell_too_old(ctx);
	} else {
		for (unsigned int i = 0; i < nr; i++)
			take_result(entries[i], command, &request.results[i]);
		times->wait_ns += request.batch.wait_ns;
		times->hold_ns += request.batch.hold_ns;
	}
	request_free(&request);
	return err;
}

static int run_layerset(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	int err = run(ctx, OVLTREE_IOC_LAYERSET, entries, nr, flags, times);

	/* There may be no memory for one that was made. */
	if (!err)
		ovlt_entries_settle(entries, nr, flags);
	return err;
}

static int run_prepare(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		       unsigned int nr, unsigned int flags,
		       struct ovlt_times *times)
{
	return run(ctx, OVLTREE_IOC_PREPARE, entries, nr, flags, times);
}

static int run_attach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		      unsigned int nr, unsigned int flags,
		      struct ovlt_times *times)
{
	return run(ctx, OVLTREE_IOC_ATTACH, entries, nr, flags, times);
}

static int run_detach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		      unsigned int nr, unsigned int flags,
		      struct ovlt_times *times)
{
	return run(ctx, OVLTREE_IOC_DETACH, entries, nr, flags, times);
}

/* A part of the trees each, for threads. */
static int prepare(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		   unsigned int nr, unsigned int flags,
		   struct ovlt_times *times)
{
	return ovlt_parallel(ctx, run_prepare, entries, nr, flags, times);
}

static bool lacks_fds(struct ovlt_entry **entries, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (entries[i]->result.error == -EMFILE ||
		    entries[i]->result.error == -ENFILE)
			return true;
	return false;
}

static void close_mounts(struct ovlt_entry **entries, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		ovlt_entry_close(entries[i]);
}

/* Attach what is ready among @entries, some of which may have failed. */
static int attach_ready(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	struct ovlt_entry **ready = calloc(nr, sizeof(*ready));
	unsigned int nr_ready = 0;
	int err = 0;

	if (!ready)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		if (!entries[i]->result.error)
			ready[nr_ready++] = entries[i];
	if (nr_ready == nr || (nr_ready && !(flags & OVLT_ALL)))
		err = run_attach(ctx, ready, nr_ready, flags, times);
	else
		ovlt_entries_settle(entries, nr, flags);
	free(ready);
	return err;
}

/*
 * Attach in two steps: superblocks, which are most of the work, are built by
 * several threads; what they have prepared is attached at once. Where there are
 * no descriptors for this, the kernel does both in one, as for small batches.
 */
static int attach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
		  unsigned int nr, unsigned int flags, struct ovlt_times *times)
{
	struct ovlt_entry **trees = calloc(nr, sizeof(*trees));
	unsigned int nr_trees = 0;
	bool apart;
	int err = 0;

	if (!trees)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		if (entries[i]->kind == OVLT_KIND_TREE)
			trees[nr_trees++] = entries[i];
	apart = ovlt_parallel_nr(ctx, nr_trees) > 1 &&
		nr_trees <= ovlt_fds_max();
	if (apart) {
		err = prepare(ctx, trees, nr_trees, flags, times);
		apart = !lacks_fds(trees, nr_trees);
		if (!apart)
			close_mounts(trees, nr_trees);
	}
	if (!err)
		err = (apart ? attach_ready : run_attach)(ctx, entries, nr,
							  flags, times);
	close_mounts(trees, nr_trees);
	free(trees);
	return err;
}

/* The layer set is to blame, of which the caller knows nothing. */
static bool is_refused(const struct ovlt_entry *entry)
{
	return entry->layerset && entry->result.error &&
	       entry->result.field == OVLTREE_FIELD_LAYERSET_FD;
}

/* Once more, for those that were refused: with OVLT_ALL, these are all. */
static int run_refused(struct ovlt_ctx *ctx, ovlt_run_fn fn,
		       struct ovlt_entry **entries, unsigned int nr,
		       unsigned int flags, struct ovlt_times *times)
{
	unsigned int nr_again = 0;
	bool refused = false;
	int err;

	for (unsigned int i = 0; i < nr; i++)
		refused |= is_refused(entries[i]);
	if (!refused)
		return 0;
	/* Entries move to the front; those behind keep what became of them. */
	for (unsigned int i = 0; i < nr; i++) {
		struct ovlt_entry *entry = entries[i];

		if (!(flags & OVLT_ALL) && !is_refused(entry))
			continue;
		entries[i] = entries[nr_again];
		entries[nr_again++] = entry;
		ovlt_unshare_layers(&entry, 1);
		ovlt_entry_blame(entry, 0, OVLTREE_FIELD_NONE, 0);
	}
	err = fn(ctx, entries, nr_again, flags, times);
	if (flags & OVLT_ALL)
		return err;
	/* Others are done, so the error is that of those that are left. */
	for (unsigned int i = 0; err && i < nr_again; i++)
		ovlt_entry_blame(entries[i], err, OVLTREE_FIELD_NONE, 0);
	return 0;
}

/* Have trees share layer sets where they can, with the outcome of trees alone. */
static int run_shared(struct ovlt_ctx *ctx, ovlt_run_fn fn,
		      struct ovlt_entry **entries, unsigned int nr,
		      unsigned int flags, struct ovlt_times *times)
{
	int err;

	if (!(ctx->info.features & OVLTREE_FEATURE_LAYERSET))
		return fn(ctx, entries, nr, flags, times);
	err = ovlt_share_layers(ctx, run_layerset, entries, nr, times);
	if (!err)
		err = fn(ctx, entries, nr, flags, times);
	if (!err)
		err = run_refused(ctx, fn, entries, nr, flags, times);
	ovlt_unshare_layers(entries, nr);
	return err;
}

static int prepare_shared(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			  unsigned int nr, unsigned int flags,
			  struct ovlt_times *times)
{
	return run_shared(ctx, prepare, entries, nr, flags, times);
}

static int attach_shared(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times)
{
	return run_shared(ctx, attach, entries, nr, flags, times);
}

/* What is too much for one ioctl goes into several, unless it belongs together. */
static int split(struct ovlt_ctx *ctx, ovlt_run_fn fn,
		 struct ovlt_entry **entries, unsigned int nr,
		 unsigned int flags, struct ovlt_times *times)
{
	unsigned int max = ctx->info.max_entries;
	unsigned int part;

	if (nr > max && flags & OVLT_ALL)
		return -E2BIG;
	for (unsigned int done = 0; done < nr; done += part) {
		int err;

		part = nr - done < max ? nr - done : max;
		err = fn(ctx, entries + done, part, flags, times);
		if (err && !done)
			return err;
		/* Some are done, so the error is that of those that are left. */
		for (unsigned int i = done; err && i < nr; i++)
			ovlt_entry_blame(entries[i], err, OVLTREE_FIELD_NONE,
					 0);
		if (err)
			break;
	}
	return 0;
}

static int ioctl_prepare(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			 unsigned int nr, unsigned int flags,
			 struct ovlt_times *times)
{
	int err = split(ctx, prepare_shared, entries, nr, flags, times);

	for (unsigned int i = 0; !err && i < nr; i++) {
		struct ovlt_mount_id id;

		if (entries[i]->out_fd >= 0 &&
		    !ovlt_mount_id_get(entries[i]->out_fd, "", AT_EMPTY_PATH,
				       &id))
			entries[i]->result.mnt_id = id.unique;
	}
	return err;
}

static int ioctl_attach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	return split(ctx, attach_shared, entries, nr, flags, times);
}

static int ioctl_detach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	return split(ctx, run_detach, entries, nr, flags, times);
}

static int ioctl_layerset(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			  unsigned int nr, unsigned int flags,
			  struct ovlt_times *times)
{
	if (!(ctx->info.features & OVLTREE_FEATURE_LAYERSET))
		return ovlt_layerset_expand(ctx, entries, nr, flags, times);
	return split(ctx, run_layerset, entries, nr, flags, times);
}

static int query(int fd, struct ovlt_info *info)
{
	struct ovltree_info answer = { .size = sizeof(answer) };

	if (ioctl(fd, OVLTREE_IOC_INFO, &answer) < 0)
		return -errno;
	info->version = answer.version;
	info->max_entries = answer.max_entries;
	info->max_lower = answer.max_lower;
	info->max_options = answer.max_options;
	info->features = answer.features;
	info->nr_layersets = answer.nr_layersets;
	return 0;
}

static int ioctl_query(struct ovlt_ctx *ctx, struct ovlt_info *info)
{
	return query(ctx->dev_fd, info);
}

static int ioctl_open(struct ovlt_ctx *ctx, struct ovlt_info *info)
{
	int fd, err;

	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return ovlt_ctx_fail(ctx, -errno, "open(\"" DEVICE "\")");
	err = query(fd, info);
	if (err) {
		ovlt_ctx_fail(ctx, err,
			      DEVICE " does not answer as the module does");
		goto out;
	}
	if (!info->version || !info->max_entries) {
		err = ovlt_ctx_fail(ctx, -EPROTO,
				    DEVICE
				    " tells version %u and %u entries at most",
				    info->version, info->max_entries);
		goto out;
	}
	ctx->dev_fd = fd;
	return 0;
out:
	close(fd);
	return err;
}

const struct ovlt_backend ovlt_backend_ioctl = {
	.name = "ioctl",
	.open = ioctl_open,
	.query = ioctl_query,
	.prepare = ioctl_prepare,
	.attach = ioctl_attach,
	.detach = ioctl_detach,
	.layerset = ioctl_layerset,
};
