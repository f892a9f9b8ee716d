// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Trees of a batch that have the same lower layers, as the containers of an
 * image do, share a layer set for as long as they are built.
 */
#include <errno.h>
#include <string.h>

#include "private.h"

/**
 * struct run - trees that have the same lower layers
 * @first: index of the first of them, in their order
 * @nr: number of them
 * @set: the entry of a batch that makes their layer set
 */
struct run {
	unsigned int first;
	unsigned int nr;
	struct ovlt_entry set;
};

static int compare_files(const struct ovlt_file *a, const struct ovlt_file *b)
{
	if (a->fd != b->fd)
		return a->fd < b->fd ? -1 : 1;
	if (a->flags != b->flags)
		return a->flags < b->flags ? -1 : 1;
	if (!a->path || !b->path)
		return !!a->path - !!b->path;
	return strcmp(a->path, b->path);
}

/* Names are compared, not what they lead to: that is for the kernel to know. */
static int compare_lower(const void *a, const void *b)
{
	const struct ovlt_tree *x = (*(struct ovlt_entry *const *)a)->tree;
	const struct ovlt_tree *y = (*(struct ovlt_entry *const *)b)->tree;
	int order = 0;

	if (x == y)
		return 0;
	if (x->nr_lower != y->nr_lower)
		return x->nr_lower < y->nr_lower ? -1 : 1;
	for (unsigned int i = 0; !order && i < x->nr_lower; i++)
		order = compare_files(&x->lower[i], &y->lower[i]);
	return order;
}

/* Returns the number of runs of two trees or more in @trees, which are in order. */
static unsigned int find_runs(struct run *runs, struct ovlt_entry **trees,
			      unsigned int nr)
{
	unsigned int nr_runs = 0;
	unsigned int next;

	for (unsigned int i = 0; i < nr; i = next) {
		next = i + 1;
		while (next < nr && !compare_lower(&trees[i], &trees[next]))
			next++;
		if (next - i < 2)
			continue;
		runs[nr_runs++] = (struct run){
			.first = i,
			.nr = next - i,
			.set = { .kind = OVLT_KIND_LAYERSET,
				 .tree = trees[i]->tree,
				 .out_fd = -1 },
		};
	}
	return nr_runs;
}

/*
 * Where a layer set can't be made, each tree has its layers as before, and says
 * what is wrong with them.
 */
static int make_sets(struct ovlt_ctx *ctx, ovlt_run_fn make,
		     struct ovlt_entry **trees, struct run *runs,
		     unsigned int nr, struct ovlt_times *times)
{
	struct ovlt_entry **sets = calloc(nr, sizeof(*sets));
	int err;

	if (!sets)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++)
		sets[i] = &runs[i].set;
	err = make(ctx, sets, nr, 0, times);
	free(sets);
	for (unsigned int i = 0; !err && i < nr; i++) {
		struct ovlt_layerset *layerset = runs[i].set.layerset;

		for (unsigned int j = 0; j < runs[i].nr; j++)
			trees[runs[i].first + j]->layerset =
				ovlt_layerset_ref(layerset);
		ovlt_layerset_unref(layerset);
	}
	/* The signal was meant for what comes after. */
	for (unsigned int i = 0; !err && i < nr; i++)
		if (runs[i].set.result.error == -EINTR)
			err = -EINTR;
	return err;
}

/*
 * Find the trees among @entries that have the same lower layers, and have @make
 * make &ovlt_entry.layerset for them.
 */
int ovlt_share_layers(struct ovlt_ctx *ctx, ovlt_run_fn make,
		      struct ovlt_entry **entries, unsigned int nr,
		      struct ovlt_times *times)
{
	struct ovlt_entry **trees = calloc(nr, sizeof(*trees));
	struct run *runs = calloc(nr / 2 + 1, sizeof(*runs));
	unsigned int nr_trees = 0, nr_runs;
	int err = 0;

	if (!trees || !runs) {
		err = -ENOMEM;
		goto out;
	}
	for (unsigned int i = 0; i < nr; i++)
		if (entries[i]->kind == OVLT_KIND_TREE &&
		    entries[i]->tree->nr_lower)
			trees[nr_trees++] = entries[i];
	qsort(trees, nr_trees, sizeof(*trees), compare_lower);
	nr_runs = find_runs(runs, trees, nr_trees);
	if (nr_runs)
		err = make_sets(ctx, make, trees, runs, nr_runs, times);
out:
	free(runs);
	free(trees);
	return err;
}

void ovlt_unshare_layers(struct ovlt_entry **entries, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		ovlt_layerset_unref(entries[i]->layerset);
		entries[i]->layerset = NULL;
	}
}
