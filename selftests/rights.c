// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what. A container, root of a user and a mount namespace of its own,
 * got the device from a careless host: it may do with it what it may do with the
 * kernel's own calls, and nothing else. Each situation is tried with both.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

/*
 * The host's room, of which the container has a copy:
 *
 *	l0 l1		layers: nothing is mounted in them
 *	locked		a layer with a mount in it, locked for the container
 *	t0 t1		targets
 *	own		where the container mounts a tmpfs of its own:
 *	own/l0 own/l1 own/t own/u own/w
 */
FIXTURE(rights)
{
	struct ovlt_room room;
	int userns;
};

struct attempt {
	int dev;
	bool own_calls;
	int host_mntns;
	int foreign_target;
	int foreign_userns;
	struct ovltree_result result;
};

FIXTURE_VARIANT(rights)
{
	bool own_calls;
};

#ifndef OVLT_LAYERSET
FIXTURE_VARIANT_ADD(rights, kernel) { .own_calls = true };
#endif
FIXTURE_VARIANT_ADD(rights, ovltree) { .own_calls = false };

FIXTURE_SETUP(rights)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdirs("t0", "t1", "own", NULL);
	ovlt_write("l0/secret", "secret");
	ASSERT_EQ(0, chmod("l0/secret", 0600));
	ovlt_write("l1/merged/new", "new");
	ovlt_write("l0/merged/old", "old");
	ovlt_xattr("l1/merged", "trusted.overlay.opaque", "y");
	ovlt_mkdir("locked");
	ovlt_tmpfs("locked/hidden");
	self->userns = ovlt_userns("0 100000 65536\n");
}

FIXTURE_TEARDOWN(rights)
{
	ovlt_umount("locked/hidden");
	EXPECT_ROOM_CLEAN(&self->room);
}

static int try_attach(struct attempt *attempt, const struct ovltree_tree *tree,
		      const char *target)
{
	struct ovltree_attach entry = ovlt_entry_tree(tree, target);
	int mnt, ret;

	if (attempt->own_calls) {
		mnt = ovlt_sys_overlay(tree);
		if (mnt < 0)
			return mnt;
		ret = ovlt_sys_move_mount(mnt, target);
		close(mnt);
		return ret;
	}
	ret = ovlt_attach(attempt->dev, 0, &entry, 1, &attempt->result);
	if (ret < 0)
		return ret;
	return attempt->result.error;
}

static void new_container_mntns(void)
{
	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	ovlt_mount("own", "own", "tmpfs", 0, NULL);
	ovlt_write("own/l0/f", "own");
	ovlt_mkdirs("own/l1", "own/t", NULL);
}

#define EXPECT_TRY(err, run) do { \
	struct attempt __attempt = { \
		.dev = self->room.dev, \
		.own_calls = variant->own_calls, \
	}; \
	EXPECT_EQ(err, ovlt_fork_in_userns(self->userns, run, &__attempt)); \
} while (0)

static int try_own_layers(void *arg)
{
	struct ovltree_tree tree = { };
	struct stat st;
	int err;

	new_container_mntns();
	ovlt_tree_lowers(&tree, "own/l1", "own/l0", NULL);
	ovlt_tree_upper(&tree, "own/u", "own/w");
	err = try_attach(arg, &tree, "own/t");
	if (err)
		return err;
	ovlt_write("own/t/new", "new");
	if (stat("own/u/new", &st) || st.st_uid)
		return -ESRCH;
	return strcmp("own", ovlt_read("own/t/f")) ? -ESRCH : 0;
}

TEST_F(rights, own_layers)
{
	EXPECT_TRY(0, try_own_layers);
}

static int try_host_layers(void *arg)
{
	struct ovltree_tree tree = { };
	int err;

	new_container_mntns();
	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	err = try_attach(arg, &tree, "t0");
	if (err)
		return err;
	if (strcmp("upper\n", ovlt_read("t0/f")))
		return -ESRCH;
	/* With its own rights, not with those of who opened the device. */
	if (strcmp("EACCES", ovlt_read("t0/secret")))
		return -EEXIST;
	return 0;
}

TEST_F(rights, host_layers)
{
	EXPECT_TRY(0, try_host_layers);
	EXPECT_STREQ("secret", ovlt_read("l0/secret"));
}

static int try_locked_layer(void *arg)
{
	struct ovltree_tree tree = { };
	struct attempt *attempt = arg;
	int err;

	new_container_mntns();
	ovlt_tree_lowers(&tree, "l1", "l0", "locked", NULL);
	err = try_attach(attempt, &tree, "t0");
	if (!attempt->own_calls && attempt->result.field != OVLTREE_FIELD_LOWER)
		return -ESRCH;
	return err;
}

/* CVE-2014-9717's kind: what a mount hides stays hidden. */
TEST_F(rights, locked_layer)
{
	EXPECT_TRY(-EINVAL, try_locked_layer);
}

static int try_layer_above_locked(void *arg)
{
	struct ovltree_tree tree = { };

	new_container_mntns();
	ovlt_tree_lowers(&tree, "own/l0", "/tmp", NULL);
	return try_attach(arg, &tree, "t0");
}

TEST_F(rights, layer_above_locked)
{
	EXPECT_TRY(-EINVAL, try_layer_above_locked);
}

static int try_trusted(void *arg)
{
	struct ovltree_tree tree = { };
	int err;

	new_container_mntns();
	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	err = try_attach(arg, &tree, "t0");
	if (err)
		return err;
	/* The creator can't read trusted attributes: for it nothing is opaque. */
	return strcmp("new old", ovlt_list("t0/merged")) ? -ESRCH : 0;
}

TEST_F(rights, trusted_attributes)
{
	EXPECT_TRY(0, try_trusted);
}

static int try_option(void *arg, const char *option)
{
	struct ovltree_tree tree = { };

	new_container_mntns();
	ovlt_tree_lowers(&tree, "own/l1", "own/l0", NULL);
	ovlt_tree_option(&tree, option);
	return try_attach(arg, &tree, "own/t");
}

static int try_redirect(void *arg)
{
	return try_option(arg, "redirect_dir=on");
}

static int try_metacopy(void *arg)
{
	return try_option(arg, "metacopy=on");
}

static int try_userxattr(void *arg)
{
	return try_option(arg, "userxattr");
}

TEST_F(rights, options)
{
	EXPECT_TRY(-EPERM, try_redirect);
	EXPECT_TRY(-EPERM, try_metacopy);
	EXPECT_TRY(0, try_userxattr);
}

/* Root of a user namespace, but in the host's mount namespace */
static int try_host_namespace(void *arg)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	return try_attach(arg, &tree, "t0");
}

TEST_F(rights, host_namespace)
{
	EXPECT_TRY(-EPERM, try_host_namespace);
}

static int try_unprivileged(void *arg)
{
	struct ovltree_tree tree = { };

	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		ovlt_die("setresuid");
	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	return try_attach(arg, &tree, "t0");
}

TEST_F(rights, unprivileged)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};

	EXPECT_EQ(-EPERM, ovlt_fork_wait(try_unprivileged, &attempt));
}

/* The mounts of its namespace are locked, but it may cover them. */
static int try_locked_target(void *arg)
{
	struct ovltree_tree tree = { };

	new_container_mntns();
	ovlt_tree_lowers(&tree, "own/l1", "own/l0", NULL);
	return try_attach(arg, &tree, "locked/hidden");
}

TEST_F(rights, locked_target)
{
	EXPECT_TRY(0, try_locked_target);
}

/*
 * The id mapping
 */

static int sys_idmap_layer(const char *path, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = userns };
	int mnt = ovlt_sys_open_tree(path, 0);
	int err;

	if (mnt < 0)
		return mnt;
	err = mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ? -errno : 0;
	close(mnt);
	return err;
}

static int try_idmap(struct attempt *attempt, const char *lower, const char *lowest,
		     int userns)
{
	struct ovltree_tree tree = { };

	if (attempt->own_calls)
		return sys_idmap_layer(lowest, userns);
	ovlt_tree_lowers(&tree, lower, lowest, NULL);
	ovlt_tree_idmap(&tree, userns);
	return try_attach(attempt, &tree, "own/t");
}

static int try_idmap_own(void *arg)
{
	new_container_mntns();
	return try_idmap(arg, "own/l1", "own/l0", ovlt_userns("0 1000 100\n"));
}

static int try_idmap_host_layer(void *arg)
{
	new_container_mntns();
	return try_idmap(arg, "l1", "l0", ovlt_userns("0 1000 100\n"));
}

static int try_idmap_foreign(void *arg)
{
	struct attempt *attempt = arg;

	new_container_mntns();
	return try_idmap(arg, "own/l1", "own/l0", attempt->foreign_userns);
}

TEST_F(rights, idmap)
{
	struct attempt attempt = {
		.dev = self->room.dev,
		.own_calls = variant->own_calls,
		.foreign_userns = ovlt_userns("0 900000 100\n"),
	};

	EXPECT_TRY(0, try_idmap_own);
	EXPECT_TRY(-EPERM, try_idmap_host_layer);
	EXPECT_EQ(-EPERM, ovlt_fork_in_userns(self->userns, try_idmap_foreign, &attempt));
}

/*
 * Another mount namespace than its own
 */

static int try_host_mntns(void *arg)
{
	struct attempt *attempt = arg;
	struct ovltree_attach entry;
	struct ovltree_tree tree = { };
	int ret;

	new_container_mntns();
	if (attempt->own_calls)
		return setns(attempt->host_mntns, CLONE_NEWNS) ? -errno : 0;
	ovlt_tree_lowers(&tree, "own/l1", "own/l0", NULL);
	entry = ovlt_entry_tree(&tree, NULL);
	entry.flags = OVLTREE_ATTACH_MNTNS;
	entry.mntns_fd = attempt->host_mntns;
	entry.target = (struct ovltree_path) { .fd = attempt->foreign_target };
	ret = ovlt_attach(attempt->dev, 0, &entry, 1, &attempt->result);
	if (ret < 0)
		return ret;
	if (attempt->result.field != OVLTREE_FIELD_MNTNS_FD)
		return -ESRCH;
	return attempt->result.error;
}

TEST_F(rights, host_mntns)
{
	struct attempt attempt = {
		.dev = self->room.dev,
		.own_calls = variant->own_calls,
		.host_mntns = ovlt_open("/proc/self/ns/mnt", O_RDONLY),
		.foreign_target = ovlt_open("t0", O_PATH),
	};

	EXPECT_EQ(-EPERM, ovlt_fork_in_userns(self->userns, try_host_mntns, &attempt));
	EXPECT_STREQ("", ovlt_list("t0"));
	close(attempt.host_mntns);
	close(attempt.foreign_target);
}

/*
 * Landlock stands for the security modules: who may not change the mount table
 * may not do it with us either.
 */

static void restrict_self(void)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK,
	};
	int ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0))
		ovlt_die("Landlock");
}

static int try_restricted_attach(void *arg)
{
	struct ovltree_tree tree = { };

	ovlt_new_mntns();
	restrict_self();
	ovlt_tree_lowers(&tree, "l1", "l0", NULL);
	return try_attach(arg, &tree, "t0");
}

static int try_restricted_mount(void *arg)
{
	struct attempt *attempt = arg;
	int mnt = ovlt_sys_fsmount("tmpfs");

	if (mnt < 0)
		return mnt;
	ovlt_new_mntns();
	restrict_self();
	return attempt->own_calls ? ovlt_sys_move_mount(mnt, "t0") :
				    ovlt_attach_mount(attempt->dev, mnt, "t0");
}

static int try_restricted_detach(void *arg)
{
	struct attempt *attempt = arg;

	ovlt_new_mntns();
	ovlt_tmpfs("t0");
	restrict_self();
	return attempt->own_calls ? ovlt_sys_umount("t0", 0) :
				    ovlt_detach_one(attempt->dev, "t0");
}

TEST_F(rights, landlock)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};

	EXPECT_EQ(-EPERM, ovlt_fork_wait(try_restricted_attach, &attempt));
	EXPECT_EQ(-EPERM, ovlt_fork_wait(try_restricted_mount, &attempt));
	EXPECT_EQ(-EPERM, ovlt_fork_wait(try_restricted_detach, &attempt));
}

/*
 * The overlay belongs to who made it: whoever looks at it later, even the host's
 * root, sees what its creator could see.
 */

static pid_t start_container(int userns, int (*run)(void *arg), void *arg)
{
	int done[2], err;
	pid_t pid;

	if (pipe(done))
		ovlt_die("pipe");
	pid = fork();
	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		if (setns(userns, CLONE_NEWUSER) || setresgid(0, 0, 0) ||
		    setresuid(0, 0, 0))
			ovlt_die("enter user namespace");
		err = run(arg);
		if (write(done[1], &err, sizeof(err)) != sizeof(err))
			_exit(1);
		pause();
		_exit(0);
	}
	close(done[1]);
	if (read(done[0], &err, sizeof(err)) != sizeof(err))
		ovlt_die("container");
	close(done[0]);
	if (err) {
		errno = -err;
		ovlt_die("container");
	}
	return pid;
}

TEST_F(rights, creator)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	pid_t pid = start_container(self->userns, try_trusted, &attempt);
	char *root = ovlt_fmt("/proc/%d/root/tmp/t0", pid);

	EXPECT_STREQ("upper\n", ovlt_read(ovlt_fmt("%s/f", root)));
	EXPECT_STREQ("EACCES", ovlt_read(ovlt_fmt("%s/secret", root)));
	EXPECT_STREQ("new old", ovlt_list(ovlt_fmt("%s/merged", root)));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * The device itself
 */

FIXTURE(device)
{
	struct ovlt_room room;
};

FIXTURE_SETUP(device)
{
	ovlt_room_enter(&self->room);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(device, mode)
{
	struct stat st;

	ASSERT_EQ(0, stat("/dev/ovltree", &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0600, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);
}

static int open_as_user(void *arg)
{
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		ovlt_die("setresuid");
	return open("/dev/ovltree", O_RDWR | O_CLOEXEC) < 0 ? -errno : 0;
}

TEST_F(device, unprivileged)
{
	EXPECT_EQ(-EACCES, ovlt_fork_wait(open_as_user, NULL));
}

/* Every command that changes something asks for the right to mount first. */
static int all_commands(void *arg)
{
	static const unsigned long cmds[] = {
		OVLTREE_IOC_PREPARE, OVLTREE_IOC_ATTACH, OVLTREE_IOC_DETACH,
		OVLTREE_IOC_LAYERSET,
	};
	struct ovltree_batch batch = { .size = sizeof(batch) };
	struct ovltree_info info = { .size = sizeof(info) };
	int dev = *(int *)arg;

	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		ovlt_die("setresuid");
	for (int i = 0; i < ARRAY_SIZE(cmds); i++)
		if (ovlt_ioctl(dev, cmds[i], &batch) != -EPERM)
			return -ESRCH;
	return ovlt_ioctl(dev, OVLTREE_IOC_INFO, &info);
}

TEST_F(device, without_rights)
{
	EXPECT_EQ(0, ovlt_fork_wait(all_commands, &self->room.dev));
}

TEST_HARNESS_MAIN
