// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Options as mount(8) takes them for an overlay.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>

#include "private.h"
#include "quoting.h"

/* Options of the mount rather than of the file system. */
struct flag {
	const char *name;
	uint32_t set;
	uint32_t clear;
	unsigned long propagation;
	bool superblock;
};

static const struct flag flags[] = {
	{ "ro", .set = MOUNT_ATTR_RDONLY, .superblock = true },
	{ "rw", .clear = MOUNT_ATTR_RDONLY, .superblock = true },
	{ "nosuid", .set = MOUNT_ATTR_NOSUID },
	{ "suid", .clear = MOUNT_ATTR_NOSUID },
	{ "nodev", .set = MOUNT_ATTR_NODEV },
	{ "dev", .clear = MOUNT_ATTR_NODEV },
	{ "noexec", .set = MOUNT_ATTR_NOEXEC },
	{ "exec", .clear = MOUNT_ATTR_NOEXEC },
	{ "nosymfollow", .set = MOUNT_ATTR_NOSYMFOLLOW },
	{ "symfollow", .clear = MOUNT_ATTR_NOSYMFOLLOW },
	{ "noatime", .set = MOUNT_ATTR_NOATIME, .clear = MOUNT_ATTR__ATIME },
	{ "atime", .clear = MOUNT_ATTR__ATIME },
	{ "relatime", .clear = MOUNT_ATTR__ATIME },
	{ "norelatime", .clear = MOUNT_ATTR__ATIME },
	{ "strictatime", .set = MOUNT_ATTR_STRICTATIME,
	  .clear = MOUNT_ATTR__ATIME },
	{ "nostrictatime", .clear = MOUNT_ATTR__ATIME },
	{ "nodiratime", .set = MOUNT_ATTR_NODIRATIME },
	{ "diratime", .clear = MOUNT_ATTR_NODIRATIME },
	{ "shared", .propagation = MS_SHARED },
	{ "rshared", .propagation = MS_SHARED },
	{ "private", .propagation = MS_PRIVATE },
	{ "rprivate", .propagation = MS_PRIVATE },
	{ "slave", .propagation = MS_SLAVE },
	{ "rslave", .propagation = MS_SLAVE },
	{ "unbindable", .propagation = MS_UNBINDABLE },
	{ "runbindable", .propagation = MS_UNBINDABLE },
};

/* What fstab(5) and mount(8) say to themselves, nothing to do with the kernel. */
static const char *const userspace[] = {
	"defaults", "auto",   "noauto",	 "nofail",  "_netdev",
	"user",	    "nouser", "users",	 "nousers", "owner",
	"noowner",  "group",  "nogroup", "silent",  "loud",
};

/* A layer after "::" is a data-only one. */
static int add_lowerdir(struct ovlt_tree *tree, char *value)
{
	unsigned int kind = 0;
	char *layer = value;

	while (layer) {
		char *p = layer;
		char *next = NULL;
		unsigned int next_kind = 0;
		int err;

		while (*p && *p != ':')
			p += *p == '\\' && p[1] ? 2 : 1;
		if (*p) {
			next = p + 1;
			if (*next == ':') {
				next_kind = OVLT_DATA;
				next++;
			}
			*p = '\0';
		}
		if (!*layer)
			return ovlt_tree_fail(
				tree, -EINVAL,
				"lowerdir has an empty name in it");
		err = ovlt_tree_add_lower(tree, AT_FDCWD,
					  quoting_unescape(layer), kind);
		if (err)
			return err;
		layer = next;
		kind = next_kind;
	}
	return 0;
}

static int add_lower(struct ovlt_tree *tree, char *value)
{
	return ovlt_tree_add_lower(tree, AT_FDCWD, quoting_unescape(value), 0);
}

static int add_data(struct ovlt_tree *tree, char *value)
{
	return ovlt_tree_add_lower(tree, AT_FDCWD, quoting_unescape(value),
				   OVLT_DATA);
}

static int set_upper(struct ovlt_tree *tree, char *value)
{
	return ovlt_tree_set_upper(tree, AT_FDCWD, quoting_unescape(value), 0);
}

static int set_work(struct ovlt_tree *tree, char *value)
{
	return ovlt_tree_set_work(tree, AT_FDCWD, quoting_unescape(value), 0);
}

static int set_layerset_fd(struct ovlt_tree *tree, char *value)
{
	struct ovlt_layerset *layerset;
	char *end;
	long fd;
	int err;

	fd = strtol(value, &end, 10);
	if (!strchr("0123456789", value[0]) || *end || fd > INT_MAX)
		return ovlt_tree_fail(tree, -EINVAL,
				      "layerset_fd=%s is not a descriptor",
				      value);
	layerset = ovlt_layerset_from_fd(fd);
	if (!layerset)
		return ovlt_tree_fail(tree, -errno, "layerset_fd=%s", value);
	err = ovlt_tree_set_layerset(tree, layerset);
	ovlt_layerset_unref(layerset);
	return err;
}

static int set_idmap(struct ovlt_tree *tree, char *value)
{
	int fd = ovlt_userns_parse(value);
	int err;

	if (fd < 0)
		return ovlt_tree_fail(tree, fd, "X-mount.idmap=%s", value);
	err = ovlt_tree_set_userns(tree, fd);
	close(fd);
	return err;
}

/* Options that have a value which is not for the kernel's parser. */
static const struct value {
	const char *name;
	int (*set)(struct ovlt_tree *tree, char *value);
} values[] = {
	{ "lowerdir", add_lowerdir },
	{ "lowerdir+", add_lower },
	{ "datadir+", add_data },
	{ "upperdir", set_upper },
	{ "workdir", set_work },
	{ "X-mount.idmap", set_idmap },
	{ "layerset_fd", set_layerset_fd },
};

static bool is_remark(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(userspace); i++)
		if (!strcmp(name, userspace[i]))
			return true;
	return !strncmp(name, "x-", 2) || !strcmp(name, "comment");
}

static void set_flag(struct ovlt_tree *tree, const struct flag *flag)
{
	tree->attr = (tree->attr & ~flag->clear) | flag->set;
	if (flag->propagation)
		tree->propagation = flag->propagation;
}

static int parse_option(struct ovlt_tree *tree, char *option)
{
	char *value = strchr(option, '=');

	if (value) {
		*value++ = '\0';
		value = quoting_strip(value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (strcmp(option, values[i].name))
			continue;
		if (!value || !*value)
			return ovlt_tree_fail(tree, -EINVAL, "%s needs a value",
					      option);
		return values[i].set(tree, value);
	}
	for (size_t i = 0; !value && i < ARRAY_SIZE(flags); i++) {
		if (strcmp(option, flags[i].name))
			continue;
		set_flag(tree, &flags[i]);
		if (!flags[i].superblock)
			return 0;
		break;
	}
	if (is_remark(option))
		return 0;
	return ovlt_tree_add_option(tree, option, value);
}

/**
 * ovlt_tree_parse_options() - fill a tree from options of mount(8)
 * @tree: the tree; what it has already stays, later options win
 * @options: options with commas between them; empty ones are skipped
 *
 * These are the options of mount(8) for any file system and for overlay:
 *
 *  - lowerdir=a:b::c, with :: before data-only layers; lowerdir+=, datadir+=,
 *    upperdir=, workdir=. In all of these a backslash makes a colon, a comma
 *    or a backslash part of a name. Only lowerdir takes more than one name, so
 *    in the others a colon needs none.
 *  - layerset_fd=, a layer set that was inherited, in place of lower layers
 *  - ro, nosuid, nodev, noexec, nosymfollow, the modes of atime, and their
 *    opposites
 *  - shared, private, slave, unbindable, also with an "r" before, which is the
 *    same for a single mount
 *  - X-mount.idmap=, see ovlt_userns_parse(); applies to the lower layers
 *  - what is for fstab(5) only and x-* have no effect
 *
 * All others go to the kernel as they are. Double quotes around a value keep
 * its commas.
 *
 * Thread rules: the thread that fills @tree. Since: 0.1.
 *
 * Return: 0, -EINVAL for what doesn't parse, otherwise the error of the call
 * that the option stands for; ovlt_tree_get_error() tells more. Options before
 * the bad one have been taken.
 */
OVLT_EXPORT int ovlt_tree_parse_options(struct ovlt_tree *tree,
					const char *options)
{
	char *copy = strdup(options);
	char *rest = copy;
	int err = copy ? 0 : -ENOMEM;

	while (rest && !err) {
		char *option = quoting_next(&rest, ',');

		if (*option)
			err = parse_option(tree, option);
	}
	free(copy);
	return err;
}
