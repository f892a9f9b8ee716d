// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1 of the virtual machine: runs programs, looks for what they left behind
 * and says, last of all, whether the machine is clean.
 *
 * All of it goes through the virtio port org.ovltree.tap, which is also the
 * programs' standard output and error, so that the order is kept:
 *
 *	# run NAME
 *	...			the program's own words
 *	# exit NAME STATUS	after a line end; 128 + N for a signal, 124 for
 *				a program that ran out of time
 *	# leak NAME WHAT	for each thing that NAME left behind
 *	verdict: pass		or fail; a run without a verdict has failed too
 *
 * What a program writes to /dev/out goes to the port org.ovltree.out, that is
 * to a file of the host.
 *
 * The programs are in /programs: for each the number of its arguments, then
 * the arguments, all of them NUL-terminated. The environment comes from the
 * kernel's command line; OVLTREE_TIMEOUT is the seconds that a program gets.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define MODULE "/lib/modules/ovltree.ko"
#define BOOT_MODULES "/lib/modules/boot"
#define KMEMLEAK "/sys/kernel/debug/kmemleak"

/* Objects of these caches must be as many as before, once things settle. */
static const char *const slabs[] = {
	"mnt_cache", "ovl_inode", "user_namespace",
};

#define NR_SLABS ARRAY_SIZE(slabs)
#define SETTLE_MS 10000

struct inventory {
	char *mounts;
	long objects[NR_SLABS];
};

static int tap = STDERR_FILENO;
static bool clean = true;

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(tap, format, args);
	va_end(args);
}

/* Without a verdict: that is a failure for the host. */
static void __attribute__((noreturn)) die(const char *what)
{
	say("# init: %s: %m\n", what);
	reboot(RB_AUTOBOOT);
	abort();
}

static void nap(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* The whole file with a NUL behind it, or NULL where there is none. */
static char *read_file(const char *path, size_t *size)
{
	size_t used = 0, room = 0;
	char *text = NULL;
	ssize_t got;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	do {
		if (room - used < 4096) {
			room = 2 * room + 8192;
			text = realloc(text, room);
			if (!text)
				die(path);
		}
		got = read(fd, text + used, room - used - 1);
		if (got < 0)
			die(path);
		used += got;
	} while (got > 0);
	close(fd);
	text[used] = '\0';
	if (size)
		*size = used;
	return text;
}

static bool write_file(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	bool written;
	int fd;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, text, len) == len;
	close(fd);
	return written;
}

/*
 * The initramfs is the one root that can't be pivoted away from. Tests do as
 * container runtimes do, and a runtime's host has left its initramfs.
 */
static void leave_rootfs(void)
{
	if (mount("/", "/mnt", NULL, MS_BIND, NULL) || chdir("/mnt") ||
	    mount(".", "/", NULL, MS_MOVE, NULL) || chroot("."))
		die("leaving the initramfs");
}

static void mount_filesystems(void)
{
	static const struct {
		const char *type;
		const char *target;
		bool optional;
	} table[] = {
		{ "devtmpfs", "/dev" },
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "tmpfs", "/tmp" },
		{ "tmpfs", "/run" },
		{ "tmpfs", "/dev/shm" },
		{ "devpts", "/dev/pts" },
		{ "cgroup2", "/sys/fs/cgroup" },
		{ "tracefs", "/sys/kernel/tracing" },
		{ "debugfs", "/sys/kernel/debug", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		mkdir(table[i].target, 0755);
		if (mount(table[i].type, table[i].target, table[i].type, 0, NULL) &&
		    !table[i].optional)
			die(table[i].target);
	}
	chmod("/tmp", 01777);
	symlink("/proc/self/fd", "/dev/fd");
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids");
}

static bool find_port(const char *name, char *device, size_t size)
{
	static const char folder[] = "/sys/class/virtio-ports";
	bool found = false;
	struct dirent *entry;
	DIR *dir;

	dir = opendir(folder);
	while (dir && !found && (entry = readdir(dir))) {
		char path[512], *text;

		snprintf(path, sizeof(path), "%s/%s/name", folder, entry->d_name);
		text = read_file(path, NULL);
		if (text && !strncmp(text, name, strlen(name))) {
			snprintf(device, size, "/dev/%s", entry->d_name);
			found = true;
		}
		free(text);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* The kernel learns of the ports a moment after it has started PID 1. */
static void open_ports(void)
{
	char device[512];

	for (int tries = 0; !find_port("org.ovltree.tap", device, sizeof(device)); tries++) {
		if (tries == 100)
			die("no port org.ovltree.tap");
		nap(100);
	}
	tap = open(device, O_WRONLY | O_CLOEXEC);
	if (tap < 0) {
		tap = STDERR_FILENO;
		die(device);
	}
	if (find_port("org.ovltree.out", device, sizeof(device)))
		symlink(device, "/dev/out");
}

/* Shrinking hands back what CPUs and KASAN's quarantine keep of freed objects. */
static long count_objects(const char *slab)
{
	char path[128], *text;
	long objects;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", slab);
	write_file(path, "1");
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", slab);
	text = read_file(path, NULL);
	if (!text)
		die(path);
	objects = strtol(text, NULL, 10);
	free(text);
	return objects;
}

static void take_inventory(struct inventory *now)
{
	free(now->mounts);
	now->mounts = read_file("/proc/self/mountinfo", NULL);
	if (!now->mounts)
		die("mountinfo");
	for (size_t i = 0; i < NR_SLABS; i++)
		now->objects[i] = count_objects(slabs[i]);
}

static bool same_inventory(const struct inventory *a, const struct inventory *b)
{
	return !strcmp(a->mounts, b->mounts) &&
	       !memcmp(a->objects, b->objects, sizeof(a->objects));
}

/* Says which of the @lines aren't among the @others; ten of them tell enough. */
static void report_mounts(const char *name, const char *what, const char *lines,
			  const char *others)
{
	char *copy = strdup(lines), *rest = copy, *line;
	int nr = 0;

	while ((line = strsep(&rest, "\n")))
		if (*line && !strstr(others, line) && ++nr <= 10)
			say("# leak %s %s: %.100s\n", name, what, line);
	if (nr > 10)
		say("# leak %s %s: and %d more\n", name, what, nr - 10);
	free(copy);
}

static void report_difference(const char *name, const struct inventory *before,
			      const struct inventory *after)
{
	clean = false;
	for (size_t i = 0; i < NR_SLABS; i++)
		if (before->objects[i] != after->objects[i])
			say("# leak %s %s: %ld objects, %ld before\n", name, slabs[i],
			    after->objects[i], before->objects[i]);
	report_mounts(name, "mount left", after->mounts, before->mounts);
	report_mounts(name, "mount gone", before->mounts, after->mounts);
}

/*
 * Namespaces and mounts go away in the background, after grace periods. What
 * is still there in the end is held against @name only, not against those that
 * come after.
 */
static void check_inventory(const char *name, struct inventory *before)
{
	struct inventory now = {};

	for (int ms = 0; ms < SETTLE_MS; ms += 50) {
		take_inventory(&now);
		if (same_inventory(before, &now))
			goto out;
		nap(50);
	}
	report_difference(name, before, &now);
out:
	free(before->mounts);
	*before = now;
}

static bool insert_module(const char *path)
{
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (syscall(SYS_finit_module, fd, "", 0))
		die(path);
	close(fd);
	return true;
}

/* What a kernel that isn't ours has not built in, in the order of the names. */
static void load_boot_modules(void)
{
	struct dirent **entries;
	int nr;

	nr = scandir(BOOT_MODULES, &entries, NULL, alphasort);
	for (int i = 0; i < nr; i++) {
		char path[512];

		snprintf(path, sizeof(path), BOOT_MODULES "/%s", entries[i]->d_name);
		if (*entries[i]->d_name != '.' && !insert_module(path))
			die(path);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
}

static void unload_module(void)
{
	if (!syscall(SYS_delete_module, "ovltree", O_NONBLOCK) || errno == ENOENT)
		return;
	clean = false;
	say("# leak module ovltree can't be unloaded: %m\n");
}

static void __attribute__((noreturn)) become(char **argv)
{
	sigset_t none;
	char *path;
	int null;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	null = open("/dev/null", O_RDONLY);
	dup2(null, STDIN_FILENO);
	dup2(tap, STDOUT_FILENO);
	dup2(tap, STDERR_FILENO);
	close(null);
	path = strdup(argv[0]);
	if (chdir(*path == '/' ? dirname(path) : "/"))
		die(path);
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %m\n", argv[0]);
	_exit(127);
}

/* The exit status as a shell tells it, or -1 while @pid still runs. */
static int try_reap(pid_t pid)
{
	int status;
	pid_t got;

	while ((got = waitpid(-1, &status, WNOHANG)) > 0)
		if (got == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) :
						   128 + WTERMSIG(status);
	return -1;
}

static int wait_for(pid_t pid, int seconds)
{
	struct timespec start, now;
	sigset_t child;
	int status;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((status = try_reap(pid)) < 0) {
		sigtimedwait(&child, NULL, &(struct timespec){ 1, 0 });
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > seconds)
			return 124;
	}
	return status;
}

static void kill_all(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static int run_program(char **argv, const char *name, int seconds)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		become(argv);
	status = wait_for(pid, seconds);
	kill_all();
	say("\n# exit %s %d\n", name, status);
	return status;
}

static void run_programs(struct inventory *before)
{
	const char *timeout = getenv("OVLTREE_TIMEOUT");
	size_t size;
	char *list, *at;

	list = read_file("/programs", &size);
	if (!list)
		die("/programs");
	for (at = list; at < list + size; ) {
		int argc = atoi(at);
		char *argv[argc + 1], *name;

		for (int i = 0; i < argc; i++)
			argv[i] = at += strlen(at) + 1;
		argv[argc] = NULL;
		at += strlen(at) + 1;

		name = basename(argv[0]);
		say("# run %s\n", name);
		run_program(argv, name, timeout ? atoi(timeout) : 600);
		check_inventory(name, before);
	}
	free(list);
}

/* What was allocated until now, by the kernel's own start, is no concern. */
static void clear_kmemleak(void)
{
	write_file(KMEMLEAK, "clear");
}

/*
 * kmemleak reports what is older than five seconds and was found unreferenced
 * with the same content by two scans.
 */
static void check_kmemleak(void)
{
	char *report, *rest, *line;

	if (access(KMEMLEAK, F_OK))
		return;
	nap(5500);
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "scan");
	report = read_file(KMEMLEAK, NULL);
	rest = report;
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		clean = false;
		say("# leak kmemleak %s\n", line);
	}
	free(report);
}

static void say_verdict(void)
{
	say("verdict: %s\n", clean ? "pass" : "fail");
	reboot(RB_AUTOBOOT);
}

int main(void)
{
	struct inventory before = {};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 0);

	leave_rootfs();
	mount_filesystems();
	open_ports();
	load_boot_modules();
	clear_kmemleak();
	take_inventory(&before);
	insert_module(MODULE);
	run_programs(&before);
	unload_module();
	check_inventory("ovltree", &before);
	check_kmemleak();
	say_verdict();
}
