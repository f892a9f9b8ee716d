// SPDX-License-Identifier: GPL-2.0-only
/*
 * mount.ovltree - helper of mount(8), and mount_program of containers/storage
 *
 * mount(8) calls it with a source, containers/storage without one.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/common.h"
#include "mount.h"

/**
 * struct request - what was said
 * @source: what mountinfo is to show as the source, or NULL
 * @target: the mountpoint
 * @mntns: a mount namespace, or NULL
 * @backend: name of a backend, or NULL
 * @text: all of -o
 * @options: the same, parsed
 * @fake: do not attach
 * @sloppy: leave out options that the kernel doesn't know
 * @verbose: tell what is done
 */
struct request {
	const char *source;
	const char *target;
	const char *mntns;
	const char *backend;
	char *text;
	struct options options;
	bool fake;
	bool sloppy;
	bool verbose;
};

static void help(void)
{
	puts("Usage: mount.ovltree [-fnsv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS] [SOURCE] TARGET\n"
	     "\n"
	     "  -f                 check the options, attach nothing\n"
	     "  -n                 no effect: no mtab is written\n"
	     "  -s                 leave out options that the kernel doesn't know\n"
	     "  -v                 tell on standard error what is done\n"
	     "  -N NAMESPACE       mount in the mount namespace of a PID or a file\n"
	     "  -t TYPE            ovltree, or ovltree.BACKEND\n"
	     "  -o OPTIONS         options of mount(8) for an overlay, and of fuse-overlayfs\n"
	     "  -h, --help         show this\n"
	     "  -V, --version      show the version\n"
	     "\n"
	     "Exit status: 0 all is well, 1 usage or rights, 2 no memory or descriptors,\n"
	     "32 it failed.");
}

static int fail(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("mount.ovltree: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

static int to_status(int err)
{
	switch (err) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return EXIT_SYSTEM;
	}
	return EXIT_FAIL;
}

/* Of an error in what was said. */
static int to_usage(int err)
{
	int status = to_status(err);

	return status == EXIT_FAIL ? EXIT_USAGE : status;
}

/* One line about the target. */
static int fail_target(const struct request *request, int status, int err,
		       const char *why)
{
	return fail(status, "%s: %s%s%s", request->target, why,
		    why[0] ? ": " : "", strerror(-err));
}

static void log_stderr(void *data, int priority, const char *message)
{
	(void)data;
	(void)priority;
	fprintf(stderr, "mount.ovltree: %s\n", message);
}

/* As mount(8) does: from here on all paths are those of the namespace. */
static int enter_mntns(const char *name)
{
	char path[64];
	int status = EXIT_SUCCESS;
	int fd;

	if (name[0] && !name[strspn(name, "0123456789")]) {
		snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", name);
		name = path;
	}
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(EXIT_FAIL, "mount namespace %s: %s", name,
			    strerror(errno));
	if (setns(fd, CLONE_NEWNS))
		status = fail(EXIT_FAIL, "mount namespace %s: %s", name,
			      errno == EINVAL ? "not a mount namespace" :
						strerror(errno));
	close(fd);
	return status;
}

static int fill_tree(const struct request *request, struct ovlt_tree *tree,
		     int userns_fd)
{
	const struct words *all = &request->options.all;
	int err = common_fill_tree(tree, request->source, all->word, all->nr);

	if (!err && userns_fd >= 0)
		err = ovlt_tree_set_userns(tree, userns_fd);
	return err;
}

/* Leave out the option that the kernel's message is about; tells if it could. */
static bool drop_unknown(struct request *request, const char *message)
{
	static const char unknown[] = "Unknown parameter '";
	const char *key = strstr(message, unknown);
	const char *end;
	char *name;
	bool dropped;

	if (!request->sloppy || !key)
		return false;
	key += strlen(unknown);
	end = strchr(key, '\'');
	name = end ? strndup(key, end - key) : NULL;
	if (!name)
		return false;
	dropped = options_drop(&request->options, name);
	if (dropped && request->verbose)
		fprintf(stderr, "mount.ovltree: option %s is left out\n", name);
	free(name);
	return dropped;
}

/* Returns an exit status, or -EAGAIN after an option was left out. */
static int attach_tree(struct request *request, struct ovlt_ctx *ctx,
		       struct ovlt_tree *tree)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);
	const struct ovlt_result *result;
	char why[OVLTREE_MESSAGE_MAX] = "";
	int status = EXIT_SUCCESS;
	int ret = -ENOMEM;

	if (batch)
		ret = ovlt_batch_add_tree(batch, tree, AT_FDCWD,
					  request->target, 0);
	if (ret >= 0)
		ret = ovlt_batch_attach(batch);
	if (ret < 0) {
		ovlt_ctx_get_error(ctx, why, sizeof(why));
		status = ret == -EPERM ? EXIT_USAGE : to_status(ret);
		fail_target(request, status, ret, why);
		goto out;
	}
	if (!ret)
		goto out;
	result = ovlt_batch_get_result(batch, 0);
	if (result->field == OVLTREE_FIELD_OPTIONS &&
	    drop_unknown(request, result->message)) {
		status = -EAGAIN;
		goto out;
	}
	status = fail_target(request, to_status(result->error), result->error,
			     common_why(result));
out:
	ovlt_batch_unref(batch);
	return status;
}

/* Returns as attach_tree(). */
static int try_attach(struct request *request, struct ovlt_ctx *ctx,
		      int userns_fd)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	int err = tree ? fill_tree(request, tree, userns_fd) : -ENOMEM;
	int status = EXIT_SUCCESS;

	if (err)
		status = fail_target(request, to_usage(err), err,
				     tree ? ovlt_tree_get_error(tree) : "");
	else if (!request->fake)
		status = attach_tree(request, ctx, tree);
	ovlt_tree_unref(tree);
	return status;
}

/* The device is ours, not one that the other mount namespace may have. */
static int open_backend(struct request *request, struct ovlt_ctx *ctx)
{
	char why[OVLTREE_MESSAGE_MAX] = "";
	struct ovlt_info info;
	int err = ovlt_ctx_get_info(ctx, &info, sizeof(info));

	if (!err)
		return EXIT_SUCCESS;
	ovlt_ctx_get_error(ctx, why, sizeof(why));
	return fail_target(request, to_status(err), err, why);
}

static int run(struct request *request, struct ovlt_ctx *ctx)
{
	struct mapping mapping;
	int status = EXIT_SUCCESS;
	int err;

	err = mapping_open(&mapping, &request->options);
	if (err)
		status = fail_target(request, to_usage(err), err,
				     mapping.message);
	if (!status && request->mntns && !request->fake)
		status = open_backend(request, ctx);
	if (!status && request->mntns)
		status = enter_mntns(request->mntns);
	if (!status && !request->fake) {
		err = mapping_apply(&mapping, &request->options);
		if (err)
			status = fail_target(request, to_status(err), err,
					     mapping.message);
	}
	if (!status)
		do
			status = try_attach(request, ctx, mapping.userns_fd);
		while (status == -EAGAIN);
	mapping_close(&mapping);
	return status;
}

/* The subtype is a backend. */
static int set_type(struct request *request, const char *type)
{
	static const char prefix[] = "ovltree.";

	if (!strncmp(type, prefix, strlen(prefix)))
		request->backend = type + strlen(prefix);
	else if (strcmp(type, "ovltree"))
		return fail(EXIT_USAGE, "type %s is not ovltree", type);
	return EXIT_SUCCESS;
}

static int parse_option(struct request *request, int opt)
{
	switch (opt) {
	case 'f':
		request->fake = true;
		return EXIT_SUCCESS;
	case 'n':
		return EXIT_SUCCESS;
	case 's':
		request->sloppy = true;
		return EXIT_SUCCESS;
	case 'v':
		request->verbose = true;
		return EXIT_SUCCESS;
	case 'N':
		request->mntns = optarg;
		return EXIT_SUCCESS;
	case 't':
		return set_type(request, optarg);
	case 'o':
		if (common_append_options(&request->text, optarg))
			return fail(EXIT_SYSTEM, "%s", strerror(ENOMEM));
		return EXIT_SUCCESS;
	case 'h':
		help();
		exit(EXIT_SUCCESS);
	case 'V':
		puts("mount.ovltree " OVLT_VERSION);
		exit(EXIT_SUCCESS);
	}
	/* getopt_long(3) has told why. */
	return EXIT_USAGE;
}

static int parse(struct request *request, int argc, char *argv[])
{
	static const struct option long_options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int status = EXIT_SUCCESS;
	int opt, err;

	while (!status && (opt = getopt_long(argc, argv, "fnsvN:t:o:hV",
					     long_options, NULL)) != -1)
		status = parse_option(request, opt);
	if (status)
		return status;
	if (argc - optind < 1 || argc - optind > 2)
		return fail(EXIT_USAGE,
			    "one TARGET is needed, or SOURCE and TARGET");
	if (argc - optind == 2)
		request->source = argv[optind++];
	request->target = argv[optind];
	err = options_parse(&request->options,
			    request->text ? request->text : "");
	if (err == -EINVAL)
		return fail(EXIT_USAGE, "%s: %s", request->target,
			    request->options.message);
	if (err)
		return fail_target(request, to_status(err), err, "");
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	struct request request = { 0 };
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	int status;

	status = ctx ? parse(&request, argc, argv) :
		       fail(EXIT_SYSTEM, "%s", strerror(errno));
	if (!status && request.verbose) {
		ovlt_ctx_set_log(ctx, log_stderr, NULL);
		for (size_t i = 0; i < request.options.ignored.nr; i++)
			fprintf(stderr, "mount.ovltree: option %s is ignored\n",
				request.options.ignored.word[i]);
	}
	if (!status && ovlt_ctx_set_backend(ctx, request.backend))
		status = fail(EXIT_USAGE, "no backend is called %s",
			      request.backend);
	if (!status)
		status = run(&request, ctx);
	options_clear(&request.options);
	free(request.text);
	ovlt_ctx_unref(ctx);
	return status;
}
