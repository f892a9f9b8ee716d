/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fuzzer of ovltree's interface that knows its structures and is led by what of
 * the kernel a call reaches. An input is a program: some calls, one after another,
 * in a small world of folders, mounts and namespaces that is made for it.
 */
#ifndef OVLT_FUZZ_H
#define OVLT_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_RECORDS 40
#define MAX_FIELDS 16
#define MAX_TEXT 64
/* Descriptors and ids that the calls of one program return */
#define MAX_PRODUCTS 64
#define MAX_SOCKETS 3

/*
 * Programs, see program.c
 */

enum kind_id {
	/* Calls */
	K_INFO,
	K_PREPARE,
	K_ATTACH,
	K_DETACH,
	K_LAYERSET,
	K_MESSAGE,
	/* What else there is to do between them */
	K_CLOSE,
	K_HANGUP,
	K_WAIT,
	K_FSMOUNT,
	K_CLONE,
	/* Parts of the call before them */
	K_MOUNT,
	K_UNMOUNT,
	K_SET,
	K_ATTR,
	/* Of the mount before it */
	K_TREE,
	/* Of the tree or set before them */
	K_LOWER,
	K_OPTION,
	NR_KINDS,
};

/* What a field is for: how it is changed, and what a name in it stands for */
enum type {
	T_NUMBER,
	T_FLAGS,
	T_PROPAGATION,
	T_SIZE,
	T_COUNT,
	T_COMMAND,
	T_FD,
	T_ID,
	T_PATH,
	T_POINTER,
	T_ANY,
};

/* A member of the structure that a record stands for; without a size it is none. */
struct field {
	const char *name;
	enum type type;
	unsigned short offset;
	unsigned short size;
};

struct kind {
	const char *name;
	unsigned int level;
	size_t size;
	bool text;
	const struct field *fields;
	unsigned int nr_fields;
};

struct value {
	enum {
		V_AUTO,		/* what a correct caller would pass */
		V_NUMBER,
		V_OBJECT,	/* of the world */
		V_PRODUCT,	/* of an earlier call */
	} what;
	uint64_t number;
};

struct record {
	enum kind_id kind;
	struct value values[MAX_FIELDS];
	char text[MAX_TEXT];
};

struct program {
	unsigned int nr;
	struct record records[MAX_RECORDS];
};

extern const struct kind kinds[NR_KINDS];

int program_read(struct program *program, const char **text);
void program_write(const struct program *program, FILE *file);
unsigned int program_size(const struct program *program);
int field_find(enum kind_id kind, const char *name);
const struct value *field_get(const struct record *record, const char *name);

/*
 * Mutations, see mutate.c
 */

struct random {
	uint64_t state;
};

unsigned int below(struct random *random, unsigned int limit);
void program_mutate(struct program *program, const struct program *other,
		    struct random *random);
void program_remove(struct program *program, unsigned int first, unsigned int nr);

/*
 * The world, see world.c
 */

struct object {
	int fd;
	uint64_t mnt_id;
	uint64_t pointer;
};

struct world {
	int dev;
	uint16_t family;
	struct object *objects;
	/* For each descriptor its path in /proc; not to be written, as all paths */
	uint64_t fd_paths;
	/* Memory for the arguments of calls */
	char *arena;
	/* Its mounts: in mountinfo, and as many as listmount(2) tells of */
	unsigned int nr_mounts;
	int *mounts;
	long nr_listed;
};

extern const char *const object_names[];
extern const unsigned int nr_objects;

#define ARENA_SIZE (16U << 20)
#define FD_PATHS 512
#define FD_PATH_SIZE 32

void world_enter(struct world *world, int dev, int userns);
bool world_clean(const struct world *world);

/*
 * Execution, see execute.c
 */

struct execution {
	unsigned long calls;
	unsigned long succeeded;
	/* Something was done that cleaning the world doesn't undo */
	bool dirty;
	/* The first promise of the interface that was broken */
	char complaint[160];
};

void program_run(const struct program *program, const struct world *world,
		 struct execution *execution);

/*
 * Coverage, see coverage.c
 */

#define NR_EDGES (1U << 18)
#define MAX_FRESH 256

struct coverage {
	int fd;
	unsigned long *trace;
	/* Places in the trace of the last run */
	unsigned long nr;
	/* The run in which an edge was met last */
	unsigned int *met;
	unsigned int run;
};

/* Edges that no run had before */
struct fresh {
	unsigned int nr;
	unsigned int edges[MAX_FRESH];
};

bool coverage_open(struct coverage *coverage);
void coverage_start(struct coverage *coverage);
void coverage_stop(struct coverage *coverage);
void coverage_fresh(const struct coverage *coverage, unsigned char *seen,
		    struct fresh *fresh);
void coverage_keep_met(const struct coverage *coverage, struct fresh *fresh);
bool coverage_has(const struct coverage *coverage, const struct fresh *fresh);

#endif /* OVLT_FUZZ_H */
