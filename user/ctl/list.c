// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl list
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ctl.h"

/* Since Linux 6.8, which the C library's headers may not know yet. */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000U
#endif

/**
 * struct overlay - what is told of a mount
 * @id: unique id, 0 when the kernel has none or another mount covers it
 * @dev: its device number
 * @source: as it was given
 * @target: the mountpoint
 * @lower: number of lower layers, data-only ones included
 * @upper: there is an upper folder
 */
struct overlay {
	uint64_t id;
	dev_t dev;
	const char *source;
	const char *target;
	unsigned int lower;
	bool upper;
};

/* Layers in the value of lowerdir, as overlayfs shows it. */
static unsigned int count_lower(const char *value, size_t len)
{
	unsigned int nr = 1;

	for (size_t i = 0; i < len; i++) {
		if (value[i] == '\\')
			i++;
		else if (value[i] == ':' && value[i - 1] != ':')
			nr++;
	}
	return nr;
}

static bool is_named(const char *name, size_t len, const char *wanted)
{
	return strlen(wanted) == len && !strncmp(name, wanted, len);
}

static void count_layers(struct overlay *overlay, const char *options)
{
	char *rest = (char *)options;
	char *name, *value;
	size_t len, value_len;

	while (rest && !mnt_optstr_next_option(&rest, &name, &len, &value,
					       &value_len)) {
		if (is_named(name, len, "lowerdir"))
			overlay->lower += count_lower(value, value_len);
		else if (is_named(name, len, "lowerdir+") ||
			 is_named(name, len, "datadir+"))
			overlay->lower++;
		else if (is_named(name, len, "upperdir"))
			overlay->upper = true;
	}
}

static struct overlay get_overlay(struct libmnt_table *table,
				  struct libmnt_fs *fs)
{
	struct overlay overlay = {
		.dev = mnt_fs_get_devno(fs),
		.source = mnt_fs_get_source(fs),
		.target = mnt_fs_get_target(fs),
	};

	if (common_find_mount(table, overlay.target) == fs)
		overlay.id =
			common_mount_id(overlay.target, STATX_MNT_ID_UNIQUE);
	if (mnt_fs_get_fs_options(fs))
		count_layers(&overlay, mnt_fs_get_fs_options(fs));
	return overlay;
}

static cJSON *overlay_json(const struct overlay *overlay)
{
	cJSON *json = cJSON_CreateObject();
	char device[32];

	snprintf(device, sizeof(device), "%u:%u", major(overlay->dev),
		 minor(overlay->dev));
	ctl_add_u64(json, "mnt_id", overlay->id);
	cJSON_AddStringToObject(json, "device", device);
	cJSON_AddStringToObject(json, "source", overlay->source);
	cJSON_AddStringToObject(json, "target", overlay->target);
	cJSON_AddNumberToObject(json, "lower", overlay->lower);
	cJSON_AddBoolToObject(json, "upper", overlay->upper);
	return json;
}

static void print_overlay(const struct overlay *overlay)
{
	char id[24] = "-";

	if (overlay->id)
		snprintf(id, sizeof(id), "%" PRIu64, overlay->id);
	printf("%-20s %5u %-5s %s\n", id, overlay->lower,
	       overlay->upper ? "yes" : "no", overlay->target);
}

static int list(struct ctl *ctl)
{
	struct libmnt_table *table = common_mountinfo();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	cJSON *array = cJSON_CreateArray();
	struct libmnt_fs *fs;

	if (!table || !iter)
		goto out;
	if (!ctl->json)
		printf("%-20s %5s %-5s %s\n", "ID", "LOWER", "UPPER", "TARGET");
	while (!mnt_table_next_fs(table, iter, &fs)) {
		struct overlay overlay;

		if (strcmp(mnt_fs_get_fstype(fs), "overlay"))
			continue;
		overlay = get_overlay(table, fs);
		if (ctl->json)
			cJSON_AddItemToArray(array, overlay_json(&overlay));
		else
			print_overlay(&overlay);
	}
	if (ctl->json)
		ctl_print_json(array);
	else
		cJSON_Delete(array);
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return EXIT_SUCCESS;
out:
	fprintf(stderr, "ovltreectl: /proc/self/mountinfo: %s\n",
		strerror(errno));
	cJSON_Delete(array);
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return EXIT_FAIL;
}

int cmd_list(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "vh", long_options, NULL)) != -1)
		if (ctl_option(ctl, opt))
			return EXIT_USAGE;
	if (optind != argc)
		return ctl_usage("list takes no arguments");
	return list(ctl);
}
