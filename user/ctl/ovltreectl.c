// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl - attach and detach overlay trees from the command line
 */
#include <errno.h>
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
	{ "layerset", cmd_layerset, "-o OPTIONS [-- COMMAND [ARGUMENT]...]" },
	{ "list", cmd_list, "" },
};

static void help(void)
{
	puts("Usage: ovltreectl [OPTION]... COMMAND [ARGUMENT]...\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %s %s\n", commands[i].name, commands[i].help);
	puts("\n"
	     "OPTIONS are those of mount(8) for an overlay. A FILE is as fstab(5) has it, - is\n"
	     "standard input; entries with noauto are left out.\n"
	     "\n"
	     "Options, before or after the command:\n"
	     "      --backend=NAME  ioctl, mount-api, mount-ns; or auto, the first that works\n"
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
