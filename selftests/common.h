/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the selftests share. Whatever only prepares a test ends the process when
 * it fails, with the reason on standard error: the harness counts that as a
 * failure of the test. What a test is about returns 0 or more, or -errno.
 */
#ifndef OVLT_COMMON_H
#define OVLT_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <linux/ovltree.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "kselftest.h"

#ifndef __packed
#define __packed __attribute__((packed))
#endif

/* Slow kernels under an emulator have the right to be slow. */
#define OVLT_TIMEOUT 300

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

/*
 * A test's own room: a mount namespace with everything private and a fresh
 * tmpfs as working directory.
 */
struct ovlt_room {
	int dev;
	char *mounts;
};

void ovlt_room_enter(struct ovlt_room *room);
void ovlt_room_on_ext4(struct ovlt_room *room);
void ovlt_new_mntns(void);

void __noreturn ovlt_die(const char *fmt, ...) __printf(1, 2);
char *ovlt_fmt(const char *fmt, ...) __printf(1, 2);
void *ovlt_alloc(size_t size);

/* Files; paths are relative to the room, and parents are made as needed. */
void ovlt_mkdir(const char *path);
void ovlt_mkdirs(const char *path, ...) __attribute__((sentinel));
void ovlt_write(const char *path, const char *text);
char *ovlt_read(const char *path);
void ovlt_whiteout(const char *path);
void ovlt_opaque(const char *path);
void ovlt_xattr(const char *path, const char *name, const char *value);
int ovlt_open(const char *path, int flags);
bool ovlt_exists(const char *path);
char *ovlt_list(const char *path);
void ovlt_mount(const char *source, const char *target, const char *type,
		unsigned long flags, const char *data);
void ovlt_tmpfs(const char *target);
void ovlt_make_ext4(const char *image);
void ovlt_mount_ext4(const char *image, const char *target);
void ovlt_umount(const char *target);

/* The mount table */
struct ovlt_mount {
	int id;
	int parent;
	char *root;
	char *target;
	char *options;
	char *optional;
	char *type;
	char *source;
	char *super;
};

char *ovlt_mountinfo(void);
unsigned int ovlt_count_lines(const char *text);
unsigned int ovlt_count_mounts(void);
long ovlt_list_mounts(__u64 *ids, unsigned int nr);
struct ovlt_mount *ovlt_parse_mount(char *line);
struct ovlt_mount *ovlt_find_mount(const char *mountinfo, const char *target);
char *ovlt_path(const char *name);
__u64 ovlt_mount_id(int dirfd, const char *path);

/* Files of a cache of the kernel */
struct ovlt_slab {
	int shrink;
	int objects;
};

struct ovlt_slab ovlt_slab_open(const char *name);
long ovlt_slab_count(const struct ovlt_slab *slab);
long ovlt_slab_objects(const char *name);
long ovlt_mounts_at_rest(long expected);
bool ovlt_make_memory_cgroup(const char *path);
int ovlt_remove_cgroup(const char *path);

/* Tracing */
#define OVLT_TRACING "/sys/kernel/tracing/"
#define OVLT_PROBES OVLT_TRACING "kprobe_events"

void ovlt_probe(const char *command);

/* Namespaces */
int ovlt_userns(const char *map);
int ovlt_mntns(int userns);
void ovlt_enter_userns(int userns, uid_t id);
int ovlt_fork_wait(int (*run)(void *arg), void *arg);
int ovlt_fork_in_userns(int userns, int (*run)(void *arg), void *arg);
pid_t ovlt_start_in_userns(int userns, int (*run)(void *arg), void *arg);

/* Building the arguments */
void ovlt_tree_lower(struct ovltree_tree *tree, int fd, const char *path, __u32 flags);
void ovlt_tree_lowers(struct ovltree_tree *tree, const char *path, ...)
	__attribute__((sentinel));
void ovlt_tree_upper(struct ovltree_tree *tree, const char *upper, const char *work);
void ovlt_tree_option(struct ovltree_tree *tree, const char *option);
void ovlt_tree_idmap(struct ovltree_tree *tree, int userns);
struct ovltree_path ovlt_at(int fd, const char *path);
struct ovltree_attach ovlt_entry_tree(const struct ovltree_tree *tree, const char *target);
struct ovltree_attach ovlt_entry_mount(int mnt_fd, const char *target);
struct ovltree_detach ovlt_entry_path(const char *target, __u32 flags);
struct ovltree_detach ovlt_entry_id(__u64 id, __u32 flags);
void ovlt_simple_layers(void);
struct ovltree_tree *ovlt_simple_tree(void);
struct ovltree_tree ovlt_tree_on(int layerset, const struct ovltree_tree *tree);
struct ovltree_layerset ovlt_entry_layerset(const struct ovltree_tree *tree);

/* The commands: what the ioctl returned, or -errno */
int ovlt_ioctl(int dev, unsigned long cmd, void *arg);
int ovlt_prepare(int dev, __u32 flags, const struct ovltree_attach *entries,
		 unsigned int nr, struct ovltree_result *results);
int ovlt_attach(int dev, __u32 flags, const struct ovltree_attach *entries,
		unsigned int nr, struct ovltree_result *results);
int ovlt_detach(int dev, const struct ovltree_detach *entries, unsigned int nr,
		struct ovltree_result *results);
int ovlt_layerset(int dev, __u32 flags, const struct ovltree_layerset *entries,
		  unsigned int nr, struct ovltree_result *results);

unsigned int ovlt_count_layersets(int dev);
__u64 ovlt_layerset_info(int set, const char *name);

/* The same for one entry: 0 (a descriptor for prepare and layerset), or its error */
int ovlt_prepare_one(int dev, const struct ovltree_tree *tree);
int ovlt_attach_one(int dev, const struct ovltree_tree *tree, const char *target);
int ovlt_attach_mount(int dev, int mnt_fd, const char *target);
int ovlt_detach_one(int dev, const char *target);
int ovlt_layerset_one(int dev, const struct ovltree_tree *tree);

/* The kernel's own calls, to compare with: 0 or more, or -errno */
int ovlt_sys_overlay(const struct ovltree_tree *tree);
int ovlt_sys_fsmount(const char *type);
int ovlt_sys_open_tree(const char *path, unsigned int flags);
int ovlt_sys_move_mount(int mnt_fd, const char *target);
int ovlt_sys_attach(const struct ovltree_tree *tree, const char *target);
int ovlt_sys_umount(const char *target, int flags);
int ovlt_sys_idmap(const char *path, int userns);

/* For use with the harness, expected values first as everywhere */
#define EXPECT_RESULT(error_, field_, index_, result) do { \
	const struct ovltree_result *__result = &(result); \
	EXPECT_EQ(error_, __result->error) \
		TH_LOG("message: %s", __result->message); \
	EXPECT_EQ(OVLTREE_FIELD_##field_, __result->field) \
		TH_LOG("message: %s", __result->message); \
	EXPECT_EQ((__u32)(index_), __result->index); \
	EXPECT_EQ(-1, __result->fd); \
	EXPECT_EQ(0ULL, __result->mnt_id); \
} while (0)

#define EXPECT_RESULT_OK(result) do { \
	const struct ovltree_result *__result = &(result); \
	EXPECT_EQ(0, __result->error) \
		TH_LOG("message: %s", __result->message); \
	EXPECT_EQ(OVLTREE_FIELD_NONE, __result->field); \
	EXPECT_EQ(0U, __result->index); \
	EXPECT_STREQ("", __result->message); \
} while (0)

/* Entries of an all-or-nothing batch that another entry took along */
#define EXPECT_CANCELED(result) do { \
	const struct ovltree_result *__result = &(result); \
	EXPECT_EQ(-ECANCELED, __result->error); \
	EXPECT_EQ(-1, __result->fd); \
	EXPECT_EQ(0ULL, __result->mnt_id); \
} while (0)

#define EXPECT_ROOM_CLEAN(room) \
	EXPECT_STREQ((room)->mounts, ovlt_mountinfo())

#endif /* OVLT_COMMON_H */
