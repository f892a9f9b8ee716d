// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl info
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static const struct feature {
	uint64_t bit;
	const char *name;
} features[] = {
	{ OVLTREE_FEATURE_BATCH, "batch" },
	{ OVLTREE_FEATURE_SHARED_LOWER, "shared-lower" },
	{ OVLTREE_FEATURE_LAYERSET, "layerset" },
};

/* Find out if a backend works; @why gets the reason if not. */
static int try_backend(const char *name, char *why, size_t size)
{
	const struct ovlt_submit_options insist = {
		.refused = OVLT_REFUSED_FAIL,
	};
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_info info;
	int err;

	if (!ctx)
		return -ENOMEM;
	ovlt_ctx_set_backend(ctx, name);
	ovlt_ctx_set_submit(ctx, &insist, sizeof(insist));
	err = ovlt_ctx_get_info(ctx, &info, sizeof(info));
	if (err) {
		char text[OVLTREE_MESSAGE_MAX];

		ovlt_ctx_get_error(ctx, text, sizeof(text));
		snprintf(why, size, "%s: %s", text, strerror(-err));
	}
	ovlt_ctx_unref(ctx);
	return err;
}

static cJSON *info_json(const struct ovlt_info *info)
{
	cJSON *json = cJSON_CreateObject();
	cJSON *array;
	char why[256];

	cJSON_AddStringToObject(json, "backend", info->backend);
	cJSON_AddStringToObject(json, "version", OVLT_VERSION);
	cJSON_AddNumberToObject(json, "uapi_version", info->version);
	cJSON_AddNumberToObject(json, "max_entries", info->max_entries);
	cJSON_AddNumberToObject(json, "max_lower", info->max_lower);
	cJSON_AddNumberToObject(json, "max_options", info->max_options);
	cJSON_AddNumberToObject(json, "layersets", info->nr_layersets);
	array = cJSON_AddArrayToObject(json, "features");
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (info->features & features[i].bit)
			cJSON_AddItemToArray(
				array, cJSON_CreateString(features[i].name));
	array = cJSON_AddArrayToObject(json, "fallback");
	for (unsigned int i = 0; ovlt_backend_name(i); i++) {
		cJSON *item = cJSON_CreateObject();
		int err = try_backend(ovlt_backend_name(i), why, sizeof(why));

		cJSON_AddStringToObject(item, "backend", ovlt_backend_name(i));
		cJSON_AddBoolToObject(item, "automatic",
				      ovlt_backend_is_automatic(i));
		cJSON_AddBoolToObject(item, "works", !err);
		if (err)
			cJSON_AddStringToObject(item, "message", why);
		cJSON_AddItemToArray(array, item);
	}
	return json;
}

static void print_limit(const char *name, unsigned int value)
{
	if (value)
		printf("%s: %u\n", name, value);
	else
		printf("%s: no limit\n", name);
}

static void print_info(const struct ovlt_info *info)
{
	char why[256];

	printf("backend: %s\n", info->backend);
	printf("library: %s, built for version %d of the interface\n",
	       OVLT_VERSION, OVLTREE_UAPI_VERSION);
	if (info->version)
		printf("module: version %u of the interface\n", info->version);
	else
		puts("module: not in use");
	print_limit("entries in a batch", info->max_entries);
	print_limit("lower layers in a tree", info->max_lower);
	print_limit("bytes of options in a tree", info->max_options);
	if (info->features & OVLTREE_FEATURE_LAYERSET)
		printf("layer sets: %u\n", info->nr_layersets);
	printf("features:");
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (info->features & features[i].bit)
			printf(" %s", features[i].name);
	puts(info->features ? "" : " none");
	puts("fallback order:");
	for (unsigned int i = 0; ovlt_backend_name(i); i++) {
		const char *name = ovlt_backend_name(i);
		int err = try_backend(name, why, sizeof(why));

		printf("  %s%s: %s\n", name,
		       ovlt_backend_is_automatic(i) ? "" : " (when asked for)",
		       err ? why : "works");
	}
}

int cmd_info(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		{ 0 },
	};
	struct ovlt_info info;
	int status;
	int opt;
	int err;

	while ((opt = getopt_long(argc, argv, "vh", long_options, NULL)) != -1)
		if (ctl_option(ctl, opt))
			return EXIT_USAGE;
	if (optind != argc)
		return ctl_usage("info takes no arguments");
	status = ctl_open(ctl);
	if (status)
		return status;
	err = ovlt_ctx_get_info(ctl->ctx, &info, sizeof(info));
	if (err)
		return ctl_fail(ctl, err);
	if (ctl->json)
		ctl_print_json(info_json(&info));
	else
		print_info(&info);
	return EXIT_SUCCESS;
}
