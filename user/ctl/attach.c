// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl attach
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "ctl.h"
#include "fstab.h"

/**
 * struct attach - what is to be attached
 * @ctl: the program's options
 * @all: all or nothing
 * @threads: most threads that build trees at once
 * @fstab: file with the trees, or NULL
 * @options: without it, what the tree is made of
 * @batch: the entries that make sense
 * @entries: all entries
 * @nr: number of them
 */
struct attach {
	struct ctl *ctl;
	bool all;
	unsigned int threads;
	const char *fstab;
	char *options;
	struct ovlt_batch *batch;
	struct ctl_entry *entries;
	size_t nr;
};

static void entry_fail(struct ctl_entry *entry, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void entry_fail(struct ctl_entry *entry, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(entry->message, sizeof(entry->message), fmt, ap);
	va_end(ap);
	entry->result.error = err;
	entry->index = -1;
}

/* Valid until the next call. */
static struct ctl_entry *new_entry(struct attach *attach, const char *target)
{
	struct ctl_entry *entries =
		reallocarray(attach->entries, attach->nr + 1, sizeof(*entries));
	struct ctl_entry *entry;

	if (!entries)
		return NULL;
	attach->entries = entries;
	entry = &entries[attach->nr];
	*entry = (struct ctl_entry){ .name = strdup(target), .index = -1 };
	if (!entry->name)
		return NULL;
	attach->nr++;
	return entry;
}

/* Errors in what the user said are the entry's, others are returned. */
static int add_tree(struct attach *attach, const char *source,
		    const char *options, const char *target)
{
	struct ctl_entry *entry = new_entry(attach, target);
	struct ovlt_tree *tree = ovlt_tree_new();
	int err = -ENOMEM;

	if (!entry || !tree)
		goto out;
	err = common_fill_tree(tree, source, (char *const[]){ (char *)options },
			       1);
	if (err) {
		entry_fail(entry, err, "%s", ovlt_tree_get_error(tree));
		err = 0;
		goto out;
	}
	entry->index =
		ovlt_batch_add_tree(attach->batch, tree, AT_FDCWD, target, 0);
	err = entry->index < 0 ? entry->index : 0;
out:
	ovlt_tree_unref(tree);
	return err;
}

static int add_fstab_entry(void *data, const struct fstab_entry *line)
{
	struct attach *attach = data;
	const char *type = line->type;
	struct ctl_entry *entry;

	if (type && (!strcmp(type, "overlay") || !strcmp(type, "ovltree")))
		return add_tree(attach, line->source, line->options,
				line->target);
	entry = new_entry(attach, line->target);
	if (!entry)
		return -ENOMEM;
	entry_fail(entry, -EINVAL, "type %s is neither overlay nor ovltree",
		   type ? type : "none");
	return 0;
}

/* Returns an exit status. */
static int add_fstab(struct attach *attach, const char *path)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	int status = EXIT_SUCCESS;
	struct fstab fstab;
	int err;

	if (!file) {
		fprintf(stderr, "ovltreectl: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	err = fstab_read(&fstab, file, is_stdin ? "standard input" : path);
	if (!is_stdin)
		fclose(file);
	if (err) {
		fprintf(stderr, "ovltreectl: %s\n",
			fstab.message[0] ? fstab.message : strerror(-err));
		status = EXIT_USAGE;
	} else {
		err = fstab_each(&fstab, add_fstab_entry, attach);
		if (err)
			status = ctl_fail(attach->ctl, err);
	}
	fstab_close(&fstab);
	return status;
}

/* Run the batch; returns an exit status. */
static int run(struct attach *attach)
{
	bool bad = false;
	int ret = 0;

	for (size_t i = 0; i < attach->nr; i++)
		bad |= attach->entries[i].index < 0;
	if (bad && attach->all) {
		for (size_t i = 0; i < attach->nr; i++)
			if (attach->entries[i].index >= 0)
				entry_fail(&attach->entries[i], -ECANCELED,
					   "%s", "");
	} else if (ovlt_batch_get_nr(attach->batch)) {
		ret = ovlt_batch_attach(attach->batch);
	}
	if (ret < 0)
		return ctl_fail(attach->ctl, ret);
	return ctl_report(attach->ctl, attach->batch, attach->entries,
			  attach->nr);
}

/* Each idmap is a descriptor, and a batch has many. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int attach_entries(struct attach *attach, const char *target)
{
	int status = EXIT_SUCCESS;
	int err = -ENOMEM;

	raise_limit();
	ovlt_ctx_set_threads(attach->ctl->ctx, attach->threads);
	attach->batch =
		ovlt_batch_new(attach->ctl->ctx, attach->all ? OVLT_ALL : 0);
	if (attach->batch && attach->fstab) {
		err = 0;
		status = add_fstab(attach, attach->fstab);
	} else if (attach->batch) {
		err = add_tree(attach, NULL, attach->options, target);
	}
	if (err)
		status = ctl_fail(attach->ctl, err);
	if (!status)
		status = run(attach);
	for (size_t i = 0; i < attach->nr; i++)
		free(attach->entries[i].name);
	free(attach->entries);
	ovlt_batch_unref(attach->batch);
	return status;
}

static int parse_threads(const char *text, unsigned int *threads)
{
	unsigned long nr;
	char *end;

	nr = strtoul(text, &end, 10);
	if (!strchr("0123456789", text[0]) || *end || nr > 65536)
		return ctl_usage("%s is not a number of threads", text);
	*threads = nr;
	return EXIT_SUCCESS;
}

int cmd_attach(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		CTL_SUBMIT_OPTIONS,
		{ "all-or-nothing", no_argument, NULL, OPT_ALL },
		{ "fstab", required_argument, NULL, OPT_FSTAB },
		{ "options", required_argument, NULL, 'o' },
		{ "threads", required_argument, NULL, OPT_THREADS },
		{ 0 },
	};
	struct attach attach = { .ctl = ctl };
	int status = EXIT_SUCCESS;
	int opt;

	while (!status && (opt = getopt_long(argc, argv, "o:vh", long_options,
					     NULL)) != -1) {
		switch (opt) {
		case OPT_ALL:
			attach.all = true;
			break;
		case OPT_FSTAB:
			attach.fstab = optarg;
			break;
		case OPT_THREADS:
			status = parse_threads(optarg, &attach.threads);
			break;
		case 'o':
			if (common_append_options(&attach.options, optarg))
				status = ctl_fail(ctl, -ENOMEM);
			break;
		default:
			status = ctl_option(ctl, opt);
		}
	}
	if (status)
		goto out;
	if (attach.fstab && (attach.options || optind != argc))
		status = ctl_usage(
			"--fstab says all, -o and TARGET don't go with it");
	else if (!attach.fstab && (!attach.options || optind + 1 != argc))
		status = ctl_usage(
			"attach needs -o OPTIONS and one TARGET, or --fstab FILE");
	else
		status = ctl_open(ctl);
	if (!status)
		status = attach_entries(&attach, argv[optind]);
out:
	free(attach.options);
	return status;
}
