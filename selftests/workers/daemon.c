// SPDX-License-Identifier: GPL-2.0
/*
 * A daemon, killed as it starts, serves, and commits: ovltreed, and without it, or
 * in its turn, one that leaves all requests to their deadline.
 */
#include "workers.h"

#include <signal.h>
#include <sys/wait.h>

static void step(struct stress *stress, unsigned int *seed)
{
	const char *path = getenv("OVLT_DAEMON") ?: "/bin/ovltreed";
	int lifetime = rand_r(seed) % 2000000, status, null;
	bool idle = rand_r(seed) % 2 || access(path, X_OK);
	pid_t pid = fork();

	if (pid < 0)
		ovlt_die("fork");
	if (!pid && idle) {
		if (stress_serve())
			_exit(1);
		pause();
	}
	if (!pid) {
		null = ovlt_open("/dev/null", O_RDWR);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl(path, path, NULL);
		_exit(127);
	}
	usleep(lifetime);
	kill(pid, SIGKILL);
	status = stress_reap(pid);
	stress_count(stress, STRESS_DAEMON_KILL, WIFSIGNALED(status) ? 0 : -ECHILD);
}

const struct stress_worker stress_daemon = {
	.step = step,
	.let_go = stress_nothing_held,
};
