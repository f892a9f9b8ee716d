// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl attach
 */
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/**
 * struct attach - what is to be attached
 * @ctl: the program's options
 * @all: all or nothing
 * @batch: the entries that make sense
 * @entries: all entries
 * @nr: number of them
 */
struct attach {
	struct ctl *ctl;
	bool all;
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

/* The next of the entries, which are as many as were allocated. */
static struct ctl_entry *new_entry(struct attach *attach, const char *target)
{
	struct ctl_entry *entry = &attach->entries[attach->nr];

	*entry = (struct ctl_entry){ .name = strdup(target), .index = -1 };
	if (!entry->name)
		return NULL;
	entry->result.message = entry->message;
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
	if (source) {
		err = ovlt_tree_add_option(tree, "source", source);
		if (err)
			goto out;
	}
	err = ovlt_tree_parse_options(tree, options);
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

static int add_fs(struct attach *attach, struct libmnt_fs *fs)
{
	const char *type = mnt_fs_get_fstype(fs);
	const char *source = mnt_fs_get_source(fs);
	const char *options = mnt_fs_get_options(fs);
	const char *target = mnt_fs_get_target(fs);

	if (type && (!strcmp(type, "overlay") || !strcmp(type, "ovltree")))
		return add_tree(attach, source, options ? options : "", target);

	struct ctl_entry *entry = new_entry(attach, target);

	if (!entry)
		return -ENOMEM;
	entry_fail(entry, -EINVAL, "type %s is neither overlay nor ovltree",
		   type ? type : "none");
	return 0;
}

static int parse_error(struct libmnt_table *table, const char *file, int line)
{
	(void)table;
	fprintf(stderr, "ovltreectl: %s: line %d: not as fstab(5) has it\n",
		file, line);
	return -EINVAL;
}

static int parse_fstab(struct libmnt_table *table, const char *path)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	int err;

	if (!file) {
		fprintf(stderr, "ovltreectl: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	mnt_table_set_parser_errcb(table, parse_error);
	err = mnt_table_parse_stream(table, file,
				     is_stdin ? "standard input" : path);
	if (!is_stdin)
		fclose(file);
	return err;
}

static bool is_noauto(struct libmnt_fs *fs)
{
	const char *options = mnt_fs_get_options(fs);

	return options &&
	       mnt_optstr_get_option(options, "noauto", NULL, NULL) == 0;
}

static int add_table(struct attach *attach, struct libmnt_table *table)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int err = 0;

	if (!iter)
		return -ENOMEM;
	while (!err && !mnt_table_next_fs(table, iter, &fs))
		if (!is_noauto(fs))
			err = add_fs(attach, fs);
	mnt_free_iter(iter);
	return err;
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

static int attach_entries(struct ctl *ctl, bool all, const char *fstab,
			  const char *options, const char *target)
{
	struct attach attach = { .ctl = ctl, .all = all };
	struct libmnt_table *table = mnt_new_table();
	int status = EXIT_USAGE;
	size_t nr = 1;
	int err;

	if (fstab && (!table || parse_fstab(table, fstab)))
		goto out;
	if (fstab)
		nr = mnt_table_get_nents(table);
	attach.batch = ovlt_batch_new(ctl->ctx, all ? OVLT_ALL : 0);
	attach.entries = calloc(nr + 1, sizeof(*attach.entries));
	if (!attach.batch || !attach.entries)
		err = -ENOMEM;
	else if (fstab)
		err = add_table(&attach, table);
	else
		err = add_tree(&attach, NULL, options, target);
	status = err ? ctl_fail(ctl, err) : run(&attach);
out:
	for (size_t i = 0; i < attach.nr; i++)
		free(attach.entries[i].name);
	free(attach.entries);
	ovlt_batch_unref(attach.batch);
	mnt_unref_table(table);
	return status;
}

/* Several -o are one. */
static int append_options(char **options, const char *more)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", *options ? *options : "",
		     *options ? "," : "", more) < 0)
		return -ENOMEM;
	free(*options);
	*options = joined;
	return 0;
}

int cmd_attach(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		CTL_SUBMIT_OPTIONS,
		{ "all-or-nothing", no_argument, NULL, OPT_ALL },
		{ "fstab", required_argument, NULL, OPT_FSTAB },
		{ "options", required_argument, NULL, 'o' },
		{ 0 },
	};
	const char *fstab = NULL;
	char *options = NULL;
	int status = EXIT_SUCCESS;
	bool all = false;
	int opt;

	while (!status && (opt = getopt_long(argc, argv, "o:vh", long_options,
					     NULL)) != -1) {
		switch (opt) {
		case OPT_ALL:
			all = true;
			break;
		case OPT_FSTAB:
			fstab = optarg;
			break;
		case 'o':
			if (append_options(&options, optarg))
				status = ctl_fail(ctl, -ENOMEM);
			break;
		default:
			status = ctl_option(ctl, opt);
		}
	}
	if (status)
		goto out;
	if (fstab && (options || optind != argc))
		status = ctl_usage(
			"--fstab says all, -o and TARGET don't go with it");
	else if (!fstab && (!options || optind + 1 != argc))
		status = ctl_usage(
			"attach needs -o OPTIONS and one TARGET, or --fstab FILE");
	else
		status = ctl_open(ctl);
	if (!status)
		status = attach_entries(ctl, all, fstab, options, argv[optind]);
out:
	free(options);
	return status;
}
