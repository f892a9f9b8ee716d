// SPDX-License-Identifier: GPL-2.0
/*
 * demo - containers of a real image, attached and detached with one ioctl each
 *
 * usage: demo DEVICE CONTAINERS
 *
 * DEVICE has the file system that scripts/make-image makes. Each container gets
 * a range of ids, an upper and a work folder on a tmpfs, and a target. At the
 * end the peers of the benchmark do the same work.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libovltree.h>

#include "../bench/bench.h"

#define IMAGE "/image"
#define ROOT "/tmp/demo"
#define FIRST_ID 100000
#define IDS 65536

struct cost {
	double seconds;
	uint64_t syscalls;
};

static struct ovlt_ctx *ctx;
static int counter;

static void check(int error, const char *what)
{
	if (error < 0)
		errx(1, "%s: %s", what, strerror(-error));
}

static char *make_folder(char *path)
{
	if (mkdir(path, 0755))
		err(1, "mkdir %s", path);
	return path;
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file || getdelim(&text, &size, '\0', file) < 0)
		err(1, "%s", path);
	fclose(file);
	return text;
}

static unsigned int count_lines(const char *text)
{
	unsigned int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

/* The tracepoint that each system call of ours passes. */
static void open_counter(void)
{
	char *id = read_file("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id");
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = strtoul(id, NULL, 10),
		.disabled = 1,
	};

	counter = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (counter < 0)
		err(1, "perf_event_open");
	free(id);
}

/* Returns when. */
static uint64_t start(void)
{
	ioctl(counter, PERF_EVENT_IOC_RESET, 0);
	ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
	return now_ns();
}

static void stop(struct cost *cost, uint64_t started)
{
	cost->seconds = seconds_since(started);
	ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
	if (read(counter, &cost->syscalls, sizeof(cost->syscalls)) != sizeof(cost->syscalls))
		err(1, "counted system calls");
	cost->syscalls--;	/* that of stopping */
}

static void open_image(struct world *world, const char *device)
{
	char *order, *rest, *line;

	make_folder(IMAGE);
	if (mount(device, IMAGE, "ext4", MS_RDONLY, NULL))
		err(1, "mount %s", device);
	world->parent = IMAGE "/layers";
	order = read_file(IMAGE "/lower");
	rest = order;
	world->layers = allocate(count_lines(order), sizeof(char *));
	while ((line = strsep(&rest, "\n")) && *line)
		world->layers[world->nr_layers++] = strrchr(line, '/') + 1;
}

static void make_container(struct container *c, unsigned int i)
{
	struct ovlt_id_range ids = { .type = 'b', .outer = FIRST_ID + i * IDS, .count = IDS };

	c->base = ids.outer;
	c->userns = ovlt_userns_open(&ids, 1);
	check(c->userns, "a user namespace");
	free(make_folder(format(ROOT "/%u", i)));
	c->upper = make_folder(format(ROOT "/%u/upper", i));
	c->work = make_folder(format(ROOT "/%u/work", i));
	c->target = make_folder(format(ROOT "/%u/root", i));
	if (chown(c->upper, c->base, c->base))
		err(1, "chown %s", c->upper);
}

/* The peers need a temporary folder, too, with one in it for each layer. */
static void make_containers(struct world *world)
{
	const struct rlimit limit = { 65536, 65536 };
	unsigned int i;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
	make_folder(ROOT);
	world->containers = allocate(world->nr_containers, sizeof(*world->containers));
	for (i = 0; i < world->nr_containers; i++)
		make_container(&world->containers[i], i);
	world->temp = allocate(1, sizeof(char *));
	world->temp[0] = make_folder(format(ROOT "/temp"));
	for (i = 0; i < world->nr_layers; i++)
		free(make_folder(format(ROOT "/temp/%u", i)));
	world->mount_table = read_file("/proc/self/mountinfo");
}

static void describe(const struct world *world)
{
	struct ovlt_info info;

	check(ovlt_ctx_get_info(ctx, &info, sizeof(info)), "ovltree");
	printf("%u containers of an image with %u layers, each of them a Debian package.\n",
	       world->nr_containers, world->nr_layers);
	printf("Each has %u ids of its own, an upper and a work folder. Backend: %s.\n\n",
	       IDS, info.backend);
}

static struct ovlt_tree *make_tree(const struct world *world, const struct container *c)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	unsigned int i;

	if (!tree)
		err(1, "ovlt_tree_new");
	for (i = 0; i < world->nr_layers; i++) {
		char *path = format("%s/%s", world->parent, world->layers[i]);

		check(ovlt_tree_add_lower(tree, AT_FDCWD, path, 0), path);
		free(path);
	}
	check(ovlt_tree_set_upper(tree, AT_FDCWD, c->upper, 0), c->upper);
	check(ovlt_tree_set_work(tree, AT_FDCWD, c->work, 0), c->work);
	check(ovlt_tree_set_userns(tree, c->userns), "user namespace");
	return tree;
}

static struct ovlt_batch *new_batch(unsigned int flags)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, flags);

	if (!batch)
		err(1, "ovlt_batch_new");
	return batch;
}

static void expect_success(const struct ovlt_batch *batch, int failed, const char *what)
{
	unsigned int i;

	check(failed, what);
	for (i = 0; i < ovlt_batch_get_nr(batch); i++) {
		const struct ovlt_result *result = ovlt_batch_get_result(batch, i);

		if (result->error)
			errx(1, "%s: container %u: %s %s", what, i, strerror(-result->error),
			     result->message);
	}
}

static void attach(const struct world *world, struct cost *cost)
{
	struct ovlt_batch *batch = new_batch(OVLT_ALL);
	uint64_t started, hold_ns;
	unsigned int i;
	char *table;
	int failed;

	for (i = 0; i < world->nr_containers; i++) {
		const struct container *c = &world->containers[i];
		struct ovlt_tree *tree = make_tree(world, c);

		check(ovlt_batch_add_tree(batch, tree, AT_FDCWD, c->target, 0), c->target);
		ovlt_tree_unref(tree);
	}
	started = start();
	failed = ovlt_batch_attach(batch);
	stop(cost, started);
	expect_success(batch, failed, "attach");
	ovlt_batch_get_times(batch, NULL, &hold_ns);
	ovlt_batch_unref(batch);

	table = read_file("/proc/self/mountinfo");
	printf("Attached with one ioctl in %.3f s; system calls in all: %lu. The mount table was\n"
	       "locked for %.3f s of it; it had %u lines and has %u now.\n\n",
	       cost->seconds, cost->syscalls, hold_ns / 1e9, count_lines(world->mount_table),
	       count_lines(table));
	free(table);
}

static void detach(const struct world *world, struct cost *cost)
{
	struct ovlt_batch *batch = new_batch(0);
	uint64_t started;
	unsigned int i;
	char *table;
	int failed;

	for (i = 0; i < world->nr_containers; i++)
		check(ovlt_batch_add_target(batch, AT_FDCWD, world->containers[i].target, 0),
		      "target");
	started = start();
	failed = ovlt_batch_detach(batch);
	stop(cost, started);
	expect_success(batch, failed, "detach");
	ovlt_batch_unref(batch);

	table = read_file("/proc/self/mountinfo");
	if (strcmp(table, world->mount_table))
		errx(1, "the mount table is not what it was:\n%s", table);
	printf("Detached with one ioctl in %.3f s; system calls in all: %lu. The mount table is\n"
	       "what it was.\n\n", cost->seconds, cost->syscalls);
	free(table);
}

static void __attribute__((noreturn)) enter(const struct container *c, const char *script)
{
	if (setns(c->userns, CLONE_NEWUSER) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		err(1, "user namespace");
	if (chroot(c->target) || chdir("/"))
		err(1, "chroot %s", c->target);
	execle("/bin/bash", "bash", "-c", script, NULL, (char *[]){ "PATH=/usr/bin", NULL });
	err(1, "exec bash");
}

static void run_inside(const struct container *c, const char *script)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		enter(c, script);
	if (waitpid(pid, &status, 0) != pid || status)
		errx(1, "%s: the program failed", c->target);
}

static void show_owner(const char *who, char *path)
{
	struct stat st;

	if (lstat(path, &st))
		err(1, "%s", path);
	printf("  %s%u:%u owns %s\n", who, st.st_uid, st.st_gid, path);
	free(path);
}

static void visit(const struct world *world, unsigned int i)
{
	const struct container *c = &world->containers[i];

	printf("In container %u:\n", i);
	run_inside(c, "read -r issue </etc/issue; echo \"  $(whoami) at $(type -p bash): $issue\"\n"
		      "python3 -c 'import os, sqlite3, sys\n"
		      "files = sum(len(f) for _, _, f in os.walk(\"/\"))\n"
		      "print(\"  python\", sys.version.split()[0], \"finds\", files, \"files\")'\n"
		      "stat -c '  %U:%G owns %n' /usr/bin/su\n"
		      "echo written in a container >/root/hello\n"
		      "stat -c '  %U:%G owns the new %n' /root/hello\n");
	printf("and on the host:\n");
	show_owner("", format("%s/usr/bin/su", c->target));
	show_owner("", format("%s/root/hello", c->upper));
	printf("\n");
}

static void print_row(const char *name, const struct cost *attach, const struct cost *detach)
{
	printf("%-46s %6.3f s %7lu %9.3f s %7lu\n", name, attach->seconds, attach->syscalls,
	       detach->seconds, detach->syscalls);
}

static void run_peer(const struct world *world, const struct peer *peer, const char *name)
{
	const struct share share = {
		.world = world,
		.containers = world->containers,
		.nr = world->nr_containers,
		.temp = world->temp[0],
	};
	struct cost attach, detach;
	uint64_t started;

	started = start();
	peer->attach(&share);
	stop(&attach, started);
	started = start();
	peer->detach(&share);
	stop(&detach, started);
	print_row(name, &attach, &detach);
}

int main(int argc, char **argv)
{
	struct world world = { .max_threads = 1 };
	struct cost attached, detached;

	if (argc != 3)
		errx(2, "usage: demo DEVICE CONTAINERS");
	world.nr_containers = strtoul(argv[2], NULL, 10);
	ctx = ovlt_ctx_new();
	if (!ctx)
		err(1, "ovlt_ctx_new");
	/* All of it in one ioctl: several threads would prepare the mounts before. */
	ovlt_ctx_set_threads(ctx, 1);
	/* The peers count here, too. */
	tally = allocate_shared(sizeof(*tally));
	setlinebuf(stdout);
	umask(022);

	open_counter();
	open_image(&world, argv[1]);
	make_containers(&world);
	describe(&world);

	attach(&world, &attached);
	visit(&world, 0);
	visit(&world, world.nr_containers / 2);
	detach(&world, &detached);

	printf("%-46s %8s %7s %11s %7s\n", "The same work in other ways:", "attach", "calls",
	       "detach", "calls");
	print_row("ovltree, one ioctl each", &attached, &detached);
	run_peer(&world, &peer_common_parent, "common parent idmapped once (containerd 2.2)");
	run_peer(&world, &peer_per_layer, "each layer idmapped (containerd 2.1)");

	umount(IMAGE);
	ovlt_ctx_unref(ctx);
	return 0;
}
