// SPDX-License-Identifier: GPL-2.0
/* The kernel's own calls that change the mount table, and what is under it. */
#include "workers.h"

static const unsigned long kinds[] = {
	MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE,
};

static int error_of(int ret)
{
	return ret < 0 ? -errno : 0;
}

static int bind_layer(const char *target)
{
	int mnt = ovlt_sys_open_tree("l0", 0), err;

	if (mnt < 0)
		return mnt;
	err = ovlt_sys_move_mount(mnt, target);
	close(mnt);
	return err;
}

static void step(struct stress *stress, unsigned int *seed)
{
	const char *a = stress_target(seed), *b = stress_target(seed);
	unsigned long kind = kinds[rand_r(seed) % ARRAY_SIZE(kinds)];

	switch (rand_r(seed) % 10) {
	case 0:
		stress_count(stress, STRESS_MOUNT,
			     error_of(mount("stress", a, "tmpfs", 0, NULL)));
		break;
	case 1:
	case 2:
		stress_count(stress, STRESS_UMOUNT, ovlt_sys_umount(a, MNT_DETACH));
		break;
	case 3:
		stress_count(stress, STRESS_UMOUNT, ovlt_sys_umount(a, 0));
		break;
	case 4:
		stress_count(stress, STRESS_RENAME, error_of(rename(a, b)));
		break;
	case 5:
		stress_count(stress, STRESS_RENAME,
			     error_of(renameat2(AT_FDCWD, a, AT_FDCWD, b,
						RENAME_EXCHANGE)));
		break;
	case 6:
		stress_count(stress, STRESS_RMDIR, error_of(rmdir(a)));
		break;
	case 7:
		stress_count(stress, STRESS_BIND, bind_layer(a));
		break;
	case 8:
		stress_count(stress, STRESS_PROPAGATION,
			     error_of(mount(NULL, a, NULL, kind, NULL)));
		break;
	case 9:
		stress_count(stress, STRESS_PROPAGATION,
			     error_of(mount(NULL, "peer", NULL, kind, NULL)));
		break;
	}
	mkdir(b, 0755);
}

const struct stress_worker stress_table = { .step = step };
