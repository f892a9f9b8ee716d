// SPDX-License-Identifier: GPL-2.0-only
/*
 * What needs no backend: the builders, the parsers, the choice of a backend, the
 * kernel's messages.
 */
#include <linux/mount.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>

#include <netlink/genl/genl.h>

#include "netlink.h"
#include "private.h"

#include "harness.h"

static void parse_flags(void)
{
	static const struct {
		const char *options;
		uint32_t attr;
		unsigned long propagation;
	} variants[] = {
		{ "", 0, 0 },
		{ "defaults", 0, 0 },
		{ ",,,", 0, 0 },
		{ "ro", MOUNT_ATTR_RDONLY, 0 },
		{ "ro,rw", 0, 0 },
		{ "nosuid,nodev,noexec,nosymfollow",
		  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
			  MOUNT_ATTR_NOSYMFOLLOW,
		  0 },
		{ "nosuid,nodev,noexec,nosymfollow,suid,dev,exec,symfollow", 0,
		  0 },
		{ "noatime,nodiratime",
		  MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODIRATIME, 0 },
		{ "noatime,strictatime", MOUNT_ATTR_STRICTATIME, 0 },
		{ "strictatime,noatime", MOUNT_ATTR_NOATIME, 0 },
		{ "strictatime,relatime,nodiratime,diratime",
		  MOUNT_ATTR_RELATIME, 0 },
		{ "shared", 0, 1UL << 20 },
		{ "rshared,private", 0, 1UL << 18 },
		{ "rslave", 0, 1UL << 19 },
		{ "unbindable,nodev", MOUNT_ATTR_NODEV, 1UL << 17 },
		{ "x-systemd.automount,x-a=b,comment=c,nofail,_netdev,user", 0,
		  0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		struct ovlt_tree *tree = make_tree(variants[i].options);

		ASSERT_EQ(variants[i].attr, tree->attr);
		ASSERT_EQ(variants[i].propagation, tree->propagation);
		ASSERT_EQ(0, tree->nr_lower);
		ovlt_tree_unref(tree);
	}
}

static void parse_layers(void)
{
	struct ovlt_tree *tree;

	tree = make_tree(
		"lowerdir=/a:b\\:c:d\\,e::f\\\\g::h,upperdir=u:v\\,w,workdir=\"x,y\"");
	ASSERT_EQ(5, tree->nr_lower);
	ASSERT_STR("/a", tree->lower[0].path);
	ASSERT_STR("b:c", tree->lower[1].path);
	ASSERT_STR("d,e", tree->lower[2].path);
	ASSERT_EQ(0, tree->lower[2].flags);
	ASSERT_STR("f\\g", tree->lower[3].path);
	ASSERT_EQ(OVLT_DATA, tree->lower[3].flags);
	ASSERT_STR("h", tree->lower[4].path);
	ASSERT_EQ(OVLT_DATA, tree->lower[4].flags);
	ASSERT_STR("u:v,w", tree->upper.path);
	ASSERT_STR("x,y", tree->work.path);
	ASSERT_EQ(0, tree->nr_options);
	ovlt_tree_unref(tree);

	tree = make_tree("lowerdir+=a:b,lowerdir+=c,datadir+=d::e");
	ASSERT_EQ(3, tree->nr_lower);
	ASSERT_STR("a:b", tree->lower[0].path);
	ASSERT_STR("d::e", tree->lower[2].path);
	ASSERT_EQ(OVLT_DATA, tree->lower[2].flags);
	ovlt_tree_unref(tree);

	/* A backslash at the very end is one. */
	tree = make_tree("lowerdir=a\\");
	ASSERT_STR("a\\", tree->lower[0].path);
	ovlt_tree_unref(tree);
}

static void parse_rest(void)
{
	struct ovlt_tree *tree = make_tree(
		"xino=off,ro,volatile,context=\"a,b\",e=\"f,verity=on");

	ASSERT_EQ(5, tree->nr_options);
	ASSERT_STR("xino=off", tree->options[0]);
	ASSERT_STR("ro", tree->options[1]);
	ASSERT_STR("volatile", tree->options[2]);
	ASSERT_STR("context=a,b", tree->options[3]);
	ASSERT_STR("e=\"f,verity=on", tree->options[4]);
	ovlt_tree_unref(tree);
}

static void parse_errors(void)
{
	static const char *const bad[] = {
		"lowerdir",
		"lowerdir=",
		"lowerdir=:a",
		"lowerdir=a:",
		"lowerdir=a:::b",
		"lowerdir=a::",
		"lowerdir+",
		"datadir+=",
		"upperdir",
		"workdir=",
		"=x",
		"layerset_fd",
		"layerset_fd=-1",
		"layerset_fd= 1",
		"layerset_fd=1x",
		"layerset_fd=4294967297",
		"X-mount.idmap",
		"X-mount.idmap=",
		"X-mount.idmap=u:0:0",
		"X-mount.idmap=u:0:0:0",
		"X-mount.idmap=x:0:0:1",
		"X-mount.idmap=0:0:1:1",
		"X-mount.idmap=-1:0:1",
		"X-mount.idmap=0:0:4294967296",
		"X-mount.idmap=u:0:0:1 ,",
		"X-mount.idmap= ",
	};
	/* The last but one is right: blanks separate, so one may end it. */
	const size_t right = ARRAY_SIZE(bad) - 2;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ovlt_tree *tree = ovlt_tree_new();
		int err;

		ASSERT(tree);
		err = ovlt_tree_parse_options(tree, bad[i]);
		if (err != (i == right ? 0 : -EINVAL))
			fail_at(__FILE__, __LINE__, "%s: %d", bad[i], err);
		ASSERT_EQ(i != right, !!ovlt_tree_get_error(tree)[0]);
		ovlt_tree_unref(tree);
	}
}

static void builder_errors(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();

	ASSERT(tree);
	ASSERT_EQ(-EINVAL, ovlt_tree_add_lower(tree, AT_FDCWD, "a", 1U << 31));
	ASSERT(ovlt_tree_get_error(tree)[0]);
	ASSERT_EQ(-EBADF, ovlt_tree_add_lower(tree, -1, NULL, 0));
	ASSERT_EQ(-EINVAL, ovlt_tree_set_upper(tree, AT_FDCWD, "a", OVLT_DATA));
	ASSERT_EQ(-EINVAL, ovlt_tree_set_work(tree, AT_FDCWD, "a", OVLT_LAZY));
	ASSERT_EQ(-EINVAL, ovlt_tree_add_option(tree, "", NULL));
	ASSERT_EQ(-EINVAL, ovlt_tree_add_option(tree, "a=b", NULL));
	ASSERT_EQ(-EBADF, ovlt_tree_set_userns(tree, 1000));
	ASSERT_EQ(0, tree->nr_lower);
	ASSERT_EQ(0, tree->nr_options);
	ovlt_tree_unref(tree);
}

static void userns(void)
{
	static const struct ovlt_id_range overlap[] = {
		{ 'u', 0, 1000, 10 },
		{ 'u', 5, 5000, 10 },
	};
	static const struct ovlt_id_range type[] = { { 'x', 0, 0, 1 } };
	struct ovlt_id_range many[400];
	struct stat a, b;
	int fd, fd2;

	ASSERT_EQ(-EINVAL, ovlt_userns_open(NULL, 0));
	ASSERT_EQ(-EINVAL, ovlt_userns_open(overlap, 2));
	ASSERT_EQ(-EINVAL, ovlt_userns_open(type, 1));
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct ovlt_id_range){ 'b', 2 * i, 2 * i + 1, 1 };
	/* 340 lines are what the kernel takes. */
	fd = ovlt_userns_open(many, 340);
	ASSERT(fd >= 0);
	ASSERT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(-EINVAL, ovlt_userns_open(many, 341));
	fd2 = ovlt_userns_parse("0:100000:65536");
	ASSERT(fd2 >= 0);
	ASSERT(!fstat(fd, &a) && !fstat(fd2, &b));
	ASSERT(a.st_ino != b.st_ino);
	close(fd);
	close(fd2);
	ASSERT_EQ(-ENOENT, ovlt_userns_parse("/proc/none"));
	/* No child is left. */
	ASSERT_EQ(-1, waitpid(-1, NULL, __WALL));
	ASSERT_EQ(ECHILD, errno);
}

static void context(void)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_info info;
	char text[OVLTREE_MESSAGE_MAX];

	ASSERT(ctx);
	ASSERT_EQ(-EINVAL, ovlt_ctx_set_backend(ctx, "nonsense"));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT(strstr(text, "nonsense"));
	ASSERT_EQ(-ENOSPC, ovlt_ctx_get_error(ctx, text, 3));
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "mount-api"));
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "auto"));
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "mount-ns"));
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	ASSERT_STR("mount-ns", info.backend);
	ASSERT_EQ(500, info.max_lower);
	ASSERT_EQ(-EBUSY, ovlt_ctx_set_backend(ctx, "ioctl"));
	ASSERT(ovlt_ctx_ref(ctx) == ctx);
	ovlt_ctx_unref(ctx);
	ovlt_ctx_unref(ctx);
	ovlt_ctx_unref(NULL);
	ASSERT_STR("daemon", ovlt_backend_name(0));
	ASSERT_STR("ioctl", ovlt_backend_name(1));
	ASSERT(!ovlt_backend_name(4));
	for (unsigned int i = 0; i < 5; i++)
		ASSERT_EQ(i >= 1 && i < 4, ovlt_backend_is_automatic(i));
}

static void log_count(void *data, int priority, const char *message)
{
	unsigned int *nr = data;

	ASSERT(priority >= LOG_ERR && priority <= LOG_DEBUG);
	ASSERT(message[0] && !strchr(message, '\n'));
	(*nr)++;
}

static void fallback(void)
{
	bool module = !access("/dev/ovltree", F_OK);
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	char text[OVLTREE_MESSAGE_MAX];
	struct ovlt_info info;
	unsigned int nr = 0;

	ASSERT(ctx);
	ovlt_ctx_set_log(ctx, log_count, &nr);
	ASSERT_EQ(0, ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	ASSERT_STR(module ? "ioctl" : "mount-api", info.backend);
	ASSERT_EQ(module ? 1 : 2, nr);
	ovlt_ctx_unref(ctx);

	ctx = ovlt_ctx_new();
	ASSERT(ctx);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "ioctl"));
	ASSERT_EQ(module ? 0 : -ENOENT,
		  ovlt_ctx_get_info(ctx, &info, sizeof(info)));
	ASSERT_EQ(0, ovlt_ctx_get_error(ctx, text, sizeof(text)));
	ASSERT_EQ(!module, !!strstr(text, "/dev/ovltree"));
	ovlt_ctx_unref(ctx);
}

static void layersets(void)
{
	struct ovlt_tree *tree = ovlt_tree_new();
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_layerset *layerset;
	struct ovlt_batch *batch;
	char option[32];

	ASSERT(tree && ctx);
	ASSERT(!ovlt_layerset_from_fd(-1) && errno == EBADF);
	layerset = ovlt_layerset_from_fd(STDOUT_FILENO);
	ASSERT(layerset);
	ASSERT(ovlt_layerset_get_fd(layerset) > STDERR_FILENO);
	ASSERT_EQ(FD_CLOEXEC, fcntl(ovlt_layerset_get_fd(layerset), F_GETFD));
	ASSERT(ovlt_layerset_ref(layerset) == layerset);
	ovlt_layerset_unref(layerset);
	ASSERT_EQ(0, ovlt_tree_set_layerset(tree, layerset));
	ASSERT_EQ(-EINVAL, ovlt_tree_set_layerset(tree, layerset));
	ASSERT_EQ(-EINVAL, ovlt_tree_add_lower(tree, AT_FDCWD, "a", 0));
	ASSERT(strstr(ovlt_tree_get_error(tree), "layer set"));
	ovlt_layerset_unref(layerset);
	ovlt_layerset_unref(NULL);

	/* What it is shows when it is used. */
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_ctx_set_backend(ctx, "mount-api"));
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_attach(batch));
	ASSERT_FAIL(EOPNOTSUPP, OVLTREE_FIELD_LAYERSET_FD, 0,
		    outcome_of(batch, 0));
	ASSERT_EQ(-EINVAL, ovlt_batch_make_layersets(batch));
	ASSERT(!ovlt_batch_take_layerset(batch, 0) && errno == ENOENT);
	ASSERT(!ovlt_batch_take_layerset(batch, 1) && errno == EINVAL);
	ovlt_batch_unref(batch);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_layerset(batch, tree));
	ASSERT_EQ(-EINVAL, ovlt_batch_attach(batch));
	ASSERT_EQ(1, ovlt_batch_make_layersets(batch));
	ASSERT_FAIL(EINVAL, OVLTREE_FIELD_LAYERSET_FD, 0, outcome_of(batch, 0));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);

	snprintf(option, sizeof(option), "layerset_fd=%d", STDOUT_FILENO);
	tree = make_tree(option);
	ASSERT(tree->layerset && tree->layerset->fd > STDERR_FILENO);
	ASSERT_EQ(-EINVAL, ovlt_tree_parse_options(tree, "lowerdir=a"));
	ovlt_tree_unref(tree);
	tree = make_tree("lowerdir=a");
	ASSERT_EQ(-EINVAL, ovlt_tree_parse_options(tree, option));
	ASSERT_EQ(-EBADF, ovlt_tree_parse_options(tree, "layerset_fd=12345"));
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

static void batch_errors(void)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_tree *tree = ovlt_tree_new();
	struct ovlt_batch *batch;

	ASSERT(ctx && tree);
	ASSERT(!ovlt_batch_new(ctx, 1U << 31) && errno == EINVAL);
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT_EQ(-EINVAL, ovlt_batch_attach(batch));
	ASSERT_EQ(-EINVAL, ovlt_batch_prepare(batch));
	ASSERT_EQ(-EINVAL, ovlt_batch_detach(batch));
	ASSERT_EQ(-EINVAL,
		  ovlt_batch_add_tree(batch, tree, AT_FDCWD, "a", OVLT_LAZY));
	ASSERT_EQ(-EINVAL,
		  ovlt_batch_add_mount(batch, 0, AT_FDCWD, "a", OVLT_DATA));
	ASSERT_EQ(-EINVAL,
		  ovlt_batch_add_target(batch, AT_FDCWD, "a", OVLT_DATA));
	ASSERT_EQ(-EINVAL, ovlt_batch_add_id(batch, 1, OVLT_NOFOLLOW));
	ASSERT_EQ(-EBADF, ovlt_batch_add_target(batch, -1, NULL, 0));
	ASSERT_EQ(0, ovlt_batch_get_nr(batch));
	ASSERT(!ovlt_batch_get_result(batch, 0) && errno == EINVAL);

	/* What is attached and what is detached don't mix. */
	ASSERT_EQ(0, ovlt_batch_add_mount(batch, 0, AT_FDCWD, "a", 0));
	ASSERT_EQ(-EINVAL, ovlt_batch_prepare(batch));
	ASSERT_EQ(-EINVAL, ovlt_batch_detach(batch));
	ASSERT_EQ(1, ovlt_batch_add_target(batch, AT_FDCWD, "a", 0));
	ASSERT_EQ(-EINVAL, ovlt_batch_attach(batch));
	ASSERT_EQ(-EINVAL, ovlt_batch_detach(batch));
	ASSERT_EQ(2, ovlt_batch_get_nr(batch));
	ovlt_batch_unref(batch);

	/* What is detached can't be undone. */
	batch = ovlt_batch_new(ctx, OVLT_ALL);
	ASSERT(batch);
	ASSERT_EQ(0, ovlt_batch_add_target(batch, AT_FDCWD, "a", 0));
	ASSERT_EQ(-EINVAL, ovlt_batch_detach(batch));
	ovlt_batch_unref(batch);
	ovlt_tree_unref(tree);
	ovlt_ctx_unref(ctx);
}

/* As the kernel tells the end of a request, from a batch or without one. */
static struct ovlt_request parse_done(const uint32_t *committed_by)
{
	struct nl_msg *msg = nlmsg_alloc();
	struct ovlt_request request;
	uint64_t seq;

	ASSERT(msg && genlmsg_put(msg, 0, 0, NLMSG_MIN_TYPE, 0, 0,
				  OVLTREE_CMD_DONE, OVLTREE_FAMILY_VERSION));
	ASSERT(!nla_put_u64(msg, OVLTREE_A_REQUEST_ID, 1ULL << 40));
	ASSERT(!nla_put_u32(msg, OVLTREE_A_REQUEST_KIND, OVLTREE_KIND_DETACH));
	ASSERT(!nla_put_string(msg, OVLTREE_A_REQUEST_NAME, "me"));
	ASSERT(!nla_put_s32(msg, OVLTREE_A_REQUEST_ERROR, -ECANCELED));
	ASSERT(!nla_put_u64(msg, OVLTREE_A_REQUEST_SEQ, 7));
	if (committed_by)
		ASSERT(!nla_put_u32(msg, OVLTREE_A_REQUEST_COMMITTED_BY,
				    *committed_by));
	ASSERT_EQ(0, ovlt_nl_parse_request(nlmsg_hdr(msg), &request, &seq));
	ASSERT_EQ(7, seq);
	nlmsg_free(msg);
	return request;
}

/* Whoever has taken a reference may drop another's. */
static void references(void)
{
	struct ovlt_ctx *ctx = ovlt_ctx_new();
	struct ovlt_tree *tree = ovlt_tree_new();
	struct ovlt_batch *batch;

	ASSERT(ctx && tree);
	ASSERT(ovlt_tree_ref(tree) == tree);
	ovlt_tree_unref(tree);
	ASSERT_EQ(0, ovlt_tree_parse_options(tree, "lowerdir=a:b"));
	batch = ovlt_batch_new(ctx, 0);
	ASSERT(batch);
	ASSERT(ovlt_batch_ref(batch) == batch);
	ovlt_batch_unref(batch);
	ASSERT_EQ(0, ovlt_batch_add_tree(batch, tree, AT_FDCWD, "m", 0));
	ASSERT_EQ(1, ovlt_batch_get_nr(batch));
	ovlt_tree_unref(tree);
	ovlt_batch_unref(batch);
	ovlt_ctx_unref(ctx);
	ASSERT(!ovlt_tree_ref(NULL) && !ovlt_batch_ref(NULL));
}

static void request_messages(void)
{
	static const uint32_t reasons[] = { OVLTREE_REASON_DAEMON,
					    OVLTREE_REASON_EXIT };
	struct ovlt_request request = parse_done(NULL);

	ASSERT_EQ(1ULL << 40, request.id);
	ASSERT_EQ(OVLTREE_KIND_DETACH, request.kind);
	ASSERT_STR("me", request.name);
	ASSERT_EQ(-ECANCELED, request.error);
	ASSERT_STR("", request.message);
	/* Nobody has committed what was taken back. */
	ASSERT_EQ(OVLT_NOT_COMMITTED, request.committed_by);
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		request = parse_done(&reasons[i]);
		ASSERT_EQ(reasons[i], request.committed_by);
	}
}

static void field_names(void)
{
	for (unsigned int i = 0; i <= OVLTREE_FIELD_ID; i++) {
		ASSERT(ovlt_field_name(i) &&
		       strcmp(ovlt_field_name(i), "unknown"));
		for (unsigned int j = 0; j < i; j++)
			ASSERT(strcmp(ovlt_field_name(i), ovlt_field_name(j)));
	}
	ASSERT_STR("unknown", ovlt_field_name(OVLTREE_FIELD_ID + 1));
}

static const struct test tests[] = {
	TEST(parse_flags),	TEST(parse_layers),   TEST(parse_rest),
	TEST(parse_errors),	TEST(builder_errors), TEST(userns),
	TEST(context),		TEST(fallback),	      TEST(batch_errors),
	TEST(field_names),	TEST(layersets),      TEST(references),
	TEST(request_messages),
};

int main(void)
{
	run_tests("unit", tests, ARRAY_SIZE(tests), false);
	return tap_done();
}
