// SPDX-License-Identifier: GPL-2.0
/*
 * What the fuzzer has found worth keeping, once more and on any kernel: no call breaks
 * a promise of the interface, and nothing stays mounted.
 */
#include "kselftest_harness.h"
#include "../common.h"
#include "fuzz.h"

#include <dirent.h>
#include <sys/mman.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT OVLT_TIMEOUT

/* Where the programs were installed, or in the source */
static const char *const folders[] = { "corpus", "fuzz/corpus" };

struct inputs {
	int dev;
	int userns;
	unsigned int nr;
	unsigned int room;
	struct program *programs;
	/* Shared with those that run them */
	unsigned int *next;
};

FIXTURE(corpus)
{
	struct inputs inputs;
	long mounts;
};

FIXTURE_VARIANT(corpus)
{
	bool user;
};

FIXTURE_VARIANT_ADD(corpus, initial) { .user = false };
FIXTURE_VARIANT_ADD(corpus, user_namespace) { .user = true };

static int read_file(struct inputs *inputs, const char *path)
{
	char *text = ovlt_read(path);
	const char *at = text;
	int err;

	for (;;) {
		if (inputs->nr == inputs->room) {
			inputs->room = 2 * inputs->room + 64;
			inputs->programs = realloc(inputs->programs, inputs->room *
						   sizeof(*inputs->programs));
		}
		err = program_read(&inputs->programs[inputs->nr], &at);
		if (err)
			break;
		inputs->nr++;
	}
	free(text);
	return err == -ENOENT ? 0 : err;
}

FIXTURE_SETUP(corpus)
{
	const char *folder = folders[!!access(folders[0], F_OK)];
	struct dirent *entry;
	DIR *dir;

	self->inputs.dev = open("/dev/ovltree", O_RDWR | O_CLOEXEC);
	if (self->inputs.dev < 0 && errno == ENOENT)
		SKIP(return, "no /dev/ovltree");
	ASSERT_LE(0, self->inputs.dev);
	self->inputs.userns = variant->user ? ovlt_userns("0 100000 65536") : -1;
	self->mounts = ovlt_slab_objects("mnt_cache");
	self->inputs.next = mmap(NULL, sizeof(*self->inputs.next), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->inputs.next);
	dir = opendir(folder);
	ASSERT_NE(NULL, dir);
	while ((entry = readdir(dir))) {
		char *path = ovlt_fmt("%s/%s", folder, entry->d_name);

		if (entry->d_name[0] != '.')
			ASSERT_EQ(0, read_file(&self->inputs, path))
				TH_LOG("%s", path);
		free(path);
	}
	closedir(dir);
	ASSERT_LT(0, self->inputs.nr);
}

FIXTURE_TEARDOWN(corpus)
{
	for (int ms = 0; ms < 20000 && ovlt_slab_objects("mnt_cache") > self->mounts; ms += 50)
		usleep(50000);
	EXPECT_GE(self->mounts, ovlt_slab_objects("mnt_cache"));
}

/* Programs, until one has changed the world for good */
static int run_some(void *arg)
{
	struct inputs *inputs = arg;
	struct execution execution = {};
	struct world world = {};

	world_enter(&world, inputs->dev, inputs->userns);
	while (!execution.dirty && *inputs->next < inputs->nr) {
		program_run(&inputs->programs[(*inputs->next)++], &world, &execution);
		if (*execution.complaint) {
			fprintf(stderr, "# %s, after:\n", execution.complaint);
			return -EPROTO;
		}
		execution.dirty |= !world_clean(&world);
	}
	return 0;
}

TEST_F(corpus, replay)
{
	struct inputs *inputs = &self->inputs;
	int err = 0;

	while (!err && *inputs->next < inputs->nr)
		err = ovlt_fork_wait(run_some, inputs);
	EXPECT_EQ(0, err)
		program_write(&inputs->programs[*inputs->next - 1], stderr);
	TH_LOG("%u programs", inputs->nr);
}

TEST_HARNESS_MAIN
