// SPDX-License-Identifier: GPL-2.0
/* Mount namespaces that come, take trees, and go. */
#include "workers.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

static int error_of(int ret)
{
	return ret < 0 ? -errno : 0;
}

/* Attach one tree where the caller may lack the rights, or the layers. */
static void try_attach(struct stress *stress, int dev, struct ovltree_attach entry)
{
	struct ovltree_tree *tree = ovlt_simple_tree();
	struct ovltree_result result;
	int ret;

	entry.tree = (uintptr_t)tree;
	ret = ovlt_attach(dev, 0, &entry, 1, &result);
	stress_count(stress, STRESS_ATTACH_NS, ret < 0 ? ret : result.error);
	free((void *)(uintptr_t)tree->lower);
	free(tree);
}

/* As a container runtime does it: what others mount still comes in. */
static void become_container(struct stress *stress, int dev, const char *target)
{
	int err = error_of(unshare(CLONE_NEWNS));

	stress_count(stress, STRESS_UNSHARE, err);
	if (err || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return;
	try_attach(stress, dev, ovlt_entry_tree(NULL, target));
	if (chdir(target))
		return;
	err = error_of(syscall(SYS_pivot_root, ".", "."));
	stress_count(stress, STRESS_PIVOT_ROOT, err);
	if (!err)
		umount2(".", MNT_DETACH);
}

static void become_user(struct stress *stress, int dev, const char *target)
{
	struct ovltree_detach entry = ovlt_entry_path(target, OVLTREE_DETACH_LAZY);
	struct ovltree_result result;
	int err = error_of(unshare(CLONE_NEWUSER | CLONE_NEWNS));

	stress_count(stress, STRESS_UNSHARE_USER, err);
	if (err)
		return;
	try_attach(stress, dev, ovlt_entry_tree(NULL, target));
	ovlt_detach(dev, &entry, 1, &result);
}

static void in_child(struct stress *stress, int dev, const char *target,
		     void (*run)(struct stress *stress, int dev, const char *target))
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		run(stress, dev, target);
		_exit(0);
	}
	status = stress_reap(pid);
	if (status)
		stress->bad_status = status;
}

/* A child in a mount namespace of its own; it is killed by who needs it. */
static pid_t start_namespace(struct stress *stress)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC))
		ovlt_die("pipe");
	pid = fork();
	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		stress_count(stress, STRESS_UNSHARE, error_of(unshare(CLONE_NEWNS)));
		close(ready[1]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1))
		ovlt_die("namespace");
	close(ready[0]);
	return pid;
}

static void umount_inside(struct stress *stress, int mntns, const char *target)
{
	int err = error_of(setns(mntns, CLONE_NEWNS));

	stress_count(stress, STRESS_SETNS, err);
	if (!err && !chdir("/tmp"))
		ovlt_sys_umount(target, MNT_DETACH);
}

/* Attach into another namespace while its last process may be dying. */
static void reach_in(struct stress *stress, int dev, const char *target, bool die_first)
{
	pid_t pid = start_namespace(stress);
	char *path = ovlt_fmt("/proc/%d/ns/mnt", pid);
	char *root = ovlt_fmt("/proc/%d/root/tmp/%s", pid, target);
	int mntns = ovlt_open(path, O_RDONLY), fd = open(root, O_PATH | O_CLOEXEC);

	if (die_first)
		kill(pid, SIGKILL);
	if (fd >= 0)
		try_attach(stress, dev, (struct ovltree_attach) {
			.flags = OVLTREE_ATTACH_MNTNS,
			.target.fd = fd,
			.mntns_fd = mntns,
		});
	in_child(stress, mntns, target, umount_inside);
	kill(pid, SIGKILL);
	stress_reap(pid);
	if (fd >= 0)
		close(fd);
	close(mntns);
	free(path);
	free(root);
}

static void step(struct stress *stress, unsigned int *seed)
{
	const char *target = stress_target(seed);
	int dev = stress_open(stress);

	if (dev < 0)
		return;
	switch (rand_r(seed) % 3) {
	case 0:
		in_child(stress, dev, target, become_container);
		break;
	case 1:
		in_child(stress, dev, target, become_user);
		break;
	case 2:
		reach_in(stress, dev, target, rand_r(seed) % 2);
		break;
	}
	close(dev);
}

const struct stress_worker stress_namespaces = {
	.step = step,
	.let_go = stress_nothing_held,
};
