// SPDX-License-Identifier: GPL-2.0
/*
 * The form of the commands: what is too short, too long, unknown or unreadable,
 * and which entry, field and element the answer names.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "layout.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#define BAD_POINTER ((__u64)0xdead0000)

static __u64 ptr(const void *p)
{
	return (__u64)(uintptr_t)p;
}

/*
 * INFO
 */

FIXTURE(info)
{
	struct ovlt_room room;
	union {
		struct ovltree_info info;
		unsigned char bytes[8192];
	};
};

FIXTURE_SETUP(info)
{
	ovlt_room_enter(&self->room);
	self->info.size = sizeof(self->info);
}

FIXTURE_TEARDOWN(info)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

TEST_F(info, values)
{
	self->info.version = 77;
	ASSERT_EQ(0, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, &self->info));
	EXPECT_EQ(sizeof(self->info), self->info.size);
	EXPECT_EQ(0, self->info.flags);
	EXPECT_EQ(OVLTREE_UAPI_VERSION, self->info.version);
	EXPECT_EQ(1024, self->info.max_entries);
	EXPECT_EQ(500, self->info.max_lower);
	EXPECT_LE(4096 + 1, self->info.max_options);
	EXPECT_EQ(OVLTREE_FEATURE_BATCH | OVLTREE_FEATURE_SHARED_LOWER |
		  OVLTREE_FEATURE_LAYERSET | OVLTREE_FEATURE_NETLINK,
		  self->info.features);
	EXPECT_EQ(0, self->info.__reserved);
}

TEST_F(info, too_short)
{
	__u32 sizes[] = { 0, 1, sizeof(self->info) - 1 };

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->info.size = sizes[i];
		EXPECT_EQ(-EINVAL, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO,
					      &self->info));
		EXPECT_EQ(0, self->info.version);
	}
}

TEST_F(info, longer)
{
	self->info.size = sizeof(self->info) + 8;
	ASSERT_EQ(0, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, &self->info));
	EXPECT_EQ(OVLTREE_UAPI_VERSION, self->info.version);
	/* What the kernel doesn't know stays zero. */
	for (int i = sizeof(self->info); i < sizeof(self->bytes); i++)
		ASSERT_EQ(0, self->bytes[i]);

	self->info.size = sysconf(_SC_PAGESIZE);
	self->info.flags = 0;
	EXPECT_EQ(0, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, &self->info));
	self->info.size = sysconf(_SC_PAGESIZE) + 1;
	EXPECT_EQ(-E2BIG, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, &self->info));
}

TEST_F(info, extra_byte)
{
	self->info.size = sizeof(self->info) + 8;
	self->bytes[sizeof(self->info) + 7] = 1;
	EXPECT_EQ(-E2BIG, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, &self->info));
	EXPECT_EQ(0, self->info.version);
}

TEST_F(info, unknown_flag)
{
	for (int bit = 0; bit < 32; bit++) {
		self->info.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO,
					      &self->info));
	}
}

TEST_F(info, bad_pointer)
{
	struct ovltree_info *readonly;

	EXPECT_EQ(-EFAULT, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, NULL));
	readonly = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, readonly);
	readonly->size = sizeof(*readonly);
	ASSERT_EQ(0, mprotect(readonly, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, ovlt_ioctl(self->room.dev, OVLTREE_IOC_INFO, readonly));
}

TEST_F(info, unknown_command)
{
	static const unsigned long cmds[] = {
		_IO(OVLTREE_IOC_TYPE, 0x05),
		_IO(OVLTREE_IOC_TYPE, 0xff),
		_IO(OVLTREE_IOC_TYPE - 1, 0x00),
		_IOR(OVLTREE_IOC_TYPE, 0x00, struct ovltree_info),
		_IOWR(OVLTREE_IOC_TYPE, 0x02, struct ovltree_batch),
	};

	for (int i = 0; i < ARRAY_SIZE(cmds); i++)
		EXPECT_EQ(-ENOTTY, ovlt_ioctl(self->room.dev, cmds[i], &self->info));
}

/*
 * What PREPARE, ATTACH, DETACH and LAYERSET have in common. Each has one entry that is
 * good, so that whatever is refused is refused for the reason that is tested.
 */

FIXTURE(batch)
{
	struct ovlt_room room;
	struct ovltree_batch arg;
	unsigned char arg_tail[8192];
	struct {
		union {
			struct ovltree_attach attach;
			struct ovltree_detach detach;
			struct ovltree_layerset layerset;
		};
		unsigned char tail[8];
	} entry[2];
	struct {
		struct ovltree_result result;
		unsigned char tail[16];
	} result[2];
	struct ovltree_tree *tree;
	unsigned int mounts;
};

FIXTURE_VARIANT(batch)
{
	unsigned long cmd;
	size_t entry_size;
	__u32 flags;
};

FIXTURE_VARIANT_ADD(batch, prepare)
{
	.cmd = OVLTREE_IOC_PREPARE,
	.entry_size = sizeof(struct ovltree_attach),
	.flags = OVLTREE_BATCH_ALL | OVLTREE_BATCH_CLOEXEC,
};

FIXTURE_VARIANT_ADD(batch, attach)
{
	.cmd = OVLTREE_IOC_ATTACH,
	.entry_size = sizeof(struct ovltree_attach),
	.flags = OVLTREE_BATCH_ALL,
};

FIXTURE_VARIANT_ADD(batch, detach)
{
	.cmd = OVLTREE_IOC_DETACH,
	.entry_size = sizeof(struct ovltree_detach),
};

FIXTURE_VARIANT_ADD(batch, layerset)
{
	.cmd = OVLTREE_IOC_LAYERSET,
	.entry_size = sizeof(struct ovltree_layerset),
	.flags = OVLTREE_BATCH_ALL | OVLTREE_BATCH_CLOEXEC,
};

FIXTURE_SETUP(batch)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdirs("t0", "t1", NULL);
	self->tree = ovlt_simple_tree();
	switch (variant->cmd) {
	case OVLTREE_IOC_PREPARE:
		self->entry[0].attach = ovlt_entry_tree(self->tree, NULL);
		break;
	case OVLTREE_IOC_ATTACH:
		self->entry[0].attach = ovlt_entry_tree(self->tree, "t0");
		break;
	case OVLTREE_IOC_DETACH:
		ovlt_tmpfs("t0");
		self->entry[0].detach = ovlt_entry_path("t0", 0);
		break;
	case OVLTREE_IOC_LAYERSET:
		self->entry[0].layerset = ovlt_entry_layerset(self->tree);
		break;
	}
	self->arg = (struct ovltree_batch) {
		.size		= sizeof(self->arg),
		.entries	= ptr(self->entry),
		.results	= ptr(self->result),
		.nr		= 1,
		.entry_size	= variant->entry_size,
		.result_size	= sizeof(struct ovltree_result),
		.tree_size	= sizeof(struct ovltree_tree),
	};
	memset(self->result, 0x55, sizeof(self->result));
	self->mounts = ovlt_count_mounts();
}

FIXTURE_TEARDOWN(batch)
{
	umount2("t0", MNT_DETACH);
	EXPECT_ROOM_CLEAN(&self->room);
}

/* The command as a whole is refused: nothing is done, no result is written. */
#define EXPECT_REFUSED(err) do { \
	EXPECT_EQ(err, ovlt_ioctl(self->room.dev, variant->cmd, &self->arg)); \
	EXPECT_EQ(self->mounts, ovlt_count_mounts()); \
	EXPECT_EQ(0x55555555, self->result[0].result.error); \
} while (0)

/* The good entry is done. */
#define EXPECT_DONE() do { \
	unsigned int __mounts = self->mounts; \
	__mounts += variant->cmd == OVLTREE_IOC_ATTACH; \
	__mounts -= variant->cmd == OVLTREE_IOC_DETACH; \
	EXPECT_EQ(1, ovlt_ioctl(self->room.dev, variant->cmd, &self->arg)); \
	EXPECT_RESULT_OK(self->result[0].result); \
	EXPECT_EQ(__mounts, ovlt_count_mounts()); \
} while (0)

TEST_F(batch, good)
{
	struct ovltree_result *result = &self->result[0].result;
	struct stat st;

	self->arg.wait_ns = ~0ULL;
	self->arg.hold_ns = ~0ULL;
	EXPECT_DONE();
	EXPECT_EQ(sizeof(self->arg), self->arg.size);
	EXPECT_NE(~0ULL, self->arg.wait_ns);
	EXPECT_NE(~0ULL, self->arg.hold_ns);
	switch (variant->cmd) {
	case OVLTREE_IOC_PREPARE:
		ASSERT_EQ(0, fstat(result->fd, &st));
		EXPECT_EQ(0, result->mnt_id);
		EXPECT_EQ(major(st.st_dev), result->dev_major);
		EXPECT_EQ(minor(st.st_dev), result->dev_minor);
		EXPECT_EQ(0, self->arg.hold_ns);
		break;
	case OVLTREE_IOC_ATTACH:
		ASSERT_EQ(0, stat("t0", &st));
		EXPECT_EQ(-1, result->fd);
		EXPECT_EQ(ovlt_mount_id(AT_FDCWD, "t0"), result->mnt_id);
		EXPECT_EQ(major(st.st_dev), result->dev_major);
		EXPECT_EQ(minor(st.st_dev), result->dev_minor);
		EXPECT_LT(0, self->arg.hold_ns);
		break;
	case OVLTREE_IOC_DETACH:
		EXPECT_EQ(-1, result->fd);
		EXPECT_EQ(0, result->mnt_id);
		EXPECT_LT(0, self->arg.hold_ns);
		break;
	case OVLTREE_IOC_LAYERSET:
		EXPECT_EQ(0, fcntl(result->fd, F_GETFD));
		EXPECT_EQ(0, result->mnt_id);
		EXPECT_EQ(0, result->dev_major);
		EXPECT_EQ(0, result->dev_minor);
		EXPECT_EQ(0, self->arg.hold_ns);
		break;
	}
}

TEST_F(batch, too_short)
{
	__u32 sizes[] = { 0, 1, sizeof(self->arg) - 1 };

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->arg.size = sizes[i];
		EXPECT_REFUSED(-EINVAL);
	}
}

TEST_F(batch, longer)
{
	self->arg.size = sizeof(self->arg) + 8;
	EXPECT_DONE();
}

TEST_F(batch, page)
{
	self->arg.size = sysconf(_SC_PAGESIZE) + 1;
	EXPECT_REFUSED(-E2BIG);
	self->arg.size = sysconf(_SC_PAGESIZE);
	EXPECT_DONE();
}

TEST_F(batch, extra_byte)
{
	self->arg.size = sizeof(self->arg) + 8;
	self->arg_tail[7] = 1;
	EXPECT_REFUSED(-E2BIG);
	self->arg_tail[7] = 0;
	self->arg_tail[8] = 1;
	EXPECT_DONE();
}

TEST_F(batch, unknown_flag)
{
	for (int bit = 0; bit < 32; bit++) {
		self->arg.flags = 1U << bit;
		if (!(self->arg.flags & variant->flags))
			EXPECT_REFUSED(-EINVAL);
	}
	self->arg.flags = variant->flags;
	EXPECT_DONE();
}

TEST_F(batch, nr)
{
	self->arg.nr = 0;
	EXPECT_REFUSED(-EINVAL);
	self->arg.nr = 1025;
	EXPECT_REFUSED(-E2BIG);
	self->arg.nr = ~0U;
	EXPECT_REFUSED(-E2BIG);
	self->arg.nr = 1;
	EXPECT_DONE();
}

TEST_F(batch, no_arrays)
{
	self->arg.entries = 0;
	EXPECT_REFUSED(-EINVAL);
	self->arg.entries = ptr(self->entry);
	self->arg.results = 0;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(batch, entry_too_short)
{
	self->arg.entry_size = 0;
	EXPECT_REFUSED(-EINVAL);
	self->arg.entry_size = variant->entry_size - 1;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(batch, entry_longer)
{
	self->arg.entry_size = variant->entry_size + 8;
	EXPECT_DONE();
}

TEST_F(batch, entry_longer_than_a_page)
{
	self->arg.entry_size = sysconf(_SC_PAGESIZE) + 1;
	EXPECT_REFUSED(-E2BIG);
}

TEST_F(batch, entry_extra_byte)
{
	((unsigned char *)&self->entry[0])[variant->entry_size + 7] = 1;
	self->arg.entry_size = variant->entry_size + 8;
	EXPECT_EQ(0, ovlt_ioctl(self->room.dev, variant->cmd, &self->arg));
	EXPECT_RESULT(-E2BIG, NONE, 0, self->result[0].result);
	EXPECT_EQ(self->mounts, ovlt_count_mounts());
}

/* The second entry lies where entry_size says, and so does its result. */
TEST_F(batch, strides)
{
	unsigned char *second = (unsigned char *)self->entry + variant->entry_size + 8;
	unsigned char entry[sizeof(struct ovltree_attach)];

	memcpy(entry, &self->entry[0], variant->entry_size);
	memcpy(second, entry, variant->entry_size);
	if (variant->cmd == OVLTREE_IOC_ATTACH)
		((struct ovltree_attach *)second)->target = ovlt_at(AT_FDCWD, "nothing");
	if (variant->cmd == OVLTREE_IOC_DETACH)
		((struct ovltree_detach *)second)->target = ovlt_at(AT_FDCWD, "nothing");
	if (variant->cmd == OVLTREE_IOC_PREPARE)
		((struct ovltree_attach *)second)->target = ovlt_at(AT_FDCWD, "t0");
	if (variant->cmd == OVLTREE_IOC_LAYERSET)
		((struct ovltree_layerset *)second)->lower = 0;
	self->arg.nr = 2;
	self->arg.entry_size = variant->entry_size + 8;
	self->arg.result_size = sizeof(self->result[0]);
	EXPECT_DONE();
	if (variant->cmd == OVLTREE_IOC_LAYERSET)
		EXPECT_RESULT(-EINVAL, LOWER, 0, self->result[1].result);
	else
		EXPECT_RESULT(variant->cmd == OVLTREE_IOC_PREPARE ? -EINVAL : -ENOENT,
			      TARGET, 0, self->result[1].result);
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < sizeof(self->result[i].tail); j++)
			EXPECT_EQ(0, self->result[i].tail[j]);
}

TEST_F(batch, result_too_short)
{
	self->arg.result_size = 0;
	EXPECT_REFUSED(-EINVAL);
	self->arg.result_size = sizeof(struct ovltree_result) - 1;
	EXPECT_REFUSED(-EINVAL);
}

TEST_F(batch, result_longer_than_a_page)
{
	self->arg.result_size = sysconf(_SC_PAGESIZE) + 1;
	EXPECT_REFUSED(-E2BIG);
}

TEST_F(batch, result_exact)
{
	EXPECT_DONE();
	EXPECT_EQ(0x55, self->result[0].tail[0]);
}

TEST_F(batch, bad_argument)
{
	void *readonly = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT_EQ(-EFAULT, ovlt_ioctl(self->room.dev, variant->cmd, NULL));
	ASSERT_NE(MAP_FAILED, readonly);
	memcpy(readonly, &self->arg, sizeof(self->arg));
	ASSERT_EQ(0, mprotect(readonly, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, ovlt_ioctl(self->room.dev, variant->cmd, readonly));
	EXPECT_EQ(self->mounts, ovlt_count_mounts());
}

TEST_F(batch, bad_entries)
{
	self->arg.entries = BAD_POINTER;
	EXPECT_EQ(0, ovlt_ioctl(self->room.dev, variant->cmd, &self->arg));
	EXPECT_RESULT(-EFAULT, NONE, 0, self->result[0].result);
	EXPECT_EQ(self->mounts, ovlt_count_mounts());
}

TEST_F(batch, bad_results)
{
	void *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);

	ASSERT_NE(MAP_FAILED, readonly);
	self->arg.results = BAD_POINTER;
	EXPECT_REFUSED(-EFAULT);
	self->arg.results = ptr(readonly);
	EXPECT_REFUSED(-EFAULT);
}

/*
 * The entries of ATTACH and PREPARE, and the tree in them
 */

FIXTURE(entry)
{
	struct ovlt_room room;
	struct ovltree_tree *tree;
	struct ovltree_attach entry;
	struct ovltree_result result;
};

FIXTURE_VARIANT(entry)
{
	bool attach;
};

FIXTURE_VARIANT_ADD(entry, prepare) { .attach = false };
FIXTURE_VARIANT_ADD(entry, attach) { .attach = true };

FIXTURE_SETUP(entry)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdirs("t0", NULL);
	self->tree = ovlt_simple_tree();
	self->entry = ovlt_entry_tree(self->tree, variant->attach ? "t0" : NULL);
}

FIXTURE_TEARDOWN(entry)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

#define RUN_ENTRY() \
	(variant->attach ? \
	 ovlt_attach(self->room.dev, 0, &self->entry, 1, &self->result) : \
	 ovlt_prepare(self->room.dev, 0, &self->entry, 1, &self->result))

#define EXPECT_ENTRY(err, field, index) do { \
	EXPECT_EQ(0, RUN_ENTRY()); \
	EXPECT_RESULT(err, field, index, self->result); \
} while (0)

#define EXPECT_ENTRY_DONE() do { \
	EXPECT_EQ(1, RUN_ENTRY()); \
	EXPECT_RESULT_OK(self->result); \
	EXPECT_EQ(0, variant->attach ? ovlt_sys_umount("t0", 0) : \
				       close(self->result.fd)); \
} while (0)

TEST_F(entry, good)
{
	EXPECT_ENTRY_DONE();
}

TEST_F(entry, unknown_flag)
{
	for (int bit = variant->attach ? 3 : 2; bit < 32; bit++) {
		self->entry.flags = 1U << bit;
		EXPECT_ENTRY(-EINVAL, FLAGS, 0);
	}
}

TEST_F(entry, unused_mnt_fd)
{
	self->entry.mnt_fd = 1;
	EXPECT_ENTRY(-EINVAL, MNT_FD, 0);
	self->entry.mnt_fd = -1;
	EXPECT_ENTRY(-EINVAL, MNT_FD, 0);
}

TEST_F(entry, unused_mntns_fd)
{
	self->entry.mntns_fd = 1;
	EXPECT_ENTRY(-EINVAL, MNTNS_FD, 0);
}

TEST_F(entry, mount_and_tree)
{
	self->entry.flags = OVLTREE_ATTACH_MOUNT;
	if (variant->attach)
		EXPECT_ENTRY(-EINVAL, TREE, 0);
	else
		EXPECT_ENTRY(-EINVAL, FLAGS, 0);
}

TEST_F(entry, prepare_has_no_target)
{
	if (variant->attach)
		SKIP(return, "of PREPARE only");
	self->entry.target.fd = AT_FDCWD;
	EXPECT_ENTRY(-EINVAL, TARGET, 0);
	self->entry.target = (struct ovltree_path) { .flags = OVLTREE_PATH_NOFOLLOW };
	EXPECT_ENTRY(-EINVAL, TARGET, 0);
	self->entry.target = (struct ovltree_path) { .path = ptr("t0") };
	EXPECT_ENTRY(-EINVAL, TARGET, 0);
	self->entry.target = (struct ovltree_path) { };
	self->entry.propagation = MS_PRIVATE;
	EXPECT_ENTRY(-EINVAL, PROPAGATION, 0);
	self->entry.propagation = 0;
	self->entry.flags = OVLTREE_ATTACH_MNTNS;
	EXPECT_ENTRY(-EINVAL, FLAGS, 0);
}

TEST_F(entry, no_tree)
{
	self->entry.tree = 0;
	EXPECT_ENTRY(-EINVAL, TREE, 0);
	self->entry.tree = BAD_POINTER;
	EXPECT_ENTRY(-EFAULT, TREE, 0);
}

TEST_F(entry, tree_unknown_flag)
{
	for (int bit = 3; bit < 32; bit++) {
		self->tree->flags = 1U << bit;
		EXPECT_ENTRY(-EINVAL, FLAGS, 0);
	}
}

/* A flag that was forgotten would else be a tree that can't be written to. */
TEST_F(entry, tree_folders_without_flag)
{
	self->tree->upper = ovlt_at(AT_FDCWD, "l0");
	EXPECT_ENTRY(-EINVAL, UPPER, 0);
	self->tree->upper = (struct ovltree_path) { };
	self->tree->work = ovlt_at(AT_FDCWD, "l0");
	EXPECT_ENTRY(-EINVAL, WORK, 0);
}

TEST_F(entry, tree_userns_without_flag)
{
	self->tree->userns_fd = -1;
	EXPECT_ENTRY(-EINVAL, USERNS_FD, 0);
	self->tree->userns_fd = ovlt_open("/proc/self/ns/user", O_RDONLY);
	EXPECT_ENTRY(-EINVAL, USERNS_FD, 0);
}

TEST_F(entry, tree_layerset_without_flag)
{
	self->tree->layerset_fd = -1;
	EXPECT_ENTRY(-EINVAL, LAYERSET_FD, 0);
	self->tree->layerset_fd = ovlt_layerset_one(self->room.dev, self->tree);
	ASSERT_LT(0, self->tree->layerset_fd);
	EXPECT_ENTRY(-EINVAL, LAYERSET_FD, 0);
}

TEST_F(entry, tree_layerset_and_layers)
{
	int set = ovlt_layerset_one(self->room.dev, self->tree);
	struct ovltree_tree layers = *self->tree;

	*self->tree = ovlt_tree_on(set, &layers);
	EXPECT_ENTRY_DONE();
	self->tree->lower = layers.lower;
	EXPECT_ENTRY(-EINVAL, LOWER, 0);
	self->tree->nr_lower = layers.nr_lower;
	EXPECT_ENTRY(-EINVAL, LOWER, 0);
	self->tree->lower = 0;
	EXPECT_ENTRY(-EINVAL, LOWER, 0);
}

TEST_F(entry, tree_not_a_layerset)
{
	int fds[] = { 1000, -1, ovlt_open("l0", O_PATH) };

	*self->tree = ovlt_tree_on(-1, self->tree);
	for (int i = 0; i < ARRAY_SIZE(fds); i++) {
		self->tree->layerset_fd = fds[i];
		EXPECT_ENTRY(-EBADF, LAYERSET_FD, 0);
	}
	self->tree->layerset_fd = self->room.dev;
	EXPECT_ENTRY(-EINVAL, LAYERSET_FD, 0);
	self->tree->layerset_fd = ovlt_open("l0", O_RDONLY);
	EXPECT_ENTRY(-EINVAL, LAYERSET_FD, 0);
}

TEST_F(entry, tree_attr)
{
	static const __u32 bad[] = {
		MOUNT_ATTR_IDMAP, MOUNT_ATTR__ATIME, 0x00000100, 0x80000000,
	};

	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		self->tree->attr = bad[i];
		EXPECT_ENTRY(-EINVAL, ATTR, 0);
	}
}

TEST_F(entry, lower_count)
{
	self->tree->nr_lower = 0;
	EXPECT_ENTRY(-EINVAL, LOWER, 0);
	self->tree->nr_lower = 501;
	EXPECT_ENTRY(-EINVAL, LOWER, 500);
	self->tree->nr_lower = ~0U;
	EXPECT_ENTRY(-EINVAL, LOWER, 500);
	self->tree->nr_lower = 1;
	EXPECT_ENTRY(-EINVAL, LOWER, 0);
}

TEST_F(entry, lower_pointer)
{
	self->tree->lower = 0;
	EXPECT_ENTRY(-EINVAL, LOWER, 0);
	self->tree->lower = BAD_POINTER;
	EXPECT_ENTRY(-EFAULT, LOWER, 0);
}

TEST_F(entry, lower_elements)
{
	struct ovltree_path lower[2] = { ovlt_at(AT_FDCWD, "l1"), ovlt_at(AT_FDCWD, "l0") };
	struct ovltree_path *bad = &lower[1];
	char *longer = ovlt_alloc(8192);

	self->tree->lower = ptr(lower);
	EXPECT_ENTRY_DONE();
	bad->path = BAD_POINTER;
	EXPECT_ENTRY(-EFAULT, LOWER, 1);
	bad->path = ptr("nothing");
	EXPECT_ENTRY(-ENOENT, LOWER, 1);
	bad->path = ptr("");
	EXPECT_ENTRY(-ENOENT, LOWER, 1);
	bad->path = ptr("l0/f");
	EXPECT_ENTRY(-EINVAL, LOWER, 1);
	bad->path = ptr("l0/f/x");
	EXPECT_ENTRY(-ENOTDIR, LOWER, 1);
	memset(longer, 'a', 4096);
	bad->path = ptr(longer);
	EXPECT_ENTRY(-ENAMETOOLONG, LOWER, 1);
	*bad = (struct ovltree_path) { .fd = -1, .path = ptr("l0") };
	EXPECT_ENTRY(-EBADF, LOWER, 1);
	*bad = (struct ovltree_path) { .fd = 1000 };
	EXPECT_ENTRY(-EBADF, LOWER, 1);
	*bad = (struct ovltree_path) { .fd = AT_FDCWD };
	EXPECT_ENTRY(-EBADF, LOWER, 1);
	*bad = (struct ovltree_path) { .fd = self->room.dev };
	EXPECT_ENTRY(-EINVAL, LOWER, 1);
	*bad = (struct ovltree_path) { .fd = self->room.dev, .path = ptr("l0") };
	EXPECT_ENTRY(-ENOTDIR, LOWER, 1);
	for (int bit = 2; bit < 32; bit++) {
		*bad = ovlt_at(AT_FDCWD, "l0");
		bad->flags = 1U << bit;
		EXPECT_ENTRY(-EINVAL, LOWER, 1);
	}
}

/* A layer that is given by its descriptor needs no path, but a name to be shown. */
TEST_F(entry, lower_without_a_name)
{
	char name[256] = "";
	int folder = ovlt_open(".", O_PATH), next;

	memset(name, 'd', sizeof(name) - 1);
	for (int i = 0; i < 17; i++) {
		ASSERT_EQ(0, mkdirat(folder, name, 0755));
		next = openat(folder, name, O_PATH | O_CLOEXEC);
		ASSERT_LE(0, next);
		close(folder);
		folder = next;
	}
	self->tree->nr_lower = 1;
	ovlt_tree_lower(self->tree, folder, NULL, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_ENTRY(-ENAMETOOLONG, LOWER, 1);
	close(folder);
}

TEST_F(entry, lower_symlink)
{
	ASSERT_EQ(0, symlink("l0", "link"));
	self->tree->nr_lower = 1;
	ovlt_tree_lower(self->tree, AT_FDCWD, "link", 0);
	EXPECT_ENTRY_DONE();
	self->tree->nr_lower = 1;
	ovlt_tree_lower(self->tree, AT_FDCWD, "link", OVLTREE_PATH_NOFOLLOW);
	EXPECT_ENTRY(-EINVAL, LOWER, 1);
}

TEST_F(entry, upper)
{
	ovlt_tree_upper(self->tree, "u", "w");
	EXPECT_ENTRY_DONE();
	self->tree->upper = ovlt_at(AT_FDCWD, "nothing");
	EXPECT_ENTRY(-ENOENT, UPPER, 0);
	self->tree->upper = (struct ovltree_path) { .fd = 1000 };
	EXPECT_ENTRY(-EBADF, UPPER, 0);
	self->tree->upper = ovlt_at(AT_FDCWD, "l0/f");
	EXPECT_ENTRY(-EINVAL, UPPER, 0);
	/* Only lower layers can be data-only ones. */
	self->tree->upper = ovlt_at(AT_FDCWD, "u");
	self->tree->upper.flags = OVLTREE_PATH_DATA;
	EXPECT_ENTRY(-EINVAL, UPPER, 0);
}

TEST_F(entry, work)
{
	ovlt_tree_upper(self->tree, "u", "w");
	self->tree->work = ovlt_at(AT_FDCWD, "nothing");
	EXPECT_ENTRY(-ENOENT, WORK, 0);
	self->tree->work = (struct ovltree_path) { .fd = 1000 };
	EXPECT_ENTRY(-EBADF, WORK, 0);
	self->tree->work = ovlt_at(AT_FDCWD, "l0/f");
	EXPECT_ENTRY(-EINVAL, WORK, 0);
}

TEST_F(entry, options)
{
	static const struct {
		const char *option;
		int err;
	} bad[] = {
		{ "nonsense", -EINVAL },
		{ "nonsense=1", -EINVAL },
		{ "xino=maybe", -EINVAL },
		{ "index", -EINVAL },
		{ "", -EINVAL },
		{ "lowerdir=l0", -EINVAL },
		{ "lowerdir+=l0", -EINVAL },
		{ "datadir+=l0", -EINVAL },
		{ "upperdir=l0", -EINVAL },
		{ "workdir=l0", -EINVAL },
	};

	ovlt_tree_option(self->tree, "xino=off");
	for (int i = 0; i < ARRAY_SIZE(bad); i++) {
		__u32 good = self->tree->options_size;

		ovlt_tree_option(self->tree, bad[i].option);
		ovlt_tree_option(self->tree, "xino=off");
		EXPECT_EQ(0, RUN_ENTRY()) {
			TH_LOG("option \"%s\"", bad[i].option);
		}
		EXPECT_RESULT(bad[i].err, OPTIONS, 1, self->result);
		self->tree->options_size = good;
	}
	EXPECT_ENTRY_DONE();
}

TEST_F(entry, options_say_why)
{
	ovlt_tree_option(self->tree, "upperdir=l0");
	EXPECT_ENTRY(-EINVAL, OPTIONS, 0);
	EXPECT_NE(NULL, strstr(self->result.message, "upperdir"));
	EXPECT_EQ(NULL, strchr(self->result.message, '\n'));
}

TEST_F(entry, options_form)
{
	ovlt_tree_option(self->tree, "xino=off");
	self->tree->options_size--;
	EXPECT_ENTRY(-EINVAL, OPTIONS, 0);
	self->tree->options = BAD_POINTER;
	EXPECT_ENTRY(-EFAULT, OPTIONS, 0);
	self->tree->options_size = 64 * 1024 + 1;
	EXPECT_ENTRY(-E2BIG, OPTIONS, 0);
	self->tree->options_size = ~0U;
	EXPECT_ENTRY(-E2BIG, OPTIONS, 0);
}

TEST_F(entry, userns)
{
	ovlt_tree_idmap(self->tree, 1000);
	EXPECT_ENTRY(-EBADF, USERNS_FD, 0);
	self->tree->userns_fd = self->room.dev;
	EXPECT_ENTRY(-EINVAL, USERNS_FD, 0);
}

/* An older header's tree, a newer one's, and one that means something new. */
TEST_F(entry, tree_size)
{
	struct {
		struct ovltree_tree tree;
		unsigned char tail[8192];
	} longer = { .tree = *self->tree };
	struct ovltree_batch arg = {
		.size		= sizeof(arg),
		.entries	= ptr(&self->entry),
		.results	= ptr(&self->result),
		.nr		= 1,
		.entry_size	= sizeof(self->entry),
		.result_size	= sizeof(self->result),
	};
	unsigned long cmd = variant->attach ? OVLTREE_IOC_ATTACH : OVLTREE_IOC_PREPARE;
	static const struct {
		__u32 size;
		int nr;
		int err;
	} table[] = {
		{ 0, 0, -EINVAL },
		{ sizeof(struct ovltree_tree) - 1, 0, -EINVAL },
		{ sizeof(struct ovltree_tree) + 8, 1, 0 },
		{ sizeof(struct ovltree_tree) + 9, 0, -E2BIG },
		{ 4096, 0, -E2BIG },
		{ 4097, 0, -E2BIG },
	};

	longer.tail[8] = 1;
	self->entry.tree = ptr(&longer);
	for (int i = 0; i < ARRAY_SIZE(table); i++) {
		arg.tree_size = table[i].size;
		EXPECT_EQ(table[i].nr, ovlt_ioctl(self->room.dev, cmd, &arg)) {
			TH_LOG("tree_size %u", table[i].size);
		}
		EXPECT_EQ(table[i].err, self->result.error);
		EXPECT_EQ(table[i].err ? OVLTREE_FIELD_TREE : OVLTREE_FIELD_NONE,
			  self->result.field);
		if (table[i].nr && variant->attach)
			EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	}
}

/*
 * What only ATTACH has
 */

FIXTURE(attach)
{
	struct ovlt_room room;
	struct ovltree_attach entry;
	struct ovltree_result result;
};

FIXTURE_SETUP(attach)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	ovlt_mkdirs("t0", NULL);
	self->entry = ovlt_entry_tree(ovlt_simple_tree(), "t0");
}

FIXTURE_TEARDOWN(attach)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_ATTACH(err, field) do { \
	EXPECT_EQ(0, ovlt_attach(self->room.dev, 0, &self->entry, 1, &self->result)); \
	EXPECT_RESULT(err, field, 0, self->result); \
} while (0)

TEST_F(attach, target)
{
	self->entry.target = ovlt_at(AT_FDCWD, "nothing");
	EXPECT_ATTACH(-ENOENT, TARGET);
	self->entry.target = (struct ovltree_path) { .fd = AT_FDCWD, .path = BAD_POINTER };
	EXPECT_ATTACH(-EFAULT, TARGET);
	self->entry.target = (struct ovltree_path) { .fd = 1000 };
	EXPECT_ATTACH(-EBADF, TARGET);
	self->entry.target = (struct ovltree_path) { .fd = 1000, .path = ptr("t0") };
	EXPECT_ATTACH(-EBADF, TARGET);
	self->entry.target = ovlt_at(AT_FDCWD, "t0");
	self->entry.target.flags = OVLTREE_PATH_DATA;
	EXPECT_ATTACH(-EINVAL, TARGET);
	self->entry.target.flags = 1U << 31;
	EXPECT_ATTACH(-EINVAL, TARGET);
}

TEST_F(attach, mnt_fd)
{
	self->entry.flags = OVLTREE_ATTACH_MOUNT;
	self->entry.tree = 0;
	self->entry.mnt_fd = 1000;
	EXPECT_ATTACH(-EBADF, MNT_FD);
	self->entry.mnt_fd = -1;
	EXPECT_ATTACH(-EBADF, MNT_FD);
	/* Open files are on mounts, but on attached ones or below their roots. */
	self->entry.mnt_fd = ovlt_open("l0", O_PATH);
	EXPECT_ATTACH(-EINVAL, MNT_FD);
	self->entry.mnt_fd = ovlt_open("/proc", O_PATH);
	EXPECT_ATTACH(-EINVAL, MNT_FD);
}

TEST_F(attach, mntns_fd)
{
	self->entry.flags = OVLTREE_ATTACH_MNTNS;
	self->entry.mntns_fd = 1000;
	EXPECT_ATTACH(-EBADF, MNTNS_FD);
	self->entry.mntns_fd = -1;
	EXPECT_ATTACH(-EBADF, MNTNS_FD);
	self->entry.mntns_fd = self->room.dev;
	EXPECT_ATTACH(-EINVAL, MNTNS_FD);
	self->entry.mntns_fd = ovlt_open("/proc/self/ns/user", O_RDONLY);
	EXPECT_ATTACH(-EINVAL, MNTNS_FD);
	self->entry.propagation = MS_PRIVATE;
	EXPECT_ATTACH(-EINVAL, MNTNS_FD);
}

TEST_F(attach, propagation)
{
	static const __u32 good[] = { MS_SHARED, MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE };
	__u32 all = MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;

	for (int bit = 0; bit < 32; bit++) {
		self->entry.propagation = 1U << bit;
		if (!(self->entry.propagation & all))
			EXPECT_ATTACH(-EINVAL, PROPAGATION);
	}
	self->entry.propagation = MS_SHARED | MS_SLAVE;
	EXPECT_ATTACH(-EINVAL, PROPAGATION);
	self->entry.propagation = all;
	EXPECT_ATTACH(-EINVAL, PROPAGATION);
	for (int i = 0; i < ARRAY_SIZE(good); i++) {
		self->entry.propagation = good[i];
		EXPECT_EQ(1, ovlt_attach(self->room.dev, 0, &self->entry, 1,
					 &self->result));
		EXPECT_RESULT_OK(self->result);
		EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	}
}

/*
 * What only DETACH has
 */

FIXTURE(detach)
{
	struct ovlt_room room;
	struct ovltree_detach entry;
	struct ovltree_result result;
};

FIXTURE_SETUP(detach)
{
	ovlt_room_enter(&self->room);
	ovlt_tmpfs("t0");
	self->entry = ovlt_entry_path("t0", 0);
}

FIXTURE_TEARDOWN(detach)
{
	EXPECT_EQ(0, ovlt_sys_umount("t0", 0));
	EXPECT_ROOM_CLEAN(&self->room);
}

#define EXPECT_DETACH(err, field) do { \
	EXPECT_EQ(0, ovlt_detach(self->room.dev, &self->entry, 1, &self->result)); \
	EXPECT_RESULT(err, field, 0, self->result); \
} while (0)

TEST_F(detach, unknown_flag)
{
	for (int bit = 4; bit < 32; bit++) {
		self->entry.flags = 1U << bit;
		EXPECT_DETACH(-EINVAL, FLAGS);
	}
}

TEST_F(detach, reserved)
{
	self->entry.__reserved = 1;
	EXPECT_EQ(0, ovlt_detach(self->room.dev, &self->entry, 1, &self->result));
	EXPECT_EQ(-EINVAL, self->result.error);
}

TEST_F(detach, unused_id)
{
	self->entry.mnt_id = ovlt_mount_id(AT_FDCWD, "t0");
	EXPECT_DETACH(-EINVAL, MNT_ID);
}

TEST_F(detach, unused_target)
{
	self->entry = ovlt_entry_id(ovlt_mount_id(AT_FDCWD, "t0"), 0);
	self->entry.target.fd = AT_FDCWD;
	EXPECT_DETACH(-EINVAL, TARGET);
	self->entry.target = (struct ovltree_path) { .path = ptr("t0") };
	EXPECT_DETACH(-EINVAL, TARGET);
	self->entry.target = (struct ovltree_path) { .flags = OVLTREE_PATH_NOFOLLOW };
	EXPECT_DETACH(-EINVAL, TARGET);
}

TEST_F(detach, target)
{
	self->entry.target = ovlt_at(AT_FDCWD, "nothing");
	EXPECT_DETACH(-ENOENT, TARGET);
	self->entry.target = (struct ovltree_path) { .fd = AT_FDCWD, .path = BAD_POINTER };
	EXPECT_DETACH(-EFAULT, TARGET);
	self->entry.target = (struct ovltree_path) { .fd = 1000 };
	EXPECT_DETACH(-EBADF, TARGET);
	self->entry.target = ovlt_at(AT_FDCWD, "t0");
	self->entry.target.flags = OVLTREE_PATH_DATA;
	EXPECT_DETACH(-EINVAL, TARGET);
}

TEST_HARNESS_MAIN
