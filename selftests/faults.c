// SPDX-License-Identifier: GPL-2.0
/*
 * Each command again and again, with its first, its second, ... its last
 * allocation or copy from or to user space failing, until nothing is left to fail.
 * Whatever fails, the command has done what it says or nothing, its errno tells
 * the reason, and nothing is left behind.
 *
 * A kernel that can't inject faults, or a module that isn't built for it, skips.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "genl.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT (6 * OVLT_TIMEOUT)

#define DEBUGFS "/sys/kernel/debug/"
#define SLABS "/sys/kernel/slab/"
#define MODULE "/lib/modules/ovltree.ko"

#define NR 2
#define LONG 60000		/* a deadline that no test lives to see */
#define MAX_FAULTS 10000
#define SETTLE_MS 10000

/* Objects of these caches must be no more than before, once things settle. */
static const char *const slabs[] = {
	"mnt_cache", "dentry", "inode_cache", "shmem_inode_cache", "ovl_inode",
	"user_namespace",
};

/* A command's runs: one without a fault, then one for each point that can fail. */
struct sweep {
	const char *function;	/* that fails, NULL for whatever can */
	int fd;			/* fail-nth of this process */
	unsigned int runs;
	bool met;
	int drop_caches;
	int mountinfo;
	struct ovlt_slab slabs[ARRAY_SIZE(slabs)];
	long before[ARRAY_SIZE(slabs)];
};

FIXTURE(faults)
{
	struct ovlt_room room;
	struct sweep sweep;
	struct ovltree_tree trees[NR];
	struct ovltree_attach entries[NR];
	struct ovltree_result results[NR];
	__u64 room_id;
	int layer;
	int set;
	int free_fd;
	int injected;		/* errno, of a function that is made to fail */
	/* Netlink */
	int daemon;
	int submitter;
	__u16 family;
};

static const char *const targets[NR] = { "m0", "m1" };

/*
 * Faults
 */

/* Return: 0 or -errno. */
static int try_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static void set_number(const char *path, unsigned int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	errno = -try_write(path, text);
	if (errno)
		ovlt_die("%s", path);
}

/*
 * kmemleak takes an object for each one that is allocated, and makes up for one it
 * can't get: that would double the sweep, and use up what it has in reserve. The
 * fields of a tracepoint are what the kernel itself warns of when it can't have them.
 */
static bool may_fail(const char *slab)
{
	return !strstr(slab, "kmemleak") && strcmp(slab, "ftrace_event_field");
}

static void let_slabs_fail(void)
{
	DIR *dir = opendir(SLABS);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char *path = ovlt_fmt(SLABS "%s/failslab", entry->d_name);

		if (may_fail(entry->d_name))
			try_write(path, "1");
		free(path);
	}
	closedir(dir);
	set_number(DEBUGFS "failslab/cache-filter", 1);
}

static bool let_faults_happen(void)
{
	static const char *const kinds[] = {
		"failslab", "fail_page_alloc", "fail_usercopy", "fail_function",
	};

	if (access("/proc/thread-self/fail-nth", W_OK))
		return false;
	for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *path = ovlt_fmt(DEBUGFS "%s/verbose", kinds[i]);

		if (try_write(path, "0"))
			return false;
		free(path);
	}
	set_number(DEBUGFS "failslab/ignore-gfp-wait", 0);
	set_number(DEBUGFS "fail_page_alloc/ignore-gfp-wait", 0);
	set_number(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", 0);
	set_number(DEBUGFS "fail_page_alloc/min-order", 0);
	let_slabs_fail();
	return true;
}

static void arm_nth(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fd, text, len, 0) != len)
		ovlt_die("fail-nth");
}

/* Reading and writing the number are among what can fail. */
static bool disarm_nth(int fd)
{
	char text[16] = "";
	bool met = pread(fd, text, sizeof(text) - 1, 0) > 0 && !atoi(text);

	if (pwrite(fd, "0", 1, 0) != 1 && pwrite(fd, "0", 1, 0) != 1)
		ovlt_die("fail-nth");
	return met;
}

/* A task's own number counts faults of all kinds. */
static void arm_function(unsigned int nth)
{
	set_number(DEBUGFS "fail_function/space", nth);
	set_number(DEBUGFS "fail_function/times", 1);
	set_number(DEBUGFS "fail_function/probability", 100);
}

static bool disarm_function(void)
{
	char *times;
	bool met;

	set_number(DEBUGFS "fail_function/probability", 0);
	times = ovlt_read(DEBUGFS "fail_function/times");
	met = !atoi(times);
	free(times);
	return met;
}

static void sweep_arm(const struct sweep *sweep)
{
	unsigned int nth = sweep->runs - 1;

	if (!nth)
		return;
	if (sweep->function)
		arm_function(nth);
	else
		arm_nth(sweep->fd, nth);
}

static void sweep_disarm(struct sweep *sweep)
{
	if (sweep->runs > 1)
		sweep->met = sweep->function ? disarm_function() :
					       disarm_nth(sweep->fd);
}

/* What a command returns, 0 or more or -errno, with this run's fault in it */
#define WITH_FAULT(command) ({ \
	long __ret; \
	sweep_arm(&self->sweep); \
	__ret = (command); \
	sweep_disarm(&self->sweep); \
	__ret; \
})

static void nap(void)
{
	nanosleep(&(struct timespec) { .tv_nsec = 100000000 }, NULL);
}

static void sweep_open(struct sweep *sweep)
{
	sweep->fd = ovlt_open("/proc/thread-self/fail-nth", O_RDWR);
	sweep->drop_caches = ovlt_open("/proc/sys/vm/drop_caches", O_WRONLY);
	/* The runs look at it; a lone dentry of procfs, unused, is never dropped. */
	sweep->mountinfo = ovlt_open("/proc/thread-self/mountinfo", O_RDONLY);
	for (int i = 0; i < ARRAY_SIZE(slabs); i++)
		sweep->slabs[i] = ovlt_slab_open(slabs[i]);
}

static void take_inventory(const struct sweep *sweep, long objects[])
{
	if (pwrite(sweep->drop_caches, "2", 1, 0) != 1)
		ovlt_die("drop_caches");
	for (int i = 0; i < ARRAY_SIZE(slabs); i++)
		objects[i] = ovlt_slab_count(&sweep->slabs[i]);
}

/* The last of the mounts before may not be gone yet. */
static void take_settled_inventory(struct sweep *sweep)
{
	long last[ARRAY_SIZE(slabs)];
	size_t size = sizeof(last);

	take_inventory(sweep, sweep->before);
	do {
		memcpy(last, sweep->before, size);
		nap();
		take_inventory(sweep, sweep->before);
	} while (memcmp(last, sweep->before, size));
}

/* Return: index of a cache that has more objects than before, or -1. */
static int find_leak(const struct sweep *sweep, long now[])
{
	int leak = -1;

	for (int ms = 0; ms < SETTLE_MS; ms += 100) {
		take_inventory(sweep, now);
		leak = -1;
		for (int i = 0; i < ARRAY_SIZE(slabs); i++)
			if (now[i] > sweep->before[i])
				leak = i;
		if (leak < 0)
			break;
		nap();
	}
	return leak;
}

static void expect_no_leak(struct __test_metadata *_metadata, const struct sweep *sweep)
{
	long now[ARRAY_SIZE(slabs)];
	int leak = find_leak(sweep, now);

	EXPECT_EQ(-1, leak) {
		TH_LOG("%s: %ld objects, %ld before", slabs[leak], now[leak],
		       sweep->before[leak]);
	}
}

/* Return: whether there is one more run; the first warms up what is kept. */
static bool sweep_next(struct __test_metadata *_metadata, struct sweep *sweep)
{
	if (!__test_passed(_metadata))
		return false;
	if (sweep->runs == 1)
		take_settled_inventory(sweep);
	if (sweep->runs > 1 && !sweep->met) {
		TH_LOG("%u faults", sweep->runs - 2);
		EXPECT_LT(2, sweep->runs);
		expect_no_leak(_metadata, sweep);
		return false;
	}
	ASSERT_GT(MAX_FAULTS, sweep->runs);
	sweep->runs++;
	return true;
}

#define SWEEP() while (sweep_next(_metadata, &self->sweep))

static void sweep_again(struct sweep *sweep)
{
	sweep->runs = 0;
	sweep->met = false;
}

/*
 * The room: trees of what the commands have to allocate for
 */

static int free_fd(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

FIXTURE_SETUP(faults)
{
	struct ovltree_tree layers = {};

	self->daemon = -1;
	self->submitter = -1;
	ovlt_room_enter(&self->room);
	if (!let_faults_happen())
		SKIP(return, "the kernel injects no faults");
	sweep_open(&self->sweep);
	ovlt_simple_layers();
	ovlt_mkdirs(targets[0], targets[1], NULL);
	self->room_id = ovlt_mount_id(AT_FDCWD, ".");

	/* One that has all of its own, one that shares its layers */
	self->layer = ovlt_open("l1", O_PATH);
	ovlt_tree_lower(&self->trees[0], self->layer, NULL, 0);
	ovlt_tree_lower(&self->trees[0], AT_FDCWD, "l0", 0);
	ovlt_tree_upper(&self->trees[0], "u", "w");
	ovlt_tree_option(&self->trees[0], "redirect_dir=on");
	ovlt_tree_idmap(&self->trees[0], ovlt_userns("0 100000 65536"));

	ovlt_tree_lowers(&layers, "l1", "l0", NULL);
	self->set = ovlt_layerset_one(self->room.dev, &layers);
	ASSERT_LE(0, self->set);
	self->trees[1] = ovlt_tree_on(self->set, &layers);

	for (int i = 0; i < NR; i++)
		self->entries[i] = ovlt_entry_tree(&self->trees[i], targets[i]);
	self->free_fd = free_fd();
}

FIXTURE_TEARDOWN(faults)
{
	if (self->sweep.function)
		try_write(DEBUGFS "fail_function/inject", " ");
	close(self->daemon);
	close(self->submitter);
	EXPECT_ROOM_CLEAN(&self->room);
}

static bool is_attached(const struct _test_data_faults *self, int i)
{
	return ovlt_mount_id(AT_FDCWD, targets[i]) != self->room_id;
}

static unsigned int count_attached(const struct _test_data_faults *self)
{
	unsigned int nr = 0;

	for (int i = 0; i < NR; i++)
		nr += is_attached(self, i);
	return nr;
}

/*
 * What the checks expect
 */

/* A tmpfs that gets no inode for the work folder calls itself full. */
static bool is_for_lack_of_memory(int err)
{
	return err == -ENOMEM || err == -EFAULT || err == -ENOSPC;
}

static void expect_reason(struct __test_metadata *_metadata,
			  const struct _test_data_faults *self, int err)
{
	bool reason = self->injected ? err == -self->injected :
				       is_for_lack_of_memory(err);

	EXPECT_TRUE(reason) {
		TH_LOG("fault %u: %s", self->sweep.runs - 1, strerrorname_np(-err));
	}
}

/* @done of an entry that succeeded; where one fails another may be canceled. */
static void expect_result(struct __test_metadata *_metadata,
			  const struct _test_data_faults *self, int i, bool done, bool all)
{
	const struct ovltree_result *result = &self->results[i];

	EXPECT_EQ(done, !result->error) {
		TH_LOG("fault %u, entry %d: %s", self->sweep.runs - 1, i,
		       strerrorname_np(-result->error));
	}
	if (result->error && !(all && result->error == -ECANCELED))
		expect_reason(_metadata, self, result->error);
}

/*
 * The results are written before anything is done, and once more at the end: only
 * when that fails, as if the memory had gone meanwhile, something was done though
 * the command failed.
 */
static bool may_be_done(int ret)
{
	return ret >= 0 || ret == -EFAULT;
}

static void expect_attached(struct __test_metadata *_metadata,
			    const struct _test_data_faults *self, int ret, bool all)
{
	unsigned int nr = count_attached(self);

	if (ret < 0)
		expect_reason(_metadata, self, ret);
	else
		EXPECT_EQ(ret, nr);
	if (!may_be_done(ret))
		EXPECT_EQ(0, nr);
	if (all)
		EXPECT_TRUE(!nr || nr == NR);
	for (int i = 0; i < NR; i++) {
		char *path, *text;

		if (ret >= 0)
			expect_result(_metadata, self, i, is_attached(self, i), all);
		if (!is_attached(self, i))
			continue;
		if (ret >= 0)
			EXPECT_EQ(self->results[i].mnt_id,
				  ovlt_mount_id(AT_FDCWD, targets[i]));
		path = ovlt_fmt("%s/f", targets[i]);
		text = ovlt_read(path);
		EXPECT_STREQ("upper\n", text);
		free(path);
		free(text);
	}
}

static void expect_clean(struct __test_metadata *_metadata,
			 const struct _test_data_faults *self)
{
	char *mounts = ovlt_mountinfo();

	EXPECT_STREQ(self->room.mounts, mounts);
	EXPECT_EQ(self->free_fd, free_fd());
	free(mounts);
}

static void unmount_all(struct __test_metadata *_metadata,
			const struct _test_data_faults *self)
{
	for (int i = 0; i < NR; i++)
		if (is_attached(self, i))
			EXPECT_EQ(0, ovlt_sys_umount(targets[i], 0));
	expect_clean(_metadata, self);
}

static void attach_all(struct __test_metadata *_metadata, struct _test_data_faults *self)
{
	ASSERT_EQ(NR, ovlt_attach(self->room.dev, 0, self->entries, NR, self->results));
}

/*
 * Batches
 */

static void sweep_attach(struct __test_metadata *_metadata,
			 struct _test_data_faults *self, bool all)
{
	SWEEP() {
		int ret = WITH_FAULT(ovlt_attach(self->room.dev,
						 all ? OVLTREE_BATCH_ALL : 0,
						 self->entries, NR, self->results));

		expect_attached(_metadata, self, ret, all);
		unmount_all(_metadata, self);
	}
}

TEST_F(faults, attach)
{
	sweep_attach(_metadata, self, false);
}

TEST_F(faults, attach_all_or_nothing)
{
	sweep_attach(_metadata, self, true);
}

static void sweep_detach(struct __test_metadata *_metadata,
			 struct _test_data_faults *self)
{
	SWEEP() {
		struct ovltree_detach entries[NR];
		unsigned int left;
		int ret;

		attach_all(_metadata, self);
		entries[0] = ovlt_entry_path(targets[0], 0);
		entries[1] = ovlt_entry_id(self->results[1].mnt_id, 0);
		ret = WITH_FAULT(ovlt_detach(self->room.dev, entries, NR, self->results));
		left = count_attached(self);
		if (ret < 0)
			expect_reason(_metadata, self, ret);
		else
			EXPECT_EQ(NR - left, ret);
		if (!may_be_done(ret))
			EXPECT_EQ(NR, left);
		for (int i = 0; i < NR && ret >= 0; i++)
			expect_result(_metadata, self, i, !is_attached(self, i), false);
		unmount_all(_metadata, self);
	}
}

TEST_F(faults, detach)
{
	sweep_detach(_metadata, self);
}

/* Whether a monitor can be told makes no difference. */
TEST_F(faults, monitored)
{
	struct nl monitor;

	nl_open(&monitor);
	ASSERT_EQ(0, nl_join(&monitor, true));
	self->free_fd = free_fd();
	sweep_attach(_metadata, self, false);
	sweep_again(&self->sweep);
	sweep_detach(_metadata, self);
	nl_close(&monitor);
}

/* Who is told of a failure has no descriptor, whatever its results say. */
static void expect_files(struct __test_metadata *_metadata,
			 const struct _test_data_faults *self, int ret)
{
	int nr = 0;

	if (ret < 0) {
		expect_reason(_metadata, self, ret);
		expect_clean(_metadata, self);
		return;
	}
	for (int i = 0; i < NR; i++) {
		bool open = fcntl(self->results[i].fd, F_GETFD) >= 0;

		expect_result(_metadata, self, i, open, true);
		if (open)
			close(self->results[i].fd);
		nr += open;
	}
	EXPECT_EQ(nr, ret);
	EXPECT_TRUE(!nr || nr == NR);
	expect_clean(_metadata, self);
}

TEST_F(faults, prepare)
{
	struct ovltree_attach entries[NR];

	for (int i = 0; i < NR; i++)
		entries[i] = ovlt_entry_tree(&self->trees[i], NULL);
	SWEEP() {
		int ret = WITH_FAULT(ovlt_prepare(self->room.dev, OVLTREE_BATCH_ALL,
						  entries, NR, self->results));

		expect_files(_metadata, self, ret);
	}
}

static void sweep_layerset(struct __test_metadata *_metadata,
			   struct _test_data_faults *self)
{
	struct ovltree_layerset entries[] = {
		ovlt_entry_layerset(&self->trees[0]),
		ovlt_entry_layerset(&self->trees[0]),
	};
	unsigned int sets = ovlt_count_layersets(self->room.dev);

	SWEEP() {
		int ret = WITH_FAULT(ovlt_layerset(self->room.dev, OVLTREE_BATCH_ALL,
						   entries, NR, self->results));

		expect_files(_metadata, self, ret);
		EXPECT_EQ(sets, ovlt_count_layersets(self->room.dev));
	}
}

TEST_F(faults, layerset)
{
	sweep_layerset(_metadata, self);
}

/*
 * Requests
 */

static struct request message_new(__u16 family, __u8 cmd)
{
	struct request message = request_new(cmd);

	message.nlh.nlmsg_type = family;
	return message;
}

static int message_send(int sock, const struct request *message)
{
	return send(sock, message, message->nlh.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* The number in the attribute @type of an answer, or 0 */
static __u64 answer_number(const struct nlmsghdr *nlh, int type)
{
	struct attrs attrs = attrs_in(NLMSG_DATA(nlh) + GENL_HDRLEN,
				      nlh->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN));
	const struct nlattr *attr;

	while ((attr = attr_next(&attrs))) {
		if (attr_type(attr) == type)
			return attr_number(attr);
	}
	return 0;
}

/*
 * What has come by now: the number @type of the answer @cmd to @number, and the
 * error, -ENOBUFS if nothing has said which.
 */
static int receive(int sock, int cmd, int type, __u64 *number)
{
	char buffer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	int err = -ENOBUFS, len;

	while ((len = recv(sock, buffer, sizeof(buffer), MSG_DONTWAIT)) >= 0 ||
	       errno == ENOBUFS) {
		const struct nlmsghdr *nlh = (void *)buffer;

		for (; len > 0 && NLMSG_OK(nlh, (__u32)len); nlh = NLMSG_NEXT(nlh, len)) {
			const struct genlmsghdr *genl = NLMSG_DATA(nlh);

			if (nlh->nlmsg_type == NLMSG_ERROR)
				err = ((struct nlmsgerr *)NLMSG_DATA(nlh))->error;
			else if (nlh->nlmsg_seq && genl->cmd == cmd)
				*number = answer_number(nlh, type);
		}
	}
	return err;
}

/* How many requests have ended by now, as the submitter is told. */
static unsigned int count_ended(int sock)
{
	char buffer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *nlh = (void *)buffer;
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	unsigned int nr = 0;

	while (recv(sock, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		nr += !nlh->nlmsg_seq && genl->cmd == OVLTREE_CMD_DONE;
	return nr;
}

/* How a command ended that was sent, if it was; -ENOBUFS if that isn't known. */
static int command(int sock, int sent)
{
	__u64 ignored;

	return sent ?: receive(sock, 0, 0, &ignored);
}

static void expect_command(struct __test_metadata *_metadata,
			   const struct _test_data_faults *self, int err, bool done)
{
	if (err == -ENOBUFS)
		return;
	EXPECT_EQ(!err, done);
	if (err)
		expect_reason(_metadata, self, err);
}

static int netlink_open(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (sock < 0 || bind(sock, (void *)&addr, sizeof(addr)))
		ovlt_die("netlink socket");
	return sock;
}

static void serve(struct __test_metadata *_metadata, struct _test_data_faults *self)
{
	struct request message = message_new(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	__u64 family = 0, seq;

	self->daemon = netlink_open();
	put_string(&message, CTRL_ATTR_FAMILY_NAME, OVLTREE_FAMILY_NAME);
	message.nlh.nlmsg_seq = 1;
	ASSERT_EQ(0, message_send(self->daemon, &message));
	ASSERT_EQ(0, receive(self->daemon, CTRL_CMD_NEWFAMILY, CTRL_ATTR_FAMILY_ID, &family));
	self->family = family;
	message = message_new(self->family, OVLTREE_CMD_SERVE);
	ASSERT_EQ(0, message_send(self->daemon, &message));
	ASSERT_EQ(0, receive(self->daemon, OVLTREE_CMD_SERVE, 0, &seq));
	self->submitter = netlink_open();
	self->free_fd = free_fd();
}

static struct request submit_new(const struct _test_data_faults *self, __u32 kind)
{
	struct request message = message_new(self->family, OVLTREE_CMD_SUBMIT);

	message.nlh.nlmsg_seq = 1;
	put_u32(&message, OVLTREE_A_REQUEST_KIND, kind);
	put_u32(&message, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	return message;
}

static struct request submit_attach(const struct _test_data_faults *self, int mnt_fd,
				    int target_fd)
{
	struct request message = submit_new(self, OVLTREE_KIND_ATTACH);

	put_u32(&message, OVLTREE_A_REQUEST_MNT_FD, mnt_fd);
	put_u32(&message, OVLTREE_A_REQUEST_TARGET_FD, target_fd);
	return message;
}

/*
 * Who gets an id has a request that waits. Without one there is none, and the error
 * says why, unless that too could not be sent.
 */
static __u64 expect_submitted(struct __test_metadata *_metadata,
			      const struct _test_data_faults *self, int ret)
{
	__u64 id = 0;
	int err;

	if (ret) {
		if (ret != -ENOBUFS)
			expect_reason(_metadata, self, ret);
		return 0;
	}
	err = receive(self->submitter, OVLTREE_CMD_SUBMIT, OVLTREE_A_REQUEST_ID, &id);
	if (err == -ENOBUFS)
		return id;
	EXPECT_EQ(!err, !!id);
	if (err)
		expect_reason(_metadata, self, err);
	return id;
}

/* Without a fault */
static __u64 submit(struct __test_metadata *_metadata,
		    const struct _test_data_faults *self, const struct request *message)
{
	__u64 id;

	id = expect_submitted(_metadata, self, message_send(self->submitter, message));
	EXPECT_NE(0, id);
	return id;
}

static void sweep_submit(struct __test_metadata *_metadata,
			 struct _test_data_faults *self)
{
	int target = ovlt_open(targets[0], O_PATH);

	serve(_metadata, self);
	SWEEP() {
		int mnt = ovlt_prepare_one(self->room.dev, &self->trees[0]);
		struct request message = submit_attach(self, mnt, target);
		struct ovltree_attach entry = { .flags = OVLTREE_ATTACH_REQUEST };
		int ret;

		ASSERT_LE(0, mnt);
		ret = WITH_FAULT(message_send(self->submitter, &message));
		entry.id = expect_submitted(_metadata, self, ret);
		close(mnt);
		ret = ovlt_attach(self->room.dev, 0, &entry, 1, self->results);
		EXPECT_EQ(!!entry.id, ret);
		EXPECT_EQ(!!entry.id, is_attached(self, 0));
		unmount_all(_metadata, self);
		receive(self->submitter, 0, 0, &entry.id);
	}
}

TEST_F(faults, submit_attach)
{
	sweep_submit(_metadata, self);
}

TEST_F(faults, submit_detach)
{
	serve(_metadata, self);
	SWEEP() {
		struct request message = submit_new(self, OVLTREE_KIND_DETACH);
		struct ovltree_detach entry = { .flags = OVLTREE_DETACH_REQUEST };
		int ret;

		attach_all(_metadata, self);
		put_u64(&message, OVLTREE_A_REQUEST_MNT_ID, self->results[0].mnt_id);
		ret = WITH_FAULT(message_send(self->submitter, &message));
		entry.mnt_id = expect_submitted(_metadata, self, ret);
		ret = ovlt_detach(self->room.dev, &entry, 1, self->results);
		EXPECT_EQ(!!entry.mnt_id, ret);
		EXPECT_EQ(!entry.mnt_id, is_attached(self, 0));
		unmount_all(_metadata, self);
		receive(self->submitter, 0, 0, &entry.mnt_id);
	}
}

/* A request for each target, which no descriptor keeps */
static void submit_all(struct __test_metadata *_metadata,
		       const struct _test_data_faults *self, struct ovltree_attach *entries)
{
	for (int i = 0; i < NR; i++) {
		int mnt = ovlt_prepare_one(self->room.dev, &self->trees[i]);
		int target = ovlt_open(targets[i], O_PATH);
		struct request message = submit_attach(self, mnt, target);

		ASSERT_LE(0, mnt);
		entries[i] = (struct ovltree_attach) {
			.flags = OVLTREE_ATTACH_REQUEST,
			.id = submit(_metadata, self, &message),
		};
		close(mnt);
		close(target);
	}
}

/*
 * Who has been told of its own failure, and that is not that the batch could not be
 * read, has no request any more. Any other that was not attached waits again.
 */
static bool waits_again(const struct _test_data_faults *self, int i, int ret)
{
	int err = self->results[i].error;

	return !is_attached(self, i) &&
	       (ret < 0 || err == -ECANCELED || err == -EFAULT);
}

static void sweep_attach_requests(struct __test_metadata *_metadata,
				  struct _test_data_faults *self, bool all)
{
	SWEEP() {
		struct ovltree_attach entries[NR];
		bool waits[NR];
		int ret;

		submit_all(_metadata, self, entries);
		ret = WITH_FAULT(ovlt_attach(self->room.dev, all ? OVLTREE_BATCH_ALL : 0,
					     entries, NR, self->results));
		expect_attached(_metadata, self, ret, all);
		for (int i = 0; i < NR; i++)
			waits[i] = waits_again(self, i, ret);
		ret = ovlt_attach(self->room.dev, 0, entries, NR, self->results);
		EXPECT_LE(0, ret);
		for (int i = 0; i < NR; i++) {
			int error = waits[i] ? 0 : -ENOENT;

			EXPECT_EQ(error, self->results[i].error) {
				TH_LOG("fault %u, entry %d", self->sweep.runs - 1, i);
			}
		}
		EXPECT_EQ(NR, count_ended(self->submitter));
		unmount_all(_metadata, self);
	}
}

TEST_F(faults, attach_requests)
{
	serve(_metadata, self);
	sweep_attach_requests(_metadata, self, false);
}

TEST_F(faults, attach_requests_all_or_nothing)
{
	serve(_metadata, self);
	sweep_attach_requests(_metadata, self, true);
}

/* Who hears that it has taken a request back has; it is told if it hasn't. */
TEST_F(faults, cancel)
{
	serve(_metadata, self);
	SWEEP() {
		struct ovltree_attach requests[NR];
		struct request message;
		bool gone;
		int err;

		submit_all(_metadata, self, requests);
		message = message_new(self->family, OVLTREE_CMD_CANCEL);
		put_u64(&message, OVLTREE_A_REQUEST_ID, requests[0].id);
		err = command(self->submitter, WITH_FAULT(message_send(self->submitter,
								       &message)));
		EXPECT_LE(NR - 1, ovlt_attach(self->room.dev, 0, requests, NR,
					      self->results));
		gone = self->results[0].error == -ENOENT;
		expect_command(_metadata, self, err, gone);
		EXPECT_EQ(!gone, is_attached(self, 0));
		EXPECT_TRUE(is_attached(self, 1));
		unmount_all(_metadata, self);
		command(self->submitter, 0);
	}
}

TEST_F(faults, serve)
{
	serve(_metadata, self);
	close(self->daemon);
	self->free_fd = free_fd();
	SWEEP() {
		struct request message = message_new(self->family, OVLTREE_CMD_SERVE);
		int other, err;

		self->daemon = netlink_open();
		err = command(self->daemon, WITH_FAULT(message_send(self->daemon,
								    &message)));
		other = netlink_open();
		expect_command(_metadata, self, err,
			       command(other, message_send(other, &message)) == -EBUSY);
		close(other);
		close(self->daemon);
		expect_clean(_metadata, self);
	}
	self->daemon = -1;
}

/*
 * Closing
 */

static int close_all(const int fds[], unsigned int nr)
{
	int err = 0;

	for (unsigned int i = 0; i < nr; i++)
		if (close(fds[i]))
			err = -errno;
	return err;
}

/* Closing can't fail, and takes with it what nothing else keeps. */
TEST_F(faults, close)
{
	unsigned int sets = ovlt_count_layersets(self->room.dev);
	struct ovltree_tree *tree = &self->trees[0];
	int first = free_fd();

	SWEEP() {
		struct ovltree_attach requests[NR];
		int fds[4];

		serve(_metadata, self);
		submit_all(_metadata, self, requests);
		self->free_fd = first;
		fds[0] = self->submitter;
		fds[1] = self->daemon;
		fds[2] = ovlt_prepare_one(self->room.dev, &self->trees[1]);
		fds[3] = ovlt_layerset_one(self->room.dev, tree);
		ASSERT_LE(0, fds[2]);
		ASSERT_LE(0, fds[3]);
		EXPECT_EQ(0, WITH_FAULT(close_all(fds, ARRAY_SIZE(fds))));
		EXPECT_EQ(sets, ovlt_count_layersets(self->room.dev));
		EXPECT_EQ(0, ovlt_attach(self->room.dev, 0, requests, NR, self->results));
		for (int i = 0; i < NR; i++)
			EXPECT_EQ(-ENOENT, self->results[i].error);
		expect_clean(_metadata, self);
	}
	self->submitter = -1;
	self->daemon = -1;
}

/*
 * The module
 */

static int load(int file)
{
	return syscall(SYS_finit_module, file, "", 0) ? -errno : 0;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "ovltree", O_NONBLOCK) ? -errno : 0;
}

static bool is_loaded(void)
{
	return !access("/dev/ovltree", F_OK);
}

/* Leave nothing open that keeps the module. */
static int leave_module(struct __test_metadata *_metadata, struct _test_data_faults *self)
{
	close(self->set);
	close(self->room.dev);
	return open(MODULE, O_RDONLY | O_CLOEXEC);
}

TEST_F(faults, load)
{
	int file = leave_module(_metadata, self);

	if (file < 0)
		SKIP(return, "no " MODULE);
	ASSERT_EQ(0, unload());
	SWEEP() {
		int ret = WITH_FAULT(load(file));

		EXPECT_EQ(!ret, is_loaded());
		if (ret)
			expect_reason(_metadata, self, ret);
		else
			EXPECT_EQ(0, unload());
		EXPECT_FALSE(is_loaded());
	}
	EXPECT_EQ(0, load(file));
}

TEST_F(faults, unload)
{
	int file = leave_module(_metadata, self);

	if (file < 0)
		SKIP(return, "no " MODULE);
	SWEEP() {
		int ret = WITH_FAULT(unload());

		EXPECT_EQ(!!ret, is_loaded());
		if (ret)
			expect_reason(_metadata, self, ret);
		else
			EXPECT_EQ(0, load(file));
	}
}

/*
 * Functions of the module, for errors that are not about memory
 */

static bool inject(struct _test_data_faults *self, const char *function, int err)
{
	char *retval = ovlt_fmt(DEBUGFS "fail_function/%s/retval", function);
	char *value = ovlt_fmt("%#llx", -(long long)err);

	if (try_write(DEBUGFS "fail_function/inject", function) ||
	    try_write(retval, value))
		return false;
	self->sweep.function = function;
	self->injected = err;
	return true;
}

TEST_F(faults, paths)
{
	if (!inject(self, "ovlt_path_get", EACCES))
		SKIP(return, "no faults in functions of the module");
	sweep_attach(_metadata, self, true);
	sweep_again(&self->sweep);
	sweep_attach(_metadata, self, false);
	sweep_again(&self->sweep);
	sweep_detach(_metadata, self);
	sweep_again(&self->sweep);
	sweep_layerset(_metadata, self);
}

TEST_F(faults, commit)
{
	if (!inject(self, "ovlt_merge_attach", EINTR))
		SKIP(return, "no faults in functions of the module");
	sweep_attach(_metadata, self, true);
	sweep_again(&self->sweep);
	sweep_attach(_metadata, self, false);
}

TEST_F(faults, commit_requests)
{
	if (!inject(self, "ovlt_merge_attach", EINTR))
		SKIP(return, "no faults in functions of the module");
	serve(_metadata, self);
	sweep_attach_requests(_metadata, self, false);
}

TEST_F(faults, submit_number)
{
	if (!inject(self, "ovlt_request_number", EXFULL))
		SKIP(return, "no faults in functions of the module");
	sweep_submit(_metadata, self);
}

TEST_HARNESS_MAIN
