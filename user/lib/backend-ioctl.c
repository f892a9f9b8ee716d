// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Backend that uses the ovltree module: a batch is one ioctl.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "private.h"

#define DEVICE "/dev/ovltree"

/**
 * struct request - the memory of a batch
 * @batch: argument of the ioctl
 * @attach: its entries, of PREPARE and ATTACH
 * @detach: its entries, of DETACH
 * @trees: their trees
 * @lower: the lower layers of all trees
 * @options: the options of all trees
 * @results: what the kernel answers
 */
struct request {
	struct ovltree_batch batch;
	struct ovltree_attach *attach;
	struct ovltree_detach *detach;
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
	free(request->attach);
	free(request->detach);
	free(request->trees);
	free(request->lower);
	free(request->options);
	free(request->results);
}

static int request_alloc(struct request *request, struct ovlt_entry **entries,
			 unsigned int nr)
{
	size_t nr_lower = 0, size = 0;

	*request = (struct request){ 0 };
	for (unsigned int i = 0; i < nr; i++) {
		if (entries[i]->kind != OVLT_KIND_TREE)
			continue;
		nr_lower += entries[i]->tree->nr_lower;
		size += options_size(entries[i]->tree);
	}
	request->attach = calloc(nr, sizeof(*request->attach));
	request->detach = calloc(nr, sizeof(*request->detach));
	request->trees = calloc(nr, sizeof(*request->trees));
	request->lower = calloc(nr_lower + 1, sizeof(*request->lower));
	request->options = malloc(size + 1);
	request->results = calloc(nr, sizeof(*request->results));
	if (!request->attach || !request->detach || !request->trees ||
	    !request->lower || !request->options || !request->results) {
		request_free(request);
		return -ENOMEM;
	}
	request->batch = (struct ovltree_batch){
		.size = sizeof(request->batch),
		.results = to_u64(request->results),
		.nr = nr,
		.result_size = sizeof(*request->results),
		.tree_size = sizeof(*request->trees),
	};
	return 0;
}

/* Fills in a tree; moves @lower and @options to behind what it used. */
static void fill_tree(struct ovltree_tree *out, const struct ovlt_tree *tree,
		      struct ovltree_path **lower, char **options)
{
	*out = (struct ovltree_tree){
		.nr_lower = tree->nr_lower,
		.lower = to_u64(*lower),
		.attr = tree->attr,
	};
	for (unsigned int i = 0; i < tree->nr_lower; i++)
		*(*lower)++ = to_path(&tree->lower[i]);
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

	request->batch.entries = to_u64(request->attach);
	request->batch.entry_size = sizeof(*request->attach);
	for (unsigned int i = 0; i < request->batch.nr; i++) {
		struct ovltree_attach *attach = &request->attach[i];
		const struct ovlt_entry *entry = entries[i];

		if (entry->kind == OVLT_KIND_REQUEST) {
			attach->flags |= OVLTREE_ATTACH_REQUEST;
			attach->id = entry->mnt_id;
			continue;
		}
		if (entry->kind == OVLT_KIND_TREE) {
			fill_tree(&request->trees[i], entry->tree, &lower,
				  &options);
			attach->tree = to_u64(&request->trees[i]);
		} else {
			attach->flags |= OVLTREE_ATTACH_MOUNT;
			attach->mnt_fd = entry->mnt_fd;
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
	request->batch.entries = to_u64(request->detach);
	request->batch.entry_size = sizeof(*request->detach);
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

static void take_results(const struct request *request,
			 struct ovlt_entry **entries, bool prepare)
{
	for (unsigned int i = 0; i < request->batch.nr; i++) {
		const struct ovltree_result *result = &request->results[i];
		struct ovlt_entry *entry = entries[i];
		struct ovlt_mount_id id;

		ovlt_entry_fail(entry, result->error, result->field,
				result->index, "%.*s", OVLTREE_MESSAGE_MAX - 1,
				result->message);
		if (result->error)
			continue;
		entry->result.mnt_id = result->mnt_id;
		entry->result.dev =
			makedev(result->dev_major, result->dev_minor);
		if (!prepare)
			continue;
		entry->out_fd = result->fd;
		if (!ovlt_mount_id_get(entry->out_fd, "", AT_EMPTY_PATH, &id))
			entry->result.mnt_id = id.unique;
	}
}

static int run(struct ovlt_ctx *ctx, unsigned long command,
	       struct ovlt_entry **entries, unsigned int nr, unsigned int flags,
	       struct ovlt_times *times)
{
	bool prepare = command == OVLTREE_IOC_PREPARE;
	struct request request;
	int err;

	err = request_alloc(&request, entries, nr);
	if (err)
		return err;
	if (flags & OVLT_ALL)
		request.batch.flags |= OVLTREE_BATCH_ALL;
	if (prepare)
		request.batch.flags |= OVLTREE_BATCH_CLOEXEC;
	if (command == OVLTREE_IOC_DETACH)
		fill_detach(&request, entries);
	else
		fill_attach(&request, entries, prepare);
	if (ioctl(ctx->dev_fd, command, &request.batch) < 0) {
		err = -errno;
	} else {
		take_results(&request, entries, prepare);
		times->wait_ns += request.batch.wait_ns;
		times->hold_ns += request.batch.hold_ns;
	}
	request_free(&request);
	return err;
}

/* What is too much for one ioctl goes into several, unless it belongs together. */
static int split(struct ovlt_ctx *ctx, unsigned long command,
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
		err = run(ctx, command, entries + done, part, flags, times);
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
	return split(ctx, OVLTREE_IOC_PREPARE, entries, nr, flags, times);
}

static int ioctl_attach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	return split(ctx, OVLTREE_IOC_ATTACH, entries, nr, flags, times);
}

static int ioctl_detach(struct ovlt_ctx *ctx, struct ovlt_entry **entries,
			unsigned int nr, unsigned int flags,
			struct ovlt_times *times)
{
	return split(ctx, OVLTREE_IOC_DETACH, entries, nr, flags, times);
}

static int ioctl_open(struct ovlt_ctx *ctx, struct ovlt_info *info)
{
	struct ovltree_info answer = { .size = sizeof(answer) };
	int fd, err;

	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return ovlt_ctx_fail(ctx, -errno, "open(\"" DEVICE "\")");
	if (ioctl(fd, OVLTREE_IOC_INFO, &answer) < 0) {
		err = ovlt_ctx_fail(ctx, -errno,
				    DEVICE
				    " does not answer as the module does");
		goto out;
	}
	if (!answer.version || !answer.max_entries) {
		err = ovlt_ctx_fail(ctx, -EPROTO,
				    DEVICE
				    " tells version %u and %u entries at most",
				    answer.version, answer.max_entries);
		goto out;
	}
	info->version = answer.version;
	info->max_entries = answer.max_entries;
	info->max_lower = answer.max_lower;
	info->max_options = answer.max_options;
	info->features = answer.features;
	ctx->dev_fd = fd;
	return 0;
out:
	close(fd);
	return err;
}

const struct ovlt_backend ovlt_backend_ioctl = {
	.name = "ioctl",
	.open = ioctl_open,
	.prepare = ioctl_prepare,
	.attach = ioctl_attach,
	.detach = ioctl_detach,
};
