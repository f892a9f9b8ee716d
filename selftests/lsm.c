// SPDX-License-Identifier: GPL-2.0
/*
 * What security modules are asked. Probes on the hooks of the mount calls tell how
 * often each is called, and with what: a batch of some trees asks what the kernel's
 * own calls ask for one tree after another. Rights are asked for once a batch where
 * each call asks, so that what counts is which ones. A layer set has its layers'
 * options asked for when it is made, and again for each tree.
 *
 * Of requests all is asked in the submitter's context, before it has an id; of a
 * daemon that commits them, only whether it may. A submitter can't detach its own
 * root unless lazily: to know the mount, SUBMIT asks as if for that first.
 *
 * Then AppArmor forbids what the kernel's own calls and batches do.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "genl.h"

#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <sys/wait.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define NR 3

/*
 * Hooks
 */

static const struct {
	const char *name;
	const char *args;
} hooks[] = {
	{ "sb_mount", "target=+8($arg2):%pd flags=$arg4:x64" },
	{ "sb_alloc", "" },
	{ "sb_set_mnt_opts", "options=$arg2:x64 flags=$arg3:x64" },
	{ "sb_kern_mount", "" },
	{ "sb_umount", "flags=$arg2:x32" },
	{ "move_mount", "from=+8($arg1):%pd to=+8($arg2):%pd" },
	{ "fs_context_parse_param",
	  "key=+0(+0($arg2)):string value=+0(+16($arg2)):string" },
	{ "inode_mkdir", "name=$arg2:%pd" },
	{ "capable", "capability=$arg3:s32" },
};

static void hooks_watch(pid_t pid)
{
	ovlt_write(OVLT_TRACING "events/ovlt/filter", ovlt_fmt("common_pid == %d", pid));
}

static void hooks_probe(void)
{
	for (int i = 0; i < ARRAY_SIZE(hooks); i++)
		ovlt_probe(ovlt_fmt("p:ovlt/%s security_%s %s\n", hooks[i].name,
				    hooks[i].name, hooks[i].args));
	hooks_watch(getpid());
}

static void hooks_forget(void)
{
	ovlt_write(OVLT_TRACING "events/ovlt/enable", "0");
	for (int i = 0; i < ARRAY_SIZE(hooks); i++)
		ovlt_probe(ovlt_fmt("-:ovlt/%s\n", hooks[i].name));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char **)a, *(char **)b);
}

/* "move_mount from="/" to="t0"", from a line of the trace that has it at its end */
static char *hook_parse(const char *line)
{
	static const char prefix[] = "(security_";
	const char *name = strstr(line, prefix), *args;

	if (!name)
		return NULL;
	name += strlen(prefix);
	args = strchr(name, ')');
	return ovlt_fmt("%.*s%s\n", (int)strcspn(name, "+)"), name, args + 1);
}

/* Sorted: batches do things in another order. A right counts once. */
static char *hooks_join(char **calls, unsigned int nr)
{
	char *text = ovlt_fmt("%s", "");

	qsort(calls, nr, sizeof(*calls), by_text);
	for (unsigned int i = 0; i < nr; i++) {
		if (i && !strncmp(calls[i], "capable", 7) &&
		    !strcmp(calls[i], calls[i - 1]))
			continue;
		text = ovlt_fmt("%s%s", text, calls[i]);
	}
	return text;
}

static void hooks_start(void)
{
	ovlt_write(OVLT_TRACING "trace", "");
	ovlt_write(OVLT_TRACING "events/ovlt/enable", "1");
}

static char *hooks_stop(void)
{
	char *calls[4096], *rest, *line;
	unsigned int nr = 0;

	ovlt_write(OVLT_TRACING "events/ovlt/enable", "0");
	rest = ovlt_read(OVLT_TRACING "trace");
	while ((line = strsep(&rest, "\n"))) {
		char *call = hook_parse(line);

		if (!call)
			continue;
		if (nr == ARRAY_SIZE(calls))
			ovlt_die("too many calls");
		calls[nr++] = call;
	}
	return hooks_join(calls, nr);
}

/*
 * Each way has a folder of its own, with the same names in it: l0 l1, and for each
 * tree t0 u0 w0 and so on.
 */
FIXTURE(hooks)
{
	struct ovlt_room room;
	struct ovltree_tree trees[NR];
	struct ovltree_result results[NR];
	char *kernel;
};

FIXTURE_VARIANT(hooks)
{
	bool upper;
	const char *option;
};

FIXTURE_VARIANT_ADD(hooks, read_only) { };
FIXTURE_VARIANT_ADD(hooks, writable) { .upper = true };
FIXTURE_VARIANT_ADD(hooks, option) { .option = "xino=off" };

static void way_enter(const char *name)
{
	ovlt_mkdir(name);
	if (chdir(name))
		ovlt_die("%s", name);
	ovlt_simple_layers();
	for (int i = 0; i < NR; i++)
		ovlt_mkdirs(ovlt_fmt("t%d", i), ovlt_fmt("u%d", i),
			    ovlt_fmt("w%d", i), NULL);
}

static void way_leave(void)
{
	for (int i = 0; i < NR; i++)
		ovlt_umount(ovlt_fmt("t%d", i));
	if (chdir("/tmp"))
		ovlt_die("/tmp");
}

static char *attach_singly(const struct ovltree_tree *trees)
{
	char *calls;

	way_enter("kernel");
	hooks_start();
	for (int i = 0; i < NR; i++) {
		if (ovlt_sys_attach(&trees[i], ovlt_fmt("t%d", i)))
			ovlt_die("overlay");
	}
	calls = hooks_stop();
	way_leave();
	return calls;
}

FIXTURE_SETUP(hooks)
{
	if (access(OVLT_PROBES, W_OK))
		SKIP(return, "no kprobe events");
	ovlt_room_enter(&self->room);
	hooks_probe();
	for (int i = 0; i < NR; i++) {
		struct ovltree_tree *tree = &self->trees[i];

		ovlt_tree_lowers(tree, "l1", "l0", NULL);
		if (variant->upper) {
			tree->flags = OVLTREE_TREE_UPPER;
			tree->upper = ovlt_at(AT_FDCWD, ovlt_fmt("u%d", i));
			tree->work = ovlt_at(AT_FDCWD, ovlt_fmt("w%d", i));
		}
		if (variant->option)
			ovlt_tree_option(tree, variant->option);
	}
	self->kernel = attach_singly(self->trees);
}

FIXTURE_TEARDOWN(hooks)
{
	hooks_forget();
}

static unsigned int count_calls(const char *calls, const char *hook)
{
	char *rest = ovlt_fmt("\n%s", calls);
	unsigned int nr = 0;

	hook = ovlt_fmt("\n%s", hook);
	while ((rest = strstr(rest, hook))) {
		rest++;
		nr++;
	}
	return nr;
}

/* What the probes see at all: without this nothing would be like nothing. */
TEST_F(hooks, seen)
{
	EXPECT_EQ(0, count_calls(self->kernel, "sb_mount"));
	EXPECT_EQ(NR, count_calls(self->kernel, "sb_alloc"));
	EXPECT_EQ(NR, count_calls(self->kernel, "sb_set_mnt_opts"));
	EXPECT_EQ(NR, count_calls(self->kernel, "sb_kern_mount"));
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(1, count_calls(self->kernel,
					 ovlt_fmt("move_mount from=\"/\" to=\"t%d\"", i)));
	EXPECT_EQ(NR, count_calls(self->kernel,
				  "fs_context_parse_param key=\"lowerdir+\" value=\"l1\""));
	EXPECT_EQ(1, count_calls(self->kernel, "capable capability=21"));
}

TEST_F(hooks, attach)
{
	struct ovltree_attach entries[NR];

	way_enter("attach");
	for (int i = 0; i < NR; i++)
		entries[i] = ovlt_entry_tree(&self->trees[i], ovlt_fmt("t%d", i));
	hooks_start();
	EXPECT_EQ(NR, ovlt_attach(self->room.dev, 0, entries, NR, self->results));
	EXPECT_STREQ(self->kernel, hooks_stop());
	way_leave();
}

TEST_F(hooks, prepare)
{
	struct ovltree_attach entries[NR];

	way_enter("prepare");
	for (int i = 0; i < NR; i++)
		entries[i] = ovlt_entry_tree(&self->trees[i], NULL);
	hooks_start();
	EXPECT_EQ(NR, ovlt_prepare(self->room.dev, 0, entries, NR, self->results));
	for (int i = 0; i < NR; i++)
		entries[i] = ovlt_entry_mount(self->results[i].fd, ovlt_fmt("t%d", i));
	EXPECT_EQ(NR, ovlt_attach(self->room.dev, 0, entries, NR, self->results));
	EXPECT_STREQ(self->kernel, hooks_stop());
	for (int i = 0; i < NR; i++)
		close(entries[i].mnt_fd);
	way_leave();
}

TEST_F(hooks, layerset)
{
	struct ovltree_attach entries[NR];
	struct ovltree_tree trees[NR];
	char *calls;
	int set;

	way_enter("layerset");
	hooks_start();
	set = ovlt_layerset_one(self->room.dev, &self->trees[0]);
	calls = hooks_stop();
	ASSERT_LE(0, set);
	EXPECT_EQ(1, count_calls(calls,
				 "fs_context_parse_param key=\"lowerdir+\" value=\"l0\"\n"));
	EXPECT_EQ(1, count_calls(calls,
				 "fs_context_parse_param key=\"lowerdir+\" value=\"l1\"\n"));
	EXPECT_EQ(2, count_calls(calls, "fs_context_parse_param"));
	EXPECT_EQ(0, count_calls(calls, "sb_"));
	EXPECT_EQ(0, count_calls(calls, "move_mount"));

	for (int i = 0; i < NR; i++) {
		trees[i] = ovlt_tree_on(set, &self->trees[i]);
		entries[i] = ovlt_entry_tree(&trees[i], ovlt_fmt("t%d", i));
	}
	hooks_start();
	EXPECT_EQ(NR, ovlt_attach(self->room.dev, 0, entries, NR, self->results));
	EXPECT_STREQ(self->kernel, hooks_stop());
	close(set);
	way_leave();
}

static void tmpfs_mounts(void)
{
	for (int i = 0; i < NR; i++)
		ovlt_tmpfs(ovlt_fmt("t%d", i));
}

static void expect_detach(struct __test_metadata *_metadata, int dev, __u32 flags,
			  int own_flags, bool by_id)
{
	struct ovltree_result results[NR];
	struct ovltree_detach entries[NR];
	char *kernel;

	tmpfs_mounts();
	hooks_start();
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(0, umount2(ovlt_fmt("t%d", i), own_flags));
	kernel = hooks_stop();
	EXPECT_EQ(NR, count_calls(kernel, ovlt_fmt("sb_umount flags=0x%x\n", own_flags)))
		TH_LOG("%s", kernel);

	tmpfs_mounts();
	for (int i = 0; i < NR; i++)
		entries[i] = by_id ?
			ovlt_entry_id(ovlt_mount_id(AT_FDCWD, ovlt_fmt("t%d", i)), flags) :
			ovlt_entry_path(ovlt_fmt("t%d", i), flags);
	hooks_start();
	EXPECT_EQ(NR, ovlt_detach(dev, entries, NR, results));
	EXPECT_STREQ(kernel, hooks_stop());
}

TEST_F(hooks, detach)
{
	for (int by_id = 0; by_id < 2; by_id++) {
		expect_detach(_metadata, self->room.dev, 0, 0, by_id);
		expect_detach(_metadata, self->room.dev, OVLTREE_DETACH_LAZY,
			      MNT_DETACH, by_id);
		expect_detach(_metadata, self->room.dev, OVLTREE_DETACH_FORCE,
			      MNT_FORCE, by_id);
	}
}

/*
 * Requests
 */

#define ASKED_OF_DAEMON "capable capability=21\n"

FIXTURE(requests)
{
	struct ovlt_room room;
	struct daemon daemon;
	struct nl nl;
	__u64 ids[NR];
	struct ovltree_result results[NR];
};

FIXTURE_SETUP(requests)
{
	if (access(OVLT_PROBES, W_OK))
		SKIP(return, "no kprobe events");
	ovlt_room_enter(&self->room);
	hooks_probe();
	daemon_start(&self->daemon, self->room.dev);
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, daemon_serve(&self->daemon));
	nl_open(&self->nl);
}

FIXTURE_TEARDOWN(requests)
{
	nl_close(&self->nl);
	daemon_end(&self->daemon);
	hooks_forget();
}

static int submit_mount(struct nl *nl, int mnt_fd, const char *target, __u64 *id)
{
	int target_fd = ovlt_open(target, O_PATH), err;
	struct request request = attach_request(mnt_fd, target_fd);

	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	err = nl_submit(nl, &request, id);
	close(target_fd);
	return err;
}

TEST_F(requests, attach)
{
	struct ovltree_tree trees[NR] = { };
	struct ovltree_attach entries[NR];
	char *kernel;

	for (int i = 0; i < NR; i++) {
		ovlt_tree_lowers(&trees[i], "l1", "l0", NULL);
		entries[i] = ovlt_entry_tree(&trees[i], NULL);
	}
	kernel = attach_singly(trees);
	way_enter("submit");
	hooks_start();
	ASSERT_EQ(NR, ovlt_prepare(self->room.dev, 0, entries, NR, self->results));
	for (int i = 0; i < NR; i++)
		ASSERT_EQ(0, submit_mount(&self->nl, self->results[i].fd,
					  ovlt_fmt("t%d", i), &self->ids[i]));
	EXPECT_STREQ(kernel, hooks_stop());
	for (int i = 0; i < NR; i++)
		close(self->results[i].fd);

	hooks_watch(self->daemon.pid);
	hooks_start();
	EXPECT_EQ(NR, daemon_attach(&self->daemon, 0, self->ids, NR, self->results));
	EXPECT_STREQ(ASKED_OF_DAEMON, hooks_stop());
	for (int i = 0; i < NR; i++)
		EXPECT_DONE(0, self->ids[i], nl_event(&self->nl));
	way_leave();
}

static int submit_umount(struct nl *nl, const char *target, __u32 flags, __u64 *id)
{
	struct request request = detach_request(ovlt_mount_id(AT_FDCWD, target), flags);

	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	return nl_submit(nl, &request, id);
}

static void expect_submit_detach(struct __test_metadata *_metadata,
				 struct _test_data_requests *self, __u32 flags,
				 int own_flags)
{
	char *kernel;

	hooks_watch(getpid());
	tmpfs_mounts();
	hooks_start();
	for (int i = 0; i < NR; i++)
		EXPECT_EQ(0, umount2(ovlt_fmt("t%d", i), own_flags));
	kernel = hooks_stop();

	tmpfs_mounts();
	hooks_start();
	for (int i = 0; i < NR; i++)
		ASSERT_EQ(0, submit_umount(&self->nl, ovlt_fmt("t%d", i), flags,
					   &self->ids[i]));
	EXPECT_STREQ(kernel, hooks_stop());

	hooks_watch(self->daemon.pid);
	hooks_start();
	EXPECT_EQ(NR, daemon_detach(&self->daemon, self->ids, NR, self->results));
	EXPECT_STREQ(ASKED_OF_DAEMON, hooks_stop());
	for (int i = 0; i < NR; i++)
		EXPECT_DONE(0, self->ids[i], nl_event(&self->nl));
}

TEST_F(requests, detach)
{
	for (int i = 0; i < NR; i++)
		ovlt_mkdir(ovlt_fmt("t%d", i));
	expect_submit_detach(_metadata, self, 0, 0);
	expect_submit_detach(_metadata, self, OVLTREE_DETACH_FLAGS_LAZY, MNT_DETACH);
	expect_submit_detach(_metadata, self, OVLTREE_DETACH_FLAGS_FORCE, MNT_FORCE);
}

/*
 * AppArmor
 */

FIXTURE(apparmor)
{
	struct ovlt_room room;
	bool loaded;
};

FIXTURE_VARIANT(apparmor)
{
	bool own_calls;
};

FIXTURE_VARIANT_ADD(apparmor, kernel) { .own_calls = true };
FIXTURE_VARIANT_ADD(apparmor, ovltree) { };

static const char *const profiles[] = { "ovlt_no_mount", "ovlt_no_umount" };

/* The policy is beside the program, and is taken in one write. */
static bool load_policy(const char *folder)
{
	int from = open(ovlt_fmt("%s/lsm.policy", folder), O_RDONLY), to;
	static char policy[1 << 20];
	ssize_t size;

	if (from < 0)
		return false;
	size = read(from, policy, sizeof(policy));
	close(from);
	to = ovlt_open("security/apparmor/.load", O_WRONLY);
	if (size <= 0 || write(to, policy, size) != size)
		ovlt_die("AppArmor policy");
	close(to);
	return true;
}

FIXTURE_SETUP(apparmor)
{
	char program[PATH_MAX] = "";

	if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
		ovlt_die("/proc/self/exe");
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdirs("security", "t0", "t1", NULL);
	ovlt_tmpfs("t1");
	if (mount("security", "security", "securityfs", 0, NULL) ||
	    !ovlt_exists("security/apparmor/.load"))
		SKIP(return, "no AppArmor");
	if (!load_policy(dirname(program)))
		SKIP(return, "no lsm.policy, which needs apparmor_parser");
	self->loaded = true;
}

FIXTURE_TEARDOWN(apparmor)
{
	for (int i = 0; self->loaded && i < ARRAY_SIZE(profiles); i++)
		ovlt_write("security/apparmor/.remove", profiles[i]);
}

struct confined {
	int dev;
	int mnt;
	bool own_calls;
	const char *profile;
	int (*run)(const struct confined *confined);
};

static int attach_tree(const struct confined *confined)
{
	const struct ovltree_tree *tree = ovlt_simple_tree();

	return confined->own_calls ? ovlt_sys_attach(tree, "t0") :
				     ovlt_attach_one(confined->dev, tree, "t0");
}

static int attach_mount(const struct confined *confined)
{
	return confined->own_calls ?
	       ovlt_sys_move_mount(confined->mnt, "t0") :
	       ovlt_attach_mount(confined->dev, confined->mnt, "t0");
}

static int detach(const struct confined *confined)
{
	return confined->own_calls ? ovlt_sys_umount("t1", 0) :
				     ovlt_detach_one(confined->dev, "t1");
}

static int run_confined(void *arg)
{
	const struct confined *confined = arg;
	char *before;
	int err;

	ovlt_new_mntns();
	ovlt_write("/proc/thread-self/attr/current",
		   ovlt_fmt("changeprofile %s", confined->profile));
	before = ovlt_mountinfo();
	err = confined->run(confined);
	/* A refusal changes nothing, and what is allowed is done. */
	return !!err == !strcmp(before, ovlt_mountinfo()) ? err : -ESRCH;
}

#define EXPECT_CONFINED(error, profile_, run_) do { \
	struct confined __confined = { \
		.dev = self->room.dev, \
		.mnt = ovlt_sys_fsmount("tmpfs"), \
		.own_calls = variant->own_calls, \
		.profile = profile_, \
		.run = run_, \
	}; \
	ASSERT_LE(0, __confined.mnt); \
	EXPECT_EQ(error, ovlt_fork_wait(run_confined, &__confined)); \
	close(__confined.mnt); \
} while (0)

TEST_F(apparmor, no_mount)
{
	EXPECT_CONFINED(-EACCES, "ovlt_no_mount", attach_tree);
	EXPECT_CONFINED(-EACCES, "ovlt_no_mount", attach_mount);
	EXPECT_CONFINED(-EACCES, "ovlt_no_mount", detach);
}

TEST_F(apparmor, no_umount)
{
	EXPECT_CONFINED(0, "ovlt_no_umount", attach_tree);
	EXPECT_CONFINED(0, "ovlt_no_umount", attach_mount);
	EXPECT_CONFINED(-EACCES, "ovlt_no_umount", detach);
}

TEST_HARNESS_MAIN
