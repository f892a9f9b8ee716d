// SPDX-License-Identifier: GPL-2.0
/*
 * Many mounts at once: in their order as if one by one, together or not at all,
 * and on mountpoints that aren't any more what they were.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define MANY 1024

/* A mount whose file "name" tells which one it is. */
static struct ovltree_tree *named_tree(const char *name)
{
	struct ovltree_tree *tree = ovlt_alloc(sizeof(*tree));

	ovlt_write(ovlt_fmt("layers/%s/name", name), name);
	ovlt_mkdir(ovlt_fmt("layers/%s/d", name));
	ovlt_write("layers/base/d/e/base", "base");
	ovlt_tree_lowers(tree, ovlt_fmt("layers/%s", name), "layers/base", NULL);
	return tree;
}

static struct ovltree_attach named_entry(const char *name, const char *target)
{
	return ovlt_entry_tree(named_tree(name), target);
}

static const char *name_at(const char *target)
{
	return ovlt_read(ovlt_fmt("%s/name", target));
}

/*
 * Sizes
 */

FIXTURE(size)
{
	struct ovlt_room room;
	struct ovltree_attach *attach;
	struct ovltree_detach *detach;
	struct ovltree_result *results;
	struct ovltree_tree *tree;
	unsigned int before;
};

FIXTURE_VARIANT(size)
{
	unsigned int nr;
	__u32 flags;
};

FIXTURE_VARIANT_ADD(size, one) { .nr = 1 };
FIXTURE_VARIANT_ADD(size, two) { .nr = 2 };
FIXTURE_VARIANT_ADD(size, hundred) { .nr = 100 };
FIXTURE_VARIANT_ADD(size, one_all) { .nr = 1, .flags = OVLTREE_BATCH_ALL };
FIXTURE_VARIANT_ADD(size, hundred_all) { .nr = 100, .flags = OVLTREE_BATCH_ALL };
#ifndef OVLT_LAYERSET
/* Where the layers come from is one thing, how many mounts there are another. */
FIXTURE_VARIANT_ADD(size, thousand) { .nr = 1000 };
FIXTURE_VARIANT_ADD(size, limit) { .nr = MANY };
FIXTURE_VARIANT_ADD(size, thousand_all) { .nr = 1000, .flags = OVLTREE_BATCH_ALL };
#endif

FIXTURE_SETUP(size)
{
	struct rlimit files = { MANY + 100, MANY + 100 };

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	self->tree = ovlt_simple_tree();
	self->attach = ovlt_alloc(variant->nr * sizeof(*self->attach));
	self->detach = ovlt_alloc(variant->nr * sizeof(*self->detach));
	self->results = ovlt_alloc(variant->nr * sizeof(*self->results));
	for (int i = 0; i < variant->nr; i++) {
		const char *target = ovlt_fmt("t/%d", i);

		ovlt_mkdir(target);
		self->attach[i] = ovlt_entry_tree(self->tree, target);
		self->detach[i] = ovlt_entry_path(target, 0);
	}
	self->before = ovlt_count_mounts();
}

FIXTURE_TEARDOWN(size)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

static void expect_attached(struct __test_metadata *_metadata,
			    const struct ovltree_result *results, unsigned int nr)
{
	for (int i = 0; i < nr; i++) {
		const char *target = ovlt_fmt("t/%d", i);
		struct stat st;

		EXPECT_RESULT_OK(results[i]);
		ASSERT_EQ(ovlt_mount_id(AT_FDCWD, target), results[i].mnt_id);
		ASSERT_EQ(0, stat(target, &st));
		ASSERT_EQ(major(st.st_dev), results[i].dev_major);
		ASSERT_EQ(minor(st.st_dev), results[i].dev_minor);
		ASSERT_STREQ("upper\n", ovlt_read(ovlt_fmt("%s/f", target)));
	}
}

TEST_F(size, trees)
{
	ASSERT_EQ(variant->nr, ovlt_attach(self->room.dev, variant->flags, self->attach,
					   variant->nr, self->results));
	EXPECT_EQ(self->before + variant->nr, ovlt_count_mounts());
	expect_attached(_metadata, self->results, variant->nr);
	EXPECT_EQ(variant->nr, ovlt_detach(self->room.dev, self->detach, variant->nr,
					   self->results));
	for (int i = 0; i < variant->nr; i++)
		EXPECT_RESULT_OK(self->results[i]);
}

TEST_F(size, prepared)
{
	int fds[MANY];

	for (int i = 0; i < variant->nr; i++)
		self->attach[i].target = (struct ovltree_path) { };
	ASSERT_EQ(variant->nr, ovlt_prepare(self->room.dev,
					    variant->flags | OVLTREE_BATCH_CLOEXEC,
					    self->attach, variant->nr, self->results));
	EXPECT_EQ(self->before, ovlt_count_mounts());
	for (int i = 0; i < variant->nr; i++) {
		EXPECT_RESULT_OK(self->results[i]);
		EXPECT_EQ(0, self->results[i].mnt_id);
		fds[i] = self->results[i].fd;
		ASSERT_EQ(FD_CLOEXEC, fcntl(fds[i], F_GETFD));
		self->attach[i] = ovlt_entry_mount(fds[i], ovlt_fmt("t/%d", i));
	}
	ASSERT_EQ(variant->nr, ovlt_attach(self->room.dev, variant->flags, self->attach,
					   variant->nr, self->results));
	expect_attached(_metadata, self->results, variant->nr);
	for (int i = 0; i < variant->nr; i++) {
		EXPECT_EQ(ovlt_mount_id(fds[i], ""), self->results[i].mnt_id);
		EXPECT_EQ(-1, self->results[i].fd);
		/* Closing it doesn't unmount what is attached now. */
		EXPECT_EQ(0, close(fds[i]));
	}
	EXPECT_EQ(self->before + variant->nr, ovlt_count_mounts());
	EXPECT_EQ(variant->nr, ovlt_detach(self->room.dev, self->detach, variant->nr,
					   self->results));
}

/* Poll the mount table in a process of its own, which returns how often it woke. */
static int count_events(int *stop)
{
	struct pollfd fds[2] = { { .events = POLLPRI }, { .events = POLLIN } };
	int pipes[2], ready[2], events = 0;
	char byte;

	if (pipe(pipes) || pipe(ready))
		ovlt_die("pipe");
	*stop = pipes[1];
	if (fork()) {
		close(pipes[0]);
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			ovlt_die("poller");
		return ready[0];
	}
	close(pipes[1]);
	fds[0].fd = ovlt_open("/proc/self/mountinfo", O_RDONLY);
	fds[1].fd = pipes[0];
	poll(fds, 1, 0);
	if (write(ready[1], "", 1) != 1)
		_exit(1);
	while (poll(fds, 2, -1) > 0 && !(fds[1].revents & (POLLIN | POLLHUP)))
		events += !!(fds[0].revents & POLLPRI);
	if (write(ready[1], &events, sizeof(events)) != sizeof(events))
		_exit(1);
	_exit(0);
}

static int end_events(int poller, int stop)
{
	int events = -1;

	usleep(200000);
	close(stop);
	if (read(poller, &events, sizeof(events)) != sizeof(events))
		ovlt_die("poller");
	close(poller);
	wait(NULL);
	return events;
}

TEST_F(size, one_event)
{
	int poller, stop;

	poller = count_events(&stop);
	ASSERT_EQ(variant->nr, ovlt_attach(self->room.dev, variant->flags, self->attach,
					   variant->nr, self->results));
	EXPECT_EQ(1, end_events(poller, stop));
	poller = count_events(&stop);
	ASSERT_EQ(variant->nr, ovlt_detach(self->room.dev, self->detach, variant->nr,
					   self->results));
	EXPECT_EQ(1, end_events(poller, stop));
}

TEST_F(size, closed)
{
	struct ovltree_attach *entry = self->attach;
	long mounts = ovlt_slab_objects("mnt_cache");
	int poller, stop;

	for (int i = 0; i < variant->nr; i++)
		entry[i].target = (struct ovltree_path) { };
	poller = count_events(&stop);
	ASSERT_EQ(variant->nr, ovlt_prepare(self->room.dev, variant->flags, entry,
					    variant->nr, self->results));
	for (int i = 0; i < variant->nr; i++) {
		ASSERT_EQ(0, fcntl(self->results[i].fd, F_GETFD));
		EXPECT_EQ(0, close(self->results[i].fd));
	}
	/* Nobody who watches the table has seen anything. */
	EXPECT_EQ(0, end_events(poller, stop));
	EXPECT_GE(mounts, ovlt_mounts_at_rest(mounts));
}

/*
 * Order
 *
 *	t0 t1 t2	folders that are targets
 *	m		a mount with a folder m/t
 */

FIXTURE(order)
{
	struct ovlt_room room;
	struct ovltree_result results[8];
};

FIXTURE_SETUP(order)
{
	ovlt_room_enter(&self->room);
	ovlt_mkdirs("t0", "t1", "t2", NULL);
}

FIXTURE_TEARDOWN(order)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_BATCH(nr_ok, flags, entries) \
	EXPECT_EQ(nr_ok, ovlt_attach(self->room.dev, flags, entries, \
				     ARRAY_SIZE(entries), self->results))

TEST_F(order, same_target)
{
	struct ovltree_attach entries[] = {
		named_entry("a", "t0"), named_entry("b", "t0"),
		named_entry("c", "t1"), named_entry("d", "t0"),
	};
	static const char *const names[] = { "d", "b", "a" };

	EXPECT_BATCH(4, 0, entries);
	for (int i = 0; i < 4; i++)
		EXPECT_RESULT_OK(self->results[i]);
	EXPECT_STREQ("c", name_at("t1"));
	for (int i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_STREQ(names[i], name_at("t0"));
		ASSERT_EQ(0, ovlt_sys_umount("t0", 0));
	}
	EXPECT_STREQ("", ovlt_list("t0"));
	EXPECT_EQ(0, ovlt_sys_umount("t1", 0));
}

/* Each on the root of the one before, not side by side on the folder. */
TEST_F(order, same_target_stacks)
{
	struct ovltree_attach entries[] = {
		named_entry("a", "t0"), named_entry("b", "t0"),
	};
	struct ovlt_mount *top, *below;

	EXPECT_BATCH(2, OVLTREE_BATCH_ALL, entries);
	top = ovlt_find_mount(ovlt_mountinfo(), "t0");
	ASSERT_EQ(0, ovlt_sys_umount("t0", 0));
	below = ovlt_find_mount(ovlt_mountinfo(), "t0");
	ASSERT_NE(NULL, top);
	ASSERT_NE(NULL, below);
	EXPECT_EQ(below->id, top->parent);
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

TEST_F(order, nested)
{
	int outer = ovlt_prepare_one(self->room.dev, named_tree("outer"));
	int inner = ovlt_prepare_one(self->room.dev, named_tree("inner"));
	struct ovltree_attach entries[] = {
		named_entry("first", "t1"),
		ovlt_entry_mount(outer, "t0"),
		ovlt_entry_mount(inner, NULL),
		named_entry("innermost", NULL),
		named_entry("last", "t2"),
	};

	ASSERT_LE(0, outer);
	ASSERT_LE(0, inner);
	entries[2].target = ovlt_at(outer, "d");
	entries[3].target = ovlt_at(inner, "d/e");
	EXPECT_BATCH(5, OVLTREE_BATCH_ALL, entries);
	EXPECT_STREQ("outer", name_at("t0"));
	EXPECT_STREQ("inner", name_at("t0/d"));
	EXPECT_STREQ("innermost", name_at("t0/d/d/e"));
	EXPECT_STREQ("first", name_at("t1"));
	EXPECT_STREQ("last", name_at("t2"));
	close(outer);
	close(inner);
	EXPECT_EQ(0, ovlt_sys_umount("t0/d/d/e", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t0/d", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t1", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t2", 0));
}

/* What is mounted on has to be attached before: the order of a batch counts. */
TEST_F(order, nested_too_early)
{
	int outer = ovlt_prepare_one(self->room.dev, named_tree("outer"));
	struct ovltree_attach entries[] = {
		named_entry("inner", NULL),
		ovlt_entry_mount(outer, "t0"),
	};

	ASSERT_LE(0, outer);
	entries[0].target = ovlt_at(outer, "d");
	EXPECT_BATCH(0, OVLTREE_BATCH_ALL, entries);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	EXPECT_CANCELED(self->results[1]);
	EXPECT_ROOM_CLEAN(&self->room);

	EXPECT_BATCH(1, 0, entries);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	EXPECT_RESULT_OK(self->results[1]);
	close(outer);
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

TEST_F(order, mount_twice)
{
	int mnt = ovlt_prepare_one(self->room.dev, named_tree("a"));
	struct ovltree_attach entries[] = {
		ovlt_entry_mount(mnt, "t0"),
		ovlt_entry_mount(dup(mnt), "t1"),
	};

	ASSERT_LE(0, mnt);
	EXPECT_BATCH(0, OVLTREE_BATCH_ALL, entries);
	EXPECT_CANCELED(self->results[0]);
	EXPECT_RESULT(-EINVAL, MNT_FD, 0, self->results[1]);
	EXPECT_ROOM_CLEAN(&self->room);

	EXPECT_BATCH(1, 0, entries);
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT(-EINVAL, MNT_FD, 0, self->results[1]);
	EXPECT_STREQ("a", name_at("t0"));
	/* Nor in the next batch: it is attached now. */
	EXPECT_BATCH(0, 0, entries);
	EXPECT_RESULT(-EINVAL, MNT_FD, 0, self->results[0]);
	close(mnt);
	close(entries[1].mnt_fd);
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

/* If nothing comes of the one before, it can be. */
TEST_F(order, mount_again_after_failure)
{
	int mnt = ovlt_prepare_one(self->room.dev, named_tree("a"));
	struct ovltree_attach entries[] = {
		ovlt_entry_mount(mnt, NULL),
		ovlt_entry_mount(mnt, "t1"),
	};

	ASSERT_LE(0, mnt);
	entries[0].target.fd = ovlt_open("t0", O_PATH | O_DIRECTORY);
	ASSERT_EQ(0, rmdir("t0"));
	EXPECT_BATCH(1, 0, entries);
	EXPECT_RESULT(-ENOENT, TARGET, 0, self->results[0]);
	EXPECT_RESULT_OK(self->results[1]);
	EXPECT_STREQ("a", name_at("t1"));
	close(mnt);
	close(entries[0].target.fd);
	EXPECT_EQ(0, ovlt_sys_umount("t1", 0));
}

/*
 * Mountpoints that have changed since they were opened. What the batch says and
 * does is what move_mount(2) says and does.
 */

FIXTURE(changed)
{
	struct ovlt_room room;
	struct ovltree_result result;
	int target;
};

FIXTURE_VARIANT(changed)
{
	bool batch;
};

#ifndef OVLT_LAYERSET
FIXTURE_VARIANT_ADD(changed, move_mount) { .batch = false };
#endif
FIXTURE_VARIANT_ADD(changed, batch) { .batch = true };

FIXTURE_SETUP(changed)
{
	ovlt_room_enter(&self->room);
	ovlt_mkdirs("t0", "other", NULL);
	self->target = ovlt_open("t0", O_PATH | O_DIRECTORY);
}

FIXTURE_TEARDOWN(changed)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

static int attach_at_fd(int dev, bool batch, int target, struct ovltree_result *result)
{
	struct ovltree_tree *tree = named_tree("a");
	struct ovltree_attach entry = ovlt_entry_tree(tree, NULL);
	int mnt, err;

	if (batch) {
		entry.target.fd = target;
		return ovlt_attach(dev, 0, &entry, 1, result) == 1 ? 0 : result->error;
	}
	mnt = ovlt_sys_overlay(tree);
	if (mnt < 0)
		ovlt_die("overlay");
	err = move_mount(mnt, "", target, "",
			 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) ? -errno : 0;
	close(mnt);
	return err;
}

#define ATTACH_AT_FD() \
	attach_at_fd(self->room.dev, variant->batch, self->target, &self->result)

TEST_F(changed, overmounted)
{
	struct ovlt_mount *below, *top;

	ovlt_tmpfs("t0");
	ovlt_write("t0/name", "tmpfs");
	below = ovlt_find_mount(ovlt_mountinfo(), "t0");
	EXPECT_EQ(0, ATTACH_AT_FD());
	EXPECT_STREQ("a", name_at("t0"));
	top = ovlt_find_mount(ovlt_mountinfo(), "t0");
	ASSERT_NE(NULL, below);
	ASSERT_NE(NULL, top);
	EXPECT_EQ(below->id, top->parent);
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_STREQ("tmpfs", name_at("t0"));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

TEST_F(changed, removed)
{
	ASSERT_EQ(0, rmdir("t0"));
	EXPECT_EQ(-ENOENT, ATTACH_AT_FD());
	if (variant->batch)
		EXPECT_RESULT(-ENOENT, TARGET, 0, self->result);
}

TEST_F(changed, made_again)
{
	ASSERT_EQ(0, rmdir("t0"));
	ovlt_mkdir("t0");
	EXPECT_EQ(-ENOENT, ATTACH_AT_FD());
	EXPECT_STREQ("", ovlt_list("t0"));
}

TEST_F(changed, moved)
{
	ASSERT_EQ(0, rename("t0", "other/t1"));
	EXPECT_EQ(0, ATTACH_AT_FD());
	EXPECT_STREQ("a", name_at("other/t1"));
	EXPECT_EQ(0, ovlt_sys_umount("other/t1", 0));
}

TEST_F(changed, unmounted)
{
	close(self->target);
	ovlt_tmpfs("m");
	ovlt_mkdir("m/t");
	self->target = ovlt_open("m/t", O_PATH);
	ASSERT_EQ(0, ovlt_sys_umount("m", MNT_DETACH));
	EXPECT_EQ(-ENOENT, ATTACH_AT_FD());
	if (variant->batch)
		EXPECT_RESULT(-ENOENT, TARGET, 0, self->result);
	close(self->target);
}

TEST_F(changed, detached)
{
	int mnt = ovlt_sys_fsmount("tmpfs");

	ASSERT_LE(0, mnt);
	self->target = mnt;
	EXPECT_EQ(-EINVAL, ATTACH_AT_FD());
	if (variant->batch)
		EXPECT_RESULT(-EINVAL, TARGET, 0, self->result);
	close(mnt);
}

TEST_F(changed, other_namespace)
{
	int ns = ovlt_open("/proc/self/ns/mnt", O_RDONLY);

	ovlt_tmpfs("m");
	self->target = ovlt_open("m", O_PATH);
	ovlt_new_mntns();
	EXPECT_EQ(-EINVAL, ATTACH_AT_FD());
	if (variant->batch)
		EXPECT_RESULT(-EINVAL, TARGET, 0, self->result);
	ovlt_umount("m");
	close(ns);
	free(self->room.mounts);
	self->room.mounts = ovlt_mountinfo();
}

/*
 * Together or not at all: one entry of nine is bad.
 */

#define NR 9

FIXTURE(all)
{
	struct ovlt_room room;
	struct ovltree_attach entries[NR];
	struct ovltree_result results[NR];
	int error;
};

enum badness {
	BAD_TARGET,	/* found while it is prepared */
	BAD_LAYER,
	BAD_REMOVED,	/* found under the locks */
	BAD_MOUNT,
};

FIXTURE_VARIANT(all)
{
	enum badness badness;
	int index;
	int error;
	enum ovltree_field field;
	bool dependent;	/* each on the same mountpoint as the one before */
};

#define ALL_VARIANTS(name, badness_, error_, field_) \
FIXTURE_VARIANT_ADD(all, name##_first) { \
	.badness = badness_, .index = 0, .error = error_, \
	.field = OVLTREE_FIELD_##field_, \
}; \
FIXTURE_VARIANT_ADD(all, name##_middle) { \
	.badness = badness_, .index = NR / 2, .error = error_, \
	.field = OVLTREE_FIELD_##field_, \
}; \
FIXTURE_VARIANT_ADD(all, name##_last) { \
	.badness = badness_, .index = NR - 1, .error = error_, \
	.field = OVLTREE_FIELD_##field_, \
}; \
FIXTURE_VARIANT_ADD(all, name##_rounds_middle) { \
	.badness = badness_, .index = NR / 2, .error = error_, \
	.field = OVLTREE_FIELD_##field_, .dependent = true, \
}; \
FIXTURE_VARIANT_ADD(all, name##_rounds_last) { \
	.badness = badness_, .index = NR - 1, .error = error_, \
	.field = OVLTREE_FIELD_##field_, .dependent = true, \
}

ALL_VARIANTS(target, BAD_TARGET, -ENOENT, TARGET);
ALL_VARIANTS(layer, BAD_LAYER, -ENOENT, LOWER);
ALL_VARIANTS(removed, BAD_REMOVED, -ENOENT, TARGET);
ALL_VARIANTS(mount, BAD_MOUNT, -EINVAL, MNT_FD);

FIXTURE_SETUP(all)
{
	struct ovltree_attach *bad = &self->entries[variant->index];

	ovlt_room_enter(&self->room);
	for (int i = 0; i < NR; i++) {
		const char *name = ovlt_fmt("%d", i);
		const char *target = variant->dependent ? "t" : ovlt_fmt("t%d", i);

		ovlt_mkdir(target);
		self->entries[i] = named_entry(name, target);
	}
	switch (variant->badness) {
	case BAD_TARGET:
		bad->target = ovlt_at(AT_FDCWD, "nothing");
		break;
	case BAD_LAYER:
		*bad = ovlt_entry_tree(ovlt_alloc(sizeof(struct ovltree_tree)), "t0");
		ovlt_mkdir("t0");
		ovlt_tree_lowers((void *)(uintptr_t)bad->tree, "nothing", NULL);
		break;
	case BAD_REMOVED:
		ovlt_mkdir("gone");
		bad->target = (struct ovltree_path) { .fd = ovlt_open("gone", O_PATH) };
		ASSERT_EQ(0, rmdir("gone"));
		break;
	case BAD_MOUNT:
		*bad = ovlt_entry_mount(ovlt_open("/tmp", O_PATH), "bad");
		ovlt_mkdir("bad");
		break;
	}
}

FIXTURE_TEARDOWN(all)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(all, nothing)
{
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, self->entries, NR,
				 self->results));
	for (int i = 0; i < NR; i++) {
		if (i != variant->index) {
			EXPECT_CANCELED(self->results[i]);
			continue;
		}
		EXPECT_EQ(variant->error, self->results[i].error);
		EXPECT_EQ(variant->field, self->results[i].field);
		EXPECT_EQ(0, self->results[i].mnt_id);
	}
}

TEST_F(all, the_others)
{
	EXPECT_EQ(NR - 1, ovlt_attach(self->room.dev, 0, self->entries, NR, self->results));
	for (int i = 0; i < NR; i++) {
		if (i == variant->index) {
			EXPECT_EQ(variant->error, self->results[i].error);
			EXPECT_EQ(variant->field, self->results[i].field);
		} else {
			EXPECT_RESULT_OK(self->results[i]);
		}
	}
	for (int i = NR; i--;) {
		const char *target = variant->dependent ? "t" : ovlt_fmt("t%d", i);

		if (i == variant->index)
			continue;
		EXPECT_STREQ(ovlt_fmt("%d", i), name_at(target));
		EXPECT_EQ(0, ovlt_sys_umount(target, 0));
	}
}

/* Mounts that were given by descriptor are as good as before the batch. */
TEST_F(all, mounts_stay_usable)
{
	int mnt[NR];

	for (int i = 0; i < NR; i++) {
		if (i == variant->index)
			continue;
		mnt[i] = ovlt_prepare_one(self->room.dev,
					  (void *)(uintptr_t)self->entries[i].tree);
		ASSERT_LE(0, mnt[i]);
		self->entries[i].flags = OVLTREE_ATTACH_MOUNT;
		self->entries[i].mnt_fd = mnt[i];
		self->entries[i].tree = 0;
	}
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, self->entries, NR,
				 self->results));
	for (int i = 0; i < NR; i++) {
		if (i == variant->index)
			continue;
		EXPECT_CANCELED(self->results[i]);
		/* A round that was undone took its mounts along, as MNT_DETACH does. */
		if (!variant->dependent) {
			const char *target = ovlt_fmt("t%d", i);

			EXPECT_EQ(0, ovlt_attach_mount(self->room.dev, mnt[i], target));
			EXPECT_STREQ(ovlt_fmt("%d", i), name_at(target));
			EXPECT_EQ(0, ovlt_sys_umount(target, MNT_DETACH));
		}
		EXPECT_EQ(0, close(mnt[i]));
	}
}

/* PREPARE knows only what is found while preparing. */
TEST_F(all, prepare)
{
	int error = variant->badness == BAD_LAYER ? variant->error : -EINVAL;

	for (int i = 0; i < NR; i++)
		if (i != variant->index)
			self->entries[i].target = (struct ovltree_path) { };
	if (variant->badness == BAD_LAYER)
		self->entries[variant->index].target = (struct ovltree_path) { };
	EXPECT_EQ(0, ovlt_prepare(self->room.dev, OVLTREE_BATCH_ALL, self->entries, NR,
				  self->results));
	for (int i = 0; i < NR; i++) {
		if (i == variant->index) {
			EXPECT_EQ(error, self->results[i].error);
			EXPECT_EQ(-1, self->results[i].fd);
		} else {
			EXPECT_CANCELED(self->results[i]);
		}
	}
	EXPECT_EQ(NR - 1, ovlt_prepare(self->room.dev, 0, self->entries, NR,
				       self->results));
	for (int i = 0; i < NR; i++) {
		EXPECT_EQ(i == variant->index ? error : 0, self->results[i].error);
		if (i != variant->index)
			EXPECT_EQ(0, close(self->results[i].fd));
	}
}

/*
 * Upper file systems: what one of them can do is not taken for what another can.
 * Without xattrs a folder of a lower layer can't be renamed.
 */

static const struct {
	const char *on;
	const char *option;
} uppers[] = {
	{ "tmpfs", "redirect_dir=on" },
	{ "ramfs", "redirect_dir=on" },
	{ "tmpfs", "redirect_dir=on" },
	{ "tmpfs", "userxattr" },
	{ "tmpfs", "redirect_dir=on" },
};

#define NR_UPPERS ARRAY_SIZE(uppers)

FIXTURE(uppers)
{
	struct ovlt_room room;
	struct ovltree_tree *trees[NR_UPPERS];
	char *alone[NR_UPPERS];
};

static const char *upper_target(int i)
{
	return ovlt_fmt("t%d", i);
}

static void uppers_make(struct ovltree_tree *trees[])
{
	static const char *const types[] = { "tmpfs", "ramfs" };

	for (int i = 0; i < ARRAY_SIZE(types); i++) {
		ovlt_mkdir(types[i]);
		ovlt_mount(types[i], types[i], types[i], 0, NULL);
	}
	for (int i = 0; i < NR_UPPERS; i++) {
		const char *folder = ovlt_fmt("%s/%d", uppers[i].on, i);

		trees[i] = ovlt_simple_tree();
		ovlt_tree_upper(trees[i], ovlt_fmt("%s/u", folder),
				ovlt_fmt("%s/w", folder));
		ovlt_tree_option(trees[i], uppers[i].option);
		ovlt_mkdir(upper_target(i));
	}
}

/* What a user sees of a tree, which is unmounted then. */
static char *upper_see(int i)
{
	const char *target = upper_target(i);
	const struct ovlt_mount *mount = ovlt_find_mount(ovlt_mountinfo(), target);
	int renamed, removed;
	char *seen;

	if (!mount)
		ovlt_die("no %s", target);
	renamed = rename(ovlt_fmt("%s/d", target), ovlt_fmt("%s/e", target)) ? errno : 0;
	removed = unlink(ovlt_fmt("%s/f", target)) ? errno : 0;
	seen = ovlt_fmt("%s: rename %d, unlink %d: %s", mount->super, renamed, removed,
			ovlt_list(target));
	ovlt_umount(target);
	return seen;
}

FIXTURE_SETUP(uppers)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	uppers_make(self->trees);
	for (int i = 0; i < NR_UPPERS; i++) {
		if (ovlt_sys_attach(self->trees[i], upper_target(i)))
			ovlt_die("overlay");
		self->alone[i] = upper_see(i);
	}
	ovlt_umount("tmpfs");
	ovlt_umount("ramfs");
	uppers_make(self->trees);
}

FIXTURE_TEARDOWN(uppers)
{
	ovlt_umount("tmpfs");
	ovlt_umount("ramfs");
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(uppers, as_alone)
{
	struct ovltree_result results[NR_UPPERS];
	struct ovltree_attach entries[NR_UPPERS];

	/* That there is something to be told apart */
	EXPECT_NE(NULL, strstr(self->alone[0], "rename 0"));
	EXPECT_EQ(NULL, strstr(self->alone[1], "rename 0"));
	for (int i = 0; i < NR_UPPERS; i++)
		entries[i] = ovlt_entry_tree(self->trees[i], upper_target(i));
	ASSERT_EQ(NR_UPPERS, ovlt_attach(self->room.dev, 0, entries, NR_UPPERS, results));
	for (int i = 0; i < NR_UPPERS; i++) {
		EXPECT_RESULT_OK(results[i]);
		EXPECT_STREQ(self->alone[i], upper_see(i));
	}
}

/*
 * Kinds of mounts
 */

FIXTURE(kind)
{
	struct ovlt_room room;
	struct ovltree_result results[4];
};

FIXTURE_SETUP(kind)
{
	ovlt_room_enter(&self->room);
	ovlt_mkdirs("t0", "t1", "t2", NULL);
	ovlt_write("file", "below");
}

FIXTURE_TEARDOWN(kind)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(kind, all_in_one_batch)
{
	struct ovltree_attach entries[4];

	ovlt_write("source/name", "source");
	entries[0] = ovlt_entry_mount(ovlt_sys_fsmount("tmpfs"), "t0");
	entries[1] = ovlt_entry_mount(ovlt_sys_open_tree("source", 0), "t1");
	entries[2] = named_entry("tree", "t2");
	ovlt_write("name", "a file");
	entries[3] = ovlt_entry_mount(ovlt_sys_open_tree("name", 0), "file");
	EXPECT_BATCH(4, OVLTREE_BATCH_ALL, entries);
	EXPECT_STREQ("", ovlt_list("t0"));
	EXPECT_STREQ("source", name_at("t1"));
	EXPECT_STREQ("tree", name_at("t2"));
	EXPECT_STREQ("a file", ovlt_read("file"));
	for (int i = 0; i < 4; i++) {
		if (i != 2)
			close(entries[i].mnt_fd);
	}
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t1", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t2", 0));
	EXPECT_EQ(0, ovlt_sys_umount("file", 0));
	EXPECT_STREQ("below", ovlt_read("file"));
}

TEST_F(kind, recursive)
{
	unsigned int before;
	int mnt;

	ovlt_tmpfs("source");
	ovlt_write("source/name", "outer");
	ovlt_tmpfs("source/inner");
	ovlt_write("source/inner/name", "inner");
	before = ovlt_count_mounts();
	mnt = ovlt_sys_open_tree("source", AT_RECURSIVE);
	ASSERT_LE(0, mnt);
	EXPECT_EQ(0, ovlt_attach_mount(self->room.dev, mnt, "t0"));
	EXPECT_EQ(before + 2, ovlt_count_mounts());
	EXPECT_STREQ("outer", name_at("t0"));
	EXPECT_STREQ("inner", name_at("t0/inner"));
	close(mnt);
	ovlt_umount("t0/inner");
	ovlt_umount("t0");
	ovlt_umount("source/inner");
	ovlt_umount("source");
}

TEST_F(kind, attached_already)
{
	int mnt;

	ovlt_tmpfs("source");
	mnt = ovlt_open("source", O_PATH);
	EXPECT_EQ(-EINVAL, ovlt_attach_mount(self->room.dev, mnt, "t0"));
	close(mnt);
	ovlt_umount("source");
}

TEST_F(kind, not_a_root)
{
	int mnt = ovlt_prepare_one(self->room.dev, named_tree("a"));
	int inside;

	ASSERT_LE(0, mnt);
	inside = openat(mnt, "d", O_PATH);
	ASSERT_LE(0, inside);
	EXPECT_EQ(-EINVAL, ovlt_attach_mount(self->room.dev, inside, "t0"));
	close(inside);
	close(mnt);
}

TEST_F(kind, lazily_unmounted)
{
	int mnt;

	ovlt_tmpfs("source");
	mnt = ovlt_open("source", O_PATH);
	ASSERT_EQ(0, ovlt_sys_umount("source", MNT_DETACH));
	EXPECT_EQ(-EINVAL, ovlt_attach_mount(self->room.dev, mnt, "t0"));
	close(mnt);
}

TEST_F(kind, file_and_folder)
{
	int file = ovlt_sys_open_tree("file", 0);
	struct ovltree_attach entries[2] = {
		ovlt_entry_mount(file, "t0"), named_entry("a", "file"),
	};

	ASSERT_LE(0, file);
	EXPECT_EQ(-EINVAL, ovlt_sys_move_mount(file, "t0"));
	EXPECT_BATCH(0, 0, entries);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[1]);
	close(file);
}

/* mount(2) and move_mount(2) refuse it for the sake of the namespace's reader. */
TEST_F(kind, namespace_file)
{
	int mnt, target;

	ovlt_write("ns", "");
	mnt = ovlt_sys_open_tree("/proc/self/ns/mnt", 0);
	if (mnt < 0)
		SKIP(return, "open_tree(2) doesn't clone a namespace file");
	target = ovlt_sys_move_mount(mnt, "ns");
	EXPECT_GT(0, target);
	EXPECT_EQ(target, ovlt_attach_mount(self->room.dev, mnt, "ns"));
	close(mnt);
}

/*
 * Another mount namespace: a process that has one of its own, with a folder on a
 * mount that only it has.
 */

FIXTURE(foreign)
{
	struct ovlt_room room;
	struct ovltree_result results[3];
	pid_t pid[2];
	int mntns[2];
	int target[2];
};

static int make_namespace(void *arg)
{
	ovlt_new_mntns();
	ovlt_tmpfs("own");
	ovlt_mkdir("own/t");
	return 0;
}

static const char *foreign_path(pid_t pid, const char *path)
{
	return ovlt_fmt("/proc/%d/root/tmp/%s", pid, path);
}

static struct ovlt_mount *foreign_mount(pid_t pid, const char *path)
{
	return ovlt_find_mount(ovlt_read(ovlt_fmt("/proc/%d/mountinfo", pid)), path);
}

FIXTURE_SETUP(foreign)
{
	ovlt_room_enter(&self->room);
	ovlt_mkdirs("own", "t0", NULL);
	for (int i = 0; i < 2; i++) {
		self->pid[i] = ovlt_start_in_userns(-1, make_namespace, NULL);
		self->mntns[i] = ovlt_open(ovlt_fmt("/proc/%d/ns/mnt", self->pid[i]),
					   O_RDONLY);
		self->target[i] = ovlt_open(foreign_path(self->pid[i], "own/t"), O_PATH);
	}
}

FIXTURE_TEARDOWN(foreign)
{
	for (int i = 0; i < 2; i++) {
		kill(self->pid[i], SIGKILL);
		waitpid(self->pid[i], NULL, 0);
	}
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(foreign, attach)
{
	struct ovltree_attach entries[] = {
		named_entry("a", NULL), named_entry("b", "t0"), named_entry("c", NULL),
	};

	for (int i = 0; i < 2; i++) {
		entries[2 * i].flags = OVLTREE_ATTACH_MNTNS;
		entries[2 * i].mntns_fd = self->mntns[i];
		entries[2 * i].target = (struct ovltree_path) { .fd = self->target[i] };
	}
	EXPECT_BATCH(3, OVLTREE_BATCH_ALL, entries);
	for (int i = 0; i < 3; i++)
		EXPECT_RESULT_OK(self->results[i]);
	EXPECT_STREQ("a", name_at(foreign_path(self->pid[0], "own/t")));
	EXPECT_STREQ("b", name_at("t0"));
	EXPECT_STREQ("c", name_at(foreign_path(self->pid[1], "own/t")));
	EXPECT_NE(NULL, foreign_mount(self->pid[0], "own/t"));
	EXPECT_NE(NULL, foreign_mount(self->pid[1], "own/t"));
	EXPECT_EQ(NULL, foreign_mount(self->pid[0], "t0"));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(foreign, without_its_fd)
{
	struct ovltree_attach entries[] = { named_entry("a", NULL) };

	entries[0].target = (struct ovltree_path) { .fd = self->target[0] };
	EXPECT_BATCH(0, 0, entries);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
}

TEST_F(foreign, of_another)
{
	struct ovltree_attach entries[] = {
		named_entry("a", NULL), named_entry("b", NULL), named_entry("c", "t0"),
	};

	entries[0].target = (struct ovltree_path) { .fd = self->target[0] };
	entries[1].target = (struct ovltree_path) { .fd = self->target[1] };
	for (int i = 0; i < 3; i++) {
		entries[i].flags = OVLTREE_ATTACH_MNTNS;
		entries[i].mntns_fd = self->mntns[0];
	}
	/* Ours isn't in that one either. */
	EXPECT_BATCH(1, 0, entries);
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[1]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[2]);

	EXPECT_BATCH(0, OVLTREE_BATCH_ALL, entries);
	EXPECT_CANCELED(self->results[0]);
	EXPECT_STREQ("a", name_at(foreign_path(self->pid[0], "own/t")));
}

TEST_F(foreign, own)
{
	struct ovltree_attach entries[] = { named_entry("a", "t0") };

	entries[0].flags = OVLTREE_ATTACH_MNTNS;
	entries[0].mntns_fd = ovlt_open("/proc/self/ns/mnt", O_RDONLY);
	EXPECT_BATCH(1, 0, entries);
	EXPECT_STREQ("a", name_at("t0"));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

/* All its processes are gone, but the descriptor keeps the namespace. */
TEST_F(foreign, abandoned)
{
	struct ovltree_attach entries[] = { named_entry("a", NULL) };

	/* The second one: the first's descriptor is open in the second, too. */
	kill(self->pid[1], SIGKILL);
	ASSERT_EQ(self->pid[1], waitpid(self->pid[1], NULL, 0));
	entries[0].flags = OVLTREE_ATTACH_MNTNS;
	entries[0].mntns_fd = self->mntns[1];
	entries[0].target = (struct ovltree_path) { .fd = self->target[1] };
	EXPECT_BATCH(1, 0, entries);
	/* And without it there is nothing to attach to. */
	close(self->mntns[1]);
	entries[0].mntns_fd = self->mntns[0];
	EXPECT_BATCH(0, 0, entries);
	EXPECT_RESULT(-ENOENT, TARGET, 0, self->results[0]);
	close(self->target[1]);
}

/*
 * fs.mount-max
 */

#define MOUNT_MAX "/proc/sys/fs/mount-max"

FIXTURE(limit)
{
	struct ovlt_room room;
	struct ovltree_attach entries[20];
	struct ovltree_result results[20];
	char *max;
	int room_for;
};

static int fill_up(void)
{
	int nr = 0;

	while (!mount("tmpfs", "full", "tmpfs", 0, NULL))
		nr++;
	if (errno != ENOSPC)
		ovlt_die("filling the mount table");
	for (int i = 0; i < nr; i++)
		ovlt_umount("full");
	return nr;
}

FIXTURE_SETUP(limit)
{
	ovlt_room_enter(&self->room);
	ovlt_mkdir("full");
	for (int i = 0; i < ARRAY_SIZE(self->entries); i++) {
		const char *target = ovlt_fmt("t%d", i);

		ovlt_mkdir(target);
		self->entries[i] = named_entry(ovlt_fmt("%d", i), target);
	}
	self->max = ovlt_read(MOUNT_MAX);
	ovlt_write(MOUNT_MAX, ovlt_fmt("%d", ovlt_count_mounts() + 15));
	self->room_for = fill_up();
	ASSERT_LT(5, self->room_for);
	ASSERT_GT(20, self->room_for);
}

FIXTURE_TEARDOWN(limit)
{
	ovlt_write(MOUNT_MAX, self->max);
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(limit, exactly)
{
	EXPECT_BATCH(self->room_for, 0, self->entries);
	for (int i = 0; i < 20; i++) {
		if (i >= self->room_for) {
			EXPECT_RESULT(-ENOSPC, TARGET, 0, self->results[i]);
			continue;
		}
		EXPECT_RESULT_OK(self->results[i]);
		EXPECT_EQ(0, ovlt_sys_umount(ovlt_fmt("t%d", i), 0));
	}
	EXPECT_EQ(self->room_for, fill_up());
}

TEST_F(limit, all)
{
	EXPECT_BATCH(0, OVLTREE_BATCH_ALL, self->entries);
	for (int i = 0; i < 20; i++) {
		if (i == self->room_for)
			EXPECT_RESULT(-ENOSPC, TARGET, 0, self->results[i]);
		else
			EXPECT_CANCELED(self->results[i]);
	}
	EXPECT_EQ(self->room_for, fill_up());
}

TEST_F(limit, all_that_fits)
{
	EXPECT_EQ(self->room_for, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL,
					      self->entries, self->room_for,
					      self->results));
	EXPECT_EQ(0, fill_up());
	for (int i = 0; i < self->room_for; i++)
		EXPECT_EQ(0, ovlt_sys_umount(ovlt_fmt("t%d", i), 0));
	EXPECT_EQ(self->room_for, fill_up());
}

/* A tree that is too big leaves room for the small ones that come after it. */
TEST_F(limit, big_one_between)
{
	int big;

	ovlt_tmpfs("big");
	for (int i = 0; i < 4; i++) {
		ovlt_mkdir(ovlt_fmt("big/%d", i));
		ovlt_mount("big", ovlt_fmt("big/%d", i), NULL, MS_BIND, NULL);
	}
	big = ovlt_sys_open_tree("big", AT_RECURSIVE);
	ASSERT_LE(0, big);
	self->room_for = fill_up();
	ASSERT_LT(3, self->room_for);
	self->entries[self->room_for - 2] = ovlt_entry_mount(big, "full");
	EXPECT_EQ(self->room_for, ovlt_attach(self->room.dev, 0, self->entries,
					      self->room_for + 3, self->results));
	EXPECT_RESULT(-ENOSPC, TARGET, 0, self->results[self->room_for - 2]);
	EXPECT_RESULT_OK(self->results[self->room_for - 1]);
	EXPECT_RESULT_OK(self->results[self->room_for]);
	EXPECT_RESULT(-ENOSPC, TARGET, 0, self->results[self->room_for + 1]);
	for (int i = 0; i < self->room_for + 3; i++) {
		if (!self->results[i].error)
			EXPECT_EQ(0, ovlt_sys_umount(ovlt_fmt("t%d", i), 0));
	}
	EXPECT_EQ(self->room_for, fill_up());
	close(big);
	for (int i = 0; i < 4; i++)
		ovlt_umount(ovlt_fmt("big/%d", i));
	ovlt_umount("big");
}

TEST_F(limit, rounds)
{
	for (int i = 0; i < 20; i++)
		self->entries[i].target = ovlt_at(AT_FDCWD, "t0");
	EXPECT_BATCH(0, OVLTREE_BATCH_ALL, self->entries);
	EXPECT_RESULT(-ENOSPC, TARGET, 0, self->results[self->room_for]);
	EXPECT_ROOM_CLEAN(&self->room);
	EXPECT_BATCH(self->room_for, 0, self->entries);
	for (int i = 0; i < self->room_for; i++)
		EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_EQ(self->room_for, fill_up());
}

/*
 * Signals
 */

FIXTURE(signal)
{
	struct ovlt_room room;
	struct ovltree_attach *entries;
	struct ovltree_result *results;
};

static void on_alarm(int signal)
{
}

FIXTURE_SETUP(signal)
{
	struct sigaction action = { .sa_handler = on_alarm };

	ovlt_room_enter(&self->room);
	self->entries = ovlt_alloc(MANY * sizeof(*self->entries));
	self->results = ovlt_alloc(MANY * sizeof(*self->results));
	ovlt_simple_layers();
	for (int i = 0; i < MANY; i++) {
		const char *target = ovlt_fmt("t/%d", i);

		ovlt_mkdir(target);
		self->entries[i] = ovlt_entry_tree(ovlt_simple_tree(), target);
	}
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
}

FIXTURE_TEARDOWN(signal)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

/* Again and again, as what comes first may be what the batch only needs. */
static void alarm_each_ms(int ms)
{
	struct timeval time = { .tv_usec = ms * 1000 };
	struct itimerval timer = { .it_value = time, .it_interval = time };

	if (setitimer(ITIMER_REAL, &timer, NULL))
		ovlt_die("setitimer");
}

TEST_F(signal, the_rest)
{
	int nr;

	alarm_each_ms(20);
	nr = ovlt_attach(self->room.dev, 0, self->entries, MANY, self->results);
	alarm_each_ms(0);
	ASSERT_LE(0, nr);
	ASSERT_GT(MANY, nr);
	EXPECT_EQ(nr, ovlt_count_mounts() - ovlt_count_lines(self->room.mounts));
	for (int i = 0; i < MANY; i++) {
		if (self->results[i].error) {
			EXPECT_RESULT(-EINTR, NONE, 0, self->results[i]);
			continue;
		}
		EXPECT_EQ(0, ovlt_sys_umount(ovlt_fmt("t/%d", i), 0));
	}
}

TEST_F(signal, all)
{
	int interrupted = 0;

	alarm_each_ms(20);
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, self->entries, MANY,
				 self->results));
	alarm_each_ms(0);
	for (int i = 0; i < MANY; i++) {
		if (self->results[i].error == -EINTR)
			interrupted++;
		else
			EXPECT_CANCELED(self->results[i]);
	}
	EXPECT_EQ(1, interrupted);
}

/*
 * Nothing is left behind
 */

FIXTURE(leak)
{
	struct ovlt_room room;
	struct ovltree_attach entries[4];
	struct ovltree_result results[4];
	long mounts;
};

FIXTURE_SETUP(leak)
{
	ovlt_room_enter(&self->room);
	ovlt_mkdir("t");
	for (int i = 0; i < 4; i++)
		self->entries[i] = named_entry(ovlt_fmt("%d", i), "t");
	self->mounts = ovlt_slab_objects("mnt_cache");
}

FIXTURE_TEARDOWN(leak)
{
	EXPECT_GE(self->mounts, ovlt_mounts_at_rest(self->mounts));
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(leak, attach_detach)
{
	for (int i = 0; i < 50; i++) {
		EXPECT_BATCH(4, 0, self->entries);
		for (int j = 0; j < 4; j++)
			ASSERT_EQ(0, ovlt_detach_one(self->room.dev, "t"));
	}
}

TEST_F(leak, undone)
{
	self->entries[3].target = ovlt_at(AT_FDCWD, "gone");
	for (int i = 0; i < 50; i++) {
		ovlt_mkdir("gone");
		self->entries[3].target = (struct ovltree_path) {
			.fd = ovlt_open("gone", O_PATH),
		};
		ASSERT_EQ(0, rmdir("gone"));
		EXPECT_BATCH(0, OVLTREE_BATCH_ALL, self->entries);
		EXPECT_RESULT(-ENOENT, TARGET, 0, self->results[3]);
		close(self->entries[3].target.fd);
	}
}

TEST_F(leak, refused_layers)
{
	struct ovltree_tree *tree = named_tree("bad");

	ovlt_tree_lowers(tree, "layers/bad/d", NULL);
	for (int i = 0; i < 50; i++)
		ASSERT_EQ(-ELOOP, ovlt_attach_one(self->room.dev, tree, "t"));
}

TEST_HARNESS_MAIN
