/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench - the peers' ways to attach overlays, and ours, side by side
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* world.c: what the peers work on */

struct container {
	uid_t base;	/* what id 0 of the container is on the host */
	int userns;
	char *upper;
	char *work;
	char *target;
};

#define NR_REFERENCE 4

struct world {
	unsigned int nr_containers;
	unsigned int nr_layers;
	unsigned int max_threads;	/* of a peer's workers */
	const char *filesystem;		/* that all is on */
	struct container *containers;
	struct container *reference;	/* NR_REFERENCE more, that no peer has */
	char *parent;	/* the folder that all layers are in */
	char **layers;	/* relative to @parent, the uppermost first */
	char **temp;	/* a folder a worker, with @nr_layers folders in it */
	char *bystander;
	char *mount_table;
};

void world_create(struct world *world, const char *device);
void world_expect_attached(const struct world *world, bool idmapped);
void world_expect_detached(const struct world *world);

char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t nr, size_t size);
void *allocate_shared(size_t size);

/* peer.c, ovltree.c, daemon.c, roundtrip.c: the ways to do it */

/* What one worker does. */
struct share {
	const struct world *world;
	unsigned int worker;	/* its number */
	const struct container *containers;
	unsigned int nr;
	const char *temp;
};

/**
 * struct peer - a way to attach and detach
 * @name: as in the figures
 * @idle: does nothing, for reference
 * @bare: mounts something else than the layers, or nothing; when it is asked for
 * @idmapped: the lower layers get the containers' id mappings
 * @independent: its workers are processes instead of threads
 * @available: tells whether the running kernel can do it; else errno says why
 * @open: called before the first attach of a measurement, not timed
 * @close: called after its last detach
 * @attach: attaches a worker's share of the containers, or exits
 * @detach: detaches them, or exits
 */
struct peer {
	const char *name;
	bool idle;
	bool bare;
	bool idmapped;
	bool independent;
	bool (*available)(void);
	void (*open)(const struct world *world);
	void (*close)(void);
	void (*attach)(const struct share *share);
	void (*detach)(const struct share *share);
};

extern const struct peer peer_idle, peer_tmpfs, peer_round_trip;
extern const struct peer peer_per_layer, peer_common_parent, peer_plain;
extern const struct peer peer_ovltree_1, peer_ovltree_batch;
extern const struct peer peer_ovltree_layerset, peer_ovltree_parallel;
extern const struct peer peer_ovltree_daemon;

bool ovltree_available(void);
void ovltree_prepare(const struct world *world,
		     const struct container *containers, unsigned int nr,
		     int *fds);

/* What the workers of a phase add up, in memory that processes share. */
struct tally {
	atomic_ulong syscalls;
	atomic_bool uncounted;		/* there were others, which aren't known */
	atomic_ulong longest_hold;	/* of a call, in ns; 0: not known */
};

extern struct tally *tally;

/* Around every system call of a peer. */
#define COUNT(call) (atomic_fetch_add(&tally->syscalls, 1), (call))

void note_hold(unsigned long ns);

/* measure.c: what is measured, and when */

#define MAX_FIGURES 12

enum phase { ATTACH, DETACH, BOTH, NR_PHASES };

struct figure {
	const char *name;
	const char *unit;
};

/**
 * struct pass - figures that are taken together
 * @name: how the command line calls it
 * @idle: the figures mean something without a peer, too
 * @single: the number of workers makes no difference
 * @figures: ends with an empty one
 * @open: called once, before anything is measured
 * @start: called before a phase, when all is quiet
 * @stop: called after a phase that took so many seconds; fills a value a figure,
 *	NAN for what the peer doesn't have
 * @attached: called between the two phases
 * @both: fills those of BOTH when these aren't the sums of the two phases
 */
struct pass {
	const char *name;
	bool idle;
	bool single;
	struct figure figures[MAX_FIGURES];
	void (*open)(const struct world *world);
	void (*start)(void);
	void (*stop)(double seconds, double *values);
	void (*attached)(const struct world *world);
	void (*both)(double values[NR_PHASES][MAX_FIGURES]);
};

extern const struct pass pass_time, pass_instructions, pass_watch, pass_read, pass_locks;

/* How long to go on: up to @repeats rounds, none begun after @limit seconds. */
struct effort {
	unsigned int repeats;
	unsigned int limit;
};

void measure(const struct world *world, const struct peer *peer,
	     const struct pass *pass, unsigned int threads,
	     const struct effort *effort);

int compare_doubles(const void *a, const void *b);
void sleep_ns(long ns);
uint64_t now_ns(void);
double seconds_since(uint64_t ns);

#endif /* BENCH_H */
