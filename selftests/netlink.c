// SPDX-License-Identifier: GPL-2.0
/*
 * The netlink family: what waits, who is told of it, and who commits it.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "genl.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define QUEUE_MAX 4096
#define QUEUE_MAX_USERNS 1024

/*
 * The commands: 0 or more, or -errno
 */

static struct request dump_request(__u8 cmd)
{
	struct request request = request_new(cmd);

	request.nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	return request;
}

static int nl_dump(struct nl *nl, struct msg *msgs, unsigned int nr)
{
	struct request request = dump_request(OVLTREE_CMD_REQUEST_GET);

	return nl_call(nl, &request, msgs, nr);
}

static int nl_layersets(struct nl *nl, struct msg *msgs, unsigned int nr)
{
	struct request request = dump_request(OVLTREE_CMD_LAYERSET_GET);

	return nl_call(nl, &request, msgs, nr);
}

static struct msg nl_stats(struct nl *nl)
{
	struct request request = request_new(OVLTREE_CMD_STATS_GET);
	struct msg msg = {};

	if (nl_call(nl, &request, &msg, 1) != 1)
		ovlt_die("no counters");
	return msg;
}

#define STAT(nl, name) (nl_stats(nl).value[OVLTREE_A_STATS_##name])

/* Each test has a network namespace, and with it a queue, of its own. */
FIXTURE(netlink)
{
	struct ovlt_room room;
	struct ovltree_result results[8];
	struct nl daemon, monitor, client;
	__u64 id;
};

FIXTURE_SETUP(netlink)
{
	ovlt_room_enter(&self->room);
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ovlt_simple_layers();
	ovlt_mkdirs("t0", "t1", "t2", "t3", NULL);
	nl_open(&self->daemon);
	nl_open(&self->monitor);
	nl_open(&self->client);
	ASSERT_EQ(0, nl_join(&self->daemon, false));
	ASSERT_EQ(0, nl_join(&self->monitor, true));
	ASSERT_EQ(0, nl_serve(&self->daemon));
}

FIXTURE_TEARDOWN(netlink)
{
	static const char *const targets[] = { "t0", "t1", "t2", "t3" };

	nl_close(&self->client);
	nl_close(&self->monitor);
	nl_close(&self->daemon);
	for (int i = 0; i < ARRAY_SIZE(targets); i++)
		while (!umount2(targets[i], MNT_DETACH))
			;
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_MOUNTED(mounted, target) \
	EXPECT_EQ(mounted, !!ovlt_find_mount(ovlt_mountinfo(), "/tmp/" target))

/*
 * Attaching
 */

TEST_F(netlink, attach)
{
	struct request request;
	struct ovltree_attach entry;
	struct msg msg;
	__u64 mnt_id;
	int mnt_fd;

	mnt_fd = ovlt_prepare_one(self->room.dev, ovlt_simple_tree());
	ASSERT_LE(0, mnt_fd);
	request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	put_string(&request, OVLTREE_A_REQUEST_NAME, "a container");
	put_u8(&request, OVLTREE_A_REQUEST_PRIORITY, 7);
	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	ASSERT_EQ(0, nl_submit(&self->client, &request, &self->id));
	EXPECT_NE(0, self->id);
	/* The descriptor isn't needed any more. */
	close(mnt_fd);
	EXPECT_MOUNTED(false, "t0");

	msg = nl_event(&self->daemon);
	EXPECT_EQ(OVLTREE_CMD_READY, msg.cmd);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(self->id, msg.value[OVLTREE_A_REQUEST_ID]);
		EXPECT_EQ(OVLTREE_KIND_ATTACH, msg.value[OVLTREE_A_REQUEST_KIND]);
		EXPECT_STREQ("a container", msg.name);
		EXPECT_EQ(7, msg.value[OVLTREE_A_REQUEST_PRIORITY]);
		EXPECT_EQ(LONG, msg.value[OVLTREE_A_REQUEST_DEADLINE_MS]);
		EXPECT_EQ(getpid(), msg.value[OVLTREE_A_REQUEST_PID]);
		EXPECT_EQ(0, msg.value[OVLTREE_A_REQUEST_UID]);
		EXPECT_NE(0, msg.value[OVLTREE_A_REQUEST_CGROUP_ID]);
		EXPECT_NE(0, msg.value[OVLTREE_A_REQUEST_USERNS_ID]);
		EXPECT_LT(0, msg.value[OVLTREE_A_REQUEST_AGE]);
		EXPECT_EQ(0, msg.value[OVLTREE_A_REQUEST_SEQ]);
		EXPECT_EQ(1, nl_dump(&self->daemon, &msg, 1));
		EXPECT_EQ(OVLTREE_CMD_REQUEST_GET, msg.cmd);
	}

	entry = attach_entry(self->id);
	EXPECT_EQ(1, ovlt_attach(self->room.dev, 0, &entry, 1, self->results));
	EXPECT_RESULT_OK(self->results[0]);
	mnt_id = ovlt_mount_id(AT_FDCWD, "t0");
	EXPECT_EQ(mnt_id, self->results[0].mnt_id);
	EXPECT_STREQ("upper\n", ovlt_read("t0/f"));

	msg = nl_event(&self->client);
	for (int i = 0; i < 2; i++) {
		EXPECT_DONE(0, self->id, msg);
		EXPECT_EQ(OVLTREE_KIND_ATTACH, msg.value[OVLTREE_A_REQUEST_KIND]);
		EXPECT_STREQ("a container", msg.name);
		EXPECT_STREQ("", msg.message);
		EXPECT_EQ(mnt_id, msg.value[OVLTREE_A_REQUEST_MNT_ID]);
		EXPECT_LT(0, msg.value[OVLTREE_A_REQUEST_QUEUED]);
		EXPECT_LT(0, msg.value[OVLTREE_A_REQUEST_HOLD]);
		EXPECT_EQ(OVLTREE_REASON_DAEMON,
			  msg.value[OVLTREE_A_REQUEST_COMMITTED_BY]);
		EXPECT_EQ(1, msg.value[OVLTREE_A_REQUEST_SEQ]);
		msg = i ? msg : nl_event(&self->monitor);
	}
	msg = nl_event(&self->monitor);
	EXPECT_EQ(OVLTREE_CMD_BATCH, msg.cmd);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_SUBMITTED]);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_ATTACHED]);
	EXPECT_EQ(2, msg.value[OVLTREE_A_STATS_SEQ]);

	EXPECT_EQ(0, nl_dump(&self->daemon, &msg, 1));
	msg = nl_stats(&self->client);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_SUBMITTED]);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_ATTACHED]);
	EXPECT_EQ(0, msg.value[OVLTREE_A_STATS_FAILED]);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_BATCHES]);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_BATCH_MAX]);
	EXPECT_EQ(0, msg.value[OVLTREE_A_STATS_QUEUED]);
	EXPECT_EQ(QUEUE_MAX, msg.value[OVLTREE_A_STATS_QUEUE_MAX]);
	EXPECT_EQ(QUEUE_MAX_USERNS, msg.value[OVLTREE_A_STATS_QUEUE_MAX_USERNS]);
	EXPECT_EQ(getpid(), msg.value[OVLTREE_A_STATS_DAEMON_PID]);
	EXPECT_EQ(2, msg.value[OVLTREE_A_STATS_SEQ]);
}

TEST_F(netlink, batch_of_all_kinds)
{
	struct ovltree_attach entries[4];
	__u64 first, second;

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &first));
	ASSERT_EQ(0, nl_attach(&self->client, "t1", LONG, &second));
	EXPECT_LT(first, second);
	entries[0] = attach_entry(second);
	entries[1] = ovlt_entry_tree(ovlt_simple_tree(), "t2");
	entries[2] = attach_entry(first);
	entries[3] = ovlt_entry_mount(ovlt_sys_fsmount("tmpfs"), "t3");
	EXPECT_EQ(4, ovlt_attach(self->room.dev, 0, entries, 4, self->results));
	EXPECT_EQ(self->results[0].mnt_id, ovlt_mount_id(AT_FDCWD, "t1"));
	EXPECT_EQ(self->results[2].mnt_id, ovlt_mount_id(AT_FDCWD, "t0"));
	EXPECT_MOUNTED(true, "t2");
	EXPECT_MOUNTED(true, "t3");
	EXPECT_DONE(0, second, nl_event(&self->client));
	EXPECT_DONE(0, first, nl_event(&self->client));
	EXPECT_EQ(2, STAT(&self->daemon, BATCH_MAX));
	close(entries[3].mnt_fd);
}

/* What only the mount locks can tell is told in the end. */
TEST_F(netlink, attach_fails)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs");
	struct request request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	struct msg msg;

	ASSERT_EQ(0, nl_submit(&self->client, &request, &self->id));
	ASSERT_EQ(0, ovlt_sys_move_mount(mnt_fd, "t1"));
	EXPECT_EQ(-EINVAL, commit_attach(self->room.dev, self->id));
	msg = nl_event(&self->client);
	EXPECT_DONE(-EINVAL, self->id, msg);
	EXPECT_NE('\0', msg.message[0]);
	EXPECT_FALSE(msg.has & 1U << OVLTREE_A_REQUEST_MNT_ID);
	EXPECT_EQ(1, STAT(&self->daemon, FAILED));
	EXPECT_MOUNTED(false, "t0");
	close(mnt_fd);
}

TEST_F(netlink, target_removed)
{
	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ASSERT_EQ(0, rmdir("t0"));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, self->id));
	EXPECT_DONE(-ENOENT, self->id, nl_event(&self->client));
}

/* The mountpoint is covered when it comes to it, and an attempt comes to nothing. */
TEST_F(netlink, stacked)
{
	struct ovltree_attach entries[2];

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ovlt_tmpfs("t0");
	entries[0] = attach_entry(self->id);
	ovlt_write("file", "");
	entries[1] = ovlt_entry_mount(ovlt_sys_fsmount("tmpfs"), "file");
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, 2,
				 self->results));
	EXPECT_EQ(-EINVAL, self->results[1].error);
	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	EXPECT_DONE(0, self->id, nl_event(&self->client));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_MOUNTED(false, "t0");
	close(entries[1].mnt_fd);
}

TEST_F(netlink, propagation)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs");
	struct request request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	struct ovlt_mount *mount;

	put_u32(&request, OVLTREE_A_REQUEST_PROPAGATION, MS_SHARED);
	ASSERT_EQ(0, nl_submit(&self->client, &request, &self->id));
	ASSERT_EQ(0, commit_attach(self->room.dev, self->id));
	mount = ovlt_find_mount(ovlt_mountinfo(), "/tmp/t0");
	ASSERT_NE(NULL, mount);
	EXPECT_EQ(0, strncmp(mount->optional, "shared:", 7));
	close(mnt_fd);
}

TEST_F(netlink, mount_namespace)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs");
	int theirs = ovlt_open("/proc/self/ns/mnt", O_RDONLY);
	struct request request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));

	ovlt_new_mntns();
	/* The mountpoint is in the other mount namespace, the mount too. */
	put_u32(&request, OVLTREE_A_REQUEST_MNTNS_FD, theirs);
	ASSERT_EQ(0, nl_submit(&self->client, &request, &self->id));
	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	EXPECT_MOUNTED(false, "t0");
	ASSERT_EQ(0, setns(theirs, CLONE_NEWNS));
	ASSERT_EQ(0, chdir("/tmp"));
	EXPECT_MOUNTED(true, "t0");
	close(theirs);
	close(mnt_fd);
}

TEST_F(netlink, attach_refused)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs");
	struct nl *nl = &self->client;
	struct request request;

	ovlt_write("file", "");
	request = attach_request(1000, ovlt_open("t0", O_PATH));
	EXPECT_EQ(-EBADF, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNT_FD, nl->bad_attr);
	EXPECT_NE('\0', nl->text[0]);

	request = request_new(OVLTREE_CMD_SUBMIT);
	put_u32(&request, OVLTREE_A_REQUEST_KIND, OVLTREE_KIND_ATTACH);
	put_u32(&request, OVLTREE_A_REQUEST_MNT_FD, mnt_fd);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_TARGET_FD, nl->missing_attr);
	put_u32(&request, OVLTREE_A_REQUEST_TARGET_FD, 1000);
	EXPECT_EQ(-EBADF, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_TARGET_FD, nl->bad_attr);

	request = attach_request(ovlt_open("t1", O_PATH), ovlt_open("t0", O_PATH));
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNT_FD, nl->bad_attr);
	request = attach_request(openat(mnt_fd, ".", O_RDONLY), ovlt_open("t0", O_PATH));
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNT_FD, nl->bad_attr);
	request = attach_request(mnt_fd, ovlt_open("file", O_PATH));
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_TARGET_FD, nl->bad_attr);
	request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	put_u32(&request, OVLTREE_A_REQUEST_PROPAGATION, MS_SHARED | MS_SLAVE);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_PROPAGATION, nl->bad_attr);
	request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	put_u32(&request, OVLTREE_A_REQUEST_MNTNS_FD, 1000);
	EXPECT_EQ(-EBADF, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNTNS_FD, nl->bad_attr);
	request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	put_u32(&request, OVLTREE_A_REQUEST_MNTNS_FD, nl->fd);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNTNS_FD, nl->bad_attr);
	put_u32(&request, OVLTREE_A_REQUEST_PROPAGATION, MS_PRIVATE);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNTNS_FD, nl->bad_attr);
	request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	put_u64(&request, OVLTREE_A_REQUEST_MNT_ID, 1);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNT_ID, nl->bad_attr);
	EXPECT_EQ(0, STAT(nl, SUBMITTED));
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->monitor));
	close(mnt_fd);
}

/*
 * Detaching
 */

TEST_F(netlink, detach)
{
	struct msg msg;
	__u64 mnt_id;

	ovlt_tmpfs("t0");
	mnt_id = ovlt_mount_id(AT_FDCWD, "t0");
	ASSERT_EQ(0, nl_detach(&self->client, mnt_id, 0, LONG, &self->id));
	EXPECT_MOUNTED(true, "t0");
	msg = nl_event(&self->daemon);
	EXPECT_EQ(OVLTREE_KIND_DETACH, msg.value[OVLTREE_A_REQUEST_KIND]);
	EXPECT_EQ(mnt_id, msg.value[OVLTREE_A_REQUEST_MNT_ID]);
	EXPECT_EQ(0, commit_detach(self->room.dev, self->id));
	EXPECT_MOUNTED(false, "t0");
	msg = nl_event(&self->client);
	EXPECT_DONE(0, self->id, msg);
	EXPECT_EQ(mnt_id, msg.value[OVLTREE_A_REQUEST_MNT_ID]);
	EXPECT_EQ(1, STAT(&self->daemon, DETACHED));
}

TEST_F(netlink, detach_busy)
{
	__u64 mnt_id;
	int fd;

	ovlt_tmpfs("t0");
	mnt_id = ovlt_mount_id(AT_FDCWD, "t0");
	fd = ovlt_open("t0", O_PATH);
	ASSERT_EQ(0, nl_detach(&self->client, mnt_id, 0, LONG, &self->id));
	EXPECT_EQ(-EBUSY, commit_detach(self->room.dev, self->id));
	EXPECT_DONE(-EBUSY, self->id, nl_event(&self->client));
	EXPECT_MOUNTED(true, "t0");

	ASSERT_EQ(0, nl_detach(&self->client, mnt_id, OVLTREE_DETACH_FLAGS_LAZY, LONG,
			       &self->id));
	EXPECT_EQ(0, commit_detach(self->room.dev, self->id));
	EXPECT_DONE(0, self->id, nl_event(&self->client));
	EXPECT_MOUNTED(false, "t0");
	close(fd);
}

TEST_F(netlink, detach_batch_of_all_kinds)
{
	struct ovltree_detach entries[3];
	__u64 first, second;

	ovlt_tmpfs("t0");
	ovlt_tmpfs("t1");
	ovlt_tmpfs("t2");
	ASSERT_EQ(0, nl_detach(&self->client, ovlt_mount_id(AT_FDCWD, "t0"), 0, LONG,
			       &first));
	ASSERT_EQ(0, nl_detach(&self->client, ovlt_mount_id(AT_FDCWD, "t1"), 0, LONG,
			       &second));
	entries[0] = detach_entry(second);
	entries[1] = ovlt_entry_path("t2", 0);
	entries[2] = detach_entry(first);
	EXPECT_EQ(3, ovlt_detach(self->room.dev, entries, 3, self->results));
	EXPECT_ROOM_CLEAN(&self->room);
}

/* While it waits it is in use. */
TEST_F(netlink, detach_pins)
{
	ovlt_tmpfs("t0");
	ASSERT_EQ(0, nl_detach(&self->client, ovlt_mount_id(AT_FDCWD, "t0"), 0, LONG,
			       &self->id));
	EXPECT_EQ(-EBUSY, ovlt_sys_umount("t0", 0));
	EXPECT_EQ(0, nl_cancel(&self->client, self->id));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

TEST_F(netlink, detach_gone)
{
	ovlt_tmpfs("t0");
	ASSERT_EQ(0, nl_detach(&self->client, ovlt_mount_id(AT_FDCWD, "t0"), 0, LONG,
			       &self->id));
	ASSERT_EQ(0, ovlt_sys_umount("t0", MNT_DETACH));
	EXPECT_EQ(-EINVAL, commit_detach(self->room.dev, self->id));
	EXPECT_DONE(-EINVAL, self->id, nl_event(&self->client));
}

static int detach_own_root(void *arg)
{
	struct nl *nl = arg;

	if (chroot("t0") || chdir("/"))
		return -errno;
	return nl_detach(nl, ovlt_mount_id(AT_FDCWD, "/"), 0, LONG, NULL);
}

TEST_F(netlink, detach_refused)
{
	struct nl *nl = &self->client;
	struct request request;

	EXPECT_EQ(-ENOENT, nl_detach(nl, ~0ULL, 0, LONG, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNT_ID, nl->bad_attr);
	EXPECT_NE('\0', nl->text[0]);
	request = request_new(OVLTREE_CMD_SUBMIT);
	put_u32(&request, OVLTREE_A_REQUEST_KIND, OVLTREE_KIND_DETACH);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_MNT_ID, nl->missing_attr);
	ovlt_tmpfs("t0");
	request = detach_request(ovlt_mount_id(AT_FDCWD, "t0"), 0);
	put_u32(&request, OVLTREE_A_REQUEST_TARGET_FD, 0);
	EXPECT_EQ(-EINVAL, nl_submit(nl, &request, NULL));
	EXPECT_EQ(OVLTREE_A_REQUEST_TARGET_FD, nl->bad_attr);
	/* umount(2) would make the file system read-only. */
	EXPECT_EQ(-EBUSY, ovlt_fork_wait(detach_own_root, nl));
	ovlt_write("t0/file", "");
	EXPECT_EQ(0, STAT(&self->daemon, SUBMITTED));
}

/*
 * Ids in the ioctl
 */

TEST_F(netlink, ids)
{
	struct ovltree_attach attach[3];
	struct ovltree_detach detach;

	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, 0));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, 1));
	EXPECT_EQ(-ENOENT, commit_detach(self->room.dev, 1));
	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, self->id + 1));
	EXPECT_EQ(-EINVAL, commit_detach(self->room.dev, self->id));

	attach[0] = attach_entry(self->id);
	attach[0].propagation = MS_SHARED;
	attach[1] = attach_entry(self->id);
	attach[1].target = ovlt_at(AT_FDCWD, "t1");
	attach[2] = attach_entry(self->id);
	attach[2].flags |= OVLTREE_ATTACH_MOUNT;
	EXPECT_EQ(0, ovlt_attach(self->room.dev, 0, attach, 3, self->results));
	EXPECT_RESULT(-EINVAL, ID, 0, self->results[0]);
	EXPECT_RESULT(-EINVAL, ID, 0, self->results[1]);
	EXPECT_RESULT(-EINVAL, ID, 0, self->results[2]);

	attach[0] = ovlt_entry_tree(ovlt_simple_tree(), "t1");
	attach[0].id = self->id;
	EXPECT_EQ(0, ovlt_attach(self->room.dev, 0, attach, 1, self->results));
	EXPECT_RESULT(-EINVAL, ID, 0, self->results[0]);
	attach[0].target = (struct ovltree_path) {};
	EXPECT_EQ(0, ovlt_prepare(self->room.dev, 0, attach, 1, self->results));
	EXPECT_RESULT(-EINVAL, ID, 0, self->results[0]);
	detach = detach_entry(self->id);
	detach.flags |= OVLTREE_DETACH_LAZY;
	EXPECT_EQ(0, ovlt_detach(self->room.dev, &detach, 1, self->results));
	EXPECT_RESULT(-EINVAL, ID, 0, self->results[0]);
	EXPECT_EQ(1, nl_dump(&self->daemon, NULL, 0));

	/* Once only */
	attach[0] = attach_entry(self->id);
	attach[1] = attach_entry(self->id);
	EXPECT_EQ(1, ovlt_attach(self->room.dev, 0, attach, 2, self->results));
	EXPECT_RESULT(-ENOENT, ID, 0, self->results[1]);
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, self->id));
}

/* Another network namespace has another queue. */
TEST_F(netlink, id_of_another_namespace)
{
	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, self->id));
	EXPECT_MOUNTED(false, "t0");
	EXPECT_EQ(1, STAT(&self->client, QUEUED));
}

/* A request isn't to blame for another entry of its batch: it waits on. */
TEST_F(netlink, all_or_nothing)
{
	struct ovltree_attach entries[3];
	__u64 other;

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ASSERT_EQ(0, nl_attach(&self->client, "t1", LONG, &other));
	nl_event(&self->daemon);
	nl_event(&self->daemon);
	ASSERT_EQ(0, rmdir("t1"));
	entries[0] = attach_entry(self->id);
	entries[1] = attach_entry(other);
	entries[2] = ovlt_entry_tree(ovlt_simple_tree(), "t2");
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, 3,
				 self->results));
	EXPECT_CANCELED(self->results[0]);
	EXPECT_EQ(-ENOENT, self->results[1].error);
	EXPECT_CANCELED(self->results[2]);
	EXPECT_MOUNTED(false, "t0");
	EXPECT_DONE(-ENOENT, other, nl_event(&self->client));
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->client));
	EXPECT_EQ(self->id, nl_event(&self->daemon).value[OVLTREE_A_REQUEST_ID]);

	/* So it does when an entry after it can't be read. */
	entries[1] = ovlt_entry_tree(ovlt_simple_tree(), "nothing");
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, 2,
				 self->results));
	EXPECT_CANCELED(self->results[0]);
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->client));

	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	EXPECT_DONE(0, self->id, nl_event(&self->client));
	EXPECT_MOUNTED(true, "t0");
}

/*
 * Requests that nobody commits
 */

TEST_F(netlink, cancel)
{
	struct msg msg;
	struct nl other;

	nl_open(&other);
	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	EXPECT_EQ(-ENOENT, nl_cancel(&other, self->id));
	EXPECT_EQ(OVLTREE_A_REQUEST_ID, other.bad_attr);
	EXPECT_NE('\0', other.text[0]);
	EXPECT_EQ(-ENOENT, nl_cancel(&self->client, self->id + 1));
	EXPECT_EQ(0, nl_cancel(&self->client, self->id));
	msg = nl_event(&self->client);
	EXPECT_DONE(-ECANCELED, self->id, msg);
	EXPECT_FALSE(msg.has & 1U << OVLTREE_A_REQUEST_COMMITTED_BY);
	EXPECT_DONE(-ECANCELED, self->id, nl_event(&self->monitor));
	EXPECT_EQ(-ENOENT, nl_cancel(&self->client, self->id));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, self->id));
	EXPECT_EQ(1, STAT(&self->client, CANCELLED));
	EXPECT_EQ(0, STAT(&self->client, BATCHES));
	EXPECT_EQ(0, STAT(&self->client, QUEUED));

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	EXPECT_EQ(-ENOENT, nl_cancel(&self->client, self->id));
	EXPECT_MOUNTED(true, "t0");
	nl_close(&other);
}

TEST_F(netlink, submitter_closes)
{
	struct nl other;
	__u64 theirs;

	nl_open(&other);
	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ASSERT_EQ(0, nl_attach(&other, "t1", LONG, &theirs));
	nl_close(&other);
	EXPECT_DONE(-ECANCELED, theirs, nl_event(&self->monitor));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, theirs));
	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	EXPECT_EQ(1, STAT(&self->daemon, CANCELLED));
}

/* What was cancelled gives up all that it held. */
TEST_F(netlink, cancelled_lets_go)
{
	ovlt_tmpfs("t0");
	ovlt_mkdir("t0/in");
	ASSERT_EQ(0, nl_attach(&self->client, "t0/in", LONG, &self->id));
	/* The descriptor of the mountpoint is this process' own, too. */
	for (int fd = 3; fd < 64; fd++) {
		if (fd != self->room.dev && fd != self->daemon.fd &&
		    fd != self->monitor.fd && fd != self->client.fd &&
		    fcntl(fd, F_GETFL) & O_PATH && fcntl(fd, F_GETFL) != -1)
			close(fd);
	}
	EXPECT_EQ(-EBUSY, ovlt_sys_umount("t0", 0));
	EXPECT_EQ(0, nl_cancel(&self->client, self->id));
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
}

TEST_F(netlink, deadline)
{
	struct msg msg;

	ASSERT_EQ(0, nl_attach(&self->client, "t0", 100, &self->id));
	msg = nl_event(&self->client);
	EXPECT_DONE(0, self->id, msg);
	EXPECT_EQ(OVLTREE_REASON_DEADLINE, msg.value[OVLTREE_A_REQUEST_COMMITTED_BY]);
	EXPECT_LE(100 * 1000 * 1000, msg.value[OVLTREE_A_REQUEST_QUEUED]);
	EXPECT_EQ(msg.value[OVLTREE_A_REQUEST_MNT_ID], ovlt_mount_id(AT_FDCWD, "t0"));
	EXPECT_EQ(-ENOENT, commit_attach(self->room.dev, self->id));

	ASSERT_EQ(0, nl_detach(&self->client, ovlt_mount_id(AT_FDCWD, "t0"), 0, 1,
			       &self->id));
	msg = nl_event(&self->client);
	EXPECT_DONE(0, self->id, msg);
	EXPECT_EQ(OVLTREE_REASON_DEADLINE, msg.value[OVLTREE_A_REQUEST_COMMITTED_BY]);
	EXPECT_MOUNTED(false, "t0");
	EXPECT_EQ(2, STAT(&self->client, EXPIRED));
	EXPECT_EQ(2, STAT(&self->client, BATCHES));
}

TEST_F(netlink, deadline_if_not_given)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs");
	struct request request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	struct msg msg;

	ASSERT_EQ(0, nl_submit(&self->client, &request, &self->id));
	EXPECT_EQ(1000, nl_event(&self->daemon).value[OVLTREE_A_REQUEST_DEADLINE_MS]);
	msg = nl_event(&self->client);
	EXPECT_DONE(0, self->id, msg);
	EXPECT_LE(1000 * 1000 * 1000, msg.value[OVLTREE_A_REQUEST_QUEUED]);
	close(mnt_fd);
}

TEST_F(netlink, deadlines_in_their_order)
{
	__u64 ids[3];

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &ids[0]));
	ASSERT_EQ(0, nl_attach(&self->client, "t1", 2000, &ids[1]));
	ASSERT_EQ(0, nl_attach(&self->client, "t2", 1, &ids[2]));
	EXPECT_DONE(0, ids[2], nl_event(&self->client));
	EXPECT_DONE(0, ids[1], nl_event(&self->client));
	EXPECT_EQ(1, STAT(&self->client, QUEUED));
	EXPECT_MOUNTED(false, "t0");
}

TEST_F(netlink, deadline_fails)
{
	struct msg msg;

	ASSERT_EQ(0, nl_attach(&self->client, "t0", 500, &self->id));
	ASSERT_EQ(0, rmdir("t0"));
	msg = nl_event(&self->client);
	EXPECT_DONE(-ENOENT, self->id, msg);
	EXPECT_NE('\0', msg.message[0]);
}

/*
 * Daemons
 */

TEST_F(netlink, two_daemons)
{
	EXPECT_EQ(-EBUSY, nl_serve(&self->client));
	EXPECT_NE('\0', self->client.text[0]);
	EXPECT_EQ(0, nl_serve(&self->daemon));
	/* In another network namespace there may be another. */
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	nl_close(&self->client);
	nl_open(&self->client);
	EXPECT_EQ(0, nl_serve(&self->client));
}

TEST_F(netlink, no_daemon)
{
	struct msg msg;

	nl_close(&self->daemon);
	msg = nl_event(&self->monitor);
	EXPECT_EQ(OVLTREE_CMD_DAEMON_GONE, msg.cmd);
	EXPECT_EQ(0, msg.value[OVLTREE_A_STATS_QUEUED]);
	EXPECT_EQ(1, msg.value[OVLTREE_A_STATS_SEQ]);
	EXPECT_EQ(-ENOTCONN, nl_attach(&self->client, "t0", LONG, &self->id));
	EXPECT_NE('\0', self->client.text[0]);
	EXPECT_FALSE(nl_stats(&self->client).has & 1U << OVLTREE_A_STATS_DAEMON_PID);
	nl_open(&self->daemon);
	EXPECT_EQ(0, nl_serve(&self->daemon));
	EXPECT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
}

TEST_F(netlink, daemon_gone)
{
	struct msg msg;
	__u64 other;

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ASSERT_EQ(0, nl_attach(&self->client, "t1", 1000, &other));
	nl_close(&self->daemon);
	msg = nl_event(&self->monitor);
	EXPECT_EQ(OVLTREE_CMD_DAEMON_GONE, msg.cmd);
	EXPECT_EQ(2, msg.value[OVLTREE_A_STATS_QUEUED]);
	/* The deadline holds without one, */
	EXPECT_DONE(0, other, nl_event(&self->client));
	/* and the next one finds the rest. */
	nl_open(&self->daemon);
	ASSERT_EQ(0, nl_serve(&self->daemon));
	ASSERT_EQ(1, nl_dump(&self->daemon, &msg, 1));
	EXPECT_EQ(self->id, msg.value[OVLTREE_A_REQUEST_ID]);
	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	EXPECT_DONE(0, self->id, nl_event(&self->client));
}

/* What waits is not lost with the module. */
TEST_F(netlink, module_removed)
{
	int module = open("/lib/modules/ovltree.ko", O_RDONLY | O_CLOEXEC);
	struct msg msg[2];
	__u64 detach;
	int attach;

	if (module < 0)
		SKIP(return, "no file to load the module from again");
	ovlt_tmpfs("t1");
	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	ASSERT_EQ(0, nl_detach(&self->client, ovlt_mount_id(AT_FDCWD, "t1"), 0, LONG / 2,
			       &detach));
	/* An open device keeps it. */
	EXPECT_EQ(-1, syscall(SYS_delete_module, "ovltree", O_NONBLOCK));
	close(self->room.dev);
	ASSERT_EQ(0, syscall(SYS_delete_module, "ovltree", O_NONBLOCK));
	msg[0] = nl_event(&self->client);
	msg[1] = nl_event(&self->client);
	/* A detach ends when its superblock is shut down, which others don't wait for. */
	attach = msg[1].value[OVLTREE_A_REQUEST_ID] == self->id;
	EXPECT_DONE(0, self->id, msg[attach]);
	EXPECT_DONE(0, detach, msg[!attach]);
	EXPECT_EQ(OVLTREE_REASON_EXIT, msg[attach].value[OVLTREE_A_REQUEST_COMMITTED_BY]);
	EXPECT_MOUNTED(true, "t0");
	EXPECT_MOUNTED(false, "t1");
	EXPECT_EQ(OVLTREE_CMD_DAEMON_GONE, nl_event(&self->monitor).cmd);

	ASSERT_EQ(0, syscall(SYS_finit_module, module, "", 0));
	self->room.dev = open("/dev/ovltree", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->room.dev);
	close(module);
}

/*
 * Lost events
 */

TEST_F(netlink, events_without_gaps)
{
	struct msg msg;

	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
		ASSERT_EQ(0, nl_cancel(&self->client, self->id));
		nl_event(&self->client);
	}
	for (int i = 1; i <= 20; i++) {
		msg = nl_event(&self->monitor);
		EXPECT_EQ(i, msg.value[OVLTREE_A_REQUEST_SEQ]);
	}
	EXPECT_EQ(20, STAT(&self->monitor, SEQ));
}

/*
 * What is done without a request
 */

#define EXPECT_MOUNT(cmd_, mnt_id_, seq_) do { \
	const struct msg __msg = nl_event(&self->monitor); \
	EXPECT_EQ(cmd_, __msg.cmd); \
	EXPECT_EQ(mnt_id_, __msg.value[OVLTREE_A_REQUEST_MNT_ID]); \
	EXPECT_EQ(seq_, __msg.value[OVLTREE_A_REQUEST_SEQ]); \
	EXPECT_NE(0, __msg.value[OVLTREE_A_REQUEST_CGROUP_ID]); \
	EXPECT_LT(0, __msg.value[OVLTREE_A_REQUEST_HOLD]); \
	EXPECT_EQ(0, __msg.value[OVLTREE_A_REQUEST_ID]); \
} while (0)

TEST_F(netlink, attached_and_detached)
{
	struct ovltree_attach attach[3] = {
		ovlt_entry_tree(ovlt_simple_tree(), "t0"),
		ovlt_entry_tree(ovlt_simple_tree(), "nowhere"),
		ovlt_entry_tree(ovlt_simple_tree(), "t1"),
	};
	struct ovltree_detach detach[3] = {
		ovlt_entry_path("t1", 0),
		ovlt_entry_path("t2", 0),
		{ .flags = OVLTREE_DETACH_ID },
	};

	EXPECT_EQ(2, ovlt_attach(self->room.dev, 0, attach, 3, self->results));
	EXPECT_MOUNT(OVLTREE_CMD_ATTACHED, self->results[0].mnt_id, 1);
	EXPECT_MOUNT(OVLTREE_CMD_ATTACHED, self->results[2].mnt_id, 2);
	EXPECT_NE(self->results[0].mnt_id, self->results[2].mnt_id);

	detach[2].mnt_id = ovlt_mount_id(AT_FDCWD, "t0");
	self->id = ovlt_mount_id(AT_FDCWD, "t1");
	EXPECT_EQ(2, ovlt_detach(self->room.dev, detach, 3, self->results));
	EXPECT_MOUNT(OVLTREE_CMD_DETACHED, self->id, 3);
	EXPECT_MOUNT(OVLTREE_CMD_DETACHED, detach[2].mnt_id, 4);

	EXPECT_EQ(-EAGAIN, nl_no_event(&self->monitor));
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->daemon));
}

/* A batch that comes to nothing has nothing to tell. */
TEST_F(netlink, attached_all_or_nothing)
{
	struct ovltree_attach entries[2] = {
		ovlt_entry_tree(ovlt_simple_tree(), "t0"),
		ovlt_entry_tree(ovlt_simple_tree(), "l0/f"),
	};

	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, 2,
				 self->results));
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->monitor));
}

/* Of a request DONE tells. */
TEST_F(netlink, attached_beside_requests)
{
	struct ovltree_attach attach[2] = { ovlt_entry_tree(ovlt_simple_tree(), "t0") };
	struct ovltree_detach detach[2] = { ovlt_entry_path("t0", 0) };
	unsigned int seen = 0;
	__u64 mine, theirs;

	ASSERT_EQ(0, nl_attach(&self->client, "t1", LONG, &self->id));
	attach[1] = attach_entry(self->id);
	EXPECT_EQ(2, ovlt_attach(self->room.dev, 0, attach, 2, self->results));
	mine = self->results[0].mnt_id;
	theirs = self->results[1].mnt_id;
	EXPECT_MOUNT(OVLTREE_CMD_ATTACHED, mine, 1);
	EXPECT_DONE(0, self->id, nl_event(&self->monitor));
	EXPECT_EQ(OVLTREE_CMD_BATCH, nl_event(&self->monitor).cmd);

	ASSERT_EQ(0, nl_detach(&self->client, theirs, 0, LONG, &self->id));
	detach[1] = detach_entry(self->id);
	EXPECT_EQ(2, ovlt_detach(self->room.dev, detach, 2, self->results));
	for (int i = 0; i < 3; i++) {
		const struct msg msg = nl_event(&self->monitor);

		seen |= 1 << msg.cmd;
		if (msg.cmd == OVLTREE_CMD_BATCH)
			continue;
		EXPECT_EQ(msg.cmd == OVLTREE_CMD_DONE ? theirs : mine,
			  msg.value[OVLTREE_A_REQUEST_MNT_ID]);
	}
	EXPECT_EQ(1 << OVLTREE_CMD_DETACHED | 1 << OVLTREE_CMD_DONE |
		  1 << OVLTREE_CMD_BATCH, seen);
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->monitor));
}

/* The caller's root is made read-only, and isn't detached. */
static int make_root_read_only(void *dev)
{
	if (chroot("t0") || chdir("/"))
		return -errno;
	return ovlt_detach_one(*(int *)dev, "/");
}

TEST_F(netlink, root_is_not_detached)
{
	ovlt_tmpfs("t0");
	EXPECT_EQ(0, ovlt_fork_wait(make_root_read_only, &self->room.dev));
	EXPECT_EQ(-1, mkdir("t0/d", 0755));
	EXPECT_EQ(EROFS, errno);
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->monitor));
}

/* Whoever listens later has missed nothing. */
TEST_F(netlink, attached_and_nobody_listens)
{
	nl_close(&self->monitor);
	nl_open(&self->monitor);
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, ovlt_simple_tree(), "t0"));
	EXPECT_EQ(0, STAT(&self->monitor, SEQ));
	ASSERT_EQ(0, nl_join(&self->monitor, true));
	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, ovlt_simple_tree(), "t1"));
	EXPECT_MOUNT(OVLTREE_CMD_ATTACHED, ovlt_mount_id(AT_FDCWD, "t1"), 1);
}

TEST_F(netlink, events_lost)
{
	unsigned int seq = 0, lost = 0;
	struct msg msg;
	int size = 1, ret;
	__u64 kept;

	ASSERT_EQ(0, setsockopt(self->monitor.fd, SOL_SOCKET, SO_RCVBUF, &size,
				sizeof(size)));
	ASSERT_EQ(0, nl_attach(&self->client, "t1", LONG, &kept));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
		ASSERT_EQ(0, nl_cancel(&self->client, self->id));
		nl_event(&self->client);
	}
	while ((ret = nl_event_flags(&self->monitor, &msg, MSG_DONTWAIT)) != -EAGAIN) {
		if (ret == -ENOBUFS) {
			lost++;
			continue;
		}
		ASSERT_EQ(0, ret);
		EXPECT_EQ(++seq, msg.value[OVLTREE_A_REQUEST_SEQ]);
	}
	EXPECT_EQ(1, lost);
	EXPECT_GT(50, seq);

	/* A dump has what is there, and up to which event it is true. */
	ASSERT_EQ(1, nl_dump(&self->monitor, &msg, 1));
	EXPECT_EQ(kept, msg.value[OVLTREE_A_REQUEST_ID]);
	EXPECT_EQ(50, msg.value[OVLTREE_A_REQUEST_SEQ]);
	ASSERT_EQ(0, nl_cancel(&self->client, kept));
	EXPECT_EQ(51, nl_event(&self->monitor).value[OVLTREE_A_REQUEST_SEQ]);
}

/*
 * An answer that the socket has no room for: the request isn't submitted, as nobody
 * would know its id. There is no room for the reason either, but tracers see it.
 */
#define EXTACK_EVENT OVLT_TRACING "events/netlink/netlink_extack/enable"
#define TRACE OVLT_TRACING "trace"

TEST_F(netlink, answers_lost)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs"), target_fd = ovlt_open("t0", O_PATH);
	struct request submit = attach_request(mnt_fd, target_fd);
	struct request stats = request_new(OVLTREE_CMD_STATS_GET);
	struct nl *nl = &self->client;
	char buffer[4096];
	int size = 1;

	if (!ovlt_exists(EXTACK_EVENT))
		SKIP(return, "no event for the reasons");
	ASSERT_EQ(0, setsockopt(nl->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
	for (int i = 0; i < 20; i++)
		nl_send(nl, &stats);
	ovlt_write(TRACE, "");
	ovlt_write(EXTACK_EVENT, "1");
	nl_send(nl, &submit);
	ovlt_write(EXTACK_EVENT, "0");
	EXPECT_NE(NULL, strstr(ovlt_read(TRACE), "the socket has no room for the answer"));
	ovlt_write(TRACE, "");
	EXPECT_EQ(0, STAT(&self->monitor, SUBMITTED));
	EXPECT_EQ(0, STAT(&self->monitor, QUEUED));
	EXPECT_EQ(-EAGAIN, nl_no_event(&self->daemon));

	/* It is told that something is lost, and has room again once it has read. */
	EXPECT_EQ(-1, recv(nl->fd, buffer, sizeof(buffer), MSG_DONTWAIT));
	EXPECT_EQ(ENOBUFS, errno);
	while (recv(nl->fd, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
	EXPECT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, nl_submit(nl, &submit, &self->id));
	ASSERT_EQ(0, nl_cancel(nl, self->id));
	close(target_fd);
	close(mnt_fd);
}

/*
 * Layer sets
 */

#define EXPECT_LAYERSET(set_, msg_) do { \
	const struct msg __msg = (msg_); \
	const int __set = (set_); \
	EXPECT_EQ(OVLTREE_CMD_LAYERSET_GET, __msg.cmd); \
	EXPECT_EQ(ovlt_layerset_info(__set, "id"), __msg.value[OVLTREE_A_LAYERSET_ID]); \
	EXPECT_EQ(ovlt_layerset_info(__set, "layers"), \
		  __msg.value[OVLTREE_A_LAYERSET_LAYERS]); \
} while (0)

TEST_F(netlink, layersets)
{
	struct ovltree_tree one = { };
	struct msg msgs[2];
	int sets[2];

	EXPECT_EQ(0, nl_layersets(&self->client, NULL, 0));
	ovlt_tree_lowers(&one, "l1", NULL);
	sets[0] = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
	sets[1] = ovlt_layerset_one(self->room.dev, &one);
	ASSERT_EQ(2, nl_layersets(&self->client, msgs, 2));
	for (int i = 0; i < 2; i++) {
		EXPECT_LAYERSET(sets[i], msgs[i]);
		EXPECT_EQ(2 - i, msgs[i].value[OVLTREE_A_LAYERSET_LAYERS]);
		EXPECT_EQ(getpid(), msgs[i].value[OVLTREE_A_LAYERSET_PID]);
		EXPECT_EQ(0, msgs[i].value[OVLTREE_A_LAYERSET_UID]);
		EXPECT_NE(0, msgs[i].value[OVLTREE_A_LAYERSET_CGROUP_ID]);
		EXPECT_LT(0, msgs[i].value[OVLTREE_A_LAYERSET_AGE]);
	}
	close(sets[0]);
	ASSERT_EQ(1, nl_layersets(&self->client, msgs, 2));
	EXPECT_LAYERSET(sets[1], msgs[0]);
	close(sets[1]);
	EXPECT_EQ(0, nl_layersets(&self->client, NULL, 0));
}

/* Who made it has ended, and its number may be another's. */
TEST_F(netlink, layerset_passed_on)
{
	int set = dup(self->room.dev), status;
	struct msg msg;
	pid_t pid;

	ASSERT_LE(0, set);
	close(set);
	/* The lowest number that is free, in descriptors that both have */
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ovlt_layerset_one(self->room.dev, ovlt_simple_tree()) != set);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ASSERT_EQ(1, nl_layersets(&self->client, &msg, 1));
	EXPECT_LAYERSET(set, msg);
	EXPECT_TRUE(msg.has & 1U << OVLTREE_A_LAYERSET_PID);
	EXPECT_EQ(0, msg.value[OVLTREE_A_LAYERSET_PID]);
	close(set);
}

/* Those of a container, in a user namespace and network namespace of its own */
static int make_in_container(void *arg)
{
	const int *dev = arg;
	struct msg msg;
	struct nl nl;
	int set;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET))
		return -errno;
	nl_open(&nl);
	if (nl_layersets(&nl, NULL, 0))
		return -ENOTRECOVERABLE;
	set = ovlt_layerset_one(*dev, ovlt_simple_tree());
	if (set < 0)
		return set;
	if (nl_layersets(&nl, &msg, 1) != 1 ||
	    msg.value[OVLTREE_A_LAYERSET_ID] != ovlt_layerset_info(set, "id") ||
	    msg.value[OVLTREE_A_LAYERSET_PID] != (__u64)getpid() ||
	    msg.value[OVLTREE_A_LAYERSET_UID])
		return -ENOTRECOVERABLE;
	return 0;
}

TEST_F(netlink, layersets_of_a_container)
{
	int set = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
	int userns = ovlt_userns("0 100000 65536");
	int theirs;
	struct msg msg;

	EXPECT_EQ(0, ovlt_fork_in_userns(userns, make_in_container, &self->room.dev));
	/* One that is made elsewhere isn't told here, whoever holds it. */
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	theirs = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
	EXPECT_LE(0, theirs);
	ASSERT_EQ(1, nl_layersets(&self->client, &msg, 1));
	EXPECT_LAYERSET(set, msg);
	close(theirs);
	close(set);
	close(userns);
}

/*
 * More than a message holds. What is made or closed while they are told makes no
 * other one be missed, or told twice.
 */
#define MANY_SETS 1000

TEST_F(netlink, many_layersets)
{
	struct request request = dump_request(OVLTREE_CMD_LAYERSET_GET);
	struct rlimit files = { MANY_SETS + 100, MANY_SETS + 100 };
	struct msg *msgs = calloc(MANY_SETS + 1, sizeof(*msgs));
	int *sets = calloc(MANY_SETS, sizeof(*sets)), more;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	for (int i = 0; i < MANY_SETS; i++) {
		sets[i] = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
		ASSERT_LE(0, sets[i]);
	}
	ASSERT_EQ(MANY_SETS, nl_layersets(&self->client, msgs, MANY_SETS));
	for (int i = 0; i < MANY_SETS; i++)
		EXPECT_LAYERSET(sets[i], msgs[i]);

	/* The first message is there already, and has the first of them. */
	nl_send(&self->client, &request);
	close(sets[0]);
	for (int i = MANY_SETS / 2; i < MANY_SETS - 1; i++)
		close(sets[i]);
	more = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
	ASSERT_EQ(MANY_SETS / 2 + 2,
		  nl_answer(&self->client, &request, msgs, MANY_SETS + 1));
	for (int i = 1; i < MANY_SETS / 2; i++)
		EXPECT_LAYERSET(sets[i], msgs[i]);
	EXPECT_LAYERSET(sets[MANY_SETS - 1], msgs[MANY_SETS / 2]);
	EXPECT_LAYERSET(more, msgs[MANY_SETS / 2 + 1]);

	for (int i = 1; i < MANY_SETS / 2; i++)
		close(sets[i]);
	close(sets[MANY_SETS - 1]);
	close(more);
	EXPECT_EQ(0, nl_layersets(&self->client, NULL, 0));
	free(sets);
	free(msgs);
}

/*
 * Policy: each attribute with a wrong length, an unknown attribute, and values out
 * of range
 */

#define EXPECT_REFUSED(error_, attr_, nl_, request) do { \
	struct nl *__nl = (nl_); \
	const int __attr = (attr_); \
	EXPECT_EQ(error_, nl_call(__nl, request, NULL, 0)) \
		TH_LOG("attribute %d", __attr); \
	EXPECT_EQ(__attr, __nl->bad_attr); \
	EXPECT_NE('\0', __nl->text[0]); \
} while (0)

TEST_F(netlink, policy_length)
{
	static const struct {
		int attr;
		size_t len;
	} attrs[] = {
		{ OVLTREE_A_REQUEST_KIND, 4 },
		{ OVLTREE_A_REQUEST_MNT_FD, 4 },
		{ OVLTREE_A_REQUEST_TARGET_FD, 4 },
		{ OVLTREE_A_REQUEST_MNTNS_FD, 4 },
		{ OVLTREE_A_REQUEST_PROPAGATION, 4 },
		{ OVLTREE_A_REQUEST_MNT_ID, 8 },
		{ OVLTREE_A_REQUEST_DETACH_FLAGS, 4 },
		{ OVLTREE_A_REQUEST_PRIORITY, 1 },
		{ OVLTREE_A_REQUEST_DEADLINE_MS, 4 },
	};
	static const char bytes[16];
	struct request request;

	for (int i = 0; i < ARRAY_SIZE(attrs); i++) {
		for (int by = -1; by <= 1; by += 2) {
			request = request_new(OVLTREE_CMD_SUBMIT);
			put(&request, attrs[i].attr, bytes, attrs[i].len + by);
			EXPECT_REFUSED(-EINVAL, attrs[i].attr, &self->client,
				       &request);
		}
	}
	for (int by = -1; by <= 1; by += 2) {
		request = request_new(OVLTREE_CMD_CANCEL);
		put(&request, OVLTREE_A_REQUEST_ID, bytes, 8 + by);
		EXPECT_REFUSED(-EINVAL, OVLTREE_A_REQUEST_ID, &self->client,
			       &request);
	}
}

TEST_F(netlink, policy_range)
{
	static const struct {
		int attr;
		__u32 value;
		int error;
	} attrs[] = {
		{ OVLTREE_A_REQUEST_KIND, OVLTREE_KIND_DETACH + 1, -ERANGE },
		{ OVLTREE_A_REQUEST_MNT_FD, -1, -ERANGE },
		{ OVLTREE_A_REQUEST_TARGET_FD, AT_FDCWD, -ERANGE },
		{ OVLTREE_A_REQUEST_MNTNS_FD, -1, -ERANGE },
		{ OVLTREE_A_REQUEST_DETACH_FLAGS, 1, -EINVAL },
		{ OVLTREE_A_REQUEST_DETACH_FLAGS, 8, -EINVAL },
		{ OVLTREE_A_REQUEST_DEADLINE_MS, 0, -ERANGE },
		{ OVLTREE_A_REQUEST_DEADLINE_MS, LONG + 1, -ERANGE },
	};
	char name[OVLTREE_NAME_MAX + 2];
	struct request request;

	for (int i = 0; i < ARRAY_SIZE(attrs); i++) {
		request = request_new(OVLTREE_CMD_SUBMIT);
		put_u32(&request, attrs[i].attr, attrs[i].value);
		EXPECT_REFUSED(attrs[i].error, attrs[i].attr, &self->client, &request);
	}
	memset(name, 'n', sizeof(name));
	request = request_new(OVLTREE_CMD_SUBMIT);
	put(&request, OVLTREE_A_REQUEST_NAME, name, OVLTREE_NAME_MAX);
	EXPECT_REFUSED(-EINVAL, OVLTREE_A_REQUEST_NAME, &self->client, &request);
	name[OVLTREE_NAME_MAX + 1] = '\0';
	request = request_new(OVLTREE_CMD_SUBMIT);
	put_string(&request, OVLTREE_A_REQUEST_NAME, name);
	EXPECT_REFUSED(-EINVAL, OVLTREE_A_REQUEST_NAME, &self->client, &request);

	/* The longest */
	request = detach_request(~0ULL, 0);
	put_string(&request, OVLTREE_A_REQUEST_NAME, name + 1);
	EXPECT_REFUSED(-ENOENT, OVLTREE_A_REQUEST_MNT_ID, &self->client, &request);
}

TEST_F(netlink, policy_unknown)
{
	static const __u8 cmds[] = {
		OVLTREE_CMD_SERVE, OVLTREE_CMD_STATS_GET, OVLTREE_CMD_REQUEST_GET,
		OVLTREE_CMD_LAYERSET_GET,
	};
	struct request request;

	for (int attr = 1; attr <= OVLTREE_A_REQUEST_MAX + 1; attr++) {
		if (attr > OVLTREE_A_REQUEST_ID && attr <= OVLTREE_A_REQUEST_DEADLINE_MS)
			continue;
		request = request_new(OVLTREE_CMD_SUBMIT);
		put_u64(&request, attr, 1);
		EXPECT_REFUSED(-EINVAL, attr, &self->client, &request);
	}
	request = request_new(OVLTREE_CMD_CANCEL);
	put_u32(&request, OVLTREE_A_REQUEST_KIND, 0);
	EXPECT_REFUSED(-EINVAL, OVLTREE_A_REQUEST_KIND, &self->client, &request);

	/* These take none at all. */
	for (int i = 0; i < ARRAY_SIZE(cmds); i++) {
		request = request_new(cmds[i]);
		if (cmds[i] == OVLTREE_CMD_REQUEST_GET ||
		    cmds[i] == OVLTREE_CMD_LAYERSET_GET)
			request.nlh.nlmsg_flags |= NLM_F_DUMP;
		put_u64(&request, OVLTREE_A_REQUEST_ID, 1);
		EXPECT_REFUSED(-EINVAL, 0, &self->client, &request);
	}
	/* Nor are events commands. */
	EXPECT_EQ(-EOPNOTSUPP, nl_simple(&self->client, OVLTREE_CMD_READY));
	EXPECT_EQ(-EOPNOTSUPP, nl_simple(&self->client, OVLTREE_CMD_DONE));
	EXPECT_EQ(-EOPNOTSUPP, nl_simple(&self->client, OVLTREE_CMD_MAX + 1));
	/* These are dumps and nothing else. */
	EXPECT_EQ(-EOPNOTSUPP, nl_simple(&self->client, OVLTREE_CMD_REQUEST_GET));
	EXPECT_EQ(-EOPNOTSUPP, nl_simple(&self->client, OVLTREE_CMD_LAYERSET_GET));

	request = request_new(OVLTREE_CMD_SUBMIT);
	EXPECT_EQ(-EINVAL, nl_call(&self->client, &request, NULL, 0));
	EXPECT_EQ(OVLTREE_A_REQUEST_KIND, self->client.missing_attr);
	request = request_new(OVLTREE_CMD_CANCEL);
	EXPECT_EQ(-EINVAL, nl_call(&self->client, &request, NULL, 0));
	EXPECT_EQ(OVLTREE_A_REQUEST_ID, self->client.missing_attr);
}

/*
 * Rights
 */

/* Root of a user namespace that owns neither the network namespace ... */
static int try_all(void *arg)
{
	struct nl nl;

	nl_open(&nl);
	if (nl_serve(&nl) != -EPERM || !nl.text[0])
		return -ENOTRECOVERABLE;
	if (nl_detach(&nl, 1, 0, LONG, NULL) != -EPERM || !nl.text[0])
		return -ENOTRECOVERABLE;
	if (nl_cancel(&nl, 1) != -EPERM || !nl.text[0])
		return -ENOTRECOVERABLE;
	if (nl_dump(&nl, NULL, 0) != -EPERM || !nl.text[0])
		return -ENOTRECOVERABLE;
	if (nl_layersets(&nl, NULL, 0) != -EPERM || !nl.text[0])
		return -ENOTRECOVERABLE;
	if (nl_simple(&nl, OVLTREE_CMD_STATS_GET) != -EPERM || !nl.text[0])
		return -ENOTRECOVERABLE;
	if (nl_join(&nl, false) != -EPERM || nl_join(&nl, true) != -EPERM)
		return -ENOTRECOVERABLE;
	return 0;
}

/* ... or does. */
static int try_own(void *arg)
{
	struct nl daemon, client;
	struct msg msg;
	int mnt_fd, ret;
	__u64 id;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET))
		return -errno;
	nl_open(&daemon);
	nl_open(&client);
	if (nl_serve(&daemon) || nl_join(&daemon, false) || nl_join(&client, true))
		return -ENOTRECOVERABLE;
	mnt_fd = ovlt_sys_fsmount("tmpfs");
	ret = mnt_fd < 0 ? mnt_fd : nl_attach(&client, "t0", LONG, &id);
	if (ret)
		return ret;
	msg = nl_event(&daemon);
	if (msg.value[OVLTREE_A_REQUEST_UID] ||
	    msg.value[OVLTREE_A_REQUEST_PID] != (__u64)getpid())
		return -ENOTRECOVERABLE;
	if (!ovlt_exists("t0"))
		return -ENOENT;
	return nl_cancel(&client, id);
}

TEST_F(netlink, user_namespace)
{
	int userns = ovlt_userns("0 100000 65536");

	EXPECT_EQ(0, ovlt_fork_in_userns(userns, try_all, NULL));
	EXPECT_EQ(0, ovlt_fork_in_userns(userns, try_own, NULL));
	close(userns);
}

static int submit_on_file(struct nl *nl, int mnt_fd)
{
	struct request request = attach_request(mnt_fd, ovlt_open("file", O_PATH));
	int ret = nl_submit(nl, &request, NULL);

	return nl->bad_attr == OVLTREE_A_REQUEST_TARGET_FD ? ret : -ENOTRECOVERABLE;
}

/* Rights over its network namespace, and none over the mount namespace */
static int submit_as_guest(void *arg)
{
	const int *mnt_fd = arg;
	struct nl daemon, client;

	if (unshare(CLONE_NEWNET))
		return -errno;
	nl_open(&daemon);
	nl_open(&client);
	return nl_serve(&daemon) ?: submit_on_file(&client, *mnt_fd);
}

/* As by move_mount(2), rights are asked for before what is mounted is looked at. */
TEST_F(netlink, rights_come_first)
{
	int userns = ovlt_userns("0 100000 65536");
	int mnt_fd = ovlt_sys_fsmount("tmpfs");

	ovlt_write("file", "");
	EXPECT_EQ(-EINVAL, submit_on_file(&self->client, mnt_fd));
	EXPECT_EQ(-EPERM, ovlt_fork_in_userns(userns, submit_as_guest, &mnt_fd));
	close(mnt_fd);
	close(userns);
}

struct commit {
	int dev;
	__u64 id;
};

static int commit_as_user(void *arg)
{
	const struct commit *commit = arg;

	/* Rights over mounts, none over the network namespace */
	if (unshare(CLONE_NEWNS))
		return -errno;
	return commit_attach(commit->dev, commit->id);
}

TEST_F(netlink, commit_from_user_namespace)
{
	struct commit commit = { .dev = self->room.dev };
	int userns = ovlt_userns("0 100000 65536");

	ASSERT_EQ(0, nl_attach(&self->client, "t0", LONG, &self->id));
	commit.id = self->id;
	EXPECT_EQ(-EPERM, ovlt_fork_in_userns(userns, commit_as_user, &commit));
	EXPECT_EQ(1, STAT(&self->client, QUEUED));
	EXPECT_EQ(0, commit_attach(self->room.dev, self->id));
	close(userns);
}

/*
 * Whoever has a mount copied to many places pays for the copies, though another one
 * commits it: the daemon, or the kernel when the deadline has come.
 */

#define CGROUP "/sys/fs/cgroup/ovlt-netlink"
#define NR_PEERS 300
#define MIN_MOUNT_SIZE 200

/* Bytes of the cgroup's objects that the kernel can't reclaim */
static long cgroup_objects(void)
{
	char *text = ovlt_read(CGROUP "/memory.stat");
	const char *line = strstr(text, "\nslab_unreclaimable ");
	long bytes = line ? atol(line + strlen("\nslab_unreclaimable ")) : 0;

	free(text);
	return bytes;
}

/* How many bytes more than @before; the kernel adds up every two seconds. */
static long cgroup_growth(long before, long expected)
{
	long grown = 0;

	for (int ms = 0; ms < 10000 && grown < expected; ms += 100) {
		usleep(100000);
		grown = cgroup_objects() - before;
	}
	return grown;
}

static void __noreturn submit_in_cgroup(struct nl *nl, __u32 deadline)
{
	long before, grown;
	struct msg msg;

	ovlt_write(CGROUP "/cgroup.procs", "0");
	sleep(3);
	before = cgroup_objects();
	if (nl_attach(nl, "peers/0/t", deadline, NULL))
		_exit(1);
	msg = nl_event(nl);
	if (msg.cmd != OVLTREE_CMD_DONE || msg.value[OVLTREE_A_REQUEST_ERROR])
		_exit(2);
	grown = cgroup_growth(before, NR_PEERS * MIN_MOUNT_SIZE);
	ksft_print_msg("%d copies, %ld bytes\n", NR_PEERS, grown);
	_exit(grown < NR_PEERS * MIN_MOUNT_SIZE ? 3 : 0);
}

static void make_peers(void)
{
	ovlt_mkdir("peers/0");
	ovlt_tmpfs("peers/0");
	ovlt_mkdir("peers/0/t");
	ovlt_mount(NULL, "peers/0", NULL, MS_SHARED, NULL);
	for (int i = 1; i <= NR_PEERS; i++) {
		char *peer = ovlt_fmt("peers/%d", i);

		ovlt_mkdir(peer);
		ovlt_mount("peers/0", peer, NULL, MS_BIND, NULL);
		free(peer);
	}
}

static void remove_peers(void)
{
	for (int i = NR_PEERS; i >= 0; i--) {
		char *peer = ovlt_fmt("peers/%d", i);

		umount2(peer, MNT_DETACH);
		free(peer);
	}
}

TEST_F(netlink, submitter_pays)
{
	static const __u32 deadlines[] = { 1, LONG };

	if (!ovlt_make_memory_cgroup(CGROUP))
		SKIP(return, "no memory cgroup");
	make_peers();
	for (int i = 0; i < ARRAY_SIZE(deadlines); i++) {
		pid_t pid = fork();
		struct msg msg;
		int status;

		ASSERT_LE(0, pid);
		if (!pid)
			submit_in_cgroup(&self->client, deadlines[i]);
		msg = nl_event(&self->daemon);
		if (deadlines[i] == LONG)
			EXPECT_EQ(0, commit_attach(self->room.dev,
						   msg.value[OVLTREE_A_REQUEST_ID]));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
	}
	remove_peers();
	EXPECT_EQ(0, ovlt_remove_cgroup(CGROUP));
}

/*
 * CVE-2026-98977's kind: which copies of a mount are locked depends on where it is
 * mounted, not on who does it. A container commits a mount of the host's.
 */
static bool clear_flags(const char *target)
{
	return !mount(NULL, target, NULL, MS_REMOUNT | MS_BIND, NULL);
}

static int commit_as_container(int dev, int sync)
{
	struct ovlt_mount *copy;
	struct nl daemon;
	__u64 id;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET))
		return -errno;
	nl_open(&daemon);
	if (nl_serve(&daemon))
		return -ENOTRECOVERABLE;
	if (write(sync, "", 1) != 1 || read(sync, &id, sizeof(id)) != sizeof(id))
		return -EIO;
	if (commit_attach(dev, id))
		return -ENOTRECOVERABLE;
	copy = ovlt_find_mount(ovlt_mountinfo(), "/tmp/t0/m");
	if (!copy || !strstr(copy->options, "nosuid"))
		return -ENOENT;
	return !clear_flags("t0/m") && errno == EPERM ? 0 : -ESRCH;
}

TEST_F(netlink, container_commits_hosts_mount)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID };
	int userns = ovlt_userns("0 100000 65536"), mnt_fd, status, sync[2];
	struct request request;
	pid_t pid;
	char byte;

	ovlt_tmpfs("t0");
	ovlt_mkdir("t0/m");
	ovlt_mount(NULL, "t0", NULL, MS_SHARED, NULL);
	ovlt_mount("t0", "t1", NULL, MS_BIND, NULL);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ovlt_enter_userns(userns, 0);
		_exit(-commit_as_container(self->room.dev, sync[1]));
	}
	close(sync[1]);
	ASSERT_EQ(1, read(sync[0], &byte, 1));
	ASSERT_EQ(0, setns(ovlt_open(ovlt_fmt("/proc/%d/ns/net", pid), O_RDONLY),
			   CLONE_NEWNET));
	nl_close(&self->client);
	nl_open(&self->client);
	mnt_fd = ovlt_sys_fsmount("tmpfs");
	ASSERT_EQ(0, mount_setattr(mnt_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)));
	request = attach_request(mnt_fd, ovlt_open("t0/m", O_PATH));
	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	ASSERT_EQ(0, nl_submit(&self->client, &request, &self->id));
	ASSERT_EQ(sizeof(self->id), write(sync[0], &self->id, sizeof(self->id)));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	EXPECT_MOUNTED(true, "t0/m");
	EXPECT_MOUNTED(true, "t1/m");
	EXPECT_TRUE(clear_flags("t0/m"));
	EXPECT_TRUE(clear_flags("t1/m"));
	close(mnt_fd);
	close(userns);
}

/*
 * A container is given a layer set of the host's: its trees on it are refused before
 * there is anything to submit, as ATTACH refuses them. On a set of its own layers
 * they aren't.
 */
static int submit_on_set(int dev, const struct ovltree_tree *tree, struct nl *nl)
{
	int mnt_fd = ovlt_prepare_one(dev, tree);
	struct request request;
	__u64 id;
	int err;

	if (mnt_fd < 0)
		return mnt_fd;
	request = attach_request(mnt_fd, ovlt_open("t0", O_PATH));
	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	err = nl_submit(nl, &request, &id);
	close(mnt_fd);
	return err ? err : commit_attach(dev, id);
}

struct lent {
	int dev;
	int set;
};

static int submit_on_sets(void *arg)
{
	const struct lent *lent = arg;
	struct ovltree_tree tree = ovlt_tree_on(lent->set, &(struct ovltree_tree) { });
	struct nl daemon, client;
	int attached, err;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET))
		return -errno;
	nl_open(&daemon);
	nl_open(&client);
	if (nl_serve(&daemon))
		return -ENOTRECOVERABLE;
	attached = ovlt_attach_one(lent->dev, &tree, "t0");
	err = submit_on_set(lent->dev, &tree, &client);
	if (attached != err || STAT(&client, SUBMITTED))
		return -ENOTRECOVERABLE;

	tree = ovlt_tree_on(ovlt_layerset_one(lent->dev, ovlt_simple_tree()), &tree);
	if (submit_on_set(lent->dev, &tree, &client) ||
	    strcmp("upper\n", ovlt_read("t0/f")))
		return -ENOTRECOVERABLE;
	return err;
}

TEST_F(netlink, hosts_layerset)
{
	struct lent lent = {
		.dev = self->room.dev,
		.set = ovlt_layerset_one(self->room.dev, ovlt_simple_tree()),
	};
	int userns = ovlt_userns("0 100000 65536");

	ASSERT_LE(0, lent.set);
	EXPECT_EQ(-EINVAL, ovlt_fork_in_userns(userns, submit_on_sets, &lent));
	close(lent.set);
	close(userns);
}

/*
 * Whoever opens a socket with fewer rights than the one who is made to write to it
 * gains nothing.
 */
static int open_in_own_namespaces(void *arg)
{
	struct nl *nl = arg;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -errno;
	nl_open(nl);
	return nl_serve(nl);
}

TEST_F(netlink, socket_of_less_rights)
{
	struct nl *nl = mmap(NULL, sizeof(*nl), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, nl);
	/* Its descriptors are ours. */
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-open_in_own_namespaces(nl));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_EQ(-EPERM, nl_attach(nl, "t0", LONG, NULL));
	EXPECT_NE('\0', nl->text[0]);
	nl_close(nl);
	munmap(nl, sizeof(*nl));
}

/*
 * Bounds
 */

/* Submit until it is refused. Return: how many were taken, or -errno. */
static int submit_until_full(struct nl *nl, int *error)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs");
	struct request request = attach_request(mnt_fd, ovlt_open(".", O_PATH));
	int nr = 0;

	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	while (!(*error = nl_submit(nl, &request, NULL)))
		nr++;
	close(mnt_fd);
	return nr;
}

TEST_F(netlink, full_for_a_user_namespace)
{
	struct nl other;	/* that no event comes to */
	int error;

	nl_open(&other);
	EXPECT_EQ(QUEUE_MAX_USERNS, submit_until_full(&self->client, &error));
	EXPECT_EQ(-EDQUOT, error);
	EXPECT_NE('\0', self->client.text[0]);
	EXPECT_EQ(1, STAT(&other, REFUSED));
	EXPECT_EQ(QUEUE_MAX_USERNS, STAT(&other, QUEUED));
	EXPECT_EQ(QUEUE_MAX_USERNS, nl_dump(&other, NULL, 0));
	EXPECT_EQ(0, nl_cancel(&self->client, 1));
	EXPECT_EQ(0, nl_attach(&self->client, "t0", LONG, NULL));
	EXPECT_EQ(-EDQUOT, nl_attach(&self->client, "t0", LONG, NULL));
	nl_close(&self->client);
	EXPECT_EQ(0, STAT(&other, QUEUED));
	EXPECT_EQ(QUEUE_MAX_USERNS + 1, STAT(&other, CANCELLED));
	EXPECT_EQ(0, nl_attach(&other, "t0", LONG, NULL));
	nl_close(&other);
	nl_open(&self->client);
}

/*
 * A row of user namespaces, each in the one before, ours the first. The last owns
 * the network namespace, so that root of each has rights over it.
 */
#define LEVELS (QUEUE_MAX / QUEUE_MAX_USERNS)

struct levels {
	pid_t last;
	int taken[LEVELS];
	int error[LEVELS];
};

static void write_own(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ovlt_die("%s", name);
	close(fd);
}

static void level_submit(struct levels *levels, int nr, struct nl *nl)
{
	if (nr < LEVELS - 1) {
		char *path = ovlt_fmt("/proc/%d/ns/net", levels->last);

		if (setns(ovlt_open(path, O_RDONLY), CLONE_NEWNET))
			ovlt_die("%s", path);
	}
	nl_open(nl);
	levels->taken[nr] = submit_until_full(nl, &levels->error[nr]);
}

/* Return once level @nr and those in it have submitted; they end after @stop. */
static pid_t level_begin(struct levels *levels, int nr, const int *stop)
{
	int ready[2];
	pid_t pid, inner = 0;
	struct nl daemon, nl;
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		ovlt_die("pipe");
	pid = fork();
	if (pid < 0)
		ovlt_die("fork");
	if (pid) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			ovlt_die("level %d", nr);
		close(ready[0]);
		return pid;
	}

	close(stop[1]);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		ovlt_die("unshare");
	write_own("/proc/self/setgroups", "deny");
	write_own("/proc/self/uid_map", "0 0 1");
	write_own("/proc/self/gid_map", "0 0 1");
	if (nr < LEVELS - 1) {
		inner = level_begin(levels, nr + 1, stop);
	} else {
		levels->last = getpid();
		if (unshare(CLONE_NEWNET))
			ovlt_die("unshare");
		nl_open(&daemon);
		if (nl_serve(&daemon))
			ovlt_die("serve");
	}
	level_submit(levels, nr, &nl);
	if (write(ready[1], "", 1) != 1 || read(stop[0], &byte, 1))
		ovlt_die("level %d", nr);
	if (inner)
		waitpid(inner, NULL, 0);
	_exit(0);
}

TEST_F(netlink, full)
{
	struct levels *levels = mmap(NULL, sizeof(*levels), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct nl nl;
	int stop[2];
	pid_t pid;

	ASSERT_NE(MAP_FAILED, levels);
	ASSERT_EQ(0, pipe2(stop, O_CLOEXEC));
	pid = level_begin(levels, 1, stop);
	level_submit(levels, 0, &nl);
	EXPECT_NE('\0', nl.text[0]);
	for (int i = 0; i < LEVELS; i++) {
		EXPECT_EQ(QUEUE_MAX_USERNS, levels->taken[i]);
		EXPECT_EQ(i ? -EDQUOT : -ENOBUFS, levels->error[i]);
	}
	EXPECT_EQ(QUEUE_MAX, STAT(&nl, QUEUED));
	EXPECT_EQ(LEVELS, STAT(&nl, REFUSED));
	EXPECT_EQ(QUEUE_MAX, nl_dump(&nl, NULL, 0));
	close(stop[1]);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(QUEUE_MAX_USERNS, STAT(&nl, QUEUED));
	nl_close(&nl);
	munmap(levels, sizeof(*levels));
}

/*
 * All at once: submitters that cancel some, a daemon, and deadlines. Nothing is
 * lost and nothing done twice.
 */
#define RACERS 4
#define RACE_EACH 64

static int race_submit(void)
{
	bool ended[RACERS * RACE_EACH + 1] = {};
	struct msg msg;
	struct nl nl;
	__u64 id;

	nl_open(&nl);
	for (int i = 0; i < RACE_EACH; i++) {
		if (nl_attach(&nl, "t0", 1 + i % 8, &id))
			return 1;
		if (i % 4 == 0)
			nl_cancel(&nl, id);
	}
	for (int i = 0; i < RACE_EACH; i++) {
		msg = nl_event(&nl);
		id = msg.value[OVLTREE_A_REQUEST_ID];
		if (msg.cmd != OVLTREE_CMD_DONE || id >= ARRAY_SIZE(ended) || ended[id])
			return 2;
		ended[id] = true;
		if (msg.value[OVLTREE_A_REQUEST_ERROR] &&
		    (__s32)msg.value[OVLTREE_A_REQUEST_ERROR] != -ECANCELED)
			return 3;
	}
	return nl_no_event(&nl) == -EAGAIN ? 0 : 4;
}

/* Commit what a dump shows; some of it is gone by then. */
static unsigned int race_commit(struct nl *nl, int dev)
{
	struct ovltree_attach entries[8];
	struct ovltree_result results[8];
	struct msg msgs[8];
	int nr = nl_dump(nl, msgs, ARRAY_SIZE(msgs)), ret;

	if (nr <= 0)
		return 0;
	if (nr > ARRAY_SIZE(msgs))
		nr = ARRAY_SIZE(msgs);
	for (int i = 0; i < nr; i++)
		entries[i] = attach_entry(msgs[i].value[OVLTREE_A_REQUEST_ID]);
	ret = ovlt_attach(dev, 0, entries, nr, results);
	if (ret < 0)
		ovlt_die("attach");
	for (int i = 0; i < nr; i++) {
		if (results[i].error && results[i].error != -ENOENT)
			ovlt_die("attach: %s", results[i].message);
	}
	return ret;
}

TEST_F(netlink, race)
{
	unsigned int committed = 0;
	struct msg msg;
	int running = 0, status;
	struct nl nl;

	nl_open(&nl);
	ovlt_tmpfs("t0");
	for (; running < RACERS; running++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			_exit(race_submit());
	}
	while (running) {
		committed += race_commit(&nl, self->room.dev);
		if (waitpid(-1, &status, WNOHANG) <= 0)
			continue;
		EXPECT_EQ(0, status);
		running--;
	}

	msg = nl_stats(&nl);
	EXPECT_EQ(RACERS * RACE_EACH, msg.value[OVLTREE_A_STATS_SUBMITTED]);
	EXPECT_EQ(RACERS * RACE_EACH, msg.value[OVLTREE_A_STATS_ATTACHED] +
				      msg.value[OVLTREE_A_STATS_CANCELLED]);
	EXPECT_EQ(committed, msg.value[OVLTREE_A_STATS_ATTACHED] -
			     msg.value[OVLTREE_A_STATS_EXPIRED]);
	EXPECT_EQ(0, msg.value[OVLTREE_A_STATS_FAILED]);
	EXPECT_EQ(0, msg.value[OVLTREE_A_STATS_QUEUED]);
	EXPECT_EQ(ovlt_count_lines(self->room.mounts) + 1 +
		  msg.value[OVLTREE_A_STATS_ATTACHED], ovlt_count_mounts());
	nl_close(&nl);
}

TEST_HARNESS_MAIN
