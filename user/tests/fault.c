// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failure injection into the mount-api backends: each call that can fail is
 * made to, one at a time, and nothing may be left behind; and an old kernel is
 * played, which lacks what the running one has. The linker wraps the calls.
 */
#include <pthread.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "harness.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static const char *backend;
/* Which of the calls to come is the one that fails; 0 is none. */
static unsigned int fail_call;
/* Options of fsconfig(2) that the kernel doesn't have. */
static bool no_append, no_fd;

static bool fails(void)
{
	return __atomic_load_n(&fail_call, __ATOMIC_RELAXED) &&
	       !__atomic_sub_fetch(&fail_call, 1, __ATOMIC_RELAXED);
}

#define WRAP(type, bad, err, name, params, args) \
	type __real_##name params;               \
	type __wrap_##name params;               \
	type __wrap_##name params                \
	{                                        \
		if (fails()) {                   \
			errno = err;             \
			return bad;              \
		}                                \
		return __real_##name args;       \
	}

WRAP(int, -1, EIO, fsopen, (const char *type, unsigned int flags),
     (type, flags))
WRAP(int, -1, EIO, fsmount, (int fd, unsigned int flags, unsigned int attr),
     (fd, flags, attr))
WRAP(int, -1, EIO, open_tree, (int fd, const char *path, unsigned int flags),
     (fd, path, flags))
WRAP(int, -1, EIO, mount_setattr,
     (int fd, const char *path, unsigned int flags, struct mount_attr *attr,
      size_t size),
     (fd, path, flags, attr, size))
WRAP(int, -1, EIO, move_mount,
     (int from, const char *path, int to, const char *target,
      unsigned int flags),
     (from, path, to, target, flags))
WRAP(int, -1, EIO, statx,
     (int fd, const char *path, int flags, unsigned int mask,
      struct statx *stx),
     (fd, path, flags, mask, stx))
WRAP(int, -1, EIO, unshare, (int flags), (flags))
WRAP(int, -1, EIO, mount,
     (const char *source, const char *target, const char *type,
      unsigned long flags, const void *data),
     (source, target, type, flags, data))
WRAP(int, EAGAIN, EAGAIN, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *),
      void *arg),
     (thread, attr, fn, arg))
WRAP(void *, NULL, ENOMEM, calloc, (size_t nr, size_t size), (nr, size))
WRAP(void *, NULL, ENOMEM, malloc, (size_t size), (size))
WRAP(char *, NULL, ENOMEM, strdup, (const char *s), (s))
WRAP(char *, NULL, ENOMEM, strndup, (const char *s, size_t size), (s, size))
WRAP(ssize_t, -1, EIO, readlink, (const char *path, char *buf, size_t size),
     (path, buf, size))

int __real_fsconfig(int fd, unsigned int command, const char *key,
		    const void *value, int aux);
int __wrap_fsconfig(int fd, unsigned int command, const char *key,
		    const void *value, int aux)
{
	if (fails()) {
		errno = EIO;
		return -1;
	}
	/* So that it is the kernel that says so, under a name that it doesn't have. */
	if (key && no_append &&
	    (!strcmp(key, "lowerdir+") || !strcmp(key, "datadir+")))
		key = "nonsense";
	if (key && no_fd && command == FSCONFIG_SET_FD) {
		errno = EINVAL;
		return -1;
	}
	return __real_fsconfig(fd, command, key, value, aux);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
	if (fails()) {
		errno = EIO;
		return -1;
	}
	return __real_openat(fd, path, flags);
}

#define IDMAP "X-mount.idmap=0:100000:65536"

static struct ovlt_ctx *setup(void)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();

	put("l1/a", "l1");
	put("l2/b", "l2");
	put("d/c", "d");
	ASSERT(!mkdir("u", 0755) && !mkdir("w", 0755) && !mkdir("m", 0755) &&
	       !mkdir("n", 0755));
	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, backend));
	return ctx;
}

static void sweep(const char *options, unsigned int flags)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_tree *tree = make_tree(options);
	struct ovlt_info info;
	unsigned int fds, n, failures = 0;
	char *before;

	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	before = read_all("/proc/self/mountinfo");
	fds = count_fds();
	for (n = 1;; n++) {
		struct ovlt_batch *batch = ovlt_batch_new(ctx, flags);
		char *after;
		bool injected;
		int ret;

		ASSERT(batch);
		ASSERT_EQ(0,
			  ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
		ASSERT_EQ(1,
			  ovlt_batch_add_tree(batch, tree, AT_FDCWD, "n", 0));
		fail_call = n;
		ret = ovlt_batch_attach(batch);
		injected = !fail_call;
		fail_call = 0;

		ASSERT(injected || !ret);
		failures += !!ret;
		if (ret >= 0) {
			unsigned int failed = 0;

			for (unsigned int i = 0; i < 2; i++) {
				struct outcome outcome = outcome_of(batch, i);
				const char *target = i ? "n" : "m";

				failed += outcome.error < 0;
				ASSERT_EQ(!outcome.error,
					  !!mount_line(at(target)));
				if (!outcome.error)
					ASSERT_OK(detach(ctx, target, 0));
			}
			ASSERT_EQ(failed, ret);
			if (flags & OVLT_ALL)
				ASSERT(!ret || ret == 2);
		}
		ovlt_batch_unref(batch);
		ASSERT_EQ(fds, count_fds());
		after = read_all("/proc/self/mountinfo");
		ASSERT_STR(before, after);
		free(after);
		if (!injected)
			break;
	}
	printf("# %u calls made to fail, %u batches failed\n", n - 1, failures);
	ASSERT(n > 20 && failures > 10);
	free(before);
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

static void plain(void)
{
	sweep("lowerdir=l1:l2,private", 0);
}

static void plain_all(void)
{
	sweep("lowerdir=l1:l2,private", OVLT_ALL);
}

static void idmapped(void)
{
	sweep("lowerdir=l1:l2," IDMAP, 0);
}

static void idmapped_all(void)
{
	sweep("lowerdir=l1:l2,shared," IDMAP, OVLT_ALL);
}

/* Before 6.8: all lower layers in one option. */
static void without_append(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_tree *tree;
	char long_name[256];

	no_append = true;
	put("x:y\\z,/f", "odd");
	tree = make_tree(
		"lowerdir=l1:l2:x\\:y\\\\z\\,::d,upperdir=u,workdir=w,metacopy=on");
	ASSERT_OK(attach(ctx, tree, "m"));
	ASSERT_STR("l1", get("m/a"));
	ASSERT_STR("l2", get("m/b"));
	ASSERT_STR("odd", get("m/f"));
	ASSERT(!get("m/c"));
	ASSERT(strstr(mount_line(at("m")), "lowerdir=l1:l2:x\\:y\\\\z,::d"));
	ASSERT_OK(detach(ctx, "m", 0));
	ovlt_tree_unref(tree);

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	put("y/f", "long");
	ASSERT(!rename("y", long_name));
	tree = make_tree("lowerdir=l1:l2");
	ASSERT_EQ(0, ovlt_tree_add_lower(tree, AT_FDCWD, long_name, 0));
	ASSERT_FAIL(E2BIG, OVLTREE_FIELD_LOWER, 2, attach(ctx, tree, "m"));
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

/* Before 6.13, and 6.15 for layers on detached mounts: a private namespace. */
static void without_detached_layers(void)
{
	struct ovlt_ctx *ctx = setup();
	struct ovlt_tree *tree =
		make_tree("lowerdir=l1:l2,upperdir=u,workdir=w," IDMAP);
	struct stat st;

	no_fd = true;
	ASSERT_OK(attach(ctx, tree, "m"));
	ASSERT(!stat("m/b", &st));
	ASSERT_EQ(100000, st.st_uid);
	ASSERT(strstr(mount_line(at("m")), "lowerdir+=l1,lowerdir+=l2,"));
	ASSERT_OK(detach(ctx, "m", 0));
	no_append = true;
	ASSERT_OK(attach(ctx, tree, "m"));
	ASSERT(!stat("m/b", &st));
	ASSERT_EQ(100000, st.st_uid);
	ASSERT_OK(detach(ctx, "m", 0));
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

static const struct test tests[] = {
	TEST(plain),	    TEST(plain_all),	  TEST(idmapped),
	TEST(idmapped_all), TEST(without_append), TEST(without_detached_layers),
};

int main(void)
{
	backend = "mount-api";
	run_tests("fault mount-api", tests, ARRAY_SIZE(tests), false);
	backend = "mount-ns";
	run_tests("fault mount-ns", tests, ARRAY_SIZE(tests), false);
	return tap_done();
}
