// SPDX-License-Identifier: GPL-2.0-only
/*
 * A tree that is prepared is a mount which is attached nowhere, held by a descriptor.
 *
 * usage: mountfd OPTIONS COMMAND [ARG...]   prepare; COMMAND has it as descriptor 9
 *        mountfd --attach PID TARGET        in COMMAND, attach it at TARGET in the
 *                                           mount namespace of a process
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libovltree.h"

#define FD 9

static void end(const char *what, int err)
{
	fprintf(stderr, "mountfd: %s: %s\n", what, strerror(-err));
	exit(EXIT_FAILURE);
}

static void check(const char *what, int err)
{
	if (err < 0)
		end(what, err);
}

static void check_entry(const char *what, struct ovlt_batch *batch, int ret)
{
	const struct ovlt_result *result = ovlt_batch_get_result(batch, 0);

	check(what, ret);
	if (ret)
		end(result->message[0] ? result->message : what, result->error);
}

static void prepare(struct ovlt_batch *batch, const char *options)
{
	struct ovlt_tree *tree = ovlt_tree_new();

	if (!tree)
		end(options, -ENOMEM);
	check(options, ovlt_tree_parse_options(tree, options));
	check(options, ovlt_batch_add_tree(batch, tree, -1, NULL, 0));
	check_entry(options, batch, ovlt_batch_prepare(batch));
	if (dup2(ovlt_batch_take_fd(batch, 0), FD) < 0)
		end(options, -errno);
	ovlt_tree_unref(tree);
}

static void attach(struct ovlt_batch *batch, const char *pid,
		   const char *target)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		end(path, -errno);
	snprintf(path, sizeof(path), "/proc/%s/root%s", pid, target);
	check(path, ovlt_batch_add_mount(batch, FD, AT_FDCWD, path, 0));
	check(path, ovlt_batch_set_mntns(batch, 0, fd));
	check_entry(path, batch, ovlt_batch_attach(batch));
	close(fd);
}

int main(int argc, char *argv[])
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_batch *batch;

	if (argc < 3)
		end("OPTIONS and COMMAND are needed", -EINVAL);
	if (!ctx)
		end(argv[0], -ENOMEM);
	check("ioctl", ovlt_ctx_set_backend(ctx, "ioctl"));
	batch = ovlt_batch_new(ctx, 0);
	if (!batch)
		end(argv[0], -ENOMEM);
	if (!strcmp(argv[1], "--attach") && argc == 4) {
		attach(batch, argv[2], argv[3]);
	} else {
		prepare(batch, argv[1]);
		execvp(argv[2], argv + 2);
		end(argv[2], -errno);
	}
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
	return EXIT_SUCCESS;
}
