// SPDX-License-Identifier: GPL-2.0
/*
 * Layers, containers and their user namespaces, in a mount namespace of our
 * own; and whether they look as they should.
 */
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROOT "/tmp/bench"
#define FIRST_ID 100000
#define IDS 65536
#define DATA_FILES 2
#define DATA_SIZE 65536

void *allocate(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p)
		err(1, "calloc");
	return p;
}

/* Memory that processes see alike; zeroed, and unmapped by the caller. */
void *allocate_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

char *format(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		err(1, "vasprintf");
	va_end(args);
	return text;
}

static char *make_folder(char *path)
{
	if (mkdir(path, 0755))
		err(1, "mkdir %s", path);
	return path;
}

static char *make_file(char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		err(1, "create %s", path);
	close(fd);
	return path;
}

static void write_file(char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err(1, "write %s", path);
	close(fd);
	free(path);
}

static char *read_mount_table(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *text = NULL;
	size_t size = 0;

	if (!file || getdelim(&text, &size, '\0', file) < 0)
		err(1, "/proc/self/mountinfo");
	fclose(file);
	return text;
}

static int open_userns(uid_t base)
{
	char *map = format("0 %u %u", base, IDS);
	char *path;
	int ready[2];
	char byte;
	pid_t pid;
	int fd;

	if (pipe2(ready, O_CLOEXEC))
		err(1, "pipe2");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		if (unshare(CLONE_NEWUSER) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		errx(1, "can't make a user namespace");
	close(ready[0]);

	write_file(format("/proc/%d/uid_map", pid), map);
	write_file(format("/proc/%d/gid_map", pid), map);
	path = format("/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "open %s", path);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	free(path);
	free(map);
	return fd;
}

static void make_root(const char *filesystem, const char *device)
{
	if (unshare(CLONE_NEWNS))
		err(1, "unshare");
	if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		err(1, "make / private");
	mkdir("/tmp", 01777);
	mkdir(ROOT, 0755);
	if (mount(device ? device : "bench", ROOT, filesystem, 0,
		  device ? NULL : "size=75%,mode=755"))
		err(1, "mount " ROOT);
}

/* Something to read. */
static void make_data(unsigned int layer)
{
	static const char zeroes[DATA_SIZE];
	unsigned int i;
	char *path;
	FILE *file;

	for (i = 0; i < DATA_FILES; i++) {
		path = format(ROOT "/layers/%u/fs/data-%u-%u", layer, layer, i);
		file = fopen(path, "wxe");
		if (!file || fwrite(zeroes, DATA_SIZE, 1, file) != 1 ||
		    fclose(file))
			err(1, "write %s", path);
		free(path);
	}
}

static void make_layers(struct world *world)
{
	unsigned int i;

	world->parent = make_folder(format(ROOT "/layers"));
	world->layers = allocate(world->nr_layers, sizeof(char *));
	for (i = 0; i < world->nr_layers; i++) {
		world->layers[i] = format("%u/fs", i);
		free(make_folder(format(ROOT "/layers/%u", i)));
		free(make_folder(format(ROOT "/layers/%u/fs", i)));
		free(make_file(format(ROOT "/layers/%u/fs/file", i)));
		free(make_file(format(ROOT "/layers/%u/fs/file-%u", i, i)));
		make_data(i);
	}
}

static void make_container(struct container *c, unsigned int i)
{
	c->base = FIRST_ID + i * IDS;
	c->userns = open_userns(c->base);
	free(make_folder(format(ROOT "/containers/%u", i)));
	c->upper = make_folder(format(ROOT "/containers/%u/upper", i));
	c->work = make_folder(format(ROOT "/containers/%u/work", i));
	c->target = make_folder(format(ROOT "/containers/%u/merged", i));
}

static void make_temp(struct world *world)
{
	unsigned int i, j;

	world->temp = allocate(world->max_threads, sizeof(char *));
	for (i = 0; i < world->max_threads; i++) {
		world->temp[i] = make_folder(format(ROOT "/temp/%u", i));
		for (j = 0; j < world->nr_layers; j++)
			free(make_folder(format(ROOT "/temp/%u/%u", i, j)));
	}
}

/* On a tmpfs, or on the ext4 of a device. */
void world_create(struct world *world, const char *device)
{
	/* A user namespace and a detached mount a container. */
	const unsigned int nr = world->nr_containers + NR_REFERENCE;
	const rlim_t files = 2 * nr + 256;
	const struct rlimit limit = { files, files };
	unsigned int i;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
	umask(0);
	world->filesystem = device ? "ext4" : "tmpfs";
	make_root(world->filesystem, device);
	make_layers(world);

	free(make_folder(format(ROOT "/containers")));
	world->containers = allocate(nr, sizeof(*world->containers));
	world->reference = &world->containers[world->nr_containers];
	for (i = 0; i < nr; i++)
		make_container(&world->containers[i], i);

	free(make_folder(format(ROOT "/temp")));
	make_temp(world);
	world->bystander = make_file(format(ROOT "/bystander"));
	world->mount_table = read_mount_table();
}

static void expect_file(const struct container *c, unsigned int layer,
			uid_t owner)
{
	char *path = format("%s/file-%u", c->target, layer);
	struct stat st;

	if (stat(path, &st))
		err(1, "stat %s", path);
	if (st.st_uid != owner || st.st_gid != owner)
		errx(1, "%s is owned by %u:%u instead of %u:%u", path,
		     st.st_uid, st.st_gid, owner, owner);
	free(path);
}

/* Each container shows its uppermost and its last layer, owned as it expects. */
void world_expect_attached(const struct world *world, bool idmapped)
{
	unsigned int i;

	for (i = 0; i < world->nr_containers; i++) {
		const struct container *c = &world->containers[i];
		uid_t owner = idmapped ? c->base : 0;

		expect_file(c, 0, owner);
		expect_file(c, world->nr_layers - 1, owner);
	}
}

void world_expect_detached(const struct world *world)
{
	char *table = read_mount_table();

	if (strcmp(table, world->mount_table))
		errx(1, "the mount table is not what it was:\n%s", table);
	free(table);
}
