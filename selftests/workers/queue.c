// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that are submitted and taken back. The messages are of fixed shape:
 * no attribute here is longer than it has to be.
 */
#include "workers.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/ovltree_netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

struct head {
	struct nlmsghdr nlh;
	struct genlmsghdr genl;
};

struct attr32 {
	struct nlattr head;
	__u32 value;
};

struct attr64 {
	struct nlattr head;
	__u64 value;
} __packed;

#define ATTR(type_, value_) { { sizeof(value_) + NLA_HDRLEN, type_ }, value_ }
#define ATTR32(type, value) ATTR(OVLTREE_A_REQUEST_##type, (__u32)(value))
#define ATTR64(type, value) ATTR(OVLTREE_A_REQUEST_##type, (__u64)(value))

#define NR_IDS 8

static int sock = -1;
static __u32 seq;
static __u64 ids[NR_IDS];

static void open_socket(void)
{
	struct timeval timeout = { .tv_sec = OVLT_TIMEOUT / 2 };

	sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (sock < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		ovlt_die("netlink socket");
}

static __u64 attr_value(const struct nlmsghdr *nlh, int type)
{
	const void *at = NLMSG_DATA(nlh) + GENL_HDRLEN;
	const void *end = (const void *)nlh + nlh->nlmsg_len;

	while (end - at >= NLA_HDRLEN) {
		const struct nlattr *attr = at;
		size_t size = attr->nla_len - NLA_HDRLEN;
		__u64 value = 0;

		if ((attr->nla_type & NLA_TYPE_MASK) == type) {
			memcpy(&value, attr + 1, size < sizeof(value) ? size : sizeof(value));
			return value;
		}
		at += NLA_ALIGN(attr->nla_len);
	}
	return 0;
}

static void count_event(struct stress *stress, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);

	if (stress && genl->cmd == OVLTREE_CMD_DONE)
		stress_count(stress, STRESS_DONE,
			     (__s32)attr_value(nlh, OVLTREE_A_REQUEST_ERROR));
}

/*
 * Send a message and wait for its acknowledgment; *@value is what the answer has
 * in the attribute @want.
 *
 * Return: 0, or -errno.
 */
static int call(struct stress *stress, struct head *head, size_t size, __u16 type,
		int want, __u64 *value)
{
	char buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
	int len;

	head->nlh = (struct nlmsghdr) {
		.nlmsg_len = size,
		.nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.nlmsg_seq = ++seq,
	};
	if (send(sock, head, size, 0) < 0)
		return -errno;
	for (;;) {
		len = recv(sock, buffer, sizeof(buffer), 0);
		if (len < 0)
			return -errno;
		for (struct nlmsghdr *nlh = (void *)buffer; NLMSG_OK(nlh, (__u32)len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			if (nlh->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(nlh))->error;
			if (nlh->nlmsg_seq)
				*value = attr_value(nlh, want);
			else
				count_event(stress, nlh);
		}
	}
}

/* The number of the family changes with each load of the module. */
static int call_family(struct stress *stress, struct head *head, size_t size,
		       int want, __u64 *value)
{
	struct {
		struct head head;
		struct nlattr attr;
		char name[sizeof(OVLTREE_FAMILY_NAME)];
	} ask = {
		.head.genl = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		.attr = { NLA_HDRLEN + sizeof(ask.name), CTRL_ATTR_FAMILY_NAME },
		.name = OVLTREE_FAMILY_NAME,
	};
	__u64 family = 0;
	int err = call(stress, &ask.head, sizeof(ask), GENL_ID_CTRL,
		       CTRL_ATTR_FAMILY_ID, &family);

	if (err)
		return err;
	return call(stress, head, size, family, want, value);
}

static void submit(struct stress *stress, int slot, struct head *head, size_t size)
{
	__u64 id = 0;
	int err = call_family(stress, head, size, OVLTREE_A_REQUEST_ID, &id);

	stress_count(stress, STRESS_SUBMIT, err);
	if (!err)
		ids[slot] = id;
}

static void submit_attach(struct stress *stress, int slot, const char *target,
			  unsigned int deadline)
{
	int mnt = ovlt_sys_fsmount("tmpfs"), fd = open(target, O_PATH | O_CLOEXEC);
	struct {
		struct head head;
		struct attr32 kind, mnt_fd, target_fd, deadline;
	} request = {
		.head.genl = { OVLTREE_CMD_SUBMIT, OVLTREE_FAMILY_VERSION },
		.kind = ATTR32(KIND, OVLTREE_KIND_ATTACH),
		.mnt_fd = ATTR32(MNT_FD, mnt),
		.target_fd = ATTR32(TARGET_FD, fd),
		.deadline = ATTR32(DEADLINE_MS, deadline),
	};

	if (mnt >= 0 && fd >= 0)
		submit(stress, slot, &request.head, sizeof(request));
	if (mnt >= 0)
		close(mnt);
	if (fd >= 0)
		close(fd);
}

static void submit_detach(struct stress *stress, int slot, const char *target,
			  unsigned int deadline)
{
	__u64 mnt = ovlt_mount_id(AT_FDCWD, target);
	struct {
		struct head head;
		struct attr32 kind;
		struct attr64 mnt_id;
		struct attr32 flags, deadline;
	} request = {
		.head.genl = { OVLTREE_CMD_SUBMIT, OVLTREE_FAMILY_VERSION },
		.kind = ATTR32(KIND, OVLTREE_KIND_DETACH),
		.mnt_id = ATTR64(MNT_ID, mnt),
		.flags = ATTR32(DETACH_FLAGS, OVLTREE_DETACH_FLAGS_LAZY),
		.deadline = ATTR32(DEADLINE_MS, deadline),
	};

	/* A bare folder has the id of the room's own mount, which must stay. */
	if (mnt && mnt != ovlt_mount_id(AT_FDCWD, "/tmp"))
		submit(stress, slot, &request.head, sizeof(request));
}

static void cancel(struct stress *stress, int slot)
{
	struct {
		struct head head;
		struct attr64 id;
	} request = {
		.head.genl = { OVLTREE_CMD_CANCEL, OVLTREE_FAMILY_VERSION },
		.id = ATTR64(ID, ids[slot]),
	};
	__u64 nothing;

	if (ids[slot])
		stress_count(stress, STRESS_CANCEL,
			     call_family(stress, &request.head, sizeof(request), 0,
					 &nothing));
	ids[slot] = 0;
}

static void step(struct stress *stress, unsigned int *seed)
{
	int slot = rand_r(seed) % NR_IDS;
	const char *target = stress_target(seed);
	unsigned int deadline = 1 + rand_r(seed) % 200;

	if (sock < 0)
		open_socket();
	switch (rand_r(seed) % 20) {
	case 0:
		/* Who closes takes back all that waits. */
		close(sock);
		sock = -1;
		break;
	case 1 ... 4:
		cancel(stress, slot);
		break;
	case 5 ... 10:
		submit_detach(stress, slot, target, deadline);
		break;
	default:
		submit_attach(stress, slot, target, deadline);
		break;
	}
}

const struct stress_worker stress_queue = { .step = step };

/* Become the daemon, until the process ends. */
int stress_serve(void)
{
	struct head request = {
		.genl = { OVLTREE_CMD_SERVE, OVLTREE_FAMILY_VERSION },
	};
	__u64 nothing;

	open_socket();
	return call_family(NULL, &request, sizeof(request), 0, &nothing);
}

/* How many requests wait, or -errno. */
long stress_queued(void)
{
	struct head request = {
		.genl = { OVLTREE_CMD_STATS_GET, OVLTREE_FAMILY_VERSION },
	};
	__u64 queued = 0;
	int err;

	open_socket();
	err = call_family(NULL, &request, sizeof(request), OVLTREE_A_STATS_QUEUED,
			  &queued);
	close(sock);
	sock = -1;
	return err ?: (long)queued;
}
