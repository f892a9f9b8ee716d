// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl backend against a played module, which the linker puts between:
 * what it is given, and what the library makes of its answers. What the real
 * module does is the matrix' business.
 */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "harness.h"

#define MAX_ENTRIES 64
#define PLACE_SIZE 8192

/**
 * struct call - what the module was given
 * @command: OVLTREE_IOC_*
 * @batch: its argument
 * @attach: its entries, of ATTACH and PREPARE
 * @detach: its entries, of DETACH
 * @layersets: its entries, of LAYERSET
 * @thread: who gave it
 */
static struct call {
	unsigned long command;
	struct ovltree_batch batch;
	struct ovltree_attach attach[MAX_ENTRIES];
	struct ovltree_detach detach[MAX_ENTRIES];
	struct ovltree_layerset layersets[MAX_ENTRIES];
	pthread_t thread;
} calls[8];
static unsigned int nr_calls;
/* Protects all that is played: threads are part of the play. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The second of its trees, from which it is a way to memory that is shared. */
static struct ovltree_tree seen;
static struct ovltree_path seen_lower[3];
static char seen_options[64];

/* What it answers: a call that fails as a whole, an entry that does. */
static unsigned int fail_call = -1U;
static int fail_entry = -1;
static unsigned int version = OVLTREE_UAPI_VERSION;
static unsigned int max_entries = 4;
static uint64_t features = OVLTREE_FEATURE_BATCH;
static unsigned int nr_layersets;
/* What every thread that calls is to have, if not 0 and NULL. */
static uid_t expected_fsuid;
static const char *expected_cwd;
static const char *expected_place;
/* Descriptors that PREPARE can still make. */
static int fds_left = 1000;
/* Trees with layer sets can't be built. */
static bool refuse_shared;
/* Trees that had a layer set, and trees that had a list. */
static unsigned int nr_shared, nr_listed;
/* The sizes that it was compiled with; an older one's are smaller. */
static struct {
	size_t info;
	size_t batch;
	size_t attach;
	size_t tree;
	size_t result;
} known = {
	.info = sizeof(struct ovltree_info),
	.batch = sizeof(struct ovltree_batch),
	.attach = sizeof(struct ovltree_attach),
	.tree = sizeof(struct ovltree_tree),
	.result = sizeof(struct ovltree_result),
};

int __wrap_open(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/ovltree"))
		path = "/dev/null";
	return __real_open(path, flags, 0644);
}

static bool no_threads;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*fn)(void *), void *arg)
{
	return no_threads ? EAGAIN :
			    __real_pthread_create(thread, attr, fn, arg);
}

/* As copy_struct_from_user() of the kernel has it. */
static bool is_too_long(const void *object, size_t size, size_t known_size)
{
	const char *bytes = object;

	for (size_t i = known_size; i < size; i++)
		if (bytes[i])
			return true;
	return false;
}

static int answer_info(struct ovltree_info *info)
{
	const struct ovltree_info answer = {
		.size = known.info,
		.version = version,
		.max_entries = max_entries,
		.max_lower = 500,
		.max_options = 65536,
		.features = features,
		.nr_layersets = nr_layersets,
	};

	ASSERT_EQ(sizeof(*info), info->size);
	ASSERT_EQ(0, info->flags);
	if (is_too_long(info, sizeof(*info), known.info)) {
		errno = E2BIG;
		return -1;
	}
	memcpy(info, &answer, known.info);
	return 0;
}

/* A layer set is a descriptor of a file that only these are of. */
static bool is_layerset(int fd)
{
	struct stat st, zero;

	return !fstat(fd, &st) && !stat("/dev/zero", &zero) &&
	       st.st_rdev == zero.st_rdev;
}

/* Layers that are called "bad" can't be found. */
static void fail_lower(struct ovltree_result *result, uint64_t lower,
		       unsigned int nr)
{
	const struct ovltree_path *paths = (void *)(uintptr_t)lower;

	for (unsigned int i = 0; i < nr; i++) {
		const char *path = (const char *)(uintptr_t)paths[i].path;

		if (!path || strcmp(path, "bad"))
			continue;
		result->error = -ENOENT;
		result->field = OVLTREE_FIELD_LOWER;
		result->index = i;
		snprintf(result->message, sizeof(result->message), "played");
	}
}

static void answer_tree(struct ovltree_result *result,
			const struct ovltree_tree *tree)
{
	if (tree->flags & OVLTREE_TREE_LAYERSET) {
		ASSERT_EQ(0, tree->nr_lower);
		ASSERT_EQ(0, tree->lower);
		ASSERT(is_layerset(tree->layerset_fd));
		nr_shared++;
		if (refuse_shared) {
			result->error = -EPERM;
			result->field = OVLTREE_FIELD_LAYERSET_FD;
		}
	} else {
		ASSERT_EQ(0, tree->layerset_fd);
		nr_listed++;
		fail_lower(result, tree->lower, tree->nr_lower);
	}
}

/* A target that is called "bad" isn't there. */
static void answer_attach(struct ovltree_result *result,
			  const struct ovltree_attach *attach)
{
	const char *target = (const char *)(uintptr_t)attach->target.path;
	const struct ovltree_tree *tree = (void *)(uintptr_t)attach->tree;

	if (is_too_long(attach, sizeof(*attach), known.attach)) {
		result->error = -E2BIG;
		snprintf(result->message, sizeof(result->message),
			 "entry can't be read");
	} else if (tree && is_too_long(tree, sizeof(*tree), known.tree)) {
		result->error = -E2BIG;
		result->field = OVLTREE_FIELD_TREE;
		snprintf(result->message, sizeof(result->message),
			 "tree can't be read");
	} else if (target && !strcmp(target, "bad")) {
		result->error = -ENOENT;
		result->field = OVLTREE_FIELD_TARGET;
	} else if (target && !strcmp(target, "elsewhere")) {
		result->error = -EINVAL;
		result->field = attach->flags & OVLTREE_ATTACH_MOUNT ?
					OVLTREE_FIELD_MNT_FD :
					OVLTREE_FIELD_TARGET;
		snprintf(result->message, sizeof(result->message),
			 attach->flags & OVLTREE_ATTACH_MOUNT ?
				 "not a detached mount" :
				 "mountpoint is not in the mount namespace");
	} else if (tree) {
		answer_tree(result, tree);
	}
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

static int undo(struct ovltree_result *results, unsigned int nr)
{
	bool failed = false;

	for (unsigned int i = 0; i < nr; i++) {
		if (results[i].fd >= 0)
			close(results[i].fd);
		if (!results[i].error || failed)
			results[i] =
				(struct ovltree_result){ .error = -ECANCELED,
							 .fd = -1 };
		else
			failed = true;
	}
	return 0;
}

/* Whom /proc has the calling thread's work accounted to and limited by, and where. */
static void get_place(char place[PLACE_SIZE])
{
	static const char *const files[] = { "cgroup", "limits" };
	static const char *const namespaces[] = {
		"cgroup", "ipc",
		"mnt",	  "net",
		"pid",	  "pid_for_children",
		"time",	  "time_for_children",
		"user",	  "uts",
	};
	char path[64], target[64];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *text;

		snprintf(path, sizeof(path), "/proc/thread-self/%s", files[i]);
		text = read_all(path);
		ASSERT(text);
		len += snprintf(place + len, PLACE_SIZE - len, "%s", text);
		ASSERT(len < PLACE_SIZE);
		free(text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		ssize_t end;

		snprintf(path, sizeof(path), "/proc/thread-self/ns/%s",
			 namespaces[i]);
		/* A kernel may have been built without. */
		end = readlink(path, target, sizeof(target) - 1);
		target[end > 0 ? end : 0] = '\0';
		len += snprintf(place + len, PLACE_SIZE - len, "%s\n", target);
		ASSERT(len < PLACE_SIZE);
	}
}

static int answer_batch(unsigned long command, struct ovltree_batch *batch)
{
	struct ovltree_result *results = (void *)(uintptr_t)batch->results;
	struct call *call = &calls[nr_calls];
	int succeeded = 0;

	ASSERT(nr_calls < ARRAY_SIZE(calls));
	ASSERT_EQ(sizeof(*batch), batch->size);
	ASSERT_EQ(sizeof(struct ovltree_result), batch->result_size);
	ASSERT(batch->nr && batch->nr <= max_entries);
	if (expected_cwd) {
		ASSERT_EQ(expected_fsuid, setfsuid(-1));
		ASSERT_STR(expected_cwd, getcwd((char[4096]){ 0 }, 4096));
	}
	if (expected_place) {
		char place[PLACE_SIZE];

		get_place(place);
		ASSERT_STR(expected_place, place);
	}
	call->command = command;
	call->thread = pthread_self();
	call->batch = *batch;
	if (command == OVLTREE_IOC_DETACH) {
		ASSERT_EQ(sizeof(call->detach[0]), batch->entry_size);
		memcpy(call->detach, (void *)(uintptr_t)batch->entries,
		       batch->nr * sizeof(call->detach[0]));
	} else if (command == OVLTREE_IOC_LAYERSET) {
		ASSERT_EQ(sizeof(call->layersets[0]), batch->entry_size);
		memcpy(call->layersets, (void *)(uintptr_t)batch->entries,
		       batch->nr * sizeof(call->layersets[0]));
	} else {
		ASSERT_EQ(sizeof(call->attach[0]), batch->entry_size);
		ASSERT_EQ(sizeof(struct ovltree_tree), batch->tree_size);
		memcpy(call->attach, (void *)(uintptr_t)batch->entries,
		       batch->nr * sizeof(call->attach[0]));
		if (batch->nr > 1 && call->attach[1].tree)
			look_at_tree(&call->attach[1]);
	}
	if (nr_calls++ == fail_call) {
		errno = EINTR;
		return -1;
	}
	if (is_too_long(batch, sizeof(*batch), known.batch)) {
		errno = E2BIG;
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
		if (command == OVLTREE_IOC_LAYERSET)
			fail_lower(&results[i], call->layersets[i].lower,
				   call->layersets[i].nr_lower);
		else if (command != OVLTREE_IOC_DETACH)
			answer_attach(&results[i], &call->attach[i]);
		if (!results[i].error && command == OVLTREE_IOC_PREPARE &&
		    !fds_left--)
			results[i].error = -EMFILE;
		if (results[i].error)
			continue;
		succeeded++;
		if (command == OVLTREE_IOC_LAYERSET) {
			results[i].fd =
				__real_open("/dev/zero", O_RDONLY | O_CLOEXEC);
			continue;
		}
		results[i].mnt_id = 1ULL << 40 | i;
		results[i].dev_major = 0;
		results[i].dev_minor = 300 + i;
		if (command == OVLTREE_IOC_PREPARE)
			results[i].fd = dup(STDOUT_FILENO);
	}
	if (batch->flags & OVLTREE_BATCH_ALL && succeeded < (int)batch->nr)
		succeeded = undo(results, batch->nr);
	for (unsigned int i = 0; i < batch->nr; i++)
		memset((char *)&results[i] + known.result, 0,
		       sizeof(results[i]) - known.result);
	if (known.batch < sizeof(*batch))
		return succeeded;
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
	int ret;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (command) {
	case OVLTREE_IOC_INFO:
		return answer_info(arg);
	case OVLTREE_IOC_PREPARE:
	case OVLTREE_IOC_ATTACH:
	case OVLTREE_IOC_DETACH:
	case OVLTREE_IOC_LAYERSET:
		pthread_mutex_lock(&lock);
		ret = answer_batch(command, arg);
		pthread_mutex_unlock(&lock);
		return ret;
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

/* A device that makes no sense is as good as none: unasked, there are other ways. */
static void expect_no_device(int err)
{
	struct ovlt_ctx *ctx = setup();
	char text[OVLTREE_MESSAGE_MAX];
	struct ovlt_info answer;

	ASSERT_EQ(err, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT(strstr(text, "/dev/ovltree"));
	ovlt_ctx_unref(ctx);
	ctx = ovlt_ctx_new();
	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("mount-api", answer.backend);
	ovlt_ctx_unref(ctx);
}

static void info(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_info answer;

	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("ioctl", answer.backend);
	ASSERT_EQ(OVLTREE_UAPI_VERSION, answer.version);
	ASSERT_EQ(4, answer.max_entries);
	ASSERT_EQ(500, answer.max_lower);
	ASSERT_EQ(65536, answer.max_options);
	ASSERT_EQ(OVLTREE_FEATURE_BATCH, answer.features);
	ASSERT_EQ(0, answer.nr_layersets);
	/* What changes is asked for again. */
	nr_layersets = 7;
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_EQ(7, answer.nr_layersets);
	ovlt_ctx_unref(ctx);

	version = 0;
	expect_no_device(-EPROTO);
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

/* Layer sets */

static void add_tree(struct ovlt_batch *batch, const char *options,
		     const char *target)
{
	struct ovlt_tree *tree = make_tree(options);

	ASSERT(ovlt_batch_add_tree(batch, tree, AT_FDCWD, target, 0) >= 0);
	ovlt_tree_unref(tree);
}

static void make_layersets(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = new_batch(ctx, 0);
	struct ovlt_tree *tree = make_tree("lowerdir=a:b::c");
	struct ovlt_tree *bad = make_tree("lowerdir=a:bad");
	const struct ovltree_layerset *given = calls[0].layersets;
	struct ovlt_layerset *layerset, *passed;
	struct ovlt_tree *user = ovlt_tree_new();

	features |= OVLTREE_FEATURE_LAYERSET;
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, tree));
	ASSERT_EQ(1, ovlt_batch_add_layerset(batch, bad));
	ASSERT_EQ(1, ovlt_batch_make_layersets(batch));
	ASSERT_EQ(1, nr_calls);
	ASSERT(calls[0].command == OVLTREE_IOC_LAYERSET);
	ASSERT_EQ(OVLTREE_BATCH_CLOEXEC, calls[0].batch.flags);
	ASSERT_EQ(2, calls[0].batch.nr);
	ASSERT_EQ(0, given[0].flags);
	ASSERT_EQ(3, given[0].nr_lower);
	ASSERT_EQ(2, given[1].nr_lower);
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1, outcome_of(batch, 1));
	ASSERT_STR("lower layer bad: played", outcome_of(batch, 1).message);
	ASSERT(!ovlt_batch_take_layerset(batch, 1) && errno == ENOENT);
	layerset = ovlt_batch_take_layerset(batch, 0);
	ASSERT(layerset);
	ASSERT(!ovlt_batch_take_layerset(batch, 0) && errno == ENOENT);
	ovlt_batch_unref(batch);

	/* As another process would. */
	passed = ovlt_layerset_from_fd(ovlt_layerset_get_fd(layerset));
	ASSERT(passed);
	ovlt_layerset_unref(layerset);
	ASSERT(user);
	ASSERT_EQ(0, ovlt_tree_set_layerset(user, passed));
	ovlt_layerset_unref(passed);
	batch = new_batch(ctx, 0);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, user, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, user, AT_FDCWD, "n", 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_calls);
	ASSERT_EQ(2, nr_shared);
	ASSERT_EQ(0, nr_listed);
	ovlt_batch_unref(batch);

	/* One of two is none, and nothing is left. */
	batch = new_batch(ctx, OVLT_ALL);
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, tree));
	ASSERT_EQ(1, ovlt_batch_add_layerset(batch, bad));
	ASSERT_EQ(2, ovlt_batch_make_layersets(batch));
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ASSERT(!ovlt_batch_take_layerset(batch, 0) && errno == ENOENT);
	ovlt_batch_unref(batch);
	ovlt_tree_unref(user);
	ovlt_tree_unref(bad);
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

/* A module that has none yet: the library keeps descriptors of the layers. */
static void no_layersets(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = new_batch(ctx, 0);
	struct ovlt_tree *tree = make_tree("lowerdir=a:b");
	struct ovlt_tree *user = ovlt_tree_new();
	struct ovlt_layerset *layerset;

	put("a/f", "");
	put("b/f", "");
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, tree));
	ASSERT_EQ(0, ovlt_batch_make_layersets(batch));
	ASSERT_EQ(0, nr_calls);
	layerset = ovlt_batch_take_layerset(batch, 0);
	ASSERT(layerset && user);
	ovlt_batch_unref(batch);
	ASSERT_EQ(-EOPNOTSUPP, ovlt_layerset_get_fd(layerset));
	ASSERT_EQ(0, ovlt_tree_set_layerset(user, layerset));
	ovlt_layerset_unref(layerset);
	batch = new_batch(ctx, 0);
	add_tree(batch, "lowerdir=c:d", "n");
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, user, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_prepare(batch));
	ASSERT_EQ(0, seen.flags);
	ASSERT_EQ(2, seen.nr_lower);
	ASSERT_EQ(0, seen_lower[0].path);
	ASSERT(seen_lower[0].fd > STDERR_FILENO);
	ovlt_batch_unref(batch);
	ovlt_tree_unref(user);
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

static void trees_share(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = new_batch(ctx, 0);

	max_entries = MAX_ENTRIES;
	features |= OVLTREE_FEATURE_LAYERSET;
	add_tree(batch, "lowerdir=a:b,upperdir=u,workdir=w", "m");
	add_tree(batch, "lowerdir=b:a", "m");
	add_tree(batch, "lowerdir=a:bad", "m");
	add_tree(batch, "lowerdir=a:b,xino=on", "m");
	add_tree(batch, "lowerdir=a::b", "m");
	add_tree(batch, "lowerdir=x:y", "m");
	add_tree(batch, "lowerdir=a:bad", "m");
	add_tree(batch, "lowerdir=a:b", "m");
	add_tree(batch, "lowerdir=x:y", "m");
	ovlt_ctx_set_threads(ctx, 1);
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_calls);
	ASSERT(calls[0].command == OVLTREE_IOC_LAYERSET);
	ASSERT_EQ(3, calls[0].batch.nr);
	ASSERT_EQ(0, calls[0].batch.flags & OVLTREE_BATCH_ALL);
	ASSERT(calls[1].command == OVLTREE_IOC_ATTACH);
	ASSERT_EQ(9, calls[1].batch.nr);
	ASSERT_EQ(5, nr_shared);
	/* Each says itself what is wrong with its layers. */
	ASSERT_EQ(4, nr_listed);
	for (unsigned int i = 0; i < 9; i++) {
		if (i != 2 && i != 6)
			ASSERT_OK(outcome_of(batch, i));
		else
			ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1,
				    outcome_of(batch, i));
	}
	ovlt_batch_unref(batch);

	/* What only the layer set is to blame for doesn't happen to the trees. */
	refuse_shared = true;
	for (unsigned int i = 0; i < 2; i++) {
		nr_calls = nr_shared = nr_listed = 0;
		batch = new_batch(ctx, i ? OVLT_ALL : 0);
		add_tree(batch, "lowerdir=a:b", "m");
		add_tree(batch, "lowerdir=x:y", "m");
		add_tree(batch, "lowerdir=a:b", "m");
		ASSERT_EQ(0, ovlt_batch_attach(batch));
		ASSERT_EQ(3, nr_calls);
		ASSERT_EQ(i ? 3 : 2, calls[2].batch.nr);
		ASSERT_EQ(2, nr_shared);
		ASSERT_EQ(i ? 4 : 3, nr_listed);
		for (unsigned int j = 0; j < 3; j++)
			ASSERT_OK(outcome_of(batch, j));
		ovlt_batch_unref(batch);
	}
	refuse_shared = false;
	nr_calls = 2;

	/* Nobody shares. */
	batch = new_batch(ctx, 0);
	add_tree(batch, "lowerdir=a:b", "m");
	add_tree(batch, "lowerdir=a:c", "m");
	ASSERT_EQ(0, ovlt_batch_prepare(batch));
	ASSERT_EQ(3, nr_calls);
	ovlt_batch_unref(batch);

	/* A signal before the first call is one before anything was done. */
	batch = batch_of(ctx, 2, 0);
	fail_call = 3;
	ASSERT_EQ(-EINTR, ovlt_batch_attach(batch));
	ASSERT_EQ(4, nr_calls);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* Other releases */

#define TOO_OLD \
	"the module is older than the library and lacks what this asks for"

/* Of the entry that it is, and the others are done. */
static void expect_too_old(struct ovlt_ctx *ctx, const char *tree_message,
			   const char *entry_message)
{
	struct ovlt_batch *batch = new_batch(ctx, 0);

	add_tree(batch, "lowerdir=a:b", "m");
	add_tree(batch, "lowerdir=a:b,nosuid", "m");
	add_tree(batch, "lowerdir=a:b,shared", "m");
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_OK(outcome_of(batch, 0));
	ASSERT_FAIL(E2BIG, OVLTREE_FIELD_TREE, 0, outcome_of(batch, 1));
	ASSERT_STR(tree_message, outcome_of(batch, 1).message);
	ASSERT_FAIL(E2BIG, OVLTREE_FIELD_NONE, 0, outcome_of(batch, 2));
	ASSERT_STR(entry_message, outcome_of(batch, 2).message);
	ovlt_batch_unref(batch);
}

/*
 * A module whose structures end earlier: members that it doesn't know are zero in its
 * answers, and where they aren't zero in what it is given it refuses that.
 */
static void old_module(void)
{
	struct ovlt_tree *plain = make_tree("lowerdir=a:b");
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch;
	struct ovlt_info answer;
	uint64_t hold_ns;

	known.info = offsetof(struct ovltree_info, max_lower);
	known.batch = offsetof(struct ovltree_batch, wait_ns);
	known.attach = offsetof(struct ovltree_attach, mntns_fd);
	known.tree = offsetof(struct ovltree_tree, attr);
	known.result = offsetof(struct ovltree_result, message);
	features |= OVLTREE_FEATURE_LAYERSET;
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("ioctl", answer.backend);
	ASSERT_EQ(4, answer.max_entries);
	ASSERT_EQ(0, answer.max_lower);
	ASSERT_EQ(0, answer.features);

	/* What it can't tell that it has isn't used. */
	batch = new_batch(ctx, 0);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, plain, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, plain, AT_FDCWD, "n", 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_calls);
	ASSERT_EQ(2, nr_listed);
	ASSERT_EQ(1ULL << 40, outcome_of(batch, 0).mnt_id);
	ovlt_batch_get_times(batch, NULL, &hold_ns);
	ASSERT_EQ(0, hold_ns);
	ovlt_batch_unref(batch);

	expect_too_old(ctx, TOO_OLD, TOO_OLD);
	known.result = sizeof(struct ovltree_result);
	expect_too_old(ctx, "tree can't be read: " TOO_OLD,
		       "entry can't be read: " TOO_OLD);
	ovlt_tree_unref(plain);
	ovlt_ctx_unref(ctx);
}

/* One that is so old that it takes no call of the library's. */
static void module_too_old(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_batch *batch = batch_of(ctx, 1, 0);
	char text[OVLTREE_MESSAGE_MAX];

	known.batch = offsetof(struct ovltree_batch, tree_size);
	ASSERT_EQ(-E2BIG, ovlt_batch_attach(batch));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT_STR(TOO_OLD, text);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);

	known.info = 0;
	expect_no_device(-E2BIG);
}

/* Threads */

static struct ovlt_ctx *setup_threads(unsigned int nr)
{
	struct ovlt_ctx *ctx = setup();

	max_entries = MAX_ENTRIES;
	ovlt_ctx_set_threads(ctx, nr);
	return ctx;
}

/* The calls before the last are PREPARE, by as many threads. */
static void expect_threads(unsigned int nr, unsigned int trees)
{
	unsigned int seen_trees = 0;
	bool caller = false;

	for (unsigned int i = 0; i < nr; i++) {
		ASSERT(calls[i].command == OVLTREE_IOC_PREPARE);
		ASSERT(calls[i].batch.flags & OVLTREE_BATCH_CLOEXEC);
		seen_trees += calls[i].batch.nr;
		caller |= pthread_equal(calls[i].thread, pthread_self());
		for (unsigned int j = 0; j < i; j++)
			ASSERT(!pthread_equal(calls[i].thread,
					      calls[j].thread));
	}
	ASSERT(caller);
	ASSERT_EQ(trees, seen_trees);
}

static void threads_prepare(void)
{
	struct ovlt_ctx *ctx = setup_threads(3);
	struct ovlt_batch *batch = batch_of(ctx, 30, 0);
	const struct ovltree_attach *given;

	ASSERT_EQ(30, ovlt_batch_add_mount(batch, 5, AT_FDCWD, "n", 0));
	ASSERT_EQ(0, ovlt_batch_set_propagation(batch, 1, 1 << 18));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(4, nr_calls);
	expect_threads(3, 30);
	ASSERT(calls[3].command == OVLTREE_IOC_ATTACH);
	ASSERT_EQ(31, calls[3].batch.nr);
	given = calls[3].attach;
	for (unsigned int i = 0; i < 31; i++) {
		ASSERT_EQ(OVLTREE_ATTACH_MOUNT, given[i].flags);
		ASSERT_EQ(0, given[i].tree);
		ASSERT(i == 30 || given[i].mnt_fd > STDERR_FILENO);
		ASSERT_OK(outcome_of(batch, i));
		ASSERT_EQ(1ULL << 40 | i, outcome_of(batch, i).mnt_id);
		ASSERT_EQ(-ENOENT, ovlt_batch_take_fd(batch, i));
	}
	ASSERT_EQ(5, given[30].mnt_fd);
	ASSERT_EQ(1 << 18, given[1].propagation);
	ovlt_batch_unref(batch);

	/* PREPARE by itself, which keeps what it makes. */
	nr_calls = 0;
	batch = batch_of(ctx, 9, OVLT_ALL);
	ASSERT_EQ(0, ovlt_batch_prepare(batch));
	ASSERT_EQ(2, nr_calls);
	expect_threads(2, 9);
	for (unsigned int i = 0; i < 9; i++) {
		int fd = ovlt_batch_take_fd(batch, i);

		ASSERT(fd >= 0);
		close(fd);
	}
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void few_threads(void)
{
	struct ovlt_ctx *ctx = setup_threads(1);
	struct ovlt_batch *batch = batch_of(ctx, 30, 0);
	cpu_set_t cpus;

	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_calls);
	/* One CPU is what the caller may use. */
	ovlt_ctx_set_threads(ctx, 0);
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT(!sched_setaffinity(0, sizeof(cpus), &cpus));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_calls);
	/* None can be made: the caller does the work of all. */
	ovlt_ctx_set_threads(ctx, 2);
	no_threads = true;
	nr_calls = 0;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ASSERT_EQ(15, calls[1].batch.nr);
	ASSERT(pthread_equal(calls[1].thread, pthread_self()));
	no_threads = false;
	nr_calls = 2;
	ovlt_batch_unref(batch);
	/* Not worth it. */
	ovlt_ctx_set_threads(ctx, 8);
	batch = batch_of(ctx, 7, 0);
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void thread_errors(void)
{
	struct ovlt_ctx *ctx = setup_threads(2);
	struct ovlt_batch *batch = batch_of(ctx, 8, 0);

	add_tree(batch, "lowerdir=a:b:bad", "m");
	add_tree(batch, "lowerdir=a:b", "bad");
	add_tree(batch, "lowerdir=a:b", "elsewhere");
	add_tree(batch, "lowerdir=a:b", "m");
	ASSERT_EQ(3, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ASSERT_EQ(11, calls[2].batch.nr);
	for (unsigned int i = 0; i < 12; i++)
		if (i < 8 || i == 11)
			ASSERT_OK(outcome_of(batch, i));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 2, outcome_of(batch, 8));
	ASSERT_STR("lower layer bad: played", outcome_of(batch, 8).message);
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 9));
	/* As if there had been no mount on the way. */
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 10));
	ASSERT_STR("mountpoint is not in the mount namespace",
		   outcome_of(batch, 10).message);
	ASSERT_EQ(0, outcome_of(batch, 10).dev);
	ovlt_batch_unref(batch);

	/* All are bad: there is nothing to attach. */
	nr_calls = 0;
	batch = new_batch(ctx, 0);
	for (unsigned int i = 0; i < 8; i++)
		add_tree(batch, "lowerdir=bad", "m");
	ASSERT_EQ(8, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_calls);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void threads_all_or_nothing(void)
{
	struct ovlt_ctx *ctx = setup_threads(2);
	struct ovlt_batch *batch = batch_of(ctx, 8, OVLT_ALL);
	unsigned int canceled = 0;

	/* One in each half. */
	add_tree(batch, "lowerdir=a:b:bad", "m");
	for (unsigned int i = 0; i < 10; i++)
		add_tree(batch, "lowerdir=bad", "m");
	ASSERT_EQ(19, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_calls);
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 2, outcome_of(batch, 8));
	for (unsigned int i = 0; i < 19; i++)
		canceled += outcome_of(batch, i).error == -ECANCELED;
	ASSERT_EQ(18, canceled);
	ovlt_batch_unref(batch);

	/* One that fails only when it is attached. */
	nr_calls = 0;
	batch = batch_of(ctx, 8, OVLT_ALL);
	add_tree(batch, "lowerdir=a:b", "bad");
	ASSERT_EQ(9, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ASSERT_EQ(OVLTREE_BATCH_ALL, calls[2].batch.flags);
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 8));
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ASSERT_EQ(0, outcome_of(batch, 0).dev);
	ovlt_batch_unref(batch);

	/* A call that fails as a whole has done nothing, whichever it is. */
	for (unsigned int i = 0; i < 3; i++) {
		nr_calls = 0;
		fail_call = i;
		batch = batch_of(ctx, 8, i % 2 ? OVLT_ALL : 0);
		ASSERT_EQ(-EINTR, ovlt_batch_attach(batch));
		ASSERT_EQ(i < 2 ? 2 : 3, nr_calls);
		ovlt_batch_unref(batch);
	}
	ovlt_ctx_unref(ctx);
}

static void threads_without_descriptors(void)
{
	struct ovlt_ctx *ctx = setup_threads(2);
	struct ovlt_batch *batch = batch_of(ctx, 16, 0);
	struct rlimit limit;

	fds_left = 11;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_calls);
	ASSERT(calls[2].command == OVLTREE_IOC_ATTACH);
	ASSERT_EQ(16, calls[2].batch.nr);
	ASSERT(calls[2].attach[0].tree && calls[2].attach[15].tree);
	ovlt_batch_unref(batch);

	/* With a limit that is known beforehand it isn't even tried. */
	fds_left = 1000;
	nr_calls = 0;
	batch = batch_of(ctx, 16, OVLT_ALL);
	ASSERT(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 31;
	ASSERT(!setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_calls);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* A thread that is joined may share its folders with us for a moment longer. */
static void enter_mntns(int fd)
{
	for (int i = 0; setns(fd, CLONE_NEWNS); i++) {
		ASSERT(errno == EINVAL && i < 1000);
		usleep(10000);
	}
}

/* What a thread may have for itself, those that it makes have too. */
static void threads_are_the_callers(void)
{
	struct ovlt_ctx *ctx = setup_threads(4);
	struct ovlt_batch *batch = batch_of(ctx, 16, 0);
	static char before[PLACE_SIZE], place[PLACE_SIZE];
	struct rlimit limit;
	int mntns, netns;

	put("below/f", "");
	/* Threads that are kept would be as the caller was at first. */
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	nr_calls = 0;
	get_place(before);
	mntns = __real_open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	netns = __real_open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT(mntns >= 0 && netns >= 0);
	ASSERT(!unshare(CLONE_FS | CLONE_NEWNS | CLONE_NEWNET));
	ASSERT(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur--;
	ASSERT(!setrlimit(RLIMIT_NOFILE, &limit));
	get_place(place);
	ASSERT(strcmp(before, place));
	ASSERT(!chdir("below"));
	setfsuid(1234);
	expected_fsuid = 1234;
	expected_cwd = at("below");
	expected_place = place;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	expect_threads(4, 16);
	setfsuid(0);
	enter_mntns(mntns);
	ASSERT(!setns(netns, CLONE_NEWNET));
	ASSERT(!chdir(test_dir));
	close(mntns);
	close(netns);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void threads_and_layersets(void)
{
	struct ovlt_ctx *ctx = setup_threads(2);
	struct ovlt_batch *batch;

	features |= OVLTREE_FEATURE_LAYERSET;
	batch = batch_of(ctx, 8, 0);
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(4, nr_calls);
	ASSERT(calls[0].command == OVLTREE_IOC_LAYERSET);
	ASSERT(calls[3].command == OVLTREE_IOC_ATTACH);
	ASSERT_EQ(8, nr_shared);
	ASSERT_EQ(0, nr_listed);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static const struct test tests[] = {
	TEST(info),
	TEST(attach_entries),
	TEST(prepare_entries),
	TEST(detach_entries),
	TEST(split),
	TEST(call_fails),
	TEST(checked_before),
	TEST(make_layersets),
	TEST(no_layersets),
	TEST(trees_share),
	TEST(old_module),
	TEST(module_too_old),
	TEST(threads_prepare),
	TEST(few_threads),
	TEST(thread_errors),
	TEST(threads_all_or_nothing),
	TEST(threads_without_descriptors),
	TEST(threads_are_the_callers),
	TEST(threads_and_layersets),
};

int main(void)
{
	run_tests("ioctl", tests, ARRAY_SIZE(tests), false);
	return tap_done();
}
