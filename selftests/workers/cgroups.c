// SPDX-License-Identifier: GPL-2.0
/*
 * Workers that are killed in the middle of a call, all of a cgroup at once, or
 * that share a cgroup with something that leaves them no memory.
 */
#include "workers.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CGROUPS "/sys/fs/cgroup"
#define LIMIT (6 << 20)
#define CREW 2

static int write_to(const char *cgroup, const char *name, const char *text)
{
	char *path = ovlt_fmt(CGROUPS "/%s/%s", cgroup, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(path);
	return err;
}

/* It is in the cgroup from its first moment: none escapes who is slow to join. */
static pid_t start(struct stress *stress, int cgroup, unsigned int seed,
		   const struct stress_worker *worker)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup,
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0)
		ovlt_die("clone3");
	if (pid)
		return pid;
	stress_work(stress, worker, seed, 0);
	_exit(0);
}

/* Start a crew, kill it after a while. */
static void run_crew(struct stress *stress, const char *cgroup, unsigned int *seed,
		     const struct stress_worker *const *crew, const char *limit,
		     enum stress_op op, int lifetime)
{
	char *path = ovlt_fmt(CGROUPS "/%s", cgroup);
	pid_t pids[CREW];
	int err, fd;

	if (mkdir(path, 0755) && errno != EEXIST)
		ovlt_die("%s", path);
	if (limit && write_to(cgroup, "memory.max", limit))
		ovlt_die("memory.max");
	fd = ovlt_open(path, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < CREW; i++)
		pids[i] = start(stress, fd, rand_r(seed), crew[i]);
	close(fd);
	usleep(lifetime);
	err = write_to(cgroup, "cgroup.kill", "1");
	stress_count(stress, op, err);
	for (int i = 0; i < CREW; i++) {
		int status = stress_reap(pids[i]);

		if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
			stress->bad_status = status;
	}
	stress_count(stress, STRESS_CGROUP_RMDIR, ovlt_remove_cgroup(path));
	free(path);
}

static void kill_step(struct stress *stress, unsigned int *seed)
{
	static const struct stress_worker *const crew[CREW] = {
		&stress_batches, &stress_layersets,
	};

	run_crew(stress, "ovlt-kill", seed, crew, NULL, STRESS_CGROUP_KILL,
		 rand_r(seed) % 100000);
}

const struct stress_worker stress_kill = {
	.step = kill_step,
	.let_go = stress_nothing_held,
};

/* What it takes, it keeps until it is killed for it. */
static void hog(struct stress *stress, unsigned int *seed)
{
	size_t size = LIMIT / 64;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		pause();
	memset(p, 1, size);
}

static void memory_step(struct stress *stress, unsigned int *seed)
{
	static const struct stress_worker hogs = { .step = hog };
	static const struct stress_worker *const crew[CREW] = {
		&stress_batches, &hogs,
	};
	char *limit = ovlt_fmt("%d", LIMIT);

	/* Each time the kernel writes a page to its log, which takes a while. */
	usleep(rand_r(seed) % 1000000);
	run_crew(stress, "ovlt-memory", seed, crew, limit, STRESS_MEMORY,
		 100000 + rand_r(seed) % 400000);
	free(limit);
}

const struct stress_worker stress_memory = {
	.step = memory_step,
	.let_go = stress_nothing_held,
};
