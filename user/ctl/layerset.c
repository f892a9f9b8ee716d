// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl layerset
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

#define VARIABLE "OVLTREE_LAYERSET_FD"

/* As env(1) has them. */
#define EXIT_NOT_RUN 126
#define EXIT_NOT_FOUND 127

/* How many the kernel says, 0 if it wasn't the module that made it. */
static unsigned int count_layers(const struct ovlt_layerset *layerset)
{
	int fd = ovlt_layerset_get_fd(layerset);
	char path[64], line[256];
	unsigned int nr = 0;
	FILE *file;

	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && !nr && fgets(line, sizeof(line), file))
		if (sscanf(line, "layers: %u", &nr) != 1)
			nr = 0;
	if (file)
		fclose(file);
	return nr;
}

static void tell(struct ctl *ctl, const struct ovlt_result *result,
		 const struct ovlt_layerset *layerset)
{
	unsigned int nr = layerset ? count_layers(layerset) : 0;
	struct ovlt_info info = { 0 };
	cJSON *json;

	if (!ctl->json) {
		if (result->error)
			fprintf(stderr, "ovltreectl: %s: %s\n",
				common_why(result), strerror(-result->error));
		else if (nr)
			printf("ok, %u layers\n", nr);
		else
			puts("ok");
		return;
	}
	ovlt_ctx_get_info(ctl->ctx, &info, sizeof(info));
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "backend",
				info.backend ? info.backend : "none");
	ctl_add_result(json, result);
	if (nr)
		cJSON_AddNumberToObject(json, "layers", nr);
	ctl_print_json(json);
}

/*
 * Make the layer set, and tell what became of it if it isn't for a command;
 * returns an exit status.
 */
static int make(struct ctl *ctl, char *options, bool quiet,
		struct ovlt_layerset **layerset)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctl->ctx, 0);
	struct ovlt_tree *tree = ovlt_tree_new();
	struct ovlt_result result = { 0 };
	int ret = -ENOMEM;

	if (!batch || !tree)
		goto out;
	result.error = common_fill_tree(tree, NULL, &options, 1);
	result.message = ovlt_tree_get_error(tree);
	ret = 0;
	if (!result.error) {
		ret = ovlt_batch_add_layerset(batch, tree);
		if (ret >= 0)
			ret = ovlt_batch_make_layersets(batch);
		if (ret < 0)
			goto out;
		result = *ovlt_batch_get_result(batch, 0);
		*layerset = ovlt_batch_take_layerset(batch, 0);
	}
	if (result.error || !quiet)
		tell(ctl, &result, *layerset);
out:
	ovlt_tree_unref(tree);
	ovlt_batch_unref(batch);
	if (ret < 0)
		return ctl_fail(ctl, ret);
	return result.error ? EXIT_FAIL : EXIT_SUCCESS;
}

/* Become @command, which inherits the layer set; returns an exit status. */
static int run(struct ctl *ctl, struct ovlt_layerset *layerset, char *command[])
{
	int fd = ovlt_layerset_get_fd(layerset);
	char value[16];

	if (fd < 0) {
		fputs("ovltreectl: only the module's layer sets can be passed on\n",
		      stderr);
		return EXIT_FAIL;
	}
	fd = fcntl(fd, F_DUPFD, STDERR_FILENO + 1);
	if (fd < 0)
		return ctl_fail(ctl, -errno);
	snprintf(value, sizeof(value), "%d", fd);
	setenv(VARIABLE, value, 1);
	execvp(command[0], command);
	fprintf(stderr, "ovltreectl: %s: %s\n", command[0], strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN;
}

static int add_json(void *data, const struct ovlt_layerset_info *info)
{
	cJSON *json = cJSON_CreateObject();

	ctl_add_u64(json, "id", info->id);
	cJSON_AddNumberToObject(json, "layers", info->layers);
	cJSON_AddNumberToObject(json, "pid", info->pid);
	cJSON_AddNumberToObject(json, "uid", info->uid);
	ctl_add_u64(json, "cgroup_id", info->cgroup_id);
	ctl_add_u64(json, "age_ns", info->age_ns);
	cJSON_AddItemToArray(data, json);
	return 0;
}

static int print_line(void *data, const struct ovlt_layerset_info *info)
{
	char pid[16] = "-";

	(void)data;
	if (info->pid)
		snprintf(pid, sizeof(pid), "%u", info->pid);
	printf("%-10" PRIu64 " %6u %10s %10u %10" PRIu64 " %.1f s\n", info->id,
	       info->layers, pid, info->uid, info->cgroup_id,
	       info->age_ns / 1e9);
	return 0;
}

/* Tell which layer sets there are; returns an exit status. */
static int list(struct ctl *ctl)
{
	struct ovlt_queue *queue = ctl_open_queue(ctl, 0);
	cJSON *array = ctl->json ? cJSON_CreateArray() : NULL;
	int err;

	if (!queue) {
		cJSON_Delete(array);
		return EXIT_FAIL;
	}
	if (!array)
		printf("%-10s %6s %10s %10s %10s %s\n", "ID", "LAYERS", "PID",
		       "UID", "CGROUP", "AGE");
	err = ovlt_queue_dump_layersets(queue, array ? add_json : print_line,
					array);
	if (!err && array)
		ctl_print_json(array);
	else
		cJSON_Delete(array);
	err = err ? ctl_fail_queue(ctl, queue, err) : EXIT_SUCCESS;
	ovlt_queue_free(queue);
	return err;
}

int cmd_layerset(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		{ "options", required_argument, NULL, 'o' },
		{ "list", no_argument, NULL, OPT_LIST },
		{ 0 },
	};
	struct ovlt_layerset *layerset = NULL;
	int status = EXIT_SUCCESS;
	bool wants_list = false;
	char *options = NULL;
	int opt;

	/* What comes after COMMAND is its. */
	while (!status && (opt = getopt_long(argc, argv, "+o:vh", long_options,
					     NULL)) != -1) {
		if (opt == OPT_LIST)
			wants_list = true;
		else if (opt != 'o')
			status = ctl_option(ctl, opt);
		else if (common_append_options(&options, optarg))
			status = ctl_fail(ctl, -ENOMEM);
	}
	if (!status && wants_list == !!options)
		status = ctl_usage("layerset needs -o OPTIONS or --list");
	if (!status && wants_list && optind < argc)
		status = ctl_usage("--list takes no arguments");
	if (!status && ctl->json && optind < argc)
		status = ctl_usage("--json doesn't go with a COMMAND");
	if (!status)
		status = ctl_open(ctl);
	if (!status && wants_list)
		status = list(ctl);
	else if (!status)
		status = make(ctl, options, optind < argc, &layerset);
	if (!status && optind < argc)
		status = run(ctl, layerset, argv + optind);
	ovlt_layerset_unref(layerset);
	free(options);
	return status;
}
