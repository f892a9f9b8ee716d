// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl - attach and detach overlay trees from the command line
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

static const struct command {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char *argv[]);
	const char *help;
} commands[] = {
	{ "attach", cmd_attach,
	  "[--all-or-nothing] [--threads N] -o OPTIONS TARGET | --fstab FILE" },
	{ "detach", cmd_detach, "[--lazy] [--force] [--id ID]... [TARGET]..." },
	{ "doctor", cmd_doctor, "[TARGET]" },
	{ "info", cmd_info, "" },
	{ "layerset", cmd_layerset,
	  "-o OPTIONS [-- COMMAND [ARGUMENT]...] | --list" },
	{ "list", cmd_list, "" },
	{ "metrics", cmd_metrics, "[--file FILE]" },
	{ "monitor", cmd_monitor, "[--buffer BYTES]" },
	{ "queue", cmd_queue, "" },
	{ "stats", cmd_stats, "" },
};

static void help(void)
{
	puts("Usage: ovltreectl [OPTION]... COMMAND [ARGUMENT]...\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %s %s\n", commands[i].name, commands[i].help);
	puts("\n"
	     "attach and detach, through the daemon:\n"
	     "      --submit        the same as --backend=daemon\n"
	     "      --name=TEXT     what the requests are called\n"
	     "      --priority=N    0 to 255, greater goes first\n"
	     "      --deadline=MS   when the kernel does it without the daemon\n"
	     "      --refused=HOW   without a daemon, or when its queue is full: direct, wait,\n"
	     "                      fail\n"
	     "      --wait=MS       longest time to wait, 0 is for ever\n");
	puts("OPTIONS are those of mount(8) for an overlay. A FILE is as fstab(5) has it, - is\n"
	     "standard input; entries with noauto are left out.\n"
	     "\n"
	     "Options, before or after the command:\n"
	     "      --backend=NAME  daemon, ioctl, mount-api, mount-ns; or auto, the first that\n"
	     "                      works, daemon excepted\n"
	     "      --json          tell results as JSON on standard output\n"
	     "  -v, --verbose       tell on standard error what the library does\n"
	     "  -h, --help          show this\n"
	     "  -V, --version       show the version\n"
	     "\n"
	     "Exit status: 0 all is well, 1 usage or a finding of doctor, 32 all failed,\n"
	     "64 some failed; layerset has that of its COMMAND, 126 or 127 if there is none.");
}

int ctl_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("ovltreectl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\nTry 'ovltreectl --help'.\n", stderr);
	return EXIT_USAGE;
}

/* Not 0 when it isn't a number up to @max. */
int ctl_number(const char *text, unsigned long max, unsigned int *number)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value > max)
		return ctl_usage("%s is not a number from 0 to %lu", text, max);
	*number = value;
	return 0;
}

static int set_refused(struct ctl *ctl, const char *text)
{
	static const char *const names[] = {
		[OVLT_REFUSED_DIRECT] = "direct",
		[OVLT_REFUSED_WAIT] = "wait",
		[OVLT_REFUSED_FAIL] = "fail",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]))
			continue;
		ctl->submit.refused = i;
		return 0;
	}
	return ctl_usage("--refused is direct, wait or fail, not %s", text);
}

static int set_name(struct ctl *ctl, const char *text)
{
	if (strlen(text) > OVLTREE_NAME_MAX)
		return ctl_usage("--name has %d bytes at most",
				 OVLTREE_NAME_MAX);
	ctl->submit.name = text;
	return 0;
}

/* For what getopt_long(3) gave and the subcommand didn't take; not 0 on error. */
int ctl_option(struct ctl *ctl, int opt)
{
	switch (opt) {
	case OPT_BACKEND:
		ctl->backend = optarg;
		return 0;
	case OPT_JSON:
		ctl->json = true;
		return 0;
	case OPT_SUBMIT:
		ctl->backend = "daemon";
		return 0;
	case OPT_NAME:
		return set_name(ctl, optarg);
	case OPT_PRIORITY:
		return ctl_number(optarg, 255, &ctl->submit.priority);
	case OPT_DEADLINE:
		return ctl_number(optarg, 60000, &ctl->submit.deadline_ms);
	case OPT_REFUSED:
		return set_refused(ctl, optarg);
	case OPT_WAIT:
		return ctl_number(optarg, INT_MAX, &ctl->submit.wait_ms);
	case 'v':
		ctl->verbose = true;
		return 0;
	case 'h':
		help();
		exit(EXIT_SUCCESS);
	}
	/* getopt_long(3) has told why. */
	fputs("Try 'ovltreectl --help'.\n", stderr);
	return EXIT_USAGE;
}

static void log_stderr(void *data, int priority, const char *message)
{
	(void)data;
	(void)priority;
	fprintf(stderr, "ovltreectl: %s\n", message);
}

/* Make the context; returns an exit status. */
int ctl_open(struct ctl *ctl)
{
	ctl->ctx = ovlt_ctx_new();
	if (!ctl->ctx)
		return ctl_fail(ctl, -errno);
	if (ctl->verbose)
		ovlt_ctx_set_log(ctl->ctx, log_stderr, NULL);
	if (ovlt_ctx_set_backend(ctl->ctx, ctl->backend))
		return ctl_usage("no backend is called %s", ctl->backend);
	ovlt_ctx_set_submit(ctl->ctx, &ctl->submit, sizeof(ctl->submit));
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		CTL_OPTIONS,
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct ctl ctl = { 0 };
	int status = EXIT_USAGE;
	int opt;

	while ((opt = getopt_long(argc, argv, "+vhV", options, NULL)) != -1) {
		if (opt == 'V') {
			puts("ovltreectl " OVLT_VERSION);
			return EXIT_SUCCESS;
		}
		if (ctl_option(&ctl, opt))
			return EXIT_USAGE;
	}
	if (optind == argc)
		return ctl_usage("which command?");
	argv += optind;
	argc -= optind;
	/* The subcommand's getopt_long(3) begins anew. */
	optind = 0;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name))
			continue;
		status = commands[i].run(&ctl, argc, argv);
		ovlt_ctx_unref(ctl.ctx);
		return status;
	}
	return ctl_usage("no command is called %s", argv[0]);
}
