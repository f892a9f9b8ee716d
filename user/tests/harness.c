// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "harness.h"

#define EXIT_SKIP 4

/* There when built with -fsanitize=address. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

char test_dir[] = "/tmp/ovltree-XXXXXX";

static struct {
	unsigned int nr;
	unsigned int passed;
	unsigned int failed;
	unsigned int skipped;
} tap;

void fail_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("# %s:%d: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(EXIT_FAILURE);
}

void skip(const char *why)
{
	printf("# skipped: %s\n", why);
	fflush(stdout);
	_exit(EXIT_SKIP);
}

char *read_all(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (file) {
		if (getdelim(&text, &size, '\0', file) < 0)
			text = strdup("");
		fclose(file);
	}
	return text;
}

/* A file with all folders above it. */
void put(const char *path, const char *content)
{
	char *copy = strdup(path);
	FILE *file;

	for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(copy, 0755);
		*p = '/';
	}
	free(copy);
	file = fopen(path, "we");
	ASSERT(file);
	ASSERT(fputs(content, file) >= 0);
	ASSERT(!fclose(file));
}

/* A file's content, NULL with errno when there is none. */
const char *get(const char *path)
{
	static char content[256];
	char *text = read_all(path);

	if (!text)
		return NULL;
	snprintf(content, sizeof(content), "%s", text);
	free(text);
	return content;
}

/* An absolute path in the test's folder; several results are valid at once. */
const char *at(const char *path)
{
	static char paths[8][4096];
	static unsigned int next;
	char *out = paths[next++ % ARRAY_SIZE(paths)];

	snprintf(out, sizeof(paths[0]), "%s/%s", test_dir, path);
	return out;
}

static void unescape_octal(char *s)
{
	char *d = s;

	for (; *s; s++) {
		if (*s == '\\' && s[1] && s[2] && s[3]) {
			*d++ = (s[1] - '0') * 64 + (s[2] - '0') * 8 +
			       (s[3] - '0');
			s += 3;
		} else {
			*d++ = *s;
		}
	}
	*d = '\0';
}

/* The line of mountinfo for the uppermost mount at a target, or NULL. */
const char *mount_line(const char *target)
{
	static char line[64 * 1024];
	char *text = read_all("/proc/self/mountinfo");
	char *rest = NULL;
	bool found = false;

	ASSERT(text);
	for (char *l = strtok_r(text, "\n", &rest); l;
	     l = strtok_r(NULL, "\n", &rest)) {
		char point[4096];

		if (sscanf(l, "%*s %*s %*s %*s %4095s", point) != 1)
			continue;
		unescape_octal(point);
		if (strcmp(point, target))
			continue;
		snprintf(line, sizeof(line), "%s", l);
		unescape_octal(line);
		found = true;
	}
	free(text);
	return found ? line : NULL;
}

static unsigned int count_lines(const char *text)
{
	unsigned int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

unsigned int count_mounts(void)
{
	char *text = read_all("/proc/self/mountinfo");
	unsigned int nr;

	ASSERT(text);
	nr = count_lines(text);
	free(text);
	return nr;
}

unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	ASSERT(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

struct outcome outcome_of(const struct ovlt_batch *batch, unsigned int index)
{
	const struct ovlt_result *result = ovlt_batch_get_result(batch, index);
	struct outcome outcome;

	ASSERT(result);
	outcome = (struct outcome){
		.error = result->error,
		.field = result->field,
		.index = result->index,
		.mnt_id = result->mnt_id,
		.dev = result->dev,
	};
	snprintf(outcome.message, sizeof(outcome.message), "%s",
		 result->message);
	return outcome;
}

struct outcome attach(struct ovlt_ctx *ctx, struct ovlt_tree *tree,
		      const char *target)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);
	struct outcome outcome;
	int ret;

	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, target, 0));
	ret = ovlt_batch_attach(batch);
	outcome = outcome_of(batch, 0);
	ASSERT_EQ(outcome.error < 0, ret);
	ovlt_batch_unref(batch);
	return outcome;
}

struct outcome detach(struct ovlt_ctx *ctx, const char *target,
		      unsigned int flags)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);
	struct outcome outcome;
	int ret;

	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_target(batch, AT_FDCWD, target, flags));
	ret = ovlt_batch_detach(batch);
	outcome = outcome_of(batch, 0);
	ASSERT_EQ(outcome.error < 0, ret);
	ovlt_batch_unref(batch);
	return outcome;
}

struct ovlt_tree *make_tree(const char *options)
{
	struct ovlt_tree *tree = ovlt_tree_new();

	ASSERT(tree);
	if (ovlt_tree_parse_options(tree, options))
		fail_at(__FILE__, __LINE__, "%s: %s", options,
			ovlt_tree_get_error(tree));
	return tree;
}

static void run_child(const struct test *test)
{
	unsigned int fds;
	char *table, *after;

	/* A test that hangs is one that failed. */
	alarm(120);
	ASSERT(!unshare(CLONE_NEWNS));
	ASSERT(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT(!mount("test", test_dir, "tmpfs", 0, "mode=755"));
	ASSERT(!chdir(test_dir));
	table = read_all("/proc/self/mountinfo");
	fds = count_fds();

	test->run();

	ASSERT_EQ(fds, count_fds());
	after = read_all("/proc/self/mountinfo");
	ASSERT_STR(table, after);
	free(table);
	free(after);
	if (__lsan_do_recoverable_leak_check)
		ASSERT(!__lsan_do_recoverable_leak_check());
	fflush(stdout);
	_exit(EXIT_SUCCESS);
}

static void run_test(const char *variant, const struct test *test)
{
	const char *verdict = "not ok";
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		run_child(test);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (status == 0) {
		verdict = "ok";
		tap.passed++;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
		printf("ok %u - %s %s # SKIP\n", ++tap.nr, variant, test->name);
		tap.skipped++;
		return;
	} else {
		tap.failed++;
		if (WIFSIGNALED(status))
			printf("# killed by signal %d\n", WTERMSIG(status));
	}
	printf("%s %u - %s %s\n", verdict, ++tap.nr, variant, test->name);
}

/* Returns the number of failures so far; with @skipped the tests are only named. */
int run_tests(const char *variant, const struct test *tests, size_t nr,
	      bool skipped)
{
	if (!tap.nr) {
		puts("TAP version 13");
		if (!mkdtemp(test_dir)) {
			perror(test_dir);
			exit(EXIT_FAILURE);
		}
	}
	for (size_t i = 0; i < nr; i++) {
		if (skipped) {
			printf("ok %u - %s %s # SKIP\n", ++tap.nr, variant,
			       tests[i].name);
			tap.skipped++;
		} else {
			run_test(variant, &tests[i]);
		}
	}
	return tap.failed;
}

/* Print the totals; returns an exit status. */
int tap_done(void)
{
	rmdir(test_dir);
	printf("1..%u\n# %u passed, %u failed, %u skipped\n", tap.nr,
	       tap.passed, tap.failed, tap.skipped);
	return tap.failed || !tap.passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
