// SPDX-License-Identifier: GPL-2.0-only
/*
 * The idmap of the lower layers, as mount(8) says it or as fuse-overlayfs does.
 *
 * Fuse-overlayfs maps all layers: the ids that are stored are the container's.
 * Here only lower layers can be mapped, and the ids in the upper folder are as
 * the host sees them. What differs for the upper folder is made up for where
 * that is safe, and refused elsewhere.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/common.h"
#include "mount.h"

static int mapping_fail(struct mapping *mapping, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int mapping_fail(struct mapping *mapping, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(mapping->message, sizeof(mapping->message), fmt, ap);
	va_end(ap);
	return err;
}

static bool has_type(const struct options *options, char type)
{
	for (size_t i = 0; i < options->nr_ranges; i++)
		if (options->ranges[i].type == type)
			return true;
	return false;
}

/* Without a mapping, fuse-overlayfs leaves ids of a type as they are. */
static int open_userns(const struct options *options)
{
	static const char types[] = { 'u', 'g' };
	struct ovlt_id_range *ranges;
	size_t nr = options->nr_ranges;
	int fd;

	ranges = calloc(nr + 1, sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	memcpy(ranges, options->ranges, nr * sizeof(*ranges));
	for (size_t i = 0; i < sizeof(types); i++)
		if (!has_type(options, types[i]))
			ranges[nr++] =
				(struct ovlt_id_range){ .type = types[i],
							.count = UINT32_MAX };
	fd = ovlt_userns_open(ranges, nr);
	free(ranges);
	return fd;
}

/* Get what must come from the mount namespace that the program began in. */
int mapping_open(struct mapping *mapping, const struct options *options)
{
	*mapping = (struct mapping){ .proc_fd = -1, .userns_fd = -1 };
	if (options->idmap) {
		mapping->userns_fd = ovlt_userns_parse(options->idmap);
		if (mapping->userns_fd < 0)
			return mapping_fail(mapping, mapping->userns_fd,
					    "idmap %s", options->idmap);
	}
	if (!options->nr_ranges)
		return 0;
	mapping->proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mapping->proc_fd < 0)
		return mapping_fail(mapping, -errno, "/proc/self");
	mapping->userns_fd = open_userns(options);
	if (mapping->userns_fd < 0)
		return mapping_fail(
			mapping, mapping->userns_fd,
			"no user namespace with this uidmapping and gidmapping");
	return 0;
}

void mapping_close(struct mapping *mapping)
{
	if (mapping->proc_fd >= 0)
		close(mapping->proc_fd);
	if (mapping->userns_fd >= 0)
		close(mapping->userns_fd);
}

static struct libmnt_table *read_mountinfo(struct mapping *mapping)
{
	struct libmnt_table *table = mnt_new_table();
	int fd = openat(mapping->proc_fd, "mountinfo", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (file && table &&
	    !mnt_table_parse_stream(table, file, "mountinfo")) {
		fclose(file);
		return table;
	}
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	mnt_unref_table(table);
	return NULL;
}

static bool is_idmapped(struct libmnt_table *table, const char *path)
{
	struct libmnt_fs *fs = common_find_mount(table, path);
	const char *options = fs ? mnt_fs_get_vfs_options(fs) : NULL;

	/* What can't be looked up is for the library to complain about. */
	return options &&
	       !mnt_optstr_get_option(options, "idmapped", NULL, NULL);
}

/*
 * Who has some layers on idmapped mounts knows what they need: what isn't
 * there is then owned by the host's ids already.
 */
static int check_lower(struct mapping *mapping, const struct options *options)
{
	struct libmnt_table *table = read_mountinfo(mapping);
	bool mapped = false;

	if (!table)
		return mapping_fail(mapping, -EIO, "mountinfo can't be read");
	for (size_t i = 0; !mapped && i < options->lower.nr; i++)
		mapped = is_idmapped(table, options->lower.word[i]);
	mnt_unref_table(table);
	if (mapped) {
		close(mapping->userns_fd);
		mapping->userns_fd = -1;
	}
	return 0;
}

/* The id that is to be stored, where that of a container is. */
static uint32_t host_id(const struct options *options, char type, uint32_t id)
{
	uint32_t mapped = id;

	for (size_t i = 0; i < options->nr_ranges; i++) {
		const struct ovlt_id_range *range = &options->ranges[i];

		if (range->type != type)
			continue;
		if (id >= range->outer && id - range->outer < range->count)
			return id;
		if (id >= range->inner && id - range->inner < range->count)
			mapped = range->outer + (id - range->inner);
	}
	return mapped;
}

/* Owned by ids of the host; a whiteout's owner is seen by nobody. */
static bool is_shown_as_is(const struct options *options, const struct stat *st)
{
	if (S_ISCHR(st->st_mode) && !st->st_rdev)
		return true;
	return host_id(options, 'u', st->st_uid) == st->st_uid &&
	       host_id(options, 'g', st->st_gid) == st->st_gid;
}

/* Nothing in the folder needs another owner; who wrote it tells by one level. */
static bool is_content_shown_as_is(const struct options *options, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	DIR *folder = copy < 0 ? NULL : fdopendir(copy);
	bool ret = folder;
	struct dirent *entry;
	struct stat st;

	while (ret && (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			ret = !fstatat(fd, entry->d_name, &st,
				       AT_SYMLINK_NOFOLLOW) &&
			      is_shown_as_is(options, &st);
	if (folder)
		closedir(folder);
	else if (copy >= 0)
		close(copy);
	return ret;
}

/*
 * A container can do nothing in a root that isn't its own. An upper folder that
 * is new gets the owner that it will seem to have, and so does one that was
 * mounted before: containers/storage gives the folder, but not what is in it, back
 * to itself each time. The files in any other would each need an owner.
 */
static int own_upper(struct mapping *mapping, const struct options *options)
{
	int fd = open(options->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	uint32_t uid, gid;
	int err = 0;

	/* The library complains better. */
	if (fd < 0)
		return 0;
	if (fstat(fd, &st)) {
		err = mapping_fail(mapping, -errno, "upper folder %s",
				   options->upper);
		goto out;
	}
	if (is_shown_as_is(options, &st))
		goto out;
	uid = host_id(options, 'u', st.st_uid);
	gid = host_id(options, 'g', st.st_gid);
	if (!is_content_shown_as_is(options, fd))
		err = mapping_fail(
			mapping, -EINVAL,
			"upper folder %s is owned by %u:%u, and not empty: it isn't mapped",
			options->upper, st.st_uid, st.st_gid);
	else if (fchown(fd, uid, gid))
		err = mapping_fail(mapping, -errno,
				   "upper folder %s can't be given to %u:%u",
				   options->upper, uid, gid);
out:
	close(fd);
	return err;
}

/* In the mount namespace where layers are looked up. */
int mapping_apply(struct mapping *mapping, const struct options *options)
{
	int err;

	if (!options->nr_ranges)
		return 0;
	err = check_lower(mapping, options);
	if (!err && options->upper)
		err = own_upper(mapping, options);
	return err;
}
