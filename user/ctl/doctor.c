// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreectl doctor
 *
 * What can be tried is tried rather than looked up: a child process builds
 * overlays in a mount namespace of its own, and they are gone with it.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"

#define DEVICE "/dev/ovltree"

/* Of kmod/patches. */
#define PATCHED "mnt_attach_batch"

/* As many as an all-or-nothing batch of the module may have. */
#define MANY 1024

enum verdict {
	OK,
	NOTE,
	FAIL,
};

static const char *const verdicts[] = { "ok", "note", "fail" };

/**
 * struct doctor - what has been found so far
 * @json: findings as JSON, or NULL to print them
 * @failed: something would fail
 */
struct doctor {
	cJSON *json;
	bool failed;
};

static void tell(struct doctor *doctor, enum verdict verdict, const char *check,
		 const char *advice, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void tell(struct doctor *doctor, enum verdict verdict, const char *check,
		 const char *advice, const char *fmt, ...)
{
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	doctor->failed |= verdict == FAIL;
	if (doctor->json) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "check", check);
		cJSON_AddStringToObject(item, "verdict", verdicts[verdict]);
		cJSON_AddStringToObject(item, "message", message);
		if (verdict != OK)
			cJSON_AddStringToObject(item, "advice", advice);
		cJSON_AddItemToArray(doctor->json, item);
		return;
	}
	printf("%-4s  %s: %s\n", verdicts[verdict], check, message);
	if (verdict != OK)
		printf("      -> %s\n", advice);
}

/* Trying */

enum trial {
	TRY_OVERLAY,
	TRY_IDMAP,
	TRY_DETACHED,
	TRY_MODULE,
	NR_TRIALS,
};

/**
 * struct report - what the child found out
 * @setup: a negative errno when it couldn't begin
 * @error: 0 or a negative errno for each trial
 * @message: why
 * @no_detached: idmapped layers can't be on detached mounts
 */
struct report {
	int setup;
	int error[NR_TRIALS];
	char message[NR_TRIALS][OVLTREE_MESSAGE_MAX];
	bool no_detached;
};

static const struct trial_info {
	const char *backend;
	bool idmap;
} trials[NR_TRIALS] = {
	[TRY_OVERLAY] = { "mount-api", false },
	[TRY_IDMAP] = { "mount-ns", true },
	[TRY_DETACHED] = { "mount-api", true },
	[TRY_MODULE] = { "ioctl", true },
};

/* The library says at LOG_DEBUG when it falls back. */
static void note_fallback(void *data, int priority, const char *message)
{
	struct report *report = data;

	(void)priority;
	if (!strncmp(message, "no detached layers", 18))
		report->no_detached = true;
}

static int prepare(struct ovlt_ctx *ctx, const char *options, char *why)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);
	int ret = -ENOMEM;

	if (!tree || !batch)
		goto out;
	ret = ovlt_tree_parse_options(tree, options);
	if (ret) {
		snprintf(why, OVLTREE_MESSAGE_MAX, "%s",
			 ovlt_tree_get_error(tree));
		goto out;
	}
	ret = ovlt_batch_add_tree(batch, tree, -1, NULL, 0);
	if (ret >= 0)
		ret = ovlt_batch_prepare(batch);
	if (ret > 0) {
		const struct ovlt_result *result =
			ovlt_batch_get_result(batch, 0);

		snprintf(why, OVLTREE_MESSAGE_MAX, "%s", result->message);
		ret = result->error;
	} else if (ret < 0) {
		ovlt_ctx_get_error(ctx, why, OVLTREE_MESSAGE_MAX);
	}
out:
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	return ret;
}

static void try(struct report *report, enum trial trial)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();

	report->error[trial] = -ENOMEM;
	if (!ctx)
		return;
	ovlt_ctx_set_log(ctx, note_fallback, report);
	ovlt_ctx_set_backend(ctx, trials[trial].backend);
	report->error[trial] = prepare(
		ctx,
		trials[trial].idmap ?
			"lowerdir=l1:l2,X-mount.idmap=b:0:100000:65536" :
			"lowerdir=l1:l2,upperdir=u,workdir=w",
		report->message[trial]);
	ovlt_ctx_unref(ctx);
}

static int set_up(void)
{
	static const char *const folders[] = { "l1", "l2", "u", "w" };

	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("ovltreectl", "/tmp", "tmpfs", 0, NULL) || chdir("/tmp"))
		return -errno;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(folders[i], 0755))
			return -errno;
	return 0;
}

static void try_all(struct report *report)
{
	report->setup = set_up();
	for (int i = 0; !report->setup && i < NR_TRIALS; i++)
		try(report, i);
}

static int run_child(struct report *report)
{
	int fds[2];
	ssize_t len;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		try_all(report);
		len = write(fds[1], report, sizeof(*report));
		_exit(len != sizeof(*report));
	}
	close(fds[1]);
	len = pid < 0 ? -1 : read(fds[0], report, sizeof(*report));
	close(fds[0]);
	if (pid < 0)
		return -EAGAIN;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return len == sizeof(*report) ? 0 : -EIO;
}

static void tell_trial(struct doctor *doctor, const struct report *report,
		       enum trial trial, enum verdict verdict,
		       const char *check, const char *advice)
{
	const char *why = report->message[trial];

	if (report->error[trial])
		tell(doctor, verdict, check, advice, "%s%s%s", why,
		     why[0] ? ": " : "", strerror(-report->error[trial]));
	else
		tell(doctor, OK, check, NULL, "tried, works");
}

static void check_trials(struct doctor *doctor, bool module)
{
	struct report report = { 0 };
	int err = run_child(&report);

	if (!err)
		err = report.setup;
	if (err) {
		tell(doctor, FAIL, "rights",
		     err == -EPERM ?
			     "run it as root, or with CAP_SYS_ADMIN" :
			     "mount namespaces and tmpfs on /tmp are needed to try overlays",
		     "no mount namespace to try overlays in: %s",
		     strerror(-err));
		return;
	}
	tell(doctor, OK, "rights", NULL, "may mount");
	tell_trial(
		doctor, &report, TRY_OVERLAY, FAIL, "overlay",
		"a kernel with CONFIG_OVERLAY_FS is needed, or its module: modprobe overlay");
	tell_trial(
		doctor, &report, TRY_IDMAP, FAIL, "idmapped layers",
		"Linux 5.19 or later is needed (6.3 for layers on tmpfs), and user namespaces: sysctl user.max_user_namespaces");
	if (!report.error[TRY_DETACHED] && report.no_detached)
		tell(doctor, NOTE, "detached layers",
		     "without Linux 6.15 or the module each idmapped tree costs a copy of the mount table",
		     "the kernel takes no layers from detached mounts");
	else
		tell_trial(doctor, &report, TRY_DETACHED, FAIL,
			   "detached layers", "use --backend=mount-ns");
	if (module)
		tell_trial(doctor, &report, TRY_MODULE, FAIL, "module at work",
			   "see dmesg; --backend=mount-api does without it");
}

/* Looking */

static bool is_installed(const char *release)
{
	char path[256], line[4096];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", release);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, ":")] = '\0';
		found = strstr(line, "/ovltree.ko");
	}
	if (file)
		fclose(file);
	return found;
}

static bool has_symbol(FILE *symbols, const char *wanted)
{
	char line[512], name[256];
	bool found = false;

	while (!found && fgets(line, sizeof(line), symbols))
		found = sscanf(line, "%*s %*s %255s", name) == 1 &&
			!strcmp(name, wanted);
	return found;
}

/* What the module needs most, and no kernel without the patches has. */
static void check_patches(struct doctor *doctor)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");

	if (!symbols)
		return;
	if (has_symbol(symbols, PATCHED))
		tell(doctor, OK, "patches", NULL, "the kernel has them");
	else
		tell(doctor, NOTE, "patches",
		     "build the kernel with kmod/patches; the module doesn't load without",
		     "the kernel has no %s", PATCHED);
	fclose(symbols);
}

/* Whether a file of one line has a text in it. */
static bool file_has(const char *path, const char *text)
{
	char line[256] = "";
	FILE *file = fopen(path, "re");

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strstr(line, text);
}

/* The kernel notes it of a module that is loaded, if it knows signatures at all. */
static void check_signature(struct doctor *doctor)
{
	static const char lockdown[] = "/sys/kernel/security/lockdown";
	static const char enforce[] =
		"/sys/module/module/parameters/sig_enforce";
	static const char advice[] =
		"sign the module with a key that the kernel trusts: scripts/sign-file of its source";
	bool must = file_has(enforce, "Y") ||
		    (!access(lockdown, F_OK) && !file_has(lockdown, "[none]"));

	if (access(enforce, F_OK))
		tell(doctor, OK, "signature", NULL, "the kernel looks at none");
	else if (access("/sys/module/ovltree", F_OK))
		tell(doctor, must ? NOTE : OK, "signature", advice,
		     "the kernel takes modules %s signature",
		     must ? "only with a" : "without a");
	else if (file_has("/sys/module/ovltree/taint", "E"))
		tell(doctor, NOTE, "signature", advice,
		     "the module has none that the kernel trusts");
	else
		tell(doctor, OK, "signature", NULL, "the kernel trusts it");
}

/* Tells if the module is of use. */
static bool check_module(struct doctor *doctor)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_info info;
	struct utsname name;
	char why[OVLTREE_MESSAGE_MAX] = "";
	int err = -ENOMEM;

	uname(&name);
	tell(doctor, OK, "kernel", NULL, "Linux %s", name.release);
	check_patches(doctor);
	if (!access("/sys/module/ovltree", F_OK))
		tell(doctor, OK, "module", NULL, "loaded");
	else if (is_installed(name.release))
		tell(doctor, NOTE, "module", "modprobe ovltree",
		     "installed, not loaded");
	else
		tell(doctor, NOTE, "module",
		     "build it for a kernel with kmod/patches, then make -C kmod modules_install",
		     "not installed for this kernel; its own mount calls do the work");
	check_signature(doctor);
	if (ctx) {
		ovlt_ctx_set_backend(ctx, "ioctl");
		err = ovlt_ctx_get_info(ctx, &info, sizeof(info));
		ovlt_ctx_get_error(ctx, why, sizeof(why));
	}
	if (err == -ENOENT)
		tell(doctor, NOTE, "device",
		     "it comes with the module, and with a /dev that is a devtmpfs",
		     "there is no " DEVICE);
	else if (err == -EACCES || err == -EPERM)
		tell(doctor, NOTE, "device", "run it as root",
		     DEVICE " may not be used: %s", strerror(-err));
	else if (err)
		tell(doctor, NOTE, "device",
		     "module and library must be of the same release", "%s: %s",
		     why, strerror(-err));
	else
		tell(doctor, OK, "device", NULL,
		     "answers, version %u of the interface, %u trees a batch",
		     info.version, info.max_entries);
	ovlt_ctx_unref(ctx);
	return !err;
}

static void check_daemon(struct doctor *doctor)
{
	struct ovlt_queue *queue = ovlt_queue_new(0);
	struct ovlt_stats stats;
	int err = queue ? 0 : -errno;

	if (!err)
		err = ovlt_queue_get_stats(queue, &stats, sizeof(stats));
	ovlt_queue_free(queue);
	if (err)
		tell(doctor, NOTE, "daemon",
		     err == -ENOENT ?
			     "it needs the module, which has the queue" :
			     "run it as root",
		     "netlink family " OVLTREE_FAMILY_NAME ": %s",
		     strerror(-err));
	else if (!stats.has_daemon)
		tell(doctor, NOTE, "daemon",
		     "systemctl enable --now ovltreed; without it each process attaches its own trees",
		     "none serves this network namespace");
	else if (stats.expired)
		tell(doctor, NOTE, "daemon",
		     "it is stopped or too slow; see journalctl -u ovltreed",
		     "process %u serves, but the kernel has done %llu requests at their deadlines",
		     stats.daemon_pid, (unsigned long long)stats.expired);
	else if (stats.refused)
		tell(doctor, NOTE, "daemon",
		     "submit less at once, or let it take more: batch_max, hold_max_us",
		     "process %u serves, but its queue was full %llu times",
		     stats.daemon_pid, (unsigned long long)stats.refused);
	else
		tell(doctor, OK, "daemon", NULL,
		     "process %u serves, %u of %u requests wait",
		     stats.daemon_pid, stats.queued, stats.queue_max);
}

static void check_backend(struct doctor *doctor, struct ctl *ctl)
{
	char why[OVLTREE_MESSAGE_MAX] = "";
	struct ovlt_info info;
	int err = ovlt_ctx_get_info(ctl->ctx, &info, sizeof(info));

	ovlt_ctx_get_error(ctl->ctx, why, sizeof(why));
	if (err)
		tell(doctor, FAIL, "backend",
		     "ovltreectl info tells why each of the others doesn't work",
		     "%s: %s", why, strerror(-err));
	else
		tell(doctor, OK, "backend", NULL, "%s", info.backend);
}

static long read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	long number = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

static void check_mounts(struct doctor *doctor, struct libmnt_table *table)
{
	long max = read_number("/proc/sys/fs/mount-max");
	long used = mnt_table_get_nents(table);
	enum verdict verdict = OK;

	if (max < 0)
		return;
	if (max - used < MANY)
		verdict = max > used ? NOTE : FAIL;
	tell(doctor, verdict, "fs.mount-max",
	     "sysctl fs.mount-max=100000, or take down mounts that are not needed",
	     "%ld of %ld mounts in this namespace", used, max);
}

static void check_namespaces(struct doctor *doctor)
{
	static const char *const names[] = { "max_mnt_namespaces",
					     "max_user_namespaces" };
	char path[64], check[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		long max;

		snprintf(path, sizeof(path), "/proc/sys/user/%s", names[i]);
		snprintf(check, sizeof(check), "user.%s", names[i]);
		max = read_number(path);
		if (max >= 0)
			tell(doctor, max < 1 ? FAIL : OK, check,
			     "raise it with sysctl: idmaps need a namespace",
			     "%ld", max);
	}
}

static void check_descriptors(struct doctor *doctor)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	tell(doctor, limit.rlim_max < 2 * MANY ? NOTE : OK, "descriptors",
	     "raise the hard limit (ulimit -Hn, LimitNOFILE=): each idmap of a batch is one",
	     "at most %llu", (unsigned long long)limit.rlim_max);
}

/* How many mounts of the namespace are in a peer group. */
static unsigned int count_peers(struct libmnt_table *table, const char *group)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	size_t len = strcspn(group, " ");
	struct libmnt_fs *fs;
	unsigned int nr = 0;

	while (iter && !mnt_table_next_fs(table, iter, &fs)) {
		const char *fields = mnt_fs_get_optional_fields(fs);
		const char *other = fields ? strstr(fields, "shared:") : NULL;

		nr += other && strcspn(other, " ") == len &&
		      !strncmp(other, group, len);
	}
	mnt_free_iter(iter);
	return nr;
}

static void check_target(struct doctor *doctor, struct libmnt_table *table,
			 const char *target)
{
	struct libmnt_fs *fs;
	const char *fields, *group;
	unsigned int nr;

	if (access(target, F_OK)) {
		tell(doctor, FAIL, "target", "make a folder of this name",
		     "%s: %s", target, strerror(errno));
		return;
	}
	fs = common_find_mount(table, target);
	if (!fs) {
		tell(doctor, FAIL, "target",
		     "enter the mount namespace that it is in",
		     "%s is on no mount of this namespace", target);
		return;
	}
	fields = mnt_fs_get_optional_fields(fs);
	group = fields ? strstr(fields, "shared:") : NULL;
	if (!group) {
		tell(doctor, OK, "target", NULL, "%s is on %s, not shared",
		     target, mnt_fs_get_target(fs));
		return;
	}
	nr = count_peers(table, group);
	tell(doctor, NOTE, "target",
	     "keep containers on a private mount: mount --bind DIR DIR; mount --make-private DIR",
	     "%s is on %s, which is shared: a tree gets a copy for each peer, %u of them in this namespace, and for those in others",
	     target, mnt_fs_get_target(fs), nr);
}

static int examine(struct ctl *ctl, const char *target)
{
	struct doctor doctor = { 0 };
	struct libmnt_table *table = common_mountinfo();

	if (ctl->json)
		doctor.json = cJSON_CreateArray();
	check_trials(&doctor, check_module(&doctor));
	check_daemon(&doctor);
	check_backend(&doctor, ctl);
	if (table)
		check_mounts(&doctor, table);
	else
		tell(&doctor, FAIL, "/proc", "mount it",
		     "mountinfo can't be read: %s", strerror(errno));
	check_namespaces(&doctor);
	check_descriptors(&doctor);
	if (table && target)
		check_target(&doctor, table, target);
	mnt_unref_table(table);
	if (ctl->json) {
		cJSON *json = cJSON_CreateObject();

		cJSON_AddBoolToObject(json, "ok", !doctor.failed);
		cJSON_AddItemToObject(json, "checks", doctor.json);
		ctl_print_json(json);
	}
	return doctor.failed ? EXIT_USAGE : EXIT_SUCCESS;
}

int cmd_doctor(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option long_options[] = {
		CTL_OPTIONS,
		{ 0 },
	};
	int status;
	int opt;

	while ((opt = getopt_long(argc, argv, "vh", long_options, NULL)) != -1)
		if (ctl_option(ctl, opt))
			return EXIT_USAGE;
	if (argc - optind > 1)
		return ctl_usage("doctor takes one TARGET at most");
	status = ctl_open(ctl);
	return status ? status : examine(ctl, argv[optind]);
}
