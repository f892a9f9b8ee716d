// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the library promises, on each backend: OVLT_BACKENDS names those to run
 * on, all of them by default. "ioctl" is skipped without /dev/ovltree.
 */
#include <linux/magic.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "harness.h"

/* glibc 2.36's <sys/mount.h> and <linux/mount.h> exclude each other. */
int mount(const char *source, const char *target, const char *type,
	  unsigned long flags, const void *data);
int umount2(const char *target, int flags);
int fsopen(const char *type, unsigned int flags);
int fsconfig(int fd, unsigned int command, const char *key, const void *value,
	     int aux);
int fsmount(int fd, unsigned int flags, unsigned int attr);
int open_tree(int fd, const char *path, unsigned int flags);
#define MNT_DETACH 2

static const char *backend;
static struct ovlt_ctx *ctx;

/* What most tests need: l1 over l2 over l3, and u, w, m. */
static void setup(void)
{
	put("l1/a", "l1");
	put("l2/a", "l2");
	put("l2/b", "l2");
	put("l3/a", "l3");
	put("l3/b", "l3");
	put("l3/c", "l3");
	ASSERT(!mkdir("u", 0755) && !mkdir("w", 0755) && !mkdir("m", 0755));
	ctx = ovlt_ctx_new();
	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, backend));
}

static void teardown(void)
{
	ovlt_ctx_unref(ctx);
}

static struct outcome attach_options(const char *options, const char *target)
{
	struct ovlt_tree *tree = make_tree(options);
	struct outcome outcome = attach(ctx, tree, target);

	ovlt_tree_unref(tree);
	return outcome;
}

#define LOWERS "lowerdir=l1:l2:l3"
#define UPPER "upperdir=u,workdir=w"

static void merged_contents(void)
{
	struct stat st;

	setup();
	ASSERT_OK(attach_options(LOWERS "," UPPER, "m"));
	ASSERT_STR("l1", get("m/a"));
	ASSERT_STR("l2", get("m/b"));
	ASSERT_STR("l3", get("m/c"));

	put("m/c", "new");
	ASSERT_STR("new", get("u/c"));
	ASSERT_STR("l3", get("l3/c"));
	ASSERT(!unlink("m/b"));
	ASSERT(!get("m/b") && errno == ENOENT);
	ASSERT(!stat("u/b", &st) && S_ISCHR(st.st_mode) && !st.st_rdev);

	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT(!get("m/a") && errno == ENOENT);
	/* The upper folder is free again, with all that was written. */
	ASSERT_OK(attach_options(LOWERS "," UPPER, "m"));
	ASSERT_STR("new", get("m/c"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void whiteout_and_opaque(void)
{
	setup();
	put("l3/d/below", "l3");
	put("l1/d/above", "l1");
	ASSERT(!setxattr("l1/d", "trusted.overlay.opaque", "y", 1, 0));
	ASSERT(!mknod("l2/c", S_IFCHR, makedev(0, 0)));
	ASSERT_OK(attach_options(LOWERS, "m"));
	ASSERT_STR("l1", get("m/d/above"));
	ASSERT(!get("m/d/below") && errno == ENOENT);
	ASSERT(!get("m/c") && errno == ENOENT);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void read_only_without_upper(void)
{
	setup();
	ASSERT_OK(attach_options(LOWERS, "m"));
	ASSERT_EQ(-1, open("m/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	ASSERT_EQ(EROFS, errno);
	ASSERT_OK(detach(ctx, "m", 0));
	/* A work folder alone is of no use and does no harm, as with mount(8). */
	ASSERT_OK(attach_options(LOWERS ",workdir=w", "m"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void result_tells_mount(void)
{
	struct outcome outcome;
	struct statx stx;
	struct stat st;

	setup();
	outcome = attach_options(LOWERS, "m");
	ASSERT_OK(outcome);
	ASSERT_EQ(OVLTREE_FIELD_NONE, outcome.field);
	ASSERT_STR("", outcome.message);
	ASSERT(!stat("m", &st));
	ASSERT_EQ(st.st_dev, outcome.dev);
	/* STATX_MNT_ID_UNIQUE */
	ASSERT(!statx(AT_FDCWD, "m", 0, 0x4000, &stx));
	if (stx.stx_mask & 0x4000)
		ASSERT_EQ(stx.stx_mnt_id, outcome.mnt_id);
	else
		ASSERT_EQ(0, outcome.mnt_id);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static bool has(const char *line, const char *word)
{
	return line && strstr(line, word);
}

static void options_in_mountinfo(void)
{
	const char *line;

	setup();
	ASSERT_OK(attach_options(
		LOWERS "," UPPER ",redirect_dir=on,xino=off,volatile", "m"));
	line = mount_line(at("m"));
	ASSERT(has(line, " - overlay overlay rw,"));
	ASSERT(has(line, "lowerdir+=l1,lowerdir+=l2,lowerdir+=l3,"));
	ASSERT(has(line, ",upperdir=u,workdir=w,"));
	ASSERT(has(line, ",redirect_dir=on"));
	ASSERT(has(line, "volatile"));
	ASSERT(!has(line, "nosuid") && !has(line, "shared:"));
	ASSERT_OK(detach(ctx, "m", 0));

	ASSERT_OK(attach_options(LOWERS ",source=mine", "m"));
	ASSERT(has(mount_line(at("m")), " - overlay mine ro,"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void attributes(void)
{
	static const struct {
		const char *options;
		const char *shown;
	} variants[] = {
		{ "rw", " rw,relatime " },
		{ "ro", " ro,relatime " },
		{ "nosuid", " rw,nosuid,relatime " },
		{ "nodev", " rw,nodev,relatime " },
		{ "noexec", " rw,noexec,relatime " },
		{ "nosymfollow", " rw,relatime,nosymfollow " },
		{ "noatime", " rw,noatime " },
		{ "nodiratime", " rw,nodiratime,relatime " },
		{ "strictatime", " rw " },
		{ "noatime,relatime", " rw,relatime " },
		{ "nosuid,nodev,suid", " rw,nodev,relatime " },
		{ "ro,nosuid,nodev,noexec,noatime",
		  " ro,nosuid,nodev,noexec,noatime " },
	};
	char options[256];

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		snprintf(options, sizeof(options), LOWERS "," UPPER ",%s",
			 variants[i].options);
		ASSERT_OK(attach_options(options, "m"));
		if (!has(mount_line(at("m")), variants[i].shown))
			fail_at(__FILE__, __LINE__, "%s: %s", options,
				mount_line(at("m")));
		ASSERT_OK(detach(ctx, "m", 0));
	}
	teardown();
}

/* Odd names in every place that takes a name. */
static void odd_names(void)
{
	static const char *const names[] = {
		"a,b",	 "a:b",	   "a::b",  "a b", "a\\b",
		"a\\:b", "a\\\\b", "\"a\"", "a=b", "\t",
		"#",	 "\\",	   ":",	    ",",   "\303\244",
	};
	char name[64];

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct ovlt_tree *tree = ovlt_tree_new();

		ASSERT(tree);
		snprintf(name, sizeof(name), "%s/f", names[i]);
		put(name, "odd");
		snprintf(name, sizeof(name), "%su", names[i]);
		ASSERT(!mkdir(name, 0755));
		ASSERT_EQ(0, ovlt_tree_set_upper(tree, AT_FDCWD, name, 0));
		snprintf(name, sizeof(name), "%sw", names[i]);
		ASSERT(!mkdir(name, 0755));
		ASSERT_EQ(0, ovlt_tree_set_work(tree, AT_FDCWD, name, 0));
		ASSERT_EQ(0, ovlt_tree_add_lower(tree, AT_FDCWD, names[i], 0));
		snprintf(name, sizeof(name), "%sm", names[i]);
		ASSERT(!mkdir(name, 0755));
		ASSERT_OK(attach(ctx, tree, name));
		ASSERT(has(mount_line(at(name)), " - overlay "));
		snprintf(name, sizeof(name), "%sm/f", names[i]);
		ASSERT_STR("odd", get(name));
		put(name, "written");
		snprintf(name, sizeof(name), "%su/f", names[i]);
		ASSERT_STR("written", get(name));
		snprintf(name, sizeof(name), "%sm", names[i]);
		ASSERT_OK(detach(ctx, name, 0));
		ovlt_tree_unref(tree);
	}
	teardown();
}

static void escapes_in_options(void)
{
	setup();
	put("x,y:z \\q/f", "odd");
	put("x,y:z \\qu/f", "upper");
	ASSERT(!mkdir("x,y:z \\qw", 0755));
	ASSERT_OK(attach_options("lowerdir=l1:x\\,y\\:z \\\\q:l2", "m"));
	ASSERT_STR("odd", get("m/f"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(attach_options("lowerdir+=l1,lowerdir+=x\\,y:z \\\\q", "m"));
	ASSERT_STR("odd", get("m/f"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(attach_options(
		"lowerdir=l1,upperdir=x\\,y:z \\\\qu,workdir=x\\,y\\:z \\\\qw",
		"m"));
	ASSERT_STR("upper", get("m/f"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

/* Longer than fsconfig(2) takes a value, and than a page in all. */
static void long_names(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	char path[1024], name[201];
	size_t len = 0;

	ASSERT(tree);
	setup();
	memset(name, 'x', 200);
	name[200] = '\0';
	for (int i = 0; i < 4; i++)
		len += snprintf(path + len, sizeof(path) - len, "%s/", name);
	for (int i = 0; i < 10; i++) {
		snprintf(path + len, sizeof(path) - len, "%d/f%d", i, i);
		put(path, "long");
		*strrchr(path, '/') = '\0';
		ASSERT_EQ(0, ovlt_tree_add_lower(tree, AT_FDCWD, path, 0));
	}
	ASSERT_OK(attach(ctx, tree, "m"));
	for (int i = 0; i < 10; i++) {
		snprintf(path, sizeof(path), "m/f%d", i);
		ASSERT_STR("long", get(path));
	}
	ASSERT_OK(detach(ctx, "m", 0));
	ovlt_tree_unref(tree);
	teardown();
}

static void files_by_fd(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	int here, l2, u, w, m;
	struct ovlt_batch *batch;

	setup();
	put("d/w/keep", "");
	ASSERT(!unlink("d/w/keep"));
	here = open(".", O_PATH | O_CLOEXEC);
	l2 = open("l2", O_PATH | O_CLOEXEC);
	u = open("u", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w = open("d", O_PATH | O_CLOEXEC);
	m = open("m", O_PATH | O_CLOEXEC);
	ASSERT(tree && here >= 0 && l2 >= 0 && u >= 0 && w >= 0 && m >= 0);
	/* Descriptors don't depend on the working folder. */
	ASSERT(!chdir("/"));
	ASSERT_EQ(0, ovlt_tree_add_lower(tree, here, "l1", 0));
	ASSERT_EQ(0, ovlt_tree_add_lower(tree, l2, NULL, 0));
	ASSERT_EQ(0, ovlt_tree_add_lower(tree, here, at("l3"), 0));
	ASSERT_EQ(0, ovlt_tree_set_upper(tree, u, NULL, 0));
	ASSERT_EQ(0, ovlt_tree_set_work(tree, w, "w", 0));
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, m, NULL, 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ovlt_batch_unref(batch);
	ASSERT_STR("l1", get(at("m/a")));
	ASSERT_STR("l2", get(at("m/b")));
	ASSERT_STR("l3", get(at("m/c")));
	/* Where a descriptor was given, the path that the kernel knows is shown. */
	ASSERT(has(mount_line(at("m")), at("l2")));
	ASSERT(has(mount_line(at("m")), at("d/w")));

	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_target(batch, here, "m", 0));
	ASSERT_EQ(0, ovlt_batch_detach(batch));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	close(here);
	close(l2);
	close(u);
	close(w);
	close(m);
	ASSERT(!chdir(test_dir));
	teardown();
}

static void symbolic_links(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	struct ovlt_batch *batch;

	setup();
	ASSERT(tree);
	ASSERT(!symlink("l2", "link") && !symlink("m", "target"));
	ASSERT_OK(attach_options("lowerdir=l1:link", "target"));
	ASSERT(mount_line(at("m")));
	ASSERT_STR("l2", get("m/b"));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0,
		    detach(ctx, "target", OVLT_NOFOLLOW));
	ASSERT_OK(detach(ctx, "target", 0));

	ASSERT_EQ(0, ovlt_tree_add_lower(tree, AT_FDCWD, "l1", OVLT_NOFOLLOW));
	ASSERT_EQ(0,
		  ovlt_tree_add_lower(tree, AT_FDCWD, "link", OVLT_NOFOLLOW));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_LOWER, 1, attach(ctx, tree, "m"));
	ovlt_tree_unref(tree);

	tree = make_tree(LOWERS);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "target",
					 OVLT_NOFOLLOW));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	teardown();
}

static void data_only_layers(void)
{
	setup();
	put("meta/f", "");
	ASSERT(!truncate("meta/f", 4));
	ASSERT(!setxattr("meta/f", "trusted.overlay.metacopy", "", 0, 0));
	ASSERT(!setxattr("meta/f", "trusted.overlay.redirect", "/object", 7,
			 0));
	put("data/object", "data");
	ASSERT_OK(attach_options("lowerdir=meta::data,metacopy=on", "m"));
	ASSERT_STR("data", get("m/f"));
	ASSERT(!get("m/object") && errno == ENOENT);
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(attach_options(
		"lowerdir+=meta,datadir+=l3,datadir+=data,metacopy=on", "m"));
	ASSERT_STR("data", get("m/f"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_LOWER, 2,
		    attach_options("lowerdir=meta::data:l1,metacopy=on", "m"));
	teardown();
}

static void many_layers(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	char path[32];

	ASSERT(tree);
	setup();
	for (int i = 0; i < 500; i++) {
		snprintf(path, sizeof(path), "layers/%d/f%d", i, i);
		put(path, "here");
		*strrchr(path, '/') = '\0';
		ASSERT_EQ(0, ovlt_tree_add_lower(tree, AT_FDCWD, path, 0));
	}
	ASSERT_OK(attach(ctx, tree, "m"));
	ASSERT_STR("here", get("m/f0"));
	ASSERT_STR("here", get("m/f499"));
	ASSERT_OK(detach(ctx, "m", 0));

	ASSERT_EQ(0, ovlt_tree_add_lower(tree, AT_FDCWD, "l1", 0));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_LOWER, 500, attach(ctx, tree, "m"));
	ovlt_tree_unref(tree);
	teardown();
}

/* Idmaps */

#define IDMAP "X-mount.idmap=u:0:100000:1000 u:1000:5000:1 g:0:200000:1000"

static void own(const char *path, uid_t uid, gid_t gid)
{
	ASSERT(!lchown(path, uid, gid));
}

#define ASSERT_OWNER(path, uid, gid)          \
	do {                                  \
		struct stat st_;              \
		ASSERT(!lstat((path), &st_)); \
		ASSERT_EQ(uid, st_.st_uid);   \
		ASSERT_EQ(gid, st_.st_gid);   \
	} while (0)

static void idmap_ownership(void)
{
	setup();
	own("l1/a", 0, 0);
	own("l2/b", 1000, 5);
	own("l3/c", 1001, 1000);
	put("u/upper", "");
	own("u/upper", 7, 8);
	ASSERT_OK(attach_options(LOWERS "," UPPER "," IDMAP, "m"));
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OWNER("m/b", 5000, 200005);
	ASSERT_OWNER("m/c", 65534, 65534);
	ASSERT_OWNER("l1/a", 0, 0);
	/* The upper folder is not mapped. */
	ASSERT_OWNER("m/upper", 7, 8);
	put("m/new", "");
	ASSERT_OWNER("u/new", 0, 0);
	/* What is copied up keeps its owner as seen. */
	ASSERT(!chmod("m/a", 0600));
	ASSERT_OWNER("u/a", 100000, 200000);
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void idmap_names(void)
{
	char options[512], shown[512];

	setup();
	snprintf(options, sizeof(options), "lowerdir=l1:%s," IDMAP, at("l2"));
	snprintf(shown, sizeof(shown), "lowerdir+=l1,lowerdir+=%s", at("l2"));
	ASSERT_OK(attach_options(options, "m"));
	/* Detached layers are shown from the root of their mount. */
	if (strcmp(backend, "mount-api"))
		ASSERT(has(mount_line(at("m")), shown));
	ASSERT_OK(detach(ctx, "m", 0));

	/* A path through procfs leads out of a private mount namespace. */
	ASSERT_OK(attach_options("lowerdir=l1:/proc/self/cwd/l2," IDMAP, "m"));
	ASSERT_OWNER("m/b", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

/*
 * t1       mount, layer a
 * t1/t2    mount that has no layer
 * t1/t2/t3 mount, layers b and c
 */
static void idmap_several_mounts(void)
{
	setup();
	ASSERT(!mkdir("t1", 0755) && !mount("t1", "t1", "tmpfs", 0, NULL));
	put("t1/x/a/f", "a");
	ASSERT(!mkdir("t1/t2", 0755) &&
	       !mount("t2", "t1/t2", "tmpfs", 0, NULL));
	ASSERT(!mkdir("t1/t2/t3", 0755) &&
	       !mount("t3", "t1/t2/t3", "tmpfs", 0, NULL));
	put("t1/t2/t3/b/g", "b");
	put("t1/t2/t3/y/c/h", "c");
	ASSERT_OK(attach_options(
		"lowerdir=t1/t2/t3/b:l1:t1/x/a:t1/t2/t3/y/c," UPPER "," IDMAP,
		"m"));
	ASSERT_STR("b", get("m/g"));
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OWNER("m/f", 100000, 200000);
	ASSERT_OWNER("m/g", 100000, 200000);
	ASSERT_OWNER("m/h", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	/* No clone of a mount is left that would keep it busy. */
	ASSERT(!umount2("t1/t2/t3", 0) && !umount2("t1/t2", 0) &&
	       !umount2("t1", 0));
	teardown();
}

static void idmap_mount_root(void)
{
	setup();
	ASSERT(!mkdir("t", 0755) && !mount("t", "t", "tmpfs", 0, NULL));
	put("t/f", "t");
	ASSERT_OK(attach_options("lowerdir=t:l1," IDMAP, "m"));
	ASSERT_OWNER("m/f", 100000, 200000);
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT(!umount2("t", 0));
	teardown();
}

/* A layer on the mount that is the root of the namespace. */
static void idmap_namespace_root(void)
{
	static const long idmappable[] = { EXT4_SUPER_MAGIC, TMPFS_MAGIC,
					   XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC };
	struct statfs fs;
	struct stat st;
	bool can = false;

	if (statfs("/", &fs) || stat("/usr/bin", &st) || st.st_uid)
		skip("no /usr/bin of root's");
	for (size_t i = 0; i < ARRAY_SIZE(idmappable); i++)
		can |= fs.f_type == idmappable[i];
	/* The initial one is a tmpfs that isn't. */
	if (!can || strstr(mount_line("/"), " - rootfs "))
		skip("the root's file system may not be one to idmap");
	setup();
	ASSERT_OK(attach_options("lowerdir=l1:/usr," IDMAP, "m"));
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OWNER("m/bin", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void idmap_files_by_fd(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	int l1, here;

	setup();
	l1 = open("l1", O_PATH | O_CLOEXEC);
	here = open(".", O_PATH | O_CLOEXEC);
	ASSERT(tree && l1 >= 0 && here >= 0);
	ASSERT_EQ(0, ovlt_tree_parse_options(tree, IDMAP));
	ASSERT_EQ(0, ovlt_tree_add_lower(tree, l1, NULL, 0));
	ASSERT_EQ(0, ovlt_tree_add_lower(tree, here, "l2", 0));
	ASSERT_EQ(0, ovlt_tree_set_upper(tree, here, "u", 0));
	ASSERT_EQ(0, ovlt_tree_set_work(tree, here, "w", 0));
	ASSERT_OK(attach(ctx, tree, "m"));
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OWNER("m/b", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	close(l1);
	close(here);
	ovlt_tree_unref(tree);
	teardown();
}

static void idmap_by_path(void)
{
	const struct ovlt_id_range range = { 'b', 0, 300000, 10 };
	char options[128];
	int fd;

	setup();
	fd = ovlt_userns_open(&range, 1);
	ASSERT(fd >= 0);
	snprintf(options, sizeof(options),
		 LOWERS ",X-mount.idmap=/proc/self/fd/%d", fd);
	ASSERT_OK(attach_options(options, "m"));
	ASSERT_OWNER("m/a", 300000, 300000);
	ASSERT_OK(detach(ctx, "m", 0));
	close(fd);
	teardown();
}

static void idmap_errors(void)
{
	struct ovlt_tree *tree;
	int fd;

	setup();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tree = make_tree(LOWERS);
	ASSERT_EQ(0, ovlt_tree_set_userns(tree, fd));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_USERNS_FD, 0, attach(ctx, tree, "m"));
	close(fd);
	fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, ovlt_tree_set_userns(tree, fd));
	ASSERT_FAIL(EPERM, OVLTREE_FIELD_USERNS_FD, 0, attach(ctx, tree, "m"));
	close(fd);
	ovlt_tree_unref(tree);

	/* An overlay can't be idmapped. */
	ASSERT(!mkdir("n", 0755));
	ASSERT_OK(attach_options(LOWERS, "n"));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_LOWER, 1,
		    attach_options("lowerdir=l1:n," IDMAP, "m"));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1,
		    attach_options("lowerdir=l1:none," IDMAP, "m"));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_LOWER, 1,
		    attach_options("lowerdir=l1:l2/a," IDMAP, "m"));
	ASSERT_OK(detach(ctx, "n", 0));
	teardown();
}

/* Errors */

static void tree_errors(void)
{
	static const struct {
		const char *options;
		int error;
		unsigned int field;
		unsigned int index;
	} variants[] = {
		{ "lowerdir=l1:none:l3", ENOENT, OVLTREE_FIELD_LOWER, 1 },
		{ "lowerdir=l1:l2:l1/a", EINVAL, OVLTREE_FIELD_LOWER, 2 },
		{ "lowerdir=l1:l1/a/x", ENOTDIR, OVLTREE_FIELD_LOWER, 1 },
		{ "lowerdir=l1", EINVAL, OVLTREE_FIELD_LOWER, 0 },
		{ UPPER, EINVAL, OVLTREE_FIELD_LOWER, 0 },
		{ LOWERS ",upperdir=u", EINVAL, OVLTREE_FIELD_WORK, 0 },
		{ LOWERS ",upperdir=none,workdir=w", ENOENT,
		  OVLTREE_FIELD_UPPER, 0 },
		{ LOWERS ",upperdir=l1/a,workdir=w", EINVAL,
		  OVLTREE_FIELD_UPPER, 0 },
		{ LOWERS ",upperdir=u,workdir=none", ENOENT, OVLTREE_FIELD_WORK,
		  0 },
		{ LOWERS ",upperdir=u,workdir=u/w", ENOENT, OVLTREE_FIELD_WORK,
		  0 },
		{ LOWERS ",upperdir=u,workdir=u", EINVAL, OVLTREE_FIELD_TREE,
		  0 },
		{ LOWERS ",xino=on,nonsense", EINVAL, OVLTREE_FIELD_OPTIONS,
		  1 },
		{ LOWERS ",nonsense=1", EINVAL, OVLTREE_FIELD_OPTIONS, 0 },
		{ LOWERS ",redirect_dir=perhaps", EINVAL, OVLTREE_FIELD_OPTIONS,
		  0 },
		{ LOWERS ",volatile=1", EINVAL, OVLTREE_FIELD_OPTIONS, 0 },
		{ LOWERS ",X-mount.mkdir", EINVAL, OVLTREE_FIELD_OPTIONS, 0 },
		{ "lowerdir=l1:l1," UPPER, ELOOP, OVLTREE_FIELD_LOWER, 0 },
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		struct outcome outcome =
			attach_options(variants[i].options, "m");

		printf("# %s: %s\n", variants[i].options, outcome.message);
		ASSERT_FAIL(variants[i].error, variants[i].field,
			    variants[i].index, outcome);
		ASSERT(!mount_line(at("m")));
	}
	teardown();
}

static void error_texts(void)
{
	struct outcome outcome;

	setup();
	outcome = attach_options("lowerdir=l1:none", "m");
	ASSERT(strstr(outcome.message, "none"));
	outcome = attach_options(LOWERS ",nonsense", "m");
	ASSERT(strstr(outcome.message, "nonsense"));
	outcome = attach_options(LOWERS ",upperdir=missing,workdir=w", "m");
	ASSERT(strstr(outcome.message, "missing"));
	outcome = attach_options("lowerdir=l1:l2/a", "m");
	ASSERT(strstr(outcome.message, "l2/a"));
	ASSERT(strstr(outcome.message, "not a directory"));
	teardown();
}

static void layers_are_no_options(void)
{
	static const char *const keys[] = {
		"lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir",
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct ovlt_tree *tree = make_tree(LOWERS);

		ASSERT_EQ(0, ovlt_tree_add_option(tree, "xino", "off"));
		ASSERT_EQ(0, ovlt_tree_add_option(tree, keys[i], "l1"));
		ASSERT_FAIL(EINVAL, OVLTREE_FIELD_OPTIONS, 1,
			    attach(ctx, tree, "m"));
		ovlt_tree_unref(tree);
	}
	teardown();
}

static void attribute_errors(void)
{
	static const uint32_t attrs[] = {
		0x80000000,
		MOUNT_ATTR_IDMAP,
		MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME,
	};

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		struct ovlt_tree *tree = make_tree(LOWERS);

		ASSERT_EQ(0, ovlt_tree_set_attr(tree, attrs[i]));
		ASSERT_FAIL(EINVAL, OVLTREE_FIELD_ATTR, 0,
			    attach(ctx, tree, "m"));
		ovlt_tree_unref(tree);
	}
	teardown();
}

static void target_errors(void)
{
	char name[300];

	setup();
	put("file", "");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0,
		    attach_options(LOWERS, "none"));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0,
		    attach_options(LOWERS, ""));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0,
		    attach_options(LOWERS, "file"));
	ASSERT_FAIL(ENOTDIR, OVLTREE_FIELD_TARGET, 0,
		    attach_options(LOWERS, "file/x"));
	ASSERT_FAIL(ENAMETOOLONG, OVLTREE_FIELD_TARGET, 0,
		    attach_options(LOWERS, name));
	teardown();
}

/* Batches */

static void same_target_twice(void)
{
	struct ovlt_tree *one = make_tree("lowerdir=l1:l2"),
			 *two = make_tree("lowerdir=l3:l2");
	struct ovlt_batch *batch;

	setup();
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, one, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, two, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ovlt_batch_unref(batch);
	ASSERT_STR("l3", get("m/a"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_STR("l1", get("m/a"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT(!get("m/a"));
	ovlt_tree_unref(one);
	ovlt_tree_unref(two);
	teardown();
}

static void entries_stand_alone(void)
{
	struct ovlt_tree *good = make_tree(LOWERS),
			 *bad = make_tree("lowerdir=l1:none");
	struct ovlt_tree *unfit = make_tree(LOWERS ",upperdir=u");
	struct ovlt_batch *batch;

	setup();
	ASSERT(!mkdir("m2", 0755));
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, bad, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, good, AT_FDCWD, "m", 0));
	ASSERT_EQ(2, ovlt_batch_add_tree(batch, good, AT_FDCWD, "none", 0));
	ASSERT_EQ(3, ovlt_batch_add_tree(batch, unfit, AT_FDCWD, "m2", 0));
	ASSERT_EQ(4, ovlt_batch_add_tree(batch, good, AT_FDCWD, "m2", 0));
	ASSERT_EQ(3, ovlt_batch_attach(batch));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1, outcome_of(batch, 0));
	ASSERT_OK(outcome_of(batch, 1));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 2));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_WORK, 0, outcome_of(batch, 3));
	ASSERT_OK(outcome_of(batch, 4));
	ovlt_batch_unref(batch);
	ASSERT_STR("l1", get("m/a"));
	ASSERT_STR("l1", get("m2/a"));

	/* All of it again in reverse, with one that isn't there. */
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_target(batch, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_target(batch, AT_FDCWD, "none", 0));
	ASSERT_EQ(2, ovlt_batch_add_target(batch, AT_FDCWD, "m2", 0));
	ASSERT_EQ(1, ovlt_batch_detach(batch));
	ASSERT_OK(outcome_of(batch, 0));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 1));
	ASSERT_OK(outcome_of(batch, 2));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(good);
	ovlt_tree_unref(bad);
	ovlt_tree_unref(unfit);
	teardown();
}

static void all_or_nothing(void)
{
	static const struct {
		const char *options;
		const char *target;
		int error;
		unsigned int field;
		unsigned int index;
	} bad[] = {
		{ "lowerdir=none:l1", "m2", ENOENT, OVLTREE_FIELD_LOWER, 0 },
		{ LOWERS, "none", ENOENT, OVLTREE_FIELD_TARGET, 0 },
		{ LOWERS ",nonsense", "m2", EINVAL, OVLTREE_FIELD_OPTIONS, 0 },
		{ LOWERS ",upperdir=u", "m2", EINVAL, OVLTREE_FIELD_WORK, 0 },
	};
	struct ovlt_tree *good;
	char *before, *after;

	setup();
	ASSERT(!mkdir("m2", 0755));
	good = make_tree(LOWERS "," IDMAP);
	before = read_all("/proc/self/mountinfo");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		/* The bad one is first, in the middle, last. */
		for (unsigned int which = 0; which < 3; which++) {
			struct ovlt_tree *tree = make_tree(bad[i].options);
			struct ovlt_batch *batch =
				ovlt_batch_new(ctx, OVLT_ALL);

			ASSERT(batch);
			for (unsigned int j = 0; j < 3; j++)
				ASSERT_EQ(j,
					  ovlt_batch_add_tree(
						  batch,
						  j == which ? tree : good,
						  AT_FDCWD,
						  j == which ? bad[i].target :
							       "m",
						  0));
			ASSERT_EQ(3, ovlt_batch_attach(batch));
			for (unsigned int j = 0; j < 3; j++)
				if (j != which)
					ASSERT_EQ(-ECANCELED,
						  outcome_of(batch, j).error);
			ASSERT_FAIL(bad[i].error, bad[i].field, bad[i].index,
				    outcome_of(batch, which));
			after = read_all("/proc/self/mountinfo");
			ASSERT_STR(before, after);
			free(after);
			ovlt_batch_unref(batch);
			ovlt_tree_unref(tree);
		}
	}
	free(before);
	ovlt_tree_unref(good);
	teardown();
}

/* What is undone may be a file on a file. */
static void all_or_nothing_of_files(void)
{
	struct ovlt_tree *bad = make_tree("lowerdir=none:l1");
	struct ovlt_batch *batch;
	int file;

	setup();
	put("f", "below");
	file = open_tree(AT_FDCWD, "l1/a", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	ASSERT(file >= 0);
	batch = ovlt_batch_new(ctx, OVLT_ALL);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_mount(batch, file, AT_FDCWD, "f", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, bad, AT_FDCWD, "m", 0));
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ASSERT_STR("below", get("f"));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(bad);
	close(file);
	teardown();
}

static void all_or_nothing_all_well(void)
{
	struct ovlt_tree *tree;
	struct ovlt_batch *batch;

	setup();
	ASSERT(!mkdir("m2", 0755));
	tree = make_tree(LOWERS "," IDMAP);
	batch = ovlt_batch_new(ctx, OVLT_ALL);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m2", 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	ASSERT_OWNER("m/a", 100000, 200000);
	ASSERT_OWNER("m2/a", 100000, 200000);
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(detach(ctx, "m2", 0));
	teardown();
}

/* More than one ioctl takes, where there is such a limit that can be reached. */
static void big_batch(void)
{
	struct ovlt_tree *tree = make_tree(LOWERS);
	struct ovlt_batch *batch;
	struct ovlt_info info;
	unsigned int before, nr = 300;
	char path[32];

	setup();
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	if (info.max_entries && info.max_entries < 2000)
		nr = info.max_entries + 10;
	before = count_mounts();
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	for (unsigned int i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "big%u", i);
		ASSERT(!mkdir(path, 0755));
		ASSERT_EQ(i,
			  ovlt_batch_add_tree(batch, tree, AT_FDCWD, path, 0));
	}
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(nr, count_mounts() - before);
	ovlt_batch_unref(batch);
	ASSERT_STR("l1", get("big0/a"));
	snprintf(path, sizeof(path), "big%u/c", nr - 1);
	ASSERT_STR("l3", get(path));

	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	for (unsigned int i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "big%u", i);
		ASSERT_EQ(i, ovlt_batch_add_target(batch, AT_FDCWD, path, 0));
	}
	ASSERT_EQ(0, ovlt_batch_detach(batch));
	ASSERT_EQ(before, count_mounts());
	ovlt_batch_unref(batch);

	if (info.max_entries && info.max_entries < 2000) {
		batch = ovlt_batch_new(ctx, OVLT_ALL);
		ASSERT(batch);
		for (unsigned int i = 0; i < nr; i++)
			ASSERT_EQ(i, ovlt_batch_add_tree(batch, tree, AT_FDCWD,
							 "m", 0));
		ASSERT_EQ(-E2BIG, ovlt_batch_attach(batch));
		ovlt_batch_unref(batch);
	}
	ovlt_tree_unref(tree);
	teardown();
}

static void batch_runs_again(void)
{
	struct ovlt_tree *tree = make_tree(LOWERS);
	struct ovlt_batch *batch;

	setup();
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "later", 0));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 0));
	ASSERT(!mkdir("later", 0755));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_OK(outcome_of(batch, 0));
	ASSERT_STR("", outcome_of(batch, 0).message);
	ASSERT_OK(detach(ctx, "later", 0));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	teardown();
}

/* Prepare */

static void prepare_then_attach(void)
{
	struct ovlt_tree *tree = make_tree(LOWERS),
			 *mapped = make_tree(LOWERS "," IDMAP);
	struct ovlt_batch *batch;
	struct outcome prepared;
	unsigned int before;
	int fd, fd2;

	setup();
	before = count_mounts();
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, -1, NULL, 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, mapped, -1, NULL, 0));
	ASSERT_EQ(0, ovlt_batch_prepare(batch));
	ASSERT_EQ(before, count_mounts());
	prepared = outcome_of(batch, 1);
	ASSERT(prepared.dev);
	fd = ovlt_batch_take_fd(batch, 1);
	ASSERT(fd >= 0);
	ASSERT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(-ENOENT, ovlt_batch_take_fd(batch, 1));
	ASSERT_EQ(-EINVAL, ovlt_batch_take_fd(batch, 2));
	/* The other mount goes with its batch. */
	ovlt_batch_unref(batch);

	/* It can be used before it is attached. */
	fd2 = openat(fd, "c", O_RDONLY | O_CLOEXEC);
	ASSERT(fd2 >= 0);
	close(fd2);

	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_mount(batch, fd, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT_EQ(prepared.mnt_id, outcome_of(batch, 0).mnt_id);
	ASSERT_EQ(prepared.dev, outcome_of(batch, 0).dev);
	ASSERT_OWNER("m/a", 100000, 200000);
	/* It is attached now, and can't be again. */
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_MNT_FD, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	close(fd);
	ASSERT_OK(detach(ctx, "m", 0));
	ovlt_tree_unref(tree);
	ovlt_tree_unref(mapped);
	teardown();
}

static void prepare_errors(void)
{
	struct ovlt_tree *tree = make_tree(LOWERS),
			 *bad = make_tree("lowerdir=l1:none");
	struct ovlt_tree *shared = make_tree(LOWERS ",shared");
	struct ovlt_batch *batch;

	setup();
	batch = ovlt_batch_new(ctx, OVLT_ALL);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, -1, NULL, 0));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, bad, -1, NULL, 0));
	ASSERT_EQ(2, ovlt_batch_prepare(batch));
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1, outcome_of(batch, 1));
	ASSERT_EQ(-ENOENT, ovlt_batch_take_fd(batch, 0));
	ovlt_batch_unref(batch);

	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, shared, -1, NULL, 0));
	ASSERT_EQ(1, ovlt_batch_prepare(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_PROPAGATION, 0, outcome_of(batch, 0));
	/* Without a mountpoint it can't be attached either. */
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EBADF, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	ovlt_tree_unref(bad);
	ovlt_tree_unref(shared);
	teardown();
}

static void foreign_mounts(void)
{
	struct ovlt_batch *batch;
	int fs, tmpfs, clone, file;

	setup();
	ASSERT(!mkdir("m2", 0755));
	fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	ASSERT(fs >= 0 && !fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	tmpfs = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	clone = open_tree(AT_FDCWD, "l1", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	file = open("l1/a", O_PATH | O_CLOEXEC);
	ASSERT(tmpfs >= 0 && clone >= 0 && file >= 0);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_mount(batch, tmpfs, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_add_mount(batch, clone, AT_FDCWD, "m2", 0));
	ASSERT_EQ(2, ovlt_batch_add_mount(batch, file, AT_FDCWD, "m", 0));
	ASSERT_EQ(3, ovlt_batch_add_mount(batch, 1000, AT_FDCWD, "m", 0));
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_OK(outcome_of(batch, 0));
	ASSERT_OK(outcome_of(batch, 1));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_MNT_FD, 0, outcome_of(batch, 2));
	ASSERT_FAIL(EBADF, OVLTREE_FIELD_MNT_FD, 0, outcome_of(batch, 3));
	ovlt_batch_unref(batch);
	ASSERT(has(mount_line(at("m")), " - tmpfs "));
	ASSERT_STR("l1", get("m2/a"));
	close(fs);
	close(tmpfs);
	close(clone);
	close(file);
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(detach(ctx, "m2", 0));
	teardown();
}

/* Detach */

static void detach_errors(void)
{
	setup();
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, detach(ctx, "m", 0));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, detach(ctx, "none", 0));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, detach(ctx, "", 0));
	ASSERT_OK(attach_options(LOWERS, "m"));
	/* Not the root of its mount. */
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, detach(ctx, "m/a", 0));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, detach(ctx, "m", 0));
	teardown();
}

static void detach_busy(void)
{
	struct ovlt_batch *batch;
	int fd;

	setup();
	ASSERT_OK(attach_options(LOWERS, "m"));
	fd = open("m/a", O_RDONLY | O_CLOEXEC);
	ASSERT(fd >= 0);
	ASSERT_FAIL(EBUSY, OVLTREE_FIELD_TARGET, 0, detach(ctx, "m", 0));
	ASSERT_FAIL(EBUSY, OVLTREE_FIELD_TARGET, 0,
		    detach(ctx, "m", OVLT_FORCE));
	ASSERT_STR("l1", get("m/a"));
	ASSERT_OK(detach(ctx, "m", OVLT_LAZY));
	ASSERT(!mount_line(at("m")));
	ASSERT_EQ(2, (lseek(fd, 0, SEEK_SET), read(fd, (char[8]){ 0 }, 8)));
	close(fd);

	/* A descriptor of the mount keeps it busy itself. */
	ASSERT_OK(attach_options(LOWERS, "m"));
	fd = open("m", O_PATH | O_CLOEXEC);
	ASSERT(fd >= 0);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_target(batch, fd, NULL, 0));
	ASSERT_EQ(1, ovlt_batch_detach(batch));
	ASSERT_FAIL(EBUSY, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_target(batch, fd, NULL, OVLT_LAZY));
	ASSERT_EQ(0, ovlt_batch_detach(batch));
	ASSERT(!mount_line(at("m")));
	ovlt_batch_unref(batch);
	close(fd);
	teardown();
}

static void detach_by_id(void)
{
	struct ovlt_batch *batch;
	struct outcome one, two;

	setup();
	ASSERT(!mkdir("m2", 0755));
	one = attach_options(LOWERS, "m");
	two = attach_options(LOWERS, "m2");
	ASSERT_OK(one);
	ASSERT_OK(two);
	if (!one.mnt_id) {
		ASSERT_OK(detach(ctx, "m", 0));
		ASSERT_OK(detach(ctx, "m2", 0));
		skip("this kernel has no unique ids of mounts");
	}
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_id(batch, two.mnt_id, 0));
	ASSERT_EQ(1, ovlt_batch_add_id(batch, 1ULL << 60, 0));
	ASSERT_EQ(2, ovlt_batch_add_id(batch, one.mnt_id, OVLT_LAZY));
	ASSERT_EQ(1, ovlt_batch_detach(batch));
	ASSERT_OK(outcome_of(batch, 0));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_MNT_ID, 0, outcome_of(batch, 1));
	ASSERT_OK(outcome_of(batch, 2));
	ASSERT_EQ(3, ovlt_batch_detach(batch));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_MNT_ID, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	teardown();
}

/* Propagation and namespaces */

static void propagation(void)
{
	static const struct {
		const char *option;
		const char *shown;
	} variants[] = {
		{ "shared", " shared:" },
		{ "private", NULL },
		{ "slave", NULL },
		{ "unbindable", " unbindable " },
	};
	struct ovlt_tree *tree;
	struct ovlt_batch *batch;
	char options[128];

	setup();
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		const char *line;

		snprintf(options, sizeof(options), LOWERS ",%s",
			 variants[i].option);
		ASSERT_OK(attach_options(options, "m"));
		line = mount_line(at("m"));
		if (variants[i].shown)
			ASSERT(has(line, variants[i].shown));
		else
			ASSERT(!has(line, "shared:") &&
			       !has(line, "unbindable"));
		ASSERT_OK(detach(ctx, "m", 0));
	}

	tree = make_tree(LOWERS);
	ASSERT_EQ(0, ovlt_tree_set_propagation(tree, 1UL << 17));
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT(has(mount_line(at("m")), " unbindable "));
	ASSERT_OK(detach(ctx, "m", 0));
	/* An entry's own is instead of its tree's. */
	ASSERT_EQ(0, ovlt_batch_set_propagation(batch, 0, 1UL << 20));
	ASSERT_EQ(-EINVAL, ovlt_batch_set_propagation(batch, 1, 1UL << 20));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ASSERT(has(mount_line(at("m")), " shared:"));
	ASSERT_OK(detach(ctx, "m", 0));
	/* None of MS_*, and two of them. */
	ASSERT_EQ(0, ovlt_batch_set_propagation(batch, 0, 1));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_PROPAGATION, 0, outcome_of(batch, 0));
	ASSERT_EQ(0,
		  ovlt_batch_set_propagation(batch, 0, 1UL << 20 | 1UL << 18));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_PROPAGATION, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	teardown();
}

static void shared_parent(void)
{
	setup();
	ASSERT(!mkdir("s", 0755) && !mkdir("peer", 0755));
	ASSERT(!mount("s", "s", "tmpfs", 0, NULL));
	ASSERT(!mount(NULL, "s", NULL, 1UL << 20, NULL));
	ASSERT(!mount("s", "peer", NULL, 4096, NULL));
	ASSERT(!mkdir("s/m", 0755));
	ASSERT_OK(attach_options(LOWERS, "s/m"));
	ASSERT_STR("l1", get("peer/m/a"));
	ASSERT(has(mount_line(at("s/m")), " shared:"));
	ASSERT_OK(detach(ctx, "s/m", 0));
	ASSERT(!mount_line(at("peer/m")));

	/* Given after the attaching, so the peer has its copy. */
	ASSERT_OK(attach_options(LOWERS ",private", "s/m"));
	ASSERT(!has(mount_line(at("s/m")), "shared:"));
	ASSERT_STR("l1", get("peer/m/a"));
	ASSERT_OK(detach(ctx, "peer/m", 0));
	if (mount_line(at("s/m")))
		ASSERT_OK(detach(ctx, "s/m", 0));
	ASSERT(!umount2("peer", 0) && !umount2("s", 0));
	teardown();
}

/* A process in a mount namespace of its own, which ends with its standard input. */
static pid_t start_in_ns(int *mntns, int *stop)
{
	char path[64], c;
	int ready[2], end[2];
	pid_t pid;

	ASSERT(!pipe2(ready, O_CLOEXEC) && !pipe2(end, O_CLOEXEC));
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		close(end[1]);
		if (unshare(CLONE_NEWNS) || write(ready[1], "x", 1) != 1)
			_exit(EXIT_FAILURE);
		while (read(end[0], &c, 1) > 0)
			;
		_exit(EXIT_SUCCESS);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	close(ready[1]);
	close(end[0]);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	*mntns = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT(*mntns >= 0);
	*stop = end[1];
	return pid;
}

static void other_mount_namespace(void)
{
	struct ovlt_tree *tree = make_tree(LOWERS ",nosuid,shared");
	struct ovlt_tree *plain = make_tree(LOWERS);
	char path[128], inside[160];
	struct ovlt_batch *batch;
	unsigned int before;
	int mntns, stop;
	pid_t pid;

	setup();
	put("n/keep", "");
	pid = start_in_ns(&mntns, &stop);
	before = count_mounts();
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, at("m"));
	snprintf(inside, sizeof(inside), "%s/a", path);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, path, 0));
	ASSERT_EQ(0, ovlt_batch_set_mntns(batch, 0, mntns));
	ASSERT_EQ(-EINVAL, ovlt_batch_set_mntns(batch, 1, mntns));
	ASSERT_EQ(0, ovlt_batch_attach(batch));
	ovlt_batch_unref(batch);
	ASSERT_EQ(before, count_mounts());
	ASSERT(!get("m/a"));
	ASSERT_STR("l1", get(inside));

	/* One fails, so what went into the other namespace is undone too. */
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, at("n"));
	snprintf(inside, sizeof(inside), "%s/a", path);
	batch = ovlt_batch_new(ctx, OVLT_ALL);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, path, 0));
	ASSERT_EQ(0, ovlt_batch_set_mntns(batch, 0, mntns));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, plain, AT_FDCWD, "none", 0));
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ASSERT(!get(inside) && errno == ENOENT);
	ovlt_batch_unref(batch);

	/* A target that isn't where the entry says, either way. */
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, plain, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_set_mntns(batch, 0, mntns));
	ASSERT_EQ(1, ovlt_batch_add_tree(batch, plain, AT_FDCWD, path, 0));
	ASSERT_EQ(2, ovlt_batch_attach(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 0));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 1));
	ovlt_batch_unref(batch);

	close(stop);
	close(mntns);
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));

	mntns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	ASSERT(mntns >= 0);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, plain, AT_FDCWD, "m", 0));
	ASSERT_EQ(0, ovlt_batch_set_mntns(batch, 0, mntns));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_MNTNS_FD, 0, outcome_of(batch, 0));
	close(mntns);
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EBADF, OVLTREE_FIELD_MNTNS_FD, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	ovlt_tree_unref(plain);
	teardown();
}

/* Threads */

static void *thread_main(void *arg)
{
	char options[256], target[32];

	for (int i = 0; i < 20; i++) {
		snprintf(target, sizeof(target), "t%ld", (long)(intptr_t)arg);
		snprintf(options, sizeof(options), LOWERS ",%s",
			 i % 2 ? IDMAP : "nodev");
		ASSERT_OK(attach_options(options, target));
		ASSERT_OK(detach(ctx, target, 0));
	}
	return NULL;
}

static void threads_share_context(void)
{
	pthread_t threads[4];
	char path[32];

	setup();
	for (intptr_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "t%d", (int)i);
		ASSERT(!mkdir(path, 0755));
	}
	for (intptr_t i = 0; i < 4; i++)
		ASSERT(!pthread_create(&threads[i], NULL, thread_main,
				       (void *)i));
	for (int i = 0; i < 4; i++)
		ASSERT(!pthread_join(threads[i], NULL));
	teardown();
}

/* More trees than one thread prepares, where the backend has several do it. */
static struct ovlt_batch *many_trees(unsigned int nr, unsigned int flags)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, flags);
	char path[32];

	ASSERT(batch);
	ovlt_ctx_set_threads(ctx, 4);
	for (unsigned int i = 0; i < nr; i++) {
		struct ovlt_tree *tree =
			make_tree(i % 2 ? LOWERS : LOWERS "," IDMAP);

		snprintf(path, sizeof(path), "t%u", i);
		ASSERT(!mkdir(path, 0755));
		ASSERT_EQ(i,
			  ovlt_batch_add_tree(batch, tree, AT_FDCWD, path, 0));
		ovlt_tree_unref(tree);
	}
	return batch;
}

static void trees_in_parallel(void)
{
	struct ovlt_batch *batch;
	char path[32];

	setup();
	batch = many_trees(40, 0);
	ASSERT(!rmdir("t7"));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	for (unsigned int i = 0; i < 40; i++) {
		struct outcome outcome = outcome_of(batch, i);
		struct stat st;

		if (i == 7) {
			ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome);
			continue;
		}
		ASSERT_OK(outcome);
		snprintf(path, sizeof(path), "t%u/b", i);
		ASSERT_STR("l2", get(path));
		ASSERT(!stat(path, &st));
		ASSERT_EQ(i % 2 ? 0 : 100000, st.st_uid);
		ASSERT_EQ(st.st_dev, outcome.dev);
		snprintf(path, sizeof(path), "t%u", i);
		ASSERT_OK(detach(ctx, path, 0));
	}
	ovlt_batch_unref(batch);
	teardown();
}

static void all_or_nothing_in_parallel(void)
{
	struct ovlt_batch *batch;
	struct ovlt_tree *bad;
	unsigned int mounts;

	setup();
	mounts = count_mounts();
	batch = many_trees(20, OVLT_ALL);
	bad = make_tree("lowerdir=l1:l2:none");
	ASSERT_EQ(20, ovlt_batch_add_tree(batch, bad, AT_FDCWD, "m", 0));
	ASSERT_EQ(21, ovlt_batch_attach(batch));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 2, outcome_of(batch, 20));
	for (unsigned int i = 0; i < 20; i++)
		ASSERT_EQ(-ECANCELED, outcome_of(batch, i).error);
	ASSERT_EQ(mounts, count_mounts());
	/* Also when it is the mountpoint of one that is missing. */
	ASSERT(!mkdir("none", 0755) && !rmdir("t3"));
	ASSERT_EQ(21, ovlt_batch_attach(batch));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_TARGET, 0, outcome_of(batch, 3));
	ASSERT_EQ(mounts, count_mounts());
	ovlt_tree_unref(bad);
	ovlt_batch_unref(batch);
	teardown();
}

/* Layer sets */

static struct ovlt_layerset *make_layerset(const char *options)
{
	struct ovlt_batch *batch = ovlt_batch_new(ctx, 0);
	struct ovlt_tree *tree = make_tree(options);
	struct ovlt_layerset *layerset;

	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, tree));
	ASSERT_EQ(0, ovlt_batch_make_layersets(batch));
	layerset = ovlt_batch_take_layerset(batch, 0);
	ASSERT(layerset);
	ovlt_tree_unref(tree);
	ovlt_batch_unref(batch);
	return layerset;
}

static struct outcome attach_layerset(struct ovlt_layerset *layerset,
				      const char *options, const char *target)
{
	struct ovlt_tree *tree = make_tree(options);
	struct outcome outcome;

	ASSERT_EQ(0, ovlt_tree_set_layerset(tree, layerset));
	outcome = attach(ctx, tree, target);
	ovlt_tree_unref(tree);
	return outcome;
}

static void layerset_trees(void)
{
	struct ovlt_layerset *layerset;

	setup();
	own("l2/b", 1000, 5);
	ASSERT(!mkdir("n", 0755));
	layerset = make_layerset(LOWERS);
	/* It is the folders, whatever they are called by now. */
	ASSERT(!rename("l2", "l2.old"));
	put("l2/b", "another");
	ASSERT_OK(attach_layerset(layerset, UPPER, "m"));
	ASSERT_OK(attach_layerset(layerset, IDMAP, "n"));
	ovlt_layerset_unref(layerset);
	ASSERT_STR("l1", get("m/a"));
	ASSERT_STR("l2", get("m/b"));
	ASSERT_STR("l3", get("n/c"));
	ASSERT_OWNER("m/b", 1000, 5);
	ASSERT_OWNER("n/b", 5000, 200005);
	put("m/new", "upper");
	ASSERT_STR("upper", get("u/new"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_OK(detach(ctx, "n", 0));
	teardown();
}

static void layerset_data_only(void)
{
	struct ovlt_layerset *layerset;

	setup();
	put("meta/f", "");
	ASSERT(!truncate("meta/f", 4));
	ASSERT(!setxattr("meta/f", "trusted.overlay.metacopy", "", 0, 0));
	ASSERT(!setxattr("meta/f", "trusted.overlay.redirect", "/object", 7,
			 0));
	put("data/object", "data");
	layerset = make_layerset("lowerdir=meta::data");
	ASSERT_OK(attach_layerset(layerset, "metacopy=on", "m"));
	ASSERT_STR("data", get("m/f"));
	ASSERT(!get("m/object") && errno == ENOENT);
	ASSERT_OK(detach(ctx, "m", 0));
	ovlt_layerset_unref(layerset);
	teardown();
}

static void layerset_errors(void)
{
	struct ovlt_batch *batch;
	struct ovlt_tree *good, *bad;

	setup();
	good = make_tree(LOWERS);
	bad = make_tree("lowerdir=l1:none:l2");
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, bad));
	ASSERT_EQ(1, ovlt_batch_add_layerset(batch, good));
	ASSERT_EQ(1, ovlt_batch_make_layersets(batch));
	ASSERT_FAIL(ENOENT, OVLTREE_FIELD_LOWER, 1, outcome_of(batch, 0));
	ASSERT(strstr(outcome_of(batch, 0).message, "none"));
	ASSERT_OK(outcome_of(batch, 1));
	ovlt_batch_unref(batch);

	batch = ovlt_batch_new(ctx, OVLT_ALL);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, good));
	ASSERT_EQ(1, ovlt_batch_add_layerset(batch, bad));
	ASSERT_EQ(2, ovlt_batch_make_layersets(batch));
	ASSERT_EQ(-ECANCELED, outcome_of(batch, 0).error);
	ovlt_batch_unref(batch);
	ovlt_tree_unref(good);
	ovlt_tree_unref(bad);
	teardown();
}

/* As descriptors of the layers would, it keeps their mounts busy. */
static void layerset_keeps_mounts(void)
{
	struct ovlt_layerset *layerset;

	setup();
	ASSERT(!mkdir("t", 0755) && !mount("t", "t", "tmpfs", 0, NULL));
	put("t/x/f", "x");
	put("t/y/f", "y");
	layerset = make_layerset("lowerdir=t/x:t/y");
	ASSERT_EQ(-1, umount2("t", 0));
	ASSERT_EQ(EBUSY, errno);
	ASSERT_OK(attach_layerset(layerset, "", "m"));
	ASSERT_STR("x", get("m/f"));
	ovlt_layerset_unref(layerset);
	/* The tree has the file system itself. */
	ASSERT(!umount2("t", 0));
	ASSERT_STR("x", get("m/f"));
	ASSERT_OK(detach(ctx, "m", 0));
	teardown();
}

static void layerset_passed_on(void)
{
	struct ovlt_layerset *layerset, *passed;
	struct ovlt_info info;
	char option[32];
	int status;
	pid_t pid;

	setup();
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	layerset = make_layerset(LOWERS);
	if (!(info.features & OVLTREE_FEATURE_LAYERSET)) {
		ASSERT_EQ(-EOPNOTSUPP, ovlt_layerset_get_fd(layerset));
		passed = ovlt_layerset_from_fd(STDOUT_FILENO);
		ASSERT(passed);
		ASSERT_FAIL(EOPNOTSUPP, OVLTREE_FIELD_LAYERSET_FD, 0,
			    attach_layerset(passed, "", "m"));
		ovlt_layerset_unref(passed);
		ovlt_layerset_unref(layerset);
		teardown();
		return;
	}
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	ASSERT(info.nr_layersets > 0);
	pid = fork();
	ASSERT(pid >= 0);
	if (!pid) {
		snprintf(option, sizeof(option), "layerset_fd=%d",
			 ovlt_layerset_get_fd(layerset));
		ASSERT_OK(attach_options(option, "m"));
		_exit(EXIT_SUCCESS);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	ovlt_layerset_unref(layerset);
	ASSERT_STR("l2", get("m/b"));
	ASSERT_OK(detach(ctx, "m", 0));
	/* What is no layer set is told so. */
	passed = ovlt_layerset_from_fd(STDOUT_FILENO);
	ASSERT(passed);
	ASSERT_EQ(OVLTREE_FIELD_LAYERSET_FD,
		  attach_layerset(passed, "", "m").field);
	ovlt_layerset_unref(passed);
	teardown();
}

static void caller_is_left_alone(void)
{
	char *cwd, *root;

	setup();
	cwd = getcwd(NULL, 0);
	root = realpath("/proc/self/root", NULL);
	ASSERT_OK(
		attach_options(LOWERS "," UPPER "," IDMAP ",unbindable", "m"));
	ASSERT_OK(detach(ctx, "m", 0));
	ASSERT_STR(cwd, getcwd((char[4096]){ 0 }, 4096));
	ASSERT_STR(root, realpath("/proc/self/root", (char[4096]){ 0 }));
	free(cwd);
	free(root);
	teardown();
}

static const struct test tests[] = {
	TEST(merged_contents),
	TEST(whiteout_and_opaque),
	TEST(read_only_without_upper),
	TEST(result_tells_mount),
	TEST(options_in_mountinfo),
	TEST(attributes),
	TEST(odd_names),
	TEST(escapes_in_options),
	TEST(long_names),
	TEST(files_by_fd),
	TEST(symbolic_links),
	TEST(data_only_layers),
	TEST(many_layers),
	TEST(idmap_ownership),
	TEST(idmap_names),
	TEST(idmap_several_mounts),
	TEST(idmap_mount_root),
	TEST(idmap_namespace_root),
	TEST(idmap_files_by_fd),
	TEST(idmap_by_path),
	TEST(idmap_errors),
	TEST(tree_errors),
	TEST(error_texts),
	TEST(layers_are_no_options),
	TEST(attribute_errors),
	TEST(target_errors),
	TEST(same_target_twice),
	TEST(entries_stand_alone),
	TEST(all_or_nothing),
	TEST(all_or_nothing_of_files),
	TEST(all_or_nothing_all_well),
	TEST(big_batch),
	TEST(batch_runs_again),
	TEST(prepare_then_attach),
	TEST(prepare_errors),
	TEST(foreign_mounts),
	TEST(detach_errors),
	TEST(detach_busy),
	TEST(detach_by_id),
	TEST(propagation),
	TEST(shared_parent),
	TEST(other_mount_namespace),
	TEST(threads_share_context),
	TEST(trees_in_parallel),
	TEST(all_or_nothing_in_parallel),
	TEST(layerset_trees),
	TEST(layerset_data_only),
	TEST(layerset_errors),
	TEST(layerset_keeps_mounts),
	TEST(layerset_passed_on),
	TEST(caller_is_left_alone),
};

int main(void)
{
	const char *env = getenv("OVLT_BACKENDS");
	char *names = strdup(env ? env : "ioctl mount-api mount-ns");
	char *rest = NULL;

	if (!names)
		return EXIT_FAILURE;
	for (backend = strtok_r(names, " ", &rest); backend;
	     backend = strtok_r(NULL, " ", &rest))
		run_tests(backend, tests, ARRAY_SIZE(tests),
			  !strcmp(backend, "ioctl") &&
				  access("/dev/ovltree", F_OK));
	free(names);
	return tap_done();
}
