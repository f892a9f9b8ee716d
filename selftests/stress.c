// SPDX-License-Identifier: GPL-2.0
/*
 * Batches against everything else that changes a mount table, on the same few
 * mountpoints, for a bounded time. OVLT_SEED replays a run's choices, OVLT_SECONDS
 * makes it longer.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define NR_TARGETS 8
#define NR_CALLERS 4
#define NR_OTHERS 4
#define NR_PROCESSES (NR_CALLERS + NR_OTHERS)
#define MAX_BATCH 12

/* Shared by all processes */
struct tally {
	unsigned long attached;
	unsigned long refused;
	unsigned long canceled;
	unsigned long detached;
	unsigned long others;
	int bad_error;
	int bad_count;
};

FIXTURE(stress)
{
	struct ovlt_room room;
	struct tally *tally;
	time_t end;
	unsigned int seed;
	long mounts;
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

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static const char *const targets[NR_TARGETS] = {
	"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7",
};

FIXTURE_SETUP(stress)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	self->mounts = ovlt_slab_objects("mnt_cache");
	self->seed = number_from("OVLT_SEED", 20261124);
	self->end = now() + number_from("OVLT_SECONDS", 10);
	self->tally = mmap(NULL, sizeof(*self->tally), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->tally);
	TH_LOG("OVLT_SEED=%u", self->seed);
	for (int i = 0; i < NR_TARGETS; i++)
		ovlt_mkdir(targets[i]);
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

FIXTURE_TEARDOWN(stress)
{
	clean_room();
	mount(NULL, "/tmp", NULL, MS_PRIVATE, NULL);
	EXPECT_ROOM_CLEAN(&self->room);
	for (int ms = 0; ms < 20000 && ovlt_slab_objects("mnt_cache") > self->mounts; ms += 50)
		usleep(50000);
	EXPECT_GE(self->mounts, ovlt_slab_objects("mnt_cache"));
}

#define ADD(counter, nr) __atomic_fetch_add(&(counter), nr, __ATOMIC_RELAXED)

/* What can become of an entry when others move things under it */
static bool expected_error(int error)
{
	switch (error) {
	case 0:
	case -ECANCELED:
	case -ENOENT:		/* removed, or unmounted lazily */
	case -EINVAL:		/* not a mountpoint any more */
	case -EBUSY:
	case -ENOTDIR:
		return true;
	}
	return false;
}

static void count_results(struct tally *tally, const struct ovltree_result *results,
			  int nr, int ret, bool attach)
{
	int ok = 0;

	for (int i = 0; i < nr; i++) {
		if (!expected_error(results[i].error))
			tally->bad_error = results[i].error;
		ok += !results[i].error;
		if (results[i].error == -ECANCELED)
			ADD(tally->canceled, 1);
		else if (results[i].error)
			ADD(tally->refused, 1);
	}
	if (ret != ok)
		tally->bad_count = ret;
	if (attach)
		ADD(tally->attached, ok);
	else
		ADD(tally->detached, ok);
}

static void attach_some(int dev, struct tally *tally, unsigned int *seed)
{
	struct ovltree_attach entries[MAX_BATCH] = { };
	struct ovltree_result results[MAX_BATCH];
	struct ovltree_tree *tree = ovlt_simple_tree();
	int nr = 1 + rand_r(seed) % MAX_BATCH, fds[MAX_BATCH], ret;
	__u32 flags = rand_r(seed) % 2 ? OVLTREE_BATCH_ALL : 0;
	static const unsigned int propagation[] = {
		0, 0, 0, MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE,
	};

	for (int i = 0; i < nr; i++) {
		const char *target = targets[rand_r(seed) % NR_TARGETS];

		fds[i] = -1;
		entries[i] = ovlt_entry_tree(tree, target);
		entries[i].propagation =
			propagation[rand_r(seed) % ARRAY_SIZE(propagation)];
		/* Descriptors of what is being renamed and removed */
		if (rand_r(seed) % 2)
			fds[i] = open(target, O_PATH | O_CLOEXEC);
		if (fds[i] >= 0)
			entries[i].target = (struct ovltree_path) { .fd = fds[i] };
	}
	ret = ovlt_attach(dev, flags, entries, nr, results);
	if (ret < 0)
		tally->bad_error = ret;
	else
		count_results(tally, results, nr, ret, true);
	if (flags && ret > 0 && ret != nr)
		tally->bad_count = ret;
	for (int i = 0; i < nr; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free((void *)(uintptr_t)tree->lower);
	free(tree);
}

static void detach_some(int dev, struct tally *tally, unsigned int *seed)
{
	struct ovltree_detach entries[MAX_BATCH] = { };
	struct ovltree_result results[MAX_BATCH];
	int nr = 1 + rand_r(seed) % MAX_BATCH, ret;

	for (int i = 0; i < nr; i++) {
		const char *target = targets[rand_r(seed) % NR_TARGETS];
		__u32 flags = rand_r(seed) % 2 ? OVLTREE_DETACH_LAZY : 0;

		if (rand_r(seed) % 3)
			entries[i] = ovlt_entry_path(target, flags);
		else
			entries[i] = ovlt_entry_id(ovlt_mount_id(AT_FDCWD, target) ?: 1,
						   flags);
	}
	/* The room's own mount must stay: its id is what a bare folder has. */
	for (int i = 0; i < nr; i++)
		if (entries[i].mnt_id == ovlt_mount_id(AT_FDCWD, "/tmp"))
			entries[i].mnt_id = 1;
	ret = ovlt_detach(dev, entries, nr, results);
	if (ret < 0)
		tally->bad_error = ret;
	else
		count_results(tally, results, nr, ret, false);
}

static void call(int dev, struct tally *tally, unsigned int *seed)
{
	if (rand_r(seed) % 5 < 2)
		attach_some(dev, tally, seed);
	else
		detach_some(dev, tally, seed);
}

static void disturb(struct tally *tally, unsigned int *seed)
{
	const char *a = targets[rand_r(seed) % NR_TARGETS];
	const char *b = targets[rand_r(seed) % NR_TARGETS];
	static const unsigned long kinds[] = { MS_SHARED, MS_SLAVE, MS_PRIVATE };
	int mnt;

	switch (rand_r(seed) % 9) {
	case 0:
		mount("stress", a, "tmpfs", 0, NULL);
		break;
	case 1:
	case 2:
		umount2(a, MNT_DETACH);
		break;
	case 3:
		umount2(a, 0);
		break;
	case 4:
		rename(a, b);
		break;
	case 5:
		renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
		break;
	case 6:
		rmdir(a);
		break;
	case 7:
		mnt = ovlt_sys_open_tree("l0", 0);
		if (mnt >= 0) {
			ovlt_sys_move_mount(mnt, a);
			close(mnt);
		}
		break;
	case 8:
		mount(NULL, "peer", NULL, kinds[rand_r(seed) % 3], NULL);
		break;
	}
	mkdir(b, 0755);
	ADD(tally->others, 1);
}

static void start(int dev, struct tally *tally, unsigned int seed, time_t end, bool caller)
{
	if (fork())
		return;
	while (now() < end) {
		if (caller)
			call(dev, tally, &seed);
		else
			disturb(tally, &seed);
	}
	_exit(0);
}

TEST_F(stress, all_at_once)
{
	struct tally *tally = self->tally;
	int status;

	for (int i = 0; i < NR_PROCESSES; i++)
		start(self->room.dev, tally, self->seed + i, self->end, i < NR_CALLERS);
	for (int i = 0; i < NR_PROCESSES; i++) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}
	TH_LOG("%lu attached, %lu detached, %lu refused, %lu canceled, %lu by others",
	       tally->attached, tally->detached, tally->refused, tally->canceled,
	       tally->others);
	EXPECT_EQ(0, tally->bad_error);
	EXPECT_EQ(0, tally->bad_count);
	EXPECT_LT(0, tally->attached);
	EXPECT_LT(0, tally->detached);
	EXPECT_LT(0, tally->refused);
	EXPECT_LT(0, tally->canceled);
	EXPECT_LT(0, tally->others);
}

TEST_HARNESS_MAIN
