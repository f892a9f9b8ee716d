// SPDX-License-Identifier: GPL-2.0
/*
 * The checks of the kernel's own mount calls, a row each. A row's situation is set
 * up once and written down once, as the entry of a batch. The kernel's own calls
 * get it step by step; then a batch gets it as its first, middle and last entry,
 * all or nothing and not. All have to give the same errno, to do what good entries
 * ask for, and to leave the mount table as it was. Last it goes the way of requests
 * to a daemon.
 */
#include "kselftest_harness.h"
#include "common.h"
#include "genl.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define NR 5
#define BAD_POINTER ((const char *)1)

/*
 * What a row starts from and changes:
 *
 *	l0 l1		layers
 *	t		the target of the entry, or what it unmounts
 *	good/0 ...	the targets of the others, or what they unmount
 *	file		a file
 *	x		for the row
 */
struct scene {
	struct ovlt_room room;
	struct daemon daemon;
	struct ovltree_tree *tree;
	struct ovltree_attach attach;
	struct ovltree_detach detach;
	/* What a batch attaches if it isn't that: a tree for each entry */
	const struct ovltree_tree *trees;
};

struct row {
	void (*make)(struct scene *scene);
	int error;
	/* If it is another one for a mount that is named by id instead. */
	int error_by_id;
	/* Who calls is refused, whatever the call is for. */
	bool call;
	/* Any other entry would be refused too. */
	bool alone;
};

static const char *good_target(int i)
{
	return ovlt_fmt("good/%d", i);
}

/*
 * The daemon is there before a row changes who calls, and serves a queue that is not
 * that of the test before.
 */
static void scene_enter(struct scene *scene)
{
	ovlt_room_enter(&scene->room);
	if (unshare(CLONE_NEWNET))
		ovlt_die("unshare");
	daemon_start(&scene->daemon, scene->room.dev);
	ovlt_simple_layers();
	ovlt_mkdirs("t", "x", NULL);
	for (int i = 0; i < NR; i++)
		ovlt_mkdir(good_target(i));
	ovlt_write("file", "file");
	scene->tree = ovlt_simple_tree();
	scene->attach = ovlt_entry_tree(scene->tree, "t");
	scene->detach = ovlt_entry_path("t", 0);
}

/*
 * The kernel's own calls
 */

static const char *text(__u64 pointer)
{
	return (const char *)(uintptr_t)pointer;
}

static int own_idmap(const struct ovltree_tree *tree)
{
	const struct ovltree_path *lower = (void *)(uintptr_t)tree->lower;
	int err = 0;

	for (int i = 0; !err && i < tree->nr_lower; i++)
		err = ovlt_sys_idmap(text(lower[i].path), tree->userns_fd);
	return err;
}

static int own_prepare(const struct ovltree_tree *tree)
{
	int err = tree->flags & OVLTREE_TREE_IDMAP ? own_idmap(tree) : 0;

	return err ? err : ovlt_sys_overlay(tree);
}

static int own_place(int mnt, const struct ovltree_attach *attach)
{
	const char *path = text(attach->target.path);
	struct mount_attr attr = { .propagation = attach->propagation };
	unsigned int flags = MOVE_MOUNT_F_EMPTY_PATH;

	if (attr.propagation &&
	    mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		return -errno;
	if (attach->flags & OVLTREE_ATTACH_MNTNS && setns(attach->mntns_fd, CLONE_NEWNS))
		return -errno;
	if (!path)
		flags |= MOVE_MOUNT_T_EMPTY_PATH;
	else if (!(attach->target.flags & OVLTREE_PATH_NOFOLLOW))
		flags |= MOVE_MOUNT_T_SYMLINKS;
	return move_mount(mnt, "", attach->target.fd, path ? path : "", flags) ? -errno : 0;
}

static int own_attach(const struct ovltree_attach *attach)
{
	int mnt, err;

	if (attach->flags & OVLTREE_ATTACH_MOUNT)
		return own_place(attach->mnt_fd, attach);
	mnt = own_prepare((void *)(uintptr_t)attach->tree);
	if (mnt < 0)
		return mnt;
	err = own_place(mnt, attach);
	close(mnt);
	return err;
}

static int own_detach(const struct ovltree_detach *detach)
{
	const char *path = text(detach->target.path);
	int flags = 0;

	if (detach->flags & OVLTREE_DETACH_LAZY)
		flags |= MNT_DETACH;
	if (detach->flags & OVLTREE_DETACH_FORCE)
		flags |= MNT_FORCE;
	if (detach->target.flags & OVLTREE_PATH_NOFOLLOW)
		flags |= UMOUNT_NOFOLLOW;
	if (!path)
		path = ovlt_fmt("/proc/self/fd/%d", detach->target.fd);
	return umount2(path, flags) ? -errno : 0;
}

/*
 * Batches
 */

struct place {
	int nr;
	int bad;
	__u32 flags;
};

static void expect_results(struct __test_metadata *_metadata, const struct row *row,
			   const struct place *place, int ret,
			   const struct ovltree_result *results)
{
	bool all = place->flags & OVLTREE_BATCH_ALL;

	if (row->call) {
		EXPECT_EQ(row->error, ret);
		return;
	}
	EXPECT_EQ(all ? 0 : place->nr - 1, ret);
	for (int i = 0; i < place->nr; i++) {
		int error = i == place->bad ? row->error : all ? -ECANCELED : 0;

		EXPECT_EQ(error, results[i].error)
			TH_LOG("entry %d of %d, the bad one is %d, flags %u: %s", i,
			       place->nr, place->bad, place->flags, results[i].message);
	}
}

typedef void (*try_fn)(struct __test_metadata *_metadata, const struct scene *scene,
		       const struct row *row, const struct place *place);

static void try_places(struct __test_metadata *_metadata, const struct scene *scene,
		       const struct row *row, __u32 flags, try_fn try)
{
	static const struct place places[] = {
		{ .nr = 1, .bad = 0 },
		{ .nr = NR, .bad = 0 },
		{ .nr = NR, .bad = NR / 2 },
		{ .nr = NR, .bad = NR - 1 },
	};

	for (int i = 0; i < (row->alone ? 1 : ARRAY_SIZE(places)); i++) {
		struct place place = places[i];
		char *before = ovlt_mountinfo();

		place.flags = flags;
		try(_metadata, scene, row, &place);
		EXPECT_STREQ(before, ovlt_mountinfo());
		free(before);
	}
}

static bool is_good(const struct row *row, const struct place *place, int i)
{
	return !row->call && !place->flags && i != place->bad;
}

static void try_attach(struct __test_metadata *_metadata, const struct scene *scene,
		       const struct row *row, const struct place *place)
{
	struct ovltree_result results[NR] = { };
	struct ovltree_attach entries[NR];
	int ret;

	for (int i = 0; i < place->nr; i++) {
		entries[i] = i == place->bad ? scene->attach :
			     ovlt_entry_tree(ovlt_simple_tree(), good_target(i));
		if (scene->trees)
			entries[i].tree = (uintptr_t)&scene->trees[i];
	}
	ret = ovlt_attach(scene->room.dev, place->flags, entries, place->nr, results);
	expect_results(_metadata, row, place, ret, results);
	for (int i = 0; i < place->nr; i++) {
		if (!is_good(row, place, i))
			continue;
		EXPECT_STREQ("upper\n", ovlt_read(ovlt_fmt("%s/f", good_target(i))));
		EXPECT_EQ(0, ovlt_sys_umount(good_target(i), 0));
	}
}

static void try_prepare(struct __test_metadata *_metadata, const struct scene *scene,
			const struct row *row, const struct place *place)
{
	struct ovltree_result results[NR] = { };
	struct ovltree_attach entries[NR];
	int ret;

	for (int i = 0; i < place->nr; i++)
		entries[i] = ovlt_entry_tree(i == place->bad ? scene->tree :
					     ovlt_simple_tree(), NULL);
	ret = ovlt_prepare(scene->room.dev, place->flags, entries, place->nr, results);
	expect_results(_metadata, row, place, ret, results);
	for (int i = 0; i < place->nr; i++) {
		if (is_good(row, place, i))
			EXPECT_EQ(0, close(results[i].fd));
	}
}

static void try_detach(struct __test_metadata *_metadata, const struct scene *scene,
		       const struct row *row, const struct place *place)
{
	struct ovltree_result results[NR] = { };
	struct ovltree_detach entries[NR];
	int ret;

	for (int i = 0; i < place->nr; i++) {
		if (i == place->bad) {
			entries[i] = scene->detach;
			continue;
		}
		if (!row->call)
			ovlt_tmpfs(good_target(i));
		entries[i] = ovlt_entry_path(good_target(i), 0);
	}
	ret = ovlt_detach(scene->room.dev, entries, place->nr, results);
	expect_results(_metadata, row, place, ret, results);
}

/*
 * Requests: a tree is prepared, its mountpoint opened, or the id of a mount asked
 * for, and what this gives is submitted, as the library does it. Whichever step
 * refuses, its errno counts.
 *
 * The daemon commits them, by their ids: only so can there be several in one batch,
 * in an order, all or nothing. It is the host's, in the mount namespace that the row
 * starts in, so that it could do itself what the submitter may not.
 */

/* A queue of one's own for whoever may have one; the others find the host's. */
static void submit_enter(const struct scene *scene, struct nl *nl)
{
	if (unshare(CLONE_NEWNET) && errno != EPERM)
		ovlt_die("unshare");
	if (daemon_serve(&scene->daemon))
		ovlt_die("serve");
	nl_open(nl);
}

static int submit_open(const struct ovltree_path *path)
{
	int flags = O_PATH | O_CLOEXEC, fd;

	if (path->flags & OVLTREE_PATH_NOFOLLOW)
		flags |= O_NOFOLLOW;
	fd = path->path ? openat(path->fd, text(path->path), flags) :
			  fcntl(path->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int submit_mount(struct nl *nl, const struct ovltree_attach *attach, int mnt_fd,
			__u64 *id)
{
	int target_fd = submit_open(&attach->target), err;
	struct request request;

	if (target_fd < 0)
		return target_fd;
	request = attach_request(mnt_fd, target_fd);
	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	if (attach->propagation)
		put_u32(&request, OVLTREE_A_REQUEST_PROPAGATION, attach->propagation);
	if (attach->flags & OVLTREE_ATTACH_MNTNS)
		put_u32(&request, OVLTREE_A_REQUEST_MNTNS_FD, attach->mntns_fd);
	err = nl_submit(nl, &request, id);
	close(target_fd);
	return err;
}

static int submit_attach(struct nl *nl, const struct scene *scene,
			 const struct ovltree_attach *attach, __u64 *id)
{
	int mnt_fd, err;

	if (attach->flags & OVLTREE_ATTACH_MOUNT)
		return submit_mount(nl, attach, attach->mnt_fd, id);
	mnt_fd = ovlt_prepare_one(scene->room.dev, (void *)(uintptr_t)attach->tree);
	if (mnt_fd < 0)
		return mnt_fd;
	err = submit_mount(nl, attach, mnt_fd, id);
	close(mnt_fd);
	return err;
}

/* A folder that isn't the root of a mount has no id of its own. */
static int submit_detach(struct nl *nl, const struct ovltree_detach *detach, __u64 *id)
{
	int fd = submit_open(&detach->target);
	struct request request;
	struct statx stx;
	__u32 flags = 0;

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID_UNIQUE, &stx))
		ovlt_die("statx");
	close(fd);
	if (!(stx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return -EINVAL;
	if (detach->flags & OVLTREE_DETACH_LAZY)
		flags |= OVLTREE_DETACH_FLAGS_LAZY;
	if (detach->flags & OVLTREE_DETACH_FORCE)
		flags |= OVLTREE_DETACH_FLAGS_FORCE;
	request = detach_request(stx.stx_mnt_id, flags);
	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, LONG);
	return nl_submit(nl, &request, id);
}

struct submitted {
	unsigned int nr;
	/* Which of them is the bad one, if it has come so far */
	int bad;
	__u64 ids[NR];
};

static void submitted_add(struct __test_metadata *_metadata, struct submitted *submitted,
			  bool bad, int expected, int err, __u64 id)
{
	if (err) {
		EXPECT_TRUE(bad);
		EXPECT_EQ(expected, err);
		return;
	}
	if (bad)
		submitted->bad = submitted->nr;
	submitted->ids[submitted->nr++] = id;
}

/* Each request ends as its entry of the batch does; what is undone waits again. */
static void expect_ends(struct __test_metadata *_metadata, struct nl *nl,
			const struct submitted *submitted, int error, bool all,
			const struct ovltree_result *results)
{
	bool undone = all && submitted->bad >= 0;

	for (int i = 0; i < submitted->nr; i++) {
		int expected = i == submitted->bad ? error : undone ? -ECANCELED : 0;

		EXPECT_EQ(expected, results[i].error)
			TH_LOG("request %d of %d, the bad one is %d: %s", i,
			       submitted->nr, submitted->bad, results[i].message);
		if (!undone)
			EXPECT_DONE(expected, submitted->ids[i], nl_event(nl));
	}
	if (!undone)
		return;
	EXPECT_DONE(error, submitted->ids[submitted->bad], nl_event(nl));
	for (int i = 0; i < submitted->nr; i++) {
		if (i == submitted->bad)
			continue;
		EXPECT_EQ(0, nl_cancel(nl, submitted->ids[i]));
		EXPECT_DONE(-ECANCELED, submitted->ids[i], nl_event(nl));
	}
}

static void try_submit_attach(struct __test_metadata *_metadata, const struct scene *scene,
			      const struct row *row, const struct place *place)
{
	struct ovltree_result results[NR] = { };
	struct submitted submitted = { .bad = -1 };
	struct ovltree_attach attach;
	struct nl nl;
	__u64 id;
	int err;

	submit_enter(scene, &nl);
	for (int i = 0; i < place->nr; i++) {
		attach = i == place->bad ? scene->attach :
			 ovlt_entry_tree(ovlt_simple_tree(), good_target(i));
		err = submit_attach(&nl, scene, &attach, &id);
		submitted_add(_metadata, &submitted, row->call || i == place->bad,
			      row->error, err, id);
	}
	if (submitted.nr)
		daemon_attach(&scene->daemon, place->flags, submitted.ids, submitted.nr,
			      results);
	expect_ends(_metadata, &nl, &submitted, row->error, place->flags, results);
	for (int i = 0; i < place->nr; i++) {
		if (i == place->bad || row->call || (place->flags && submitted.bad >= 0))
			continue;
		EXPECT_STREQ("upper\n", ovlt_read(ovlt_fmt("%s/f", good_target(i))));
		EXPECT_EQ(0, ovlt_sys_umount(good_target(i), 0));
	}
	nl_close(&nl);
}

static void try_submit_detach(struct __test_metadata *_metadata, const struct scene *scene,
			      const struct row *row, const struct place *place)
{
	int error = row->error_by_id ? row->error_by_id : row->error;
	struct ovltree_result results[NR] = { };
	struct submitted submitted = { .bad = -1 };
	struct ovltree_detach detach;
	struct nl nl;
	__u64 id;
	int err;

	submit_enter(scene, &nl);
	for (int i = 0; i < place->nr; i++) {
		bool bad = row->call || i == place->bad;

		if (!bad)
			ovlt_tmpfs(good_target(i));
		detach = bad ? scene->detach : ovlt_entry_path(good_target(i), 0);
		err = submit_detach(&nl, &detach, &id);
		submitted_add(_metadata, &submitted, bad, error, err, id);
	}
	if (submitted.nr)
		daemon_detach(&scene->daemon, submitted.ids, submitted.nr, results);
	expect_ends(_metadata, &nl, &submitted, error, false, results);
	nl_close(&nl);
}

/*
 * Who calls
 */

static void become_user(struct scene *scene)
{
	if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
		ovlt_die("setresuid");
}

/* Root of a user namespace that the mount namespace doesn't belong to */
static void become_guest(struct scene *scene)
{
	ovlt_enter_userns(ovlt_userns("0 100000 65536\n"), 0);
}

static void become_container(struct scene *scene)
{
	become_guest(scene);
	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
}

/* To a copy of the mount namespace, while the first one stays. */
static void move_on(void)
{
	ovlt_open("/proc/self/ns/mnt", O_RDONLY);
	ovlt_new_mntns();
}

static void lose(int capability)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		ovlt_die("capget");
	data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
	if (syscall(SYS_capset, &header, data))
		ovlt_die("capset");
}

static void lose_admin(struct scene *scene)
{
	lose(CAP_SYS_ADMIN);
}

static void become_restricted(struct scene *scene)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK,
	};
	int ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0))
		ovlt_die("Landlock");
}

/*
 * Trees that can't be built
 */

FIXTURE(tree)
{
	struct scene scene;
};

FIXTURE_VARIANT(tree)
{
	struct row row;
};

FIXTURE_SETUP(tree)
{
	scene_enter(&self->scene);
	variant->row.make(&self->scene);
}

FIXTURE_TEARDOWN(tree)
{
	daemon_end(&self->scene.daemon);
}

TEST_F(tree, parity)
{
	const struct row *row = &variant->row;
	char *before = ovlt_mountinfo();

	EXPECT_EQ(row->error, own_prepare(self->scene.tree));
	EXPECT_STREQ(before, ovlt_mountinfo());
	try_places(_metadata, &self->scene, row, 0, try_prepare);
	try_places(_metadata, &self->scene, row, OVLTREE_BATCH_ALL, try_prepare);
	try_places(_metadata, &self->scene, row, 0, try_attach);
	try_places(_metadata, &self->scene, row, OVLTREE_BATCH_ALL, try_attach);
}

/*
 * The trees of a batch, each on a layer set of its own, which are made in a batch
 * too. Either the bad one's set is refused, or the tree on it.
 */
static void try_layersets(struct __test_metadata *_metadata, const struct scene *scene,
			  const struct row *row, const struct place *place)
{
	const struct ovltree_tree *given[NR];
	struct ovltree_layerset entries[NR];
	struct ovltree_result results[NR] = { };
	struct ovltree_tree trees[NR];
	struct scene on_sets = *scene;
	int ret;

	for (int i = 0; i < place->nr; i++) {
		given[i] = i == place->bad ? scene->tree : ovlt_simple_tree();
		entries[i] = ovlt_entry_layerset(given[i]);
	}
	ret = ovlt_layerset(scene->room.dev, place->flags, entries, place->nr, results);
	if (ret != place->nr)
		expect_results(_metadata, row, place, ret, results);
	for (int i = 0; i < place->nr; i++)
		trees[i] = ovlt_tree_on(results[i].fd, given[i]);
	if (ret == place->nr) {
		on_sets.trees = trees;
		try_attach(_metadata, &on_sets, row, place);
	}
	for (int i = 0; i < place->nr; i++) {
		if (ret > 0 && !results[i].error)
			EXPECT_EQ(0, close(results[i].fd));
	}
}

TEST_F(tree, layerset)
{
	const struct row *row = &variant->row;

	try_places(_metadata, &self->scene, row, 0, try_layersets);
	try_places(_metadata, &self->scene, row, OVLTREE_BATCH_ALL, try_layersets);
	EXPECT_EQ(0, ovlt_count_layersets(self->scene.room.dev));
}

TEST_F(tree, submit)
{
	try_places(_metadata, &self->scene, &variant->row, 0, try_submit_attach);
	try_places(_metadata, &self->scene, &variant->row, OVLTREE_BATCH_ALL,
		   try_submit_attach);
}

static void only_lower(struct scene *scene, const char *path)
{
	scene->tree->nr_lower = 0;
	ovlt_tree_lowers(scene->tree, path, NULL);
}

static void upper(struct scene *scene, const char *upper, const char *work)
{
	only_lower(scene, "l0");
	ovlt_tree_upper(scene->tree, upper, work);
}

static void unknown_attribute(struct scene *scene)
{
	scene->tree->attr = 1U << 31;
}

static void two_access_times(struct scene *scene)
{
	scene->tree->attr = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME;
}

static void unknown_option(struct scene *scene)
{
	ovlt_tree_option(scene->tree, "nonsense=1");
}

static void bad_value(struct scene *scene)
{
	ovlt_tree_option(scene->tree, "xino=maybe");
}

static void options_that_clash(struct scene *scene)
{
	ovlt_tree_option(scene->tree, "userxattr");
	ovlt_tree_option(scene->tree, "redirect_dir=on");
}

static void layer_nothing(struct scene *scene)
{
	ovlt_tree_lowers(scene->tree, "nothing", NULL);
}

static void layer_bad_pointer(struct scene *scene)
{
	ovlt_tree_lowers(scene->tree, BAD_POINTER, NULL);
}

static void layer_file(struct scene *scene)
{
	ovlt_tree_lowers(scene->tree, "file", NULL);
}

static void layer_through_file(struct scene *scene)
{
	ovlt_tree_lowers(scene->tree, "file/layer", NULL);
}

static void layer_loop(struct scene *scene)
{
	if (symlink("loop", "loop"))
		ovlt_die("symlink");
	ovlt_tree_lowers(scene->tree, "loop", NULL);
}

static void layer_unreadable(struct scene *scene)
{
	ovlt_mkdir("x/closed/layer");
	if (chmod("x/closed", 0700))
		ovlt_die("chmod");
	become_container(scene);
	ovlt_tree_lowers(scene->tree, "x/closed/layer", NULL);
}

static void layer_twice(struct scene *scene)
{
	ovlt_tree_lowers(scene->tree, "l0", NULL);
}

static void layer_in_layer(struct scene *scene)
{
	ovlt_tree_lowers(scene->tree, "l0/d", NULL);
}

static void layer_alone(struct scene *scene)
{
	only_lower(scene, "l0");
}

static void layer_data_first(struct scene *scene)
{
	scene->tree->nr_lower = 0;
	ovlt_tree_option(scene->tree, "metacopy=on");
	ovlt_tree_lower(scene->tree, AT_FDCWD, "l1", OVLTREE_PATH_DATA);
	ovlt_tree_lower(scene->tree, AT_FDCWD, "l0", 0);
}

static void layers_too_many(struct scene *scene)
{
	scene->tree->nr_lower = 0;
	for (int i = 0; i <= 500; i++)
		ovlt_tree_lowers(scene->tree, ovlt_fmt("x/%d", i), NULL);
	for (int i = 0; i <= 500; i++)
		ovlt_mkdir(ovlt_fmt("x/%d", i));
}

static void layer_unbindable(struct scene *scene)
{
	ovlt_tmpfs("x");
	ovlt_mount(NULL, "x", NULL, MS_UNBINDABLE, NULL);
	ovlt_tree_lowers(scene->tree, "x", NULL);
}

static void layer_by_descriptor(struct scene *scene, int fd)
{
	if (fd < 0)
		ovlt_die("layer");
	ovlt_tree_lowers(scene->tree, ovlt_fmt("/proc/self/fd/%d", fd), NULL);
}

static void layer_detached(struct scene *scene)
{
	layer_by_descriptor(scene, ovlt_sys_fsmount("tmpfs"));
}

static void layer_unmounted(struct scene *scene)
{
	int fd;

	ovlt_tmpfs("x");
	fd = ovlt_open("x", O_PATH);
	if (umount2("x", MNT_DETACH))
		ovlt_die("umount");
	layer_by_descriptor(scene, fd);
}

static void layer_elsewhere(struct scene *scene)
{
	int fd = ovlt_open("x", O_PATH);

	move_on();
	layer_by_descriptor(scene, fd);
}

static void layer_hides(struct scene *scene)
{
	ovlt_tmpfs("x/hidden");
	become_container(scene);
	ovlt_tree_lowers(scene->tree, "x", NULL);
}

static void layers_too_deep(struct scene *scene)
{
	ovlt_mkdirs("x/1", "x/2", NULL);
	if (ovlt_attach_one(scene->room.dev, ovlt_simple_tree(), "x/1"))
		ovlt_die("overlay");
	scene->tree->nr_lower = 0;
	ovlt_tree_lowers(scene->tree, "x/1", "l0/d", NULL);
	if (ovlt_attach_one(scene->room.dev, scene->tree, "x/2"))
		ovlt_die("overlay on an overlay");
	scene->tree->nr_lower = 0;
	ovlt_tree_lowers(scene->tree, "x/2", "l0/d", NULL);
}

static void upper_nothing(struct scene *scene)
{
	upper(scene, "x/u", "x/w");
	scene->tree->upper = ovlt_at(AT_FDCWD, "nothing");
}

static void upper_file(struct scene *scene)
{
	upper(scene, "x/u", "x/w");
	scene->tree->upper = ovlt_at(AT_FDCWD, "file");
}

static void upper_read_only(struct scene *scene)
{
	ovlt_tmpfs("x");
	upper(scene, "x/u", "x/w");
	ovlt_mount(NULL, "x", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

static void upper_unbindable(struct scene *scene)
{
	ovlt_tmpfs("x");
	upper(scene, "x/u", "x/w");
	ovlt_mount(NULL, "x", NULL, MS_UNBINDABLE, NULL);
}

static void upper_is_layer(struct scene *scene)
{
	upper(scene, "l0", "x/w");
}

static void upper_in_use(struct scene *scene)
{
	ovlt_tree_option(scene->tree, "index=on");
	upper(scene, "x/u", "x/w");
	ovlt_mkdir("x/m");
	if (ovlt_attach_one(scene->room.dev, scene->tree, "x/m"))
		ovlt_die("overlay");
	ovlt_tree_upper(scene->tree, "x/u", "x/w2");
}

static void work_in_use(struct scene *scene)
{
	upper_in_use(scene);
	ovlt_tree_upper(scene->tree, "x/u2", "x/w");
}

static void work_nothing(struct scene *scene)
{
	upper(scene, "x/u", "x/w");
	scene->tree->work = ovlt_at(AT_FDCWD, "nothing");
}

static void work_in_upper(struct scene *scene)
{
	upper(scene, "x/u", "x/u/w");
}

static void work_elsewhere(struct scene *scene)
{
	ovlt_tmpfs("x");
	upper(scene, "u", "x/w");
}

static void privileged_option(struct scene *scene)
{
	become_container(scene);
	ovlt_tree_option(scene->tree, "redirect_dir=on");
}

static void idmap(struct scene *scene, int userns)
{
	ovlt_tree_idmap(scene->tree, userns);
}

static void idmap_nothing(struct scene *scene)
{
	idmap(scene, 1000);
}

static void idmap_path(struct scene *scene)
{
	idmap(scene, ovlt_open("/proc/self/ns/user", O_PATH));
}

static void idmap_file(struct scene *scene)
{
	idmap(scene, ovlt_open("file", O_RDONLY));
}

static void idmap_other_namespace(struct scene *scene)
{
	idmap(scene, ovlt_open("/proc/self/ns/mnt", O_RDONLY));
}

static void idmap_initial(struct scene *scene)
{
	idmap(scene, ovlt_open("/proc/self/ns/user", O_RDONLY));
}

static void idmap_without_map(struct scene *scene)
{
	idmap(scene, ovlt_userns(NULL));
}

static void idmap_file_system(struct scene *scene)
{
	only_lower(scene, "/proc/sys");
	ovlt_tree_lowers(scene->tree, "l0", NULL);
	idmap(scene, ovlt_userns("0 100000 65536\n"));
}

static void idmap_overlay(struct scene *scene)
{
	if (ovlt_attach_one(scene->room.dev, ovlt_simple_tree(), "x"))
		ovlt_die("overlay");
	only_lower(scene, "x");
	ovlt_tree_lowers(scene->tree, "l0", NULL);
	idmap(scene, ovlt_userns("0 100000 65536\n"));
}

static void idmap_twice(struct scene *scene)
{
	int userns = ovlt_userns("0 100000 65536\n");
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = userns };
	int mnt = ovlt_sys_open_tree("l0", 0);

	if (mnt < 0 || mount_setattr(mnt, "", AT_EMPTY_PATH, &attr, sizeof(attr)) ||
	    ovlt_sys_move_mount(mnt, "x"))
		ovlt_die("idmapped mount");
	close(mnt);
	only_lower(scene, "x");
	ovlt_tree_lowers(scene->tree, "l1", NULL);
	idmap(scene, userns);
}

static void idmap_hosts_layer(struct scene *scene)
{
	become_container(scene);
	idmap(scene, ovlt_userns("0 1000 100\n"));
}

static void container_layers(struct scene *scene)
{
	become_container(scene);
	ovlt_mount("x", "x", "tmpfs", 0, NULL);
	ovlt_mkdirs("x/l0", "x/l1", NULL);
	scene->tree->nr_lower = 0;
	ovlt_tree_lowers(scene->tree, "x/l1", "x/l0", NULL);
}

static void idmap_anothers(struct scene *scene)
{
	int userns = ovlt_userns("0 900000 100\n");

	container_layers(scene);
	idmap(scene, userns);
}

static void idmap_file_systems_own(struct scene *scene)
{
	container_layers(scene);
	idmap(scene, ovlt_open("/proc/self/ns/user", O_RDONLY));
}

#define TREE(name_, ...) FIXTURE_VARIANT_ADD(tree, name_) { .row = { name_, __VA_ARGS__ } }
TREE(become_user, -EPERM, .call = true);
TREE(become_guest, -EPERM, .call = true);
TREE(lose_admin, -EPERM, .call = true);
TREE(unknown_attribute, -EINVAL);
TREE(two_access_times, -EINVAL);
TREE(unknown_option, -EINVAL);
TREE(bad_value, -EINVAL);
TREE(options_that_clash, -EINVAL);
TREE(privileged_option, -EPERM);
TREE(layer_nothing, -ENOENT);
TREE(layer_bad_pointer, -EFAULT);
TREE(layer_file, -EINVAL);
TREE(layer_through_file, -ENOTDIR);
TREE(layer_loop, -ELOOP);
TREE(layer_unreadable, -EACCES);
TREE(layer_twice, -ELOOP);
TREE(layer_in_layer, -ELOOP);
TREE(layer_alone, -EINVAL);
TREE(layer_data_first, -EINVAL);
TREE(layers_too_many, -EINVAL);
TREE(layers_too_deep, -EINVAL);
TREE(layer_unbindable, -EINVAL);
TREE(layer_detached, -EINVAL);
TREE(layer_unmounted, -EINVAL);
TREE(layer_elsewhere, -EINVAL);
TREE(layer_hides, -EINVAL);
TREE(upper_nothing, -ENOENT);
TREE(upper_file, -EINVAL);
TREE(upper_read_only, -EINVAL);
TREE(upper_unbindable, -EINVAL);
TREE(upper_is_layer, -ELOOP);
TREE(upper_in_use, -EBUSY);
TREE(work_in_use, -EBUSY);
TREE(work_nothing, -ENOENT);
TREE(work_in_upper, -EINVAL);
TREE(work_elsewhere, -EINVAL);
TREE(idmap_nothing, -EBADF);
TREE(idmap_path, -EBADF);
TREE(idmap_file, -EINVAL);
TREE(idmap_other_namespace, -EINVAL);
TREE(idmap_initial, -EPERM);
TREE(idmap_without_map, -EINVAL);
TREE(idmap_file_system, -EINVAL);
TREE(idmap_overlay, -EINVAL);
TREE(idmap_twice, -EPERM);
TREE(idmap_hosts_layer, -EPERM);
TREE(idmap_anothers, -EPERM);
TREE(idmap_file_systems_own, -EINVAL);

/*
 * Mounts that can't go there
 */

#define MOUNT_MAX "/proc/sys/fs/mount-max"

FIXTURE(attach)
{
	struct scene scene;
	char *max;
};

FIXTURE_VARIANT(attach)
{
	struct row row;
};

FIXTURE_SETUP(attach)
{
	self->max = ovlt_read(MOUNT_MAX);
	scene_enter(&self->scene);
	variant->row.make(&self->scene);
}

FIXTURE_TEARDOWN(attach)
{
	daemon_end(&self->scene.daemon);
	if (strcmp(self->max, ovlt_read(MOUNT_MAX)))
		ovlt_write(MOUNT_MAX, self->max);
}

TEST_F(attach, parity)
{
	const struct row *row = &variant->row;
	char *before = ovlt_mountinfo();

	EXPECT_EQ(row->error, own_attach(&self->scene.attach));
	EXPECT_STREQ(before, ovlt_mountinfo());
	try_places(_metadata, &self->scene, row, 0, try_attach);
	try_places(_metadata, &self->scene, row, OVLTREE_BATCH_ALL, try_attach);
}

TEST_F(attach, submit)
{
	try_places(_metadata, &self->scene, &variant->row, 0, try_submit_attach);
	try_places(_metadata, &self->scene, &variant->row, OVLTREE_BATCH_ALL,
		   try_submit_attach);
}

static void target(struct scene *scene, const char *path)
{
	scene->attach.target = ovlt_at(AT_FDCWD, path);
}

static void target_fd(struct scene *scene, int fd)
{
	if (fd < 0)
		ovlt_die("target");
	scene->attach.target = (struct ovltree_path) { .fd = fd };
}

static void source(struct scene *scene, int mnt)
{
	if (mnt < 0)
		ovlt_die("source");
	scene->attach = ovlt_entry_mount(mnt, "t");
}

static void tree_restricted(struct scene *scene)
{
	ovlt_new_mntns();
	become_restricted(scene);
}

static void source_restricted(struct scene *scene)
{
	source(scene, ovlt_sys_fsmount("tmpfs"));
	tree_restricted(scene);
}

static void source_of_user(struct scene *scene)
{
	source(scene, ovlt_sys_fsmount("tmpfs"));
	become_user(scene);
}

static void source_of_guest(struct scene *scene)
{
	source(scene, ovlt_sys_fsmount("tmpfs"));
	become_guest(scene);
}

static void target_nothing(struct scene *scene)
{
	target(scene, "nothing");
}

static void target_bad_pointer(struct scene *scene)
{
	target(scene, BAD_POINTER);
}

static void target_empty(struct scene *scene)
{
	target(scene, "");
}

static void target_through_file(struct scene *scene)
{
	target(scene, "file/t");
}

static void target_loop(struct scene *scene)
{
	if (symlink("loop", "loop"))
		ovlt_die("symlink");
	target(scene, "loop");
}

static void target_symlink(struct scene *scene)
{
	if (symlink("t", "link"))
		ovlt_die("symlink");
	target(scene, "link");
	scene->attach.target.flags = OVLTREE_PATH_NOFOLLOW;
}

static void target_long_name(struct scene *scene)
{
	target(scene, ovlt_fmt("%0256d", 0));
}

static void target_long_path(struct scene *scene)
{
	target(scene, ovlt_fmt("%04096d", 0));
}

static void target_bad_descriptor(struct scene *scene)
{
	scene->attach.target = ovlt_at(1000, "t");
}

static void target_unreachable(struct scene *scene)
{
	ovlt_mkdir("x/closed/t");
	if (chmod("x/closed", 0700))
		ovlt_die("chmod");
	become_container(scene);
	target(scene, "x/closed/t");
}

static void target_removed(struct scene *scene)
{
	target_fd(scene, ovlt_open("t", O_PATH));
	if (rmdir("t"))
		ovlt_die("rmdir");
}

static void target_unmounted(struct scene *scene)
{
	ovlt_tmpfs("x");
	ovlt_mkdir("x/t");
	target_fd(scene, ovlt_open("x/t", O_PATH));
	if (umount2("x", MNT_DETACH))
		ovlt_die("umount");
}

static void target_detached(struct scene *scene)
{
	target_fd(scene, ovlt_sys_fsmount("tmpfs"));
}

static void target_elsewhere(struct scene *scene)
{
	target_fd(scene, ovlt_open("t", O_PATH));
	move_on();
}

static void target_file(struct scene *scene)
{
	target(scene, "file");
}

static void target_folder(struct scene *scene)
{
	source(scene, ovlt_sys_open_tree("file", 0));
}

static void source_bad_descriptor(struct scene *scene)
{
	source(scene, 1000);
}

static void source_below_root(struct scene *scene)
{
	int mnt = ovlt_prepare_one(scene->room.dev, scene->tree);

	source(scene, openat(mnt, "d", O_PATH));
}

static void source_folder(struct scene *scene)
{
	source(scene, ovlt_open("x", O_PATH));
}

static void source_unmounted(struct scene *scene)
{
	ovlt_tmpfs("x");
	source(scene, ovlt_open("x", O_PATH));
	if (umount2("x", MNT_DETACH))
		ovlt_die("umount");
}

static void source_elsewhere(struct scene *scene)
{
	ovlt_tmpfs("x");
	source(scene, ovlt_open("x", O_PATH));
	move_on();
}

static void source_locked(struct scene *scene)
{
	ovlt_tmpfs("x");
	become_container(scene);
	source(scene, ovlt_open("x", O_PATH));
}

static void source_in_shared(struct scene *scene)
{
	ovlt_tmpfs("x");
	ovlt_mount(NULL, "x", NULL, MS_SHARED, NULL);
	ovlt_tmpfs("x/m");
	source(scene, ovlt_open("x/m", O_PATH));
}

static void source_pipe(struct scene *scene)
{
	int ends[2];

	if (pipe(ends))
		ovlt_die("pipe");
	source(scene, ends[0]);
	target(scene, "file");
}

static void source_namespace(struct scene *scene)
{
	source(scene, ovlt_open("/proc/self/ns/mnt", O_RDONLY));
	target(scene, "file");
}

/*
 * A file of a mount namespace that is older than the one it would come to: each
 * could keep the other.
 */
static void source_keeps_namespace(struct scene *scene)
{
	int first = ovlt_open("/proc/self/ns/mnt", O_RDONLY), second;

	ovlt_new_mntns();
	second = ovlt_open("/proc/self/ns/mnt", O_RDONLY);
	if (setns(first, CLONE_NEWNS) || chdir("/tmp"))
		ovlt_die("setns");
	ovlt_tmpfs("x");
	ovlt_write("x/ns", "");
	ovlt_mount(ovlt_fmt("/proc/self/fd/%d", second), "x/ns", NULL, MS_BIND, NULL);
	source(scene, ovlt_sys_open_tree("x", AT_RECURSIVE));
	ovlt_new_mntns();
}

static void source_unbindable(struct scene *scene)
{
	struct mount_attr attr = { .propagation = MS_UNBINDABLE };

	ovlt_tmpfs("x");
	ovlt_mkdir("x/t");
	ovlt_mount(NULL, "x", NULL, MS_SHARED, NULL);
	source(scene, ovlt_sys_fsmount("tmpfs"));
	if (mount_setattr(scene->attach.mnt_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		ovlt_die("mount_setattr");
	target(scene, "x/t");
}

static void many_mounts(struct scene *scene, const char *on)
{
	ovlt_tmpfs("x");
	for (int i = 0; i < 40; i++)
		ovlt_tmpfs(ovlt_fmt("x/%d", i));
	source(scene, ovlt_sys_open_tree("x", AT_RECURSIVE));
	target(scene, on);
	if (umount2("x", MNT_DETACH))
		ovlt_die("umount");
	ovlt_write(MOUNT_MAX, ovlt_fmt("%d", ovlt_count_mounts() + 30));
}

static void too_many_mounts(struct scene *scene)
{
	many_mounts(scene, "t");
}

/* What peers would get is undone too. */
static void too_many_copies(struct scene *scene)
{
	ovlt_mkdirs("peer", "other", NULL);
	ovlt_tmpfs("peer");
	ovlt_mkdir("peer/t");
	ovlt_mount(NULL, "peer", NULL, MS_SHARED, NULL);
	ovlt_mount("peer", "other", NULL, MS_BIND, NULL);
	many_mounts(scene, "peer/t");
	ovlt_write(MOUNT_MAX, ovlt_fmt("%d", ovlt_count_mounts() + 60));
}

static void propagation_unknown(struct scene *scene)
{
	scene->attach.propagation = 1;
}

static void propagation_of_two_kinds(struct scene *scene)
{
	scene->attach.propagation = MS_SHARED | MS_SLAVE;
}

static void mntns(struct scene *scene, int fd)
{
	scene->attach.flags |= OVLTREE_ATTACH_MNTNS;
	scene->attach.mntns_fd = fd;
}

static void mntns_nothing(struct scene *scene)
{
	mntns(scene, 1000);
}

static void mntns_file(struct scene *scene)
{
	mntns(scene, ovlt_open("file", O_RDONLY));
}

static void mntns_path(struct scene *scene)
{
	mntns(scene, ovlt_open("/proc/self/ns/mnt", O_PATH));
}

static void mntns_other_kind(struct scene *scene)
{
	mntns(scene, ovlt_open("/proc/self/ns/user", O_RDONLY));
}

static void mntns_anothers(struct scene *scene)
{
	mntns(scene, ovlt_open("/proc/self/ns/mnt", O_RDONLY));
	become_container(scene);
}

static void mntns_without_chroot(struct scene *scene)
{
	mntns(scene, ovlt_open("/proc/self/ns/mnt", O_RDONLY));
	lose(CAP_SYS_CHROOT);
}

#define ATTACH(name_, ...) FIXTURE_VARIANT_ADD(attach, name_) { .row = { name_, __VA_ARGS__ } }
ATTACH(become_user, -EPERM, .call = true);
ATTACH(become_guest, -EPERM, .call = true);
ATTACH(lose_admin, -EPERM, .call = true);
ATTACH(source_of_user, -EPERM, .call = true);
ATTACH(source_of_guest, -EPERM, .call = true);
ATTACH(tree_restricted, -EPERM, .alone = true);
ATTACH(source_restricted, -EPERM, .alone = true);
ATTACH(target_nothing, -ENOENT);
ATTACH(target_bad_pointer, -EFAULT);
ATTACH(target_empty, -ENOENT);
ATTACH(target_through_file, -ENOTDIR);
ATTACH(target_loop, -ELOOP);
ATTACH(target_symlink, -EINVAL);
ATTACH(target_long_name, -ENAMETOOLONG);
ATTACH(target_long_path, -ENAMETOOLONG);
ATTACH(target_bad_descriptor, -EBADF);
ATTACH(target_unreachable, -EACCES);
ATTACH(target_removed, -ENOENT);
ATTACH(target_unmounted, -ENOENT);
ATTACH(target_detached, -EINVAL);
ATTACH(target_elsewhere, -EINVAL);
ATTACH(target_file, -EINVAL);
ATTACH(target_folder, -EINVAL);
ATTACH(source_bad_descriptor, -EBADF);
ATTACH(source_below_root, -EINVAL);
ATTACH(source_folder, -EINVAL);
ATTACH(source_unmounted, -EINVAL);
ATTACH(source_elsewhere, -EINVAL);
ATTACH(source_locked, -EINVAL);
ATTACH(source_in_shared, -EINVAL);
ATTACH(source_pipe, -EINVAL);
ATTACH(source_namespace, -EINVAL);
ATTACH(source_keeps_namespace, -ELOOP);
ATTACH(source_unbindable, -EINVAL);
ATTACH(too_many_mounts, -ENOSPC);
ATTACH(too_many_copies, -ENOSPC);
ATTACH(propagation_unknown, -EINVAL);
ATTACH(propagation_of_two_kinds, -EINVAL);
ATTACH(mntns_nothing, -EBADF);
ATTACH(mntns_path, -EBADF);
ATTACH(mntns_file, -EINVAL);
ATTACH(mntns_other_kind, -EINVAL);
ATTACH(mntns_anothers, -EPERM);
ATTACH(mntns_without_chroot, -EPERM);

/*
 * What mount(2) refuses, in do_add_mount(), and move_mount(2) doesn't ask for: nor
 * does a batch or a request.
 */

FIXTURE(unasked)
{
	struct scene scene;
};

FIXTURE_VARIANT(unasked)
{
	const char *target;
	/* Makes it again for each way */
	int (*make)(void);
	/* What mount(2) says, if it can be asked at all */
	int error;
};

/* There is one for each network namespace. */
static int make_same_superblock(void)
{
	return ovlt_sys_fsmount("sysfs");
}

static int make_symlink(void)
{
	return ovlt_sys_open_tree("link", AT_SYMLINK_NOFOLLOW);
}

FIXTURE_VARIANT_ADD(unasked, same_superblock) {
	.target = "t", .make = make_same_superblock, .error = -EBUSY,
};

FIXTURE_VARIANT_ADD(unasked, symlink) {
	.target = "file", .make = make_symlink,
};

FIXTURE_SETUP(unasked)
{
	scene_enter(&self->scene);
	ovlt_mount("sysfs", "t", "sysfs", 0, NULL);
	if (symlink("x", "link"))
		ovlt_die("symlink");
}

FIXTURE_TEARDOWN(unasked)
{
	daemon_end(&self->scene.daemon);
}

static int unasked_submit(const struct scene *scene, const struct ovltree_attach *attach)
{
	struct ovltree_result result = { };
	struct nl nl;
	__u64 id;
	int err;

	submit_enter(scene, &nl);
	err = submit_attach(&nl, scene, attach, &id);
	if (!err)
		daemon_attach(&scene->daemon, 0, &id, 1, &result);
	nl_close(&nl);
	return err ? err : result.error;
}

TEST_F(unasked, parity)
{
	struct ovltree_attach attach;
	char *before = ovlt_mountinfo();

	if (variant->error) {
		EXPECT_EQ(-1, mount("sysfs", variant->target, "sysfs", 0, NULL));
		EXPECT_EQ(variant->error, -errno);
	}
	for (int way = 0; way < 3; way++) {
		attach = ovlt_entry_mount(variant->make(), variant->target);
		ASSERT_LE(0, attach.mnt_fd);
		EXPECT_EQ(0, way == 0 ? own_attach(&attach) :
			     way == 1 ? ovlt_attach_mount(self->scene.room.dev,
							  attach.mnt_fd, variant->target) :
					unasked_submit(&self->scene, &attach)) {
			TH_LOG("way %d", way);
		}
		close(attach.mnt_fd);
		EXPECT_EQ(0, ovlt_sys_umount(variant->target, UMOUNT_NOFOLLOW));
		EXPECT_STREQ(before, ovlt_mountinfo());
	}
}

/*
 * Mounts that can't be unmounted
 */

FIXTURE(detach)
{
	struct scene scene;
};

FIXTURE_VARIANT(detach)
{
	struct row row;
};

FIXTURE_SETUP(detach)
{
	scene_enter(&self->scene);
	variant->row.make(&self->scene);
}

FIXTURE_TEARDOWN(detach)
{
	daemon_end(&self->scene.daemon);
}

TEST_F(detach, parity)
{
	const struct row *row = &variant->row;
	char *before = ovlt_mountinfo();

	EXPECT_EQ(row->error, own_detach(&self->scene.detach));
	EXPECT_STREQ(before, ovlt_mountinfo());
	try_places(_metadata, &self->scene, row, 0, try_detach);
}

TEST_F(detach, submit)
{
	try_places(_metadata, &self->scene, &variant->row, 0, try_submit_detach);
}

static void detach(struct scene *scene, const char *path, __u32 flags)
{
	scene->detach = ovlt_entry_path(path, flags);
}

static void detach_fd(struct scene *scene, int fd, __u32 flags)
{
	if (fd < 0)
		ovlt_die("mount");
	scene->detach = (struct ovltree_detach) {
		.flags = flags,
		.target = { .fd = fd },
	};
}

static void mounted_by_user(struct scene *scene)
{
	ovlt_tmpfs("t");
	become_user(scene);
}

static void mounted_by_host(struct scene *scene)
{
	ovlt_tmpfs("t");
	become_guest(scene);
}

static void restricted(struct scene *scene)
{
	ovlt_new_mntns();
	ovlt_tmpfs("t");
	become_restricted(scene);
}

static void nothing(struct scene *scene)
{
	detach(scene, "nothing", 0);
}

static void bad_pointer(struct scene *scene)
{
	detach(scene, BAD_POINTER, 0);
}

static void empty(struct scene *scene)
{
	detach(scene, "", 0);
}

static void through_file(struct scene *scene)
{
	detach(scene, "file/t", 0);
}

static void loop(struct scene *scene)
{
	target_loop(scene);
	detach(scene, "loop", 0);
}

static void long_name(struct scene *scene)
{
	detach(scene, ovlt_fmt("%0256d", 0), 0);
}

static void long_path(struct scene *scene)
{
	detach(scene, ovlt_fmt("%04096d", 0), 0);
}

static void link_itself(struct scene *scene)
{
	ovlt_tmpfs("t");
	target_symlink(scene);
	scene->detach.target = scene->attach.target;
}

static void unreachable(struct scene *scene)
{
	target_unreachable(scene);
	detach(scene, "x/closed/t", 0);
}

static void folder(struct scene *scene)
{
}

static void folder_lazily(struct scene *scene)
{
	detach(scene, "t", OVLTREE_DETACH_LAZY);
}

static void folder_in_a_mount(struct scene *scene)
{
	ovlt_tmpfs("t");
	ovlt_mkdir("t/d");
	detach(scene, "t/d", OVLTREE_DETACH_LAZY);
}

static void open_file(struct scene *scene)
{
	ovlt_tmpfs("t");
	ovlt_write("t/open", "");
	ovlt_open("t/open", O_RDONLY);
}

static void working_directory(struct scene *scene)
{
	ovlt_tmpfs("t");
	detach(scene, "/tmp/t", 0);
	for (int i = 0; i < NR; i++)
		ovlt_mkdir(ovlt_fmt("t/%s", good_target(i)));
	if (chdir("t"))
		ovlt_die("chdir");
}

static void mount_inside(struct scene *scene)
{
	ovlt_tmpfs("t");
	ovlt_tmpfs("t/inside");
}

/* CVE-2026-98996's kind: what goes with a mount that propagated is in use. */
static void copy_in_use(struct scene *scene)
{
	ovlt_mkdirs("shared", "peer", NULL);
	ovlt_tmpfs("shared");
	ovlt_mkdir("shared/t");
	ovlt_mount(NULL, "shared", NULL, MS_SHARED, NULL);
	ovlt_mount("shared", "peer", NULL, MS_BIND, NULL);
	ovlt_tmpfs("shared/t");
	ovlt_write("peer/t/open", "");
	ovlt_open("peer/t/open", O_RDONLY);
	detach(scene, "shared/t", 0);
}

/* A submount that the kernel makes, and that goes by itself when nobody needs it. */
static void mount_debugfs(const char *target)
{
	char *readme = ovlt_fmt("%s/tracing/README", target);

	ovlt_mount("none", target, "debugfs", 0, NULL);
	close(ovlt_open(readme, O_RDONLY));
	free(readme);
}

/* CVE-2026-98990's kind */
static void submount_in_use(struct scene *scene)
{
	mount_debugfs("t");
	ovlt_open("t/tracing/README", O_RDONLY);
}

/* CVE-2026-98978's kind: it hides a folder from those who didn't mount it. */
static void submount_locked(struct scene *scene)
{
	mount_debugfs("x");
	become_container(scene);
	ovlt_mount("x", "t", NULL, MS_BIND | MS_REC, NULL);
}

static void detached(struct scene *scene)
{
	detach_fd(scene, ovlt_sys_fsmount("tmpfs"), OVLTREE_DETACH_LAZY);
}

static void unmounted(struct scene *scene)
{
	source_unmounted(scene);
	detach_fd(scene, scene->attach.mnt_fd, OVLTREE_DETACH_LAZY);
}

static void elsewhere(struct scene *scene)
{
	source_elsewhere(scene);
	detach_fd(scene, scene->attach.mnt_fd, OVLTREE_DETACH_LAZY);
}

static void locked(struct scene *scene)
{
	ovlt_tmpfs("t");
	become_container(scene);
}

static void locked_lazily(struct scene *scene)
{
	locked(scene);
	detach(scene, "t", OVLTREE_DETACH_LAZY);
}

/* The mount is its own, the file system is the host's. */
static void forced(struct scene *scene)
{
	become_container(scene);
	ovlt_mount("l0", "t", NULL, MS_BIND, NULL);
	detach(scene, "t", OVLTREE_DETACH_FORCE);
}

#define DETACH(name_, ...) FIXTURE_VARIANT_ADD(detach, name_) { .row = { name_, __VA_ARGS__ } }
DETACH(mounted_by_user, -EPERM, .call = true);
DETACH(mounted_by_host, -EPERM, .call = true);
DETACH(restricted, -EPERM, .alone = true);
DETACH(nothing, -ENOENT);
DETACH(bad_pointer, -EFAULT);
DETACH(empty, -ENOENT);
DETACH(through_file, -ENOTDIR);
DETACH(loop, -ELOOP);
DETACH(long_name, -ENAMETOOLONG);
DETACH(long_path, -ENAMETOOLONG);
DETACH(link_itself, -EINVAL);
DETACH(unreachable, -EACCES);
DETACH(folder, -EINVAL);
DETACH(folder_lazily, -EINVAL);
DETACH(folder_in_a_mount, -EINVAL);
DETACH(open_file, -EBUSY);
DETACH(working_directory, -EBUSY);
DETACH(mount_inside, -EBUSY);
DETACH(copy_in_use, -EBUSY);
DETACH(submount_in_use, -EBUSY);
DETACH(submount_locked, -EBUSY);
DETACH(detached, -EINVAL, .error_by_id = -ENOENT);
DETACH(unmounted, -EINVAL, .error_by_id = -ENOENT);
DETACH(elsewhere, -EINVAL, .error_by_id = -ENOENT);
DETACH(locked, -EINVAL);
DETACH(locked_lazily, -EINVAL);
DETACH(forced, -EPERM);

TEST_HARNESS_MAIN
