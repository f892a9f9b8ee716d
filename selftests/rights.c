// SPDX-License-Identifier: GPL-2.0
/*
 * Who may do what. A container, root of a user and a mount namespace of its own,
 * got the device from a careless host: it may do with it what it may do with the
 * kernel's own calls, and nothing else. Each situation is tried with both.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
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
	int layerset;
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
	int ret;

	if (attempt->own_calls)
		return ovlt_sys_attach(tree, target);
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

/*
 * Attach two layers, below an upper folder in @over unless that is NULL, in a mount
 * namespace of the container's own.
 */
static int try_layers(struct attempt *attempt, const char *lower, const char *lowest,
		      const char *over, const char *target)
{
	struct ovltree_tree tree = { };

	new_container_mntns();
	ovlt_tree_lowers(&tree, lower, lowest, NULL);
	if (over)
		ovlt_tree_upper(&tree, ovlt_fmt("%s/u", over), ovlt_fmt("%s/w", over));
	return try_attach(attempt, &tree, target);
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
	struct stat st;
	int err;

	err = try_layers(arg, "own/l1", "own/l0", "own", "own/t");
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
	int err;

	err = try_layers(arg, "l1", "l0", NULL, "t0");
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
	return try_layers(arg, "own/l0", "/tmp", NULL, "t0");
}

TEST_F(rights, layer_above_locked)
{
	EXPECT_TRY(-EINVAL, try_layer_above_locked);
}

static int try_trusted(void *arg)
{
	int err;

	err = try_layers(arg, "l1", "l0", NULL, "t0");
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

/*
 * CVE-2025-38499's kind: root of a user namespace, but in the host's mount
 * namespace, whose mounts it may not clone.
 */
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
	return try_layers(arg, "own/l1", "own/l0", NULL, "locked/hidden");
}

TEST_F(rights, locked_target)
{
	EXPECT_TRY(0, try_locked_target);
}

/*
 * The id mapping
 */

static int try_idmap(struct attempt *attempt, const char *lower, const char *lowest,
		     int userns)
{
	struct ovltree_tree tree = { };

	if (attempt->own_calls)
		return ovlt_sys_idmap(lowest, userns);
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

TEST_F(rights, creator)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	pid_t pid = ovlt_start_in_userns(self->userns, try_trusted, &attempt);
	char *root = ovlt_fmt("/proc/%d/root/tmp/t0", pid);

	EXPECT_STREQ("upper\n", ovlt_read(ovlt_fmt("%s/f", root)));
	EXPECT_STREQ("EACCES", ovlt_read(ovlt_fmt("%s/secret", root)));
	EXPECT_STREQ("new old", ovlt_list(ovlt_fmt("%s/merged", root)));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * Files that give privileges
 */

#define OWNER 42
#define USER 43

/* A copy of this program tells who it runs as. */
static void __attribute__((constructor)) tell_id(void)
{
	if (getenv("OVLT_TELL_ID"))
		_exit(geteuid());
}

static void write_program(const char *path)
{
	int from = ovlt_open("/proc/self/exe", O_RDONLY), to;
	struct stat st;

	ovlt_write(path, "");
	to = ovlt_open(path, O_WRONLY);
	if (fstat(from, &st) || sendfile(to, from, NULL, st.st_size) != st.st_size ||
	    fchown(to, OWNER, OWNER) || fchmod(to, 04755))
		ovlt_die("%s", path);
	close(from);
	close(to);
}

/* Who a program in a folder runs as when an ordinary user of the host starts it. */
static int run_as_user(const char *folder)
{
	char *const args[] = { "program", NULL };
	char *const env[] = { "OVLT_TELL_ID=1", NULL };
	int dir = ovlt_open(folder, O_PATH), status;
	pid_t pid = fork();

	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
			ovlt_die("setresuid");
		syscall(SYS_execveat, dir, "program", args, env, 0);
		_exit(errno);
	}
	close(dir);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		ovlt_die("program");
	return WEXITSTATUS(status);
}

static void flagged_layer(const char *path, unsigned long flags)
{
	ovlt_mkdir("flagged");
	ovlt_mount(path, "flagged", NULL, MS_BIND, NULL);
	ovlt_mount(NULL, "flagged", NULL, MS_REMOUNT | MS_BIND | flags, NULL);
}

#define EXPECT_HOST_TREE(lower, attr_) do { \
	struct attempt __attempt = { \
		.dev = self->room.dev, \
		.own_calls = variant->own_calls, \
	}; \
	struct ovltree_tree __tree = { .attr = attr_ }; \
	ovlt_tree_lowers(&__tree, "l1", lower, NULL); \
	EXPECT_EQ(0, try_attach(&__attempt, &__tree, "t0")); \
} while (0)

/* As with mount(8), the flags of the overlay count and not those of its layers. */
TEST_F(rights, setuid)
{
	write_program("l0/program");
	EXPECT_HOST_TREE("l0", 0);
	EXPECT_EQ(OWNER, run_as_user("t0"));
	ovlt_umount("t0");
	EXPECT_HOST_TREE("l0", MOUNT_ATTR_NOSUID);
	EXPECT_EQ(USER, run_as_user("t0"));
	ovlt_umount("t0");
	EXPECT_HOST_TREE("l0", MOUNT_ATTR_NOEXEC);
	EXPECT_EQ(EACCES, run_as_user("t0"));
	ovlt_umount("t0");
	flagged_layer("l0", MS_NOSUID);
	EXPECT_HOST_TREE("flagged", 0);
	EXPECT_EQ(OWNER, run_as_user("t0"));
	ovlt_umount("t0");
	ovlt_umount("flagged");
}

TEST_F(rights, devices)
{
	ASSERT_EQ(0, mknod("l0/null", S_IFCHR | 0666, makedev(1, 3)));
	EXPECT_HOST_TREE("l0", 0);
	EXPECT_STREQ("", ovlt_read("t0/null"));
	ovlt_umount("t0");
	EXPECT_HOST_TREE("l0", MOUNT_ATTR_NODEV);
	EXPECT_STREQ("EACCES", ovlt_read("t0/null"));
	ovlt_umount("t0");
	flagged_layer("l0", MS_NODEV);
	EXPECT_HOST_TREE("flagged", 0);
	EXPECT_STREQ("", ovlt_read("t0/null"));
	ovlt_umount("t0");
	ovlt_umount("flagged");
}

/*
 * CVE-2023-0386's kind: a program that the host's layer has for somebody else
 * must not come into a folder of the container with its owner and mode, and what
 * the container shows gives nobody of the host any rights.
 */
static int try_privileged_files(void *arg)
{
	int err;

	err = try_layers(arg, "l1", "l0", "own", "t0");
	if (err)
		return err;
	/* Anybody may write it, so that nothing but the copy is in the way. */
	if (open("t0/program", O_WRONLY) >= 0 || errno != EOVERFLOW)
		return -ESRCH;
	if (chmod("t0/program", 0777) != -1 || errno != EPERM)
		return -ENODATA;
	if (ovlt_exists("own/u/program"))
		return -EEXIST;
	return strcmp("EACCES", ovlt_read("t0/null")) ? -ENXIO : 0;
}

TEST_F(rights, privileged_files)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	char *root;
	pid_t pid;

	write_program("l0/program");
	ASSERT_EQ(0, chmod("l0/program", 04777));
	ASSERT_EQ(0, mknod("l0/null", S_IFCHR | 0666, makedev(1, 3)));
	pid = ovlt_start_in_userns(self->userns, try_privileged_files, &attempt);
	root = ovlt_fmt("/proc/%d/root/tmp/t0", pid);
	EXPECT_EQ(USER, run_as_user(root));
	EXPECT_STREQ("EACCES", ovlt_read(ovlt_fmt("%s/null", root)));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * CVE-2021-3493's kind: capabilities that a container gives to a file count in
 * its own user namespace, in the folder that the host has lent it, too.
 */
static int try_file_capabilities(void *arg)
{
	struct vfs_cap_data all = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data = { { ~0U, 0 }, { ~0U, 0 } },
	};
	int err;

	err = try_layers(arg, "own/l1", "own/l0", "lent", "t0");
	if (err)
		return err;
	return setxattr("t0/f", "security.capability", &all, sizeof(all), 0) ? -errno : 0;
}

TEST_F(rights, file_capabilities)
{
	struct vfs_ns_cap_data data = { };

	ovlt_mkdirs("lent/u", "lent/w", NULL);
	ASSERT_EQ(0, chown("lent/u", 100000, 100000));
	ASSERT_EQ(0, chown("lent/w", 100000, 100000));
	EXPECT_TRY(0, try_file_capabilities);
	EXPECT_EQ(sizeof(data), getxattr("lent/u/f", "security.capability", &data,
					 sizeof(data)));
	EXPECT_EQ(VFS_CAP_REVISION_3, data.magic_etc & VFS_CAP_REVISION_MASK);
	EXPECT_EQ(100000, data.rootid);
}

/*
 * CVE-2015-8660's kind: who may not change a file's attributes may not have it
 * copied up with others.
 */
static int try_attributes(void *arg)
{
	int err;

	err = try_layers(arg, "l1", "l0", "own", "t0");
	if (err)
		return err;
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		ovlt_die("setresuid");
	if (!chmod("t0/f", 04777) || errno != EPERM)
		return -ESRCH;
	if (!chown("t0/f", 1000, 1000) || errno != EPERM)
		return -ENODATA;
	if (!truncate("t0/f", 0) || errno != EACCES)
		return -ENXIO;
	return ovlt_exists("own/u/f") ? -EEXIST : 0;
}

TEST_F(rights, attributes)
{
	EXPECT_TRY(0, try_attributes);
	EXPECT_STREQ("upper\n", ovlt_read("l1/f"));
}

/*
 * What the host locks
 */

/* Read-only for the container, and locked so: it can't be its upper folder. */
static int try_locked_flag(void *arg)
{
	struct ovltree_tree tree = { };

	new_container_mntns();
	if (!mount(NULL, "flagged", NULL, MS_REMOUNT | MS_BIND, NULL) || errno != EPERM)
		ovlt_die("the container's flags aren't locked");
	ovlt_tree_lowers(&tree, "own/l0", NULL);
	tree.flags = OVLTREE_TREE_UPPER;
	tree.upper = ovlt_at(AT_FDCWD, "flagged/u");
	tree.work = ovlt_at(AT_FDCWD, "flagged/w");
	return try_attach(arg, &tree, "own/t");
}

TEST_F(rights, locked_flag)
{
	ovlt_mkdirs("lent/u", "lent/w", NULL);
	ASSERT_EQ(0, chown("lent/u", 100000, 100000));
	ASSERT_EQ(0, chown("lent/w", 100000, 100000));
	flagged_layer("lent", MS_RDONLY);
	EXPECT_TRY(-EINVAL, try_locked_flag);
	ovlt_umount("flagged");
	EXPECT_STREQ("", ovlt_list("lent/w"));
}

/* CVE-2014-9717's kind: unmounting what covers a folder would show it. */
static int try_uncover(void *arg)
{
	struct attempt *attempt = arg;
	struct ovltree_detach entry = ovlt_entry_path("locked/hidden", OVLTREE_DETACH_LAZY);
	struct ovltree_result result;
	int err;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	if (attempt->own_calls)
		err = ovlt_sys_umount("locked/hidden", MNT_DETACH);
	else
		err = ovlt_detach(attempt->dev, &entry, 1, &result) ? 0 : result.error;
	return ovlt_exists("locked/hidden/below") ? -EEXIST : err;
}

TEST_F(rights, uncover)
{
	ovlt_umount("locked/hidden");
	ovlt_write("locked/hidden/below", "below");
	ovlt_mount("tmpfs", "locked/hidden", "tmpfs", 0, NULL);
	EXPECT_TRY(-EINVAL, try_uncover);
}

/*
 * CVE-2026-98976's kind: a mount that the host's propagation puts between what is
 * hidden and what hides it isn't locked, and takes the locked one above it along
 * when it goes.
 *
 *	host		"shared", in it the folder "d"
 *	between		a copy that is a slave, with a tmpfs on "d"
 *	container	a copy of that, where the tmpfs is locked
 */
struct between {
	int userns;
	int ready[2];
	int go[2];
	struct attempt attempt;
};

static void sync_send(const int *ends)
{
	if (write(ends[1], "", 1) != 1)
		ovlt_die("send");
}

static void sync_wait(const int *ends)
{
	char byte;

	if (read(ends[0], &byte, 1) != 1)
		ovlt_die("wait");
}

/* Whatever is in the mount namespace, by its id */
static void detach_all(int dev)
{
	static __u64 ids[1024];
	long nr = ovlt_list_mounts(ids, ARRAY_SIZE(ids));

	for (long i = 0; i < nr; i++) {
		struct ovltree_detach entry = ovlt_entry_id(ids[i], OVLTREE_DETACH_LAZY);
		struct ovltree_result result;

		ovlt_detach(dev, &entry, 1, &result);
	}
}

static int try_detach_between(void *arg)
{
	const struct between *between = arg;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	sync_send(between->ready);
	sync_wait(between->go);
	if (between->attempt.own_calls)
		umount2("shared/d", MNT_DETACH);
	else
		detach_all(between->attempt.dev);
	return ovlt_exists("shared/d/hidden") ? -EEXIST : 0;
}

static int try_between(void *arg)
{
	const struct between *between = arg;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	ovlt_mount(NULL, "shared", NULL, MS_SLAVE, NULL);
	ovlt_tmpfs("shared/d");
	return ovlt_fork_in_userns(between->userns, try_detach_between, arg);
}

TEST_F(rights, between)
{
	struct between between = {
		.userns = self->userns,
		.attempt = { .dev = self->room.dev, .own_calls = variant->own_calls },
	};
	int status;
	pid_t pid;

	ovlt_mkdir("shared");
	ovlt_tmpfs("shared");
	ovlt_mount(NULL, "shared", NULL, MS_SHARED, NULL);
	ovlt_write("shared/d/hidden", "hidden");
	ASSERT_EQ(0, pipe(between.ready));
	ASSERT_EQ(0, pipe(between.go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-try_between(&between));
	sync_wait(between.ready);
	ovlt_tmpfs("shared/d");
	sync_send(between.go);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ovlt_umount("shared/d");
	ovlt_umount("shared");
}

/*
 * CVE-2024-21626's kind: a descriptor that somebody forgot to close, of a folder
 * that isn't in the container's mount table, is no way out of it.
 */
static int try_forgotten(struct attempt *attempt, bool layer)
{
	int fd = ovlt_open("/tmp", O_PATH);
	struct ovltree_attach entry;
	struct ovltree_tree tree = { };
	char *path = ovlt_fmt("/proc/self/fd/%d/l0", fd);

	new_container_mntns();
	ovlt_tree_lowers(&tree, "own/l1", "own/l0", NULL);
	if (attempt->own_calls) {
		if (layer)
			ovlt_tree_lowers(&tree, path, NULL);
		return try_attach(attempt, &tree, layer ? "own/t" : path);
	}
	if (layer)
		ovlt_tree_lower(&tree, fd, "l0", 0);
	entry = ovlt_entry_tree(&tree, "own/t");
	if (!layer)
		entry.target = ovlt_at(fd, "l0");
	return ovlt_attach(attempt->dev, 0, &entry, 1, &attempt->result) ? 0 :
	       attempt->result.error;
}

static int try_forgotten_layer(void *arg)
{
	return try_forgotten(arg, true);
}

static int try_forgotten_target(void *arg)
{
	return try_forgotten(arg, false);
}

TEST_F(rights, forgotten_descriptor)
{
	EXPECT_TRY(-EINVAL, try_forgotten_layer);
	EXPECT_TRY(-EINVAL, try_forgotten_target);
}

/* CVE-2022-0185's kind: a parameter that is longer than a page */
static int try_long_option(void *arg)
{
	return try_option(arg, ovlt_fmt("xino=%060000d", 0));
}

static int try_long_key(void *arg)
{
	return try_option(arg, ovlt_fmt("%060000d=on", 0));
}

TEST_F(rights, long_parameter)
{
	EXPECT_TRY(-EINVAL, try_long_option);
	EXPECT_TRY(-EINVAL, try_long_key);
}

/* CVE-2021-46923's kind: an idmap that is refused keeps no user namespace. */
static int try_refused_idmap(void *arg)
{
	int userns = ovlt_userns("0 100000 65536\n");
	struct attempt *attempt = arg;
	struct ovltree_tree tree = { };
	int err;

	if (attempt->own_calls) {
		err = ovlt_sys_idmap("/proc/sys", userns);
	} else {
		ovlt_tree_lowers(&tree, "l0", "/proc/sys", NULL);
		ovlt_tree_idmap(&tree, userns);
		err = try_attach(attempt, &tree, "t0");
	}
	close(userns);
	return err;
}

TEST_F(rights, refused_idmap)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	long before = ovlt_slab_objects("user_namespace");

	for (int i = 0; i < 200; i++)
		ASSERT_EQ(-EINVAL, try_refused_idmap(&attempt));
	for (int ms = 0; ms < 10000; ms += 50) {
		if (ovlt_slab_objects("user_namespace") < before + 100)
			break;
		usleep(50000);
	}
	EXPECT_GT(before + 100, ovlt_slab_objects("user_namespace"));
}

/* Overlays are two deep at most, whoever made the ones below. */
static int try_third(void *arg)
{
	return try_layers(arg, "own/l0", "second", NULL, "own/t");
}

static int try_second(void *arg)
{
	return try_layers(arg, "own/l0", "first", NULL, "own/t");
}

TEST_F(rights, depth)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	struct ovltree_tree first = { }, second = { };

	ovlt_mkdirs("first", "second", NULL);
	ovlt_tree_lowers(&first, "l1", "l0", NULL);
	ASSERT_EQ(0, try_attach(&attempt, &first, "first"));
	EXPECT_TRY(0, try_second);
	ovlt_tree_lowers(&second, "first", "l0/d", NULL);
	ASSERT_EQ(0, try_attach(&attempt, &second, "second"));
	EXPECT_TRY(-EINVAL, try_third);
	ovlt_umount("second");
	ovlt_umount("first");
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

/*
 * A layer set of the host's, in a container: the mounts that the layers are on
 * aren't its own, so that it may not mount them.
 */
static int try_layerset(void *arg)
{
	struct attempt *attempt = arg;
	struct ovltree_tree tree = {
		.flags = OVLTREE_TREE_LAYERSET, .layerset_fd = attempt->layerset,
	};

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	return try_attach(attempt, &tree, "t");
}

TEST_F(device, layerset)
{
	int userns = ovlt_userns("0 100000 65536\n");
	struct attempt attempt = { .dev = self->room.dev };

	ovlt_simple_layers();
	ovlt_mkdir("t");
	attempt.layerset = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
	ASSERT_LE(0, attempt.layerset);
	EXPECT_EQ(-EINVAL, ovlt_fork_in_userns(userns, try_layerset, &attempt));
	close(attempt.layerset);
	close(userns);
}

TEST_HARNESS_MAIN
