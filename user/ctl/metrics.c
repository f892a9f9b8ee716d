// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl metrics: the kernel's counters, and the daemon's, which are in its
 * metrics_file only
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

/* As in ovltreed.conf(5) */
#define DEFAULT_FILE "/run/ovltree/ovltree.prom"

/* The kernel's are in the file, too, but as old as it is. */
static bool is_daemons(const char *line)
{
	static const char *const heads[] = { "", "# HELP ", "# TYPE " };
	static const char name[] = "ovltreed_";

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		size_t len = strlen(heads[i]);

		if (!strncmp(line, heads[i], len) &&
		    !strncmp(line + len, name, strlen(name)))
			return true;
	}
	return false;
}

static int print_daemons(const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	int err = 0;

	if (!file)
		return -errno;
	while (getline(&line, &room, file) > 0)
		if (is_daemons(line))
			fputs(line, stdout);
	if (ferror(file))
		err = -EIO;
	free(line);
	fclose(file);
	return err;
}

/* That a daemon writes no file is its administrator's choice; a given one is to be. */
static int show(struct ctl *ctl, struct ovlt_queue *queue, const char *given)
{
	const char *path = given ? given : DEFAULT_FILE;
	struct ovlt_stats stats;
	int err = ovlt_queue_get_stats(queue, &stats, sizeof(stats));

	if (err)
		return ctl_fail_queue(ctl, queue, err);
	common_print_metrics(stdout, &stats);
	if (!stats.has_daemon)
		return EXIT_SUCCESS;
	err = print_daemons(path);
	if (!err)
		return EXIT_SUCCESS;
	fprintf(stderr, "ovltreectl: the daemon's metrics: %s: %s\n", path,
		strerror(-err));
	return given || err != -ENOENT ? EXIT_FAIL : EXIT_SUCCESS;
}

int cmd_metrics(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		{ "file", required_argument, NULL, 'f' },
		CTL_OPTIONS,
		{ 0 },
	};
	struct ovlt_queue *queue;
	const char *given = NULL;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "f:vh", long_options, NULL)) !=
	       -1)
		if (opt == 'f')
			given = optarg;
		else if (ctl_option(ctl, opt))
			return EXIT_USAGE;
	if (optind != argc)
		return ctl_usage("%s takes no arguments", argv[0]);
	status = ctl_open(ctl);
	if (status)
		return status;
	queue = ctl_open_queue(ctl, 0);
	if (!queue)
		return EXIT_FAIL;
	status = show(ctl, queue, given);
	ovlt_queue_free(queue);
	return status;
}
