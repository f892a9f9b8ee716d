// SPDX-License-Identifier: GPL-2.0
/*
 * Lower layers with the ids of a container: who owns what, as the container sees
 * it, as the host sees it, and on disk.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define OVERFLOW_ID 65534

/*
 *	on disk		as the host sees it	in the container
 *	l0/root    0	base			0
 *	l0/user 1000	base + 1000		1000
 *	l0/high 70000	(unmapped)		(unmapped)
 */

FIXTURE(idmap)
{
	struct ovlt_room room;
	struct ovltree_tree tree;
	int userns;
};

/* Each of the users root, user and high, as the host sees them. */
FIXTURE_VARIANT(idmap)
{
	const char *map;
	uid_t root, user, high;
	bool ext4;
};

FIXTURE_VARIANT_ADD(idmap, one_range)
{
	.map = "0 100000 65536\n",
	.root = 100000, .user = 101000, .high = OVERFLOW_ID,
};

FIXTURE_VARIANT_ADD(idmap, several_ranges)
{
	.map = "0 200000 1000\n1000 500000 1\n1001 201000 1000\n70000 300000 10\n",
	.root = 200000, .user = 500000, .high = 300000,
};

FIXTURE_VARIANT_ADD(idmap, ext4)
{
	.map = "0 100000 65536\n",
	.root = 100000, .user = 101000, .high = OVERFLOW_ID,
	.ext4 = true,
};

/* More ranges than fit into the namespace itself. */
FIXTURE_VARIANT_ADD(idmap, many_ranges)
{
	.map = "0 200000 1\n1 300001 1\n2 400002 1\n3 500003 1\n4 600004 1\n"
	       "5 700005 1\n1000 800000 1\n",
	.root = 200000, .user = 800000, .high = OVERFLOW_ID,
};

FIXTURE_VARIANT_ADD(idmap, without_root)
{
	.map = "1000 100000 100\n",
	.root = OVERFLOW_ID, .user = 100000, .high = OVERFLOW_ID,
};

static void own(const char *path, uid_t id)
{
	if (lchown(path, id, id))
		ovlt_die("chown %s", path);
}

FIXTURE_SETUP(idmap)
{
	ovlt_room_enter(&self->room);
	if (variant->ext4)
		ovlt_room_on_ext4(&self->room);
	ovlt_write("l0/root", "root");
	ovlt_write("l0/user", "user");
	ovlt_write("l0/high", "high");
	ovlt_mkdirs("l0/home", "l0/d", "l1", "m", "u", NULL);
	own("l0/user", 1000);
	own("l0/home", 1000);
	own("l0/high", 70000);
	ovlt_tree_lowers(&self->tree, "l1", "l0", NULL);
	self->userns = ovlt_userns(variant->map);
	ovlt_tree_idmap(&self->tree, self->userns);
}

FIXTURE_TEARDOWN(idmap)
{
	umount2("m", MNT_DETACH);
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_OWNER(id, path) do { \
	struct stat __st; \
	ASSERT_EQ(0, lstat(path, &__st)); \
	EXPECT_EQ(id, __st.st_uid); \
	EXPECT_EQ(id, __st.st_gid); \
} while (0)

TEST_F(idmap, host)
{
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_OWNER(variant->root, "m/root");
	EXPECT_OWNER(variant->user, "m/user");
	EXPECT_OWNER(variant->user, "m/home");
	EXPECT_OWNER(variant->high, "m/high");
	/* The layers themselves are as they were. */
	EXPECT_OWNER(0, "l0/root");
	EXPECT_OWNER(1000, "l0/user");
	EXPECT_OWNER(70000, "l0/high");
}

TEST_F(idmap, host_with_upper)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_OWNER(variant->root, "m/root");
	EXPECT_OWNER(variant->user, "m/user");
	/* A copy in the upper folder is owned by whom the host sees. */
	if (variant->user != OVERFLOW_ID) {
		ASSERT_EQ(0, chmod("m/user", 0600));
		EXPECT_OWNER(variant->user, "u/user");
		EXPECT_OWNER(variant->user, "m/user");
	}
	if (variant->root != OVERFLOW_ID) {
		ovlt_write("m/root", "changed");
		EXPECT_OWNER(variant->root, "u/root");
		EXPECT_STREQ("root", ovlt_read("l0/root"));
	}
}

/* Nobody can write what is owned by nobody. */
TEST_F(idmap, unmapped_is_not_copied_up)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	if (variant->high == OVERFLOW_ID) {
		EXPECT_EQ(-1, truncate("m/high", 0));
		EXPECT_EQ(EACCES, errno);
		EXPECT_FALSE(ovlt_exists("u/high"));
	} else {
		EXPECT_EQ(0, truncate("m/high", 0));
		EXPECT_OWNER(variant->high, "u/high");
	}
}

/* What is in the upper folder already isn't mapped. */
TEST_F(idmap, upper_is_not_mapped)
{
	ovlt_write("u/mine", "mine");
	own("u/mine", 4242);
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_OWNER(4242, "m/mine");
	/* Nor is what the host's root makes. */
	ovlt_write("m/new", "new");
	EXPECT_OWNER(0, "m/new");
	EXPECT_OWNER(0, "u/new");
}

static int look_from_inside(void *arg)
{
	uid_t root_as = *(uid_t *)arg;
	struct stat st;

	if (lstat("m/root", &st) || st.st_uid != root_as || st.st_gid != root_as)
		return -ESRCH;
	if (lstat("m/user", &st) || st.st_uid != 1000 || st.st_gid != 1000)
		return -EINVAL;
	return 0;
}

struct entrant {
	int userns;
	uid_t id;
	int (*run)(void *arg);
	void *arg;
};

/* Who enters a user namespace has all capabilities in it, whatever the id. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { };

	if (syscall(SYS_capset, &header, none))
		ovlt_die("capset");
}

static int run_entrant(void *arg)
{
	const struct entrant *entrant = arg;

	ovlt_enter_userns(entrant->userns, entrant->id);
	if (entrant->id)
		drop_capabilities();
	return entrant->run(entrant->arg);
}

static int enter_as(int userns, uid_t id, int (*run)(void *arg), void *arg)
{
	struct entrant entrant = { userns, id, run, arg };

	return ovlt_fork_wait(run_entrant, &entrant);
}

TEST_F(idmap, container)
{
	uid_t root_as = variant->root == OVERFLOW_ID ? OVERFLOW_ID : 0;

	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_EQ(0, enter_as(self->userns, 1000, look_from_inside, &root_as));
}

static int write_home(void *arg)
{
	if (mkdir("m/home/dir", 0755))
		return -errno;
	ovlt_write("m/home/dir/file", "written in the container");
	return 0;
}

static int write_elsewhere(void *arg)
{
	return mkdir("m/d/dir", 0755) ? -errno : 0;
}

/* A user of the container writes where it may, and nowhere else. */
TEST_F(idmap, user_writes)
{
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, chown("u", variant->user, variant->user));
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_EQ(0, enter_as(self->userns, 1000, write_home, NULL));
	EXPECT_OWNER(variant->user, "u/home");
	EXPECT_OWNER(variant->user, "u/home/dir");
	EXPECT_OWNER(variant->user, "u/home/dir/file");
	EXPECT_OWNER(variant->user, "m/home/dir/file");
	EXPECT_STREQ("written in the container", ovlt_read("u/home/dir/file"));
	EXPECT_STREQ("", ovlt_list("l0/home"));
	EXPECT_EQ(-EACCES, enter_as(self->userns, 1000, write_elsewhere, NULL));
}

static int root_writes(void *arg)
{
	struct stat st;

	ovlt_write("m/new", "new");
	if (chown("m/new", 1000, 1000) || lstat("m/new", &st))
		return -errno;
	if (st.st_uid != 1000)
		return -EINVAL;
	ovlt_write("m/root", "changed");
	return 0;
}

TEST_F(idmap, root_of_container_writes)
{
	if (variant->root == OVERFLOW_ID)
		SKIP(return, "this container has no root");
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, chown("u", variant->root, variant->root));
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	ASSERT_EQ(0, enter_as(self->userns, 0, root_writes, NULL));
	EXPECT_OWNER(variant->user, "u/new");
	EXPECT_OWNER(variant->root, "u/root");
	EXPECT_STREQ("changed", ovlt_read("u/root"));
	EXPECT_STREQ("root", ovlt_read("l0/root"));
}

TEST_F(idmap, setuid)
{
	struct stat st;

	ASSERT_EQ(0, chmod("l0/user", 06755));
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	ASSERT_EQ(0, stat("m/user", &st));
	EXPECT_EQ(06755, st.st_mode & 07777);
	EXPECT_EQ(variant->user, st.st_uid);
	/* Kept by a copy up of its times, gone once it is written. */
	ASSERT_EQ(0, utimensat(AT_FDCWD, "m/user", NULL, 0));
	ASSERT_EQ(0, stat("u/user", &st));
	EXPECT_EQ(06755, st.st_mode & 07777);
	EXPECT_EQ(variant->user, st.st_uid);
	EXPECT_EQ(0, chown("m/user", variant->user, variant->user));
	ASSERT_EQ(0, stat("m/user", &st));
	EXPECT_EQ(0755, st.st_mode & 07777);
}

TEST_F(idmap, user_xattr)
{
	char value[16] = "";

	ovlt_xattr("l0/user", "user.test", "value");
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_EQ(5, getxattr("m/user", "user.test", value, sizeof(value)));
	EXPECT_STREQ("value", value);
	ASSERT_EQ(0, setxattr("m/user", "user.test", "other", 5, 0));
	EXPECT_EQ(5, getxattr("u/user", "user.test", value, sizeof(value)));
	EXPECT_STREQ("other", value);
	EXPECT_EQ(5, getxattr("l0/user", "user.test", value, sizeof(value)));
	EXPECT_STREQ("value", value);
}

/* An access control list, in the form of the system.posix_acl_* attributes */
struct acl {
	__u32 version;
	struct {
		__u16 tag;
		__u16 perm;
		__u32 id;
	} entry[5];
} __packed;

static struct acl acl_for_user(__u32 id)
{
	return (struct acl) {
		.version = 2,
		.entry = {
			{ 0x01, 6, ~0U },	/* owner */
			{ 0x02, 7, id },	/* a user */
			{ 0x04, 4, ~0U },	/* group */
			{ 0x10, 7, ~0U },	/* mask */
			{ 0x20, 4, ~0U },	/* others */
		},
	};
}

TEST_F(idmap, acl)
{
	struct acl acl = acl_for_user(1000);

	ASSERT_EQ(0, setxattr("l0/d", "system.posix_acl_access", &acl, sizeof(acl), 0));
	ovlt_tree_upper(&self->tree, "u", "w");
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	ASSERT_EQ(sizeof(acl), getxattr("m/d", "system.posix_acl_access", &acl,
					sizeof(acl)));
	EXPECT_EQ(variant->user, acl.entry[1].id);
	EXPECT_EQ(7, acl.entry[1].perm);
	/* The list is what lets this user write there. */
	if (variant->root != OVERFLOW_ID)
		EXPECT_EQ(0, enter_as(self->userns, 1000, write_elsewhere, NULL));
	ASSERT_EQ(sizeof(acl), getxattr("l0/d", "system.posix_acl_access", &acl,
					sizeof(acl)));
	EXPECT_EQ(1000, acl.entry[1].id);
}

static int read_acl_inside(void *arg)
{
	struct acl acl;

	if (getxattr("m/d", "system.posix_acl_access", &acl, sizeof(acl)) != sizeof(acl))
		return -errno;
	return acl.entry[1].id == 1000 ? 0 : -EINVAL;
}

TEST_F(idmap, acl_in_container)
{
	struct acl acl = acl_for_user(1000);

	ASSERT_EQ(0, setxattr("l0/d", "system.posix_acl_access", &acl, sizeof(acl), 0));
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_EQ(0, enter_as(self->userns, 1000, read_acl_inside, NULL));
}

TEST_F(idmap, several_mounts)
{
	ovlt_tmpfs("other");
	ovlt_write("other/x/user2", "x");
	own("other/x/user2", 1000);
	ovlt_tree_lowers(&self->tree, "other/x", NULL);
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	EXPECT_OWNER(variant->user, "m/user");
	EXPECT_OWNER(variant->user, "m/user2");
	ASSERT_EQ(0, ovlt_sys_umount("m", 0));
	ovlt_umount("other");
}

TEST_F(idmap, prepared)
{
	int mnt = ovlt_prepare_one(self->room.dev, &self->tree);
	struct stat st;

	ASSERT_LE(0, mnt);
	/* The mapping is taken when the tree is built. */
	close(self->userns);
	ASSERT_EQ(0, fstatat(mnt, "user", &st, 0));
	EXPECT_EQ(variant->user, st.st_uid);
	EXPECT_EQ(0, ovlt_attach_mount(self->room.dev, mnt, "m"));
	close(mnt);
	EXPECT_OWNER(variant->user, "m/user");
}

/*
 * What can't be mapped, with the errno of mount_setattr(2).
 */

FIXTURE(refused)
{
	struct ovlt_room room;
	struct ovltree_tree tree;
	struct ovltree_result result;
	int userns;
};

FIXTURE_SETUP(refused)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdir("m");
	self->tree = *ovlt_simple_tree();
	self->userns = ovlt_userns("0 100000 65536\n");
	ovlt_tree_idmap(&self->tree, self->userns);
}

FIXTURE_TEARDOWN(refused)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_REFUSED(err, field, index) do { \
	struct ovltree_attach __entry = ovlt_entry_tree(&self->tree, "m"); \
	EXPECT_EQ(0, ovlt_attach(self->room.dev, 0, &__entry, 1, &self->result)); \
	EXPECT_RESULT(err, field, index, self->result); \
} while (0)

TEST_F(refused, initial_userns)
{
	self->tree.userns_fd = ovlt_open("/proc/self/ns/user", O_RDONLY);
	EXPECT_EQ(-EPERM, ovlt_sys_idmap("l0", self->tree.userns_fd));
	EXPECT_REFUSED(-EPERM, USERNS_FD, 0);
}

TEST_F(refused, not_a_userns)
{
	self->tree.userns_fd = ovlt_open("/proc/self/ns/mnt", O_RDONLY);
	EXPECT_EQ(-EINVAL, ovlt_sys_idmap("l0", self->tree.userns_fd));
	EXPECT_REFUSED(-EINVAL, USERNS_FD, 0);
	self->tree.userns_fd = ovlt_open("l0", O_RDONLY);
	EXPECT_EQ(-EINVAL, ovlt_sys_idmap("l0", self->tree.userns_fd));
	EXPECT_REFUSED(-EINVAL, USERNS_FD, 0);
}

TEST_F(refused, no_descriptor)
{
	self->tree.userns_fd = 1000;
	EXPECT_EQ(-EBADF, ovlt_sys_idmap("l0", 1000));
	EXPECT_REFUSED(-EBADF, USERNS_FD, 0);
	self->tree.userns_fd = ovlt_open("l0", O_PATH);
	EXPECT_EQ(-EBADF, ovlt_sys_idmap("l0", self->tree.userns_fd));
	EXPECT_REFUSED(-EBADF, USERNS_FD, 0);
}

TEST_F(refused, userns_without_map)
{
	int userns = ovlt_userns(NULL);

	self->tree.userns_fd = userns;
	EXPECT_EQ(-EINVAL, ovlt_sys_idmap("l0", userns));
	EXPECT_REFUSED(-EINVAL, LOWER, 0);
}

/* A file system that doesn't know of idmapped mounts */
TEST_F(refused, file_system)
{
	EXPECT_EQ(-EINVAL, ovlt_sys_idmap("/proc", self->userns));
	ovlt_tree_lowers(&self->tree, "/proc/sys", NULL);
	EXPECT_REFUSED(-EINVAL, LOWER, 2);
}

TEST_F(refused, overlay)
{
	ovlt_mkdirs("o", "l2", NULL);
	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, ovlt_simple_tree(), "o"));
	EXPECT_EQ(-EINVAL, ovlt_sys_idmap("o", self->userns));
	self->tree.nr_lower = 0;
	ovlt_tree_lowers(&self->tree, "l2", "o", NULL);
	EXPECT_REFUSED(-EINVAL, LOWER, 1);
	ovlt_umount("o");
}

TEST_F(refused, mapped_already)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = self->userns,
	};
	struct stat st;
	int mnt;

	ovlt_mkdirs("mapped", "l2", NULL);
	mnt = ovlt_sys_open_tree("l0", 0);
	ASSERT_LE(0, mnt);
	ASSERT_EQ(0, mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	ASSERT_EQ(0, ovlt_sys_move_mount(mnt, "mapped"));
	close(mnt);
	EXPECT_EQ(-EPERM, ovlt_sys_idmap("mapped", self->userns));
	self->tree.nr_lower = 0;
	ovlt_tree_lowers(&self->tree, "l2", "mapped", NULL);
	EXPECT_REFUSED(-EPERM, LOWER, 1);

	/* Left as it is it is fine, and its mapping counts. */
	self->tree.flags = 0;
	self->tree.userns_fd = 0;
	ASSERT_EQ(0, chown("l0/f", 1000, 1000));
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, &self->tree, "m"));
	ASSERT_EQ(0, stat("m/f", &st));
	EXPECT_EQ(101000, st.st_uid);
	ovlt_umount("m");
	ovlt_umount("mapped");
}

TEST_HARNESS_MAIN
