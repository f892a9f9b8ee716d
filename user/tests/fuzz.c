// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#include "fuzz.h"

/* What an idmap would do outside of the parser, the linker wraps. */
static bool fuzzing;

void fuzz_begin(void)
{
	fuzzing = true;
}

void fuzz_end(void)
{
	fuzzing = false;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	if (fuzzing) {
		errno = EACCES;
		return -1;
	}
	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	return __real_open(path, flags, mode);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	if (fuzzing) {
		errno = EPERM;
		return -1;
	}
	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	return __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4],
			      arg[5]);
}

static void check_file(const struct ovlt_file *file)
{
	CHECK(file->path && file->path[0]);
	CHECK(!(file->flags & ~OVLT_DATA));
}

/* What is so of any tree that was parsed. */
void fuzz_check_tree(const struct ovlt_tree *tree)
{
	const uint32_t known = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
			       MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
			       MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME |
			       MOUNT_ATTR_NOSYMFOLLOW;

	CHECK(!(tree->attr & ~known));
	CHECK((tree->attr & MOUNT_ATTR__ATIME) != MOUNT_ATTR__ATIME);
	CHECK(!(tree->propagation & (tree->propagation - 1)));
	CHECK(!tree->layerset || !tree->nr_lower);
	for (unsigned int i = 0; i < tree->nr_lower; i++)
		check_file(&tree->lower[i]);
	if (tree->has_upper)
		check_file(&tree->upper);
	if (tree->has_work)
		check_file(&tree->work);
	for (unsigned int i = 0; i < tree->nr_options; i++) {
		CHECK(tree->options[i][0] && tree->options[i][0] != '=');
		CHECK(strncmp(tree->options[i], "lowerdir", 8) ||
		      !strchr("=+", tree->options[i][8]) ||
		      (tree->options[i][8] == '+' &&
		       !strchr("=", tree->options[i][9])));
	}
	CHECK(strlen(tree->error) < sizeof(tree->error));
}
