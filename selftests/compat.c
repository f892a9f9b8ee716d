// SPDX-License-Identifier: GPL-2.0
/*
 * A caller of 32 bits: the same structures, the same commands, and a tree that is
 * there. It is built on nolibc, as there may be no C library of 32 bits.
 */
#include <linux/mount.h>
#include <linux/ovltree.h>
#include <linux/sched.h>

_Static_assert(sizeof(void *) == 4, "not a program of 32 bits");

static unsigned int nr_tests, nr_failed;

static void expect(int good, const char *what)
{
	printf("%sok %u %s\n", good ? "" : "not ", ++nr_tests, what);
	nr_failed += !good;
}

static __u64 ptr(const void *p)
{
	return (__u32)p;
}

static struct ovltree_path at(const char *path)
{
	return (struct ovltree_path) { .fd = AT_FDCWD, .path = ptr(path) };
}

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0644);
	int err = fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text);

	close(fd);
	return err;
}

static int file_has(const char *path, const char *text)
{
	char got[16] = "";
	int fd = open(path, O_RDONLY);
	int has = fd >= 0 && read(fd, got, sizeof(got) - 1) >= 0 && !strcmp(got, text);

	if (fd >= 0)
		close(fd);
	return has;
}

static int room_enter(void)
{
	return syscall(__NR_unshare, CLONE_NEWNS) ||
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("room", "/tmp", "tmpfs", 0, NULL) || chdir("/tmp") ||
	       mkdir("l0", 0755) || mkdir("l1", 0755) || mkdir("t", 0755) ||
	       file_write("l0/f", "lower") || file_write("l1/f", "upper");
}

static struct ovltree_batch batch_of(const void *entry, __u32 size,
				     struct ovltree_result *result)
{
	return (struct ovltree_batch) {
		.size = sizeof(struct ovltree_batch),
		.entries = ptr(entry),
		.results = ptr(result),
		.nr = 1,
		.entry_size = size,
		.result_size = sizeof(*result),
		.tree_size = sizeof(struct ovltree_tree),
	};
}

static void test_info(int dev)
{
	struct ovltree_info info = { .size = sizeof(info) };

	expect(!ioctl(dev, OVLTREE_IOC_INFO, &info) &&
	       info.version == OVLTREE_UAPI_VERSION && info.max_lower == 500, "info");
}

static void test_tree(int dev)
{
	struct ovltree_path lower[] = { at("l1"), at("l0") };
	struct ovltree_tree tree = { .nr_lower = 2, .lower = ptr(lower) };
	struct ovltree_attach attach = { .tree = ptr(&tree), .target = at("t") };
	struct ovltree_detach detach = { .target = at("t") };
	struct ovltree_result result;
	struct ovltree_batch batch = batch_of(&attach, sizeof(attach), &result);

	expect(ioctl(dev, OVLTREE_IOC_ATTACH, &batch) == 1 && !result.error &&
	       result.mnt_id && batch.hold_ns, "attach");
	expect(file_has("t/f", "upper"), "the tree");
	batch = batch_of(&detach, sizeof(detach), &result);
	expect(ioctl(dev, OVLTREE_IOC_DETACH, &batch) == 1 && !result.error, "detach");
	expect(!file_has("t/f", "upper"), "no tree");
}

static void test_layerset(int dev)
{
	struct ovltree_path lower[] = { at("l1"), at("l0") };
	struct ovltree_layerset set = { .nr_lower = 2, .lower = ptr(lower) };
	struct ovltree_tree tree = { .flags = OVLTREE_TREE_LAYERSET };
	struct ovltree_attach prepare = { .tree = ptr(&tree) };
	struct ovltree_result result;
	struct ovltree_batch batch = batch_of(&set, sizeof(set), &result);

	expect(ioctl(dev, OVLTREE_IOC_LAYERSET, &batch) == 1 && result.fd >= 0,
	       "layer set");
	tree.layerset_fd = result.fd;
	batch = batch_of(&prepare, sizeof(prepare), &result);
	expect(ioctl(dev, OVLTREE_IOC_PREPARE, &batch) == 1 && result.fd >= 0,
	       "prepare");
	close(result.fd);
	close(tree.layerset_fd);
}

/* The upper half of a pointer that a program of 32 bits can't have. */
static void test_pointer(int dev)
{
	struct ovltree_detach detach = { .target = at("t") };
	struct ovltree_result result;
	struct ovltree_batch batch = batch_of(&detach, sizeof(detach), &result);

	batch.results |= 1ULL << 62;
	expect(ioctl(dev, OVLTREE_IOC_DETACH, &batch) < 0 && errno == EFAULT,
	       "pointer of 64 bits");
}

int main(void)
{
	int dev = open("/dev/ovltree", O_RDWR);

	printf("TAP version 13\n1..8\n");
	if (dev < 0 || room_enter()) {
		printf("Bail out! no device or no room\n");
		return 1;
	}
	test_info(dev);
	test_tree(dev);
	test_layerset(dev);
	test_pointer(dev);
	return !!nr_failed;
}
