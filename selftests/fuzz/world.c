// SPDX-License-Identifier: GPL-2.0
/*
 * The world of a program: a mount namespace, and a network namespace for its own
 * queue, with a few folders and mounts of each sort that the interface tells apart.
 */
#include <limits.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/ovltree_netlink.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../common.h"
#include "fuzz.h"

#define MAX_MOUNTS 256

/* Files and folders, and the order of struct world's objects */
static const char *const files[] = {
	"l0", "l1", "l2", "l0/d", "l0/a", "d0", "u0", "w0", "u1", "w1", "u0/in", "t0",
	"t1", "t2", "t3", "tf", "t0/in", "b", "b/l", "b/u", "b/w", "b/t", "ro", "sh",
	"sh/t", "sh/l", "slave/t", "unb/l", "link", "loop", "ovl", "ovl/d", ".",
};

enum {
	OTHER_FIRST = ARRAY_SIZE(files),
	O_GONE = OTHER_FIRST,
	O_EMPTY,
	O_LONG,
	O_PIPE,
	O_DEV,
	O_MNTNS,
	O_MNTNS_OTHER,
	O_USERNS,
	O_USERNS_MAPPED,
	O_USERNS_UNMAPPED,
	O_ARENA,
	O_EDGE,
	O_BAD,
	O_READ_ONLY,
	NR_OBJECTS,
};

const char *const object_names[NR_OBJECTS] = {
	"l0", "l1", "l2", "l0/d", "l0/a", "d0", "u0", "w0", "u1", "w1", "u0/in", "t0",
	"t1", "t2", "t3", "tf", "t0/in", "b", "b/l", "b/u", "b/w", "b/t", "ro", "sh",
	"sh/t", "sh/l", "slave/t", "unb/l", "link", "loop", "ovl", "ovl/d", ".",
	[O_GONE] = "gone", [O_EMPTY] = "empty", [O_LONG] = "long", [O_PIPE] = "pipe",
	[O_DEV] = "dev", [O_MNTNS] = "mntns", [O_MNTNS_OTHER] = "mntns-other",
	[O_USERNS] = "userns", [O_USERNS_MAPPED] = "userns-mapped",
	[O_USERNS_UNMAPPED] = "userns-unmapped", [O_ARENA] = "arena",
	[O_EDGE] = "edge", [O_BAD] = "bad", [O_READ_ONLY] = "read-only",
};

const unsigned int nr_objects = NR_OBJECTS;

static void make_folders(void)
{
	ovlt_mkdirs("l0/d", "l1/d", "l2", "d0", "u0/in", "w0", "u1", "w1", "t0/in", "t1",
		    "t2", "t3", "b", "ro", "sh", "peer", "slave", "unb", "ovl", NULL);
	ovlt_write("l0/a", "l0");
	ovlt_write("l1/d/b", "l1");
	ovlt_write("d0/data", "d0");
	ovlt_write("tf", "");
	ovlt_whiteout("l2/a");
	if (symlink("t0", "link") || symlink("loop", "loop"))
		ovlt_die("symlink");
}

static void make_mounts(void)
{
	ovlt_tmpfs("b");
	ovlt_mkdirs("b/l/x", "b/u", "b/w", "b/t", NULL);
	ovlt_mount("l1", "ro", NULL, MS_BIND, NULL);
	ovlt_mount(NULL, "ro", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	ovlt_tmpfs("sh");
	ovlt_mkdirs("sh/t", "sh/l", NULL);
	ovlt_mount(NULL, "sh", NULL, MS_SHARED, NULL);
	ovlt_mount("sh", "peer", NULL, MS_BIND, NULL);
	ovlt_mount("sh", "slave", NULL, MS_BIND, NULL);
	ovlt_mount(NULL, "slave", NULL, MS_SLAVE, NULL);
	ovlt_tmpfs("unb");
	ovlt_mkdirs("unb/l", NULL);
	ovlt_mount(NULL, "unb", NULL, MS_UNBINDABLE, NULL);
	ovlt_mount("ovl", "ovl", "overlay", 0, "lowerdir=l1:l0,userxattr");
}

static int namespace(const char *name)
{
	char *path = ovlt_fmt("/proc/self/ns/%s", name);
	int fd = ovlt_open(path, O_RDONLY);

	free(path);
	return fd;
}

/* A copy of our own mount namespace */
static int other_mntns(int own)
{
	int fd;

	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	fd = namespace("mnt");
	if (setns(own, CLONE_NEWNS) || chdir("/tmp"))
		ovlt_die("setns");
	return fd;
}

static int removed_folder(void)
{
	int fd;

	ovlt_mkdir("gone");
	fd = ovlt_open("gone", O_PATH);
	if (rmdir("gone"))
		ovlt_die("rmdir");
	return fd;
}

static void make_descriptors(struct object *objects, int dev, bool user)
{
	int pipes[2];

	for (unsigned int i = 0; i < OTHER_FIRST; i++) {
		objects[i].fd = ovlt_open(files[i], O_PATH | O_NOFOLLOW);
		objects[i].mnt_id = ovlt_mount_id(objects[i].fd, "");
	}
	for (unsigned int i = OTHER_FIRST; i < NR_OBJECTS; i++)
		objects[i].fd = -1;
	if (pipe2(pipes, O_CLOEXEC))
		ovlt_die("pipe");
	objects[O_PIPE].fd = pipes[0];
	objects[O_GONE].fd = removed_folder();
	objects[O_DEV].fd = dev;
	objects[O_MNTNS].fd = namespace("mnt");
	objects[O_MNTNS_OTHER].fd = other_mntns(objects[O_MNTNS].fd);
	objects[O_USERNS].fd = namespace("user");
	objects[O_USERNS_MAPPED].fd = ovlt_userns(user ? "0 1000 1000" : "0 100000 65536");
	objects[O_USERNS_UNMAPPED].fd = ovlt_userns(NULL);
}

/*
 * All text that is pointed to, in memory that no call can write to; the page behind
 * it can't be read, and so what begins at its edge is cut off.
 */
static void make_memory(struct world *world)
{
	size_t size = 64 << 10, page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct object *objects = world->objects;
	char *at = memory;

	world->arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED || world->arena == MAP_FAILED)
		ovlt_die("mmap");
	for (unsigned int i = 0; i < OTHER_FIRST; i++) {
		objects[i].pointer = (uintptr_t)at;
		at += sprintf(at, "/tmp/%s", files[i]) + 1;
	}
	objects[O_GONE].pointer = (uintptr_t)at;
	at += sprintf(at, "/tmp/gone");
	objects[O_EMPTY].pointer = (uintptr_t)at++;
	objects[O_LONG].pointer = (uintptr_t)memset(at, '/', PATH_MAX + 1);
	at += PATH_MAX + 2;
	world->fd_paths = (uintptr_t)at;
	for (unsigned int i = 0; i < FD_PATHS; i++)
		snprintf(at + i * FD_PATH_SIZE, FD_PATH_SIZE, "/proc/self/fd/%u", i);
	for (unsigned int i = O_PIPE; i <= O_USERNS_UNMAPPED; i++)
		objects[i].pointer = world->fd_paths + objects[i].fd * FD_PATH_SIZE;
	objects[O_ARENA].pointer = (uintptr_t)world->arena;
	objects[O_EDGE].pointer = (uintptr_t)memory + size - 8;
	objects[O_BAD].pointer = (uintptr_t)memory + size;
	objects[O_READ_ONLY].pointer = (uintptr_t)memory;
	if (mprotect(memory, size, PROT_READ) || mprotect(memory + size, page, PROT_NONE))
		ovlt_die("mprotect");
}

/* The number of the family, which the kernel's answer to its name has first or later */
static __u16 find_family(void)
{
	struct {
		struct nlmsghdr nlh;
		struct genlmsghdr genl;
		struct nlattr attr;
		char name[sizeof(OVLTREE_FAMILY_NAME)];
	} request = {
		.nlh = { sizeof(request), GENL_ID_CTRL, NLM_F_REQUEST },
		.genl = { CTRL_CMD_GETFAMILY, 1 },
		.attr = { NLA_HDRLEN + sizeof(request.name), CTRL_ATTR_FAMILY_NAME },
		.name = OVLTREE_FAMILY_NAME,
	};
	char answer[8192], *at = answer + NLMSG_LENGTH(GENL_HDRLEN);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	ssize_t len;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		ovlt_die("netlink");
	len = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	while (at + sizeof(struct nlattr) <= answer + len) {
		const struct nlattr *attr = (const void *)at;

		if (attr->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(__u16 *)(at + NLA_HDRLEN);
		at += NLA_ALIGN(attr->nla_len);
	}
	ovlt_die("no family " OVLTREE_FAMILY_NAME);
}

static unsigned int list_mounts(int *ids, char **targets)
{
	char *text = ovlt_mountinfo(), *rest = text, *line;
	unsigned int nr = 0;

	while ((line = strsep(&rest, "\n")) && nr < MAX_MOUNTS) {
		char target[PATH_MAX];

		if (sscanf(line, "%d %*d %*s %*s %4095s", &ids[nr], target) != 2)
			continue;
		if (targets)
			targets[nr] = ovlt_fmt("%s", target);
		nr++;
	}
	free(text);
	return nr;
}

static long count_mounts(void)
{
	__u64 ids[MAX_MOUNTS];

	return ovlt_list_mounts(ids, MAX_MOUNTS);
}

/**
 * world_enter - make a world and live in it
 * @world: the world
 * @dev: descriptor of /dev/ovltree
 * @userns: user namespace whose root the caller becomes, or -1
 *
 * What can't be made ends the process. The world ends with the process.
 */
void world_enter(struct world *world, int dev, int userns)
{
	world->objects = ovlt_alloc(NR_OBJECTS * sizeof(*world->objects));
	world->mounts = ovlt_alloc(MAX_MOUNTS * sizeof(*world->mounts));
	world->dev = dev;
	umask(022);
	if (userns >= 0)
		ovlt_enter_userns(userns, 0);
	ovlt_new_mntns();
	if (unshare(CLONE_NEWNET))
		ovlt_die("network namespace");
	ovlt_mount("world", "/tmp", "tmpfs", 0, "mode=755");
	if (chdir("/tmp"))
		ovlt_die("/tmp");
	make_folders();
	make_mounts();
	make_descriptors(world->objects, dev, userns >= 0);
	make_memory(world);
	world->family = find_family();
	world->nr_mounts = list_mounts(world->mounts, NULL);
	world->nr_listed = count_mounts();
}

static bool is_ours(const struct world *world, int id)
{
	for (unsigned int i = 0; i < world->nr_mounts; i++)
		if (world->mounts[i] == id)
			return true;
	return false;
}

/* The last one first, which may be on another. */
static void unmount_others(const struct world *world)
{
	char *targets[MAX_MOUNTS];
	int ids[MAX_MOUNTS];
	unsigned int nr = list_mounts(ids, targets);

	while (nr--) {
		if (!is_ours(world, ids[nr]))
			umount2(targets[nr], MNT_DETACH | UMOUNT_NOFOLLOW);
		free(targets[nr]);
	}
}

/**
 * world_clean - unmount what a program has left
 * @world: the world
 *
 * Return: whether the mounts are those of a new world again
 */
bool world_clean(const struct world *world)
{
	for (int tries = 0; tries < 4; tries++) {
		if (count_mounts() == world->nr_listed)
			return true;
		unmount_others(world);
	}
	return false;
}
