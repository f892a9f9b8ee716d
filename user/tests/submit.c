// SPDX-License-Identifier: GPL-2.0-only
/*
 * The backend "daemon" against a played module and a played queue, which the
 * linker puts between: what is submitted, and what becomes of what is refused.
 * What the real ones do is the business of serve.c.
 */
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "harness.h"

#define ID 100

/* What the module was given, and by which command. */
static struct ovltree_attach attached[32];
static unsigned int nr_prepared, nr_attached, nr_detached;

/* What the queue was given; request i has the id ID + i. */
static struct ovlt_submit submitted[32];
static char submitted_name[32][OVLTREE_NAME_MAX + 1];
static bool told[32];
static unsigned int nr_submitted, nr_told;

/* What it answers: to opening it, to each submission but those before it. */
static int open_error;
static int refusal;
static unsigned int refuse_from, refuse_to = -1U;
static int result_error;
static int stats_error;
static bool no_daemon;
static unsigned int interruptions;
static int wait_error;

int __wrap_open(const char *path, int flags, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/ovltree"))
		path = "/dev/null";
	return __real_open(path, flags, 0644);
}

static int answer_batch(unsigned long command, struct ovltree_batch *batch)
{
	struct ovltree_result *results = (void *)(uintptr_t)batch->results;

	for (unsigned int i = 0; i < batch->nr; i++) {
		results[i] = (struct ovltree_result){ .fd = -1, .mnt_id = 7 };
		if (command != OVLTREE_IOC_PREPARE)
			continue;
		nr_prepared++;
		results[i].fd = __real_open("/", O_PATH | O_CLOEXEC);
	}
	if (command == OVLTREE_IOC_ATTACH) {
		memcpy(attached, (void *)(uintptr_t)batch->entries,
		       batch->nr * sizeof(attached[0]));
		nr_attached += batch->nr;
	} else if (command == OVLTREE_IOC_DETACH) {
		nr_detached += batch->nr;
	}
	return batch->nr;
}

int __wrap_ioctl(int fd, unsigned long command, ...);
int __wrap_ioctl(int fd, unsigned long command, ...)
{
	struct ovltree_info *info;
	va_list ap;
	void *arg;

	(void)fd;
	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (command != OVLTREE_IOC_INFO)
		return answer_batch(command, arg);
	info = arg;
	info->version = OVLTREE_UAPI_VERSION;
	info->max_entries = 32;
	return 0;
}

/* The so-maniest allocation from now fails; 0 for none. */
static unsigned int fail_calloc;

void *__wrap_calloc(size_t nr, size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size)
{
	if (!fail_calloc || --fail_calloc)
		return __real_calloc(nr, size);
	errno = ENOMEM;
	return NULL;
}

static char played;
static unsigned int nr_opened, nr_closed;

struct ovlt_queue *__wrap_ovlt_queue_new(unsigned int flags);
struct ovlt_queue *__wrap_ovlt_queue_new(unsigned int flags)
{
	ASSERT_EQ(0, flags);
	errno = -open_error;
	nr_opened += !open_error;
	return open_error ? NULL : (struct ovlt_queue *)&played;
}

void __wrap_ovlt_queue_free(struct ovlt_queue *queue);
void __wrap_ovlt_queue_free(struct ovlt_queue *queue)
{
	ASSERT(!queue || queue == (struct ovlt_queue *)&played);
	nr_closed += !!queue;
}

int __wrap_ovlt_queue_get_stats(struct ovlt_queue *queue,
				struct ovlt_stats *stats, size_t size);
int __wrap_ovlt_queue_get_stats(struct ovlt_queue *queue,
				struct ovlt_stats *stats, size_t size)
{
	(void)queue;
	memset(stats, 0, size);
	stats->has_daemon = !no_daemon;
	return stats_error;
}

const char *__wrap_ovlt_queue_get_error(const struct ovlt_queue *queue);
const char *__wrap_ovlt_queue_get_error(const struct ovlt_queue *queue)
{
	(void)queue;
	return "it is said why";
}

int __wrap_ovlt_queue_submit(struct ovlt_queue *queue,
			     const struct ovlt_submit *submit, size_t size,
			     uint64_t *id);
int __wrap_ovlt_queue_submit(struct ovlt_queue *queue,
			     const struct ovlt_submit *submit, size_t size,
			     uint64_t *id)
{
	static unsigned int calls;

	(void)queue;
	ASSERT_EQ(sizeof(*submit), size);
	calls++;
	if (refusal && calls > refuse_from && calls <= refuse_to)
		return refusal;
	ASSERT(nr_submitted < ARRAY_SIZE(submitted));
	submitted[nr_submitted] = *submit;
	if (submit->name)
		strcpy(submitted_name[nr_submitted], submit->name);
	/* The descriptors are good, at this moment. */
	if (submit->kind == OVLTREE_KIND_ATTACH) {
		ASSERT(fcntl(submit->mnt_fd, F_GETFD) >= 0);
		ASSERT(fcntl(submit->target_fd, F_GETFD) >= 0);
	}
	*id = ID + nr_submitted++;
	return 0;
}

int __wrap_ovlt_queue_wait(struct ovlt_queue *queue, int timeout_ms,
			   struct ovlt_event *event, size_t size);
int __wrap_ovlt_queue_wait(struct ovlt_queue *queue, int timeout_ms,
			   struct ovlt_event *event, size_t size)
{
	unsigned int last;

	(void)queue;
	if (interruptions) {
		interruptions--;
		return -EINTR;
	}
	if (wait_error)
		return wait_error;
	if (nr_told == nr_submitted) {
		/* Nothing will come. */
		ASSERT(timeout_ms >= 0);
		usleep(timeout_ms * 1000);
		return -EAGAIN;
	}
	memset(event, 0, size);
	event->type = OVLT_EVENT_DONE;
	/* The last first: order is not promised. */
	last = nr_submitted - 1;
	while (told[last])
		last--;
	told[last] = true;
	nr_told++;
	event->request.id = ID + last;
	event->request.error = result_error;
	event->request.mnt_id = event->request.id << 32;
	event->request.wait_ns = 10;
	event->request.hold_ns = 100;
	if (result_error)
		strcpy(event->request.message, "it didn't work");
	return 0;
}

/* The daemon has begun with each but the first. */
int __wrap_ovlt_queue_cancel(struct ovlt_queue *queue, uint64_t id);
int __wrap_ovlt_queue_cancel(struct ovlt_queue *queue, uint64_t id)
{
	(void)queue;
	return id == ID ? 0 : -ENOENT;
}

static struct ovlt_ctx *setup(unsigned int refused, unsigned int wait_ms)
{
	const struct ovlt_submit_options options = {
		.name = "me",
		.priority = 3,
		.deadline_ms = 500,
		.refused = refused,
		.wait_ms = wait_ms,
	};
	struct ovlt_ctx *ctx = ovlt_ctx_new();

	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "daemon"));
	ASSERT_EQ(0, ovlt_ctx_set_submit(ctx, &options, sizeof(options)));
	ASSERT(!mkdir("m", 0755));
	return ctx;
}

static struct ovlt_batch *batch_of(struct ovlt_ctx *ctx, unsigned int nr,
				   unsigned int flags)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, flags);
	struct ovlt_tree *tree = make_tree("lowerdir=a:b,shared");

	ASSERT(batch);
	for (unsigned int i = 0; i < nr; i++)
		ASSERT_EQ(i,
			  ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ovlt_tree_unref(tree);
	return batch;
}

static void submits_trees(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);
	uint64_t wait_ns, hold_ns;

	ASSERT_EQ(2,
		  ovlt_batch_add_mount(batch, STDOUT_FILENO, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_set_mntns(batch, 2, 9));
	ASSERT_EQ(3, ovlt_batch_add_mount(batch, STDOUT_FILENO, AT_FDCWD,
					  "none", 0));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_prepared);
	ASSERT_EQ(0, nr_attached);
	ASSERT_EQ(3, nr_submitted);
	ASSERT_EQ(OVLTREE_KIND_ATTACH, submitted[0].kind);
	ASSERT_STR("me", submitted_name[0]);
	ASSERT_EQ(3, submitted[0].priority);
	ASSERT_EQ(500, submitted[0].deadline_ms);
	ASSERT_EQ(1 << 20, submitted[0].propagation);
	ASSERT_EQ(-1, submitted[0].mntns_fd);
	ASSERT_EQ(STDOUT_FILENO, submitted[2].mnt_fd);
	ASSERT_EQ(9, submitted[2].mntns_fd);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_OK(outcome_of(batch, i));
		ASSERT_EQ((ID + i) * (1ULL << 32), outcome_of(batch, i).mnt_id);
	}
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 3));
	/* What a batch cost is counted once. */
	ovlt_batch_get_times(batch, &wait_ns, &hold_ns);
	ASSERT_EQ(10, wait_ns);
	ASSERT_EQ(100, hold_ns);
	ASSERT_EQ(-ENOENT, ovlt_batch_take_fd(batch, 0));
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void submits_detach(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);

	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_id(batch, 1ULL << 40, OVLT_LAZY));
	/* The tmpfs of the test is a mount, the folder in it is none. */
	ASSERT_EQ(1,
		  ovlt_batch_add_target(batch, AT_FDCWD, test_dir, OVLT_FORCE));
	ASSERT_EQ(2, ovlt_batch_add_target(batch, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_detach(batch));
	ASSERT_EQ(2, nr_submitted);
	ASSERT_EQ(OVLTREE_KIND_DETACH, submitted[0].kind);
	ASSERT_EQ(1ULL << 40, submitted[0].mnt_id);
	ASSERT_EQ(OVLT_LAZY, submitted[0].flags);
	ASSERT_EQ(OVLT_FORCE, submitted[1].flags);
	ASSERT(submitted[1].mnt_id);
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 2));
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void results_fail(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 1, 0);

	result_error = -EBUSY;
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_EQ(-EBUSY, outcome_of(batch, 0).error);
	ASSERT_STR("it didn't work", outcome_of(batch, 0).message);
	ASSERT_EQ(0, outcome_of(batch, 0).mnt_id);
	/* A refusal for cause is not one for lack of a daemon. */
	refusal = -EPERM;
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_EQ(-EPERM, outcome_of(batch, 0).error);
	ASSERT_STR("it is said why", outcome_of(batch, 0).message);
	ASSERT_EQ(0, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* A signal doesn't make it forget what the daemon does. */
static void interrupted(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);

	interruptions = 3;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(0, interruptions);
	ASSERT_EQ(ID * (1ULL << 32), outcome_of(batch, 0).mnt_id);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* Nor does it say that nothing is done when that isn't known. */
static void lost_results(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);

	wait_error = -ENOMEM;
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(-ENOMEM, outcome_of(batch, 0).error);
	ASSERT_EQ(-EINPROGRESS, outcome_of(batch, 1).error);
	ASSERT_EQ(0, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* One batch after another has the same socket, until its answers are lost. */
static void keeps_socket(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);

	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_opened);
	ASSERT_EQ(0, nr_closed);
	wait_error = -ENOMEM;
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(1, nr_closed);
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_opened);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
	ASSERT_EQ(2, nr_closed);
}

/* The answers to a child are not the parent's. */
static void childs_socket(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);
	int status;
	pid_t pid;

	ASSERT_EQ(0, ovlt_batch_attach(batch));
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		ASSERT_EQ(0, ovlt_batch_attach(batch));
		ASSERT_EQ(2, nr_opened);
		ASSERT_EQ(1, nr_closed);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* What the process may have is enough, whatever the number of trees. */
static void few_descriptors(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 24, 0);
	struct rlimit limit;

	ASSERT(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 2 * (count_fds() + 2);
	ASSERT(limit.rlim_cur / 2 < 24 && !setrlimit(RLIMIT_NOFILE, &limit));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(24, nr_submitted);
	ASSERT_EQ(0, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void refused_direct(void)
{
	static const int refusals[] = { -ENOTCONN, -ENOBUFS, -EDQUOT, -ENOENT };
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct ovlt_batch *batch = batch_of(ctx, 1, 0);

		refusal = refusals[i];
		ASSERT_EQ(0, ovlt_batch_attach(batch));
		ASSERT_EQ(i + 1, nr_attached);
		ASSERT_EQ(i + 1, nr_prepared);
		ASSERT_EQ(OVLTREE_ATTACH_MOUNT, attached[0].flags);
		ASSERT_EQ(1 << 20, attached[0].propagation);
		ASSERT_EQ(7, outcome_of(batch, 0).mnt_id);
		ovlt_batch_unref(batch);
	}
	ovlt_ctx_unref(ctx);
}

/* Where there is no memory for it, it isn't called a success. */
static void refused_without_memory(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 2, 0);
	unsigned int runs = 0;
	bool failed;
	int ret;

	refusal = -ENOTCONN;
	do {
		nr_attached = 0;
		fail_calloc = ++runs;
		ret = ovlt_batch_attach(batch);
		failed = !fail_calloc;
		fail_calloc = 0;
		ASSERT_EQ(ret < 0 ? 0 : 2 - ret, nr_attached);
		for (unsigned int i = 0; ret >= 0 && i < 2; i++)
			ASSERT_EQ(ret ? -ENOMEM : 0,
				  outcome_of(batch, i).error);
	} while (failed);
	ASSERT_EQ(0, ret);
	ASSERT(runs > 3);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* The queue takes some, the rest goes directly. */
static void refused_partly(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_DIRECT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 5, 0);

	refusal = -ENOBUFS;
	refuse_from = 2;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(2, nr_submitted);
	ASSERT_EQ(3, nr_attached);
	ASSERT_EQ((ID + 1) * (1ULL << 32), outcome_of(batch, 1).mnt_id);
	ASSERT_EQ(7, outcome_of(batch, 2).mnt_id);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void refused_fail(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_FAIL, 0);
	struct ovlt_batch *batch = batch_of(ctx, 1, 0);

	refusal = -EDQUOT;
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EDQUOT, OVLTREE_FIELD_NONE, 0, outcome_of(batch, 0));
	ASSERT_EQ(0, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void refused_wait(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_WAIT, 0);
	struct ovlt_batch *batch = batch_of(ctx, 3, 0);

	/* The second is refused for a while, during which the first ends. */
	refusal = -ENOBUFS;
	refuse_from = 1;
	refuse_to = 5;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_submitted);
	ASSERT_EQ(0, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void refused_wait_ends(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_WAIT, 30);
	struct ovlt_batch *batch = batch_of(ctx, 1, 0);

	refusal = -ENOTCONN;
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_EQ(-ENOTCONN, outcome_of(batch, 0).error);
	ASSERT_EQ(0, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

/* Its own results have to be taken before more is submitted. */
static void room_for_results(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_FAIL, 0);
	struct ovlt_batch *batch = batch_of(ctx, 3, 0);

	refusal = -EAGAIN;
	refuse_from = 2;
	refuse_to = 4;
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(3, nr_submitted);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void all_or_nothing(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_FAIL, 0);
	struct ovlt_batch *batch = batch_of(ctx, 3, OVLT_ALL);

	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(0, nr_submitted);
	ASSERT_EQ(3, nr_attached);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
}

static void without_family(void)
{
	struct ovlt_ctx *ctx = setup(OVLT_REFUSED_FAIL, 0);
	char text[OVLTREE_MESSAGE_MAX];
	struct ovlt_info answer;

	open_error = -ENOENT;
	ASSERT_EQ(-ENOENT, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT(strstr(text, "netlink"));
	open_error = 0;
	stats_error = -EPERM;
	ASSERT_EQ(-EPERM, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT_STR("netlink family ovltree: it is said why", text);
	stats_error = 0;
	no_daemon = true;
	ASSERT_EQ(-ENOTCONN, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ovlt_ctx_unref(ctx);

	/* Who doesn't insist gets the next backend, and may see which. */
	ASSERT(!rmdir("m"));
	ctx = setup(OVLT_REFUSED_DIRECT, 0);
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("daemon", answer.backend);
	ovlt_ctx_unref(ctx);
	ASSERT(!rmdir("m"));
	open_error = -ENOENT;
	ctx = setup(OVLT_REFUSED_DIRECT, 0);
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &answer, sizeof(answer)));
	ASSERT_STR("ioctl", answer.backend);
	ovlt_ctx_unref(ctx);
}

static void options(void)
{
	const struct ovlt_submit_options bad[] = {
		{ .priority = 256 },
		{ .deadline_ms = 60001 },
		{ .refused = 3 },
		{ .name = "0123456789012345678901234567890123456789"
			  "0123456789012345678901234" },
	};
	struct ovlt_ctx *ctx = ovlt_ctx_new();

	ASSERT(ctx);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ASSERT_EQ(-EINVAL,
			  ovlt_ctx_set_submit(ctx, &bad[i], sizeof(bad[i])));
	ovlt_ctx_unref(ctx);
}

static const struct test tests[] = {
	TEST(submits_trees),	      TEST(submits_detach),
	TEST(results_fail),	      TEST(interrupted),
	TEST(lost_results),	      TEST(few_descriptors),
	TEST(keeps_socket),	      TEST(childs_socket),
	TEST(refused_direct),	      TEST(refused_partly),
	TEST(refused_without_memory), TEST(refused_fail),
	TEST(refused_wait),	      TEST(refused_wait_ends),
	TEST(room_for_results),	      TEST(all_or_nothing),
	TEST(without_family),	      TEST(options),
};

int main(void)
{
	run_tests("submit", tests, ARRAY_SIZE(tests), false);
	return tap_done();
}
