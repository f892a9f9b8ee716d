// SPDX-License-Identifier: GPL-2.0
/*
 * What a user sees through a merged root, and in the mount table. The kernel's
 * own calls make the same overlay of the same layers beside ours: both are looked
 * at with the same eyes.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <sched.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

static int attach_tree(int dev, bool own_calls, const struct ovltree_tree *tree,
		       const char *target)
{
	return own_calls ? ovlt_sys_attach(tree, target) :
			   ovlt_attach_one(dev, tree, target);
}

#define DROP_CACHES "/proc/sys/vm/drop_caches"

static void drop_caches(void)
{
	sync();
	ovlt_write(DROP_CACHES, "3");
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		ovlt_die("lstat %s", path);
	return st.st_ino;
}

/*
 * Each test runs on ours, and on the kernel's own overlay to see that the test is
 * right.
 *
 *	l2	file: "2"          kept    opaque/new     gone: whiteout
 *	l1	file: "1"          twice: "1"             dir/whiteout of b
 *	l0	file: "0"  base    twice: "0"  opaque/old gone  dir/{a,b}
 */

FIXTURE(merged)
{
	struct ovlt_room room;
	struct ovltree_tree tree;
};

FIXTURE_VARIANT(merged)
{
	bool own_calls;
	bool ext4;
};

#ifndef OVLT_LAYERSET
FIXTURE_VARIANT_ADD(merged, kernel) { .own_calls = true };
#endif
FIXTURE_VARIANT_ADD(merged, ovltree) { .own_calls = false };
FIXTURE_VARIANT_ADD(merged, kernel_ext4) { .own_calls = true, .ext4 = true };
FIXTURE_VARIANT_ADD(merged, ovltree_ext4) { .own_calls = false, .ext4 = true };

#define ATTACH(tree, target) \
	attach_tree(self->room.dev, variant->own_calls, tree, target)

FIXTURE_SETUP(merged)
{
	ovlt_room_enter(&self->room);
	if (variant->ext4)
		ovlt_room_on_ext4(&self->room);
	ovlt_write("l0/file", "0");
	ovlt_write("l0/base", "base");
	ovlt_write("l0/twice", "0");
	ovlt_write("l0/gone", "0");
	ovlt_write("l0/opaque/old", "0");
	ovlt_write("l0/dir/a", "a");
	ovlt_write("l0/dir/b", "b");
	ovlt_write("l1/file", "1");
	ovlt_write("l1/twice", "1");
	ovlt_whiteout("l1/dir/b");
	ovlt_write("l1/dir/sub/c", "c");
	ovlt_write("l2/file", "2");
	ovlt_write("l2/kept", "2");
	ovlt_whiteout("l2/gone");
	ovlt_opaque("l2/opaque");
	ovlt_write("l2/opaque/new", "2");
	ovlt_mkdirs("m", "m2", NULL);
	ovlt_tree_lowers(&self->tree, "l2", "l1", "l0", NULL);
}

FIXTURE_TEARDOWN(merged)
{
	umount2("m2", MNT_DETACH);
	umount2("m", MNT_DETACH);
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(merged, lower)
{
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("base dir file kept opaque twice", ovlt_list("m"));
	EXPECT_STREQ("2", ovlt_read("m/file"));
	EXPECT_STREQ("1", ovlt_read("m/twice"));
	EXPECT_STREQ("base", ovlt_read("m/base"));
	EXPECT_STREQ("ENOENT", ovlt_read("m/gone"));
	EXPECT_STREQ("new", ovlt_list("m/opaque"));
	EXPECT_STREQ("a sub", ovlt_list("m/dir"));
	EXPECT_STREQ("c", ovlt_read("m/dir/sub/c"));
	/* Without an upper folder nothing can be written. */
	EXPECT_EQ(-1, mkdir("m/new", 0755));
	EXPECT_EQ(EROFS, errno);
}

TEST_F(merged, after_caches_are_dropped)
{
	ino_t file, dir;

	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	file = inode_of("m/base");
	dir = inode_of("m/dir");
	drop_caches();
	EXPECT_STREQ("base dir file kept opaque twice", ovlt_list("m"));
	EXPECT_STREQ("a sub", ovlt_list("m/dir"));
	EXPECT_STREQ("2", ovlt_read("m/file"));
	EXPECT_EQ(file, inode_of("m/base"));
	EXPECT_EQ(dir, inode_of("m/dir"));
}

TEST_F(merged, write)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ovlt_write("m/base", "changed");
	ovlt_write("m/dir/new", "new");
	ASSERT_EQ(0, unlink("m/file"));
	EXPECT_STREQ("changed", ovlt_read("m/base"));
	EXPECT_STREQ("changed", ovlt_read("u/base"));
	EXPECT_STREQ("base", ovlt_read("l0/base"));
	EXPECT_STREQ("new", ovlt_read("u/dir/new"));
	EXPECT_FALSE(ovlt_exists("l1/dir/new"));
	EXPECT_STREQ("ENOENT", ovlt_read("m/file"));
	EXPECT_TRUE(ovlt_exists("u/file"));
	EXPECT_STREQ("2", ovlt_read("l2/file"));
}

TEST_F(merged, copy_up_keeps_inode)
{
	ino_t ino;

	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ino = inode_of("m/base");
	ASSERT_EQ(0, chmod("m/base", 0600));
	EXPECT_EQ(ino, inode_of("m/base"));
	drop_caches();
	EXPECT_EQ(ino, inode_of("m/base"));
	/* And so for who mounts it again and finds the origin in the upper layer. */
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_EQ(ino, inode_of("m/base"));
}

TEST_F(merged, rename_folder)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ovlt_tree_option(&self->tree, "redirect_dir=on");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ASSERT_EQ(0, rename("m/dir", "m/opaque/moved"));
	EXPECT_STREQ("a sub", ovlt_list("m/opaque/moved"));
	EXPECT_EQ(-1, getxattr("m/opaque/moved", "trusted.overlay.redirect", NULL, 0));
	EXPECT_EQ(strlen("/dir"), getxattr("u/opaque/moved",
					   "trusted.overlay.redirect", NULL, 0));
	drop_caches();
	EXPECT_STREQ("a", ovlt_read("m/opaque/moved/a"));
	EXPECT_STREQ("c", ovlt_read("m/opaque/moved/sub/c"));
	EXPECT_FALSE(ovlt_exists("m/dir"));
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("a sub", ovlt_list("m/opaque/moved"));
	EXPECT_STREQ("a", ovlt_read("m/opaque/moved/a"));
	EXPECT_FALSE(ovlt_exists("m/dir"));
}

TEST_F(merged, rename_folder_without_redirect)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_EQ(-1, rename("m/dir", "m/moved"));
	EXPECT_EQ(EXDEV, errno);
}

/* A layer that has a renamed folder itself. */
TEST_F(merged, redirect_in_a_layer)
{
	ovlt_mkdir("l2/renamed");
	ovlt_xattr("l2/renamed", "trusted.overlay.redirect", "/dir");
	ovlt_whiteout("l2/dir");
	ovlt_tree_option(&self->tree, "redirect_dir=follow");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("a sub", ovlt_list("m/renamed"));
	EXPECT_STREQ("a", ovlt_read("m/renamed/a"));
	EXPECT_FALSE(ovlt_exists("m/dir"));
}

static void hard_link_in_base(void)
{
	if (link("l0/base", "l0/base2"))
		ovlt_die("link");
}

TEST_F(merged, hard_links_with_index)
{
	struct stat st;
	ino_t ino;

	hard_link_in_base();
	ovlt_tree_upper(&self->tree, "u", "w");
	ovlt_tree_option(&self->tree, "index=on");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ino = inode_of("m/base");
	EXPECT_EQ(ino, inode_of("m/base2"));
	ovlt_write("m/base", "changed");
	EXPECT_STREQ("changed", ovlt_read("m/base2"));
	EXPECT_EQ(ino, inode_of("m/base"));
	EXPECT_EQ(ino, inode_of("m/base2"));
	ASSERT_EQ(0, stat("m/base", &st));
	EXPECT_EQ(2, st.st_nlink);
	drop_caches();
	EXPECT_STREQ("changed", ovlt_read("m/base2"));
	ASSERT_EQ(0, link("m/base", "m/base3"));
	EXPECT_EQ(ino, inode_of("m/base3"));
	ASSERT_EQ(0, stat("m/base", &st));
	EXPECT_EQ(3, st.st_nlink);
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_EQ(ino, inode_of("m/base2"));
	EXPECT_STREQ("changed", ovlt_read("m/base2"));
}

TEST_F(merged, hard_links_without_index)
{
	hard_link_in_base();
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ovlt_write("m/base", "changed");
	EXPECT_STREQ("base", ovlt_read("m/base2"));
}

static int open_by_name(const char *root, const char *path)
{
	struct {
		struct file_handle handle;
		unsigned char bytes[MAX_HANDLE_SZ];
	} h = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int id, dir, fd;

	if (name_to_handle_at(AT_FDCWD, path, &h.handle, &id, 0))
		return -errno;
	drop_caches();
	dir = ovlt_open(root, O_RDONLY | O_DIRECTORY);
	fd = open_by_handle_at(dir, &h.handle, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(dir);
	return fd;
}

TEST_F(merged, file_handles)
{
	static const char *const paths[] = {
		"m/base", "m/file", "m/dir/sub/c", "m/dir", "m/dir/a", "m/opaque/new",
	};

	ovlt_tree_upper(&self->tree, "u", "w");
	ovlt_tree_option(&self->tree, "index=on");
	ovlt_tree_option(&self->tree, "nfs_export=on");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ovlt_write("m/dir/a", "changed");
	for (int i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open_by_name("m", paths[i]);
		struct stat st;
		char *link;

		ASSERT_LE(0, fd) {
			TH_LOG("%s: %s", paths[i], strerror(-fd));
		}
		ASSERT_EQ(0, fstat(fd, &st));
		EXPECT_EQ(inode_of(paths[i]), st.st_ino);
		link = realpath(ovlt_fmt("/proc/self/fd/%d", fd), NULL);
		if (S_ISDIR(st.st_mode))
			EXPECT_STREQ(ovlt_path(paths[i]), link);
		close(fd);
	}
}

TEST_F(merged, file_handles_of_lower_only)
{
	int fd;

	ovlt_tree_option(&self->tree, "nfs_export=on");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	fd = open_by_name("m", "m/dir/sub");
	ASSERT_LE(0, fd) {
		TH_LOG("%s", strerror(-fd));
	}
	EXPECT_STREQ(ovlt_path("m/dir/sub"),
		     realpath(ovlt_fmt("/proc/self/fd/%d", fd), NULL));
	close(fd);
}

/* A handle of a folder that is beside the layers, on the same file system. */
TEST_F(merged, file_handle_from_outside)
{
	struct {
		struct file_handle handle;
		unsigned char bytes[MAX_HANDLE_SZ];
	} h = { .handle.handle_bytes = MAX_HANDLE_SZ };
	struct ovltree_tree outside = { };
	int id, dir;

	ovlt_write("o0/d/secret", "secret");
	ovlt_mkdir("o1");
	ovlt_tree_lowers(&outside, "o1", "o0", NULL);
	ovlt_tree_option(&outside, "nfs_export=on");
	ovlt_tree_option(&self->tree, "nfs_export=on");
	ASSERT_EQ(0, ATTACH(&outside, "m2"));
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ASSERT_EQ(0, name_to_handle_at(AT_FDCWD, "m2/d", &h.handle, &id, 0));
	drop_caches();
	dir = ovlt_open("m", O_RDONLY | O_DIRECTORY);
	EXPECT_EQ(-1, open_by_handle_at(dir, &h.handle, O_RDONLY | O_CLOEXEC));
	EXPECT_EQ(ESTALE, errno);
	close(dir);
}

TEST_F(merged, data_only_layers)
{
	ovlt_write("data/blob", "the data");
	ovlt_write("l2/meta", "");
	ASSERT_EQ(0, truncate("l2/meta", strlen("the data")));
	ASSERT_EQ(0, setxattr("l2/meta", "trusted.overlay.metacopy", "", 0, 0));
	ovlt_xattr("l2/meta", "trusted.overlay.redirect", "/blob");
	ovlt_tree_option(&self->tree, "metacopy=on");
	ovlt_tree_option(&self->tree, "redirect_dir=on");
	ovlt_mkdir("data2");
	ovlt_tree_lower(&self->tree, AT_FDCWD, "data2", OVLTREE_PATH_DATA);
	ovlt_tree_lower(&self->tree, AT_FDCWD, "data", OVLTREE_PATH_DATA);
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("the data", ovlt_read("m/meta"));
	EXPECT_FALSE(ovlt_exists("m/blob"));
	EXPECT_STREQ("2", ovlt_read("m/file"));
	drop_caches();
	EXPECT_STREQ("the data", ovlt_read("m/meta"));
}

TEST_F(merged, data_only_layers_come_last)
{
	ovlt_tree_option(&self->tree, "metacopy=on");
	ovlt_mkdirs("data", "l3", NULL);
	ovlt_tree_lower(&self->tree, AT_FDCWD, "data", OVLTREE_PATH_DATA);
	ovlt_tree_lower(&self->tree, AT_FDCWD, "l3", 0);
	EXPECT_EQ(-EINVAL, ATTACH(&self->tree, "m"));
}

/* What is found in a data-only layer can't be reached around it. */
TEST_F(merged, data_redirect_out_of_the_layer)
{
	ovlt_mkdir("data");
	ovlt_write("secret", "secret!!");
	ovlt_write("l2/meta", "");
	ASSERT_EQ(0, truncate("l2/meta", 8));
	ASSERT_EQ(0, setxattr("l2/meta", "trusted.overlay.metacopy", "", 0, 0));
	ovlt_xattr("l2/meta", "trusted.overlay.redirect", "/../secret");
	ovlt_tree_option(&self->tree, "metacopy=on");
	ovlt_tree_option(&self->tree, "redirect_dir=on");
	ovlt_tree_lower(&self->tree, AT_FDCWD, "data", OVLTREE_PATH_DATA);
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STRNE("secret!!", ovlt_read("m/meta"));
}

TEST_F(merged, overlapping_layers)
{
	struct ovltree_tree twice = { }, inside = { };

	ovlt_tree_lowers(&twice, "l0", "l1", "l0", NULL);
	EXPECT_EQ(-ELOOP, ATTACH(&twice, "m"));
	ovlt_tree_lowers(&inside, "l0", "l1", "l0/dir", NULL);
	EXPECT_EQ(-ELOOP, ATTACH(&inside, "m"));
}

TEST_F(merged, upper_in_use)
{
	struct ovltree_tree other = { };

	ovlt_tree_option(&self->tree, "index=on");
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ovlt_tree_lowers(&other, "l0", NULL);
	ovlt_tree_option(&other, "index=on");
	ovlt_tree_upper(&other, "u", "w2");
	EXPECT_EQ(-EBUSY, ATTACH(&other, "m2"));
	ovlt_tree_upper(&other, "u2", "w");
	EXPECT_EQ(-EBUSY, ATTACH(&other, "m2"));
	ovlt_tree_upper(&other, "u2", "w2");
	EXPECT_EQ(0, ATTACH(&other, "m2"));
}

TEST_F(merged, upper_and_work)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lowers(&tree, "l0", NULL);
	ovlt_tree_upper(&tree, "u", "u/w");
	EXPECT_EQ(-EINVAL, ATTACH(&tree, "m"));
	ovlt_tmpfs("other");
	ovlt_tree_upper(&tree, "u", "other/w");
	EXPECT_EQ(-EINVAL, ATTACH(&tree, "m"));
	ovlt_umount("other");
	/* One lower layer needs an upper one. */
	tree.flags = 0;
	EXPECT_EQ(-EINVAL, ATTACH(&tree, "m"));
}

TEST_F(merged, upper_read_only)
{
	struct ovltree_tree tree = { };

	ovlt_tmpfs("other");
	ovlt_tree_lowers(&tree, "l0", NULL);
	ovlt_tree_upper(&tree, "other/u", "other/w");
	ASSERT_EQ(0, mount(NULL, "other", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	EXPECT_EQ(-EINVAL, ATTACH(&tree, "m"));
	ovlt_umount("other");
}

TEST_F(merged, depth)
{
	struct ovltree_tree second = { }, third = { };

	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	ovlt_tree_lowers(&second, "m", "l0/dir", NULL);
	ASSERT_EQ(0, ATTACH(&second, "m2"));
	EXPECT_STREQ("2", ovlt_read("m2/file"));
	EXPECT_STREQ("b", ovlt_read("m2/b"));
	ovlt_mkdir("m3");
	ovlt_tree_lowers(&third, "m2", "l1", NULL);
	EXPECT_EQ(-EINVAL, ATTACH(&third, "m3"));
}

/* Layers that are on mounts of their own, beside ones that share one. */
TEST_F(merged, layers_on_several_mounts)
{
	ovlt_tmpfs("other");
	ovlt_write("other/x/file", "x");
	ovlt_write("other/x/dir/x", "x");
	ovlt_write("other/y/dir/y", "y");
	self->tree.nr_lower = 0;
	ovlt_tree_lowers(&self->tree, "l0", "other/x", "l1", "other/y", NULL);
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("0", ovlt_read("m/file"));
	EXPECT_STREQ("a b sub x y", ovlt_list("m/dir"));
	ovlt_write("m/dir/x", "changed");
	EXPECT_STREQ("changed", ovlt_read("m/dir/x"));
	EXPECT_STREQ("x", ovlt_read("other/x/dir/x"));
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ovlt_umount("other");
}

/* A layer doesn't show what is mounted in it. */
TEST_F(merged, mounts_in_layers)
{
	ovlt_mkdir("l0/mnt");
	ovlt_tmpfs("l0/mnt");
	ovlt_write("l0/mnt/hidden", "hidden");
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("", ovlt_list("m/mnt"));
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ovlt_umount("l0/mnt");
}

/* Who unmounts a layer's mount doesn't take the layer away. */
TEST_F(merged, layers_mount_goes)
{
	ovlt_tmpfs("other");
	ovlt_write("other/x/file", "x");
	self->tree.nr_lower = 0;
	ovlt_tree_lowers(&self->tree, "other/x", "l0", NULL);
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_EQ(0, ovlt_sys_umount("other", 0));
	EXPECT_STREQ("x", ovlt_read("m/file"));
}

TEST_F(merged, unbindable_layer)
{
	ovlt_tmpfs("other");
	ovlt_mkdir("other/x");
	ASSERT_EQ(0, mount(NULL, "other", NULL, MS_UNBINDABLE, NULL));
	ovlt_tree_lowers(&self->tree, "other/x", NULL);
	EXPECT_EQ(-EINVAL, ATTACH(&self->tree, "m"));
	ovlt_umount("other");
}

/* Reading doesn't touch the times of what is below. */
TEST_F(merged, access_time_of_layers)
{
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;

	ASSERT_EQ(0, utimensat(AT_FDCWD, "l0/base", times, 0));
	ASSERT_EQ(0, ATTACH(&self->tree, "m"));
	EXPECT_STREQ("base", ovlt_read("m/base"));
	ASSERT_EQ(0, stat("l0/base", &st));
	EXPECT_EQ(1000, st.st_atim.tv_sec);
}

static bool file_is(const char *path, const char *text)
{
	char *seen = ovlt_read(path);
	bool same = !strcmp(text, seen);

	free(seen);
	return same;
}

TEST_F(merged, five_hundred_layers)
{
	struct ovltree_tree tree = { };

	for (int i = 0; i < 500; i++) {
		char *layer = ovlt_fmt("many/%d", i);

		ovlt_write(ovlt_fmt("%s/file", layer), layer);
		ovlt_write(ovlt_fmt("%s/only-%d", layer, i), layer);
		ovlt_tree_lower(&tree, AT_FDCWD, layer, 0);
	}
	ASSERT_EQ(0, ATTACH(&tree, "m"));
	EXPECT_STREQ("many/0", ovlt_read("m/file"));
	for (int i = 0; i < 500; i++)
		ASSERT_TRUE(file_is(ovlt_fmt("m/only-%d", i), ovlt_fmt("many/%d", i)));
	ovlt_mkdir("many/500");
	ovlt_tree_lower(&tree, AT_FDCWD, "many/500", 0);
	EXPECT_EQ(-EINVAL, ATTACH(&tree, "m2"));
}

/*
 * The same layers, once by the kernel's own calls and once by ours: the mount
 * table has to show the same.
 */

FIXTURE(table)
{
	struct ovlt_room room;
};

FIXTURE_VARIANT(table)
{
	const char *options[6];
	__u32 attr;
	bool upper;
	int error;
};

FIXTURE_VARIANT_ADD(table, plain) { };
FIXTURE_VARIANT_ADD(table, upper) { .upper = true };
FIXTURE_VARIANT_ADD(table, source) { .options = { "source=an overlay" } };
FIXTURE_VARIANT_ADD(table, without_sync) { .options = { "volatile" }, .upper = true };
FIXTURE_VARIANT_ADD(table, index) { .options = { "index=on" }, .upper = true };
FIXTURE_VARIANT_ADD(table, export) {
	.options = { "index=on", "nfs_export=on" }, .upper = true,
};
FIXTURE_VARIANT_ADD(table, xino_on) { .options = { "xino=on" } };
FIXTURE_VARIANT_ADD(table, xino_auto) { .options = { "xino=auto" } };
FIXTURE_VARIANT_ADD(table, uuid_null) { .options = { "uuid=null" }, .upper = true };
FIXTURE_VARIANT_ADD(table, uuid_off) { .options = { "uuid=off" }, .upper = true };
FIXTURE_VARIANT_ADD(table, uuid_on) { .options = { "uuid=on" }, .upper = true };
FIXTURE_VARIANT_ADD(table, userxattr) { .options = { "userxattr" }, .upper = true };
FIXTURE_VARIANT_ADD(table, userxattr_redirect) {
	.options = { "userxattr", "redirect_dir=on" }, .error = -EINVAL,
};
FIXTURE_VARIANT_ADD(table, redirect_on) { .options = { "redirect_dir=on" }, .upper = true };
FIXTURE_VARIANT_ADD(table, redirect_follow) { .options = { "redirect_dir=follow" } };
FIXTURE_VARIANT_ADD(table, redirect_nofollow) { .options = { "redirect_dir=nofollow" } };
FIXTURE_VARIANT_ADD(table, metacopy) {
	.options = { "metacopy=on", "redirect_dir=on" }, .upper = true,
};
FIXTURE_VARIANT_ADD(table, metacopy_nfs_export) {
	.options = { "metacopy=on", "nfs_export=on", "index=on" }, .upper = true,
	.error = -EINVAL,
};
FIXTURE_VARIANT_ADD(table, verity) {
	.options = { "verity=on", "redirect_dir=on", "metacopy=on" },
};
FIXTURE_VARIANT_ADD(table, default_permissions) { .options = { "default_permissions" } };
FIXTURE_VARIANT_ADD(table, ro) { .options = { "ro" }, .upper = true };
FIXTURE_VARIANT_ADD(table, sync) { .options = { "sync", "dirsync" }, .upper = true };
FIXTURE_VARIANT_ADD(table, attr_none) { .attr = 0, .upper = true };
FIXTURE_VARIANT_ADD(table, attr_ro) { .attr = MOUNT_ATTR_RDONLY, .upper = true };
FIXTURE_VARIANT_ADD(table, attr_nosuid) { .attr = MOUNT_ATTR_NOSUID };
FIXTURE_VARIANT_ADD(table, attr_nodev) { .attr = MOUNT_ATTR_NODEV };
FIXTURE_VARIANT_ADD(table, attr_noexec) { .attr = MOUNT_ATTR_NOEXEC };
FIXTURE_VARIANT_ADD(table, attr_nosymfollow) { .attr = MOUNT_ATTR_NOSYMFOLLOW };
FIXTURE_VARIANT_ADD(table, attr_noatime) { .attr = MOUNT_ATTR_NOATIME };
FIXTURE_VARIANT_ADD(table, attr_strictatime) { .attr = MOUNT_ATTR_STRICTATIME };
FIXTURE_VARIANT_ADD(table, attr_nodiratime) { .attr = MOUNT_ATTR_NODIRATIME };
FIXTURE_VARIANT_ADD(table, attr_all) {
	.attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
		MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR_NOATIME |
		MOUNT_ATTR_NODIRATIME,
};

FIXTURE_SETUP(table)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdir("m");
}

FIXTURE_TEARDOWN(table)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(table, same)
{
	struct ovltree_tree *tree;
	struct ovlt_mount *seen[2];
	struct statvfs statvfs_[2];

	for (int i = 0; i < 2; i++) {
		tree = ovlt_simple_tree();
		tree->attr = variant->attr;
		for (int j = 0; variant->options[j]; j++)
			ovlt_tree_option(tree, variant->options[j]);
		if (variant->upper)
			ovlt_tree_upper(tree, "u", "w");
		ASSERT_EQ(variant->error, attach_tree(self->room.dev, !i, tree, "m"));
		if (variant->error)
			continue;
		seen[i] = ovlt_find_mount(ovlt_mountinfo(), "m");
		ASSERT_NE(NULL, seen[i]);
		ASSERT_EQ(0, statvfs("m", &statvfs_[i]));
		ASSERT_EQ(0, ovlt_sys_umount("m", 0));
		/* An overlay marks its folders: the next one gets new ones. */
		if (variant->upper) {
			ASSERT_EQ(0, rename("u", ovlt_fmt("u%d", i)));
			ASSERT_EQ(0, rename("w", ovlt_fmt("w%d", i)));
		}
	}
	if (variant->error)
		return;
	EXPECT_STREQ(seen[0]->options, seen[1]->options);
	EXPECT_STREQ(seen[0]->optional, seen[1]->optional);
	EXPECT_STREQ(seen[0]->type, seen[1]->type);
	EXPECT_STREQ(seen[0]->source, seen[1]->source);
	EXPECT_STREQ(seen[0]->super, seen[1]->super);
	EXPECT_STREQ(seen[0]->root, seen[1]->root);
	EXPECT_EQ(statvfs_[0].f_flag, statvfs_[1].f_flag);
}

/*
 * Names: how a layer is given must not matter, nor what its name is made of.
 */

FIXTURE(name)
{
	struct ovlt_room room;
	char *layer;
};

FIXTURE_VARIANT(name)
{
	const char *name;
};

FIXTURE_VARIANT_ADD(name, plain) { "plain" };
FIXTURE_VARIANT_ADD(name, comma) { "a,b,index=on" };
FIXTURE_VARIANT_ADD(name, colon) { "a:b::c" };
FIXTURE_VARIANT_ADD(name, space) { " a b " };
FIXTURE_VARIANT_ADD(name, backslash) { "a\\b\\:c\\054d\\" };
FIXTURE_VARIANT_ADD(name, newline) { "a\nb\n" };
FIXTURE_VARIANT_ADD(name, equals) { "a=b" };
FIXTURE_VARIANT_ADD(name, quotes) { "a\"b'c`d" };
FIXTURE_VARIANT_ADD(name, hash) { "#a%s%n" };
FIXTURE_VARIANT_ADD(name, bytes) { "\x01\x7f\xc3\xa4\xff" };
FIXTURE_VARIANT_ADD(name, longest) {
	"01234567890123456789012345678901234567890123456789"
	"01234567890123456789012345678901234567890123456789"
	"01234567890123456789012345678901234567890123456789"
	"01234567890123456789012345678901234567890123456789"
	"01234567890123456789012345678901234567890123456789abcde"
};

FIXTURE_SETUP(name)
{
	ovlt_room_enter(&self->room);
	self->layer = ovlt_fmt("layers/%s", variant->name);
	ovlt_write(ovlt_fmt("%s/f", self->layer), variant->name);
	ovlt_write("l0/g", "g");
	ovlt_mkdirs("m", NULL);
}

FIXTURE_TEARDOWN(name)
{
	umount2("m", MNT_DETACH);
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_NAMED(tree) do { \
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, tree, "m")); \
	EXPECT_STREQ(variant->name, ovlt_read("m/f")); \
	EXPECT_STREQ("g", ovlt_read("m/g")); \
	EXPECT_EQ(0, ovlt_sys_umount("m", 0)); \
} while (0)

TEST_F(name, by_path)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lowers(&tree, self->layer, "l0", NULL);
	EXPECT_NAMED(&tree);
}

TEST_F(name, by_descriptor)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lower(&tree, ovlt_open(self->layer, O_PATH), NULL, 0);
	ovlt_tree_lower(&tree, ovlt_open("l0", O_RDONLY), NULL, 0);
	EXPECT_NAMED(&tree);
}

TEST_F(name, by_descriptor_and_path)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lower(&tree, ovlt_open("layers", O_PATH), variant->name, 0);
	ovlt_tree_lower(&tree, AT_FDCWD, "/tmp/l0", 0);
	EXPECT_NAMED(&tree);
}

TEST_F(name, upper_work_and_target)
{
	struct ovltree_tree tree = { };
	char *target = ovlt_fmt("targets/%s", variant->name);
	char *upper = ovlt_fmt("upper/%s/u", variant->name);
	char *work = ovlt_fmt("upper/%s/w", variant->name);

	ovlt_mkdir(target);
	ovlt_tree_lowers(&tree, "l0", NULL);
	ovlt_tree_upper(&tree, upper, work);
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &tree, target));
	ovlt_write(ovlt_fmt("%s/new", target), variant->name);
	EXPECT_STREQ(variant->name, ovlt_read(ovlt_fmt("%s/new", upper)));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, target));
	/* And by descriptor. */
	tree.upper = (struct ovltree_path) { .fd = ovlt_open(upper, O_PATH) };
	tree.work = (struct ovltree_path) { .fd = ovlt_open(work, O_PATH) };
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &tree, target));
	EXPECT_STREQ(variant->name, ovlt_read(ovlt_fmt("%s/new", target)));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, target));
}

/* The table shows the name as it shows it for an overlay of the kernel's own calls. */
TEST_F(name, in_the_table)
{
	struct ovltree_tree tree = { };
	char *seen[2];

	/* fsconfig(2) takes no more than a name of the full length. */
	ASSERT_EQ(0, chdir("layers"));
	ovlt_tree_lowers(&tree, variant->name, "../l0", NULL);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, attach_tree(self->room.dev, !i, &tree, "../m"));
		seen[i] = ovlt_find_mount(ovlt_mountinfo(), "m")->super;
		ASSERT_EQ(0, ovlt_sys_umount("../m", 0));
	}
	EXPECT_STREQ(seen[0], seen[1]);
	ASSERT_EQ(0, chdir(".."));
}

/* A name by descriptor is shown as a path that finds it again. */
TEST_F(name, of_a_descriptor)
{
	struct ovltree_tree by_fd = { }, by_path = { };
	char *seen[2];

	ovlt_tree_lower(&by_fd, ovlt_open(self->layer, O_PATH), NULL, 0);
	ovlt_tree_lower(&by_fd, ovlt_open(".", O_PATH), "l0", 0);
	ovlt_tree_lower(&by_path, AT_FDCWD, ovlt_path(self->layer), 0);
	ovlt_tree_lower(&by_path, AT_FDCWD, "/tmp/l0", 0);
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &by_path, "m"));
	seen[0] = ovlt_find_mount(ovlt_mountinfo(), "m")->super;
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &by_fd, "m"));
	seen[1] = ovlt_find_mount(ovlt_mountinfo(), "m")->super;
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	EXPECT_STREQ(seen[0], seen[1]);
}

/*
 * More than mount(2) and fsconfig(2) have room for.
 */

FIXTURE(bytes)
{
	struct ovlt_room room;
};

FIXTURE_SETUP(bytes)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdir("m");
}

FIXTURE_TEARDOWN(bytes)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(bytes, many_options)
{
	struct ovltree_tree *tree = ovlt_simple_tree();

	while (tree->options_size + sizeof("index=off") <= 64 * 1024)
		ovlt_tree_option(tree, "index=off");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, tree, "m"));
	EXPECT_STREQ("upper\n", ovlt_read("m/f"));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "m"));
}

TEST_F(bytes, long_paths)
{
	struct ovltree_tree tree = { };
	char *deep = ovlt_fmt("deep");

	while (strlen(deep) < 1500)
		deep = ovlt_fmt("%s/%s", deep, "a-folder-with-quite-a-long-name");
	for (int i = 0; i < 50; i++) {
		char *layer = ovlt_fmt("%s/%d", deep, i);

		ovlt_write(ovlt_fmt("%s/only-%d", layer, i), layer);
		ovlt_tree_lower(&tree, AT_FDCWD, layer, 0);
	}
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &tree, "m"));
	for (int i = 0; i < 50; i++)
		ASSERT_TRUE(file_is(ovlt_fmt("m/only-%d", i), ovlt_fmt("%s/%d", deep, i)));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "m"));
}

/*
 * The mount's attributes are kept, not only shown.
 */

TEST_F(bytes, attributes_work)
{
	struct ovltree_tree *tree = ovlt_simple_tree();

	ovlt_tree_upper(tree, "u", "w");
	ASSERT_EQ(0, symlink("f", "l1/link"));
	ovlt_write("l1/program", "#!/bin/sh\n");
	ASSERT_EQ(0, chmod("l1/program", 0755));
	tree->attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, tree, "m"));
	EXPECT_EQ(-1, mkdir("m/new", 0755));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(-1, execl("m/program", "m/program", NULL));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, open("m/link", O_RDONLY));
	EXPECT_EQ(ELOOP, errno);
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "m"));
}

TEST_HARNESS_MAIN
