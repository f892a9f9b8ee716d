// SPDX-License-Identifier: GPL-2.0
/*
 * An upper whose disk hangs: who detaches its tree has to wait for the sync, and
 * nobody else has. The disk is a file of FUSE, whose server is us.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "fuseserver.h"
#include "genl.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define LONG_MS 60000
#define SHORT_MS 200

/* A disk that nobody lets go gives up, so that a test fails and doesn't hang. */
#define STUCK_MS 60000

/*
 * The disk
 */

struct disk {
	atomic_bool stuck;	/* it is to hang */
	atomic_bool waiting;	/* somebody waits for it */
	pid_t pid;
};

static void disk_wait(struct disk *disk)
{
	for (int ms = 0; disk->stuck && ms < STUCK_MS; ms++) {
		disk->waiting = true;
		usleep(1000);
	}
	disk->waiting = false;
}

static void serve_attr(int fd, const struct fuse_in_header *in, int image)
{
	struct fuse_attr_out out = { };
	struct stat st;

	if (fstat(image, &st))
		_exit(1);
	out.attr = (struct fuse_attr) {
		.ino = 1, .nlink = 1, .mode = S_IFREG | 0600, .size = st.st_size,
	};
	reply(fd, in, 0, &out, sizeof(out));
}

static void serve_read(int fd, const struct fuse_in_header *in, int image)
{
	const struct fuse_read_in *read = (const void *)(in + 1);
	static char data[1 << 20];

	reply(fd, in, 0, data, pread(image, data, read->size, read->offset));
}

static void serve_write(int fd, const struct fuse_in_header *in, int image)
{
	const struct fuse_write_in *write = (const void *)(in + 1);
	struct fuse_write_out out = {
		.size = pwrite(image, write + 1, write->size, write->offset),
	};

	reply(fd, in, 0, &out, sizeof(out));
}

static void serve_one(int fd, const struct fuse_in_header *in, int image,
		      struct disk *disk)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
	};
	struct fuse_open_out open = { };

	switch (in->opcode) {
	case FUSE_INIT:
		return reply(fd, in, 0, &init, sizeof(init));
	case FUSE_GETATTR:
		return serve_attr(fd, in, image);
	case FUSE_OPEN:
		return reply(fd, in, 0, &open, sizeof(open));
	case FUSE_READ:
		return serve_read(fd, in, image);
	case FUSE_WRITE:
		disk_wait(disk);
		return serve_write(fd, in, image);
	case FUSE_FSYNC:
		disk_wait(disk);
		return reply(fd, in, 0, NULL, 0);
	case FUSE_RELEASE:
	case FUSE_FLUSH:
		return reply(fd, in, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		return reply(fd, in, -ENOSYS, NULL, 0);
	}
}

/* @image appears once more at @target, with our pace. */
static struct disk *disk_start(const char *image, const char *target)
{
	static char buffer[1 << 17] __attribute__((aligned(8)));
	int fd = ovlt_open("/dev/fuse", O_RDWR), file = ovlt_open(image, O_RDWR);
	struct disk *disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct stat st;
	pid_t pid;

	if (disk == MAP_FAILED)
		ovlt_die("mmap");
	ovlt_write(target, "");
	ovlt_mount("disk", target, "fuse", 0,
		   ovlt_fmt("fd=%d,rootmode=100600,user_id=0,group_id=0", fd));
	pid = fork();
	if (pid < 0)
		ovlt_die("fork");
	if (!pid) {
		/* Whoever leaves our mounts last syncs them, and that can't be the server. */
		ovlt_new_mntns();
		umount2(target, MNT_DETACH);
		while (read(fd, buffer, sizeof(buffer)) > 0)
			serve_one(fd, (void *)buffer, file, disk);
		_exit(0);
	}
	disk->pid = pid;
	close(fd);
	close(file);
	/* A loop device takes the size that is known already. */
	if (stat(target, &st) || !st.st_size)
		ovlt_die("%s", target);
	return disk;
}

static void disk_await(struct disk *disk)
{
	for (int ms = 0; !disk->waiting && ms < STUCK_MS; ms++)
		usleep(1000);
}

static void disk_end(struct disk *disk)
{
	kill(disk->pid, SIGKILL);
	waitpid(disk->pid, NULL, 0);
	munmap(disk, sizeof(*disk));
}

/*
 * A tree whose upper is on the disk is at t0, and dirty; one whose upper isn't, at t1.
 */

struct stage {
	struct ovlt_room room;
	struct disk *disk;
	struct nl daemon, client;
};

FIXTURE(hang)
{
	struct stage stage;
};

static void attach_dirty(int dev, const char *folder, const char *target)
{
	struct ovltree_tree tree = *ovlt_simple_tree();
	int err;

	ovlt_tree_upper(&tree, ovlt_fmt("%s/u", folder), ovlt_fmt("%s/w", folder));
	err = ovlt_attach_one(dev, &tree, target);
	if (err) {
		errno = -err;
		ovlt_die("%s", target);
	}
	ovlt_write(ovlt_fmt("%s/file", target), "dirty");
}

FIXTURE_SETUP(hang)
{
	struct stage *stage = &self->stage;

	if (access("/dev/fuse", F_OK))
		SKIP(return, "no /dev/fuse");
	ovlt_room_enter(&stage->room);
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ovlt_simple_layers();
	ovlt_mkdirs("hung", "well", "t0", "t1", "t2", NULL);
	ovlt_make_ext4("image");
	stage->disk = disk_start("image", "slow");
	ovlt_mount_ext4("slow", "hung");
	ovlt_tmpfs("well");
	ovlt_mkdirs("hung/u", "hung/w", "well/u", "well/w", NULL);
	attach_dirty(stage->room.dev, "hung", "t0");
	attach_dirty(stage->room.dev, "well", "t1");
	nl_open(&stage->daemon);
	nl_open(&stage->client);
	ASSERT_EQ(0, nl_serve(&stage->daemon));
	stage->disk->stuck = true;
}

FIXTURE_TEARDOWN(hang)
{
	struct stage *stage = &self->stage;

	stage->disk->stuck = false;
	nl_close(&stage->client);
	nl_close(&stage->daemon);
	umount2("t2", MNT_DETACH);
	EXPECT_EQ(0, ovlt_sys_umount("hung", 0));
	EXPECT_EQ(0, ovlt_sys_umount("slow", 0));
	disk_end(stage->disk);
	EXPECT_ROOM_CLEAN(&stage->room);
}

#define EXPECT_MOUNTED(mounted, target) \
	EXPECT_EQ(mounted, !!ovlt_find_mount(ovlt_mountinfo(), "/tmp/" target))

static int submit_detach(struct nl *nl, const char *target, __u32 deadline, __u64 *id)
{
	return nl_detach(nl, ovlt_mount_id(AT_FDCWD, target), 0, deadline, id);
}

static void request(struct __test_metadata *_metadata, struct stage *stage,
		    bool deadline)
{
	__u32 ms = deadline ? SHORT_MS : LONG_MS;
	__u64 hung, detach, attach;

	ASSERT_EQ(0, submit_detach(&stage->client, "t0", ms, &hung));
	if (!deadline)
		EXPECT_EQ(0, commit_detach(stage->room.dev, hung));
	disk_await(stage->disk);
	ASSERT_TRUE(stage->disk->waiting);
	EXPECT_MOUNTED(false, "t0");

	ASSERT_EQ(0, submit_detach(&stage->client, "t1", ms, &detach));
	if (!deadline)
		EXPECT_EQ(0, commit_detach(stage->room.dev, detach));
	EXPECT_DONE(0, detach, nl_event(&stage->client));
	/* Its superblock is gone. */
	EXPECT_EQ(0, ovlt_sys_umount("well", 0));
	ASSERT_EQ(0, nl_attach(&stage->client, "t2", ms, &attach));
	if (!deadline)
		EXPECT_EQ(0, commit_attach(stage->room.dev, attach));
	EXPECT_DONE(0, attach, nl_event(&stage->client));
	EXPECT_EQ(-EAGAIN, nl_no_event(&stage->client));

	EXPECT_TRUE(stage->disk->waiting);
	stage->disk->stuck = false;
	EXPECT_DONE(0, hung, nl_event(&stage->client));
}

/* The daemon goes on with the others' requests, */
TEST_F(hang, daemon)
{
	request(_metadata, &self->stage, false);
}

/* and so does the kernel at their deadlines. */
TEST_F(hang, deadline)
{
	request(_metadata, &self->stage, true);
}

/* What is detached lazily is nobody's to wait for. */
TEST_F(hang, lazy)
{
	struct ovltree_detach entry = ovlt_entry_path("t0", OVLTREE_DETACH_LAZY);
	struct stage *stage = &self->stage;
	struct ovltree_result result;

	EXPECT_EQ(1, ovlt_detach(stage->room.dev, &entry, 1, &result));
	disk_await(stage->disk);
	ASSERT_TRUE(stage->disk->waiting);

	entry = ovlt_entry_path("t1", OVLTREE_DETACH_LAZY);
	EXPECT_EQ(1, ovlt_detach(stage->room.dev, &entry, 1, &result));
	while (ovlt_sys_umount("well", 0) == -EBUSY)
		usleep(1000);
	EXPECT_TRUE(stage->disk->waiting);
	stage->disk->stuck = false;
	/* The teardown is to find the disk unused. */
	while (ovlt_sys_umount("hung", 0) == -EBUSY)
		usleep(1000);
	ovlt_mount_ext4("slow", "hung");
}

TEST_HARNESS_MAIN
