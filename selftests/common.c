// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "common.h"

/* No errno, so that no test takes it for what a child returned. */
#define DIED 255

void ovlt_die(const char *fmt, ...)
{
	int err = errno;
	va_list args;

	fputs("# ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(err));
	_exit(DIED);
}

void *ovlt_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		ovlt_die("out of memory");
	return p;
}

char *ovlt_fmt(const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		ovlt_die("out of memory");
	va_end(args);
	return text;
}

/*
 * Namespaces
 */

void ovlt_new_mntns(void)
{
	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		ovlt_die("make all mounts private");
}

void ovlt_room_enter(struct ovlt_room *room)
{
	room->dev = open("/dev/ovltree", O_RDWR | O_CLOEXEC);
	if (room->dev < 0 && errno == ENOENT) {
		printf("# no /dev/ovltree\n");
		_exit(KSFT_SKIP);
	}
	if (room->dev < 0)
		ovlt_die("/dev/ovltree");
	umask(022);
	ovlt_new_mntns();
	ovlt_mount("room", "/tmp", "tmpfs", 0, "mode=755");
	if (chdir("/tmp"))
		ovlt_die("/tmp");
	room->mounts = ovlt_mountinfo();
}

/* In a new file */
void ovlt_make_ext4(const char *image)
{
	int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int status;
	pid_t pid;

	if (fd < 0 || ftruncate(fd, 32 << 20) || close(fd))
		ovlt_die("%s", image);
	pid = fork();
	if (!pid) {
		execlp("mkfs.ext4", "mkfs.ext4", "-q", image, NULL);
		_exit(errno == ENOENT ? KSFT_SKIP : DIED);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ovlt_die("mkfs.ext4");
	if (status && WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP) {
		printf("# no mkfs.ext4\n");
		_exit(KSFT_SKIP);
	}
	if (status)
		ovlt_die("mkfs.ext4 ended with status %#x", status);
}

/* A loop device that goes with what is mounted from it. */
static int attach_loop(const char *image, char **name)
{
	struct loop_config config = {
		.fd = ovlt_open(image, O_RDWR),
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int control = ovlt_open("/dev/loop-control", O_RDWR);
	int nr = ioctl(control, LOOP_CTL_GET_FREE), loop, held;

	if (nr < 0)
		ovlt_die("no loop device");
	*name = ovlt_fmt("/dev/loop%d", nr);
	loop = ovlt_open(*name, O_RDWR);
	if (ioctl(loop, LOOP_CONFIGURE, &config))
		ovlt_die("%s", *name);
	/* A device that is open for writing may not be mounted. */
	held = ovlt_open(*name, O_RDONLY);
	close(loop);
	close(config.fd);
	close(control);
	return held;
}

void ovlt_mount_ext4(const char *image, const char *target)
{
	char *name;
	int loop = attach_loop(image, &name);

	ovlt_mount(name, target, "ext4", 0, NULL);
	close(loop);
}

/* Move an empty room to a file system that is on a disk. */
void ovlt_room_on_ext4(struct ovlt_room *room)
{
	ovlt_make_ext4("image");
	ovlt_mount_ext4("image", "/tmp");
	if (chdir("/tmp"))
		ovlt_die("/tmp");
	free(room->mounts);
	room->mounts = ovlt_mountinfo();
}

static void write_map(pid_t pid, const char *which, const char *map)
{
	char *path = ovlt_fmt("/proc/%d/%s", pid, which);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, map, strlen(map)) != strlen(map))
		ovlt_die("%s", path);
	close(fd);
	free(path);
}

/* A new namespace of a user namespace, or of the caller's own */
struct namespace {
	int userns;
	int type;
};

static int namespace_make(void *arg)
{
	const struct namespace *ns = arg;

	return (ns->userns >= 0 && setns(ns->userns, CLONE_NEWUSER)) ||
	       unshare(ns->type) ? -errno : 0;
}

static pid_t namespace_new(int userns, int type)
{
	struct namespace ns = { .userns = userns, .type = type };

	return ovlt_start_in_userns(-1, namespace_make, &ns);
}

static int namespace_take(pid_t pid, const char *name)
{
	char *path = ovlt_fmt("/proc/%d/ns/%s", pid, name);
	int fd = ovlt_open(path, O_RDONLY);

	free(path);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

/**
 * ovlt_userns - make a user namespace
 * @map: lines of /proc/PID/uid_map, which are used for groups too, or NULL for
 *	 a namespace that has no map
 *
 * Return: A file descriptor of the namespace.
 */
int ovlt_userns(const char *map)
{
	pid_t pid = namespace_new(-1, CLONE_NEWUSER);

	if (map) {
		write_map(pid, "uid_map", map);
		write_map(pid, "gid_map", map);
	}
	return namespace_take(pid, "user");
}

/* A mount namespace that a user namespace owns, with copies of all mounts. */
int ovlt_mntns(int userns)
{
	return namespace_take(namespace_new(userns, CLONE_NEWNS), "mnt");
}

/* Become a user of a namespace; root there has all capabilities in it. */
void ovlt_enter_userns(int userns, uid_t id)
{
	if (setns(userns, CLONE_NEWUSER) || setresgid(id, id, id) ||
	    setresuid(id, id, id))
		ovlt_die("become %u of a user namespace", id);
	/* Lost with the ids; it owns its files in /proc again. */
	prctl(PR_SET_DUMPABLE, 1);
}

/**
 * ovlt_fork_wait - run a function in a process of its own
 * @run: returns 0 or -errno
 * @arg: for @run
 *
 * Return: What @run returned.
 */
int ovlt_fork_wait(int (*run)(void *arg), void *arg)
{
	return ovlt_fork_in_userns(-1, run, arg);
}

/**
 * ovlt_fork_in_userns - run a function as root of a user namespace
 * @userns: the namespace, or -1 for the caller's own
 * @run: returns 0 or -errno
 * @arg: for @run
 *
 * Return: What @run returned.
 */
int ovlt_fork_in_userns(int userns, int (*run)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		if (userns >= 0)
			ovlt_enter_userns(userns, 0);
		_exit(-run(arg));
	}
	if (waitpid(pid, &status, 0) != pid)
		ovlt_die("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status) == DIED) {
		errno = ECHILD;
		ovlt_die("child ended with status %#x", status);
	}
	return -WEXITSTATUS(status);
}

/**
 * ovlt_start_in_userns - run a function in a process that stays
 * @userns: the user namespace that it is root of, or -1 for the caller's own
 * @run: returns 0 or -errno, which ends the caller
 * @arg: for @run
 *
 * Return: The process, which has to be killed.
 */
pid_t ovlt_start_in_userns(int userns, int (*run)(void *arg), void *arg)
{
	int done[2], err;
	pid_t pid;

	if (pipe2(done, O_CLOEXEC))
		ovlt_die("pipe");
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		if (userns >= 0)
			ovlt_enter_userns(userns, 0);
		err = run(arg);
		if (write(done[1], &err, sizeof(err)) != sizeof(err))
			_exit(1);
		pause();
		_exit(0);
	}
	close(done[1]);
	if (read(done[0], &err, sizeof(err)) != sizeof(err))
		ovlt_die("process");
	close(done[0]);
	if (err) {
		errno = -err;
		ovlt_die("process");
	}
	return pid;
}

/*
 * Files
 */

static void make_parents(const char *path)
{
	char *copy = ovlt_fmt("%s", path);

	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) && errno != EEXIST)
			ovlt_die("mkdir %s", copy);
		*slash = '/';
	}
	free(copy);
}

void ovlt_mkdir(const char *path)
{
	make_parents(path);
	if (mkdir(path, 0755) && errno != EEXIST)
		ovlt_die("mkdir %s", path);
}

void ovlt_mkdirs(const char *path, ...)
{
	va_list args;

	va_start(args, path);
	for (; path; path = va_arg(args, const char *))
		ovlt_mkdir(path);
	va_end(args);
}

void ovlt_write(const char *path, const char *text)
{
	int fd;

	make_parents(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != strlen(text) || close(fd))
		ovlt_die("write %s", path);
}

static char *read_fd(int fd)
{
	size_t used = 0, room = 0;
	char *text = NULL;
	ssize_t got;

	do {
		if (room - used < 4096) {
			room = 2 * room + 16384;
			text = realloc(text, room);
			if (!text)
				ovlt_die("out of memory");
		}
		got = read(fd, text + used, room - used - 1);
		if (got < 0)
			ovlt_die("read");
		used += got;
	} while (got > 0);
	text[used] = '\0';
	return text;
}

/* The content of a file, or the name of the error. */
char *ovlt_read(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd < 0)
		return ovlt_fmt("%s", strerrorname_np(errno));
	text = read_fd(fd);
	close(fd);
	return text;
}

void ovlt_whiteout(const char *path)
{
	make_parents(path);
	if (mknod(path, S_IFCHR | 0600, makedev(0, 0)))
		ovlt_die("whiteout %s", path);
}

void ovlt_xattr(const char *path, const char *name, const char *value)
{
	if (setxattr(path, name, value, strlen(value), 0))
		ovlt_die("setxattr %s %s", path, name);
}

void ovlt_opaque(const char *path)
{
	ovlt_mkdir(path);
	ovlt_xattr(path, "trusted.overlay.opaque", "y");
}

int ovlt_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		ovlt_die("open %s", path);
	return fd;
}

bool ovlt_exists(const char *path)
{
	return !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The names in a folder, sorted, with a space between them. */
char *ovlt_list(const char *path)
{
	struct dirent **names;
	char *list = ovlt_fmt("%s", "");
	int nr = scandir(path, &names, NULL, by_name);

	if (nr < 0)
		return ovlt_fmt("%s", strerrorname_np(errno));
	for (int i = 0; i < nr; i++) {
		const char *name = names[i]->d_name;
		char *longer;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		longer = ovlt_fmt("%s%s%s", list, *list ? " " : "", name);
		free(list);
		list = longer;
	}
	return list;
}

void ovlt_mount(const char *source, const char *target, const char *type,
		unsigned long flags, const char *data)
{
	if (mount(source, target, type, flags, data))
		ovlt_die("mount %s on %s", type ? type : "", target);
}

void ovlt_tmpfs(const char *target)
{
	ovlt_mkdir(target);
	ovlt_mount("tmpfs", target, "tmpfs", 0, "mode=755");
}

void ovlt_umount(const char *target)
{
	if (umount2(target, UMOUNT_NOFOLLOW))
		ovlt_die("umount %s", target);
}

/*
 * The mount table
 */

char *ovlt_mountinfo(void)
{
	return ovlt_read("/proc/thread-self/mountinfo");
}

unsigned int ovlt_count_lines(const char *text)
{
	unsigned int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

unsigned int ovlt_count_mounts(void)
{
	char *text = ovlt_mountinfo();
	unsigned int nr = ovlt_count_lines(text);

	free(text);
	return nr;
}

#ifndef SYS_listmount
#define SYS_listmount 458
#endif

/* listmount(2): up to @nr unique ids of the mount namespace's mounts; their number */
long ovlt_list_mounts(__u64 *ids, unsigned int nr)
{
	struct {
		__u32 size, spare;
		__u64 root, last;
	} request = { .size = sizeof(request), .root = ~0ULL };
	long listed = syscall(SYS_listmount, &request, ids, nr, 0);

	if (listed <= 0)
		ovlt_die("listmount");
	return listed;
}

struct ovlt_mount *ovlt_parse_mount(char *line)
{
	struct ovlt_mount *m = ovlt_alloc(sizeof(*m));
	char *dash = strstr(line, " - ");
	char *optional;

	*dash = '\0';
	m->id = atoi(strsep(&line, " "));
	m->parent = atoi(strsep(&line, " "));
	strsep(&line, " ");
	m->root = strsep(&line, " ");
	m->target = strsep(&line, " ");
	m->options = strsep(&line, " ");
	optional = line;
	m->optional = optional ? optional : dash;
	line = dash + 3;
	m->type = strsep(&line, " ");
	m->source = strsep(&line, " ");
	m->super = line;
	return m;
}

/**
 * ovlt_find_mount - find the uppermost mount on a mountpoint
 * @mountinfo: the table
 * @target: as the table shows it, or relative to the room
 *
 * Return: The mount, or NULL.
 */
struct ovlt_mount *ovlt_find_mount(const char *mountinfo, const char *target)
{
	char *path = *target == '/' ? ovlt_fmt("%s", target) : ovlt_path(target);
	char *text = ovlt_fmt("%s", mountinfo), *line;
	struct ovlt_mount *found = NULL;

	while ((line = strsep(&text, "\n"))) {
		struct ovlt_mount *m;

		if (!*line)
			continue;
		m = ovlt_parse_mount(line);
		if (!strcmp(m->target, path))
			found = m;
	}
	return found;
}

/* The whole path of something in the room. */
char *ovlt_path(const char *name)
{
	return ovlt_fmt("/tmp/%s", name);
}

/* The unique id of the mount that a file is on, 0 if there is no such file. */
__u64 ovlt_mount_id(int dirfd, const char *path)
{
	struct statx stx;

	if (statx(dirfd, path, AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &stx))
		return 0;
	if (!(stx.stx_mask & STATX_MNT_ID_UNIQUE))
		ovlt_die("no unique mount ids");
	return stx.stx_mnt_id;
}

static int open_slab_file(const char *slab, const char *file, int flags)
{
	char *path = ovlt_fmt("/sys/kernel/slab/%s/%s", slab, file);
	int fd = ovlt_open(path, flags);

	free(path);
	return fd;
}

/**
 * ovlt_slab_open - open a cache of the kernel, to count its objects again and again
 * @name: its name
 *
 * Opening a file makes inodes and dentries, which are freed some time after the last
 * use: who counts those had better open nothing meanwhile.
 */
struct ovlt_slab ovlt_slab_open(const char *name)
{
	return (struct ovlt_slab) {
		.shrink = open_slab_file(name, "shrink", O_WRONLY),
		.objects = open_slab_file(name, "objects", O_RDONLY),
	};
}

static void slab_close(const struct ovlt_slab *slab)
{
	close(slab->shrink);
	close(slab->objects);
}

/* Shrinking hands back what CPUs keep of freed objects. */
long ovlt_slab_count(const struct ovlt_slab *slab)
{
	char text[64] = "";

	if (pwrite(slab->shrink, "1", 1, 0) != 1 ||
	    pread(slab->objects, text, sizeof(text) - 1, 0) <= 0)
		ovlt_die("objects of a slab cache");
	return atol(text);
}

long ovlt_slab_objects(const char *name)
{
	struct ovlt_slab slab = ovlt_slab_open(name);
	long nr = ovlt_slab_count(&slab);

	slab_close(&slab);
	return nr;
}

/**
 * ovlt_mounts_at_rest - count the mounts that there are in memory
 * @expected: what is waited for, since they are freed some time after their end
 *
 * Return: their number; more than @expected if it doesn't fall to that within 10 s.
 */
long ovlt_mounts_at_rest(long expected)
{
	for (int ms = 0; ms < 10000 && ovlt_slab_objects("mnt_cache") > expected; ms += 50)
		usleep(50000);
	return ovlt_slab_objects("mnt_cache");
}

/**
 * ovlt_make_memory_cgroup - make a cgroup that counts memory
 * @path: its folder
 *
 * Return: false, with none left, where the kernel has no such ones.
 */
bool ovlt_make_memory_cgroup(const char *path)
{
	char *max = ovlt_fmt("%s/memory.max", path);
	bool made = (!mkdir(path, 0755) || errno == EEXIST) && ovlt_exists(max);

	if (!made)
		rmdir(path);
	free(max);
	return made;
}

/**
 * ovlt_remove_cgroup - remove a cgroup, the last of which may still be on its way out
 * @path: its folder
 *
 * Return: 0 or -errno.
 */
int ovlt_remove_cgroup(const char *path)
{
	int err = 0;

	for (int i = 0; i < 100; i++) {
		err = rmdir(path) ? -errno : 0;
		if (err != -EBUSY)
			break;
		usleep(10000);
	}
	return err;
}

/**
 * ovlt_probe - make a probe, or remove one
 * @command: a line for kprobe_events
 */
void ovlt_probe(const char *command)
{
	int fd = ovlt_open(OVLT_PROBES, O_WRONLY | O_APPEND);

	if (write(fd, command, strlen(command)) != strlen(command))
		ovlt_die("%s", command);
	close(fd);
}

/*
 * Arguments
 */

static __u64 ptr(const void *p)
{
	return (__u64)(uintptr_t)p;
}

struct ovltree_path ovlt_at(int fd, const char *path)
{
	return (struct ovltree_path) { .fd = fd, .path = ptr(path) };
}

void ovlt_tree_lower(struct ovltree_tree *tree, int fd, const char *path, __u32 flags)
{
	struct ovltree_path *lower = (void *)(uintptr_t)tree->lower;

	lower = realloc(lower, (tree->nr_lower + 1) * sizeof(*lower));
	if (!lower)
		ovlt_die("out of memory");
	lower[tree->nr_lower++] = (struct ovltree_path) {
		.fd = fd,
		.flags = flags,
		.path = ptr(path),
	};
	tree->lower = ptr(lower);
}

void ovlt_tree_lowers(struct ovltree_tree *tree, const char *path, ...)
{
	va_list args;

	va_start(args, path);
	for (; path; path = va_arg(args, const char *))
		ovlt_tree_lower(tree, AT_FDCWD, path, 0);
	va_end(args);
}

void ovlt_tree_upper(struct ovltree_tree *tree, const char *upper, const char *work)
{
	ovlt_mkdirs(upper, work, NULL);
	tree->flags |= OVLTREE_TREE_UPPER;
	tree->upper = ovlt_at(AT_FDCWD, upper);
	tree->work = ovlt_at(AT_FDCWD, work);
}

void ovlt_tree_option(struct ovltree_tree *tree, const char *option)
{
	char *options = (void *)(uintptr_t)tree->options;

	options = realloc(options, tree->options_size + strlen(option) + 1);
	if (!options)
		ovlt_die("out of memory");
	memcpy(options + tree->options_size, option, strlen(option) + 1);
	tree->options_size += strlen(option) + 1;
	tree->options = ptr(options);
}

void ovlt_tree_idmap(struct ovltree_tree *tree, int userns)
{
	tree->flags |= OVLTREE_TREE_IDMAP;
	tree->userns_fd = userns;
}

struct ovltree_attach ovlt_entry_tree(const struct ovltree_tree *tree, const char *target)
{
	struct ovltree_attach entry = { .tree = ptr(tree) };

	if (target)
		entry.target = ovlt_at(AT_FDCWD, target);
	return entry;
}

struct ovltree_attach ovlt_entry_mount(int mnt_fd, const char *target)
{
	return (struct ovltree_attach) {
		.flags = OVLTREE_ATTACH_MOUNT,
		.mnt_fd = mnt_fd,
		.target = ovlt_at(AT_FDCWD, target),
	};
}

struct ovltree_detach ovlt_entry_path(const char *target, __u32 flags)
{
	return (struct ovltree_detach) {
		.flags = flags,
		.target = ovlt_at(AT_FDCWD, target),
	};
}

struct ovltree_detach ovlt_entry_id(__u64 id, __u32 flags)
{
	return (struct ovltree_detach) {
		.flags = flags | OVLTREE_DETACH_ID,
		.mnt_id = id,
	};
}

/* Two layers, l1 above l0, that have the file "f" each. */
void ovlt_simple_layers(void)
{
	ovlt_write("l0/f", "lower\n");
	ovlt_write("l1/f", "upper\n");
	ovlt_write("l0/d/g", "g\n");
}

struct ovltree_tree *ovlt_simple_tree(void)
{
	struct ovltree_tree *tree = ovlt_alloc(sizeof(*tree));

	ovlt_tree_lowers(tree, "l1", "l0", NULL);
	return tree;
}

/* The same tree on a layer set instead of its own layers. */
struct ovltree_tree ovlt_tree_on(int layerset, const struct ovltree_tree *tree)
{
	struct ovltree_tree copy = *tree;

	copy.flags |= OVLTREE_TREE_LAYERSET;
	copy.layerset_fd = layerset;
	copy.lower = 0;
	copy.nr_lower = 0;
	return copy;
}

/* A layer set of the layers that a tree has. */
struct ovltree_layerset ovlt_entry_layerset(const struct ovltree_tree *tree)
{
	return (struct ovltree_layerset) {
		.nr_lower = tree->nr_lower,
		.lower = tree->lower,
	};
}

/*
 * Commands
 */

int ovlt_ioctl(int dev, unsigned long cmd, void *arg)
{
	int ret = ioctl(dev, cmd, arg);

	return ret < 0 ? -errno : ret;
}

static int run_batch(int dev, unsigned long cmd, __u32 flags, const void *entries,
		     size_t entry_size, unsigned int nr,
		     struct ovltree_result *results)
{
	struct ovltree_batch batch = {
		.size		= sizeof(batch),
		.flags		= flags,
		.entries	= ptr(entries),
		.results	= ptr(results),
		.nr		= nr,
		.entry_size	= entry_size,
		.result_size	= sizeof(*results),
		.tree_size	= sizeof(struct ovltree_tree),
	};

	return ovlt_ioctl(dev, cmd, &batch);
}

#ifdef OVLT_LAYERSET
/*
 * With a layer set for each tree, or for several entries that follow one another
 * with the same one. A tree of whose layers no set can be made stays as it is: its
 * entry says why.
 */
static int run_trees(int dev, unsigned long cmd, __u32 flags,
		     const struct ovltree_attach *entries, unsigned int nr,
		     struct ovltree_result *results)
{
	struct ovltree_attach *copies = ovlt_alloc(nr * sizeof(*copies));
	struct ovltree_tree *trees = ovlt_alloc(nr * sizeof(*trees));
	int ret;

	memcpy(copies, entries, nr * sizeof(*copies));
	for (unsigned int i = 0; i < nr; i++) {
		const struct ovltree_tree *tree = (void *)(uintptr_t)entries[i].tree;
		int set;

		if (i && tree && entries[i].tree == entries[i - 1].tree) {
			copies[i].tree = copies[i - 1].tree;
			continue;
		}
		set = tree ? ovlt_layerset_one(dev, tree) : -1;
		if (set < 0)
			continue;
		trees[i] = ovlt_tree_on(set, tree);
		copies[i].tree = ptr(&trees[i]);
	}
	ret = run_batch(dev, cmd, flags, copies, sizeof(*copies), nr, results);
	for (unsigned int i = 0; i < nr; i++)
		if (trees[i].flags & OVLTREE_TREE_LAYERSET)
			close(trees[i].layerset_fd);
	free(trees);
	free(copies);
	return ret;
}
#else
static int run_trees(int dev, unsigned long cmd, __u32 flags,
		     const struct ovltree_attach *entries, unsigned int nr,
		     struct ovltree_result *results)
{
	return run_batch(dev, cmd, flags, entries, sizeof(*entries), nr, results);
}
#endif

int ovlt_prepare(int dev, __u32 flags, const struct ovltree_attach *entries,
		 unsigned int nr, struct ovltree_result *results)
{
	return run_trees(dev, OVLTREE_IOC_PREPARE, flags, entries, nr, results);
}

int ovlt_attach(int dev, __u32 flags, const struct ovltree_attach *entries,
		unsigned int nr, struct ovltree_result *results)
{
	return run_trees(dev, OVLTREE_IOC_ATTACH, flags, entries, nr, results);
}

int ovlt_detach(int dev, const struct ovltree_detach *entries, unsigned int nr,
		struct ovltree_result *results)
{
	return run_batch(dev, OVLTREE_IOC_DETACH, 0, entries, sizeof(*entries),
			 nr, results);
}

int ovlt_layerset(int dev, __u32 flags, const struct ovltree_layerset *entries,
		  unsigned int nr, struct ovltree_result *results)
{
	return run_batch(dev, OVLTREE_IOC_LAYERSET, flags, entries,
			 sizeof(*entries), nr, results);
}

/* What one entry came to, from a command that can only have done it or not. */
static int one_error(int ret, const struct ovltree_result *result)
{
	if (ret < 0)
		return ret;
	if (ret != !result->error) {
		errno = -result->error;
		ovlt_die("a batch of one returned %d", ret);
	}
	return result->error;
}

unsigned int ovlt_count_layersets(int dev)
{
	struct ovltree_info info = { .size = sizeof(info) };

	if (ovlt_ioctl(dev, OVLTREE_IOC_INFO, &info))
		ovlt_die("INFO");
	return info.nr_layersets;
}

/* What fdinfo of a layer set tells by this name */
__u64 ovlt_layerset_info(int set, const char *name)
{
	char *path = ovlt_fmt("/proc/self/fdinfo/%d", set);
	char *text = ovlt_read(path), *key = ovlt_fmt("\n%s:\t", name);
	const char *line = strstr(text, key);
	__u64 value;

	if (!line)
		ovlt_die("%s has no %s: %s", path, name, text);
	value = strtoull(line + strlen(key), NULL, 10);
	free(key);
	free(text);
	free(path);
	return value;
}

int ovlt_prepare_one(int dev, const struct ovltree_tree *tree)
{
	struct ovltree_attach entry = ovlt_entry_tree(tree, NULL);
	struct ovltree_result result;
	int err = one_error(ovlt_prepare(dev, OVLTREE_BATCH_CLOEXEC, &entry, 1, &result),
			    &result);

	return err ? err : result.fd;
}

int ovlt_attach_one(int dev, const struct ovltree_tree *tree, const char *target)
{
	struct ovltree_attach entry = ovlt_entry_tree(tree, target);
	struct ovltree_result result;

	return one_error(ovlt_attach(dev, 0, &entry, 1, &result), &result);
}

int ovlt_attach_mount(int dev, int mnt_fd, const char *target)
{
	struct ovltree_attach entry = ovlt_entry_mount(mnt_fd, target);
	struct ovltree_result result;

	return one_error(ovlt_attach(dev, 0, &entry, 1, &result), &result);
}

int ovlt_detach_one(int dev, const char *target)
{
	struct ovltree_detach entry = ovlt_entry_path(target, 0);
	struct ovltree_result result;

	return one_error(ovlt_detach(dev, &entry, 1, &result), &result);
}

int ovlt_layerset_one(int dev, const struct ovltree_tree *tree)
{
	struct ovltree_layerset entry = ovlt_entry_layerset(tree);
	struct ovltree_result result;
	int err = one_error(ovlt_layerset(dev, OVLTREE_BATCH_CLOEXEC, &entry, 1, &result),
			    &result);

	return err ? err : result.fd;
}

/*
 * The kernel's own calls
 */

static int configure_layer(int fs, const char *key, const struct ovltree_path *layer)
{
	const char *path = (const char *)(uintptr_t)layer->path;

	return fsconfig(fs, FSCONFIG_SET_STRING, key, path, 0);
}

static int configure_option(int fs, const char *option)
{
	char *key = ovlt_fmt("%s", option);
	char *value = strchr(key, '=');

	if (!value)
		return fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);
	*value++ = '\0';
	return fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int configure(int fs, const struct ovltree_tree *tree)
{
	const struct ovltree_path *lower = (void *)(uintptr_t)tree->lower;
	const char *options = (void *)(uintptr_t)tree->options;
	const char *option = options, *source = NULL;

	for (; option < options + tree->options_size; option += strlen(option) + 1) {
		if (configure_option(fs, option))
			return -errno;
		if (!strncmp(option, "source=", 7))
			source = option;
	}
	if (!source && fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0))
		return -errno;
	for (__u32 i = 0; i < tree->nr_lower; i++)
		if (configure_layer(fs, lower[i].flags & OVLTREE_PATH_DATA ?
				    "datadir+" : "lowerdir+", &lower[i]))
			return -errno;
	if (tree->flags & OVLTREE_TREE_UPPER &&
	    (configure_layer(fs, "upperdir", &tree->upper) ||
	     configure_layer(fs, "workdir", &tree->work)))
		return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	return 0;
}

/**
 * ovlt_sys_overlay - prepare an overlay with fsopen(2), fsconfig(2), fsmount(2)
 * @tree: what to prepare, with paths and without idmap
 *
 * Return: The descriptor of a detached mount, or -errno.
 */
int ovlt_sys_overlay(const struct ovltree_tree *tree)
{
	int fs = fsopen("overlay", FSOPEN_CLOEXEC);
	int ret;

	if (fs < 0)
		return -errno;
	ret = configure(fs, tree);
	if (!ret) {
		ret = fsmount(fs, FSMOUNT_CLOEXEC, tree->attr);
		if (ret < 0)
			ret = -errno;
	}
	close(fs);
	return ret;
}

int ovlt_sys_fsmount(const char *type)
{
	int fs = fsopen(type, FSOPEN_CLOEXEC);
	int mnt;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -errno;
	mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (mnt < 0)
		mnt = -errno;
	close(fs);
	return mnt;
}

int ovlt_sys_open_tree(const char *path, unsigned int flags)
{
	int fd = open_tree(AT_FDCWD, path, flags | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int ovlt_sys_move_mount(int mnt_fd, const char *target)
{
	return move_mount(mnt_fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) ?
	       -errno : 0;
}

int ovlt_sys_attach(const struct ovltree_tree *tree, const char *target)
{
	int mnt = ovlt_sys_overlay(tree), err;

	if (mnt < 0)
		return mnt;
	err = ovlt_sys_move_mount(mnt, target);
	close(mnt);
	return err;
}

int ovlt_sys_umount(const char *target, int flags)
{
	return umount2(target, flags | UMOUNT_NOFOLLOW) ? -errno : 0;
}

/* What mount_setattr(2) says to the idmap of a detached clone. */
int ovlt_sys_idmap(const char *path, int userns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = userns };
	int mnt = ovlt_sys_open_tree(path, 0);
	int err;

	if (mnt < 0)
		return mnt;
	err = mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ? -errno : 0;
	close(mnt);
	return err;
}
