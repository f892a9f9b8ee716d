// SPDX-License-Identifier: GPL-2.0
/*
 * Shared, slave, private and unbindable mountpoints: each scene is set up twice,
 * the mounts are attached by move_mount(2) there and by a batch here, and all
 * mount tables that can see it have to be the same.
 *
 *	a	the mount that targets are on, of the kind that is tested
 *	b	a bind mount of a: a peer if a is shared
 *	c	a bind mount of a, made a slave
 *	d	a bind mount of c, made shared: a slave with a peer group
 *
 * and other mount namespaces, that have copies of all of these.
 */
#include "kselftest_harness.h"
#include "common.h"

#include <sched.h>
#include <signal.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

#define MAX_STEPS 6
#define MAX_PEERS 100

enum watcher {
	WATCH_PEER,	/* a copy of the namespace */
	WATCH_SLAVE,	/* a copy with everything made a slave */
	WATCH_CONTAINER,/* a copy that a user namespace of its own owns */
	NR_WATCHERS,
};

struct step {
	const char *target;
	unsigned int propagation;
	const char *inside;	/* target is this, in the mount of the step before */
};

static const char *const scenes[] = {
	"one", "two", "stack", "peers", "nested", "shared_nested", "twice_shared",
};

static const struct step steps[][MAX_STEPS] = {
	{ { "a/t0" } },
	{ { "a/t0" }, { "a/t1" } },
	{ { "a/t0" }, { "a/t0" }, { "a/t0" } },
	{ { "a/t0" }, { "b/t0" }, { "c/t0" }, { "d/t0" } },
	{ { "a/t0" }, { NULL, 0, "d" }, { "a/t1" } },
	{ { "a/t0", MS_SHARED }, { NULL, MS_SHARED, "d" }, { "b/t0" } },
	{ { "a/t0", MS_SHARED }, { "b/t1", MS_SLAVE }, { "a/t2", MS_PRIVATE },
	  { "c/t0", MS_UNBINDABLE }, { "a/t3", MS_SHARED } },
};

FIXTURE(propagation)
{
	struct ovlt_room room;
};

FIXTURE_VARIANT(propagation)
{
	unsigned long kind;	/* of a, and of what is attached by default */
	int scene;
	bool watched;
};

#define VARIANTS(name, kind_) \
FIXTURE_VARIANT_ADD(propagation, name##_one) { kind_, 0, true }; \
FIXTURE_VARIANT_ADD(propagation, name##_two) { kind_, 1, true }; \
FIXTURE_VARIANT_ADD(propagation, name##_stack) { kind_, 2, true }; \
FIXTURE_VARIANT_ADD(propagation, name##_peers) { kind_, 3, true }; \
FIXTURE_VARIANT_ADD(propagation, name##_peers_alone) { kind_, 3, false }; \
FIXTURE_VARIANT_ADD(propagation, name##_nested) { kind_, 4, true }; \
FIXTURE_VARIANT_ADD(propagation, name##_shared_nested) { kind_, 5, true }; \
FIXTURE_VARIANT_ADD(propagation, name##_kinds) { kind_, 6, true }

VARIANTS(private, MS_PRIVATE);
VARIANTS(shared, MS_SHARED);
VARIANTS(slave, MS_SLAVE);
VARIANTS(unbindable, MS_UNBINDABLE);

FIXTURE_SETUP(propagation)
{
	ovlt_room_enter(&self->room);
}

FIXTURE_TEARDOWN(propagation)
{
	EXPECT_ROOM_CLEAN(&self->room);
}

static void change(const char *target, unsigned long kind)
{
	ovlt_mount(NULL, target, NULL, kind, NULL);
}

static void set_up(unsigned long kind)
{
	static const char *const targets[] = { "t0", "t1", "t2", "t3" };

	ovlt_tmpfs("a");
	for (int i = 0; i < ARRAY_SIZE(targets); i++)
		ovlt_mkdir(ovlt_fmt("a/%s", targets[i]));
	ovlt_mkdirs("b", "c", "d", NULL);
	/* A slave needs a master. */
	change("a", kind == MS_SLAVE ? MS_SHARED : kind);
	if (kind != MS_UNBINDABLE) {
		ovlt_mount("a", "b", NULL, MS_BIND, NULL);
		ovlt_mount("a", "c", NULL, MS_BIND, NULL);
		change("c", MS_SLAVE);
		ovlt_mount("c", "d", NULL, MS_BIND, NULL);
		change("d", MS_SHARED);
	} else {
		ovlt_tmpfs("b");
		ovlt_mkdirs("b/t0", "b/t1", NULL);
		ovlt_tmpfs("c");
		ovlt_mkdir("c/t0");
		ovlt_tmpfs("d");
		ovlt_mkdir("d/t0");
	}
	if (kind == MS_SLAVE)
		change("a", MS_SLAVE);
}

static int watch(void *arg)
{
	enum watcher watcher = *(int *)arg;

	if (watcher == WATCH_CONTAINER)
		ovlt_enter_userns(ovlt_userns("0 100000 65536\n"), 0);
	if (unshare(CLONE_NEWNS))
		ovlt_die("unshare");
	if (watcher == WATCH_SLAVE)
		change("/", MS_REC | MS_SLAVE);
	return 0;
}

/*
 * A mount table as a tree, without anything that differs from run to run: peer
 * groups are numbered as they come, over all tables of a run.
 */
struct shape {
	char *text;
	int peers[MAX_PEERS];
	int nr_peers;
};

struct table {
	struct ovlt_mount *mounts[200];
	int nr;
};

static int peer_number(struct shape *shape, int id)
{
	for (int i = 0; i < shape->nr_peers; i++)
		if (shape->peers[i] == id)
			return i;
	if (shape->nr_peers == MAX_PEERS)
		ovlt_die("too many peer groups");
	shape->peers[shape->nr_peers] = id;
	return shape->nr_peers++;
}

static void append(struct shape *shape, const char *text)
{
	char *longer = ovlt_fmt("%s%s", shape->text, text);

	free(shape->text);
	shape->text = longer;
}

static void append_optional(struct shape *shape, const char *optional)
{
	char *copy = ovlt_fmt("%s", optional), *word;

	while ((word = strsep(&copy, " "))) {
		char *colon = strchr(word, ':');

		if (!*word)
			continue;
		if (!colon) {
			append(shape, ovlt_fmt(" %s", word));
			continue;
		}
		append(shape, ovlt_fmt(" %.*s:%d", (int)(colon - word), word,
				       peer_number(shape, atoi(colon + 1))));
	}
}

static void append_mount(struct shape *shape, const struct table *table,
			 const struct ovlt_mount *m, int depth)
{
	const struct ovlt_mount *child = NULL;

	append(shape, ovlt_fmt("%*s%s %s %s %s", 2 * depth, "", m->target, m->root,
			       m->type, m->options));
	append_optional(shape, m->optional);
	append(shape, "\n");
	/* One mountpoint of a mount has one mount. */
	for (;;) {
		const struct ovlt_mount *next = NULL;

		for (int i = 0; i < table->nr; i++) {
			const struct ovlt_mount *c = table->mounts[i];

			if (c->parent != m->id || (child && strcmp(c->target, child->target) <= 0))
				continue;
			if (!next || strcmp(c->target, next->target) < 0)
				next = c;
		}
		if (!next)
			return;
		append_mount(shape, table, next, depth + 1);
		child = next;
	}
}

static void append_table(struct shape *shape, const char *mountinfo)
{
	struct table table = { };
	char *copy = ovlt_fmt("%s", mountinfo), *line;

	while ((line = strsep(&copy, "\n"))) {
		if (!*line)
			continue;
		if (table.nr == ARRAY_SIZE(table.mounts))
			ovlt_die("too many mounts");
		table.mounts[table.nr++] = ovlt_parse_mount(line);
	}
	for (int i = 0; i < table.nr; i++)
		if (!strcmp(table.mounts[i]->target, "/tmp"))
			append_mount(shape, &table, table.mounts[i], 0);
}

static char *shape_of(const pid_t *watchers)
{
	struct shape *shape = ovlt_alloc(sizeof(*shape));

	shape->text = ovlt_fmt("%s", "");
	append_table(shape, ovlt_mountinfo());
	for (int i = 0; i < NR_WATCHERS; i++) {
		if (!watchers[i])
			continue;
		append(shape, "--\n");
		append_table(shape, ovlt_read(ovlt_fmt("/proc/%d/mountinfo", watchers[i])));
	}
	return shape->text;
}

static struct ovltree_tree *step_tree(int i)
{
	struct ovltree_tree *tree = ovlt_alloc(sizeof(*tree));
	char *layer = ovlt_fmt("layers/%d", i);

	ovlt_write(ovlt_fmt("%s/name", layer), layer);
	ovlt_mkdirs(ovlt_fmt("%s/d", layer), "layers/base", NULL);
	ovlt_tree_lowers(tree, layer, "layers/base", NULL);
	return tree;
}

/*
 * The mounts are prepared in either case, so that a step can be inside the one
 * before; a batch of trees is tested by the scenes without that.
 */
static void attach_steps(struct __test_metadata *_metadata, int dev, bool batch,
			 const struct step *step, int nr)
{
	struct ovltree_attach entries[MAX_STEPS];
	struct ovltree_result results[MAX_STEPS];
	int mnt[MAX_STEPS];

	for (int i = 0; i < nr; i++) {
		mnt[i] = batch ? ovlt_prepare_one(dev, step_tree(i)) :
				 ovlt_sys_overlay(step_tree(i));
		ASSERT_LE(0, mnt[i]);
	}
	for (int i = 0; i < nr; i++) {
		entries[i] = ovlt_entry_mount(mnt[i], step[i].target);
		if (step[i].inside)
			entries[i].target = ovlt_at(mnt[i - 1], step[i].inside);
		entries[i].propagation = step[i].propagation;
	}
	if (batch)
		EXPECT_EQ(nr, ovlt_attach(dev, OVLTREE_BATCH_ALL, entries, nr, results));
	for (int i = 0; !batch && i < nr; i++) {
		struct mount_attr attr = { .propagation = step[i].propagation };

		EXPECT_EQ(0, move_mount(mnt[i], "", entries[i].target.fd,
					(char *)(uintptr_t)entries[i].target.path,
					MOVE_MOUNT_F_EMPTY_PATH));
		if (step[i].propagation)
			EXPECT_EQ(0, mount_setattr(mnt[i], "", AT_EMPTY_PATH, &attr,
						   sizeof(attr)));
	}
	for (int i = 0; i < nr; i++)
		close(mnt[i]);
}

static void detach_steps(struct __test_metadata *_metadata, int dev, bool batch,
			 const struct step *step, int nr)
{
	/* Lazily, from the last one: what propagation took away is gone already. */
	for (int i = nr; i--;) {
		struct ovltree_detach entry = ovlt_entry_path(step[i].target,
							      OVLTREE_DETACH_LAZY);
		struct ovltree_result result;

		if (step[i].inside)
			continue;
		if (batch)
			ovlt_detach(dev, &entry, 1, &result);
		else
			umount2(step[i].target, MNT_DETACH);
	}
}

struct run {
	char *attached;
	char *detached;
};

static struct run run_scene(struct __test_metadata *_metadata, int dev, bool batch,
			    unsigned long kind, const struct step *step, bool watched)
{
	pid_t watchers[NR_WATCHERS] = { };
	struct run run;
	int nr = 0;

	while (nr < MAX_STEPS && (step[nr].target || step[nr].inside))
		nr++;
	set_up(kind);
	for (int i = 0; watched && i < NR_WATCHERS; i++)
		watchers[i] = ovlt_start_in_userns(-1, watch, &i);

	attach_steps(_metadata, dev, batch, step, nr);
	run.attached = shape_of(watchers);
	detach_steps(_metadata, dev, batch, step, nr);
	run.detached = shape_of(watchers);

	for (int i = 0; i < NR_WATCHERS; i++) {
		if (!watchers[i])
			continue;
		kill(watchers[i], SIGKILL);
		waitpid(watchers[i], NULL, 0);
	}
	for (const char *mnt = "dcba"; *mnt; mnt++)
		umount2(ovlt_fmt("%c", *mnt), MNT_DETACH);
	return run;
}

TEST_F(propagation, as_move_mount)
{
	const struct step *step = steps[variant->scene];
	struct run theirs, ours;

	TH_LOG("scene %s", scenes[variant->scene]);
	theirs = run_scene(_metadata, self->room.dev, false, variant->kind, step,
			   variant->watched);
	EXPECT_ROOM_CLEAN(&self->room);
	ours = run_scene(_metadata, self->room.dev, true, variant->kind, step,
			 variant->watched);
	EXPECT_NE(NULL, strstr(theirs.attached, " overlay "));
	EXPECT_STREQ(theirs.attached, ours.attached);
	EXPECT_STREQ(theirs.detached, ours.detached);
}

/*
 * What the result says, and what goes away together
 */

FIXTURE(shared)
{
	struct ovlt_room room;
	struct ovltree_result results[4];
};

FIXTURE_SETUP(shared)
{
	ovlt_room_enter(&self->room);
	ovlt_simple_layers();
	set_up(MS_SHARED);
}

FIXTURE_TEARDOWN(shared)
{
	for (const char *mnt = "dcba"; *mnt; mnt++)
		umount2(ovlt_fmt("%c", *mnt), MNT_DETACH);
	EXPECT_ROOM_CLEAN(&self->room);
}

static bool attached(const char *target)
{
	return !strcmp("upper\n", ovlt_read(ovlt_fmt("%s/f", target)));
}

TEST_F(shared, trees)
{
	struct ovltree_attach entries[] = {
		ovlt_entry_tree(ovlt_simple_tree(), "a/t0"),
		ovlt_entry_tree(ovlt_simple_tree(), "c/t1"),
	};
	unsigned int before = ovlt_count_mounts();

	ASSERT_EQ(2, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, 2,
				 self->results));
	EXPECT_EQ(ovlt_mount_id(AT_FDCWD, "a/t0"), self->results[0].mnt_id);
	EXPECT_NE(ovlt_mount_id(AT_FDCWD, "b/t0"), self->results[0].mnt_id);
	EXPECT_TRUE(attached("a/t0"));
	EXPECT_TRUE(attached("b/t0"));
	EXPECT_TRUE(attached("c/t0"));
	EXPECT_TRUE(attached("d/t0"));
	EXPECT_FALSE(attached("a/t1"));
	EXPECT_TRUE(attached("c/t1"));
	EXPECT_FALSE(attached("d/t1"));
	EXPECT_EQ(before + 5, ovlt_count_mounts());

	EXPECT_EQ(1, ovlt_detach(self->room.dev, &(struct ovltree_detach) {
			.flags = OVLTREE_DETACH_ID, .mnt_id = self->results[0].mnt_id,
		}, 1, self->results));
	EXPECT_FALSE(attached("a/t0"));
	EXPECT_FALSE(attached("b/t0"));
	EXPECT_FALSE(attached("c/t0"));
	EXPECT_FALSE(attached("d/t0"));
	EXPECT_EQ(0, ovlt_detach_one(self->room.dev, "c/t1"));
	EXPECT_EQ(before, ovlt_count_mounts());
}

/* A batch that fails leaves no copy of what it had attached, nor a peer group. */
TEST_F(shared, undone)
{
	struct ovltree_attach entries[4];
	char *before = ovlt_mountinfo();

	for (int i = 0; i < 3; i++)
		entries[i] = ovlt_entry_tree(ovlt_simple_tree(), "a/t0");
	ovlt_mkdir("gone");
	entries[3] = ovlt_entry_tree(ovlt_simple_tree(), NULL);
	entries[3].target = (struct ovltree_path) { .fd = ovlt_open("gone", O_PATH) };
	ASSERT_EQ(0, rmdir("gone"));
	EXPECT_EQ(0, ovlt_attach(self->room.dev, OVLTREE_BATCH_ALL, entries, 4,
				 self->results));
	EXPECT_RESULT(-ENOENT, TARGET, 0, self->results[3]);
	EXPECT_STREQ(before, ovlt_mountinfo());
	close(entries[3].target.fd);
}

/* A private parent's mount gets the type that is asked for. */
TEST_F(shared, types)
{
	static const struct {
		unsigned int propagation;
		const char *target;
		const char *seen;
	} table[] = {
		{ 0, "t0", "" },
		{ MS_SHARED, "t1", "shared:" },
		{ MS_SLAVE, "t2", "" },
		{ MS_PRIVATE, "t3", "" },
		{ MS_UNBINDABLE, "t4", "unbindable" },
	};

	for (int i = 0; i < ARRAY_SIZE(table); i++) {
		struct ovltree_attach entry = ovlt_entry_tree(ovlt_simple_tree(),
							      table[i].target);
		struct ovlt_mount *m;

		ovlt_mkdir(table[i].target);
		entry.propagation = table[i].propagation;
		ASSERT_EQ(1, ovlt_attach(self->room.dev, 0, &entry, 1, self->results));
		m = ovlt_find_mount(ovlt_mountinfo(), table[i].target);
		ASSERT_NE(NULL, m);
		EXPECT_EQ(0, strncmp(table[i].seen, m->optional, strlen(table[i].seen))) {
			TH_LOG("%s", m->optional);
		}
		if (!*table[i].seen)
			EXPECT_STREQ("", m->optional);
		EXPECT_EQ(0, ovlt_detach_one(self->room.dev, table[i].target));
	}
}

/* move_mount(2) doesn't put an unbindable mount onto a shared one. */
TEST_F(shared, unbindable_on_shared)
{
	int mnt;

	ovlt_tmpfs("x");
	change("x", MS_SHARED);
	ovlt_tmpfs("x/y");
	change("x/y", MS_UNBINDABLE);
	mnt = ovlt_sys_fsmount("tmpfs");
	ASSERT_LE(0, mnt);
	ASSERT_EQ(0, mount_setattr(mnt, "", AT_EMPTY_PATH, &(struct mount_attr) {
			.propagation = MS_UNBINDABLE }, sizeof(struct mount_attr)));
	EXPECT_EQ(-EINVAL, ovlt_sys_move_mount(mnt, "a/t0"));
	EXPECT_EQ(-EINVAL, ovlt_attach_mount(self->room.dev, mnt, "a/t0"));
	close(mnt);
	ovlt_umount("x/y");
	ovlt_umount("x");
}

/*
 * Peers: what the first entry's unmount takes along is not there for the second.
 */
TEST_F(shared, detach_peers)
{
	struct ovltree_detach entries[] = {
		ovlt_entry_path("a/t0", 0), ovlt_entry_path("b/t0", 0),
	};

	ASSERT_EQ(0, ovlt_attach_one(self->room.dev, ovlt_simple_tree(), "a/t0"));
	EXPECT_EQ(1, ovlt_detach(self->room.dev, entries, 2, self->results));
	EXPECT_RESULT_OK(self->results[0]);
	EXPECT_RESULT(-EINVAL, TARGET, 0, self->results[1]);
	EXPECT_FALSE(attached("a/t0"));
	EXPECT_FALSE(attached("b/t0"));
}

TEST_HARNESS_MAIN
