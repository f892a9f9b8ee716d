// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options: those of fuse-overlayfs get their meaning here, others are left to
 * the library.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mount.h"
#include "quoting.h"

static int refuse(struct options *options, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct options *options, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(options->message, sizeof(options->message), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int words_add(struct words *words, const char *text)
{
	char **word = reallocarray(words->word, words->nr + 1, sizeof(*word));

	if (!word)
		return -ENOMEM;
	words->word = word;
	word[words->nr] = strdup(text);
	return word[words->nr++] ? 0 : -ENOMEM;
}

static void words_clear(struct words *words)
{
	for (size_t i = 0; i < words->nr; i++)
		free(words->word[i]);
	free(words->word);
}

static int note_lowerdir(struct options *options, char *value)
{
	int err = 0;

	while (value && !err) {
		char *name = quoting_next(&value, ':');

		if (*name)
			err = words_add(&options->lower,
					quoting_unescape(name));
	}
	return err;
}

static int note_lower(struct options *options, char *value)
{
	return words_add(&options->lower, quoting_unescape(value));
}

static int note_upper(struct options *options, char *value)
{
	free(options->upper);
	options->upper = strdup(quoting_unescape(value));
	return options->upper ? 0 : -ENOMEM;
}

/* What the library takes, and what the idmap of fuse-overlayfs is about. */
static const struct note {
	const char *name;
	int (*note)(struct options *options, char *value);
} notes[] = {
	{ "lowerdir", note_lowerdir },
	{ "lowerdir+", note_lower },
	{ "datadir+", note_lower },
	{ "upperdir", note_upper },
};

static int add_note(struct options *options, const char *option)
{
	const char *value = strchrnul(option, '=');
	size_t len = value - option;
	int err = 0;

	for (size_t i = 0; *value && i < sizeof(notes) / sizeof(notes[0]);
	     i++) {
		char *copy;

		if (strlen(notes[i].name) != len ||
		    strncmp(option, notes[i].name, len))
			continue;
		copy = strdup(value + 1);
		err = copy ? notes[i].note(options, quoting_strip(copy)) :
			     -ENOMEM;
		free(copy);
	}
	return err;
}

static int ignore(struct options *options, const char *name, const char *value)
{
	(void)value;
	return words_add(&options->ignored, name);
}

static int ignore_zero(struct options *options, const char *name,
		       const char *value)
{
	if (value && (!*value || !strcmp(value, "0")))
		return ignore(options, name, value);
	return refuse(options, "%s: overlayfs has nothing like it", name);
}

static int refuse_squash(struct options *options, const char *name,
			 const char *value)
{
	(void)value;
	return refuse(
		options,
		"%s: overlayfs can't give all files one owner; uidmapping and gidmapping can map ranges",
		name);
}

/* Numbers of three, with a colon between, before or after. */
static int add_ranges(struct options *options, const char *name,
		      const char *value)
{
	char type = name[0];
	int parts = 0;

	for (value += strspn(value, ":"); *value; value += strspn(value, ":")) {
		struct ovlt_id_range *ranges = options->ranges;
		unsigned long long number;
		size_t len = strspn(value, "0123456789");

		number = strtoull(value, NULL, 10);
		if (!len || len > 10 || number > UINT32_MAX ||
		    (value[len] && value[len] != ':'))
			return refuse(options, "%s: not a number: %s", name,
				      value);
		value += len;
		if (parts % 3 == 0) {
			ranges = reallocarray(ranges, options->nr_ranges + 1,
					      sizeof(*ranges));
			if (!ranges)
				return -ENOMEM;
			options->ranges = ranges;
			ranges[options->nr_ranges++].type = type;
		}
		ranges += options->nr_ranges - 1;
		if (parts % 3 == 0)
			ranges->inner = number;
		else if (parts % 3 == 1)
			ranges->outer = number;
		else
			ranges->count = number;
		parts++;
	}
	if (!parts || parts % 3)
		return refuse(options, "%s needs ID:ID:COUNT", name);
	return 0;
}

static int map_ids(struct options *options, const char *name, const char *value)
{
	for (size_t i = 0; i < options->nr_ranges; i++)
		if (options->ranges[i].type == name[0])
			return refuse(options, "%s is there twice", name);
	return add_ranges(options, name, value ? value : "");
}

static int set_idmap(struct options *options, const char *name,
		     const char *value)
{
	if (!value || !*value)
		return refuse(options, "%s needs a value", name);
	free(options->idmap);
	options->idmap = strdup(value);
	if (!options->idmap)
		return -ENOMEM;
	quoting_strip(options->idmap);
	return 0;
}

/*
 * What is ignored changes how fast fuse-overlayfs is, or makes it do what
 * overlayfs does anyway; what is refused changes what is seen.
 */
static const struct own {
	const char *name;
	int (*take)(struct options *options, const char *name,
		    const char *value);
} own[] = {
	/* mount(8) keeps what begins with X- to itself. */
	{ "idmap", set_idmap },
	{ "X-mount.idmap", set_idmap },
	{ "uidmapping", map_ids },
	{ "gidmapping", map_ids },
	{ "squash_to_root", refuse_squash },
	{ "squash_to_uid", refuse_squash },
	{ "squash_to_gid", refuse_squash },
	{ "plugins", ignore_zero },
	{ "xattr_permissions", ignore_zero },
	{ "noxattrs", ignore_zero },
	{ "timeout", ignore },
	{ "threaded", ignore },
	{ "fsync", ignore },
	{ "fast_ino", ignore },
	{ "writeback", ignore },
	{ "static_nlink", ignore },
	{ "noacl", ignore },
	{ "allow_other", ignore },
	{ "default_permissions", ignore },
};

static int parse_option(struct options *options, char *option)
{
	char *value;
	int err;

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		size_t len = strlen(own[i].name);

		if (strncmp(option, own[i].name, len))
			continue;
		if (option[len] && option[len] != '=')
			continue;
		value = option[len] ? option + len + 1 : NULL;
		return own[i].take(options, own[i].name, value);
	}
	err = add_note(options, option);
	return err ? err : words_add(&options->all, option);
}

/* Returns 0, -EINVAL with a message, or -ENOMEM. */
int options_parse(struct options *options, const char *text)
{
	char *copy = strdup(text);
	char *rest = copy;
	int err = copy ? 0 : -ENOMEM;

	while (rest && !err) {
		char *option = quoting_next(&rest, ',');

		if (*option)
			err = parse_option(options, option);
	}
	free(copy);
	if (!err && options->idmap && options->nr_ranges)
		err = refuse(
			options,
			"idmap and uidmapping or gidmapping are two idmaps");
	return err;
}

/* Take an option out; tells if it was there. */
bool options_drop(struct options *options, const char *name)
{
	struct words *all = &options->all;
	size_t len = strlen(name);
	size_t nr = 0;

	for (size_t i = 0; i < all->nr; i++) {
		const char *option = all->word[i];

		if (strncmp(option, name, len) ||
		    (option[len] && option[len] != '='))
			all->word[nr++] = all->word[i];
		else
			free(all->word[i]);
	}
	if (nr == all->nr)
		return false;
	all->nr = nr;
	return true;
}

void options_clear(struct options *options)
{
	words_clear(&options->all);
	words_clear(&options->ignored);
	words_clear(&options->lower);
	free(options->upper);
	free(options->idmap);
	free(options->ranges);
}
