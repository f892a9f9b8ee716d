// SPDX-License-Identifier: GPL-2.0
/*
 * Everything that can be done to mounts, layer sets, requests and the module, at
 * once, for a bounded time, and then all is as it was. OVLT_SEED replays a run's
 * choices, OVLT_SECONDS makes each of the tests longer; what the workers do is in
 * workers/.
 */
#include "kselftest_harness.h"
#include "workers/workers.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define SETTLE_MS 20000
#define MIN_STEPS 10
#define ALL_DONE_SECONDS 60
/*
 * Names in /proc, /sys and cgroups that were looked up meanwhile stay known, as
 * long as something else holds them. A leak would be one a call, in thousands.
 */
#define SPARE_DENTRIES 256

static const struct {
	const struct stress_worker *worker;
	int nr;
} crew[] = {
	{ &stress_batches, 3 },
	{ &stress_table, 3 },
	{ &stress_layersets, 2 },
	{ &stress_queue, 2 },
	{ &stress_namespaces, 1 },
	{ &stress_daemon, 1 },
	{ &stress_module, 1 },
	{ &stress_kill, 1 },
	{ &stress_memory, 1 },
};

static const char *const names[STRESS_NR_OPS] = {
	[STRESS_OPEN]		= "open",
	[STRESS_ATTACH]		= "attach",
	[STRESS_DETACH]		= "detach",
	[STRESS_LAYERSET]	= "layer set",
	[STRESS_PASS]		= "pass layer set",
	[STRESS_RECEIVE]	= "receive layer set",
	[STRESS_SUBMIT]		= "submit",
	[STRESS_CANCEL]		= "cancel",
	[STRESS_DONE]		= "done",
	[STRESS_UNLOAD]		= "unload module",
	[STRESS_LOAD]		= "load module",
	[STRESS_DAEMON_KILL]	= "kill daemon",
	[STRESS_CGROUP_KILL]	= "kill cgroup",
	[STRESS_CGROUP_RMDIR]	= "remove cgroup",
	[STRESS_MEMORY]		= "take memory",
	[STRESS_MOUNT]		= "mount",
	[STRESS_UMOUNT]		= "umount",
	[STRESS_RENAME]		= "rename",
	[STRESS_RMDIR]		= "rmdir",
	[STRESS_BIND]		= "bind",
	[STRESS_PROPAGATION]	= "propagation",
	[STRESS_UNSHARE]	= "unshare",
	[STRESS_UNSHARE_USER]	= "unshare user",
	[STRESS_PIVOT_ROOT]	= "pivot_root",
	[STRESS_SETNS]		= "setns",
	[STRESS_ATTACH_NS]	= "attach elsewhere",
};

FIXTURE(stress)
{
	struct ovlt_room room;
	struct stress *stress;
	long mounts, inodes, dentries;
	int seconds;
};

FIXTURE_VARIANT(stress)
{
	bool shared;
};

FIXTURE_VARIANT_ADD(stress, private) { .shared = false };
FIXTURE_VARIANT_ADD(stress, shared) { .shared = true };

static unsigned int number_from(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/* Those that somebody uses, without what is only remembered. */
static long count_dentries(void)
{
	int fd = ovlt_open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (write(fd, "2", 1) != 1)
		ovlt_die("drop_caches");
	close(fd);
	return ovlt_slab_objects("dentry");
}

FIXTURE_SETUP(stress)
{
	ovlt_room_enter(&self->room);
	/* Who keeps it open keeps the module. */
	close(self->room.dev);
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ovlt_simple_layers();
	self->stress = mmap(NULL, sizeof(*self->stress), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->stress);
	self->stress->seed = number_from("OVLT_SEED", 20261124);
	self->seconds = number_from("OVLT_SECONDS", 10);
	ksft_print_msg("OVLT_SEED=%u OVLT_SECONDS=%d\n", self->stress->seed,
		       self->seconds);
	for (int i = 0; i < STRESS_TARGETS; i++)
		ovlt_mkdir(stress_targets[i]);
	self->mounts = ovlt_slab_objects("mnt_cache");
	self->inodes = ovlt_slab_objects("ovl_inode");
	self->dentries = count_dentries();
	if (variant->shared) {
		ASSERT_EQ(0, mount(NULL, "/tmp", NULL, MS_SHARED, NULL));
		ovlt_mkdir("/tmp/peer");
		ovlt_mount("/tmp", "/tmp/peer", NULL, MS_BIND, NULL);
	}
}

/* Whatever is mounted in the room, from the last one on. */
static void clean_room(void)
{
	char *text, *line;
	int found;

	do {
		found = 0;
		text = ovlt_mountinfo();
		while ((line = strsep(&text, "\n"))) {
			struct ovlt_mount *m;

			if (!*line)
				continue;
			m = ovlt_parse_mount(line);
			if (!strncmp(m->target, "/tmp/", 5)) {
				umount2(m->target, MNT_DETACH | UMOUNT_NOFOLLOW);
				found++;
			}
		}
	} while (found);
}

/* Namespaces and mounts go away in the background, after grace periods. */
static long settle(long (*count)(void), long aim)
{
	long now = count();

	for (int ms = 0; ms < SETTLE_MS && now > aim; ms += 100) {
		usleep(100000);
		now = count();
	}
	return now;
}

static long count_mounts(void)
{
	return ovlt_slab_objects("mnt_cache");
}

static long count_inodes(void)
{
	return ovlt_slab_objects("ovl_inode");
}

static long module_users(void)
{
	return atol(ovlt_read("/sys/module/ovltree/refcnt"));
}

FIXTURE_TEARDOWN(stress)
{
	/* What waits is committed when its time is up. */
	EXPECT_EQ(0, settle(stress_queued, 0));
	clean_room();
	mount(NULL, "/tmp", NULL, MS_PRIVATE, NULL);
	EXPECT_ROOM_CLEAN(&self->room);
	EXPECT_GE(self->mounts, settle(count_mounts, self->mounts));
	EXPECT_GE(self->inodes, settle(count_inodes, self->inodes));
	EXPECT_GE(self->dentries + SPARE_DENTRIES,
		  settle(count_dentries, self->dentries + SPARE_DENTRIES));
	ksft_print_msg("%ld dentries, %ld before\n", count_dentries(), self->dentries);
}

static pid_t start(struct stress *stress, int kind, unsigned int seed)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	stress_work(stress, crew[kind].worker, seed, MIN_STEPS);
	_exit(0);
}

static unsigned long total(const struct stress *stress, enum stress_op op)
{
	unsigned long sum = 0;

	for (int i = 0; i < STRESS_MAX_ERRNO; i++)
		sum += stress->counts[op][i];
	return sum;
}

static void print_counts(const struct stress *stress)
{
	for (int op = 0; op < STRESS_NR_OPS; op++) {
		char *line = ovlt_fmt("%s: %lu ok", names[op], stress->counts[op][0]);

		for (int i = 1; i < STRESS_MAX_ERRNO; i++) {
			char *longer;

			if (!stress->counts[op][i])
				continue;
			longer = ovlt_fmt("%s, %lu %s", line, stress->counts[op][i],
					  strerrorname_np(i));
			free(line);
			line = longer;
		}
		ksft_print_msg("%s\n", line);
		free(line);
	}
}

/* The time is bounded by OVLT_SECONDS; this is for what hangs. */
TEST_F_TIMEOUT(stress, all_at_once, 7200)
{
	struct stress *stress = self->stress;
	struct timespec now;
	int nr = 0, status;

	fflush(NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	stress->end = now.tv_sec + self->seconds;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, stress->sockets));
	for (int kind = 0; kind < (int)ARRAY_SIZE(crew); kind++)
		for (int i = 0; i < crew[kind].nr; i++)
			ASSERT_LT(0, start(stress, kind, stress->seed + nr++));
	while (nr--) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}
	/* With them goes what is in flight. */
	close(stress->sockets[0]);
	close(stress->sockets[1]);
	print_counts(stress);
	EXPECT_EQ(0, stress->bad_error)
		TH_LOG("%s: %s", names[stress->bad_op], strerror(-stress->bad_error));
	EXPECT_EQ(0, stress->bad_count);
	EXPECT_EQ(0, stress->bad_status);
	/* What needs that something else went well before takes its time to come. */
	for (int op = 0; op < STRESS_NR_OPS; op++) {
		EXPECT_TRUE(total(stress, op) || self->seconds < ALL_DONE_SECONDS ||
			    op == STRESS_LOAD || op == STRESS_UNLOAD)
			TH_LOG("%s was never done", names[op]);
	}
	EXPECT_LT(0, total(stress, STRESS_SUBMIT));
	EXPECT_LT(0, total(stress, STRESS_UNSHARE));
	EXPECT_LT(0, total(stress, STRESS_CGROUP_KILL));
	EXPECT_LT(0, stress->counts[STRESS_ATTACH][0]);
	EXPECT_LT(0, stress->counts[STRESS_ATTACH][ECANCELED]);
	EXPECT_LT(0, stress->counts[STRESS_DETACH][0]);
}

/* After all that: nobody uses the module, and it can go and come back. */
TEST_F(stress, module_is_free)
{
	for (int ms = 0; ms < SETTLE_MS && module_users(); ms += 100)
		usleep(100000);
	EXPECT_EQ(0, module_users());
	if (access("/lib/modules/ovltree.ko", R_OK))
		SKIP(return, "no module that could be loaded again");
	EXPECT_EQ(0, stress_module_unload());
	EXPECT_EQ(0, stress_module_load());
}

TEST_HARNESS_MAIN
