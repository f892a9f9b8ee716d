// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An overlay that is configured through fsopen(2) and its kin.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "private.h"

/* fsconfig(2) takes values of less than this. */
#define VALUE_MAX_SIZE 256

int ovlt_fs_open(struct ovlt_fs *fs, struct ovlt_entry *entry, bool private_ns)
{
	*fs = (struct ovlt_fs){
		.fd = fsopen("overlay", FSOPEN_CLOEXEC),
		.entry = entry,
		.private_ns = private_ns,
	};
	if (fs->fd < 0)
		return ovlt_entry_fail(entry, -errno, OVLTREE_FIELD_NONE, 0,
				       "cannot open an overlay to configure");
	return 0;
}

void ovlt_fs_close(struct ovlt_fs *fs)
{
	ovlt_close(fs->fd);
	fs->fd = -1;
}

/*
 * Blame a field, in the words of the kernel if it left any: each read(2) gives
 * a message after a letter for its kind. The last error is what counts.
 */
static int fs_fail(struct ovlt_fs *fs, int err, unsigned int field,
		   unsigned int index)
{
	char message[OVLTREE_MESSAGE_MAX] = "";
	char line[1024];
	ssize_t len;

	while ((len = read(fs->fd, line, sizeof(line) - 1)) > 0) {
		line[len] = '\0';
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "e ", 2))
			snprintf(message, sizeof(message), "%.*s",
				 (int)sizeof(message) - 1, line + 2);
	}
	return ovlt_entry_fail(fs->entry, err, field, index, "%s", message);
}

static bool names_layer(const char *key)
{
	static const char *const keys[] = {
		"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(key, keys[i]))
			return true;
	return false;
}

static int set_option(struct ovlt_fs *fs, unsigned int index)
{
	const char *option = fs->entry->tree->options[index];
	const char *value = strchrnul(option, '=');
	char *key = strndup(option, value - option);
	int err = 0;

	if (!key)
		return -ENOMEM;
	if (names_layer(key))
		err = ovlt_entry_fail(fs->entry, -EINVAL, OVLTREE_FIELD_OPTIONS,
				      index, "%s is a layer, not an option",
				      key);
	else if (fsconfig(fs->fd,
			  *value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key,
			  *value ? value + 1 : NULL, 0))
		err = fs_fail(fs, -errno, OVLTREE_FIELD_OPTIONS, index);
	free(key);
	return err;
}

int ovlt_fs_set_options(struct ovlt_fs *fs)
{
	const struct ovlt_tree *tree = fs->entry->tree;
	bool has_source = false;
	int err = 0;

	for (unsigned int i = 0; !err && i < tree->nr_options; i++) {
		err = set_option(fs, i);
		has_source |= !strncmp(tree->options[i],
				       "source=", strlen("source="));
	}
	if (!err && !has_source &&
	    fsconfig(fs->fd, FSCONFIG_SET_STRING, "source", "overlay", 0))
		err = fs_fail(fs, -errno, OVLTREE_FIELD_NONE, 0);
	return err;
}

/* Whether a path leads to a file, on the same mount if @mount. */
static bool leads_to(const char *path, int fd, bool mount)
{
	struct ovlt_mount_id a, b;

	if (ovlt_mount_id_get(fd, "", AT_EMPTY_PATH, &a) ||
	    ovlt_mount_id_get(AT_FDCWD, path, 0, &b))
		return false;
	return a.dev == b.dev && a.ino == b.ino && (!mount || a.id == b.id);
}

static bool works_alone(const struct ovlt_file *file)
{
	return file->path && !(file->flags & OVLT_NOFOLLOW) &&
	       (file->fd == AT_FDCWD || file->path[0] == '/') &&
	       strlen(file->path) < VALUE_MAX_SIZE;
}

/*
 * The name by which the kernel finds a layer and shows it in mountinfo: what
 * the caller said if it is a path that works alone, otherwise where a
 * descriptor's file is, otherwise the descriptor as procfs has it. The last two
 * need @fd.
 *
 * In a private namespace descriptors, and paths through procfs, still lead to
 * the mounts outside. What counts is the path, which leads to their copies.
 */
static int layer_name(struct ovlt_fs *fs, const struct ovlt_file *file, int *fd,
		      char **name)
{
	const char *given = works_alone(file) ? file->path : NULL;
	char *path;

	*fd = -1;
	/* An empty value would be another error to the kernel. */
	if (given && !given[0])
		return -ENOENT;
	if (given && !fs->private_ns) {
		*name = strdup(given);
		return *name ? 0 : -ENOMEM;
	}
	*fd = ovlt_file_open(file);
	if (*fd < 0)
		return *fd;
	path = ovlt_fd_path(*fd);
	if (given && path && leads_to(path, *fd, true)) {
		free(path);
		*name = strdup(given);
		return *name ? 0 : -ENOMEM;
	}
	if (path && strlen(path) < VALUE_MAX_SIZE &&
	    leads_to(path, *fd, !fs->private_ns)) {
		*name = path;
		return 0;
	}
	free(path);
	return asprintf(name, "/proc/self/fd/%d", *fd) < 0 ? -ENOMEM : 0;
}

/* Backslashes in front of the characters of @special and of backslashes. */
static char *escape(const char *name, const char *special)
{
	char *escaped = malloc(2 * strlen(name) + 1);
	char *d = escaped;

	if (!escaped)
		return NULL;
	for (; *name; name++) {
		if (*name == '\\' || strchr(special, *name))
			*d++ = '\\';
		*d++ = *name;
	}
	*d = '\0';
	return escaped;
}

static int set_folder(struct ovlt_fs *fs, const char *key,
		      const struct ovlt_file *file, unsigned int field)
{
	char *name = NULL, *value = NULL;
	int fd = -1;
	int err;

	err = layer_name(fs, file, &fd, &name);
	if (err) {
		err = ovlt_entry_blame(fs->entry, err, field, 0);
		goto out;
	}
	/* These two, unlike "lowerdir+", overlayfs takes with escapes. */
	value = escape(name, "");
	if (!value)
		err = -ENOMEM;
	else if (fsconfig(fs->fd, FSCONFIG_SET_STRING, key, value, 0))
		err = fs_fail(fs, -errno, field, 0);
out:
	ovlt_close(fd);
	free(value);
	free(name);
	return err;
}

int ovlt_fs_set_upper(struct ovlt_fs *fs)
{
	struct ovlt_tree *tree = fs->entry->tree;
	int err;

	if (!tree->has_upper)
		return 0;
	err = set_folder(fs, "upperdir", &tree->upper, OVLTREE_FIELD_UPPER);
	if (!err)
		err = set_folder(fs, "workdir", &tree->work,
				 OVLTREE_FIELD_WORK);
	return err;
}

static const char *lower_key(const struct ovlt_file *file)
{
	return (file->flags & OVLT_DATA) ? "datadir+" : "lowerdir+";
}

static int add_lower(struct ovlt_fs *fs, unsigned int index)
{
	const struct ovlt_file *file = &fs->entry->tree->lower[index];
	char *name = NULL;
	int fd = -1;
	int err;

	err = layer_name(fs, file, &fd, &name);
	if (err)
		err = ovlt_entry_blame(fs->entry, err, OVLTREE_FIELD_LOWER,
				       index);
	else if (fsconfig(fs->fd, FSCONFIG_SET_STRING, lower_key(file), name,
			  0))
		err = fs_fail(fs, -errno, OVLTREE_FIELD_LOWER, index);
	ovlt_close(fd);
	free(name);
	return err;
}

/* Append a layer to @value, whose length is @len; its name may need @fd. */
static int append_lower(struct ovlt_fs *fs, unsigned int index, char *value,
			size_t *len, int *fd)
{
	const struct ovlt_file *file = &fs->entry->tree->lower[index];
	const char *colons = (file->flags & OVLT_DATA) ? "::" : ":";
	char *name = NULL, *escaped = NULL;
	int err;

	err = layer_name(fs, file, fd, &name);
	if (!err) {
		escaped = escape(name, ":");
		err = escaped ? 0 : -ENOMEM;
	}
	if (err)
		err = ovlt_entry_blame(fs->entry, err, OVLTREE_FIELD_LOWER,
				       index);
	else
		*len += snprintf(value + *len, VALUE_MAX_SIZE - *len, "%s%s",
				 index ? colons : "", escaped);
	free(escaped);
	free(name);
	if (!err && *len >= VALUE_MAX_SIZE)
		err = ovlt_entry_fail(
			fs->entry, -E2BIG, OVLTREE_FIELD_LOWER, index,
			"this kernel takes 255 bytes of names of layers");
	return err;
}

/* Before Linux 6.8 all lower layers are one value, and so less than 256 bytes. */
static int set_lowerdir(struct ovlt_fs *fs)
{
	unsigned int nr = fs->entry->tree->nr_lower, nr_fds = 0;
	int *fds = calloc(nr, sizeof(*fds));
	char value[VALUE_MAX_SIZE] = "";
	size_t len = 0;
	int err = 0;

	if (!fds)
		return ovlt_entry_blame(fs->entry, -ENOMEM, OVLTREE_FIELD_NONE,
					0);
	while (!err && nr_fds < nr) {
		fds[nr_fds] = -1;
		err = append_lower(fs, nr_fds, value, &len, &fds[nr_fds]);
		nr_fds++;
	}
	if (!err && fsconfig(fs->fd, FSCONFIG_SET_STRING, "lowerdir", value, 0))
		err = fs_fail(fs, -errno, OVLTREE_FIELD_LOWER, 0);
	while (nr_fds)
		ovlt_close(fds[--nr_fds]);
	free(fds);
	return err;
}

int ovlt_fs_set_lower(struct ovlt_fs *fs)
{
	struct ovlt_tree *tree = fs->entry->tree;
	int err = 0;

	for (unsigned int i = 0; !err && i < tree->nr_lower; i++)
		err = add_lower(fs, i);
	if (err == -EINVAL && strstr(fs->entry->message, "Unknown parameter"))
		err = set_lowerdir(fs);
	return err;
}

/* The layers are @fds, in the order of the tree. */
int ovlt_fs_set_lower_fds(struct ovlt_fs *fs, const int *fds)
{
	struct ovlt_tree *tree = fs->entry->tree;

	for (unsigned int i = 0; i < tree->nr_lower; i++)
		if (fsconfig(fs->fd, FSCONFIG_SET_FD,
			     lower_key(&tree->lower[i]), NULL, fds[i]))
			return fs_fail(fs, -errno, OVLTREE_FIELD_LOWER, i);
	return 0;
}

/* Overlayfs tells why it refuses a superblock in the kernel's log only. */
static int refused(struct ovlt_fs *fs, int err)
{
	struct ovlt_entry *entry = fs->entry;
	const struct ovlt_tree *tree = entry->tree;

	switch (err) {
	case -EBUSY:
		return ovlt_entry_fail(
			entry, err, OVLTREE_FIELD_UPPER, 0,
			"upper or work folder in use by another overlay");
	case -ELOOP:
		return ovlt_entry_fail(entry, err, OVLTREE_FIELD_LOWER, 0,
				       "layers overlap, or are given twice");
	case -EINVAL:
		if (tree->nr_lower == 1 && !tree->has_upper)
			return ovlt_entry_fail(
				entry, err, OVLTREE_FIELD_LOWER, 0,
				"without upper folder two lower layers are needed");
		return ovlt_entry_fail(
			entry, err, OVLTREE_FIELD_TREE, 0,
			"refused by overlayfs, see the kernel log");
	}
	return fs_fail(fs, err, OVLTREE_FIELD_TREE, 0);
}

/* Build the superblock; returns the descriptor of a detached mount. */
int ovlt_fs_mount(struct ovlt_fs *fs)
{
	int fd;

	if (fsconfig(fs->fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return refused(fs, -errno);
	fd = fsmount(fs->fd, FSMOUNT_CLOEXEC, fs->entry->tree->attr);
	if (fd < 0)
		return ovlt_entry_fail(fs->entry, -errno, OVLTREE_FIELD_ATTR, 0,
				       "no mount with these attributes");
	return fd;
}

/*
 * Open a layer in the caller's mount namespace; returns a descriptor that is
 * the caller's to close.
 */
int ovlt_fs_open_layer(struct ovlt_fs *fs, const struct ovlt_file *file)
{
	char *name;
	int fd, err;

	if (!fs->private_ns)
		return ovlt_file_open(file);
	err = layer_name(fs, file, &fd, &name);
	if (!err) {
		err = open(name, O_PATH | O_CLOEXEC);
		if (err < 0)
			err = -errno;
		free(name);
	}
	ovlt_close(fd);
	return err;
}
