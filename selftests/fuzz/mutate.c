// SPDX-License-Identifier: GPL-2.0
/*
 * Changes to programs: of a field by what it is for, and of the order, number and
 * completeness of records.
 */
#include <string.h>

#include "fuzz.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

static const uint64_t sizes[] = {
	0, 1, 8, 15, 16, 17, 24, 32, 39, 40, 41, 47, 48, 49, 55, 56, 57, 64, 71, 72, 73,
	80, 159, 160, 161, 168, 4088, 4095, 4096, 4097, 8192, 65536, 0x7fffffff,
	0x80000000, 0xffffffff,
};

static const uint64_t counts[] = {
	0, 1, 2, 3, 4, 5, 8, 16, 64, 499, 500, 501, 1023, 1024, 1025, 0x10000000,
	0x7fffffff, 0x80000000, 0xffffffff,
};

static const uint64_t descriptors[] = {
	0, 1, 3, 1000, 0x7fffffff, -1, -2, -100, (uint64_t)1 << 31,
};

static const uint64_t pointers[] = {
	0, 1, 4096, 0x7fffffffe000, 0x7ffffffff000, 0x800000000000,
	0xffff888000000000, -4096, -8, -1,
};

static const uint64_t numbers[] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 64, 127, 255, 1000, 60000, 60001, 65535,
	0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ULL << 63, -1,
};

/* Commands of the interface and what looks like them */
static const uint64_t commands[] = {
	0xc500, 0xc501, 0xc502, 0xc503, 0xc504, 0xc505, 0xc5ff, 0, 0x5401,
	0xc038c501, 0x4038c502, 0x8038c503, 0xffffc502,
};

/* Options of an overlay, of all file systems, and what is none */
static const char *const options[] = {
	"userxattr", "redirect_dir=on", "redirect_dir=off", "redirect_dir=follow",
	"redirect_dir=nofollow", "index=on", "index=off", "uuid=on", "uuid=off",
	"uuid=null", "uuid=auto", "nfs_export=on", "nfs_export=off", "xino=on",
	"xino=off", "xino=auto", "metacopy=on", "metacopy=off", "verity=on",
	"verity=require", "verity=off", "volatile", "default_permissions",
	"lowerdir=/", "lowerdir+=/", "datadir+=/", "upperdir=/", "workdir=/",
	"source=fuzz", "ro", "rw", "sync", "dirsync", "lazytime", "", "=",
	"=on", "index", "index=", "userxattr=", "volatile=1", "no_such=option",
	"\x01\xff", "context=u:r:t", "fscontext=", "silent",
};

#define PICK(random, array) ((array)[below(random, ARRAY_SIZE(array))])

unsigned int below(struct random *random, unsigned int limit)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return (uint32_t)((random->state * 0x2545f4914f6cdd1dULL) >> 32) % limit;
}

static bool one_in(struct random *random, unsigned int n)
{
	return !below(random, n);
}

static struct value number(uint64_t n)
{
	return (struct value){ V_NUMBER, n };
}

static struct value thing(struct random *random)
{
	if (one_in(random, 3))
		return (struct value){ V_PRODUCT, below(random, 6) };
	return (struct value){ V_OBJECT, below(random, nr_objects) };
}

static struct value random_value(enum type type, struct random *random)
{
	switch (type) {
	case T_FLAGS:
		if (one_in(random, 4))
			return number(1ULL << below(random, 32));
		return number(below(random, 16));
	case T_PROPAGATION:
		if (one_in(random, 4))
			return number(below(random, 16) << 17);
		return number(1U << (17 + below(random, 4)));
	case T_SIZE:
		return number(PICK(random, sizes));
	case T_COUNT:
		/* The great ones cost time. */
		return number(one_in(random, 8) ? PICK(random, counts) : below(random, 6));
	case T_COMMAND:
		return number(PICK(random, commands));
	case T_FD:
		return one_in(random, 6) ? number(PICK(random, descriptors)) : thing(random);
	case T_ID:
		return one_in(random, 4) ? number(PICK(random, numbers)) : thing(random);
	case T_PATH:
		return one_in(random, 8) ? number(PICK(random, pointers)) : thing(random);
	case T_POINTER:
		if (one_in(random, 3))
			return thing(random);
		return number(PICK(random, pointers));
	case T_ANY:
		return random_value(below(random, T_ANY), random);
	default:
		return number(one_in(random, 2) ? below(random, 16) : PICK(random, numbers));
	}
}

static void set_option(struct record *record, struct random *random)
{
	snprintf(record->text, MAX_TEXT, "%s", PICK(random, options));
}

static void change_text(struct record *record, struct random *random)
{
	size_t len = strlen(record->text);

	switch (below(random, 4)) {
	case 0:
		if (len)
			record->text[below(random, len)] = 1 + below(random, 255);
		break;
	case 1:
		record->text[below(random, len + 1)] = '\0';
		break;
	case 2:
		if (len < MAX_TEXT - 1)
			record->text[len] = 1 + below(random, 255);
		break;
	default:
		set_option(record, random);
	}
}

static void change_field(struct record *record, struct random *random)
{
	const struct kind *kind = &kinds[record->kind];
	struct value *value;
	unsigned int i;

	if (kind->text && (!kind->nr_fields || one_in(random, 3))) {
		change_text(record, random);
		return;
	}
	if (!kind->nr_fields)
		return;
	i = below(random, kind->nr_fields);
	value = &record->values[i];
	if (value->what != V_AUTO && one_in(random, 3))
		value->what = V_AUTO;
	else if (value->what == V_NUMBER && one_in(random, 4))
		value->number += below(random, 2) ? 1 : -1;
	else if (value->what == V_NUMBER && one_in(random, 4))
		value->number ^= 1ULL << below(random, 32);
	else
		*value = random_value(kind->fields[i].type, random);
}

static struct record random_record(struct random *random)
{
	struct record record = { .kind = below(random, NR_KINDS) };
	const struct kind *kind = &kinds[record.kind];

	if (kind->text)
		set_option(&record, random);
	/* What stands for nothing without a path has one. */
	for (unsigned int i = 0; i < kind->nr_fields; i++) {
		if (kind->fields[i].type == T_PATH && !one_in(random, 4))
			record.values[i] = thing(random);
	}
	change_field(&record, random);
	return record;
}

static void insert(struct program *program, unsigned int at,
		   const struct record *records, unsigned int nr)
{
	if (nr > MAX_RECORDS - program->nr)
		nr = MAX_RECORDS - program->nr;
	memmove(&program->records[at + nr], &program->records[at],
		(program->nr - at) * sizeof(*records));
	memcpy(&program->records[at], records, nr * sizeof(*records));
	program->nr += nr;
}

void program_remove(struct program *program, unsigned int first, unsigned int nr)
{
	memmove(&program->records[first], &program->records[first + nr],
		(program->nr - first - nr) * sizeof(program->records[0]));
	program->nr -= nr;
}

/* Of a record and those that are parts of it */
static unsigned int extent(const struct program *program, unsigned int first)
{
	unsigned int level = kinds[program->records[first].kind].level, end;

	for (end = first + 1; end < program->nr; end++)
		if (kinds[program->records[end].kind].level <= level)
			break;
	return end - first;
}

static void copy_part(struct program *program, const struct program *from,
		      struct random *random)
{
	struct record part[MAX_RECORDS];
	unsigned int first = below(random, from->nr), nr = extent(from, first);
	unsigned int at = below(random, program->nr + 1);

	memcpy(part, &from->records[first], nr * sizeof(*part));
	/* Most often where it can be what it was: before one of its own level */
	while (at < program->nr && !one_in(random, 8) &&
	       kinds[program->records[at].kind].level > kinds[part[0].kind].level)
		at++;
	insert(program, at, part, nr);
}

static void swap(struct program *program, struct random *random)
{
	struct record *a = &program->records[below(random, program->nr)];
	struct record *b = &program->records[below(random, program->nr)];
	struct record c = *a;

	*a = *b;
	*b = c;
}

static void change(struct program *program, const struct program *other,
		   struct random *random)
{
	struct record record;
	unsigned int at;

	switch (below(random, 12)) {
	case 0:
		at = below(random, program->nr);
		program_remove(program, at, extent(program, at));
		break;
	case 1:
		program_remove(program, below(random, program->nr), 1);
		break;
	case 2:
		copy_part(program, program, random);
		break;
	case 3:
	case 4:
		copy_part(program, other, random);
		break;
	case 5:
		swap(program, random);
		break;
	case 6:
		record = random_record(random);
		insert(program, below(random, program->nr + 1), &record, 1);
		break;
	default:
		change_field(&program->records[below(random, program->nr)], random);
	}
}

/**
 * program_mutate - change a program a little
 * @program: the program; it has a record at least, and keeps one
 * @other: where parts are taken from
 * @random: decides
 */
void program_mutate(struct program *program, const struct program *other,
		    struct random *random)
{
	do {
		change(program, other, random);
		if (!program->nr)
			*program = *other;
	} while (!one_in(random, 3));
}
