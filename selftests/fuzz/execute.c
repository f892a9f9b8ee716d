// SPDX-License-Identifier: GPL-2.0
/*
 * Running a program: its records become the structures that they stand for, and
 * what the calls return is compared with what the interface promises for any input.
 */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/ovltree_netlink.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "../common.h"
#include "fuzz.h"

/* Where what is in the arena; entries and results can be 1,024 of 4,096 bytes. */
#define AT_BATCH 0
#define AT_ENTRIES (1U << 20)
#define AT_TREES (6U << 20)
#define AT_LOWERS (7U << 20)
#define AT_OPTIONS (8U << 20)
#define AT_RESULTS (9U << 20)
#define TREE_STRIDE 8192
#define MAX_STRIDE 4096

struct product {
	int fd;
	__u64 id;
};

struct run {
	const struct world *world;
	struct execution *execution;
	struct product products[MAX_PRODUCTS];
	unsigned int nr_products;
	int sockets[MAX_SOCKETS];
};

/* A call with its parts */
struct call {
	const struct record *records;
	unsigned int nr;
};

static void __printf(2, 3) complain(struct run *run, const char *fmt, ...)
{
	va_list args;

	if (*run->execution->complaint)
		return;
	va_start(args, fmt);
	vsnprintf(run->execution->complaint, sizeof(run->execution->complaint), fmt, args);
	va_end(args);
}

static void produce(struct run *run, int fd, __u64 id)
{
	if (run->nr_products < MAX_PRODUCTS)
		run->products[run->nr_products++] = (struct product){ fd, id };
	else if (fd >= 0)
		close(fd);
}

/*
 * Values
 */

static __u64 resolve_product(const struct run *run, __u64 nr, enum type type)
{
	const struct product *product;

	if (!run->nr_products)
		return type == T_FD ? -1 : 0;
	product = &run->products[nr % run->nr_products];
	if (type == T_FD)
		return product->fd;
	if (type == T_ID)
		return product->id;
	if (product->fd < 0 || product->fd >= FD_PATHS)
		return 0;
	return run->world->fd_paths + product->fd * FD_PATH_SIZE;
}

static __u64 resolve(const struct run *run, const struct value *value, enum type type)
{
	const struct object *object;

	switch (value->what) {
	case V_OBJECT:
		object = &run->world->objects[value->number];
		return type == T_FD ? object->fd :
		       type == T_ID ? object->mnt_id : object->pointer;
	case V_PRODUCT:
		return resolve_product(run, value->number, type);
	default:
		return value->number;
	}
}

static bool chosen(const struct record *record, const char *name)
{
	return field_get(record, name)->what != V_AUTO;
}

/* What the record says of a field, or what is @otherwise. */
static __u64 get(const struct run *run, const struct record *record, const char *name,
		 __u64 otherwise)
{
	int field = field_find(record->kind, name);
	const struct value *value = &record->values[field];

	if (value->what == V_AUTO)
		return otherwise;
	return resolve(run, value, kinds[record->kind].fields[field].type);
}

/* Write what the record says of its members over what is there. */
static void fill(const struct run *run, const struct record *record, void *to)
{
	const struct kind *kind = &kinds[record->kind];

	for (unsigned int i = 0; i < kind->nr_fields; i++) {
		const struct field *field = &kind->fields[i];
		__u64 value;

		if (!field->size || record->values[i].what == V_AUTO)
			continue;
		value = resolve(run, &record->values[i], field->type);
		memcpy(to + field->offset, &value, field->size);
	}
}

/* Where no descriptor is given a path begins in the working directory. */
static struct ovltree_path at_cwd(const struct record *record, const char *fd,
				  const char *path)
{
	return (struct ovltree_path) {
		.fd = chosen(record, path) && !chosen(record, fd) ? AT_FDCWD : 0,
	};
}

/*
 * Arguments of the ioctls
 */

/* How much of the parts of the arena is used */
struct used {
	size_t entries;
	size_t trees;
	size_t lowers;
	size_t options;
};

/* The layers in the records behind a tree or set; the next such one ends them. */
static unsigned int build_lowers(struct run *run, const struct record *record,
				 const struct record *end, struct used *used)
{
	struct ovltree_path *lowers = (void *)run->world->arena + AT_LOWERS + used->lowers;
	unsigned int nr = 0;

	for (record++; record < end && kinds[record->kind].level > 2; record++) {
		if (record->kind != K_LOWER)
			continue;
		lowers[nr] = at_cwd(record, "fd", "path");
		fill(run, record, &lowers[nr++]);
	}
	used->lowers += nr * sizeof(*lowers);
	return nr;
}

static unsigned int build_options(struct run *run, const struct record *record,
				  const struct record *end, struct used *used)
{
	char *options = run->world->arena + AT_OPTIONS + used->options;
	unsigned int size = 0;

	for (record++; record < end && kinds[record->kind].level > 2; record++) {
		if (record->kind == K_OPTION)
			size += sprintf(options + size, "%s", record->text) + 1;
	}
	used->options += size;
	return size;
}

static struct ovltree_tree *build_tree(struct run *run, const struct record *record,
				       const struct record *end, struct used *used)
{
	char *arena = run->world->arena;
	struct ovltree_tree *tree = (void *)arena + AT_TREES + used->trees;
	__u64 lower = (uintptr_t)arena + AT_LOWERS + used->lowers;
	__u64 options = (uintptr_t)arena + AT_OPTIONS + used->options;
	unsigned int nr = build_lowers(run, record, end, used);
	unsigned int size = build_options(run, record, end, used);

	*tree = (struct ovltree_tree) {
		.lower = nr ? lower : 0,
		.nr_lower = nr,
		.upper = at_cwd(record, "upper_fd", "upper"),
		.work = at_cwd(record, "work_fd", "work"),
		.options = size ? options : 0,
		.options_size = size,
	};
	if (chosen(record, "upper") || chosen(record, "upper_fd"))
		tree->flags |= OVLTREE_TREE_UPPER;
	if (chosen(record, "userns_fd"))
		tree->flags |= OVLTREE_TREE_IDMAP;
	if (chosen(record, "layerset_fd"))
		tree->flags |= OVLTREE_TREE_LAYERSET;
	fill(run, record, tree);
	used->trees += TREE_STRIDE;
	return tree;
}

static void build_mount(struct run *run, const struct record *record,
			const struct record *end, struct used *used, void *to)
{
	struct ovltree_attach attach = { .target = at_cwd(record, "target_fd", "target") };

	if (record + 1 < end && record[1].kind == K_TREE)
		attach.tree = (uintptr_t)build_tree(run, record + 1, end, used);
	if (chosen(record, "mnt_fd"))
		attach.flags |= OVLTREE_ATTACH_MOUNT;
	if (chosen(record, "mntns_fd"))
		attach.flags |= OVLTREE_ATTACH_MNTNS;
	if (chosen(record, "id"))
		attach.flags |= OVLTREE_ATTACH_REQUEST;
	memcpy(to, &attach, sizeof(attach));
	fill(run, record, to);
}

static void build_unmount(struct run *run, const struct record *record, void *to)
{
	struct ovltree_detach detach = { .target = at_cwd(record, "target_fd", "target") };

	if (chosen(record, "mnt_id"))
		detach.flags |= OVLTREE_DETACH_ID;
	memcpy(to, &detach, sizeof(detach));
	fill(run, record, to);
}

static void build_set(struct run *run, const struct record *record,
		      const struct record *end, struct used *used, void *to)
{
	__u64 lower = (uintptr_t)run->world->arena + AT_LOWERS + used->lowers;
	struct ovltree_layerset set = {
		.nr_lower = build_lowers(run, record, end, used),
	};

	set.lower = set.nr_lower ? lower : 0;
	memcpy(to, &set, sizeof(set));
	fill(run, record, to);
}

/* Return: the number of entries. */
static unsigned int build_entries(struct run *run, const struct call *call,
				  size_t stride, struct used *used)
{
	const struct record *end = call->records + call->nr;
	char *entries = run->world->arena + AT_ENTRIES;
	unsigned int nr = 0;

	for (const struct record *record = call->records + 1; record < end; record++) {
		void *to = entries + nr * stride;

		if (kinds[record->kind].level != 1)
			continue;
		if (record->kind == K_MOUNT)
			build_mount(run, record, end, used, to);
		else if (record->kind == K_UNMOUNT)
			build_unmount(run, record, to);
		else if (record->kind == K_SET)
			build_set(run, record, end, used, to);
		else
			continue;
		nr++;
	}
	/* The tail of the last one, too */
	used->entries = nr * stride + sizeof(struct ovltree_attach) + sizeof(__u64);
	return nr;
}

static void forget(struct run *run, const struct used *used)
{
	char *arena = run->world->arena;

	memset(arena + AT_BATCH, 0, 2 * sizeof(struct ovltree_batch));
	memset(arena + AT_ENTRIES, 0, used->entries);
	memset(arena + AT_TREES, 0, used->trees);
	memset(arena + AT_LOWERS, 0, used->lowers);
	memset(arena + AT_OPTIONS, 0, used->options);
}

/*
 * What comes back
 */

static bool call_error(int err)
{
	switch (err) {
	case ENOTTY:
	case EINVAL:
	case E2BIG:
	case EFAULT:
	case ENOMEM:
	case EPERM:
	case EINTR:
		return true;
	}
	return false;
}

static bool opens(enum kind_id kind)
{
	return kind == K_PREPARE || kind == K_LAYERSET;
}

static void check_result(struct run *run, const struct record *call, unsigned int i,
			 const struct ovltree_result *result)
{
	bool ok = !result->error;

	if (result->error > 0 || result->error < -4095)
		complain(run, "entry %u: error %d", i, result->error);
	if (result->field > OVLTREE_FIELD_ID)
		complain(run, "entry %u: field %u", i, result->field);
	if (!memchr(result->message, 0, sizeof(result->message)))
		complain(run, "entry %u: message without an end", i);
	if (result->fd < 0 ? ok && opens(call->kind) : !ok || !opens(call->kind))
		complain(run, "entry %u: error %d, fd %d", i, result->error, result->fd);
	if (!!result->mnt_id != (ok && call->kind == K_ATTACH))
		complain(run, "entry %u: error %d, mount id %llu", i, result->error,
			 (unsigned long long)result->mnt_id);
	if (ok && result->message[0])
		complain(run, "entry %u: success with a message", i);
}

/* Take what a batch gave, where its results are. */
static void take_results(struct run *run, const struct record *call, long ret,
			 const struct ovltree_batch *batch)
{
	const char *results = run->world->arena + AT_RESULTS;
	unsigned int succeeded = 0;

	for (unsigned int i = 0; i < batch->nr; i++) {
		const struct ovltree_result *result =
			(const void *)results + (size_t)i * batch->result_size;

		check_result(run, call, i, result);
		succeeded += !result->error;
		if (!result->error && call->kind != K_DETACH)
			produce(run, result->fd, result->mnt_id);
	}
	if (ret != succeeded)
		complain(run, "%ld returned, %u entries succeeded", ret, succeeded);
	if (batch->flags & OVLTREE_BATCH_ALL && ret && ret != batch->nr)
		complain(run, "%ld of %u in all or nothing", ret, batch->nr);
	run->execution->succeeded += succeeded;
}

static void run_batch(struct run *run, const struct call *call)
{
	static const unsigned int commands[] = {
		[K_PREPARE] = OVLTREE_IOC_PREPARE, [K_ATTACH] = OVLTREE_IOC_ATTACH,
		[K_DETACH] = OVLTREE_IOC_DETACH, [K_LAYERSET] = OVLTREE_IOC_LAYERSET,
	};
	static const size_t entry_sizes[] = {
		[K_PREPARE] = sizeof(struct ovltree_attach),
		[K_ATTACH] = sizeof(struct ovltree_attach),
		[K_DETACH] = sizeof(struct ovltree_detach),
		[K_LAYERSET] = sizeof(struct ovltree_layerset),
	};
	const struct record *record = call->records;
	char *arena = run->world->arena;
	struct ovltree_batch *batch = (void *)arena + AT_BATCH, given;
	size_t entry_size = entry_sizes[record->kind];
	size_t stride = get(run, record, "entry_size", entry_size);
	struct used used = {};
	long ret;

	if (stride < entry_size || stride > MAX_STRIDE)
		stride = sizeof(struct ovltree_attach);
	*batch = (struct ovltree_batch) {
		.size = sizeof(*batch),
		.flags = opens(record->kind) ? OVLTREE_BATCH_CLOEXEC : 0,
		.entries = (uintptr_t)arena + AT_ENTRIES,
		.results = (uintptr_t)arena + AT_RESULTS,
		.nr = build_entries(run, call, stride, &used),
		.entry_size = entry_size,
		.result_size = sizeof(struct ovltree_result),
		.tree_size = sizeof(struct ovltree_tree),
	};
	fill(run, record, batch);
	given = *batch;
	ret = ioctl(run->world->dev, get(run, record, "cmd", commands[record->kind]),
		    get(run, record, "arg", (uintptr_t)batch));
	if (ret < 0 && !call_error(errno))
		complain(run, "%s: %s", kinds[record->kind].name, strerror(errno));
	if (ret >= 0 && !chosen(record, "cmd") && !chosen(record, "arg")) {
		if (!chosen(record, "results"))
			take_results(run, record, ret, &given);
		else
			/* Descriptors may be open that nobody knows of. */
			run->execution->dirty |= ret > 0;
	} else if (ret > 0) {
		run->execution->dirty = true;
	}
	forget(run, &used);
}

static void run_info(struct run *run, const struct call *call)
{
	const struct record *record = call->records;
	struct ovltree_info *info = (void *)run->world->arena + AT_BATCH;
	long ret;

	*info = (struct ovltree_info){ .size = sizeof(*info) };
	fill(run, record, info);
	ret = ioctl(run->world->dev, get(run, record, "cmd", OVLTREE_IOC_INFO),
		    get(run, record, "arg", (uintptr_t)info));
	if (ret < 0 && !call_error(errno))
		complain(run, "info: %s", strerror(errno));
	if (!ret && !chosen(record, "cmd") && !chosen(record, "arg") &&
	    (info->size != sizeof(*info) || info->version != OVLTREE_UAPI_VERSION))
		complain(run, "info: size %u, version %u", info->size, info->version);
	memset(info, 0, 2 * sizeof(struct ovltree_batch));
}

/*
 * Messages
 */

static int socket_of(struct run *run, unsigned int nr)
{
	int *fd = &run->sockets[nr % MAX_SOCKETS];

	if (*fd < 0)
		*fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			     NETLINK_GENERIC);
	return *fd;
}

/* As the type of each attribute has it */
static unsigned int attr_size(unsigned int type)
{
	switch (type) {
	case OVLTREE_A_REQUEST_ID:
	case OVLTREE_A_REQUEST_MNT_ID:
		return sizeof(__u64);
	case OVLTREE_A_REQUEST_PRIORITY:
		return sizeof(__u8);
	}
	return sizeof(__u32);
}

static size_t put_attr(struct run *run, const struct record *record, char *to)
{
	unsigned int type = get(run, record, "type", 0);
	struct nlattr *attr = (void *)to;
	size_t size = attr_size(type);
	__u64 value;

	value = get(run, record, "value",
		    get(run, record, "id", get(run, record, "fd", 0)));
	memcpy(to + NLA_HDRLEN, &value, sizeof(value));
	if (*record->text) {
		size = strlen(record->text) + 1;
		memcpy(to + NLA_HDRLEN, record->text, size);
	}
	size = get(run, record, "size", size);
	if (size > 2 * MAX_TEXT)
		size = 2 * MAX_TEXT;
	attr->nla_type = type;
	attr->nla_len = get(run, record, "len", NLA_HDRLEN + size);
	return NLA_HDRLEN + NLA_ALIGN(size);
}

/* The id of a request that was accepted */
static void take_reply(struct run *run, const struct nlmsghdr *nlh)
{
	const struct nlattr *attr = (const void *)nlh + NLMSG_LENGTH(GENL_HDRLEN);
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	__u64 id;

	if (nlh->nlmsg_type != run->world->family || genl->cmd != OVLTREE_CMD_SUBMIT ||
	    nlh->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN) + NLA_HDRLEN + sizeof(id))
		return;
	memcpy(&id, (const void *)attr + NLA_HDRLEN, sizeof(id));
	produce(run, -1, id);
	run->execution->succeeded++;
}

static void receive(struct run *run, int fd)
{
	static char buffer[16384];
	ssize_t len;

	while ((len = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		const struct nlmsghdr *nlh = (const void *)buffer;

		for (; NLMSG_OK(nlh, len); nlh = NLMSG_NEXT(nlh, len))
			take_reply(run, nlh);
	}
}

static void run_message(struct run *run, const struct call *call)
{
	/* Each record is an attribute at most. */
	static char buffer[NLMSG_LENGTH(GENL_HDRLEN) +
			   MAX_RECORDS * (NLA_HDRLEN + 2 * MAX_TEXT + sizeof(__u64))];
	const struct record *record = call->records;
	struct nlmsghdr *nlh = (void *)buffer;
	struct genlmsghdr *genl = NLMSG_DATA(nlh);
	int fd = socket_of(run, get(run, record, "sock", 0));
	size_t len = NLMSG_LENGTH(GENL_HDRLEN);

	memset(buffer, 0, sizeof(buffer));
	for (unsigned int i = 1; i < call->nr; i++) {
		if (record[i].kind == K_ATTR)
			len += put_attr(run, &record[i], buffer + len);
	}
	*nlh = (struct nlmsghdr) {
		.nlmsg_len = get(run, record, "len", len),
		.nlmsg_type = run->world->family,
		.nlmsg_flags = get(run, record, "flags", NLM_F_REQUEST | NLM_F_ACK),
	};
	*genl = (struct genlmsghdr) {
		.cmd = get(run, record, "cmd", OVLTREE_CMD_SUBMIT),
		.version = get(run, record, "version", OVLTREE_FAMILY_VERSION),
		.reserved = get(run, record, "reserved", 0),
	};
	if (send(fd, buffer, len, 0) < 0)
		complain(run, "send: %s", strerror(errno));
	receive(run, fd);
}

/*
 * Other calls
 */

static void run_close(struct run *run, const struct record *record)
{
	const struct value *value = field_get(record, "fd");
	struct product *product;

	if (value->what != V_PRODUCT || !run->nr_products)
		return;
	product = &run->products[value->number % run->nr_products];
	if (product->fd >= 0)
		close(product->fd);
	product->fd = -1;
}

static void run_hangup(struct run *run, const struct record *record)
{
	int *fd = &run->sockets[get(run, record, "sock", 0) % MAX_SOCKETS];

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void run_clone(struct run *run, const struct record *record)
{
	const char *path = (const char *)(uintptr_t)get(run, record, "path", 0);
	int fd;

	/* A number is none that this process could read. */
	if (field_get(record, "path")->what == V_NUMBER)
		return;
	fd = ovlt_sys_open_tree(path, 1 /* OPEN_TREE_CLONE */ |
				(get(run, record, "recursive", 0) ? AT_RECURSIVE : 0));
	if (fd >= 0)
		produce(run, fd, 0);
}

static void run_fsmount(struct run *run)
{
	int fd = ovlt_sys_fsmount("tmpfs");

	if (fd >= 0)
		produce(run, fd, 0);
}

static void run_wait(struct run *run, const struct record *record)
{
	unsigned int ms = get(run, record, "ms", 1) % 4;

	nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL);
}

static void run_call(struct run *run, const struct call *call)
{
	const struct record *record = call->records;

	switch (record->kind) {
	case K_CLOSE:
		run_close(run, record);
		return;
	case K_HANGUP:
		run_hangup(run, record);
		return;
	case K_WAIT:
		run_wait(run, record);
		return;
	case K_FSMOUNT:
		run_fsmount(run);
		return;
	case K_CLONE:
		run_clone(run, record);
		return;
	case K_INFO:
		run_info(run, call);
		break;
	case K_MESSAGE:
		run_message(run, call);
		break;
	default:
		run_batch(run, call);
	}
	run->execution->calls++;
}

/* What is mounted in another namespace stays there until the world ends. */
static bool goes_elsewhere(const struct program *program)
{
	for (unsigned int i = 0; i < program->nr; i++) {
		const struct record *record = &program->records[i];

		if (record->kind == K_MOUNT && chosen(record, "mntns_fd"))
			return true;
		if (record->kind == K_ATTR &&
		    field_get(record, "type")->number == OVLTREE_A_REQUEST_MNTNS_FD)
			return true;
	}
	return false;
}

/**
 * program_run - run a program
 * @program: the program
 * @world: where
 * @execution: what became of it
 *
 * What it has opened is closed again; for what it has mounted, see world_clean().
 */
void program_run(const struct program *program, const struct world *world,
		 struct execution *execution)
{
	struct run run = {
		.world = world,
		.execution = execution,
		.sockets = { -1, -1, -1 },
	};
	struct call call;

	memset(execution, 0, sizeof(*execution));
	for (unsigned int i = 0; i < program->nr; i += call.nr) {
		call = (struct call){ &program->records[i], 1 };
		while (i + call.nr < program->nr &&
		       kinds[program->records[i + call.nr].kind].level)
			call.nr++;
		/* Parts before the first call belong to none. */
		if (!kinds[call.records->kind].level)
			run_call(&run, &call);
	}
	if (goes_elsewhere(program) && execution->succeeded)
		execution->dirty = true;
	for (unsigned int i = 0; i < run.nr_products; i++)
		if (run.products[i].fd >= 0)
			close(run.products[i].fd);
	for (unsigned int i = 0; i < MAX_SOCKETS; i++)
		if (run.sockets[i] >= 0)
			close(run.sockets[i]);
}
