// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User namespaces that exist only to carry an id mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "private.h"

/* The kernel takes a map in one write of less than a page, 340 lines at most. */
#define MAP_SIZE 4096

static int write_map(pid_t pid, char type, const struct ovlt_id_range *ranges,
		     size_t nr)
{
	char path[64], map[MAP_SIZE];
	size_t len = 0;
	int err = 0;
	int fd;

	for (size_t i = 0; i < nr; i++) {
		if (ranges[i].type != type && ranges[i].type != 'b')
			continue;
		len += snprintf(map + len, sizeof(map) - len, "%u %u %u\n",
				ranges[i].inner, ranges[i].outer,
				ranges[i].count);
		if (len >= sizeof(map))
			return -E2BIG;
	}
	if (!len)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/%cid_map", pid, type);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, map, len) != (ssize_t)len)
		err = -errno;
	close(fd);
	return err;
}

static int open_userns(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/**
 * ovlt_userns_open() - make a user namespace with an id mapping
 * @ranges: the mapping; a type of id that has no range has no mapping, and
 *	then shows as the overflow id
 * @nr: number of ranges, 340 of a type at most
 *
 * /proc must be mounted. A child process exists for the time of the call; it
 * ends without a SIGCHLD.
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: a descriptor that is the caller's to close; -EINVAL for a bad range
 * or ranges that overlap, -E2BIG, -EPERM when the caller may not map these ids,
 * or what clone(2) or open(2) say.
 */
OVLT_EXPORT int ovlt_userns_open(const struct ovlt_id_range *ranges, size_t nr)
{
	sigset_t all, old;
	int err = 0;
	pid_t pid;

	if (!nr)
		return -EINVAL;
	for (size_t i = 0; i < nr; i++)
		if (!strchr("ugb", ranges[i].type) || !ranges[i].type ||
		    !ranges[i].count)
			return -EINVAL;

	/*
	 * The child is born into its namespace and does nothing but be there:
	 * neither the application's signal handlers nor its fork handlers run.
	 * With a descriptor table of its own it would keep mounts busy that
	 * other threads have open.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = syscall(SYS_clone, CLONE_NEWUSER | CLONE_FILES, NULL, NULL, NULL,
		      NULL);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid < 0)
		err = -errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return err;

	err = write_map(pid, 'u', ranges, nr);
	if (!err)
		err = write_map(pid, 'g', ranges, nr);
	if (!err)
		err = open_userns(pid);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	return err;
}

static int parse_range(const char *text, struct ovlt_id_range *range)
{
	unsigned long long number[3];
	int end = -1;

	range->type = 'b';
	if (text[0] && strchr("ugb", text[0]) && text[1] == ':') {
		range->type = text[0];
		text += 2;
	}
	/* Digits only: scanf() would let signs and blanks pass. */
	if (text[strspn(text, "0123456789:")])
		return -EINVAL;
	if (sscanf(text, "%10llu:%10llu:%10llu%n", &number[0], &number[1],
		   &number[2], &end) != 3 ||
	    end < 0 || text[end])
		return -EINVAL;
	for (int i = 0; i < 3; i++)
		if (number[i] > UINT32_MAX)
			return -EINVAL;
	range->inner = number[0];
	range->outer = number[1];
	range->count = number[2];
	return 0;
}

/**
 * ovlt_userns_parse() - make or open a user namespace from text
 * @text: what mount(8) takes for X-mount.idmap=: the path of a user namespace,
 *	or "id-type:id-mount:id-host:id-range", several of them with spaces
 *	between; the type is u, g, or b, which may be left out
 *
 * Thread rules: any thread. Since: 0.1.
 *
 * Return: as ovlt_userns_open(); -EINVAL for text that doesn't parse.
 */
OVLT_EXPORT int ovlt_userns_parse(const char *text)
{
	struct ovlt_id_range *ranges = NULL;
	char *copy, *word, *rest = NULL;
	size_t nr = 0;
	int err = 0;

	if (text[0] == '/') {
		int fd = open(text, O_RDONLY | O_CLOEXEC);

		return fd < 0 ? -errno : fd;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, " ", &rest); word;
	     word = strtok_r(NULL, " ", &rest)) {
		void *more = reallocarray(ranges, nr + 1, sizeof(*ranges));

		if (!more) {
			err = -ENOMEM;
			goto out;
		}
		ranges = more;
		err = parse_range(word, &ranges[nr++]);
		if (err)
			goto out;
	}
	err = ovlt_userns_open(ranges, nr);
out:
	free(ranges);
	free(copy);
	return err;
}
