// SPDX-License-Identifier: GPL-2.0
/*
 * Detaching: what umount(2) does, by path and by id, many at once, and how often
 * their file systems are synced.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <sched.h>
#include <signal.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

/*
 *	t0	overlay
 *	t1	tmpfs
 *	t1/in	tmpfs
 *	t2	folder that nothing is mounted on
 */
FIXTURE(detach)
{
	struct ovlt_room room;
	struct ovltree_result results[8];
	__u64 t0, t1, in;
};

FIXTURE_SETUP(detach)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdirs("t0", "t2", NULL);
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, ovlt_simple_tree(), "t0"));
	ovlt_tmpfs("t1");
	ovlt_tmpfs("t1/in");
	self->t0 = ovlt_mount_id(AT_FDCWD, "t0");
	self->t1 = ovlt_mount_id(AT_FDCWD, "t1");
	self->in = ovlt_mount_id(AT_FDCWD, "t1/in");
}

FIXTURE_TEARDOWN(detach)
{
	static const char *const targets[] = { "t1/in", "t1", "t0" };

	for (int i = 0; i < ARRAY_SIZE(targets); i++)
		umount2(targets[i], MNT_DETACH);
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_DETACHED(nr_ok, ...) do { \
	struct ovltree_detach __entries[] = { __VA_ARGS__ }; \
	EXPECT_EQ(nr_ok, ovlt_detach(self->room.dev, __entries, \
				     ARRAY_SIZE(__entries), self->results)); \
} while (0)

#define EXPECT_MOUNTED(mounted, id, target) \
	EXPECT_EQ(mounted, (id) == ovlt_mount_id(AT_FDCWD, target))

TEST_F(detach, by_path)
{
	EXPECT_DETACHED(1, ovlt_entry_path("t0", 0));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_MOUNTED(false, self->t0, "t0");
	EXPECT_STREQ("", ovlt_list("t0"));
}

TEST_F(detach, by_id)
{
	EXPECT_DETACHED(1, ovlt_entry_id(self->t0, 0));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_MOUNTED(false, self->t0, "t0");
}

TEST_F(detach, many)
{
	EXPECT_DETACHED(3, ovlt_entry_id(self->in, 0), ovlt_entry_path("t1", 0),
			ovlt_entry_path("t0", 0));
	for (int i = 0; i < 3; i++)
		EXPECT_RESULT_OK(self->results[i]);
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(detach, child_first)
{
	EXPECT_DETACHED(2, ovlt_entry_path("t1/in", 0), ovlt_entry_path("t1", 0));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT_OK(self->results[1]);
	EXPECT_MOUNTED(false, self->t1, "t1");
}

TEST_F(detach, parent_first)
{
	EXPECT_DETACHED(1, ovlt_entry_path("t1", 0), ovlt_entry_path("t1/in", 0));
	EXPECT_RESULT(-EBUSY, TARGET, 0, self->results[0]);
	EXPECT_RESULT_OK(self->results[1]);
	EXPECT_MOUNTED(true, self->t1, "t1");
}

/* What the first entry took along isn't there any more for the second. */
TEST_F(detach, lazy_parent_first)
{
	EXPECT_DETACHED(1, ovlt_entry_path("t1", OVLTREE_DETACH_LAZY),
			ovlt_entry_path("t1/in", 0));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[1]);
	EXPECT_MOUNTED(false, self->t1, "t1");
}

TEST_F(detach, stacked)
{
	ovlt_tmpfs("t0");
	EXPECT_DETACHED(1, ovlt_entry_path("t0", 0));
	EXPECT_MOUNTED(true, self->t0, "t0");
	/* A mount that is covered can be named by its id only, and is busy. */
	ovlt_tmpfs("t0");
	EXPECT_DETACHED(0, ovlt_entry_id(self->t0, 0));
	EXPECT_RESULT(-EBUSY, MNT_ID, 0, self->results[0]);
	EXPECT_DETACHED(2, ovlt_entry_path("t0", 0), ovlt_entry_id(self->t0, 0));
	EXPECT_MOUNTED(false, self->t0, "t0");
}

TEST_F(detach, twice)
{
	EXPECT_DETACHED(1, ovlt_entry_path("t0", 0), ovlt_entry_path("t0", 0));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[1]);
	EXPECT_MOUNTED(false, self->t0, "t0");
}

TEST_F(detach, twice_in_two_ways)
{
	EXPECT_DETACHED(1, ovlt_entry_id(self->t0, 0), ovlt_entry_path("t0", 0),
			ovlt_entry_id(self->t0, OVLTREE_DETACH_LAZY));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[1]);
	EXPECT_RESULT(-EINVAL, MNT_ID, 0, self->results[2]);
	EXPECT_MOUNTED(false, self->t0, "t0");
}

TEST_F(detach, not_a_mountpoint)
{
	EXPECT_EQ(-EINVAL, ovlt_sys_umount("t2", 0));
	EXPECT_DETACHED(1, ovlt_entry_path("t2", 0), ovlt_entry_path("t0", 0),
			ovlt_entry_path("t1/in/nothing", 0));
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	EXPECT_RESULT_OK(self->results[1]);
	EXPECT_RESULT(-ENOENT, TARGET, 0, self->results[2]);
}

TEST_F(detach, unknown_id)
{
	EXPECT_DETACHED(1, ovlt_entry_id(~0ULL, 0), ovlt_entry_id(1, 0),
			ovlt_entry_id(self->t0, 0));
	EXPECT_RESULT(-ENOENT, MNT_ID, 0, self->results[0]);
	EXPECT_RESULT(-ENOENT, MNT_ID, 0, self->results[1]);
	EXPECT_RESULT_OK(self->results[2]);
}

TEST_F(detach, no_id)
{
	EXPECT_DETACHED(0, ovlt_entry_id(0, 0));
	EXPECT_RESULT(-ENOENT, MNT_ID, 0, self->results[0]);
}

TEST_F(detach, id_of_the_past)
{
	EXPECT_DETACHED(1, ovlt_entry_id(self->t0, 0));
	EXPECT_DETACHED(0, ovlt_entry_id(self->t0, 0));
	EXPECT_RESULT(-ENOENT, MNT_ID, 0, self->results[0]);
}

TEST_F(detach, id_of_another_namespace)
{
	char *mounts = ovlt_mountinfo();

	/* Ours are copies with ids of their own from here on. */
	ovlt_new_mntns();
	EXPECT_NE(self->t0, ovlt_mount_id(AT_FDCWD, "t0"));
	EXPECT_DETACHED(0, ovlt_entry_id(self->t0, 0), ovlt_entry_id(self->t1, 0));
	EXPECT_RESULT(-ENOENT, MNT_ID, 0, self->results[0]);
	EXPECT_RESULT(-ENOENT, MNT_ID, 0, self->results[1]);
	EXPECT_EQ(ovlt_count_lines(mounts), ovlt_count_mounts());
	EXPECT_DETACHED(3, ovlt_entry_path("t0", 0), ovlt_entry_path("t1/in", 0),
			ovlt_entry_path("t1", 0));
	free(self->room.mounts);
	self->room.mounts = ovlt_mountinfo();
}

TEST_F(detach, path_of_another_namespace)
{
	int fd = ovlt_open("t0", O_PATH);

	ovlt_new_mntns();
	EXPECT_EQ(-EINVAL, ovlt_detach(self->room.dev, &(struct ovltree_detach) {
			.flags = OVLTREE_DETACH_LAZY,
			.target = { .fd = fd },
		}, 1, self->results) ? 0 : self->results[0].error);
	ovlt_umount("t0");
	ovlt_umount("t1/in");
	ovlt_umount("t1");
	free(self->room.mounts);
	self->room.mounts = ovlt_mountinfo();
}

TEST_F(detach, open_file)
{
	int fd = ovlt_open("t0/f", O_RDONLY);

	EXPECT_DETACHED(1, ovlt_entry_path("t0", 0), ovlt_entry_path("t1/in", 0));
	EXPECT_RESULT(-EBUSY, TARGET, 0, self->results[0]);
	EXPECT_NE('\0', self->results[0].message[0]);
	EXPECT_MOUNTED(true, self->t0, "t0");
	close(fd);
	EXPECT_DETACHED(1, ovlt_entry_path("t0", 0));
}

TEST_F(detach, open_file_lazy)
{
	int fd = ovlt_open("t0/f", O_RDONLY);
	char byte;

	EXPECT_DETACHED(1, ovlt_entry_path("t0", OVLTREE_DETACH_LAZY));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_MOUNTED(false, self->t0, "t0");
	/* It lives on for who has it open. */
	EXPECT_EQ(1, read(fd, &byte, 1));
	EXPECT_EQ('u', byte);
	close(fd);
}

TEST_F(detach, working_directory)
{
	ASSERT_EQ(0, chdir("t0"));
	EXPECT_DETACHED(0, ovlt_entry_path("/tmp/t0", 0));
	EXPECT_RESULT(-EBUSY, TARGET, 0, self->results[0]);
	EXPECT_DETACHED(0, ovlt_entry_path(".", 0));
	EXPECT_RESULT(-EBUSY, TARGET, 0, self->results[0]);
	EXPECT_DETACHED(1, ovlt_entry_path(".", OVLTREE_DETACH_LAZY));
	ASSERT_EQ(0, chdir("/tmp"));
	EXPECT_MOUNTED(false, self->t0, "t0");
}

/* A descriptor of the mount keeps it busy, as it does for umount(2). */
TEST_F(detach, by_descriptor)
{
	struct ovltree_detach entry = { };

	entry.target.fd = ovlt_open("t0", O_PATH);
	EXPECT_DETACHED(0, entry);
	EXPECT_RESULT(-EBUSY, TARGET, 0, self->results[0]);
	entry.flags = OVLTREE_DETACH_LAZY;
	EXPECT_DETACHED(1, entry);
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_MOUNTED(false, self->t0, "t0");
	/* It isn't in the table any more. */
	EXPECT_DETACHED(0, entry);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	close(entry.target.fd);
}

TEST_F(detach, relative)
{
	struct ovltree_detach entry = ovlt_entry_path("in", 0);

	entry.target.fd = ovlt_open("t1", O_PATH);
	EXPECT_DETACHED(1, entry);
	EXPECT_MOUNTED(false, self->in, "t1/in");
	close(entry.target.fd);
}

TEST_F(detach, symlink)
{
	struct ovltree_detach entry = ovlt_entry_path("link", 0);

	ASSERT_EQ(0, symlink("t0", "link"));
	entry.target.flags = OVLTREE_PATH_NOFOLLOW;
	EXPECT_DETACHED(0, entry);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	entry.target.flags = 0;
	EXPECT_DETACHED(1, entry);
	EXPECT_MOUNTED(false, self->t0, "t0");
}

TEST_F(detach, detached)
{
	struct ovltree_detach entry = { .flags = OVLTREE_DETACH_LAZY };

	entry.target.fd = ovlt_sys_fsmount("tmpfs");
	ASSERT_LE(0, entry.target.fd);
	EXPECT_DETACHED(0, entry);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[0]);
	close(entry.target.fd);
}

TEST_F(detach, force)
{
	EXPECT_DETACHED(2, ovlt_entry_path("t0", OVLTREE_DETACH_FORCE),
			ovlt_entry_id(self->in, OVLTREE_DETACH_FORCE | OVLTREE_DETACH_LAZY));
	EXPECT_MOUNTED(false, self->t0, "t0");
}

TEST_F(detach, written_files_stay)
{
	struct ovltree_tree *tree = ovlt_simple_tree();

	ovlt_tree_upper(tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, tree, "t2"));
	ovlt_write("t2/new", "new\n");
	EXPECT_DETACHED(1, ovlt_entry_path("t2", 0));
	EXPECT_STREQ("new\n", ovlt_read("u/new"));
	/* The superblock is gone: upper and work can be used again. */
	ovlt_tree_option(tree, "index=on");
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, tree, "t2"));
	EXPECT_DETACHED(1, ovlt_entry_path("t2", 0));
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, tree, "t2"));
	EXPECT_DETACHED(1, ovlt_entry_path("t2", 0));
}

TEST_F(detach, id_of_attach)
{
	struct ovltree_attach entry = ovlt_entry_tree(ovlt_simple_tree(), "t2");

	ASSERT_EQ(1, ovlt_attach(self->room.dev, 0, &entry, 1, self->results));
	EXPECT_DETACHED(1, ovlt_entry_id(self->results[0].mnt_id, 0));
	EXPECT_STREQ("", ovlt_list("t2"));
}

/*
 * The caller's root is not unmounted but made read-only.
 */

struct root_arg {
	int dev;
	bool batch;
};

static int run_root(void *_arg)
{
	const struct root_arg *arg = _arg;
	int err;

	ovlt_new_mntns();
	ovlt_tmpfs("r");
	if (chroot("r") || chdir("/"))
		ovlt_die("chroot");
	err = arg->batch ? ovlt_detach_one(arg->dev, "/") : ovlt_sys_umount("/", 0);
	if (err)
		return err;
	if (!mkdir("/d", 0755))
		return -EEXIST;
	return -errno;
}

TEST_F(detach, own_root)
{
	struct root_arg arg = { .dev = self->room.dev };

	ovlt_mkdir("r");
	EXPECT_EQ(-EROFS, ovlt_fork_wait(run_root, &arg));
	arg.batch = true;
	EXPECT_EQ(-EROFS, ovlt_fork_wait(run_root, &arg));
}

/*
 * A container: its mounts are copies of ours, locked together.
 */

static int run_locked(void *arg)
{
	int dev = *(int *)arg, err;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	err = ovlt_sys_umount("t0", 0);
	if (err != -EINVAL)
		return -EIO;
	err = ovlt_detach_one(dev, "t0");
	if (err != -EINVAL)
		return err ? err : -EEXIST;
	return ovlt_detach_one(dev, "t1/in");
}

TEST_F(detach, locked)
{
	int userns = ovlt_userns("0 100000 65536\n");

	EXPECT_EQ(-EINVAL, ovlt_fork_in_userns(userns, run_locked, &self->room.dev));
	close(userns);
}

static int run_locked_by_id(void *arg)
{
	struct ovltree_detach entries[2];
	struct ovltree_result results[2];
	int dev = *(int *)arg;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	entries[0] = ovlt_entry_id(ovlt_mount_id(AT_FDCWD, "t0"), OVLTREE_DETACH_LAZY);
	if (mount("own", "t2", "tmpfs", 0, NULL))
		ovlt_die("tmpfs of a container");
	entries[1] = ovlt_entry_id(ovlt_mount_id(AT_FDCWD, "t2"), 0);
	/* What it has mounted itself is not locked. */
	if (ovlt_detach(dev, entries, 2, results) != 1 || results[1].error)
		return -EIO;
	return results[0].error;
}

TEST_F(detach, locked_by_id)
{
	int userns = ovlt_userns("0 100000 65536\n");

	EXPECT_EQ(-EINVAL, ovlt_fork_in_userns(userns, run_locked_by_id,
					       &self->room.dev));
	close(userns);
}

static int run_force(void *arg)
{
	struct ovltree_detach entry = ovlt_entry_path("t2", OVLTREE_DETACH_FORCE);
	struct ovltree_result result;
	int dev = *(int *)arg;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	/* The mount is its own, the file system is the host's. */
	if (mount("l0", "t2", NULL, MS_BIND, NULL))
		ovlt_die("bind mount of a container");
	if (ovlt_sys_umount("t2", MNT_FORCE) != -EPERM)
		return -EIO;
	if (ovlt_detach(dev, &entry, 1, &result))
		return -EEXIST;
	return result.error;
}

TEST_F(detach, force_needs_rights)
{
	int userns = ovlt_userns("0 100000 65536\n");

	EXPECT_EQ(-EPERM, ovlt_fork_in_userns(userns, run_force, &self->room.dev));
	close(userns);
}

/*
 * Trees with uppers on one ext4, t0 to t3, and how often that is synced.
 */
#define NR_SYNCED 4
#define SYNC_EVENT OVLT_TRACING "events/ext4/ext4_sync_fs/enable"

FIXTURE(synced)
{
	struct ovlt_room room;
	struct ovltree_result results[NR_SYNCED];
	struct ovltree_detach entries[NR_SYNCED];
};

/* sync_filesystem() calls the file system twice, first without waiting. */
static unsigned int count_syncs(void)
{
	char *trace = ovlt_read(OVLT_TRACING "trace");
	unsigned int nr = 0;

	for (char *at = trace; (at = strstr(at, "ext4_sync_fs: ")); at++) {
		const char *wait = strstr(at, " wait 1");

		nr += wait && wait < strchrnul(at, '\n');
	}
	free(trace);
	return nr;
}

static void attach_synced(struct ovltree_detach *entries, int dev, const char *option)
{
	for (int i = 0; i < NR_SYNCED; i++) {
		struct ovltree_tree *tree = ovlt_simple_tree();
		char *target = ovlt_fmt("t%d", i);

		ovlt_mkdirs(target, ovlt_fmt("u%d", i), ovlt_fmt("w%d", i), NULL);
		ovlt_tree_upper(tree, ovlt_fmt("u%d", i), ovlt_fmt("w%d", i));
		if (option)
			ovlt_tree_option(tree, option);
		if (ovlt_attach_one(dev, tree, target))
			ovlt_die("%s", target);
		ovlt_write(ovlt_fmt("t%d/new", i), "new\n");
		entries[i] = ovlt_entry_path(target, 0);
	}
	ovlt_write(SYNC_EVENT, "1");
	ovlt_write(OVLT_TRACING "trace", "");
}

FIXTURE_SETUP(synced)
{
	if (!ovlt_exists(SYNC_EVENT))
		SKIP(return, "no event for the syncs of ext4");
	ovlt_room_enter(&self->room);
	ovlt_room_on_ext4(&self->room);
	ovlt_simple_layers();
}

FIXTURE_TEARDOWN(synced)
{
	if (!self->room.mounts)
		return;
	ovlt_write(SYNC_EVENT, "0");
	ovlt_write(OVLT_TRACING "trace", "");
	for (int i = 0; i < NR_SYNCED; i++)
		EXPECT_STREQ("new\n", ovlt_read(ovlt_fmt("u%d/new", i)));
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(synced, one_by_one)
{
	attach_synced(self->entries, self->room.dev, NULL);
	for (int i = 0; i < NR_SYNCED; i++)
		EXPECT_EQ(0, ovlt_sys_umount(ovlt_fmt("t%d", i), 0));
	EXPECT_EQ(NR_SYNCED, count_syncs());
}

TEST_F(synced, together)
{
	attach_synced(self->entries, self->room.dev, NULL);
	EXPECT_EQ(NR_SYNCED, ovlt_detach(self->room.dev, self->entries, NR_SYNCED,
					 self->results));
	EXPECT_EQ(1, count_syncs());
}

TEST_F(synced, volatile_ones)
{
	attach_synced(self->entries, self->room.dev, "volatile");
	EXPECT_EQ(NR_SYNCED, ovlt_detach(self->room.dev, self->entries, NR_SYNCED,
					 self->results));
	EXPECT_EQ(0, count_syncs());
}

/* The one that is busy is written to afterwards, and synced when it goes. */
TEST_F(synced, one_is_busy)
{
	int fd;

	attach_synced(self->entries, self->room.dev, NULL);
	fd = ovlt_open("t1/new", O_RDONLY);
	EXPECT_EQ(NR_SYNCED - 1, ovlt_detach(self->room.dev, self->entries, NR_SYNCED,
					     self->results));
	EXPECT_RESULT(-EBUSY, TARGET, 0, self->results[1]);
	EXPECT_EQ(1, count_syncs());
	close(fd);
	ovlt_write("t1/late", "late\n");
	EXPECT_EQ(0, ovlt_sys_umount("t1", 0));
	EXPECT_EQ(2, count_syncs());
	EXPECT_STREQ("late\n", ovlt_read("u1/late"));
}

/* Another mount of a tree keeps it in use, and its sync for later. */
TEST_F(synced, one_is_mounted_twice)
{
	attach_synced(self->entries, self->room.dev, NULL);
	ovlt_mkdir("other");
	ovlt_mount("t1", "other", NULL, MS_BIND, NULL);
	EXPECT_EQ(NR_SYNCED, ovlt_detach(self->room.dev, self->entries, NR_SYNCED,
					 self->results));
	EXPECT_EQ(1, count_syncs());
	ovlt_write("other/late", "late\n");
	EXPECT_EQ(0, ovlt_sys_umount("other", 0));
	EXPECT_EQ(2, count_syncs());
	EXPECT_STREQ("late\n", ovlt_read("u1/late"));
}

/* Waits until @nr are shut down, and a while longer for those that must not be. */
static unsigned int wait_for_syncs(unsigned int nr)
{
	for (int i = 0; i < 1000 && count_syncs() < nr; i++)
		usleep(10000);
	usleep(200000);
	return count_syncs();
}

/* Shut down when the caller has gone on, together all the same. */
TEST_F(synced, lazily)
{
	int fd;

	attach_synced(self->entries, self->room.dev, NULL);
	fd = ovlt_open("t1", O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < NR_SYNCED; i++)
		self->entries[i].flags = OVLTREE_DETACH_LAZY;
	EXPECT_EQ(NR_SYNCED, ovlt_detach(self->room.dev, self->entries, NR_SYNCED,
					 self->results));
	EXPECT_EQ(1, wait_for_syncs(1));
	EXPECT_EQ(0, mkdirat(fd, "late", 0755));
	close(fd);
	EXPECT_EQ(2, wait_for_syncs(2));
	EXPECT_TRUE(ovlt_exists("u1/late"));
}

#define MARK "detached"
#define MARK_ROUNDS 20

/* Detach lazily, mark the trace, and wait. Return: whether the sync came after the mark. */
static bool detach_and_mark(struct __test_metadata *_metadata,
			    struct _test_data_synced *self, int marker)
{
	char *trace, *mark, *sync;
	bool after;

	attach_synced(self->entries, self->room.dev, NULL);
	for (int i = 0; i < NR_SYNCED; i++)
		self->entries[i].flags = OVLTREE_DETACH_LAZY;
	EXPECT_EQ(NR_SYNCED, ovlt_detach(self->room.dev, self->entries, NR_SYNCED,
					 self->results));
	if (write(marker, MARK, strlen(MARK)) != strlen(MARK))
		ovlt_die("trace_marker");
	EXPECT_EQ(1, wait_for_syncs(1));
	trace = ovlt_read(OVLT_TRACING "trace");
	mark = strstr(trace, MARK);
	sync = strstr(trace, "ext4_sync_fs: ");
	after = mark && sync && mark < sync;
	free(trace);
	return after;
}

/*
 * The caller isn't kept waiting for the sync, which comes 10 ms later. A caller that is
 * kept from going on for so long, by whatever else the machine does, has another try.
 */
TEST_F(synced, not_before_lazy_returns)
{
	int marker = ovlt_open(OVLT_TRACING "trace_marker", O_WRONLY);
	bool after = false;

	for (int i = 0; i < MARK_ROUNDS && !after; i++)
		after = detach_and_mark(_metadata, self, marker);
	EXPECT_TRUE(after);
	close(marker);
}

TEST_HARNESS_MAIN
