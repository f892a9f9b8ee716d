// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl backend against a played module, which the linker puts between:
 * what it is given, and what the library makes of its answers. What the real
 * module does is the matrix' business.
 */
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "harness.h"

#define MAX_ENTRIES 4

/**
 * struct call - what the module was given
 * @command: OVLTREE_IOC_*
 * @batch: its argument
 * @attach: its entries, of ATTACH and PREPARE
 * @detach: its entries, of DETACH
 */
static struct call {
	unsigned long command;
	struct ovltree_batch batch;
	struct ovltree_attach attach[MAX_ENTRIES];
	struct ovltree_detach detach[MAX_ENTRIES];
} calls[8];
static unsigned int nr_calls;

/* The second of its trees, from which it is a way to memory that is shared. */
static struct ovltree_tree seen;
static struct ovltree_path seen_lower[3];
static char seen_options[64];

/* What it answers: a call that fails as a whole, an entry that does. */
static unsigned int fail_call = -1U;
static int fail_entry = -1;
static unsigned int version = OVLTREE_UAPI_VERSION;

int __wrap_open(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/ovltree"))
		path = "/dev/null";
	return __real_open(path, flags, 0644);
}

static int answer_info(struct ovltree_info *info)
{
	ASSERT_EQ(sizeof(*info), info->size);
	ASSERT_EQ(0, info->flags);
	info->version = version;
	info->max_entries = MAX_ENTRIES;
	info->max_lower = 500;
	info->max_options = 65536;
	info->features = OVLTREE_FEATURE_BATCH;
	return 0;
}

static void look_at_tree(const struct ovltree_attach *attach)
{
	const struct ovltree_tree *tree = (void *)(uintptr_t)attach->tree;

	seen = *tree;
	if (tree->nr_lower <= ARRAY_SIZE(seen_lower))
		memcpy(seen_lower, (void *)(uintptr_t)tree->lower,
		       tree->nr_lower * sizeof(seen_lower[0]));
	if (tree->options_size && tree->options_size <= sizeof(seen_options))
		memcpy(seen_options, (void *)(uintptr_t)tree->options,
		       tree->options_size);
}

static int answer_batch(unsigned long command, struct ovltree_batch *batch)
{
	struct ovltree_result *results = (void *)(uintptr_t)batch->results;
	struct call *call = &calls[nr_calls];
	int succeeded = 0;

	ASSERT(nr_calls < ARRAY_SIZE(calls));
	ASSERT_EQ(sizeof(*batch), batch->size);
	ASSERT_EQ(sizeof(struct ovltree_result), batch->result_size);
	ASSERT(batch->nr && batch->nr <= MAX_ENTRIES);
	call->command = command;
	call->batch = *batch;
	if (command == OVLTREE_IOC_DETACH) {
		ASSERT_EQ(sizeof(call->detach[0]), batch->entry_size);
		memcpy(call->detach, (void *)(uintptr_t)batch->entries,
		       batch->nr * sizeof(call->detach[0]));
	} else {
		ASSERT_EQ(sizeof(call->attach[0]), batch->entry_size);
		ASSERT_EQ(sizeof(struct ovltree_tree), batch->tree_size);
		memcpy(call->attach, (void *)(uintptr_t)batch->entries,
		       batch->nr * sizeof(call->attach[0]));
		if (batch->nr > 1)
			look_at_tree(&call->attach[1]);
	}
	if (nr_calls++ == fail_call) {
		errno = EINTR;
		return -1;
	}
	for (unsigned int i = 0; i < batch->nr; i++) {
		results[i] = (struct ovltree_result){ .fd = -1 };
		if ((int)i == fail_entry) {
			results[i].error = -ENOENT;
			results[i].field = OVLTREE_FIELD_LOWER;
			results[i].index = 1;
			memset(results[i].message, 'x',
			       OVLTREE_MESSAGE_MAX - 1);
			continue;
		}
		succeeded++;
		results[i].mnt_id = 1ULL << 40 | i;
		results[i].dev_major = 0;
		results[i].dev_minor = 300 + i;
		if (command == OVLTREE_IOC_PREPARE)
			results[i].fd = dup(STDOUT_FILENO);
	}
	batch->wait_ns = 10;
	batch->hold_ns = 100;
	return succeeded;
}

int __wrap_ioctl(int fd, unsigned long command, ...);
int __real_ioctl(int fd, unsigned long command, ...);
int __wrap_ioctl(int fd, unsigned long command, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (command) {
	case OVLTREE_IOC_INFO:
		return answer_info(arg);
	case OVLTREE_IOC_PREPARE:
	case OVLTREE_IOC_ATTACH:
	case OVLTREE_IOC_DETACH:
		return answer_batch(command, arg);
	}
	return __real_ioctl(fd, command, arg);
}

static struct ovlt_ctx *setup(void)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();

	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "ioctl"));
	return ctx;
}

static struct ovlt_batch *new_batch(struct ovlt_ctx *ctx, unsigned int flags)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, flags);

	ASSERT(batch);
	return batch;
}

static const char *path_of(const struct ovltree_path *path)
{
	return (const char *)(uintptr_t)path->path;
}

static void info(void)
{
	struct ovlt_ctx *ctx = setup();
	char text[OVLTREE_MESSAGE_MAX];
	struct ovlt_info answer;

	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("ioctl", answer.backend);
	ASSERT_EQ(OVLTREE_UAPI_VERSION, answer.version);
	ASSERT_EQ(MAX_ENTRIES, answer.max_entries);
	ASSERT_EQ(500, answer.max_lower);
	ASSERT_EQ(65536, answer.max_options);
	ASSERT_EQ(OVLTREE_FEATURE_BATCH, answer.features);
	ovlt_ctx_unref(ctx);

	/* A device that makes no sense is as good as none. */
	version = 0;
	ctx = setup();
	ASSERT_EQ(-EPROTO, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT(strstr(text, "/dev/ovltree"));
	ovlt_ctx_unref(ctx);
	ctx = ovlt_ctx_new();
	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("mount-api", answer.backend);
	ovlt_ctx_unref(ctx);
}

static void attach_entries(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = new_batch(ctx, OVLT_ALL);
	struct ovlt_tree *first = make_tree("lowerdir=f:g,xino=off,first");
	struct ovlt_tree *tree = make_tree(
		"lowerdir=a:b::c,upperdir=u,workdir=w,xino=on,ro,nosuid,shared");
	const struct ovltree_attach *given = calls[0].attach;
	uint64_t wait_ns, hold_ns;

	ASSERT_EQ(0, ovlt_batch_add_tree(batch, first, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, tree, 7, "n", OVLT_NOFOLLOW));
	ASSERT_EQ(2, ovlt_batch_add_mount(batch, 5, 6, NULL, 0));
	ASSERT_EQ(0, ovlt_batch_set_mntns(batch, 2, 9));
	ASSERT_EQ(0, ovlt_batch_attach(batch));

	ASSERT_EQ(1, nr_calls);
	ASSERT(calls[0].command == OVLTREE_IOC_ATTACH);
	ASSERT_EQ(OVLTREE_BATCH_ALL, calls[0].batch.flags);
	ASSERT_EQ(3, calls[0].batch.nr);
	ASSERT_EQ(0, given[0].flags);
	ASSERT_EQ(0, given[0].mnt_fd);
	ASSERT_EQ(0, given[0].mntns_fd);
	ASSERT_EQ(0, given[0].propagation);
	ASSERT(given[0].tree && given[0].target.path);
	ASSERT_EQ(AT_FDCWD, given[0].target.fd);
	ASSERT_EQ(0, given[0].target.flags);
	ASSERT_EQ(7, given[1].target.fd);
	ASSERT_EQ(OVLTREE_PATH_NOFOLLOW, given[1].target.flags);
	ASSERT_EQ(1 << 20, given[1].propagation);
	ASSERT_EQ(OVLTREE_ATTACH_MOUNT | OVLTREE_ATTACH_MNTNS, given[2].flags);
	ASSERT_EQ(5, given[2].mnt_fd);
	ASSERT_EQ(6, given[2].target.fd);
	ASSERT_EQ(0, given[2].target.path);
	ASSERT_EQ(9, given[2].mntns_fd);
	ASSERT_EQ(0, given[2].tree);

	ASSERT_EQ(OVLTREE_TREE_UPPER, seen.flags);
	ASSERT_STR("a", path_of(&seen_lower[0]));
	ASSERT_EQ(AT_FDCWD, seen_lower[0].fd);
	ASSERT_EQ(0, seen_lower[1].flags);
	ASSERT_STR("c", path_of(&seen_lower[2]));
	ASSERT_EQ(OVLTREE_PATH_DATA, seen_lower[2].flags);
	ASSERT_STR("u", path_of(&seen.upper));
	ASSERT_STR("w", path_of(&seen.work));
	ASSERT_EQ(sizeof("xino=on") + sizeof("ro"), seen.options_size);
	ASSERT(!memcmp(seen_options, "xino=on\0ro", seen.options_size));
	/* MOUNT_ATTR_RDONLY and MOUNT_ATTR_NOSUID */
	ASSERT_EQ(3, seen.attr);
	ASSERT_EQ(0, seen.userns_fd);

	ASSERT_EQ(1ULL << 40 | 2, outcome_of(batch, 2).mnt_id);
	ASSERT_EQ(makedev(0, 302), outcome_of(batch, 2).dev);
	ASSERT_EQ(-ENOENT, ovlt_batch_take_fd(batch, 0));
	ovlt_batch_get_times(batch, &wait_ns, &hold_ns);
	ASSERT_EQ(10, wait_ns);
	ASSERT_EQ(100, hold_ns);
	ovlt_tree_unref(first);
	ovlt_tree_unref(tree);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void prepare_entries(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = new_batch(ctx, 0);
	struct ovlt_tree *tree = make_tree("lowerdir=a:b");
	static const struct ovltree_attach zero;
	struct ovltree_attach given;
	int fd;

	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, tree, -1, NULL, 0));
	fail_entry = 1;
	ASSERT_EQ(1, ovlt_batch_prepare(batch));
	ASSERT(calls[0].command == OVLTREE_IOC_PREPARE);
	ASSERT_EQ(OVLTREE_BATCH_CLOEXEC, calls[0].batch.flags);
	/* All but the tree is zero. */
	given = calls[0].attach[0];
	ASSERT(given.tree);
	given.tree = 0;
	ASSERT(!memcmp(&given, &zero, sizeof(zero)));
	ASSERT_OK(outcome_of(batch, 0));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1, outcome_of(batch, 1));
	/* The layer's name comes before the kernel's words, which are cut. */
	ASSERT(!strncmp(outcome_of(batch, 1).message, "lower layer b: xxx",
			18));
	fd = ovlt_batch_take_fd(batch, 0);
	ASSERT(fd >= 0);
	close(fd);
	ASSERT_EQ(-ENOENT, ovlt_batch_take_fd(batch, 1));
	ovlt_tree_unref(tree);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void detach_entries(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = new_batch(ctx, 0);
	const struct ovltree_detach *given = calls[0].detach;

	ASSERT_EQ(0, ovlt_batch_add_target(batch, AT_FDCWD, "m",
					   OVLT_LAZY | OVLT_NOFOLLOW));
	ASSERT_EQ(1, ovlt_batch_add_target(batch, 3, NULL, OVLT_FORCE));
	ASSERT_EQ(2, ovlt_batch_add_id(batch, 1ULL << 50, 0));
	ASSERT_EQ(0, ovlt_batch_detach(batch));
	ASSERT(calls[0].command == OVLTREE_IOC_DETACH);
	ASSERT_EQ(0, calls[0].batch.flags);
	ASSERT_EQ(OVLTREE_DETACH_LAZY, given[0].flags);
	ASSERT_EQ(AT_FDCWD, given[0].target.fd);
	ASSERT_EQ(OVLTREE_PATH_NOFOLLOW, given[0].target.flags);
	ASSERT_EQ(OVLTREE_DETACH_FORCE, given[1].flags);
	ASSERT_EQ(3, given[1].target.fd);
	ASSERT_EQ(0, given[1].target.path);
	ASSERT_EQ(OVLTREE_DETACH_ID, given[2].flags);
	ASSERT_EQ(1ULL << 50, given[2].mnt_id);
	ASSERT_EQ(0, given[2].target.fd);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static struct ovlt_batch *batch_of(struct ovlt_ctx *ctx, unsigned int nr,
				   unsigned int flags)
{
	struct ovlt_batch *batch = new_batch(ctx, flags);
	struct ovlt_tree *tree = make_tree("lowerdir=a:b");

	for (unsigned int i = 0; i < nr; i++)
		ASSERT_EQ(i,
			  ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ovlt_tree_unref(tree);
	return batch;
}

static void split(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = batch_of(ctx, 10, 0);
	uint64_t hold_ns;

	fail_entry = 3;
	/* The last of the first four, and of the second. */
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ASSERT_EQ(4, calls[0].batch.nr);
	ASSERT_EQ(4, calls[1].batch.nr);
	ASSERT_EQ(2, calls[2].batch.nr);
	for (unsigned int i = 0; i < 10; i++)
		ASSERT_EQ(i == 3 || i == 7 ? -ENOENT : 0,
			  outcome_of(batch, i).error);
	ASSERT_EQ(makedev(0, 301), outcome_of(batch, 9).dev);
	ovlt_batch_get_times(batch, NULL, &hold_ns);
	ASSERT_EQ(300, hold_ns);
	ovlt_batch_unref(batch);

	/* What belongs together is not torn apart. */
	batch = batch_of(ctx, 5, OVLT_ALL);
	ASSERT_EQ(-E2BIG, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void call_fails(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = batch_of(ctx, 10, 0);

	fail_call = 0;
	ASSERT_EQ(-EINTR, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_calls);
	/* Now the third one, when others have been attached. */
	fail_call = 3;
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(4, nr_calls);
	for (unsigned int i = 0; i < 10; i++)
		ASSERT_EQ(i < 8 ? 0 : -EINTR, outcome_of(batch, i).error);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* What can't succeed doesn't reach the module, the rest does. */
static void checked_before(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);
	struct ovlt_tree *unfit = make_tree("lowerdir=a:b,upperdir=u");

	ASSERT_EQ(2, ovlt_batch_add_tree(batch, unfit, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_EQ(2, calls[0].batch.nr);
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_WORK, 0, outcome_of(batch, 2));
	ovlt_batch_unref(batch);

	batch = batch_of(ctx, 2, OVLT_ALL);
	ASSERT_EQ(2, ovlt_batch_add_tree(batch, unfit, AT_FDCWD, "m", 0));
	ASSERT_EQ(3, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_calls);
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ovlt_batch_unref(batch);
	ovlt_tree_unref(unfit);
	ovlt_ctx_unref(ctx);
}

static const struct test tests[] = {
	TEST(info),	      TEST(attach_entries), TEST(prepare_entries),
	TEST(detach_entries), TEST(split),	    TEST(call_fails),
	TEST(checked_before),
};

int main(void)
{
	run_tests("ioctl", tests, ARRAY_SIZE(tests), false);
	return tap_done();
}
