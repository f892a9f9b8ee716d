// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading the module, and saying why it can't be. The kernel's errno alone says
 * little: the reasons are looked up, and the one that only the kernel knows is read
 * from its log.
 */
#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon.h"

#define MODULE "ovltree"

/* The kernel that a version magic is for is its first word. */
static bool is_for(const char *vermagic, const char *release)
{
	size_t len = strcspn(vermagic, " ");

	return strlen(release) == len && !strncmp(vermagic, release, len);
}

void load_explain(const struct load_facts *facts, char *why, size_t size)
{
	bool must_sign = facts->lockdown || facts->sig_enforce;

	if (facts->err == -ENOENT && !facts->vermagic[0])
		snprintf(
			why, size,
			"there is no module " MODULE
			" for Linux %s; build it for this kernel and run depmod",
			facts->release);
	else if (facts->vermagic[0] && !is_for(facts->vermagic, facts->release))
		snprintf(
			why, size,
			"the module is for Linux %.*s, and this is %s; build it for this kernel",
			(int)strcspn(facts->vermagic, " "), facts->vermagic,
			facts->release);
	else if (must_sign &&
		 (!facts->is_signed || facts->err == -EKEYREJECTED ||
		  facts->err == -ENOKEY))
		snprintf(
			why, size,
			"the module %s, and %s; sign it with a key that the kernel trusts",
			facts->is_signed ?
				"is signed with a key that the kernel doesn't trust" :
				"isn't signed",
			facts->lockdown ?
				"the kernel is locked down (see kernel_lockdown(7))" :
				"the kernel wants signatures (module.sig_enforce)");
	else if (facts->err == -ENOENT)
		snprintf(
			why, size,
			"the kernel lacks %s, which the module needs; build it with the patches of kmod/patches",
			facts->missing[0] ? facts->missing : "a symbol");
	else if (facts->err == -EINVAL)
		snprintf(
			why, size,
			"the kernel refuses a symbol to the module, which imports the namespace %s; see dmesg",
			facts->import_ns[0] ? facts->import_ns : "of none");
	else if (facts->err == -EPERM)
		snprintf(
			why, size,
			"loading the module is not permitted: CAP_SYS_MODULE is needed, and kernel.modules_disabled must be 0");
	else if (facts->err == -ENOEXEC)
		snprintf(
			why, size,
			"the kernel doesn't take the module as one of its own: %s; see dmesg",
			strerror(ENOEXEC));
	else
		snprintf(why, size, "the module can't be loaded: %s; see dmesg",
			 strerror(-facts->err));
}

static void find_info(struct kmod_module *module, struct load_facts *facts)
{
	struct kmod_list *list = NULL, *item;

	if (kmod_module_get_info(module, &list) < 0)
		return;
	kmod_list_foreach(item, list)
	{
		const char *key = kmod_module_info_get_key(item);
		const char *value = kmod_module_info_get_value(item);

		if (!strcmp(key, "vermagic"))
			snprintf(facts->vermagic, sizeof(facts->vermagic), "%s",
				 value);
		else if (!strcmp(key, "import_ns"))
			snprintf(facts->import_ns, sizeof(facts->import_ns),
				 "%s", value);
		else if (!strcmp(key, "sig_id"))
			facts->is_signed = true;
	}
	kmod_module_info_free_list(list);
}

static char *read_all(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		return NULL;
	if (getdelim(&text, &size, '\0', file) < 0) {
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

/*
 * Nothing else has all symbols that a kernel exports: without CONFIG_KALLSYMS_ALL
 * kallsyms leaves out variables.
 */
static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* A read(2) gives one record; EPIPE tells that others have been overwritten. */
static void find_missing(int log, struct load_facts *facts)
{
	static const char unknown[] = MODULE ": Unknown symbol ";
	char record[1024], *name;
	ssize_t len;

	while ((len = read(log, record, sizeof(record) - 1)) > 0 ||
	       (len < 0 && errno == EPIPE)) {
		record[len < 0 ? 0 : len] = '\0';
		name = strstr(record, unknown);
		if (!name)
			continue;
		name += strlen(unknown);
		snprintf(facts->missing, sizeof(facts->missing), "%.*s",
			 (int)strcspn(name, " \n"), name);
		return;
	}
}

static void find_facts(struct kmod_module *module, int log,
		       struct load_facts *facts)
{
	char *text = read_all("/sys/kernel/security/lockdown");

	facts->lockdown = text && !strstr(text, "[none]");
	free(text);
	text = read_all("/sys/module/module/parameters/sig_enforce");
	facts->sig_enforce = text && text[0] == 'Y';
	free(text);
	find_info(module, facts);
	find_missing(log, facts);
}

/* Loads it, unless it is there; @why gets the reason when that fails. */
int load_module(char *why, size_t size)
{
	struct load_facts facts = { 0 };
	struct kmod_list *list = NULL;
	struct kmod_module *module = NULL;
	struct kmod_ctx *ctx;
	struct utsname name;
	int log = -1;

	if (!access("/sys/module/" MODULE, F_OK))
		return 0;
	uname(&name);
	snprintf(facts.release, sizeof(facts.release), "%s", name.release);
	ctx = kmod_new(NULL, NULL);
	if (!ctx) {
		snprintf(why, size, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	facts.err = kmod_module_new_from_lookup(ctx, MODULE, &list);
	if (!facts.err && !list)
		facts.err = -ENOENT;
	if (!facts.err) {
		log = open_log();
		module = kmod_module_get_module(list);
		facts.err = kmod_module_probe_insert_module(module, 0, NULL,
							    NULL, NULL, NULL);
	}
	if (facts.err && module)
		find_facts(module, log, &facts);
	if (log >= 0)
		close(log);
	if (facts.err)
		load_explain(&facts, why, size);
	else
		log_msg(LOG_NOTICE, "the module " MODULE " has been loaded");
	kmod_module_unref(module);
	kmod_module_unref_list(list);
	kmod_unref(ctx);
	return facts.err;
}
