/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TAP harness: each test runs in a process, a mount namespace and a tmpfs of
 * its own, and must leave the mount table and the descriptors as they were.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libovltree.h"

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

/**
 * struct test - a test
 * @name: its name, for TAP
 * @run: the test; returns when all is well
 */
struct test {
	const char *name;
	void (*run)(void);
};

/* clang-format off */
#define TEST(fn) { #fn, fn }
/* clang-format on */

void fail_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));
void skip(const char *why) __attribute__((noreturn));

#define ASSERT(cond)                                                         \
	do {                                                                 \
		if (!(cond))                                                 \
			fail_at(__FILE__, __LINE__, "not so: %s (errno %d)", \
				#cond, errno);                               \
	} while (0)

#define ASSERT_EQ(expected, seen)                                             \
	do {                                                                  \
		long long e_ = (long long)(expected), s_ = (long long)(seen); \
		if (e_ != s_)                                                 \
			fail_at(__FILE__, __LINE__,                           \
				"%s is %lld instead of %lld", #seen, s_, e_); \
	} while (0)

#define ASSERT_STR(expected, seen)                                       \
	do {                                                             \
		const char *e_ = (expected), *s_ = (seen);               \
		if (!s_ || strcmp(e_, s_))                               \
			fail_at(__FILE__, __LINE__,                      \
				"%s is \"%s\" instead of \"%s\"", #seen, \
				s_ ? s_ : "(null)", e_);                 \
	} while (0)

/* The tmpfs of the test, which is also its working folder. */
extern char test_dir[];

int run_tests(const char *variant, const struct test *tests, size_t nr,
	      bool skipped);
int tap_done(void);

char *read_all(const char *path);
void put(const char *path, const char *content);
const char *get(const char *path);
const char *at(const char *path);
const char *mount_line(const char *target);
unsigned int count_mounts(void);
unsigned int count_fds(void);

/* Of struct ovlt_result, without the pointer. */
struct outcome {
	int error;
	unsigned int field;
	unsigned int index;
	uint64_t mnt_id;
	dev_t dev;
	char message[OVLTREE_MESSAGE_MAX];
};

struct outcome outcome_of(const struct ovlt_batch *batch, unsigned int index);
struct outcome attach(struct ovlt_ctx *ctx, struct ovlt_tree *tree,
		      const char *target);
struct outcome detach(struct ovlt_ctx *ctx, const char *target,
		      unsigned int flags);
struct ovlt_tree *make_tree(const char *options);

#define ASSERT_OK(call)                                                  \
	do {                                                             \
		struct outcome o_ = (call);                              \
		if (o_.error)                                            \
			fail_at(__FILE__, __LINE__, "%s: %s, %s %u: %s", \
				#call, strerrorname_np(-o_.error),       \
				ovlt_field_name(o_.field), o_.index,     \
				o_.message);                             \
	} while (0)

#define ASSERT_FAIL(err, fld, idx, call)                                     \
	do {                                                                 \
		struct outcome o_ = (call);                                  \
		if (o_.error != -(err) || o_.field != (fld) ||               \
		    o_.index != (idx))                                       \
			fail_at(__FILE__, __LINE__,                          \
				"%s: %s, %s %u: %s; instead of %s, %s %u",   \
				#call,                                       \
				o_.error ? strerrorname_np(-o_.error) : "0", \
				ovlt_field_name(o_.field), o_.index,         \
				o_.message, strerrorname_np(err),            \
				ovlt_field_name(fld), (unsigned int)(idx));  \
	} while (0)

#endif /* HARNESS_H */
