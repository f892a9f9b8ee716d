// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl detach
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static int parse_id(const char *text, uint64_t *id)
{
	char *end;

	errno = 0;
	*id = strtoull(text, &end, 0);
	return errno || *end || end == text || *text == '-' ? -EINVAL : 0;
}

/* Targets in their order, after the ids. */
static int detach_entries(struct ctl *ctl, unsigned int flags, char *ids[],
			  size_t nr_ids, char *targets[], size_t nr_targets)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctl->ctx, 0);
	size_t nr = nr_ids + nr_targets;
	struct ctl_entry *entries = calloc(nr, sizeof(*entries));
	int status = EXIT_FAIL;
	uint64_t id;
	int ret = -ENOMEM;

	if (!batch || !entries)
		goto out;
	for (size_t i = 0; i < nr; i++) {
		struct ctl_entry *entry = &entries[i];

		entry->name = i < nr_ids ? ids[i] : targets[i - nr_ids];
		if (i >= nr_ids) {
			entry->index = ovlt_batch_add_target(
				batch, AT_FDCWD, entry->name, flags);
		} else if (parse_id(entry->name, &id)) {
			status = ctl_usage("%s is not a mount id", entry->name);
			ret = 0;
			goto out;
		} else {
			entry->index = ovlt_batch_add_id(batch, id, flags);
		}
		if (entry->index < 0) {
			ret = entry->index;
			goto out;
		}
	}
	ret = ovlt_batch_detach(batch);
	if (ret >= 0)
		status = ctl_report(ctl, batch, entries, nr);
out:
	if (ret < 0)
		status = ctl_fail(ctl, ret);
	free(entries);
	ovlt_batch_unref(batch);
	return status;
}

int cmd_detach(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		CTL_SUBMIT_OPTIONS,
		{ "lazy", no_argument, NULL, 'l' },
		{ "force", no_argument, NULL, 'f' },
		{ "id", required_argument, NULL, OPT_ID },
		{ 0 },
	};
	char **ids = calloc(argc, sizeof(*ids));
	int status = EXIT_SUCCESS;
	unsigned int flags = 0;
	size_t nr_ids = 0;
	int opt;

	if (!ids)
		return ctl_fail(ctl, -ENOMEM);
	while (!status && (opt = getopt_long(argc, argv, "lfvh", long_options,
					     NULL)) != -1) {
		switch (opt) {
		case 'l':
			flags |= OVLT_LAZY;
			break;
		case 'f':
			flags |= OVLT_FORCE;
			break;
		case OPT_ID:
			ids[nr_ids++] = optarg;
			break;
		default:
			status = ctl_option(ctl, opt);
		}
	}
	if (status)
		goto out;
	if (!nr_ids && optind == argc)
		status = ctl_usage("detach needs a TARGET or an --id");
	else
		status = ctl_open(ctl);
	if (!status)
		status = detach_entries(ctl, flags, ids, nr_ids, argv + optind,
					argc - optind);
out:
	free(ids);
	return status;
}
