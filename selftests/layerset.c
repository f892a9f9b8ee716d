// SPDX-License-Identifier: GPL-2.0
/*
 * Layer sets: how long they live, what they take, and that a tree on one is the
 * tree that the same layers make without, or is refused with the same errno.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define MAX_LOWER 500
#define MANY 20

/*
 *	l1 l0	layers of the tree, and of the set
 *	fs	a tmpfs, with layers fs/l1 fs/l0 fs/removed
 *	m p	targets
 */
FIXTURE(layerset)
{
	struct ovlt_room room;
	struct ovltree_tree tree;
	struct ovltree_tree on_fs;
	struct ovltree_result result;
	unsigned int sets;
	unsigned int files;
	int set;
};

static unsigned int count_files(void)
{
	unsigned int nr = 0;

	for (const char *c = ovlt_list("/proc/self/fd"); *c; c++)
		nr += *c == ' ';
	return nr;
}

FIXTURE_SETUP(layerset)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_tmpfs("fs");
	ovlt_write("fs/l1/f", "upper");
	ovlt_write("fs/l0/g", "lower");
	ovlt_mkdir("fs/removed");
	ovlt_mkdirs("m", "p", NULL);
	ovlt_tree_lowers(&self->tree, "l1", "l0", NULL);
	ovlt_tree_lowers(&self->on_fs, "fs/l1", "fs/l0", NULL);
	self->sets = ovlt_count_layersets(self->room.dev);
	self->set = ovlt_layerset_one(self->room.dev, &self->tree);
	ASSERT_LE(0, self->set);
	self->files = count_files();
}

/* Whatever a test has left open keeps a set, and that keeps a file system. */
FIXTURE_TEARDOWN(layerset)
{
	umount2("p", MNT_DETACH);
	umount2("m", MNT_DETACH);
	EXPECT_EQ(0, close(self->set));
	EXPECT_EQ(self->sets, ovlt_count_layersets(self->room.dev));
	EXPECT_EQ(0, ovlt_sys_umount("fs", 0));
	EXPECT_ROOM_CLEAN(&self->room);
}

static int attach_on(int dev, int set, const struct ovltree_tree *tree,
		     const char *target)
{
	struct ovltree_tree on = ovlt_tree_on(set, tree);

	return ovlt_attach_one(dev, &on, target);
}

#define ATTACH(target) \
	attach_on(self->room.dev, self->set, &self->tree, target)

/* A set, and a tree on it, which is what is attached once the set is closed. */
static int attach_anew(int dev, const struct ovltree_tree *tree, const char *target)
{
	int set = ovlt_layerset_one(dev, tree), err;

	if (set < 0)
		return set;
	err = attach_on(dev, set, tree, target);
	close(set);
	return err;
}

/* What the kernel's own calls make of the same layers. */
static int attach_plain(const struct ovltree_tree *tree, const char *target)
{
	int mnt = ovlt_sys_overlay(tree), err;

	if (mnt < 0)
		return mnt;
	err = ovlt_sys_move_mount(mnt, target);
	close(mnt);
	return err;
}

/*
 * The set and its descriptor
 */

TEST_F(layerset, made)
{
	EXPECT_EQ(2, ovlt_layerset_info(self->set, "layers"));
	EXPECT_NE(0, ovlt_layerset_info(self->set, "id"));
	EXPECT_EQ(self->sets + 1, ovlt_count_layersets(self->room.dev));
	/* It is a handle, and nothing to be read or walked. */
	EXPECT_EQ(-1, read(self->set, &(char){ 0 }, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, openat(self->set, "f", O_RDONLY));
	EXPECT_EQ(ENOTDIR, errno);
}

TEST_F(layerset, one_for_each_descriptor)
{
	struct ovltree_layerset entries[] = {
		ovlt_entry_layerset(&self->tree), ovlt_entry_layerset(&self->tree),
	};
	struct ovltree_result results[2];
	int copy;

	EXPECT_EQ(2, ovlt_layerset(self->room.dev, 0, entries, 2, results));
	EXPECT_EQ(self->sets + 3, ovlt_count_layersets(self->room.dev));
	for (int i = 0; i < 2; i++) {
		EXPECT_RESULT_OK(results[i]);
		EXPECT_EQ(0, fcntl(results[i].fd, F_GETFD));
	}
	EXPECT_NE(results[0].fd, results[1].fd);
	EXPECT_LT(ovlt_layerset_info(self->set, "id"),
		  ovlt_layerset_info(results[0].fd, "id"));
	EXPECT_LT(ovlt_layerset_info(results[0].fd, "id"),
		  ovlt_layerset_info(results[1].fd, "id"));

	copy = dup(results[0].fd);
	EXPECT_EQ(ovlt_layerset_info(results[0].fd, "id"), ovlt_layerset_info(copy, "id"));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, close(results[i].fd));
	EXPECT_EQ(self->sets + 2, ovlt_count_layersets(self->room.dev));
	EXPECT_EQ(0, attach_on(self->room.dev, copy, &self->tree, "m"));
	EXPECT_EQ(0, close(copy));
	EXPECT_EQ(self->sets + 1, ovlt_count_layersets(self->room.dev));
}

TEST_F(layerset, closed_by_execve)
{
	struct ovltree_layerset entry = ovlt_entry_layerset(&self->tree);

	EXPECT_EQ(1, ovlt_layerset(self->room.dev, OVLTREE_BATCH_CLOEXEC, &entry, 1,
				   &self->result));
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->result.fd, F_GETFD));
	EXPECT_EQ(0, close(self->result.fd));
}

TEST_F(layerset, all_or_nothing)
{
	struct ovltree_layerset entries[] = {
		ovlt_entry_layerset(&self->tree),
		{ .nr_lower = 1 },
		ovlt_entry_layerset(&self->tree),
	};
	struct ovltree_result results[3];

	EXPECT_EQ(0, ovlt_layerset(self->room.dev, OVLTREE_BATCH_ALL, entries, 3,
				   results));
	EXPECT_CANCELED(results[0]);
	EXPECT_RESULT(-EINVAL, LOWER, 0, results[1]);
	EXPECT_CANCELED(results[2]);
	EXPECT_EQ(self->files, count_files());
	EXPECT_EQ(self->sets + 1, ovlt_count_layersets(self->room.dev));

	EXPECT_EQ(2, ovlt_layerset(self->room.dev, 0, entries, 3, results));
	EXPECT_RESULT_OK(results[0]);
	EXPECT_RESULT(-EINVAL, LOWER, 0, results[1]);
	EXPECT_RESULT_OK(results[2]);
	EXPECT_EQ(0, close(results[0].fd));
	EXPECT_EQ(0, close(results[2].fd));
	EXPECT_EQ(self->files, count_files());
}

TEST_F(layerset, unknown_flag)
{
	struct ovltree_layerset entry = ovlt_entry_layerset(&self->tree);

	for (int bit = 0; bit < 32; bit++) {
		entry.flags = 1U << bit;
		EXPECT_EQ(0, ovlt_layerset(self->room.dev, 0, &entry, 1, &self->result));
		EXPECT_RESULT(-EINVAL, FLAGS, 0, self->result);
	}
}

TEST_F(layerset, no_descriptor_left)
{
	struct ovltree_layerset entries[] = {
		ovlt_entry_layerset(&self->tree), ovlt_entry_layerset(&self->tree),
	};
	struct ovltree_result results[2];
	int last = dup(self->set);
	struct rlimit limit;

	ASSERT_LT(self->set, last);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = last + 1;
	ASSERT_EQ(0, close(last));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(0, ovlt_layerset(self->room.dev, OVLTREE_BATCH_ALL, entries, 2,
				   results));
	EXPECT_CANCELED(results[0]);
	EXPECT_RESULT(-EMFILE, NONE, 0, results[1]);
	EXPECT_EQ(self->sets + 1, ovlt_count_layersets(self->room.dev));
	EXPECT_EQ(1, ovlt_layerset(self->room.dev, 0, entries, 2, results));
	EXPECT_EQ(last, results[0].fd);
	EXPECT_RESULT(-EMFILE, NONE, 0, results[1]);
	EXPECT_EQ(self->sets + 2, ovlt_count_layersets(self->room.dev));
	limit.rlim_cur = limit.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(0, close(last));
}

/*
 * Lifetime
 */

TEST_F(layerset, closed_first)
{
	ASSERT_EQ(0, attach_anew(self->room.dev, &self->on_fs, "m"));
	EXPECT_EQ(self->sets + 1, ovlt_count_layersets(self->room.dev));
	ovlt_write("/proc/sys/vm/drop_caches", "3");
	EXPECT_STREQ("f g", ovlt_list("m"));
	EXPECT_STREQ("upper", ovlt_read("m/f"));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "m"));
}

TEST_F(layerset, detached_first)
{
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(0, ATTACH("m"));
		EXPECT_STREQ("upper\n", ovlt_read("m/f"));
		EXPECT_STREQ("g\n", ovlt_read("m/d/g"));
		EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "m"));
		EXPECT_EQ(self->sets + 1, ovlt_count_layersets(self->room.dev));
	}
}

/* As a folder's descriptor it keeps the mount; as any overlay, a tree on it doesn't. */
TEST_F(layerset, layers_file_system_is_unmounted)
{
	int set = ovlt_layerset_one(self->room.dev, &self->on_fs);

	ASSERT_LE(0, set);
	EXPECT_EQ(-EBUSY, ovlt_sys_umount("fs", 0));
	ASSERT_EQ(0, attach_on(self->room.dev, set, &self->on_fs, "m"));
	ASSERT_EQ(0, attach_plain(&self->on_fs, "p"));
	EXPECT_EQ(-EBUSY, ovlt_sys_umount("fs", 0));
	EXPECT_EQ(0, close(set));
	EXPECT_EQ(0, ovlt_sys_umount("fs", 0));
	EXPECT_STREQ("upper", ovlt_read("m/f"));
	EXPECT_STREQ("upper", ovlt_read("p/f"));
	EXPECT_STREQ("lower", ovlt_read("m/g"));
	EXPECT_EQ(0, ovlt_sys_umount("m", 0));
	EXPECT_EQ(0, ovlt_sys_umount("p", 0));
	ovlt_tmpfs("fs");
}

/* What is no longer in the mount table can't be cloned, by descriptor or by set. */
TEST_F(layerset, layers_mount_is_gone)
{
	int set = ovlt_layerset_one(self->room.dev, &self->on_fs);
	int folders[] = { ovlt_open("fs/l1", O_PATH), ovlt_open("fs/l0", O_PATH) };
	struct ovltree_tree plain = { };

	ASSERT_LE(0, set);
	for (int i = 0; i < 2; i++)
		ovlt_tree_lower(&plain, folders[i], NULL, 0);
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, &plain, "p"));
	EXPECT_EQ(0, attach_on(self->room.dev, set, &self->on_fs, "m"));
	ASSERT_EQ(0, ovlt_sys_umount("fs", MNT_DETACH));
	EXPECT_EQ(-EINVAL, ovlt_attach_one(self->room.dev, &plain, "p"));
	EXPECT_EQ(-EINVAL, attach_on(self->room.dev, set, &self->on_fs, "m"));
	/* The tree that is there already has a clone. */
	EXPECT_STREQ("upper", ovlt_read("m/f"));
	close(folders[0]);
	close(folders[1]);
	close(set);
	ovlt_tmpfs("fs");
}

/* What can't be cloned now is no layer, though it was one when the set was made. */
TEST_F(layerset, layers_mount_is_unbindable)
{
	int set = ovlt_layerset_one(self->room.dev, &self->on_fs);

	ASSERT_LE(0, set);
	ovlt_mount(NULL, "fs", NULL, MS_UNBINDABLE, NULL);
	EXPECT_EQ(-EINVAL, attach_plain(&self->on_fs, "p"));
	EXPECT_EQ(-EINVAL, attach_on(self->room.dev, set, &self->on_fs, "m"));
	ovlt_mount(NULL, "fs", NULL, MS_PRIVATE, NULL);
	EXPECT_EQ(0, attach_on(self->room.dev, set, &self->on_fs, "m"));
	close(set);
}

TEST_F(layerset, layer_is_removed)
{
	int folders[] = { ovlt_open("l1", O_PATH), ovlt_open("fs/removed", O_PATH) };
	struct ovltree_tree by_fd = { };
	int set;

	for (int i = 0; i < 2; i++)
		ovlt_tree_lower(&by_fd, folders[i], NULL, 0);
	set = ovlt_layerset_one(self->room.dev, &by_fd);
	ASSERT_LE(0, set);
	ASSERT_EQ(0, rmdir("fs/removed"));
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, &by_fd, "p"));
	EXPECT_EQ(0, attach_on(self->room.dev, set, &by_fd, "m"));
	EXPECT_STREQ(ovlt_list("p"), ovlt_list("m"));
	EXPECT_STREQ("upper\n", ovlt_read("p/f"));
	EXPECT_STREQ("upper\n", ovlt_read("m/f"));
	EXPECT_EQ(0, ovlt_sys_umount("p", 0));
	EXPECT_EQ(0, ovlt_sys_umount("m", 0));
	close(set);
	close(folders[0]);
	close(folders[1]);
}

TEST_F(layerset, nothing_is_left)
{
	struct ovltree_tree refused = { };
	long mounts = ovlt_slab_objects("mnt_cache");
	unsigned int files = count_files();

	ovlt_tree_lowers(&refused, "fs/l1", "fs", NULL);
	ovlt_tree_upper(&self->on_fs, "fs/u", "fs/w");
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, attach_anew(self->room.dev, &self->on_fs, "m"));
		ovlt_write("m/f", "written");
		ASSERT_EQ(0, ovlt_detach_one(self->room.dev, "m"));
		ASSERT_EQ(-ELOOP, ovlt_layerset_one(self->room.dev, &refused));
	}
	EXPECT_EQ(files, count_files());
	EXPECT_GE(mounts, ovlt_mounts_at_rest(mounts));
}

/*
 * Many trees, each with its own ids and its own upper folder
 */

static uid_t owner_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_uid;
}

TEST_F(layerset, many_trees)
{
	static const uid_t bases[] = { 100000, 200000, 0 };
	int userns[] = { ovlt_userns("0 100000 65536\n"), ovlt_userns("0 200000 65536\n") };
	struct ovltree_result results[MANY];
	struct ovltree_attach entries[MANY];
	struct ovltree_tree trees[MANY];

	for (int i = 0; i < MANY; i++) {
		char *target = ovlt_fmt("t/%d", i);

		ovlt_mkdir(target);
		trees[i] = ovlt_tree_on(self->set, &self->tree);
		ovlt_tree_upper(&trees[i], ovlt_fmt("c/%d/u", i), ovlt_fmt("c/%d/w", i));
		if (bases[i % 3])
			ovlt_tree_idmap(&trees[i], userns[i % 3]);
		entries[i] = ovlt_entry_tree(&trees[i], target);
	}
	ASSERT_EQ(MANY, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, MANY,
				    results));
	for (int i = 0; i < MANY; i++) {
		EXPECT_EQ(bases[i % 3], owner_of(ovlt_fmt("t/%d/f", i)));
		EXPECT_EQ(bases[i % 3], owner_of(ovlt_fmt("t/%d/d", i)));
		ovlt_write(ovlt_fmt("t/%d/f", i), ovlt_fmt("%d", i));
	}
	for (int i = 0; i < MANY; i++) {
		EXPECT_STREQ(ovlt_fmt("%d", i), ovlt_read(ovlt_fmt("t/%d/f", i)));
		EXPECT_STREQ(ovlt_fmt("%d", i), ovlt_read(ovlt_fmt("c/%d/u/f", i)));
		/* Copied up with its owner. */
		EXPECT_EQ(bases[i % 3], owner_of(ovlt_fmt("c/%d/u/f", i)));
		EXPECT_EQ(0, ovlt_sys_umount(ovlt_fmt("t/%d", i), 0));
	}
	EXPECT_STREQ("upper\n", ovlt_read("l1/f"));
	EXPECT_EQ(0, owner_of("l1/f"));
	close(userns[0]);
	close(userns[1]);
}

/* An upper folder belongs to one tree, on one set or another. */
TEST_F(layerset, upper_is_taken)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ovlt_tree_option(&self->tree, "index=on");
	ASSERT_EQ(0, ATTACH("m"));
	EXPECT_EQ(-EBUSY, attach_plain(&self->tree, "p"));
	EXPECT_EQ(-EBUSY, ATTACH("p"));
	EXPECT_EQ(-EBUSY, attach_anew(self->room.dev, &self->tree, "p"));
}

/*
 * What a set is made of
 */

TEST_F(layerset, number_of_layers)
{
	struct ovltree_tree tree = { };
	struct ovltree_layerset entry;
	int set;

	for (int i = 0; i <= MAX_LOWER; i++) {
		ovlt_write(ovlt_fmt("many/%d/%d", i, i), "");
		ovlt_tree_lower(&tree, AT_FDCWD, ovlt_fmt("many/%d", i), 0);
	}
	entry = ovlt_entry_layerset(&tree);
	EXPECT_EQ(0, ovlt_layerset(self->room.dev, 0, &entry, 1, &self->result));
	EXPECT_RESULT(-EINVAL, LOWER, MAX_LOWER, self->result);
	entry.nr_lower = 0;
	EXPECT_EQ(0, ovlt_layerset(self->room.dev, 0, &entry, 1, &self->result));
	EXPECT_RESULT(-EINVAL, LOWER, 0, self->result);

	tree.nr_lower = MAX_LOWER;
	set = ovlt_layerset_one(self->room.dev, &tree);
	ASSERT_LE(0, set);
	EXPECT_EQ(0, attach_on(self->room.dev, set, &tree, "m"));
	for (int i = 0; i < MAX_LOWER; i++)
		EXPECT_TRUE(ovlt_exists(ovlt_fmt("m/%d", i)));
	EXPECT_FALSE(ovlt_exists(ovlt_fmt("m/%d", MAX_LOWER)));
	close(set);

	/* One layer is enough for a set, though not for a tree without upper folder. */
	tree.nr_lower = 1;
	set = ovlt_layerset_one(self->room.dev, &tree);
	ASSERT_LE(0, set);
	EXPECT_EQ(-EINVAL, attach_plain(&tree, "p"));
	EXPECT_EQ(-EINVAL, attach_on(self->room.dev, set, &tree, "p"));
	ovlt_tree_upper(&tree, "u", "w");
	EXPECT_EQ(0, attach_on(self->room.dev, set, &tree, "p"));
	EXPECT_STREQ("0", ovlt_list("p"));
	close(set);
}

/* Refused with the errno of an overlay of these layers, and by number. */
TEST_F(layerset, wrong_layers)
{
	static const struct {
		const char *lower[3];
		__u32 data[3];
		int err;
		__u32 index;
	} table[] = {
		{ { "l1", "nothing" }, { }, -ENOENT, 1 },
		{ { "l1", "l0/f" }, { }, -EINVAL, 1 },
		{ { "l1/f", "l0" }, { }, -EINVAL, 0 },
		{ { "l1", "l0", "l1" }, { }, -ELOOP, 2 },
		{ { "l1", "l0", "l0/d" }, { }, -ELOOP, 2 },
		{ { "l0/d", "l1", "l0" }, { }, -ELOOP, 0 },
		{ { "l1", "." }, { }, -ELOOP, 0 },
		{ { "l1", "l0", "l0" }, { 0, 0, 1 }, -ELOOP, 2 },
		{ { "l1", "l0" }, { 1, 0 }, -EINVAL, 1 },
		{ { "l1", "l0" }, { 1, 1 }, -EINVAL, 0 },
	};

	for (int i = 0; i < ARRAY_SIZE(table); i++) {
		struct ovltree_layerset entry;
		struct ovltree_tree tree = { };

		for (int j = 0; j < ARRAY_SIZE(table[i].lower) && table[i].lower[j]; j++)
			ovlt_tree_lower(&tree, AT_FDCWD, table[i].lower[j],
					table[i].data[j] ? OVLTREE_PATH_DATA : 0);
		ovlt_tree_option(&tree, "metacopy=on");
		entry = ovlt_entry_layerset(&tree);
		EXPECT_EQ(table[i].err, attach_plain(&tree, "p")) {
			TH_LOG("row %d", i);
		}
		EXPECT_EQ(0, ovlt_layerset(self->room.dev, 0, &entry, 1, &self->result));
		EXPECT_RESULT(table[i].err, LOWER, table[i].index, self->result);
	}
	EXPECT_EQ(self->files, count_files());
}

/* A layer that is one mount of a file system, and one that is another. */
TEST_F(layerset, same_folder_on_two_mounts)
{
	struct ovltree_tree tree = { };

	ovlt_mkdir("bind");
	ovlt_mount("l0", "bind", NULL, MS_BIND, NULL);
	ovlt_tree_lowers(&tree, "l0", "l1", "bind", NULL);
	EXPECT_EQ(-ELOOP, attach_plain(&tree, "p"));
	EXPECT_EQ(-ELOOP, ovlt_layerset_one(self->room.dev, &tree));
	ovlt_umount("bind");
}

/* Trees with an upper folder, with what becomes of each. */
TEST_F(layerset, own_folders)
{
	static const struct {
		const char *lower, *upper, *work;
		bool index;
		int err;
	} table[] = {
		{ "u/l", "u", "w", false, -ELOOP },
		{ "w/l", "u", "w", false, -ELOOP },
		{ "u", "u", "w", false, -ELOOP },
		{ "l0", "u", "w", false, 0 },
		/* Of another overlay */
		{ "taken/u", "u", "w", true, -EBUSY },
		{ "taken/u/l", "u", "w", true, -EBUSY },
		{ "taken/u/l", "u", "w", false, 0 },
		{ "taken/u", "u", "w", false, 0 },
		/* Of another overlay, and that in ours */
		{ "taken/u/l", "taken", "w2", true, -EBUSY },
		{ "taken/u/l", "taken", "w", false, -ELOOP },
	};
	struct ovltree_tree other = { };

	ovlt_mkdirs("taken/u/l", "u/l", "w/l", "o", NULL);
	ovlt_tree_lowers(&other, "l0", NULL);
	ovlt_tree_upper(&other, "taken/u", "taken/w");
	ASSERT_EQ(0, attach_plain(&other, "o"));
	for (int i = 0; i < ARRAY_SIZE(table); i++) {
		struct ovltree_tree tree = { };

		ovlt_tree_lowers(&tree, "l1", table[i].lower, NULL);
		ovlt_tree_upper(&tree, table[i].upper, table[i].work);
		ovlt_tree_option(&tree, table[i].index ? "index=on" : "index=off");
		EXPECT_EQ(table[i].err, attach_plain(&tree, "p")) {
			TH_LOG("row %d", i);
		}
		umount2("p", 0);
		EXPECT_EQ(table[i].err, attach_anew(self->room.dev, &tree, "m")) {
			TH_LOG("row %d", i);
		}
		umount2("m", 0);
	}
	EXPECT_EQ(0, ovlt_sys_umount("o", 0));
}

/* Overlayfs mounts this, and sees to it that nobody walks into it. */
TEST_F(layerset, own_folders_in_a_layer)
{
	ovlt_tree_upper(&self->tree, "l0/u", "l0/w");
	ASSERT_EQ(0, attach_plain(&self->tree, "p"));
	EXPECT_STREQ("ELOOP", ovlt_list("p/u"));
	EXPECT_STREQ("ELOOP", ovlt_list("p/w"));
	EXPECT_EQ(0, ovlt_sys_umount("p", 0));
	ASSERT_EQ(0, ATTACH("m"));
	EXPECT_STREQ("ELOOP", ovlt_list("m/u"));
	EXPECT_STREQ("ELOOP", ovlt_list("m/w"));
	EXPECT_STREQ("upper\n", ovlt_read("m/f"));
}

TEST_F(layerset, depth)
{
	struct ovltree_tree second = { }, third = { };

	ASSERT_EQ(0, ATTACH("m"));
	ovlt_mkdirs("m2", NULL);
	ovlt_tree_lowers(&second, "m", "fs/l1", NULL);
	ASSERT_EQ(0, attach_anew(self->room.dev, &second, "m2"));
	EXPECT_STREQ("upper\n", ovlt_read("m2/f"));
	ovlt_tree_lowers(&third, "fs/l1", "m2", NULL);
	EXPECT_EQ(-EINVAL, attach_plain(&third, "p"));
	EXPECT_EQ(-EINVAL, attach_anew(self->room.dev, &third, "p"));
	EXPECT_EQ(0, ovlt_sys_umount("m2", 0));
}

/*
 * What is seen through the tree: as through an overlay of the kernel's own calls,
 * on "p", of the same layers
 */

static char *look(const char *root, const char *name)
{
	char *path = ovlt_fmt("%s/%s", root, name);
	struct stat top, st;

	if (stat(root, &top))
		ovlt_die("stat %s", root);
	if (lstat(path, &st))
		return ovlt_fmt("%s: %s", name, strerrorname_np(errno));
	return ovlt_fmt("%s: mode %o owner %u links %lu inode %lu of %s: %s", name,
			st.st_mode, st.st_uid, (unsigned long)st.st_nlink,
			(unsigned long)st.st_ino,
			st.st_dev == top.st_dev ? "the overlay" : "a layer",
			S_ISDIR(st.st_mode) ? ovlt_list(path) : ovlt_read(path));
}

#define EXPECT_SAME(tree, ...) do { \
	static const char *const __names[] = { __VA_ARGS__ }; \
	const struct ovltree_tree *__tree = tree; \
	ASSERT_EQ(0, attach_plain(__tree, "p")); \
	ASSERT_EQ(0, attach_anew(self->room.dev, __tree, "m")); \
	EXPECT_STREQ(ovlt_list("p"), ovlt_list("m")); \
	for (int __i = 0; __i < ARRAY_SIZE(__names); __i++) \
		EXPECT_STREQ(look("p", __names[__i]), look("m", __names[__i])); \
	EXPECT_STREQ(ovlt_find_mount(ovlt_mountinfo(), "p")->super, \
		     ovlt_find_mount(ovlt_mountinfo(), "m")->super); \
	EXPECT_STREQ(ovlt_find_mount(ovlt_mountinfo(), "p")->options, \
		     ovlt_find_mount(ovlt_mountinfo(), "m")->options); \
} while (0)

TEST_F(layerset, two_file_systems)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lowers(&tree, "l1", "/tmp/fs/l1", "l0", "fs/l0", NULL);
	ovlt_tree_option(&tree, "xino=on");
	EXPECT_SAME(&tree, "f", "g", "d/g", "nothing");
	EXPECT_STREQ("upper\n", ovlt_read("m/f"));
	EXPECT_STREQ("lower", ovlt_read("m/g"));
}

TEST_F(layerset, two_file_systems_without_xino)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lowers(&tree, "fs/l1", "l1", "l0", "fs/l0", NULL);
	ovlt_tree_option(&tree, "xino=off");
	EXPECT_SAME(&tree, "f", "g", "d/g", "nothing");
	EXPECT_STREQ("upper", ovlt_read("m/f"));
}

TEST_F(layerset, whiteouts)
{
	struct ovltree_tree tree = { };

	/* Whiteouts that are files with an xattr, in folders that tell so. */
	ovlt_xattr("l1", "trusted.overlay.opaque", "x");
	ovlt_write("l1/gone", "");
	ovlt_xattr("l1/gone", "trusted.overlay.whiteout", "");
	ovlt_write("l0/gone", "0");
	ovlt_mkdir("l1/in");
	ovlt_xattr("l1/in", "trusted.overlay.opaque", "x");
	ovlt_write("l1/in/gone", "");
	ovlt_xattr("l1/in/gone", "trusted.overlay.whiteout", "");
	ovlt_write("l0/in/gone", "0");
	ovlt_write("l0/in/kept", "0");
	/* The same file where nothing tells so, and the usual kind. */
	ovlt_write("fs/l1/file", "");
	ovlt_xattr("fs/l1/file", "trusted.overlay.whiteout", "");
	ovlt_whiteout("fs/l1/in/kept");
	ovlt_opaque("fs/l1/d");
	ovlt_write("fs/l1/d/new", "1");
	ovlt_tree_lowers(&tree, "fs/l1", "l1", "l0", NULL);
	EXPECT_SAME(&tree, "gone", "in/gone", "in/kept", "file", "d/new", "d/g");
	EXPECT_STREQ("d f file in", ovlt_list("m"));
	EXPECT_STREQ("", ovlt_list("m/in"));
	EXPECT_STREQ("new", ovlt_list("m/d"));
}

TEST_F(layerset, whiteouts_of_users)
{
	struct ovltree_tree tree = { };

	ovlt_xattr("l1", "user.overlay.opaque", "x");
	ovlt_write("l1/gone", "");
	ovlt_xattr("l1/gone", "user.overlay.whiteout", "");
	ovlt_write("l0/gone", "0");
	ovlt_xattr("fs/l1", "trusted.overlay.opaque", "x");
	ovlt_write("fs/l1/kept", "");
	ovlt_xattr("fs/l1/kept", "trusted.overlay.whiteout", "");
	ovlt_tree_lowers(&tree, "fs/l1", "l1", "l0", NULL);
	ovlt_tree_option(&tree, "userxattr");
	EXPECT_SAME(&tree, "gone", "kept");
	EXPECT_STREQ("d f kept", ovlt_list("m"));
}

TEST_F(layerset, redirects_and_data_layers)
{
	struct ovltree_tree tree = { };

	ovlt_write("fs/data/blob", "data");
	ovlt_write("l1/meta", "");
	ASSERT_EQ(0, truncate("l1/meta", 4));
	ASSERT_EQ(0, setxattr("l1/meta", "trusted.overlay.metacopy", "", 0, 0));
	ovlt_xattr("l1/meta", "trusted.overlay.redirect", "/blob");
	ovlt_mkdir("l1/renamed");
	ovlt_xattr("l1/renamed", "trusted.overlay.redirect", "/d");
	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	ovlt_tree_lower(&tree, AT_FDCWD, "fs/data", OVLTREE_PATH_DATA);
	ovlt_tree_option(&tree, "metacopy=on");
	ovlt_tree_option(&tree, "redirect_dir=on");
	EXPECT_SAME(&tree, "meta", "renamed/g", "blob");
	EXPECT_STREQ("data", ovlt_read("m/meta"));
	EXPECT_STREQ("g\n", ovlt_read("m/renamed/g"));
	EXPECT_STREQ("ENOENT", ovlt_read("m/blob"));
}

/* The root of a layer is found in another layer: by a rename after the set is made. */
TEST_F(layerset, layer_moves_into_another)
{
	int folders[] = { ovlt_open("l1", O_PATH), ovlt_open("l0", O_PATH) };
	struct ovltree_tree by_fd = { };

	for (int i = 0; i < 2; i++)
		ovlt_tree_lower(&by_fd, folders[i], NULL, 0);
	ASSERT_EQ(0, attach_plain(&self->tree, "p"));
	ASSERT_EQ(0, ATTACH("m"));
	ASSERT_EQ(0, rename("l0", "l1/sub"));
	EXPECT_STREQ("ELOOP", ovlt_read("p/sub/f"));
	EXPECT_STREQ("ELOOP", ovlt_read("m/sub/f"));
	EXPECT_STREQ("ELOOP", ovlt_list("m/sub"));
	EXPECT_STREQ("upper\n", ovlt_read("m/f"));
	EXPECT_EQ(0, ovlt_sys_umount("m", 0));

	/* Whether layers overlap was asked when the set was made. */
	EXPECT_EQ(-ELOOP, ovlt_attach_one(self->room.dev, &by_fd, "m"));
	EXPECT_EQ(-ELOOP, ovlt_layerset_one(self->room.dev, &by_fd));
	ASSERT_EQ(0, ATTACH("m"));
	EXPECT_STREQ("ELOOP", ovlt_read("m/sub/f"));
	EXPECT_EQ(0, ovlt_sys_umount("m", 0));

	ASSERT_EQ(0, rename("l1/sub", "l0"));
	ASSERT_EQ(0, ATTACH("m"));
	EXPECT_STREQ("ENOENT", ovlt_read("m/sub/f"));
	EXPECT_STREQ("g\n", ovlt_read("m/d/g"));
	close(folders[0]);
	close(folders[1]);
}

/* Where a layer is by now is asked for each tree. */
TEST_F(layerset, layer_moves_into_upper)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ovlt_mkdir("u/d");
	ASSERT_EQ(0, rename("l0", "u/d/l0"));
	EXPECT_EQ(-ELOOP, ATTACH("m"));
	ASSERT_EQ(0, rename("u/d/l0", "w/l0"));
	EXPECT_EQ(-ELOOP, ATTACH("m"));
	ASSERT_EQ(0, rename("w/l0", "l0"));
	ASSERT_EQ(0, ATTACH("m"));
	EXPECT_STREQ("upper\n", ovlt_read("m/f"));
	EXPECT_STREQ("g\n", ovlt_read("m/d/g"));
}

struct handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static struct handle handle_of(const char *path)
{
	struct handle handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int id;

	if (name_to_handle_at(AT_FDCWD, path, &handle.head, &id, 0))
		ovlt_die("name_to_handle_at %s", path);
	return handle;
}

/* The content of the file, the list of the folder, or the name of the error. */
static char *read_handle(const char *root, struct handle *handle)
{
	int top = ovlt_open(root, O_RDONLY);
	int fd = open_by_handle_at(top, &handle->head, O_RDONLY | O_CLOEXEC);
	char *path = ovlt_fmt("/proc/self/fd/%d", fd), *text;
	struct stat st;

	close(top);
	if (fd < 0)
		return ovlt_fmt("%s", strerrorname_np(errno));
	if (fstat(fd, &st))
		ovlt_die("fstat");
	text = S_ISDIR(st.st_mode) ? ovlt_list(path) : ovlt_read(path);
	close(fd);
	return text;
}

/* What is taken from the one tree finds the file in the other, mounted after it. */
TEST_F(layerset, file_handles)
{
	static const char *const names[] = { "f", "d", "d/g", "new", "written", "" };
	static const char *const texts[] = { "upper\n", "g", "g\n", "new", "written",
					     "d f new written" };
	struct handle plain[ARRAY_SIZE(names)], on_set[ARRAY_SIZE(names)];

	ovlt_write("l0/written", "0");
	ovlt_tree_upper(&self->tree, "u", "w");
	ovlt_tree_option(&self->tree, "index=on");
	ovlt_tree_option(&self->tree, "nfs_export=on");
	ASSERT_EQ(0, ATTACH("m"));
	ovlt_write("m/new", "new");
	ovlt_write("m/written", "written");
	for (int i = 0; i < ARRAY_SIZE(names); i++)
		on_set[i] = handle_of(ovlt_fmt("m/%s", names[i]));
	EXPECT_EQ(0, ovlt_sys_umount("m", 0));

	ASSERT_EQ(0, attach_plain(&self->tree, "p"));
	for (int i = 0; i < ARRAY_SIZE(names); i++) {
		plain[i] = handle_of(ovlt_fmt("p/%s", names[i]));
		EXPECT_EQ(plain[i].head.handle_type, on_set[i].head.handle_type);
		ASSERT_EQ(plain[i].head.handle_bytes, on_set[i].head.handle_bytes);
		EXPECT_EQ(0, memcmp(plain[i].head.f_handle, on_set[i].head.f_handle,
				    plain[i].head.handle_bytes)) {
			TH_LOG("\"%s\"", names[i]);
		}
		EXPECT_STREQ(texts[i], read_handle("p", &on_set[i]));
	}
	EXPECT_EQ(0, ovlt_sys_umount("p", 0));

	ASSERT_EQ(0, ATTACH("m"));
	for (int i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_STREQ(texts[i], read_handle("m", &plain[i]));
	ovlt_write("/proc/sys/vm/drop_caches", "3");
	for (int i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_STREQ(texts[i], read_handle("m", &on_set[i]));
}

/* A handle doesn't get past the trap either. */
TEST_F(layerset, file_handle_of_a_layer)
{
	struct handle handles[2];

	ovlt_mkdir("l1/sub");
	ovlt_tree_option(&self->tree, "nfs_export=on");
	ASSERT_EQ(0, attach_plain(&self->tree, "p"));
	handles[0] = handle_of("p/sub");
	ASSERT_EQ(0, ovlt_sys_umount("p", 0));
	ovlt_tree_lowers(&self->on_fs, "l1/sub", NULL);
	ovlt_tree_option(&self->on_fs, "nfs_export=on");
	ASSERT_EQ(0, attach_plain(&self->on_fs, "p"));
	ASSERT_EQ(0, attach_anew(self->room.dev, &self->on_fs, "m"));
	handles[1] = handle_of("p/f");
	EXPECT_STREQ("upper", read_handle("m", &handles[1]));
	EXPECT_STREQ("ESTALE", read_handle("p", &handles[0]));
	EXPECT_STREQ("ESTALE", read_handle("m", &handles[0]));
}

/* Names by path, by descriptor and by both, in the table. */
TEST_F(layerset, names_in_the_table)
{
	int fd = ovlt_open("fs", O_PATH);
	struct ovltree_tree tree = { };
	char *seen;

	ovlt_mkdir("a,b:c\\d e");
	ovlt_tree_lowers(&tree, "l1", "/tmp/l0", "a,b:c\\d e", NULL);
	ovlt_tree_lower(&tree, fd, "l1", 0);
	ovlt_tree_lower(&tree, ovlt_open("fs/l0", O_PATH), NULL, 0);
	ovlt_tree_upper(&tree, "u", "/tmp/w");
	ovlt_tree_option(&tree, "redirect_dir=on");
	ovlt_tree_option(&tree, "uuid=off");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &tree, "m"));
	seen = ovlt_find_mount(ovlt_mountinfo(), "m")->super;
	EXPECT_EQ(0, ovlt_sys_umount("m", 0));
	ASSERT_EQ(0, attach_anew(self->room.dev, &tree, "m"));
	EXPECT_STREQ(seen, ovlt_find_mount(ovlt_mountinfo(), "m")->super);
	EXPECT_NE(NULL, strstr(seen, "lowerdir+=l1,lowerdir+=/tmp/l0,")) {
		TH_LOG("%s", seen);
	}
	close(fd);
	close(((struct ovltree_path *)(uintptr_t)tree.lower)[4].fd);
}

/*
 * Memory: a set is its maker's, whose cgroup is full after some. The kernel then
 * kills somebody in it; where there is nobody whom it may kill, the set is refused.
 */

#define CGROUP "/sys/fs/cgroup/ovlt-layerset"
#define CGROUP_LIMIT "1048576"
#define NR_LAYERS 100
#define MANY_SETS 1024

FIXTURE(full)
{
	struct ovlt_room room;
	struct ovltree_tree tree;
	long mounts;
	struct {
		int error;
		unsigned int nr;
	} *made;
};

FIXTURE_VARIANT(full)
{
	const char *oom_score_adj;
};

FIXTURE_VARIANT_ADD(full, killed) { .oom_score_adj = "1000" };
FIXTURE_VARIANT_ADD(full, refused) { .oom_score_adj = "-1000" };

FIXTURE_SETUP(full)
{
	if (!ovlt_make_memory_cgroup(CGROUP))
		SKIP(return, "no memory cgroup");
	ovlt_write(CGROUP "/memory.max", CGROUP_LIMIT);
	ovlt_room_enter(&self->room);
	for (int i = 0; i < NR_LAYERS; i++) {
		const char *layer = ovlt_fmt("layers/%d", i);

		ovlt_mkdir(layer);
		ovlt_tree_lowers(&self->tree, layer, NULL);
	}
	self->made = mmap(NULL, sizeof(*self->made), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->made);
	self->made->nr = 0;
	self->mounts = ovlt_slab_objects("mnt_cache");
}

FIXTURE_TEARDOWN(full)
{
	if (self->room.mounts)
		EXPECT_ROOM_CLEAN(&self->room);
}

/* All that the process itself needs it has before it is in the cgroup. */
static void fill_cgroup(struct _test_data_full *self, const char *oom_score_adj)
{
	struct rlimit files = { MANY_SETS + 100, MANY_SETS + 100 };

	ovlt_write("/proc/self/oom_score_adj", oom_score_adj);
	if (setrlimit(RLIMIT_NOFILE, &files) || mlockall(MCL_CURRENT | MCL_FUTURE))
		ovlt_die("limits");
	ovlt_write(CGROUP "/cgroup.procs", "0");
	while (!self->made->error && self->made->nr < MANY_SETS) {
		int set = ovlt_layerset_one(self->room.dev, &self->tree);

		if (set < 0)
			self->made->error = set;
		else
			self->made->nr++;
	}
	_exit(0);
}

TEST_F(full, cgroup)
{
	bool killed = atoi(variant->oom_score_adj) > 0;
	pid_t pid = fork();
	int status;

	ASSERT_LE(0, pid);
	if (!pid)
		fill_cgroup(self, variant->oom_score_adj);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (killed) {
		EXPECT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
	} else {
		EXPECT_EQ(0, status);
		EXPECT_EQ(-ENOMEM, self->made->error);
	}
	EXPECT_LT(0, self->made->nr);
	EXPECT_GT(MANY_SETS, self->made->nr);
	EXPECT_EQ(0, ovlt_count_layersets(self->room.dev));
	EXPECT_EQ(0, ovlt_remove_cgroup(CGROUP));
	EXPECT_GE(self->mounts, ovlt_mounts_at_rest(self->mounts));
}

/*
 * Rights: the set gives none
 */

struct borrower {
	int dev;
	int set;
	int mntns;
	int userns;
	const struct ovltree_tree *by_fd;
	struct ovltree_result result;
};

static int attach_borrowed(struct borrower *borrower)
{
	struct ovltree_tree tree = ovlt_tree_on(borrower->set, &(struct ovltree_tree) { });
	struct ovltree_attach entry = ovlt_entry_tree(&tree, "m");
	int ret = ovlt_attach(borrower->dev, 0, &entry, 1, &borrower->result);

	return ret < 0 ? ret : borrower->result.error;
}

static int compare_borrowed(struct borrower *borrower)
{
	int plain = ovlt_attach_one(borrower->dev, borrower->by_fd, "p");
	int on_set = attach_borrowed(borrower);

	return plain == on_set ? on_set : -ESRCH;
}

static int in_another_mntns(void *arg)
{
	struct borrower *borrower = arg;
	struct ovltree_tree here = { };
	int err;

	ovlt_new_mntns();
	err = compare_borrowed(borrower);
	if (borrower->result.field != OVLTREE_FIELD_LOWER)
		return -ESRCH;
	/* The same paths lead to layers of its own. */
	ovlt_tree_lowers(&here, "l1", "l0", NULL);
	if (attach_anew(borrower->dev, &here, "m"))
		return -ESRCH;
	return err;
}

static int as_a_user(void *arg)
{
	struct borrower *borrower = arg;

	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		ovlt_die("setresuid");
	if (ovlt_layerset_one(borrower->dev, borrower->by_fd) != -EPERM)
		return -ESRCH;
	return compare_borrowed(borrower);
}

static int in_the_hosts_mntns(void *arg)
{
	return compare_borrowed(arg);
}

TEST_F(layerset, borrowed)
{
	int folders[] = { ovlt_open("l1", O_PATH), ovlt_open("l0", O_PATH) };
	int userns = ovlt_userns("0 100000 65536\n");
	struct ovltree_tree by_fd = { };
	struct borrower borrower = {
		.dev = self->room.dev, .set = self->set, .by_fd = &by_fd,
	};

	for (int i = 0; i < 2; i++)
		ovlt_tree_lower(&by_fd, folders[i], NULL, 0);
	EXPECT_EQ(-EINVAL, ovlt_fork_wait(in_another_mntns, &borrower));
	EXPECT_EQ(-EPERM, ovlt_fork_wait(as_a_user, &borrower));
	EXPECT_EQ(-EINVAL, ovlt_fork_in_userns(userns, in_another_mntns, &borrower));
	EXPECT_EQ(-EPERM, ovlt_fork_in_userns(userns, in_the_hosts_mntns, &borrower));
	EXPECT_EQ(0, ovlt_fork_wait(in_the_hosts_mntns, &borrower));
	close(folders[0]);
	close(folders[1]);
	close(userns);
}

static void enter_container(const struct borrower *borrower, struct ovltree_tree *tree,
			    bool make)
{
	if (setns(borrower->mntns, CLONE_NEWNS) || chdir("/tmp"))
		ovlt_die("enter mount namespace");
	/* The host's root makes the set, if anybody does. */
	if (make)
		*tree = ovlt_tree_on(ovlt_layerset_one(borrower->dev, tree), tree);
	if (setns(borrower->userns, CLONE_NEWUSER) || setresgid(0, 0, 0) ||
	    setresuid(0, 0, 0))
		ovlt_die("enter user namespace");
}

static int list_in_container(struct borrower *borrower, bool make)
{
	struct ovltree_tree tree = { };
	int err;

	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	enter_container(borrower, &tree, make);
	err = ovlt_attach_one(borrower->dev, &tree, "m");
	if (err)
		return err;
	return strcmp("d f hidden", ovlt_list("m")) ? -ESRCH : 0;
}

static int list_plain(void *arg)
{
	return list_in_container(arg, false);
}

static int list_on_set(void *arg)
{
	return list_in_container(arg, true);
}

/* What trusted xattrs say is not for the container, though the set's maker read it. */
TEST_F(layerset, trusted_xattrs)
{
	struct borrower borrower = { .dev = self->room.dev };

	ovlt_xattr("l1", "trusted.overlay.opaque", "x");
	ovlt_write("l1/hidden", "");
	ovlt_xattr("l1/hidden", "trusted.overlay.whiteout", "");
	ovlt_write("l0/hidden", "0");
	borrower.userns = ovlt_userns("0 100000 65536\n");
	borrower.mntns = ovlt_mntns(borrower.userns);
	EXPECT_EQ(0, ovlt_fork_wait(list_plain, &borrower));
	EXPECT_EQ(0, ovlt_fork_wait(list_on_set, &borrower));
	/* It is a whiteout to those who may read that. */
	ASSERT_EQ(0, attach_anew(self->room.dev, &self->tree, "m"));
	EXPECT_STREQ("d f", ovlt_list("m"));
	close(borrower.userns);
	close(borrower.mntns);
}

TEST_HARNESS_MAIN
