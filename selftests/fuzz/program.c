// SPDX-License-Identifier: GPL-2.0
/*
 * Programs and their text.
 *
 * A program is a list of records, one a line: its kind, fields that are not what a
 * correct caller would pass, and for some a text in quotes. A value is a number, @ and
 * the name of an object of the world, or $ and the number of what an earlier call
 * of the program has returned. Records that are parts follow what they belong to:
 *
 *	attach
 *	 mount target=@t0
 *	  tree upper=@u0 work=@w0
 *	   lower path=@l0
 *	   lower path=@l1
 *	   option "metacopy=on"
 *
 * Blanks at the start of a line are for the reader; an empty line ends a program.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/ovltree.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define MEMBER(name, type, struct_, member) \
	{ name, type, offsetof(struct struct_, member), \
	  sizeof(((struct struct_ *)0)->member) }
/* What a newer caller would have behind the structure */
#define TAIL(struct_) { "tail", T_NUMBER, sizeof(struct struct_), 8 }

static const struct field info_fields[] = {
	MEMBER("size", T_SIZE, ovltree_info, size),
	MEMBER("flags", T_FLAGS, ovltree_info, flags),
	MEMBER("version", T_NUMBER, ovltree_info, version),
	TAIL(ovltree_info),
	{ "cmd", T_COMMAND },
	{ "arg", T_POINTER },
};

static const struct field batch_fields[] = {
	MEMBER("size", T_SIZE, ovltree_batch, size),
	MEMBER("flags", T_FLAGS, ovltree_batch, flags),
	MEMBER("entries", T_POINTER, ovltree_batch, entries),
	MEMBER("results", T_POINTER, ovltree_batch, results),
	MEMBER("nr", T_COUNT, ovltree_batch, nr),
	MEMBER("entry_size", T_SIZE, ovltree_batch, entry_size),
	MEMBER("result_size", T_SIZE, ovltree_batch, result_size),
	MEMBER("tree_size", T_SIZE, ovltree_batch, tree_size),
	MEMBER("wait_ns", T_NUMBER, ovltree_batch, wait_ns),
	TAIL(ovltree_batch),
	{ "cmd", T_COMMAND },
	{ "arg", T_POINTER },
};

static const struct field mount_fields[] = {
	MEMBER("flags", T_FLAGS, ovltree_attach, flags),
	MEMBER("mnt_fd", T_FD, ovltree_attach, mnt_fd),
	MEMBER("tree", T_POINTER, ovltree_attach, tree),
	MEMBER("target_fd", T_FD, ovltree_attach, target.fd),
	MEMBER("target_flags", T_FLAGS, ovltree_attach, target.flags),
	MEMBER("target", T_PATH, ovltree_attach, target.path),
	MEMBER("mntns_fd", T_FD, ovltree_attach, mntns_fd),
	MEMBER("propagation", T_PROPAGATION, ovltree_attach, propagation),
	MEMBER("id", T_ID, ovltree_attach, id),
	TAIL(ovltree_attach),
};

static const struct field unmount_fields[] = {
	MEMBER("flags", T_FLAGS, ovltree_detach, flags),
	MEMBER("reserved", T_NUMBER, ovltree_detach, __reserved),
	MEMBER("mnt_id", T_ID, ovltree_detach, mnt_id),
	MEMBER("target_fd", T_FD, ovltree_detach, target.fd),
	MEMBER("target_flags", T_FLAGS, ovltree_detach, target.flags),
	MEMBER("target", T_PATH, ovltree_detach, target.path),
	TAIL(ovltree_detach),
};

static const struct field set_fields[] = {
	MEMBER("flags", T_FLAGS, ovltree_layerset, flags),
	MEMBER("nr_lower", T_COUNT, ovltree_layerset, nr_lower),
	MEMBER("lower", T_POINTER, ovltree_layerset, lower),
	TAIL(ovltree_layerset),
};

static const struct field tree_fields[] = {
	MEMBER("flags", T_FLAGS, ovltree_tree, flags),
	MEMBER("nr_lower", T_COUNT, ovltree_tree, nr_lower),
	MEMBER("lower", T_POINTER, ovltree_tree, lower),
	MEMBER("upper_fd", T_FD, ovltree_tree, upper.fd),
	MEMBER("upper_flags", T_FLAGS, ovltree_tree, upper.flags),
	MEMBER("upper", T_PATH, ovltree_tree, upper.path),
	MEMBER("work_fd", T_FD, ovltree_tree, work.fd),
	MEMBER("work_flags", T_FLAGS, ovltree_tree, work.flags),
	MEMBER("work", T_PATH, ovltree_tree, work.path),
	MEMBER("options", T_POINTER, ovltree_tree, options),
	MEMBER("options_size", T_SIZE, ovltree_tree, options_size),
	MEMBER("userns_fd", T_FD, ovltree_tree, userns_fd),
	MEMBER("attr", T_FLAGS, ovltree_tree, attr),
	MEMBER("layerset_fd", T_FD, ovltree_tree, layerset_fd),
	TAIL(ovltree_tree),
};

static const struct field lower_fields[] = {
	MEMBER("fd", T_FD, ovltree_path, fd),
	MEMBER("flags", T_FLAGS, ovltree_path, flags),
	MEMBER("path", T_PATH, ovltree_path, path),
};

static const struct field message_fields[] = {
	{ "sock", T_NUMBER },
	{ "cmd", T_NUMBER },
	{ "flags", T_FLAGS },
	{ "version", T_NUMBER },
	{ "reserved", T_NUMBER },
	{ "len", T_SIZE },
};

static const struct field attr_fields[] = {
	{ "type", T_NUMBER },
	{ "size", T_SIZE },
	{ "len", T_SIZE },
	{ "fd", T_FD },
	{ "id", T_ID },
	{ "value", T_ANY },
};

static const struct field close_fields[] = { { "fd", T_FD } };
static const struct field hangup_fields[] = { { "sock", T_NUMBER } };
static const struct field wait_fields[] = { { "ms", T_NUMBER } };
static const struct field clone_fields[] = {
	{ "path", T_PATH },
	{ "recursive", T_NUMBER },
};

#define FIELDS(array) \
	.fields = (array), .nr_fields = sizeof(array) / sizeof((array)[0])
#define BATCH(name_) \
	{ .name = (name_), .size = sizeof(struct ovltree_batch), FIELDS(batch_fields) }

const struct kind kinds[NR_KINDS] = {
	[K_INFO] = { .name = "info", .size = sizeof(struct ovltree_info),
		     FIELDS(info_fields) },
	[K_PREPARE] = BATCH("prepare"),
	[K_ATTACH] = BATCH("attach"),
	[K_DETACH] = BATCH("detach"),
	[K_LAYERSET] = BATCH("layerset"),
	[K_MESSAGE] = { .name = "message", FIELDS(message_fields) },
	[K_CLOSE] = { .name = "close", FIELDS(close_fields) },
	[K_HANGUP] = { .name = "hangup", FIELDS(hangup_fields) },
	[K_WAIT] = { .name = "wait", FIELDS(wait_fields) },
	[K_FSMOUNT] = { .name = "fsmount" },
	[K_CLONE] = { .name = "clone", FIELDS(clone_fields) },
	[K_MOUNT] = { .name = "mount", .level = 1,
		      .size = sizeof(struct ovltree_attach), FIELDS(mount_fields) },
	[K_UNMOUNT] = { .name = "unmount", .level = 1,
			.size = sizeof(struct ovltree_detach), FIELDS(unmount_fields) },
	[K_SET] = { .name = "set", .level = 1,
		    .size = sizeof(struct ovltree_layerset), FIELDS(set_fields) },
	[K_ATTR] = { .name = "attr", .level = 1, .text = true, FIELDS(attr_fields) },
	[K_TREE] = { .name = "tree", .level = 2, .size = sizeof(struct ovltree_tree),
		     FIELDS(tree_fields) },
	[K_LOWER] = { .name = "lower", .level = 3, .size = sizeof(struct ovltree_path),
		      FIELDS(lower_fields) },
	[K_OPTION] = { .name = "option", .level = 3, .text = true },
};

/* Return: which field of its kind, or -1. */
int field_find(enum kind_id kind, const char *name)
{
	for (unsigned int i = 0; i < kinds[kind].nr_fields; i++)
		if (!strcmp(kinds[kind].fields[i].name, name))
			return i;
	return -1;
}

/* The kind has to have such a field. */
const struct value *field_get(const struct record *record, const char *name)
{
	return &record->values[field_find(record->kind, name)];
}

/* What a reader has to take in: records and fields that somebody chose */
unsigned int program_size(const struct program *program)
{
	unsigned int size = program->nr;

	for (unsigned int i = 0; i < program->nr; i++) {
		for (unsigned int f = 0; f < MAX_FIELDS; f++)
			size += program->records[i].values[f].what != V_AUTO;
		size += !!*program->records[i].text;
	}
	return size;
}

/*
 * Reading
 */

static int read_value(struct value *value, const char *text)
{
	char *end;

	errno = 0;
	switch (*text) {
	case '@':
		for (unsigned int i = 0; i < nr_objects; i++) {
			if (!strcmp(object_names[i], text + 1)) {
				*value = (struct value){ V_OBJECT, i };
				return 0;
			}
		}
		return -EINVAL;
	case '$':
		*value = (struct value){ V_PRODUCT, strtoul(text + 1, &end, 10) };
		break;
	case '-':
		*value = (struct value){ V_NUMBER, strtoll(text, &end, 0) };
		break;
	default:
		*value = (struct value){ V_NUMBER, strtoull(text, &end, 0) };
	}
	return *end || errno ? -EINVAL : 0;
}

/* Return: what is behind the text, or NULL. */
static char *read_text(struct record *record, char *at)
{
	size_t len = 0;

	for (at++; *at && *at != '"'; at++) {
		unsigned int byte = (unsigned char)*at;

		if (*at == '\\') {
			if (sscanf(at, "\\x%2x", &byte) != 1)
				return NULL;
			at += 3;
		}
		if (len == MAX_TEXT - 1)
			return NULL;
		record->text[len++] = byte;
	}
	return *at ? at + 1 : NULL;
}

static int read_field(struct record *record, char *word)
{
	char *value = strchr(word, '=');
	int field;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	field = field_find(record->kind, word);
	if (field < 0)
		return -EINVAL;
	return read_value(&record->values[field], value);
}

static int read_record(struct record *record, char *line)
{
	char *at = line + strspn(line, " \t"), *word;
	int err = 0;

	memset(record, 0, sizeof(*record));
	word = strsep(&at, " ");
	for (record->kind = 0; record->kind < NR_KINDS; record->kind++)
		if (!strcmp(kinds[record->kind].name, word))
			break;
	if (record->kind == NR_KINDS)
		return -EINVAL;
	while (!err && at && *at) {
		if (*at == '"' && kinds[record->kind].text) {
			at = read_text(record, at);
			err = at ? 0 : -EINVAL;
		} else {
			word = strsep(&at, " ");
			err = *word ? read_field(record, word) : 0;
		}
	}
	return err;
}

/**
 * program_read - read a program
 * @program: where to
 * @text: of the program, moved to what is behind it
 *
 * Return: 0; -ENOENT if there is none any more; -EINVAL or -E2BIG.
 */
int program_read(struct program *program, const char **text)
{
	program->nr = 0;
	while (**text) {
		size_t len = strcspn(*text, "\n");
		char *line = strndup(*text, len);
		int err = 0;

		*text += len + ((*text)[len] == '\n');
		if (!line[strspn(line, " \t")]) {
			free(line);
			if (program->nr)
				return 0;
			continue;
		}
		if (*line != '#') {
			if (program->nr == MAX_RECORDS)
				err = -E2BIG;
			else
				err = read_record(&program->records[program->nr++], line);
		}
		free(line);
		if (err)
			return err;
	}
	return program->nr ? 0 : -ENOENT;
}

/*
 * Writing
 */

static void write_value(const struct value *value, FILE *file)
{
	switch (value->what) {
	case V_OBJECT:
		fprintf(file, "@%s", object_names[value->number]);
		break;
	case V_PRODUCT:
		fprintf(file, "$%llu", (unsigned long long)value->number);
		break;
	default:
		fprintf(file, value->number < 10 ? "%llu" : "%#llx",
			(unsigned long long)value->number);
	}
}

static void write_record(const struct record *record, FILE *file)
{
	const struct kind *kind = &kinds[record->kind];

	fprintf(file, "%*s%s", kind->level, "", kind->name);
	for (unsigned int i = 0; i < kind->nr_fields; i++) {
		if (record->values[i].what == V_AUTO)
			continue;
		fprintf(file, " %s=", kind->fields[i].name);
		write_value(&record->values[i], file);
	}
	if (kind->text && *record->text) {
		fputs(" \"", file);
		for (const char *at = record->text; *at; at++) {
			if (isprint((unsigned char)*at) && *at != '"' && *at != '\\')
				fputc(*at, file);
			else
				fprintf(file, "\\x%02x", (unsigned char)*at);
		}
		fputc('"', file);
	}
	fputc('\n', file);
}

void program_write(const struct program *program, FILE *file)
{
	for (unsigned int i = 0; i < program->nr; i++)
		write_record(&program->records[i], file);
	fputc('\n', file);
}
