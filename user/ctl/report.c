// SPDX-License-Identifier: GPL-2.0-only
/*
 * Results for people and for programs.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "ctl.h"

static void print_and_free(cJSON *json, char *text)
{
	if (text)
		puts(text);
	cJSON_free(text);
	cJSON_Delete(json);
}

/* Print and free. */
void ctl_print_json(struct cJSON *json)
{
	print_and_free(json, cJSON_Print(json));
}

/* As a line, for who reads one at a time. */
void ctl_print_json_line(struct cJSON *json)
{
	print_and_free(json, cJSON_PrintUnformatted(json));
}

/* A number of 64 bits, which cJSON would round. */
void ctl_add_u64(struct cJSON *json, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	cJSON_AddRawToObject(json, name, text);
}

static void add_error(cJSON *json, int err)
{
	cJSON_AddStringToObject(json, "errno", strerrorname_np(-err));
	cJSON_AddStringToObject(json, "error", strerror(-err));
}

/* Tell of an error that no entry is to blame for; returns an exit status. */
int ctl_fail_why(struct ctl *ctl, int err, const char *why)
{
	fprintf(stderr, "ovltreectl: %s%s%s\n", why, why[0] ? ": " : "",
		strerror(-err));
	if (ctl->json) {
		cJSON *json = cJSON_CreateObject();

		add_error(json, err);
		cJSON_AddStringToObject(json, "message", why);
		ctl_print_json_line(json);
	}
	return EXIT_FAIL;
}

/* The same, where the library knows why. */
int ctl_fail(struct ctl *ctl, int err)
{
	char why[OVLTREE_MESSAGE_MAX] = "";

	if (ctl->ctx)
		ovlt_ctx_get_error(ctl->ctx, why, sizeof(why));
	return ctl_fail_why(ctl, err, why);
}

/* Whether all is well, or else why not. */
void ctl_add_result(struct cJSON *json, const struct ovlt_result *result)
{
	cJSON_AddBoolToObject(json, "ok", !result->error);
	if (!result->error)
		return;
	add_error(json, result->error);
	cJSON_AddStringToObject(json, "field", ovlt_field_name(result->field));
	cJSON_AddNumberToObject(json, "index", result->index);
	cJSON_AddStringToObject(json, "message", result->message);
}

static cJSON *entry_json(const struct ctl_entry *entry)
{
	const struct ovlt_result *result = &entry->result;
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "target", entry->name);
	ctl_add_result(json, result);
	if (!result->error) {
		char device[32];

		snprintf(device, sizeof(device), "%u:%u", major(result->dev),
			 minor(result->dev));
		ctl_add_u64(json, "mnt_id", result->mnt_id);
		cJSON_AddStringToObject(json, "device", device);
	}
	return json;
}

static void report_json(struct ctl *ctl, const struct ovlt_batch *batch,
			const struct ctl_entry *entries, size_t nr)
{
	struct ovlt_info info = { 0 };
	uint64_t wait_ns, hold_ns;
	cJSON *json = cJSON_CreateObject();
	cJSON *array;

	ovlt_ctx_get_info(ctl->ctx, &info, sizeof(info));
	ovlt_batch_get_times(batch, &wait_ns, &hold_ns);
	cJSON_AddStringToObject(json, "backend", info.backend);
	ctl_add_u64(json, "wait_ns", wait_ns);
	ctl_add_u64(json, "hold_ns", hold_ns);
	array = cJSON_AddArrayToObject(json, "entries");
	for (size_t i = 0; i < nr; i++)
		cJSON_AddItemToArray(array, entry_json(&entries[i]));
	ctl_print_json(json);
}

static void report_error(const struct ctl_entry *entry)
{
	const struct ovlt_result *result = &entry->result;
	const char *why = common_why(result);

	fprintf(stderr, "ovltreectl: %s: %s%s%s\n", entry->name, why,
		why[0] ? ": " : "", strerror(-result->error));
}

/* Tell what became of the entries; returns an exit status. */
int ctl_report(struct ctl *ctl, const struct ovlt_batch *batch,
	       struct ctl_entry *entries, size_t nr)
{
	size_t failed = 0;

	for (size_t i = 0; i < nr; i++) {
		struct ctl_entry *entry = &entries[i];

		if (entry->index >= 0)
			entry->result =
				*ovlt_batch_get_result(batch, entry->index);
		else
			entry->result.message = entry->message;
		if (!entry->result.error)
			continue;
		failed++;
		report_error(entry);
	}
	if (ctl->json)
		report_json(ctl, batch, entries, nr);
	if (!failed)
		return EXIT_SUCCESS;
	return failed == nr ? EXIT_FAIL : EXIT_SOMEOK;
}
