// SPDX-License-Identifier: GPL-2.0-only
/*
 * The daemon at work, with the module: DAEMON, CTL and MOUNT name the programs.
 * Each test has a network namespace and so a queue of its own. OVLT_KILLS is how
 * often the daemon is killed, OVLT_REQUESTS how much it is asked for while its
 * memory is watched. Arguments name the tests that are run, instead of all.
 */
#include <limits.h>
#include <linux/capability.h>
#include <linux/ovltree_netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "harness.h"

#define MODULE "/lib/modules/ovltree.ko"
#define LOWERS "lowerdir=l1:l2"

static struct ovlt_ctx *ctx;
static struct ovlt_queue *queue;
static pid_t server;

static const char *program(const char *name)
{
	const char *path = getenv(name);

	ASSERT(path);
	return path;
}

/* What it says goes to a file. */
static pid_t start(const char *const argv[], const char *output)
{
	pid_t pid = fork();
	int fd;

	ASSERT(pid >= 0);
	if (pid)
		return pid;
	fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

/* All that are started so begin when the pipe's other end is closed. */
static pid_t start_at(int gate[2], const char *const argv[])
{
	pid_t pid = fork();
	char none;

	ASSERT(pid >= 0);
	if (pid)
		return pid;
	close(gate[1]);
	if (!read(gate[0], &none, 1))
		execv(argv[0], (char *const *)argv);
	_exit(127);
}

static int status_of(pid_t pid)
{
	int status;

	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wait_for_file(const char *path)
{
	for (int i = 0; access(path, F_OK); i++) {
		ASSERT(i < 1000);
		usleep(10000);
	}
}

/* The first line of a file that begins so and has @part in it, or NULL. */
static const char *find_line(const char *path, const char *begin,
			     const char *part)
{
	static char found[1024];
	char *text = read_all(path);
	char *rest = text, *line;

	found[0] = '\0';
	while (!found[0] && (line = strsep(&rest, "\n")) && rest)
		if (!strncmp(line, begin, strlen(begin)) && strstr(line, part))
			snprintf(found, sizeof(found), "%s", line);
	free(text);
	return found[0] ? found : NULL;
}

static const char *wait_for_line(const char *path, const char *begin,
				 const char *part)
{
	const char *line;

	for (int i = 0; !(line = find_line(path, begin, part)); i++) {
		ASSERT(i < 3000);
		usleep(10000);
	}
	return line;
}

static struct ovlt_stats stats(void)
{
	struct ovlt_stats now;

	ASSERT_EQ(0, ovlt_queue_get_stats(queue, &now, sizeof(now)));
	return now;
}

static void wait_for_daemon(void)
{
	for (int i = 0; !stats().has_daemon; i++) {
		ASSERT(i < 3000);
		usleep(10000);
	}
}

static void start_daemon(void)
{
	const char *argv[] = { program("DAEMON"), "-c", "conf", NULL };

	server = start(argv, "log");
	wait_for_daemon();
}

static void end_daemon(int sig, int status)
{
	ASSERT(!kill(server, sig));
	ASSERT_EQ(status, status_of(server));
	server = 0;
}

static void open_queue(void)
{
	queue = ovlt_queue_new(0);
	ASSERT(queue);
}

static void setup(const char *config)
{
	alarm(1500);
	ASSERT(!unshare(CLONE_NEWNET));
	put("l1/a", "l1");
	put("l2/a", "l2");
	put("l2/b", "l2");
	ASSERT(!mkdir("m", 0755));
	put("conf", config);
	ctx = ovlt_ctx_new();
	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "daemon"));
	open_queue();
}

static void teardown(void)
{
	if (server)
		end_daemon(SIGTERM, 0);
	ovlt_queue_free(queue);
	ovlt_ctx_unref(ctx);
}

static void set_refused(unsigned int refused, unsigned int wait_ms)
{
	const struct ovlt_submit_options options = { .refused = refused,
						     .wait_ms = wait_ms };

	ASSERT_EQ(0, ovlt_ctx_set_submit(ctx, &options, sizeof(options)));
}

static int prepare(void)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);
	struct ovlt_tree *tree = make_tree(LOWERS);
	int fd;

	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, -1, NULL, 0));
	ASSERT_EQ(0, ovlt_batch_prepare(batch));
	fd = ovlt_batch_take_fd(batch, 0);
	ASSERT(fd >= 0);
	ovlt_tree_unref(tree);
	ovlt_batch_unref(batch);
	return fd;
}

static int submit_fd(int mnt_fd, const char *target, unsigned int deadline_ms,
		     uint64_t *id)
{
	struct ovlt_submit submit = {
		.kind = OVLTREE_KIND_ATTACH,
		.mnt_fd = mnt_fd,
		.target_fd = open(target, O_PATH | O_CLOEXEC),
		.mntns_fd = -1,
		.name = target,
		.priority = 5,
		.deadline_ms = deadline_ms,
	};
	int err;

	ASSERT(submit.target_fd >= 0);
	err = ovlt_queue_submit(queue, &submit, sizeof(submit), id);
	close(submit.target_fd);
	return err;
}

static uint64_t submit(const char *target, unsigned int deadline_ms)
{
	int fd = prepare();
	uint64_t id = 0;

	ASSERT_EQ(0, submit_fd(fd, target, deadline_ms, &id));
	ASSERT(id);
	close(fd);
	return id;
}

static void names(void)
{
	char name[600];
	struct ovlt_submit request = { .kind = OVLTREE_KIND_DETACH,
				       .target_fd = -1,
				       .mntns_fd = -1,
				       .name = name };
	uint64_t id;

	setup("");
	start_daemon();
	for (size_t len = 1; len < sizeof(name); len++) {
		memset(name, 'n', len);
		name[len] = '\0';
		/* There is no such mount. */
		ASSERT_EQ(len > OVLTREE_NAME_MAX ? -EINVAL : -ENOENT,
			  ovlt_queue_submit(queue, &request, sizeof(request),
					    &id));
	}
	teardown();
}

static struct ovlt_request ended(void)
{
	struct ovlt_event event;

	ASSERT_EQ(0, ovlt_queue_wait(queue, 60000, &event, sizeof(event)));
	ASSERT_EQ(OVLT_EVENT_DONE, event.type);
	return event.request;
}

static unsigned int mounts_at(const char *target)
{
	char *text = read_all("/proc/self/mountinfo");
	char pattern[4200];
	unsigned int nr = 0;

	snprintf(pattern, sizeof(pattern), " / %s ", at(target));
	for (char *line = text; (line = strstr(line, pattern)); line++)
		nr++;
	free(text);
	return nr;
}

static struct outcome attach_options(const char *target)
{
	struct ovlt_tree *tree = make_tree(LOWERS);
	struct outcome outcome = attach(ctx, tree, target);

	ovlt_tree_unref(tree);
	return outcome;
}

static void attach_and_detach(void)
{
	struct outcome outcome;
	int fd;

	setup("");
	start_daemon();
	set_refused(OVLT_REFUSED_FAIL, 0);
	outcome = attach_options("m");
	ASSERT_OK(outcome);
	ASSERT(outcome.mnt_id && outcome.dev);
	ASSERT_STR("l1", get("m/a"));
	ASSERT_STR("l2", get("m/b"));
	ASSERT(strstr(mount_line(at("m")), " - overlay "));
	/* What is in use stays. */
	fd = open("m/a", O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(-EBUSY, detach(ctx, "m", 0).error);
	ASSERT_OK(detach(ctx, "m", OVLT_LAZY));
	ASSERT_EQ(0, mounts_at("m"));
	close(fd);
	ASSERT_OK(attach_options("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, detach(ctx, "m", 0));
	ASSERT_EQ(2, stats().attached);
	ASSERT_EQ(2, stats().detached);
	ASSERT_EQ(1, stats().failed);
	ASSERT_EQ(0, stats().expired);
	teardown();
}

struct seen {
	struct ovlt_request request;
	unsigned int nr;
};

static int look(void *data, const struct ovlt_request *request)
{
	struct seen *seen = data;

	seen->request = *request;
	seen->nr++;
	return 0;
}

static struct seen dump(void)
{
	struct seen seen = { 0 };

	ASSERT_EQ(0, ovlt_queue_dump(queue, look, &seen));
	return seen;
}

static void asynchronous(void)
{
	struct pollfd pollfd = { .events = POLLIN };
	struct ovlt_event event;
	struct ovlt_request request;
	struct seen seen;
	uint64_t id;

	setup("");
	start_daemon();
	pollfd.fd = ovlt_queue_get_fd(queue);
	ASSERT(!kill(server, SIGSTOP));
	id = submit("m", 60000);
	ASSERT_EQ(-EAGAIN, ovlt_queue_wait(queue, 0, &event, sizeof(event)));
	ASSERT_EQ(0, poll(&pollfd, 1, 0));
	seen = dump();
	ASSERT_EQ(1, seen.nr);
	ASSERT_EQ(id, seen.request.id);
	ASSERT_STR("m", seen.request.name);
	ASSERT_EQ(5, seen.request.priority);
	ASSERT_EQ(60000, seen.request.deadline_ms);
	ASSERT_EQ(getpid(), seen.request.pid);
	ASSERT_EQ(0, seen.request.uid);
	ASSERT(seen.request.userns_id && seen.request.age_ns);
	ASSERT_EQ(0, mounts_at("m"));
	ASSERT(!kill(server, SIGCONT));
	ASSERT_EQ(1, poll(&pollfd, 1, 60000));
	request = ended();
	ASSERT_EQ(id, request.id);
	ASSERT_EQ(0, request.error);
	ASSERT_EQ(OVLTREE_REASON_DAEMON, request.committed_by);
	ASSERT(request.mnt_id && request.queued_ns && request.hold_ns);
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_EQ(0, dump().nr);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void cancelled(void)
{
	struct ovlt_event event;
	uint64_t id, kept;

	setup("");
	ASSERT(!mkdir("n", 0755));
	start_daemon();
	ASSERT(!kill(server, SIGSTOP));
	id = submit("m", 60000);
	kept = submit("n", 60000);
	ASSERT_EQ(0, ovlt_queue_cancel(queue, id));
	ASSERT_EQ(-ENOENT, ovlt_queue_cancel(queue, id));
	ASSERT(ovlt_queue_get_error(queue)[0]);
	ASSERT(!kill(server, SIGCONT));
	ASSERT_EQ(kept, ended().id);
	ASSERT_EQ(-EAGAIN, ovlt_queue_wait(queue, 100, &event, sizeof(event)));
	ASSERT_EQ(0, mounts_at("m"));
	ASSERT_EQ(1, mounts_at("n"));
	ASSERT_EQ(-ENOENT, ovlt_queue_cancel(queue, kept));
	/* Who closes the queue takes back all. */
	ASSERT(!kill(server, SIGSTOP));
	submit("m", 60000);
	ovlt_queue_free(queue);
	open_queue();
	ASSERT_EQ(0, stats().queued);
	ASSERT_EQ(2, stats().cancelled);
	ASSERT(!kill(server, SIGCONT));
	ASSERT_OK(detach(ctx, "n", 0));
	ASSERT_EQ(0, mounts_at("m"));
	teardown();
}

static pid_t start_monitor(const char *option, const char *output)
{
	const char *argv[] = { program("CTL"), "monitor", option, NULL };

	return start(argv, output);
}

static const char *json_of_end(uint64_t id)
{
	char begin[32];

	snprintf(begin, sizeof(begin), "{\"id\":%llu,", (unsigned long long)id);
	return wait_for_line("json", begin, "\"event\":\"done\"");
}

static const char *text_of_end(uint64_t id)
{
	char begin[32];

	snprintf(begin, sizeof(begin), "done %llu ", (unsigned long long)id);
	return wait_for_line("text", begin, "");
}

/* The names in a JSON object that has plain values, without commas. */
static const char *names_in(const char *json)
{
	static char names[256];
	int len = 0;

	for (const char *at = json; at; at = strchr(at + 1, ','))
		len += snprintf(names + len, sizeof(names) - len, "%s%.*s",
				len ? " " : "", (int)strcspn(at + 2, "\""),
				at + 2);
	return names;
}

/*
 * Monitors tell of a request's end what the kernel does. Where it was taken back,
 * that is nothing of a batch, nor of who committed it.
 */
static void monitored(void)
{
	struct ovlt_request request;
	const char *line;
	uint64_t id, taken_back;
	char mount[48];
	pid_t json, text;

	setup("");
	ASSERT(!mkdir("n", 0755));
	start_daemon();
	json = start_monitor("--json", "json");
	text = start_monitor(NULL, "text");
	/* When they tell of one batch, they tell of the next. */
	for (int i = 0; !find_line("json", "{", "\"event\":\"batch\"") ||
			!find_line("text", "batch ", "");
	     i++) {
		ASSERT(i < 1000);
		ASSERT_OK(attach_options("m"));
		ASSERT_OK(detach(ctx, "m", 0));
		usleep(10000);
	}
	ASSERT(!kill(server, SIGSTOP));
	id = submit("m", 60000);
	taken_back = submit("n", 60000);
	ASSERT_EQ(0, ovlt_queue_cancel(queue, taken_back));
	ASSERT(!kill(server, SIGCONT));
	request = ended();
	ASSERT_EQ(id, request.id);

	line = json_of_end(id);
	ASSERT_STR("id kind name mnt_id ok message queued_ns wait_ns hold_ns "
		   "committed_by event seq",
		   names_in(line));
	snprintf(mount, sizeof(mount), "\"mnt_id\":%llu,\"ok\":true",
		 (unsigned long long)request.mnt_id);
	ASSERT(strstr(line, mount));
	ASSERT(strstr(line, "\"committed_by\":\"daemon\""));
	line = json_of_end(taken_back);
	ASSERT_STR("id kind name ok errno message queued_ns event seq",
		   names_in(line));
	ASSERT(strstr(line, "\"ok\":false,\"errno\":\"ECANCELED\""));

	line = text_of_end(id);
	snprintf(mount, sizeof(mount), " attach mount %llu, queued ",
		 (unsigned long long)request.mnt_id);
	ASSERT(strstr(line, mount));
	ASSERT(strstr(line, " ms, by daemon, name m"));
	line = text_of_end(taken_back);
	ASSERT(strstr(line, " attach failed: Operation canceled, queued "));
	ASSERT(!strstr(line, "waited") && !strstr(line, " by "));
	ASSERT(strstr(line, " ms, name n"));

	ASSERT_OK(detach(ctx, "m", 0));
	end_daemon(SIGTERM, 0);
	wait_for_line("json", "{\"queued\":0,\"event\":\"daemon-gone\",", "");
	wait_for_line("text", "daemon-gone 0 wait", "");
	/* Now the ioctl is called directly. */
	ASSERT_OK(attach_options("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	line = wait_for_line("json", "{\"mnt_id\":", "\"event\":\"detached\"");
	ASSERT_STR("mnt_id cgroup_id wait_ns hold_ns event seq", names_in(line));
	wait_for_line("json", "{\"mnt_id\":", "\"event\":\"attached\"");
	wait_for_line("text", "attached mount ", " ms, cgroup ");
	wait_for_line("text", "detached mount ", " ms, cgroup ");
	ASSERT(!kill(json, SIGTERM) && !kill(text, SIGTERM));
	ASSERT_EQ(SIGTERM + 128, status_of(json));
	ASSERT_EQ(SIGTERM + 128, status_of(text));
	teardown();
}

/* What a command of ovltreectl says on standard output; its status is to be 0. */
static const char *told(const char *command, const char *option)
{
	const char *argv[] = { program("CTL"), command, option, NULL };
	static char text[32768];
	char *all;

	ASSERT_EQ(0, status_of(start(argv, "told")));
	all = read_all("told");
	ASSERT(strlen(all) < sizeof(text));
	strcpy(text, all);
	free(all);
	return text;
}

/* The rest are parts of it, up to NULL. */
static void expect_told(int line, const char *command, const char *option, ...)
{
	const char *text = told(command, option);
	const char *part;
	va_list ap;

	va_start(ap, option);
	while ((part = va_arg(ap, const char *)) && strstr(text, part))
		;
	va_end(ap);
	if (!part)
		return;
	/* None of it is to be taken for a result. */
	for (; *text; text += strcspn(text, "\n") + 1)
		printf("# %.*s\n", (int)strcspn(text, "\n"), text);
	fail_at(__FILE__, line, "%s doesn't tell \"%s\"", command, part);
}

#define ASSERT_TOLD(command, option, ...) \
	expect_told(__LINE__, command, option, __VA_ARGS__, (char *)NULL)

static const char *fmt(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Several results are valid at once. */
static const char *fmt(const char *format, ...)
{
	static char texts[4][256];
	static unsigned int next;
	char *text = texts[next++ % ARRAY_SIZE(texts)];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(texts[0]), format, ap);
	va_end(ap);
	return text;
}

/* With a daemon that is stopped, so that what waits is there to be seen. */
static void shown(void)
{
	const char *argv[] = { program("CTL"),
			       "attach",
			       "--submit",
			       "--name=web-1",
			       "--priority=7",
			       "--deadline=60000",
			       "-o",
			       LOWERS,
			       "n",
			       NULL };
	uint64_t id;
	pid_t pid;

	setup("");
	ASSERT(!mkdir("n", 0755));
	ASSERT_STR("[]\n", told("queue", "--json"));
	ASSERT_TOLD("stats", NULL, "daemon: none\nwaiting: 0,");
	ASSERT_TOLD("metrics", NULL, "\novltree_daemon 0\n");
	ASSERT_TOLD("doctor", NULL,
		    "note  daemon: none serves this network namespace\n");
	start_daemon();
	ASSERT(!kill(server, SIGSTOP));
	id = submit("m", 60000);
	ASSERT_TOLD("queue", "--json",
		    fmt("\"id\":\t%llu,", (unsigned long long)id),
		    "\"name\":\t\"m\",", "\"priority\":\t5,",
		    "\"deadline_ms\":\t60000,", fmt("\"pid\":\t%d,", getpid()));
	ASSERT_TOLD("stats", NULL,
		    fmt("daemon: process %d\nwaiting: 1, ", server));
	ASSERT_TOLD("stats", "--json", "\"queued\":\t1,");
	ASSERT_TOLD("metrics", NULL, "\novltree_daemon 1\n",
		    "\novltree_queue_length 1\n");
	ASSERT_TOLD("doctor", NULL,
		    fmt("ok    daemon: process %d serves, 1 of ", server));

	pid = start(argv, "attach.log");
	for (int i = 0; dump().nr < 2; i++) {
		ASSERT(i < 3000);
		usleep(10000);
	}
	ASSERT_TOLD("queue", NULL, ", priority 7, ",
		    fmt(", pid %d, uid 0, ", pid), ", name web-1\n");
	ASSERT(!kill(server, SIGCONT));
	ASSERT_EQ(0, status_of(pid));
	ASSERT_EQ(id, ended().id);
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_EQ(1, mounts_at("n"));
	ASSERT_TOLD("stats", NULL, "\nattached: 2\n");
	ASSERT_STR("[]\n", told("queue", "--json"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(detach(ctx, "n", 0));
	teardown();
}

/* The daemon's metrics, from its file, beside those of the kernel, which are fresh. */
static void shown_metrics(void)
{
	char folder[PATH_MAX], conf[PATH_MAX + 128];
	const char *option, *text;
	int fd;

	ASSERT(getcwd(folder, sizeof(folder)));
	snprintf(conf, sizeof(conf),
		 "metrics_file = %s/x.prom\nmetrics_interval_s = 1\n", folder);
	setup(conf);
	option = fmt("--file=%s/x.prom", folder);
	start_daemon();
	set_refused(OVLT_REFUSED_FAIL, 0);
	ASSERT_OK(attach_options("m"));
	fd = open("m/a", O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(-EBUSY, detach(ctx, "m", 0).error);
	close(fd);
	for (int i = 0;; i++) {
		ASSERT(i < 300);
		usleep(100000);
		if (access("x.prom", F_OK))
			continue;
		text = told("metrics", option);
		if (strstr(text,
			   "\novltreed_errors_total{errno=\"EBUSY\"} 1\n"))
			break;
	}
	ASSERT(strstr(text, "\novltreed_done_total{kind=\"attach\"} 1\n"));
	ASSERT(strstr(text, "\novltreed_batch_size_count 2\n"));
	ASSERT(strstr(text, "\novltreed_hold_seconds_count 2\n"));
	ASSERT(strstr(text, "\novltree_attached_total 1\n"));
	/* A family may be there once. */
	text = strstr(text, "# TYPE ovltree_daemon ");
	ASSERT(text && !strstr(text + 1, "# TYPE ovltree_daemon "));
	/* Without a daemon they are of the past. */
	end_daemon(SIGTERM, 0);
	ASSERT(!strstr(told("metrics", option), "ovltreed_"));
	ASSERT(!umount2("m", 0));
	teardown();
}

/* What is taken back before its batch begins is in none. */
static void metrics_of_cancelled(void)
{
	char *text = NULL;

	setup(fmt("metrics_interval_s = 1\nmetrics_file = %s\n", at("x.prom")));
	start_daemon();
	/* Where it looks at the counters first it never hears of the request. */
	for (int i = 0; !text || strstr(text, "\novltreed_gone_total 0\n"); i++) {
		ASSERT(i < 300);
		ASSERT(!kill(server, SIGSTOP));
		ASSERT_EQ(0, ovlt_queue_cancel(queue, submit("m", 60000)));
		ASSERT(!kill(server, SIGCONT));
		usleep(100000);
		free(text);
		text = access("x.prom", F_OK) ? NULL : read_all("x.prom");
	}
	ASSERT(strstr(text, "\novltreed_batches_total{kind=\"attach\"} 0\n"));
	ASSERT(strstr(text, "\novltreed_batch_size_count 0\n"));
	free(text);
	teardown();
}

static unsigned long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

/* Each is a program of its own, which knows of no other. */
static void many_processes(void)
{
	enum { NR = 200, FEW = 20, LONG_MS = 10000, HALF_DEADLINE_MS = 500 };
	char target[NR][16];
	pid_t pids[NR];
	struct ovlt_stats after;
	unsigned long long begin, took;
	int gate[2];

	/*
	 * The emulator starts processes a tenth as fast as a machine does, or slower,
	 * and what is a pause between bursts is longer in proportion.
	 */
	setup("interval_ms = 100\n");
	start_daemon();
	/* As the unit has it. */
	ASSERT(!setpriority(PRIO_PROCESS, server, -10));
	ASSERT(!pipe2(gate, O_CLOEXEC));
	for (int i = 0; i < NR; i++) {
		snprintf(target[i], sizeof(target[i]), "t%d", i);
		ASSERT(!mkdir(target[i], 0755));
	}
	for (int i = 0; i < NR; i++) {
		const char *argv[] = { program("MOUNT"), "none",
				       target[i],	 "-t",
				       "ovltree.daemon", "-o",
				       LOWERS,		 NULL };

		pids[i] = start_at(gate, argv);
	}
	begin = now_ms();
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < NR; i++)
		ASSERT_EQ(0, status_of(pids[i]));
	took = now_ms() - begin;
	after = stats();
	printf("# %d processes, %llu ms, %llu batches, at most %u requests in one, %llu by the kernel\n",
	       NR, took, (unsigned long long)after.batches, after.batch_max,
	       (unsigned long long)after.expired);
	for (int i = 0; i < NR; i++) {
		ASSERT_EQ(1, mounts_at(target[i]));
		ASSERT(!chdir(target[i]));
		ASSERT_STR("l1", get("a"));
		ASSERT_STR("l2", get("b"));
		ASSERT(!chdir(test_dir));
	}
	ASSERT_EQ(NR, after.attached);
	ASSERT_EQ(0, after.failed);
	/* Where starting them takes long, none is to wait for that long. */
	if (took < LONG_MS)
		ASSERT(after.batches <= FEW);
	else
		ASSERT(after.batches <= took / HALF_DEADLINE_MS);
	for (int i = 0; i < NR; i++)
		ASSERT_OK(detach(ctx, target[i], 0));
	teardown();
}

/* What the environment says, which is for long forms. */
static unsigned int count_of(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

/* Each of @ids, which are used up, ends once: well, and by the daemon. */
static void expect_ends(uint64_t *ids, int nr)
{
	for (int i = 0; i < nr; i++) {
		struct ovlt_request request = ended();
		int n = 0;

		while (n < nr && ids[n] != request.id)
			n++;
		ASSERT(n < nr);
		ids[n] = 0;
		ASSERT_EQ(0, request.error);
		ASSERT_EQ(OVLTREE_REASON_DAEMON, request.committed_by);
	}
}

static void nap_ns(long ns)
{
	const struct timespec span = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&span, NULL);
}

/*
 * At any moment: before it has seen a request, in the middle of a batch, after it.
 * Those that it leaves are the next daemon's; none has to wait for its deadline.
 * Which of these it is is chance, so that only many rounds must have all three; the
 * nap is made to end about when a batch does, however fast the machine is.
 */
static void killed(void)
{
	enum { NR = 8, MANY = 200, MAX_NAP_NS = 500000000 };
	const unsigned int rounds = count_of("OVLT_KILLS", 50);
	unsigned int before = 0, amid = 0, after = 0, left = 0;
	long nap = 4000000;
	char target[NR][16];
	uint64_t ids[NR];

	setup("interval_ms = 0\n");
	alarm(600 + 20 * rounds);
	for (int i = 0; i < NR; i++) {
		snprintf(target[i], sizeof(target[i]), "t%d", i);
		ASSERT(!mkdir(target[i], 0755));
	}
	srandom(1);
	for (unsigned int round = 0; round < rounds; round++) {
		unsigned int queued;

		start_daemon();
		for (int i = 0; i < NR; i++) {
			int fd = prepare();

			/* When the daemon was killed by now, it is the next one's. */
			if (i == 4 && round % 4 == 3)
				kill(server, SIGKILL);
			while (submit_fd(fd, target[i], 60000, &ids[i])) {
				ASSERT_EQ(SIGKILL + 128, status_of(server));
				start_daemon();
			}
			close(fd);
		}
		nap_ns(random() % nap * (round % 4));
		kill(server, SIGKILL);
		ASSERT_EQ(SIGKILL + 128, status_of(server));
		queued = stats().queued;
		before += queued == NR;
		amid += queued && queued < NR;
		after += !queued;
		left += queued;
		if (queued == NR && round % 4 && nap < MAX_NAP_NS)
			nap += nap / 4;
		else if (!queued && nap > MAX_NAP_NS / 10000)
			nap -= nap / 4;
		start_daemon();
		expect_ends(ids, NR);
		for (int i = 0; i < NR; i++) {
			ASSERT_EQ(1, mounts_at(target[i]));
			ASSERT_OK(detach(ctx, target[i], 0));
			ASSERT_EQ(0, mounts_at(target[i]));
		}
		end_daemon(SIGKILL, SIGKILL + 128);
	}
	ASSERT_EQ(rounds * NR, stats().attached);
	printf("# %u rounds: %u before all, %u amid, %u after all; %u requests were left to the next daemon\n",
	       rounds, before, amid, after, left);
	ASSERT(rounds < MANY || (before && amid && after));
	teardown();
}

/*
 * In kB: what is the daemon's alone and in no file, the heap and the stack. Pages
 * of the libraries come in as they are used, and go, which says nothing of it.
 */
static long server_memory(void)
{
	char path[64];
	char *text, *at;
	long anon;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", server);
	text = read_all(path);
	ASSERT(text);
	at = strstr(text, "\nPss_Anon:");
	ASSERT(at && sscanf(at, " Pss_Anon: %ld kB", &anon) == 1);
	free(text);
	return anon;
}

/*
 * Submit all, and wait for them; @mnt_ids gets the mounts, in any order. With a
 * @size, they make batches of that.
 */
static void request_all(const struct ovlt_submit *submits, unsigned int nr,
			unsigned int size, uint64_t *mnt_ids)
{
	unsigned int part = size ? size : nr;

	for (unsigned int done = 0; done < nr; done += part) {
		if (part > nr - done)
			part = nr - done;
		if (size)
			ASSERT(!kill(server, SIGSTOP));
		for (unsigned int i = done; i < done + part; i++) {
			uint64_t id;

			ASSERT_EQ(0,
				  ovlt_queue_submit(queue, &submits[i],
						    sizeof(submits[i]), &id));
		}
		if (size)
			ASSERT(!kill(server, SIGCONT));
		for (unsigned int i = done; i < done + part; i++) {
			struct ovlt_request request = ended();

			ASSERT_EQ(0, request.error);
			mnt_ids[i] = request.mnt_id;
		}
	}
}

/*
 * In the first tenth batches of all sizes have the daemon take what it needs. The
 * allocator may keep a little more of each size later on; 32 bytes that each request
 * of the short form left behind would be twice that.
 */
static void flat_memory(void)
{
	enum { NR = 10, SLACK_KB = 64 };
	const unsigned int rounds = count_of("OVLT_REQUESTS", 4000) / (2 * NR);
	const unsigned int part = rounds / 10;
	struct ovlt_submit submits[NR] = { 0 };
	uint64_t mnt_ids[NR];
	char config[4300], target[NR][16];
	long warm = 0, now = 0;

	ASSERT(part);
	snprintf(config, sizeof(config),
		 "interval_ms = 0\nmetrics_interval_s = 1\nmetrics_file = %s\n",
		 at("x.prom"));
	setup(config);
	alarm(600 + 20 * rounds);
	start_daemon();
	for (int i = 0; i < NR; i++) {
		snprintf(target[i], sizeof(target[i]), "t%d", i);
		ASSERT(!mkdir(target[i], 0755));
	}
	for (unsigned int round = 1; round <= rounds; round++) {
		unsigned int size;

		for (int i = 0; i < NR; i++)
			submits[i] = (struct ovlt_submit){
				.kind = OVLTREE_KIND_ATTACH,
				.mnt_fd = open_tree(AT_FDCWD, "l1",
						    OPEN_TREE_CLONE |
							    OPEN_TREE_CLOEXEC),
				.target_fd =
					open(target[i], O_PATH | O_CLOEXEC),
				.mntns_fd = -1,
				.deadline_ms = 60000,
			};
		size = round <= part ? 1 + round % NR : 0;
		request_all(submits, NR, size, mnt_ids);
		for (int i = 0; i < NR; i++) {
			close(submits[i].mnt_fd);
			close(submits[i].target_fd);
			submits[i] = (struct ovlt_submit){
				.kind = OVLTREE_KIND_DETACH,
				.target_fd = -1,
				.mntns_fd = -1,
				.mnt_id = mnt_ids[i],
				.deadline_ms = 60000,
			};
		}
		request_all(submits, NR, size, mnt_ids);
		if (round % part)
			continue;
		now = server_memory();
		if (!warm)
			warm = now;
		printf("# %u requests, %ld kB\n", 2 * NR * round, now);
		fflush(stdout);
		ASSERT(now <= warm + SLACK_KB);
	}
	ASSERT_EQ(rounds * NR, stats().attached);
	ASSERT_EQ(rounds * NR, stats().detached);
	ASSERT_EQ(0, stats().expired);
	teardown();
}

static void stopped(void)
{
	struct ovlt_request request;
	uint64_t id;

	setup("");
	start_daemon();
	ASSERT(!kill(server, SIGSTOP));
	id = submit("m", 200);
	request = ended();
	ASSERT_EQ(id, request.id);
	ASSERT_EQ(0, request.error);
	ASSERT_EQ(OVLTREE_REASON_DEADLINE, request.committed_by);
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_EQ(1, stats().expired);
	ASSERT_TOLD(
		"doctor", NULL,
		fmt("note  daemon: process %d serves, but the kernel has done 1 requests at their deadlines\n",
		    server));
	/* The daemon finds out that it is done, and goes on. */
	ASSERT(!kill(server, SIGCONT));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(attach_options("m"));
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_EQ(1, stats().expired);
	teardown();
}

/* A full queue is passed by, as its count of what was attached tells. */
static void work_directly(void)
{
	set_refused(OVLT_REFUSED_DIRECT, 0);
	ASSERT_OK(attach_options("m"));
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_EQ(0, stats().attached);
}

static void full(void)
{
	unsigned int max, nr;
	uint64_t id;
	int fd, err;
	pid_t pid;

	setup("");
	start_daemon();
	max = stats().queue_max_userns;
	ASSERT(!kill(server, SIGSTOP));
	/* Which mount it is that waits is no matter here. */
	fd = prepare();
	for (nr = 0; !(err = submit_fd(fd, "l1", 60000, &id)); nr++)
		;
	close(fd);
	ASSERT_EQ(-EDQUOT, err);
	ASSERT_EQ(max, nr);
	ASSERT(ovlt_queue_get_error(queue)[0]);
	ASSERT_EQ(1, stats().refused);
	ASSERT_TOLD(
		"doctor", NULL,
		fmt("note  daemon: process %d serves, but its queue was full 1 times\n",
		    server));

	set_refused(OVLT_REFUSED_FAIL, 0);
	ASSERT_FAIL(EDQUOT, OVLTREE_FIELD_NONE, 0, attach_options("m"));
	ASSERT_EQ(0, mounts_at("m"));
	set_refused(OVLT_REFUSED_WAIT, 200);
	ASSERT_FAIL(EDQUOT, OVLTREE_FIELD_NONE, 0, attach_options("m"));
	work_directly();
	/* There is room when they are taken back, and then a daemon at work. */
	pid = fork();
	if (!pid) {
		/* Open here, it would keep them. */
		ovlt_queue_free(queue);
		set_refused(OVLT_REFUSED_WAIT, 0);
		_exit(attach_options("m").error != 0);
	}
	usleep(200000);
	ovlt_queue_free(queue);
	ASSERT(!kill(server, SIGCONT));
	ASSERT_EQ(0, status_of(pid));
	open_queue();
	ASSERT_EQ(1, stats().attached);
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

/**
 * struct filler - a process in a user namespace below that of the one before it
 * @turn: tells it the process whose network namespace has the queue
 * @filled: gets what it reached
 * @end: is closed when it is to end
 */
struct filler {
	int turn[2];
	int filled[2];
	int end[2];
};

struct filled {
	unsigned int nr;
	int error;
};

/* One socket may have no room for so many answers; then there is another. */
static struct filled fill(void)
{
	struct filled filled = { 0 };
	int fd = open_tree(AT_FDCWD, "l1", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	uint64_t id;

	ASSERT(fd >= 0);
	for (;;) {
		filled.error = submit_fd(fd, "l1", 60000, &id);
		if (filled.error == -EAGAIN)
			open_queue();
		else if (filled.error)
			break;
		else
			filled.nr++;
	}
	close(fd);
	return filled;
}

static void enter_queue_of(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT(fd >= 0);
	ASSERT(!setns(fd, CLONE_NEWNET));
	close(fd);
	open_queue();
}

static void run_filler(const struct filler *filler)
{
	struct filled filled;
	pid_t pid;
	char none;

	ASSERT_EQ(sizeof(pid), read(filler->turn[0], &pid, sizeof(pid)));
	enter_queue_of(pid);
	filled = fill();
	ASSERT_EQ(sizeof(filled),
		  write(filler->filled[1], &filled, sizeof(filled)));
	ASSERT_EQ(0, read(filler->end[0], &none, 1));
}

/*
 * A right over a network namespace is one in the user namespace that owns it, or
 * above: the innermost process owns it, so that all of them may submit.
 */
static void start_fillers(const struct filler *filler, unsigned int nr)
{
	pid_t pid = fork();
	int status;

	ASSERT(pid >= 0);
	if (pid)
		return;
	close(filler->end[1]);
	ASSERT(!unshare(CLONE_NEWUSER | CLONE_NEWNS |
			(nr == 1 ? CLONE_NEWNET : 0)));
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", "0 0 1");
	put("/proc/self/gid_map", "0 0 1");
	if (nr > 1) {
		start_fillers(filler, nr - 1);
	} else {
		pid = getpid();
		ASSERT_EQ(sizeof(pid),
			  write(filler->filled[1], &pid, sizeof(pid)));
	}
	run_filler(filler);
	while (wait(&status) > 0)
		ASSERT_EQ(0, status);
	_exit(0);
}

static struct filled let_fill(const struct filler *filler, pid_t pid)
{
	struct filled filled;

	ASSERT_EQ(sizeof(pid), write(filler->turn[1], &pid, sizeof(pid)));
	ASSERT_EQ(sizeof(filled),
		  read(filler->filled[0], &filled, sizeof(filled)));
	return filled;
}

/* The parts of several user namespaces are all that there is. */
static void full_of_all(void)
{
	struct filler filler;
	struct filled filled;
	unsigned int max, part;
	int status;
	pid_t pid;

	setup("");
	ovlt_queue_free(queue);
	ASSERT(!pipe2(filler.turn, O_CLOEXEC));
	ASSERT(!pipe2(filler.filled, O_CLOEXEC));
	ASSERT(!pipe2(filler.end, O_CLOEXEC));
	start_fillers(&filler, 5);
	ASSERT_EQ(sizeof(pid), read(filler.filled[0], &pid, sizeof(pid)));
	enter_queue_of(pid);
	start_daemon();
	ASSERT(!kill(server, SIGSTOP));
	max = stats().queue_max;
	part = stats().queue_max_userns;
	ASSERT_EQ(4096, max);
	for (unsigned int nr = part; nr <= max; nr += part) {
		filled = let_fill(&filler, pid);
		ASSERT_EQ(nr < max ? -EDQUOT : -ENOBUFS, filled.error);
		ASSERT_EQ(part, filled.nr);
		ASSERT_EQ(nr, stats().queued);
	}
	filled = let_fill(&filler, pid);
	ASSERT_EQ(-ENOBUFS, filled.error);
	ASSERT_EQ(0, filled.nr);
	set_refused(OVLT_REFUSED_FAIL, 0);
	ASSERT_FAIL(ENOBUFS, OVLTREE_FIELD_NONE, 0, attach_options("m"));
	work_directly();
	/* Who goes takes its part along, and a daemon that wakes up finds room. */
	close(filler.end[1]);
	ASSERT(wait(&status) > 0 && !status);
	ASSERT_EQ(0, stats().queued);
	ASSERT_EQ(max, stats().cancelled);
	ASSERT(!kill(server, SIGCONT));
	set_refused(OVLT_REFUSED_FAIL, 0);
	ASSERT_OK(attach_options("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_EQ(1, stats().attached);
	close(filler.end[0]);
	for (int i = 0; i < 2; i++) {
		close(filler.turn[i]);
		close(filler.filled[i]);
	}
	teardown();
}

static void no_daemon(void)
{
	struct ovlt_ctx *insisting;
	struct ovlt_info info;
	uint64_t id;
	pid_t pid;
	int fd;

	setup("");
	fd = prepare();
	ASSERT_EQ(-ENOTCONN, submit_fd(fd, "m", 0, &id));
	close(fd);
	ASSERT_OK(attach_options("m"));
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_EQ(0, stats().submitted);
	set_refused(OVLT_REFUSED_WAIT, 100);
	ASSERT_FAIL(ENOTCONN, OVLTREE_FIELD_NONE, 0, attach_options("m"));
	insisting = ovlt_ctx_new();
	ASSERT_EQ(0, ovlt_ctx_set_backend(insisting, "daemon"));
	ovlt_ctx_unref(ctx);
	ctx = insisting;
	set_refused(OVLT_REFUSED_FAIL, 0);
	ASSERT_EQ(-ENOTCONN, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	pid = fork();
	if (!pid) {
		set_refused(OVLT_REFUSED_WAIT, 0);
		_exit(attach_options("m").error != 0);
	}
	usleep(200000);
	ASSERT_EQ(0, mounts_at("m"));
	start_daemon();
	ASSERT_EQ(0, status_of(pid));
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void second_daemon(void)
{
	const char *argv[] = { program("DAEMON"), "-c", "conf", NULL };
	pid_t pid;

	setup("");
	start_daemon();
	ASSERT_EQ(3, status_of(start(argv, "log2")));
	ASSERT_STR(
		"ovltreed: another daemon serves this network namespace already\n",
		get("log2"));
	ASSERT_OK(attach_options("m"));
	ASSERT_EQ(1, stats().attached);
	/* In another network namespace there is room for one. */
	pid = fork();
	if (!pid) {
		ASSERT(!unshare(CLONE_NEWNET));
		open_queue();
		start_daemon();
		ASSERT_EQ(server, stats().daemon_pid);
		end_daemon(SIGTERM, 0);
		_exit(0);
	}
	ASSERT_EQ(0, status_of(pid));
	ASSERT_EQ(server, stats().daemon_pid);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void bad_config(void)
{
	const char *argv[] = { program("DAEMON"), "-c", "conf", NULL };
	char config[4200];

	setup("batch_max = many\n");
	ASSERT_EQ(2, status_of(start(argv, "log")));
	ASSERT_STR(
		"ovltreed: conf: line 1: batch_max: \"many\" is not a number\n",
		get("log"));
	snprintf(config, sizeof(config),
		 "metrics_interval_s = 1\nmetrics_file = %s\n", at("x.prom"));
	put("conf", config);
	start_daemon();
	wait_for_file("x.prom");
	/* One that is wrong leaves the old one in force, which isn't the default. */
	put("conf", "nonsense\n");
	ASSERT(!kill(server, SIGHUP));
	wait_for_line("log", "ovltreed: conf: line 1: ", "\"nonsense\"");
	ASSERT(!unlink("x.prom"));
	wait_for_file("x.prom");
	ASSERT_OK(attach_options("m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_EQ(1, stats().attached);
	teardown();
}

/* A listener whose buffer holds next to nothing. */
static void lost_events(void)
{
	enum { NR = 64 };
	struct ovlt_queue *listener;
	struct ovlt_event event;
	unsigned int lost = 0, done = 0;
	int err;

	setup("");
	start_daemon();
	listener = ovlt_queue_new(OVLT_QUEUE_READY | OVLT_QUEUE_MONITOR);
	ASSERT(listener);
	ovlt_queue_set_buffer(listener, 1);
	for (int i = 0; i < NR; i++) {
		ASSERT_OK(attach_options("m"));
		ASSERT_OK(detach(ctx, "m", 0));
	}
	/* The last batch's event comes after the answer to us. */
	usleep(200000);
	while (!(err = ovlt_queue_wait(listener, 0, &event, sizeof(event)))) {
		lost += event.type == OVLT_EVENT_LOST;
		done += event.type == OVLT_EVENT_DONE;
	}
	ASSERT_EQ(-EAGAIN, err);
	ASSERT(lost && done < 2 * NR);
	/* The counters tell what the events would have. */
	ASSERT_EQ(NR, stats().attached);
	ASSERT_EQ(NR, stats().detached);
	ASSERT_EQ(0, dump().nr);
	/* And what comes from now on is complete. */
	ovlt_queue_set_buffer(listener, 1 << 20);
	ASSERT_OK(attach_options("m"));
	ASSERT_EQ(0, ovlt_queue_wait(listener, 0, &event, sizeof(event)));
	ASSERT_EQ(OVLT_EVENT_READY, event.type);
	ASSERT_EQ(0, ovlt_queue_wait(listener, 1000, &event, sizeof(event)));
	ASSERT_EQ(OVLT_EVENT_DONE, event.type);
	ASSERT_EQ(0, ovlt_queue_wait(listener, 1000, &event, sizeof(event)));
	ASSERT_EQ(OVLT_EVENT_BATCH, event.type);
	ASSERT_EQ(NR + 1, event.stats.attached);
	end_daemon(SIGTERM, 0);
	ASSERT_EQ(0, ovlt_queue_wait(listener, 1000, &event, sizeof(event)));
	ASSERT_EQ(OVLT_EVENT_DAEMON_GONE, event.type);
	ovlt_queue_free(listener);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

/*
 * How many events the daemon's sockets had no room for. The lower bits of a port
 * are the process, by libnl's custom.
 */
static unsigned long server_drops(void)
{
	const unsigned int mask = (1 << 22) - 1;
	char *text = read_all("/proc/self/net/netlink");
	unsigned long drops, sum = 0;
	unsigned int port;

	for (char *line = text; (line = strchr(line, '\n')); line++)
		if (sscanf(line, "%*s %*d %u %*s %*d %*d %*d %*d %lu", &port,
			   &drops) == 2 &&
		    (port & mask) == (unsigned int)server)
			sum += drops;
	free(text);
	return sum;
}

/* Requests that come and go until the daemon, which is stopped, misses some. */
static unsigned int overflow(void)
{
	enum { PART = 256, MAX = 1 << 17 };
	int fd = prepare();
	unsigned int nr = 0;
	uint64_t id;

	while (nr % PART || !server_drops()) {
		ASSERT(nr++ < MAX);
		ASSERT_EQ(0, submit_fd(fd, "m", 60000, &id));
		ASSERT_EQ(0, ovlt_queue_cancel(queue, id));
	}
	close(fd);
	return nr;
}

static unsigned int server_resyncs(void)
{
	static const char name[] = "ovltreed_resyncs_total ";

	wait_for_file("x.prom");
	return atoi(wait_for_line("x.prom", name, "") + strlen(name));
}

static unsigned int nr_done(struct ovlt_queue *monitor)
{
	struct ovlt_event event;
	unsigned int nr = 0;

	while (!ovlt_queue_wait(monitor, 200, &event, sizeof(event)))
		nr += event.type == OVLT_EVENT_DONE;
	return nr;
}

/* Half of what waits was told to the daemon, and half was lost on the way. */
static void overflown(void)
{
	enum { NR = 16 };
	struct ovlt_queue *monitor;
	unsigned int resyncs, nr = 0;
	unsigned long long begin;
	unsigned long drops = 0;
	char target[NR][16];
	uint64_t ids[NR];

	setup(fmt("metrics_interval_s = 1\nmetrics_file = %s\n", at("x.prom")));
	start_daemon();
	resyncs = server_resyncs();
	ASSERT(!kill(server, SIGSTOP));
	begin = now_ms();
	for (int i = 0; i < NR; i++) {
		if (i == NR / 2) {
			ASSERT_EQ(0, server_drops());
			nr = overflow();
			drops = server_drops();
		}
		snprintf(target[i], sizeof(target[i]), "t%d", i);
		ASSERT(!mkdir(target[i], 0755));
		ids[i] = submit(target[i], 60000);
	}
	ASSERT_EQ(drops + NR / 2, server_drops());
	printf("# %u requests overflow the daemon's socket, %llu ms, %lu lost\n",
	       nr, now_ms() - begin, drops);
	monitor = ovlt_queue_new(OVLT_QUEUE_MONITOR);
	ASSERT(monitor);
	ASSERT(!kill(server, SIGCONT));
	expect_ends(ids, NR);
	/* The library would tell us of one end each, even if there were two. */
	ASSERT_EQ(NR, nr_done(monitor));
	ovlt_queue_free(monitor);
	ASSERT_EQ(NR, stats().attached);
	ASSERT_EQ(nr, stats().cancelled);
	/* It would have noticed within a second anyway, but not why. */
	wait_for_line("log", "ovltreed: events were lost", "");
	for (int i = 0; server_resyncs() == resyncs; i++) {
		ASSERT(i < 1000);
		usleep(10000);
	}
	/* What comes from now on is served at once. */
	set_refused(OVLT_REFUSED_FAIL, 0);
	for (int i = 0; i < NR; i++) {
		ASSERT_EQ(1, mounts_at(target[i]));
		ASSERT_OK(detach(ctx, target[i], 0));
		ASSERT_EQ(0, mounts_at(target[i]));
	}
	ASSERT_EQ(NR, stats().detached);
	ASSERT_EQ(0, stats().expired);
	teardown();
}

static void signals(void)
{
	uint64_t id;

	setup("");
	start_daemon();
	/* Told to end, it does what waits first. */
	ASSERT(!kill(server, SIGSTOP));
	id = submit("m", 60000);
	ASSERT(!kill(server, SIGTERM));
	ASSERT(!kill(server, SIGCONT));
	ASSERT_EQ(0, status_of(server));
	ASSERT_EQ(id, ended().id);
	ASSERT_EQ(1, mounts_at("m"));
	put("conf", "metrics_interval_s = 3600\n");
	start_daemon();
	ASSERT_OK(detach(ctx, "m", 0));
	/* What a reload changes is in force at once. */
	{
		char config[4200];

		snprintf(config, sizeof(config), "metrics_file = %s\n",
			 at("x.prom"));
		put("conf", config);
	}
	ASSERT(!kill(server, SIGHUP));
	wait_for_file("x.prom");
	{
		char *text = read_all("x.prom");

		ASSERT(strstr(text, "\novltree_attached_total 1\n"));
		ASSERT(strstr(text, "\novltree_detached_total 1\n"));
		ASSERT(strstr(text, "\novltree_daemon 1\n"));
		ASSERT(strstr(text,
			      "\novltreed_done_total{kind=\"detach\"} 1\n"));
		free(text);
	}
	ASSERT_OK(attach_options("m"));
	end_daemon(SIGTERM, 0);
	{
		char *text = read_all("x.prom");

		ASSERT(strstr(text, "\novltree_attached_total 2\n"));
		ASSERT(strstr(text, "\novltree_daemon 0\n"));
		free(text);
	}
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void hear(int fd, const char *wanted)
{
	char text[512];
	ssize_t len;

	do {
		struct pollfd pollfd = { .fd = fd, .events = POLLIN };

		ASSERT_EQ(1, poll(&pollfd, 1, 60000));
		len = recv(fd, text, sizeof(text) - 1, 0);
		ASSERT(len >= 0);
		text[len] = '\0';
	} while (!strstr(text, wanted));
}

static void service_manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setup("");
	strcpy(address.sun_path, "notify");
	ASSERT(!bind(fd, (struct sockaddr *)&address, sizeof(address)));
	ASSERT(!setenv("NOTIFY_SOCKET", "notify", 1));
	ASSERT(!setenv("WATCHDOG_USEC", "200000", 1));
	start_daemon();
	ASSERT(!unsetenv("NOTIFY_SOCKET") && !unsetenv("WATCHDOG_USEC"));
	hear(fd, "READY=1");
	hear(fd, "WATCHDOG=1\nSTATUS=0 requests in 0 batches, 0 wait");
	ASSERT_OK(attach_options("m"));
	hear(fd, "WATCHDOG=1\nSTATUS=1 requests in 1 batches, 0 wait");
	ASSERT(!kill(server, SIGHUP));
	hear(fd, "RELOADING=1");
	hear(fd, "READY=1");
	ASSERT_OK(detach(ctx, "m", 0));
	end_daemon(SIGTERM, 0);
	hear(fd, "STOPPING=1");
	close(fd);
	teardown();
}

static int load(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	int err;

	ASSERT(fd >= 0);
	err = syscall(SYS_finit_module, fd, "", 0);
	close(fd);
	return err;
}

static bool server_has_device(void)
{
	char path[64], target[64];
	bool has = false;
	ssize_t len;

	for (int fd = 0; fd < 64 && !has; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", server, fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		has = !strcmp(target, "/dev/ovltree");
	}
	return has;
}

static void module_reload(void)
{
	struct ovlt_request request;
	uint64_t id;

	if (access(MODULE, F_OK))
		skip("there is no " MODULE);
	setup("");
	start_daemon();
	ASSERT_OK(attach_options("m"));
	/* Our context has the device open. */
	ovlt_ctx_unref(ctx);
	ctx = ovlt_ctx_new();
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "daemon"));
	ASSERT(!mkdir("n", 0755));
	/* We hear of the end of a batch before the daemon does. */
	for (int i = 0; i < 5000 && server_has_device(); i++)
		usleep(1000);
	ASSERT(!kill(server, SIGSTOP));
	id = submit("n", 60000);
	ovlt_ctx_unref(ctx);
	/* The daemon is idle; what waits is done by the module that goes. */
	ASSERT(!syscall(SYS_delete_module, "ovltree", O_NONBLOCK));
	request = ended();
	ASSERT_EQ(id, request.id);
	ASSERT_EQ(0, request.error);
	ASSERT_EQ(OVLTREE_REASON_EXIT, request.committed_by);
	ASSERT_EQ(1, mounts_at("m"));
	ASSERT_EQ(1, mounts_at("n"));
	ASSERT(!kill(server, SIGCONT));
	ctx = ovlt_ctx_new();
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "daemon"));
	/* Without it the kernel's own calls do the work. */
	ASSERT_OK(detach(ctx, "n", 0));
	usleep(2500000);
	ovlt_queue_free(queue);
	ASSERT(!load());
	open_queue();
	wait_for_daemon();
	ASSERT_EQ(server, stats().daemon_pid);
	ovlt_ctx_unref(ctx);
	ctx = ovlt_ctx_new();
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "daemon"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_EQ(1, stats().detached);
	teardown();
}

/* Where kmod(8) looks for modules of this kernel; a folder that isn't there yet. */
static char module_dir[256];

static void place_module(const char *from, const char *to)
{
	const char *depmod[] = { "/bin/depmod", NULL };
	char path[512];
	size_t size, at = 0;
	FILE *file = fopen(MODULE, "re");
	char *image;

	ASSERT(file);
	ASSERT(!fseek(file, 0, SEEK_END));
	size = ftell(file);
	rewind(file);
	image = malloc(size);
	ASSERT(image && fread(image, size, 1, file) == 1);
	fclose(file);
	if (from) {
		char *found = memmem(image, size, from, strlen(from) + 1);

		ASSERT(found);
		at = found - image;
		ASSERT_EQ(strlen(from), strlen(to));
		memcpy(image + at, to, strlen(to));
	}
	snprintf(path, sizeof(path), "%s/ovltree.ko", module_dir);
	file = fopen(path, "we");
	ASSERT(file);
	ASSERT(fwrite(image, size, 1, file) == 1);
	ASSERT(!fclose(file));
	free(image);
	ASSERT_EQ(0, status_of(start(depmod, "depmod.log")));
}

static void expect_no_module(const char *why, ...)
	__attribute__((format(printf, 1, 2)));

static void expect_no_module(const char *why, ...)
{
	const char *argv[] = { program("DAEMON"), "-c", "conf", NULL };
	char expected[512];
	va_list ap;

	va_start(ap, why);
	vsnprintf(expected, sizeof(expected), why, ap);
	va_end(ap);
	ASSERT_EQ(1, status_of(start(argv, "log")));
	ASSERT_STR(expected, get("log"));
	ASSERT(access("/sys/module/ovltree", F_OK));
}

/* As root without a capability, which exec(2) would give back. */
static void expect_not_permitted(void)
{
	pid_t pid = fork();

	if (!pid) {
		ASSERT(!prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
		expect_no_module(
			"ovltreed: loading the module is not permitted: CAP_SYS_MODULE is needed, and kernel.modules_disabled must be 0\n");
		_exit(0);
	}
	ASSERT_EQ(0, status_of(pid));
}

static void module_loading(void)
{
	const char *argv[] = { program("DAEMON"), "-c", "conf", NULL };
	char magic[256], other[256];
	struct utsname name;

	if (access(MODULE, F_OK) || access("/bin/depmod", X_OK))
		skip("there is no " MODULE ", or no depmod");
	uname(&name);
	snprintf(module_dir, sizeof(module_dir), "/lib/modules/%s",
		 name.release);
	setup("");
	ovlt_ctx_unref(ctx);
	ovlt_queue_free(queue);
	queue = NULL;
	ASSERT(!syscall(SYS_delete_module, "ovltree", O_NONBLOCK));
	ASSERT(!mkdir(module_dir, 0755));
	ASSERT(!mount("modules", module_dir, "tmpfs", 0, NULL));

	expect_no_module(
		"ovltreed: there is no module ovltree for Linux %s; build it for this kernel and run depmod\n",
		name.release);

	place_module(NULL, NULL);
	expect_not_permitted();

	/* A symbol that begins otherwise is one that no kernel has. */
	place_module("mnt_attach_batch", "xnt_attach_batch");
	expect_no_module(
		"ovltreed: the kernel lacks xnt_attach_batch, which the module needs; build it with the patches of kmod/patches\n");

	place_module("import_ns=VFS_MOUNT_BATCH", "import_ns=XFS_MOUNT_BATCH");
	expect_no_module(
		"ovltreed: the kernel refuses a symbol to the module, which imports the namespace XFS_MOUNT_BATCH; see dmesg\n");

	/* The version, and then what follows it. */
	snprintf(magic, sizeof(magic), "vermagic=%s SMP mod_unload ",
		 name.release);
	strcpy(other, magic);
	other[strlen("vermagic=")]++;
	place_module(magic, other);
	expect_no_module(
		"ovltreed: the module is for Linux %.*s, and this is %s; build it for this kernel\n",
		(int)strlen(name.release), other + strlen("vermagic="),
		name.release);
	strcpy(other, magic);
	memcpy(strstr(other, "SMP"), "UP ", 3);
	place_module(magic, other);
	expect_no_module(
		"ovltreed: the kernel doesn't take the module as one of its own: Exec format error; see dmesg\n");

	place_module(NULL, NULL);
	server = start(argv, "log");
	for (int i = 0; !(queue = ovlt_queue_new(0)); i++) {
		ASSERT(i < 3000);
		usleep(10000);
	}
	wait_for_daemon();
	ASSERT(strstr(get("log"),
		      "ovltreed: the module ovltree has been loaded\n"));
	ctx = ovlt_ctx_new();
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "daemon"));
	ASSERT_OK(attach_options("m"));
	ASSERT_EQ(1, stats().attached);
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT(!umount(module_dir));
	ASSERT(!rmdir(module_dir));
	teardown();
}

static const struct test tests[] = {
	TEST(attach_and_detach),
	TEST(asynchronous),
	TEST(names),
	TEST(cancelled),
	TEST(monitored),
	TEST(shown),
	TEST(shown_metrics),
	TEST(metrics_of_cancelled),
	TEST(many_processes),
	TEST(killed),
	TEST(flat_memory),
	TEST(stopped),
	TEST(full),
	TEST(full_of_all),
	TEST(no_daemon),
	TEST(second_daemon),
	TEST(bad_config),
	TEST(lost_events),
	TEST(overflown),
	TEST(signals),
	TEST(service_manager),
	TEST(module_reload),
	TEST(module_loading),
};

static bool is_named(const char *name, char *const names[])
{
	for (; *names; names++)
		if (!strcmp(name, *names))
			return true;
	return false;
}

int main(int argc, char *argv[])
{
	bool module = !access("/sys/module/ovltree", F_OK);
	int status;

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		if (argc == 1 || is_named(tests[i].name, argv + 1))
			run_tests("serve", &tests[i], 1, !module);
	status = tap_done();
	return module ? status : EXIT_SUCCESS;
}
