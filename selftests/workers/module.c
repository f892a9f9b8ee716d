// SPDX-License-Identifier: GPL-2.0
/*
 * Unload the module while requests wait, and load it again. Mostly somebody has
 * the device open; half of the times all who may are asked to close it.
 */
#include "workers.h"

#include <sys/syscall.h>

#define MODULE "/lib/modules/ovltree.ko"
#define TRIES 100

int stress_module_unload(void)
{
	return syscall(SYS_delete_module, "ovltree", O_NONBLOCK) ? -errno : 0;
}

/* Return: 0; -ENOENT when this machine has it from elsewhere; -errno. */
int stress_module_load(void)
{
	int fd = open(MODULE, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

static void step(struct stress *stress, unsigned int *seed)
{
	bool quiet = rand_r(seed) % 2;
	int pause = rand_r(seed) % 10000, err, tries = quiet ? TRIES : 1;

	usleep(100 * (rand_r(seed) % 20000));
	if (access(MODULE, R_OK))
		return;
	__atomic_store_n(&stress->quiet, quiet, __ATOMIC_RELAXED);
	do {
		err = stress_module_unload();
		stress_count(stress, STRESS_UNLOAD, err);
		if (err)
			usleep(5000);
	} while (err && --tries);
	if (!err) {
		usleep(pause);
		stress_count(stress, STRESS_LOAD, stress_module_load());
	}
	__atomic_store_n(&stress->quiet, false, __ATOMIC_RELAXED);
}

const struct stress_worker stress_module = { .step = step };
