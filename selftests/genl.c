// SPDX-License-Identifier: GPL-2.0
/*
 * A client of the netlink family, and a daemon that commits what clients submit.
 */
#include "common.h"
#include "genl.h"

#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

static bool msg_is_request(const struct msg *msg)
{
	return msg->cmd == OVLTREE_CMD_SUBMIT || msg->cmd == OVLTREE_CMD_REQUEST_GET ||
	       msg->cmd == OVLTREE_CMD_READY || msg->cmd == OVLTREE_CMD_DONE;
}

static struct msg msg_parse(const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = NLMSG_DATA(nlh);
	struct attrs attrs = attrs_in((void *)genl + GENL_HDRLEN,
				      nlh->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN));
	struct msg msg = { .cmd = genl->cmd };
	const struct nlattr *attr;

	while ((attr = attr_next(&attrs))) {
		int type = attr_type(attr);

		msg.has |= 1U << type;
		if (msg_is_request(&msg) && type == OVLTREE_A_REQUEST_NAME)
			snprintf(msg.name, sizeof(msg.name), "%s",
				 (const char *)attr_data(attr));
		else if (msg_is_request(&msg) && type == OVLTREE_A_REQUEST_MESSAGE)
			snprintf(msg.message, sizeof(msg.message), "%s",
				 (const char *)attr_data(attr));
		else
			msg.value[type] = attr_number(attr);
	}
	return msg;
}

/* Return: length, or -errno. */
static int nl_receive(struct nl *nl, void *buffer, size_t size, int flags)
{
	int len = recv(nl->fd, buffer, size, flags);

	return len < 0 ? -errno : len;
}

static int nl_parse_ack(struct nl *nl, const struct nlmsghdr *nlh,
			const struct request *request)
{
	const struct nlmsgerr *err = NLMSG_DATA(nlh);
	const void *tlvs = (const void *)(err + 1);
	struct attrs attrs = attrs_in(tlvs, nlh->nlmsg_len - (tlvs - (const void *)nlh));
	const struct nlattr *attr;

	nl->text[0] = '\0';
	nl->bad_attr = 0;
	nl->missing_attr = 0;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return err->error;
	while ((attr = attr_next(&attrs))) {
		if (attr_type(attr) == NLMSGERR_ATTR_MSG) {
			snprintf(nl->text, sizeof(nl->text), "%s",
				 (const char *)attr_data(attr));
		} else if (attr_type(attr) == NLMSGERR_ATTR_OFFS) {
			const void *at = (const void *)request + attr_number(attr);

			nl->bad_attr = attr_type(at);
		} else if (attr_type(attr) == NLMSGERR_ATTR_MISS_TYPE) {
			nl->missing_attr = attr_number(attr);
		}
	}
	return err->error;
}

static void nl_keep_event(struct nl *nl, const struct nlmsghdr *nlh)
{
	if (nl->nr_events == ARRAY_SIZE(nl->events))
		ovlt_die("too many events");
	nl->events[nl->nr_events++] = msg_parse(nlh);
}

/* Send, without waiting for the answer. */
void nl_send(struct nl *nl, struct request *request)
{
	request->nlh.nlmsg_type = nl->family;
	request->nlh.nlmsg_seq = ++nl->seq;
	if (send(nl->fd, request, request->nlh.nlmsg_len, 0) < 0)
		ovlt_die("send");
}

/*
 * Wait for what the kernel says to the request that was sent last. @reply takes up
 * to @nr answers.
 *
 * Return: 0, or the number of answers if there were any; -errno.
 */
int nl_answer(struct nl *nl, const struct request *request, struct msg *reply,
	      unsigned int nr)
{
	char buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
	unsigned int got = 0;
	int len;

	for (;;) {
		len = nl_receive(nl, buffer, sizeof(buffer), 0);
		if (len < 0)
			ovlt_die("receive answer");
		for (struct nlmsghdr *nlh = (void *)buffer; NLMSG_OK(nlh, (__u32)len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			if (!nlh->nlmsg_seq) {
				nl_keep_event(nl, nlh);
				continue;
			}
			if (nlh->nlmsg_seq != nl->seq)
				ovlt_die("answer to something else");
			if (nlh->nlmsg_type == NLMSG_ERROR ||
			    nlh->nlmsg_type == NLMSG_DONE)
				return nl_parse_ack(nl, nlh, request) ?: got;
			if (got < nr)
				reply[got] = msg_parse(nlh);
			got++;
		}
	}
}

/* Send a request and wait for what the kernel says to it, as nl_answer() does. */
int nl_call(struct nl *nl, struct request *request, struct msg *reply,
	    unsigned int nr)
{
	nl_send(nl, request);
	return nl_answer(nl, request, reply, nr);
}

/* Return: 0; -EAGAIN if no event is there; -ENOBUFS if some were lost. */
int nl_event_flags(struct nl *nl, struct msg *msg, int flags)
{
	char buffer[65536] __attribute__((aligned(NLMSG_ALIGNTO)));
	int len;

	if (nl->nr_events) {
		*msg = nl->events[0];
		memmove(nl->events, nl->events + 1, --nl->nr_events * sizeof(*msg));
		return 0;
	}
	len = nl_receive(nl, buffer, sizeof(buffer), flags);
	if (len < 0)
		return len;
	*msg = msg_parse((void *)buffer);
	return 0;
}

struct msg nl_event(struct nl *nl)
{
	struct msg msg;
	int err = nl_event_flags(nl, &msg, 0);

	if (err) {
		errno = -err;
		ovlt_die("wait for an event");
	}
	return msg;
}

int nl_no_event(struct nl *nl)
{
	struct msg msg;

	return nl_event_flags(nl, &msg, MSG_DONTWAIT);
}

static void nl_resolve_group(struct nl *nl, const struct nlattr *group)
{
	struct attrs attrs = attrs_in(attr_data(group), group->nla_len - NLA_HDRLEN);
	const struct nlattr *attr;
	bool monitor = false;
	__u32 id = 0;

	while ((attr = attr_next(&attrs))) {
		if (attr_type(attr) == CTRL_ATTR_MCAST_GRP_ID)
			id = attr_number(attr);
		else
			monitor = !strcmp(attr_data(attr), OVLTREE_MCGRP_MONITOR);
	}
	nl->groups[monitor] = id;
}

static void nl_resolve(struct nl *nl)
{
	struct request request = request_new(CTRL_CMD_GETFAMILY);
	char buffer[8192] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *nlh = (void *)buffer;
	const struct nlattr *attr, *group;
	struct attrs attrs, groups;

	put_string(&request, CTRL_ATTR_FAMILY_NAME, OVLTREE_FAMILY_NAME);
	request.nlh.nlmsg_flags = NLM_F_REQUEST;
	request.nlh.nlmsg_type = GENL_ID_CTRL;
	if (send(nl->fd, &request, request.nlh.nlmsg_len, 0) < 0 ||
	    nl_receive(nl, buffer, sizeof(buffer), 0) < 0)
		ovlt_die("resolve family");
	if (nlh->nlmsg_type == NLMSG_ERROR)
		ovlt_die("no family");
	attrs = attrs_in(NLMSG_DATA(nlh) + GENL_HDRLEN,
			 nlh->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN));
	while ((attr = attr_next(&attrs))) {
		if (attr_type(attr) == CTRL_ATTR_FAMILY_ID)
			nl->family = attr_number(attr);
		if (attr_type(attr) != CTRL_ATTR_MCAST_GROUPS)
			continue;
		groups = attrs_in(attr_data(attr), attr->nla_len - NLA_HDRLEN);
		while ((group = attr_next(&groups)))
			nl_resolve_group(nl, group);
	}
}

void nl_open(struct nl *nl)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	struct timeval timeout = { .tv_sec = OVLT_TIMEOUT / 2 };
	int one = 1;

	memset(nl, 0, sizeof(*nl));
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (nl->fd < 0 || bind(nl->fd, (void *)&addr, sizeof(addr)) ||
	    setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) ||
	    setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one)) ||
	    setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)))
		ovlt_die("netlink socket");
	nl_resolve(nl);
}

void nl_close(struct nl *nl)
{
	close(nl->fd);
	nl->fd = -1;
}

/* Return: 0 or -errno. */
int nl_join(struct nl *nl, bool monitor)
{
	return setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			  &nl->groups[monitor], sizeof(__u32)) ? -errno : 0;
}

/*
 * The commands
 */

int nl_simple(struct nl *nl, __u8 cmd)
{
	struct request request = request_new(cmd);

	return nl_call(nl, &request, NULL, 0);
}

int nl_serve(struct nl *nl)
{
	int ret = nl_simple(nl, OVLTREE_CMD_SERVE);

	return ret < 0 ? ret : 0;
}

struct request attach_request(int mnt_fd, int target_fd)
{
	struct request request = request_new(OVLTREE_CMD_SUBMIT);

	put_u32(&request, OVLTREE_A_REQUEST_KIND, OVLTREE_KIND_ATTACH);
	put_u32(&request, OVLTREE_A_REQUEST_MNT_FD, mnt_fd);
	put_u32(&request, OVLTREE_A_REQUEST_TARGET_FD, target_fd);
	return request;
}

struct request detach_request(__u64 mnt_id, __u32 flags)
{
	struct request request = request_new(OVLTREE_CMD_SUBMIT);

	put_u32(&request, OVLTREE_A_REQUEST_KIND, OVLTREE_KIND_DETACH);
	put_u64(&request, OVLTREE_A_REQUEST_MNT_ID, mnt_id);
	if (flags)
		put_u32(&request, OVLTREE_A_REQUEST_DETACH_FLAGS, flags);
	return request;
}

int nl_submit(struct nl *nl, struct request *request, __u64 *id)
{
	struct msg reply;
	int ret = nl_call(nl, request, &reply, 1);

	if (ret < 0)
		return ret;
	if (ret != 1 || reply.has != 1U << OVLTREE_A_REQUEST_ID)
		ovlt_die("answer without an id");
	if (id)
		*id = reply.value[OVLTREE_A_REQUEST_ID];
	return 0;
}

int nl_cancel(struct nl *nl, __u64 id)
{
	struct request request = request_new(OVLTREE_CMD_CANCEL);

	put_u64(&request, OVLTREE_A_REQUEST_ID, id);
	return nl_call(nl, &request, NULL, 0);
}

/* Submit what closes its descriptors at once. */
int nl_attach(struct nl *nl, const char *target, __u32 deadline, __u64 *id)
{
	int mnt_fd = ovlt_sys_fsmount("tmpfs"), target_fd = ovlt_open(target, O_PATH);
	struct request request = attach_request(mnt_fd, target_fd);
	int ret;

	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, deadline);
	ret = nl_submit(nl, &request, id);
	close(target_fd);
	close(mnt_fd);
	return ret;
}

int nl_detach(struct nl *nl, __u64 mnt_id, __u32 flags, __u32 deadline, __u64 *id)
{
	struct request request = detach_request(mnt_id, flags);

	put_u32(&request, OVLTREE_A_REQUEST_DEADLINE_MS, deadline);
	return nl_submit(nl, &request, id);
}

/* ATTACH of one request: 0 or the entry's error */
int commit_attach(int dev, __u64 id)
{
	struct ovltree_attach entry = attach_entry(id);
	struct ovltree_result result;
	int ret = ovlt_attach(dev, 0, &entry, 1, &result);

	return ret < 0 ? ret : result.error;
}

int commit_detach(int dev, __u64 id)
{
	struct ovltree_detach entry = detach_entry(id);
	struct ovltree_result result;
	int ret = ovlt_detach(dev, &entry, 1, &result);

	if (ret >= 0 && result.fd != -1)
		ovlt_die("a descriptor of a detach");
	return ret < 0 ? ret : result.error;
}

/*
 * The daemon
 */

struct order {
	enum { SERVE, ATTACH, DETACH } what;
	__u32 flags;
	unsigned int nr;
	__u64 ids[DAEMON_MAX];
};

struct outcome {
	int ret;
	struct ovltree_result results[DAEMON_MAX];
};

static int daemon_do_serve(struct nl *nl)
{
	int fd = ovlt_open(ovlt_fmt("/proc/%d/ns/net", getppid()), O_RDONLY);

	if (setns(fd, CLONE_NEWNET))
		ovlt_die("network namespace");
	close(fd);
	if (nl->fd >= 0)
		nl_close(nl);
	nl_open(nl);
	return nl_serve(nl);
}

static int daemon_do_attach(int dev, const struct order *order,
			    struct ovltree_result *results)
{
	struct ovltree_attach entries[DAEMON_MAX];

	for (unsigned int i = 0; i < order->nr; i++)
		entries[i] = attach_entry(order->ids[i]);
	return ovlt_attach(dev, order->flags, entries, order->nr, results);
}

static int daemon_do_detach(int dev, const struct order *order,
			    struct ovltree_result *results)
{
	struct ovltree_detach entries[DAEMON_MAX];

	for (unsigned int i = 0; i < order->nr; i++)
		entries[i] = detach_entry(order->ids[i]);
	return ovlt_detach(dev, entries, order->nr, results);
}

static void daemon_run(int sock, int dev)
{
	struct nl nl = { .fd = -1 };
	struct order order;

	while (recv(sock, &order, sizeof(order), 0) == sizeof(order)) {
		struct outcome outcome = { };

		if (order.what == SERVE)
			outcome.ret = daemon_do_serve(&nl);
		else if (order.what == ATTACH)
			outcome.ret = daemon_do_attach(dev, &order, outcome.results);
		else
			outcome.ret = daemon_do_detach(dev, &order, outcome.results);
		if (send(sock, &outcome, sizeof(outcome), 0) != sizeof(outcome))
			ovlt_die("answer");
	}
}

/* A process with the rights and the mount namespace that the caller has now. */
void daemon_start(struct daemon *daemon, int dev)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		ovlt_die("socketpair");
	fflush(NULL);
	daemon->pid = fork();
	if (daemon->pid < 0)
		ovlt_die("fork");
	if (!daemon->pid) {
		close(ends[0]);
		daemon_run(ends[1], dev);
		_exit(0);
	}
	close(ends[1]);
	daemon->sock = ends[0];
}

static int daemon_do(const struct daemon *daemon, const struct order *order,
		     struct ovltree_result *results)
{
	struct outcome outcome;

	if (order->nr > DAEMON_MAX)
		ovlt_die("too many requests");
	if (send(daemon->sock, order, sizeof(*order), 0) != sizeof(*order) ||
	    recv(daemon->sock, &outcome, sizeof(outcome), 0) != sizeof(outcome))
		ovlt_die("daemon");
	if (results)
		memcpy(results, outcome.results, order->nr * sizeof(*results));
	return outcome.ret;
}

static int daemon_commit(const struct daemon *daemon, struct order order,
			 const __u64 *ids, unsigned int nr,
			 struct ovltree_result *results)
{
	order.nr = nr;
	memcpy(order.ids, ids, nr * sizeof(*ids));
	return daemon_do(daemon, &order, results);
}

/* Serve the caller's network namespace, and no longer the one before. */
int daemon_serve(const struct daemon *daemon)
{
	return daemon_do(daemon, &(struct order) { .what = SERVE }, NULL);
}

/* Commit requests: what the ioctl returned, or -errno. */
int daemon_attach(const struct daemon *daemon, __u32 flags, const __u64 *ids,
		  unsigned int nr, struct ovltree_result *results)
{
	return daemon_commit(daemon, (struct order) { .what = ATTACH, .flags = flags },
			     ids, nr, results);
}

int daemon_detach(const struct daemon *daemon, const __u64 *ids, unsigned int nr,
		  struct ovltree_result *results)
{
	return daemon_commit(daemon, (struct order) { .what = DETACH }, ids, nr, results);
}

void daemon_end(const struct daemon *daemon)
{
	close(daemon->sock);
	waitpid(daemon->pid, NULL, 0);
}
