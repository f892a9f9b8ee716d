// SPDX-License-Identifier: GPL-2.0
/*
 * fuzzer - look for programs that reach more of the kernel
 *
 * usage: fuzzer [-s SECONDS] [-c CALLS] [-r SEED] [-w WORKERS] [-o FILE] [-t] CORPUS...
 *
 * Runs what is in the files CORPUS, and then changes of it, until the time is over
 * or the calls are made. A program that reaches an edge which none before it did is
 * made as small as it can be and goes to FILE; there is then all that is worth keeping.
 * With -t each program is printed before it is run, for one that takes the kernel
 * with it.
 *
 * Every second worker is root of a user namespace. With one worker the choices are
 * those of SEED alone, up to what the kernel does differently.
 */
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "../common.h"
#include "fuzz.h"

#define MAX_WORKERS 16
#define MAX_INPUTS 8192
/* Programs in one world */
#define EPOCH 1000
#define HANG_S 120
#define REPORT_S 30

struct input {
	bool ready;
	struct program program;
};

/* Of a worker, and left to the next process that works for it */
struct slot {
	pid_t pid;
	struct random random;
	struct program now;
	unsigned long calls;
	unsigned long programs;
	unsigned long succeeded;
	char complaint[200];
	/* Of the parent */
	unsigned long seen_programs;
	time_t alive;
};

/* What all processes share */
struct shared {
	bool stop;
	unsigned int nr_corpus;
	unsigned int next_corpus;
	unsigned int nr_kept;
	struct slot slots[MAX_WORKERS];
	unsigned char seen[NR_EDGES];
	struct input corpus[MAX_INPUTS];
	struct input kept[MAX_INPUTS];
};

static struct shared *shared;
static int dev, out = -1, userns;
static bool trace;

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/*
 * Inputs
 */

static int by_size(const void *a, const void *b)
{
	const struct input *x = a, *y = b;

	return (int)program_size(&x->program) - (int)program_size(&y->program);
}

static void read_corpus(const char *path)
{
	char *text = ovlt_read(path);
	const char *at = text;
	int err = 0;

	while (shared->nr_corpus < MAX_INPUTS) {
		err = program_read(&shared->corpus[shared->nr_corpus].program, &at);
		if (err)
			break;
		shared->nr_corpus++;
	}
	if (err && err != -ENOENT)
		ksft_exit_fail_msg("%s: line with byte %zd: %s\n", path, at - text,
				   strerror(-err));
	free(text);
}

static void print_program(const struct program *program, int fd)
{
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	program_write(program, file);
	fclose(file);
	if (write(fd, text, size) != (ssize_t)size)
		ovlt_die("write");
	free(text);
}

static void keep(const struct program *program)
{
	unsigned int i = __atomic_fetch_add(&shared->nr_kept, 1, __ATOMIC_RELAXED);

	if (i >= MAX_INPUTS)
		return;
	shared->kept[i].program = *program;
	__atomic_store_n(&shared->kept[i].ready, true, __ATOMIC_RELEASE);
	if (out >= 0)
		print_program(program, out);
}

/* One of those that are kept, or of the corpus while there is none */
static const struct program *some_input(struct random *random)
{
	unsigned int nr = __atomic_load_n(&shared->nr_kept, __ATOMIC_RELAXED);
	const struct input *input;

	if (nr > MAX_INPUTS)
		nr = MAX_INPUTS;
	if (!nr)
		return &shared->corpus[below(random, shared->nr_corpus)].program;
	input = &shared->kept[below(random, nr)];
	if (!__atomic_load_n(&input->ready, __ATOMIC_ACQUIRE))
		return &shared->corpus[below(random, shared->nr_corpus)].program;
	return &input->program;
}

static void next_program(struct slot *slot)
{
	unsigned int i = __atomic_fetch_add(&shared->next_corpus, 1, __ATOMIC_RELAXED);

	if (i < shared->nr_corpus) {
		slot->now = shared->corpus[i].program;
		return;
	}
	shared->next_corpus = shared->nr_corpus;
	slot->now = *some_input(&slot->random);
	program_mutate(&slot->now, some_input(&slot->random), &slot->random);
}

/*
 * Work
 */

struct worker {
	struct slot *slot;
	struct world world;
	struct coverage coverage;
	bool dirty;
};

static void try(struct worker *worker)
{
	struct slot *slot = worker->slot;
	struct execution execution;

	if (trace)
		print_program(&slot->now, STDOUT_FILENO);
	coverage_start(&worker->coverage);
	program_run(&slot->now, &worker->world, &execution);
	coverage_stop(&worker->coverage);
	slot->calls += execution.calls;
	slot->succeeded += execution.succeeded;
	slot->programs++;
	if (!world_clean(&worker->world) || execution.dirty)
		worker->dirty = true;
	if (*execution.complaint) {
		memcpy(slot->complaint, execution.complaint, sizeof(execution.complaint));
		_exit(1);
	}
}

/* Try the program that is there now, and take @before back if it isn't as good. */
static bool try_less(struct worker *worker, const struct fresh *fresh,
		     const struct program *before)
{
	try(worker);
	if (coverage_has(&worker->coverage, fresh))
		return true;
	worker->slot->now = *before;
	return false;
}

static void minimise(struct worker *worker, const struct fresh *fresh)
{
	struct program *program = &worker->slot->now, before;

	for (unsigned int i = program->nr; i-- && program->nr > 1 && !worker->dirty; ) {
		before = *program;
		program_remove(program, i, 1);
		try_less(worker, fresh, &before);
	}
	for (unsigned int i = 0; i < program->nr; i++) {
		for (unsigned int f = 0; f < MAX_FIELDS && !worker->dirty; f++) {
			if (program->records[i].values[f].what == V_AUTO)
				continue;
			before = *program;
			program->records[i].values[f] = (struct value){};
			try_less(worker, fresh, &before);
		}
	}
}

/*
 * What is found once only, as it hung on what others did at that moment, isn't worth
 * to be kept. A world that has to go can't tell.
 */
static void look(struct worker *worker)
{
	struct fresh fresh;

	coverage_fresh(&worker->coverage, shared->seen, &fresh);
	if (!fresh.nr)
		return;
	if (!worker->dirty) {
		try(worker);
		coverage_keep_met(&worker->coverage, &fresh);
		if (!fresh.nr)
			return;
		minimise(worker, &fresh);
	}
	keep(&worker->slot->now);
}

static void __noreturn work(struct slot *slot, bool user)
{
	struct worker worker = { .slot = slot };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	coverage_open(&worker.coverage);
	world_enter(&worker.world, dev, user ? userns : -1);
	for (int i = 0; i < EPOCH && !worker.dirty && !shared->stop; i++) {
		next_program(slot);
		try(&worker);
		look(&worker);
	}
	_exit(0);
}

/*
 * The parent
 */

static void start(unsigned int i)
{
	struct slot *slot = &shared->slots[i];
	pid_t pid;

	fflush(NULL);
	slot->alive = now();
	pid = fork();
	if (pid < 0)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	if (!pid)
		work(slot, i % 2);
	slot->pid = pid;
}

static void blame(struct slot *slot)
{
	ksft_print_msg("%s, after:\n", slot->complaint);
	print_program(&slot->now, STDOUT_FILENO);
	shared->stop = true;
}

/* Return: whether the worker is at work, or has ended as it should. */
static bool watch(struct slot *slot)
{
	int status;

	if (!waitpid(slot->pid, &status, WNOHANG)) {
		if (slot->programs != slot->seen_programs)
			slot->alive = now();
		slot->seen_programs = slot->programs;
		if (now() - slot->alive < HANG_S)
			return true;
		snprintf(slot->complaint, sizeof(slot->complaint), "no progress");
		kill(slot->pid, SIGKILL);
	} else {
		slot->pid = 0;
		if (!status)
			return true;
		if (!*slot->complaint)
			snprintf(slot->complaint, sizeof(slot->complaint),
				 "worker ended with status %#x", status);
	}
	blame(slot);
	return false;
}

static unsigned long total(size_t counter)
{
	unsigned long sum = 0;

	for (int i = 0; i < MAX_WORKERS; i++)
		sum += *(unsigned long *)((char *)&shared->slots[i] + counter);
	return sum;
}

#define TOTAL(counter) total(offsetof(struct slot, counter))

static void report(time_t begin)
{
	unsigned int edges = 0;

	for (unsigned int i = 0; i < NR_EDGES; i++)
		edges += shared->seen[i];
	ksft_print_msg("%lu calls, %lu programs, %lu entries good, %u edges, %u kept, %ld s\n",
		       TOTAL(calls), TOTAL(programs), TOTAL(succeeded), edges,
		       shared->nr_kept, (long)(now() - begin));
}

static bool supervise(unsigned int workers, time_t seconds, unsigned long calls)
{
	time_t begin = now(), next = begin + REPORT_S;
	unsigned int running = workers;
	bool good = true;

	for (unsigned int i = 0; i < workers; i++)
		start(i);
	while (running) {
		usleep(20000);
		if (now() - begin >= seconds || TOTAL(calls) >= calls)
			shared->stop = true;
		for (unsigned int i = 0; i < workers; i++) {
			struct slot *slot = &shared->slots[i];

			if (!slot->pid)
				continue;
			if (!watch(slot)) {
				good = false;
				slot->pid = 0;
			}
			if (!slot->pid && shared->stop)
				running--;
			else if (!slot->pid)
				start(i);
		}
		if (now() >= next) {
			report(begin);
			next += REPORT_S;
		}
	}
	report(begin);
	return good;
}

int main(int argc, char **argv)
{
	unsigned long seconds = 60, calls = -1UL, seed = 20261124;
	unsigned int workers = 2;
	bool good;
	int opt;

	while ((opt = getopt(argc, argv, "s:c:r:w:o:t")) != -1) {
		switch (opt) {
		case 's':
			seconds = strtoul(optarg, NULL, 0);
			break;
		case 'c':
			calls = strtoul(optarg, NULL, 0);
			break;
		case 'r':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'w':
			workers = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			out = open(optarg, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
			if (out < 0)
				ksft_exit_fail_msg("%s: %s\n", optarg, strerror(errno));
			break;
		case 't':
			trace = true;
			break;
		default:
			ksft_exit_fail_msg("unknown option\n");
		}
	}
	if (optind == argc || !workers || workers > MAX_WORKERS)
		ksft_exit_fail_msg("usage: fuzzer [OPTION...] CORPUS...\n");

	ksft_print_header();
	ksft_set_plan(1);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	dev = ovlt_open("/dev/ovltree", O_RDWR);
	userns = ovlt_userns("0 100000 65536");
	for (int i = optind; i < argc; i++)
		read_corpus(argv[i]);
	if (!shared->nr_corpus)
		ksft_exit_fail_msg("no programs\n");
	/* The small ones first, so that what they reach needs no greater one */
	qsort(shared->corpus, shared->nr_corpus, sizeof(*shared->corpus), by_size);
	for (int i = 0; i < MAX_WORKERS; i++)
		shared->slots[i].random.state = (seed + i) * 0x9e3779b97f4a7c15UL | 1;

	good = supervise(workers, seconds, calls);
	ksft_test_result(good, "fuzz seed %lu\n", seed);
	ksft_finished();
}
