// SPDX-License-Identifier: GPL-2.0
/*
 * Layers of a FUSE file system, whose server is somebody: what it says of its files
 * gives nobody rights, and when it doesn't answer only who asks it waits.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "fuseserver.h"
#include "genl.h"

#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

/*
 * The server: a folder with
 *
 *	file	setuid, root's, with all capabilities, and anybody may write it
 *	slow	a name that is never answered
 */

#define MISC_MAJOR 10
#define FUSE_MINOR 229
#define FILE_NODE 2
#define TEXT "#!/bin/true\n"

static struct fuse_attr attr_of(__u64 node)
{
	bool file = node == FILE_NODE;

	return (struct fuse_attr) {
		.ino = node,
		.size = file ? strlen(TEXT) : 0,
		.mode = file ? S_IFREG | 04777 : S_IFDIR | 0755,
		.nlink = file ? 1 : 2,
		.blksize = 4096,
	};
}

static void serve_lookup(int fd, const struct fuse_in_header *in, int told)
{
	struct fuse_entry_out entry = {
		.nodeid = FILE_NODE, .attr = attr_of(FILE_NODE),
	};
	const char *name = (const char *)(in + 1);

	if (!strcmp(name, "file"))
		reply(fd, in, 0, &entry, sizeof(entry));
	else if (strcmp(name, "slow"))
		reply(fd, in, -ENOENT, NULL, 0);
	else if (write(told, "", 1) != 1)
		_exit(1);
}

#define CAPABILITIES "security.capability"

static const struct vfs_cap_data capabilities = {
	.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
	.data = { { ~0U, 0 }, { ~0U, 0 } },
};

/* The size first, or what is asked for */
static void serve_xattr(int fd, const struct fuse_in_header *in, const void *value,
			size_t size)
{
	const struct fuse_getxattr_in *get = (const void *)(in + 1);
	struct fuse_getxattr_out out = { .size = size };

	if (!get->size)
		reply(fd, in, 0, &out, sizeof(out));
	else if (get->size < size)
		reply(fd, in, -ERANGE, NULL, 0);
	else
		reply(fd, in, 0, (void *)value, size);
}

static void serve_getxattr(int fd, const struct fuse_in_header *in)
{
	const char *name = (const char *)(in + 1) + sizeof(struct fuse_getxattr_in);

	if (in->nodeid == FILE_NODE && !strcmp(name, CAPABILITIES))
		serve_xattr(fd, in, &capabilities, sizeof(capabilities));
	else
		reply(fd, in, -ENODATA, NULL, 0);
}

static void serve_listxattr(int fd, const struct fuse_in_header *in)
{
	serve_xattr(fd, in, CAPABILITIES,
		    in->nodeid == FILE_NODE ? sizeof(CAPABILITIES) : 0);
}

static void serve_one(int fd, const struct fuse_in_header *in, int told)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
	};
	struct fuse_attr_out attr = { .attr = attr_of(in->nodeid) };
	struct fuse_open_out open = { };
	struct fuse_statfs_out statfs = { .st.namelen = 255, .st.bsize = 4096 };
	const struct fuse_read_in *read = (const void *)(in + 1);

	switch (in->opcode) {
	case FUSE_INIT:
		return reply(fd, in, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		return serve_lookup(fd, in, told);
	case FUSE_GETATTR:
		return reply(fd, in, 0, &attr, sizeof(attr));
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return reply(fd, in, 0, &open, sizeof(open));
	case FUSE_READ:
		return reply(fd, in, 0, TEXT, read->offset ? 0 : strlen(TEXT));
	case FUSE_GETXATTR:
		return serve_getxattr(fd, in);
	case FUSE_LISTXATTR:
		return serve_listxattr(fd, in);
	case FUSE_STATFS:
		return reply(fd, in, 0, &statfs, sizeof(statfs));
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		return reply(fd, in, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		return reply(fd, in, -ENOSYS, NULL, 0);
	}
}

struct server {
	pid_t pid;
	int told;
};

static struct server serve(const char *target)
{
	static char buffer[1 << 17] __attribute__((aligned(8)));
	int fd = ovlt_open("/tmp/dev", O_RDWR), told[2];
	struct server server;

	ovlt_mkdir(target);
	ovlt_mount("fuse", target, "fuse", 0,
		   ovlt_fmt("fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fd));
	if (pipe2(told, O_CLOEXEC))
		ovlt_die("pipe");
	server.pid = fork();
	if (server.pid < 0)
		ovlt_die("fork");
	if (!server.pid) {
		while (read(fd, buffer, sizeof(buffer)) > 0)
			serve_one(fd, (void *)buffer, told[1]);
		_exit(0);
	}
	close(told[1]);
	close(fd);
	server.told = told[0];
	return server;
}

static void server_end(const struct server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	close(server->told);
}

/*
 * Rights
 */

FIXTURE(fuse)
{
	struct ovlt_room room;
	int userns;
};

FIXTURE_VARIANT(fuse)
{
	bool own_calls;
};

FIXTURE_VARIANT_ADD(fuse, kernel) { .own_calls = true };
FIXTURE_VARIANT_ADD(fuse, ovltree) { };

static void fuse_enter(struct ovlt_room *room)
{
	ovlt_room_enter(room);
	ovlt_simple_layers();
	/* Folders of the host that it has lent to a container */
	ovlt_mkdirs("u", "w", "t", "other", NULL);
	/* As hosts have /dev/fuse that let anybody mount */
	if (mknod("dev", S_IFCHR, makedev(MISC_MAJOR, FUSE_MINOR)) ||
	    chmod("dev", 0666) || chown("u", 100000, 100000) ||
	    chown("w", 100000, 100000))
		ovlt_die("dev, u, w");
}

FIXTURE_SETUP(fuse)
{
	if (access("/dev/fuse", F_OK))
		SKIP(return, "no /dev/fuse");
	fuse_enter(&self->room);
	self->userns = ovlt_userns("0 100000 65536\n");
}

FIXTURE_TEARDOWN(fuse)
{
}

struct attempt {
	int dev;
	bool own_calls;
	bool own_fuse;
};

static int try_attach(const struct attempt *attempt, const struct ovltree_tree *tree,
		      const char *target)
{
	return attempt->own_calls ? ovlt_sys_attach(tree, target) :
				    ovlt_attach_one(attempt->dev, tree, target);
}

/* Have a file copied up to where the host sees it. */
static int try_copy_up(void *arg)
{
	const struct attempt *attempt = arg;
	struct server server = { };
	struct ovltree_tree tree = { };
	int err;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	if (attempt->own_fuse) {
		ovlt_mount("own", "fuse", "tmpfs", 0, NULL);
		server = serve("fuse");
	}
	ovlt_tree_lowers(&tree, "fuse", NULL);
	ovlt_tree_upper(&tree, "u", "w");
	err = try_attach(attempt, &tree, "t");
	if (err)
		return err;
	err = open("t/file", O_WRONLY) < 0 ? -errno : 0;
	if (server.pid)
		server_end(&server);
	return err;
}

/* CVE-2023-0386's kind: the host's root has no file in the container. */
TEST_F(fuse, hosts_file)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	struct server server = serve("fuse");
	struct stat st;

	ASSERT_EQ(0, stat("fuse/file", &st));
	ASSERT_EQ(S_IFREG | 04777, st.st_mode);
	ASSERT_EQ(0, st.st_uid);
	ASSERT_EQ(sizeof(capabilities), getxattr("fuse/file", CAPABILITIES, NULL, 0));
	EXPECT_EQ(-EOVERFLOW, ovlt_fork_in_userns(self->userns, try_copy_up, &attempt));
	EXPECT_STREQ("", ovlt_list("u"));
	server_end(&server);
}

/*
 * What a server of the container calls root's is the container's root's, and the
 * capabilities that it gives are those over the container's user namespace, as in
 * CVE-2021-3493.
 */
TEST_F(fuse, containers_file)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls, .own_fuse = true,
	};
	struct vfs_ns_cap_data data = { };
	struct stat st;

	ovlt_mkdir("fuse");
	EXPECT_EQ(0, ovlt_fork_in_userns(self->userns, try_copy_up, &attempt));
	EXPECT_STREQ(TEXT, ovlt_read("u/file"));
	ASSERT_EQ(0, stat("u/file", &st));
	EXPECT_EQ(100000, st.st_uid);
	EXPECT_EQ(100000, st.st_gid);
	ASSERT_EQ(sizeof(data), getxattr("u/file", CAPABILITIES, &data, sizeof(data)));
	EXPECT_EQ(VFS_CAP_REVISION_3, data.magic_etc & VFS_CAP_REVISION_MASK);
	EXPECT_EQ(100000, data.rootid);
}

/*
 * A server that doesn't answer
 */

static int try_slow(void *arg)
{
	struct ovltree_tree tree = { };

	ovlt_tree_lowers(&tree, "fuse/slow", "l0", NULL);
	return try_attach(arg, &tree, "t");
}

/* Whether the families of generic netlink still answer. */
static bool genetlink_answers(void)
{
	struct {
		struct nlmsghdr nlh;
		struct genlmsghdr genl;
	} request = {
		.nlh.nlmsg_len = sizeof(request),
		.nlh.nlmsg_type = GENL_ID_CTRL,
		.nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.genl.cmd = CTRL_CMD_GETFAMILY,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	char answer[32768];
	bool answers;

	answers = fd >= 0 && send(fd, &request, sizeof(request), 0) > 0 &&
		  recv(fd, answer, sizeof(answer), 0) > 0;
	close(fd);
	return answers;
}

TEST_F(fuse, slow)
{
	struct attempt attempt = {
		.dev = self->room.dev, .own_calls = variant->own_calls,
	};
	struct server server = serve("fuse");
	pid_t pid = fork();
	int set, status;
	char byte;

	ASSERT_LE(0, pid);
	if (!pid)
		_exit(-try_slow(&attempt));
	/* It asks, and waits. */
	ASSERT_EQ(1, read(server.told, &byte, 1));
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));

	EXPECT_EQ(0, ovlt_attach_one(self->room.dev, ovlt_simple_tree(), "other"));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "other"));
	set = ovlt_layerset_one(self->room.dev, ovlt_simple_tree());
	EXPECT_LE(0, set);
	close(set);
	EXPECT_TRUE(genetlink_answers());

	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	server_end(&server);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(ECONNABORTED, WEXITSTATUS(status));
	EXPECT_STREQ("", ovlt_list("t"));
}

/*
 * What a batch and a request do where a server is slow
 */

FIXTURE(stuck)
{
	struct ovlt_room room;
};

FIXTURE_SETUP(stuck)
{
	if (access("/dev/fuse", F_OK))
		SKIP(return, "no /dev/fuse");
	fuse_enter(&self->room);
}

FIXTURE_TEARDOWN(stuck)
{
}

static int wait_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		ovlt_die("waitpid");
	return status;
}

/* Wait until a process waits for what can't be interrupted, or has ended. */
static void await_wait(pid_t pid)
{
	char state;

	do {
		usleep(1000);
		if (sscanf(ovlt_read(ovlt_fmt("/proc/%d/stat", pid)), "%*d %*s %c", &state) != 1)
			ovlt_die("stat of %d", pid);
	} while (state != 'D' && state != 'Z');
}

/*
 * While a name is looked up its folder is locked. What is to be attached there waits,
 * and so does what comes after it in the same batch and depends on it.
 */
TEST_F(stuck, mountpoint)
{
	struct ovltree_attach entries[2];
	struct ovltree_result results[2];
	struct server server;
	pid_t looker, pid;
	int target, outer;
	char byte;

	server = serve("fuse");
	target = ovlt_open("fuse", O_PATH | O_DIRECTORY);
	outer = ovlt_prepare_one(self->room.dev, ovlt_simple_tree());
	ASSERT_LE(0, outer);
	entries[0] = ovlt_entry_mount(outer, NULL);
	entries[0].target.fd = target;
	entries[1] = ovlt_entry_tree(ovlt_simple_tree(), NULL);
	entries[1].target.fd = outer;

	looker = fork();
	ASSERT_LE(0, looker);
	if (!looker)
		_exit(access("fuse/slow", F_OK) ? 0 : 1);
	ASSERT_EQ(1, read(server.told, &byte, 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(ovlt_attach(self->room.dev, 0, entries, 2, results));
	await_wait(pid);
	server_end(&server);
	EXPECT_EQ(2, WEXITSTATUS(wait_status(pid)));
	EXPECT_EQ(0, WEXITSTATUS(wait_status(looker)));
	close(outer);
	EXPECT_EQ(0, ovlt_sys_umount("fuse", 0));
	EXPECT_EQ(0, ovlt_sys_umount("fuse", 0));
	close(target);
}

/* MNT_FORCE ends what goes on in the file system: not before it is to be detached. */
TEST_F(stuck, forced_request)
{
	static struct nl client, daemon;
	struct ovltree_detach entry;
	struct ovltree_result result;
	struct request request;
	struct server server;
	int file;
	__u64 id;

	server = serve("fuse");
	nl_open(&client);
	nl_open(&daemon);
	ASSERT_EQ(0, nl_serve(&daemon));
	file = ovlt_open("fuse/file", O_RDONLY);
	request = detach_request(ovlt_mount_id(AT_FDCWD, "fuse"),
				 OVLTREE_DETACH_FLAGS_FORCE);
	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);

	ASSERT_EQ(0, nl_submit(&client, &request, &id));
	ASSERT_EQ(0, nl_cancel(&client, id));
	EXPECT_EQ(0, access("fuse/file", R_OK));

	ASSERT_EQ(0, nl_submit(&client, &request, &id));
	entry = detach_entry(id);
	EXPECT_EQ(0, ovlt_detach(self->room.dev, &entry, 1, &result));
	EXPECT_EQ(-EBUSY, result.error);
	EXPECT_EQ(-1, access("fuse/file", R_OK));
	nl_close(&client);
	nl_close(&daemon);
	close(file);
	server_end(&server);
}

/*
 * Callers with one entry each, at the same moment. Somebody else prepares a tree on
 * a layer that the server doesn't find: those who lead wait for it, in vain, and the
 * others come meanwhile. It also keeps the file system's root locked, which is one
 * caller's mountpoint; another's has been removed.
 */
#define NR_CALLERS 16
#define REMOVED 4
#define LOCKED 9
#define MERGE_ROUNDS 20

#define COMMIT_EVENT OVLT_TRACING "events/ovlt_merge/commit/enable"

FIXTURE(merge)
{
	struct ovlt_room room;
	struct ovltree_result *results;
	struct ovltree_attach entries[NR_CALLERS];
	struct server server;
	pid_t preparer;
	pid_t callers[NR_CALLERS];
};

FIXTURE_SETUP(merge)
{
	if (access("/dev/fuse", F_OK))
		SKIP(return, "no /dev/fuse");
	if (access(OVLT_PROBES, W_OK))
		SKIP(return, "no kprobe events");
	fuse_enter(&self->room);
	self->results = mmap(NULL, NR_CALLERS * sizeof(*self->results),
			     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->results);
	ovlt_probe("p:ovlt_merge/commit mnt_attach_batch\n");
}

FIXTURE_TEARDOWN(merge)
{
	if (!self->room.mounts)
		return;
	ovlt_probe("-:ovlt_merge/commit\n");
	EXPECT_ROOM_CLEAN(&self->room);
}

static unsigned int count_commits(void)
{
	char *trace = ovlt_read(OVLT_TRACING "trace");
	unsigned int nr = 0;

	for (char *at = trace; (at = strstr(at, "(mnt_attach_batch+")); at++)
		nr++;
	free(trace);
	return nr;
}

static const char *caller_target(int i)
{
	return i == LOCKED ? "fuse" : ovlt_fmt("t/%d", i);
}

static void callers_make(struct ovltree_attach *entries)
{
	for (int i = 0; i < NR_CALLERS; i++) {
		struct ovltree_tree *tree = ovlt_alloc(sizeof(*tree));
		const char *target = caller_target(i);

		ovlt_mkdir(target);
		ovlt_write(ovlt_fmt("layers/%d/name", i), ovlt_fmt("%d", i));
		ovlt_tree_lowers(tree, ovlt_fmt("layers/%d", i), "l0", NULL);
		entries[i] = ovlt_entry_tree(tree, NULL);
		entries[i].target.fd = ovlt_open(target, O_PATH | O_DIRECTORY);
	}
	if (rmdir(caller_target(REMOVED)))
		ovlt_die("rmdir");
}

/* Each waits for the end of a pipe that all have open: they go on together. */
static pid_t caller_start(int dev, const struct ovltree_attach *entry,
			  struct ovltree_result *result, const int go[2])
{
	pid_t pid = fork();
	char none;

	if (pid < 0)
		ovlt_die("fork");
	if (pid)
		return pid;
	close(go[1]);
	if (read(go[0], &none, 1))
		_exit(2);
	_exit(ovlt_attach(dev, 0, entry, 1, result) < 0);
}

static void expect_caller(struct __test_metadata *_metadata, int i,
			  const struct ovltree_result *result)
{
	const char *target = caller_target(i);

	EXPECT_RESULT_OK(*result);
	EXPECT_NE(0, result->mnt_id);
	EXPECT_EQ(ovlt_mount_id(AT_FDCWD, target), result->mnt_id);
	EXPECT_STREQ(ovlt_fmt("%d", i), ovlt_read(ovlt_fmt("%s/name", target)));
	EXPECT_EQ(0, ovlt_sys_umount(target, 0));
}

/* Return: how many commits there were, which end all calls but the locked one. */
static unsigned int merge_round(struct __test_metadata *_metadata,
				struct _test_data_merge *self)
{
	unsigned int commits;
	int go[2];

	ovlt_write(OVLT_TRACING "trace", "");
	ovlt_write(COMMIT_EVENT, "1");
	if (pipe2(go, O_CLOEXEC))
		ovlt_die("pipe");
	for (int i = 0; i < NR_CALLERS; i++)
		self->callers[i] = caller_start(self->room.dev, &self->entries[i],
						&self->results[i], go);
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < NR_CALLERS; i++) {
		if (i != LOCKED)
			EXPECT_EQ(0, wait_status(self->callers[i]));
	}
	/* In vain so far, but it is counted */
	await_wait(self->callers[LOCKED]);
	EXPECT_EQ(0, waitpid(self->callers[LOCKED], NULL, WNOHANG));
	EXPECT_EQ(0, waitpid(self->preparer, NULL, WNOHANG));
	ovlt_write(COMMIT_EVENT, "0");
	commits = count_commits();

	for (int i = 0; i < NR_CALLERS; i++) {
		if (i != LOCKED && i != REMOVED)
			expect_caller(_metadata, i, &self->results[i]);
	}
	EXPECT_RESULT(-ENOENT, TARGET, 0, self->results[REMOVED]);
	return commits;
}

/* It looks for the layer until the server ends. */
static void preparer_start(struct __test_metadata *_metadata, struct _test_data_merge *self)
{
	struct attempt attempt = { .dev = self->room.dev };
	char byte;

	self->preparer = fork();
	ASSERT_LE(0, self->preparer);
	if (!self->preparer)
		_exit(-try_slow(&attempt));
	ASSERT_EQ(1, read(self->server.told, &byte, 1));
}

TEST_F(merge, callers)
{
	unsigned int commits = NR_CALLERS;

	for (int round = 0; round < MERGE_ROUNDS && commits >= NR_CALLERS; round++) {
		self->server = serve("fuse");
		callers_make(self->entries);
		preparer_start(_metadata, self);
		commits = merge_round(_metadata, self);
		server_end(&self->server);
		EXPECT_EQ(0, wait_status(self->callers[LOCKED]));
		EXPECT_EQ(ECONNABORTED, WEXITSTATUS(wait_status(self->preparer)));
		expect_caller(_metadata, LOCKED, &self->results[LOCKED]);
		for (int i = 0; i < NR_CALLERS; i++)
			close(self->entries[i].target.fd);
		ovlt_umount("fuse");
	}
	EXPECT_LT(0, commits);
	EXPECT_GT(NR_CALLERS, commits);
}

TEST_HARNESS_MAIN
