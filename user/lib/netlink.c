// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Socket of the netlink family: libnl builds and takes apart the messages, but
 * receiving is done here. The kernel answers within send(2), so that what isn't
 * there afterwards doesn't come any more; libnl would wait for it, and it hides
 * ENOBUFS, which tells that messages were lost.
 */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "private.h"
#include "netlink.h"

/* As much as the kernel puts into a part of a dump. */
#define BUFFER_SIZE (32 * 1024)

/* More than a command takes, with the longest name. */
#define COMMAND_SIZE 512

static int to_errno(int err)
{
	switch (-err) {
	case 0:
		return 0;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;
	case NLE_AF_NOSUPPORT:
	case NLE_PROTO_MISMATCH:
		return -EPROTONOSUPPORT;
	}
	return -EIO;
}

/* -ENOENT when there is no such family, that is, no module. */
int ovlt_nl_open(struct ovlt_nl *nl, ovlt_nl_fn unasked, void *data)
{
	int one = 1;
	int err = -ENOMEM;

	*nl = (struct ovlt_nl){ .sock = nl_socket_alloc(),
				.unasked = unasked,
				.data = data };
	nl->buffer = malloc(BUFFER_SIZE);
	if (!nl->sock || !nl->buffer)
		goto out;
	err = to_errno(genl_connect(nl->sock));
	if (err)
		goto out;
	nl->family = genl_ctrl_resolve(nl->sock, OVLTREE_FAMILY_NAME);
	if (nl->family < 0) {
		err = to_errno(nl->family);
		goto out;
	}
	/* An answer says as much as an acknowledgement that comes with it. */
	nl_socket_disable_auto_ack(nl->sock);
	/* Without these the kernel is silent about reasons, no more. */
	setsockopt(ovlt_nl_fd(nl), SOL_NETLINK, NETLINK_EXT_ACK, &one,
		   sizeof(one));
	setsockopt(ovlt_nl_fd(nl), SOL_NETLINK, NETLINK_CAP_ACK, &one,
		   sizeof(one));
	return 0;
out:
	ovlt_nl_close(nl);
	return err;
}

void ovlt_nl_close(struct ovlt_nl *nl)
{
	if (nl->sock)
		nl_socket_free(nl->sock);
	free(nl->buffer);
	*nl = (struct ovlt_nl){ 0 };
}

int ovlt_nl_fd(const struct ovlt_nl *nl)
{
	return nl_socket_get_fd(nl->sock);
}

/* Its number is asked for by @quiet, which hears no other group meanwhile. */
int ovlt_nl_join(struct ovlt_nl *nl, struct ovlt_nl *quiet, const char *group)
{
	int id = genl_ctrl_resolve_grp(quiet->sock, OVLTREE_FAMILY_NAME, group);

	if (id < 0)
		return to_errno(id);
	return nl_socket_add_membership(nl->sock, id) < 0 ? -errno : 0;
}

/* As many bytes as the caller's rights allow; returns how many there are. */
int ovlt_nl_set_buffer(struct ovlt_nl *nl, unsigned int bytes)
{
	socklen_t len = sizeof(int);
	int fd = ovlt_nl_fd(nl);
	int got = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len);
	return got;
}

struct nl_msg *ovlt_nl_new(struct ovlt_nl *nl, int command, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_size(COMMAND_SIZE);

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0,
				flags, command, OVLTREE_FAMILY_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

/* Returns the bytes that are in the buffer now, without waiting. */
static ssize_t fill(struct ovlt_nl *nl)
{
	ssize_t len;

	do
		len = recv(ovlt_nl_fd(nl), nl->buffer, BUFFER_SIZE,
			   MSG_DONTWAIT | MSG_TRUNC);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	return len > BUFFER_SIZE ? -EMSGSIZE : len;
}

/* The error of an acknowledgement; keeps the reason. */
static int take_ack(struct ovlt_nl *nl, struct nlmsghdr *hdr)
{
	struct nlmsgerr *ack = nlmsg_data(hdr);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	int skip = sizeof(*ack);

	if (nlmsg_datalen(hdr) < skip)
		return -EPROTO;
	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return ack->error;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += ack->msg.nlmsg_len - sizeof(ack->msg);
	if (skip > nlmsg_datalen(hdr) ||
	    nla_parse(tb, NLMSGERR_ATTR_MAX,
		      (struct nlattr *)((char *)ack + skip),
		      nlmsg_datalen(hdr) - skip, NULL))
		return ack->error;
	if (tb[NLMSGERR_ATTR_MSG])
		snprintf(nl->message, sizeof(nl->message), "%.*s",
			 nla_len(tb[NLMSGERR_ATTR_MSG]),
			 nla_get_string(tb[NLMSGERR_ATTR_MSG]));
	return ack->error;
}

/* The error at the end of a dump. */
static int take_done(struct nlmsghdr *hdr)
{
	int err = 0;

	if (hdr->nlmsg_flags & NLM_F_DUMP_INTR)
		return -EAGAIN;
	if (nlmsg_datalen(hdr) >= (int)sizeof(err))
		memcpy(&err, nlmsg_data(hdr), sizeof(err));
	return err;
}

struct call {
	uint32_t seq;
	ovlt_nl_fn reply;
	void *data;
	bool more; /* than one message, of which the last says so */
	bool ended;
	int err;
};

/* Of one message. */
static void take(struct ovlt_nl *nl, struct nlmsghdr *hdr, struct call *call)
{
	int err = 0;

	if (hdr->nlmsg_seq != call->seq) {
		/* That it can't be taken says nothing of the command. */
		if (hdr->nlmsg_type == nl->family && nl->unasked(nl->data, hdr))
			nl->lost = true;
	} else if (hdr->nlmsg_type == NLMSG_ERROR) {
		call->ended = true;
		err = take_ack(nl, hdr);
	} else if (hdr->nlmsg_type == NLMSG_DONE) {
		call->ended = true;
		err = take_done(hdr);
	} else if (hdr->nlmsg_type == nl->family && call->reply) {
		call->ended = !call->more;
		if (hdr->nlmsg_flags & NLM_F_DUMP_INTR)
			err = -EAGAIN;
		else
			err = call->reply(call->data, hdr);
	}
	if (!call->err)
		call->err = err;
}

/**
 * ovlt_nl_read() - take the next of what has come unasked for
 * @nl: the socket
 *
 * Return: 0, with &ovlt_nl.lost set if something was lost; -EAGAIN when there is
 * nothing; or what a function says.
 */
int ovlt_nl_read(struct ovlt_nl *nl)
{
	struct nlmsghdr *hdr = (struct nlmsghdr *)nl->buffer;
	ssize_t len = fill(nl);
	int rest = len, err = 0;

	if (len == -ENOBUFS)
		nl->lost = true;
	else if (len < 0)
		err = len;
	for (; !err && nlmsg_ok(hdr, rest); hdr = nlmsg_next(hdr, &rest))
		if (hdr->nlmsg_type == nl->family)
			err = nl->unasked(nl->data, hdr);
	return err;
}

static int send_msg(struct ovlt_nl *nl, struct nl_msg *msg)
{
	ssize_t len;

	do
		len = send(ovlt_nl_fd(nl), nlmsg_hdr(msg),
			   nlmsg_hdr(msg)->nlmsg_len, 0);
	while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : 0;
}

/**
 * ovlt_nl_call() - have a command done
 * @nl: the socket
 * @msg: the command, which is freed; NULL is -ENOMEM
 * @reply: takes each message of the answer, or NULL
 * @data: its first argument
 *
 * What isn't asked for an acknowledgement, and isn't a dump, has one message as its
 * answer; the kernel acknowledges an error in any case.
 *
 * Return: 0, what the kernel or a function says, -EAGAIN for a dump that was
 * overtaken by a change, -EIO when the answer was lost.
 */
int ovlt_nl_call(struct ovlt_nl *nl, struct nl_msg *msg, ovlt_nl_fn reply,
		 void *data)
{
	struct call call = { .reply = reply, .data = data };
	int err = msg ? 0 : -ENOMEM;

	nl->message[0] = '\0';
	if (!err) {
		nl_complete_msg(nl->sock, msg);
		call.seq = nlmsg_hdr(msg)->nlmsg_seq;
		call.more = nlmsg_hdr(msg)->nlmsg_flags &
			    (NLM_F_ACK | NLM_F_DUMP);
		err = send_msg(nl, msg);
	}
	nlmsg_free(msg);
	while (!err && !call.ended) {
		ssize_t len = fill(nl);
		struct nlmsghdr *hdr = (struct nlmsghdr *)nl->buffer;
		int rest = len;

		/* What was lost needn't be the answer. */
		if (len == -ENOBUFS)
			nl->lost = true;
		else if (len < 0)
			err = len == -EAGAIN ? -EIO : len;
		for (; nlmsg_ok(hdr, rest); hdr = nlmsg_next(hdr, &rest))
			take(nl, hdr, &call);
	}
	return err ? err : call.err;
}

static uint64_t get_u64(struct nlattr *attr)
{
	return attr ? nla_get_u64(attr) : 0;
}

static uint32_t get_u32(struct nlattr *attr)
{
	return attr ? nla_get_u32(attr) : 0;
}

static void get_string(struct nlattr *attr, char *text, size_t size)
{
	text[0] = '\0';
	if (attr)
		snprintf(text, size, "%.*s", nla_len(attr),
			 (const char *)nla_data(attr));
}

/* @seq, which may be NULL, gets 0 when the message has no number. */
int ovlt_nl_parse_request(struct nlmsghdr *hdr, struct ovlt_request *request,
			  uint64_t *seq)
{
	static const struct nla_policy policy[OVLTREE_A_REQUEST_MAX + 1] = {
		[OVLTREE_A_REQUEST_ID] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_KIND] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_MNT_ID] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_PRIORITY] = { .type = NLA_U8 },
		[OVLTREE_A_REQUEST_DEADLINE_MS] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_PID] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_UID] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_CGROUP_ID] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_USERNS_ID] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_AGE] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_ERROR] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_QUEUED] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_WAIT] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_HOLD] = { .type = NLA_U64 },
		[OVLTREE_A_REQUEST_COMMITTED_BY] = { .type = NLA_U32 },
		[OVLTREE_A_REQUEST_SEQ] = { .type = NLA_U64 },
	};
	struct nlattr *tb[OVLTREE_A_REQUEST_MAX + 1];
	struct nlattr *by;

	if (genlmsg_parse(hdr, 0, tb, OVLTREE_A_REQUEST_MAX, policy))
		return -EPROTO;
	by = tb[OVLTREE_A_REQUEST_COMMITTED_BY];
	*request = (struct ovlt_request){
		.id = get_u64(tb[OVLTREE_A_REQUEST_ID]),
		.kind = get_u32(tb[OVLTREE_A_REQUEST_KIND]),
		.mnt_id = get_u64(tb[OVLTREE_A_REQUEST_MNT_ID]),
		.priority = tb[OVLTREE_A_REQUEST_PRIORITY] ?
				    nla_get_u8(tb[OVLTREE_A_REQUEST_PRIORITY]) :
				    0,
		.deadline_ms = get_u32(tb[OVLTREE_A_REQUEST_DEADLINE_MS]),
		.pid = get_u32(tb[OVLTREE_A_REQUEST_PID]),
		.uid = get_u32(tb[OVLTREE_A_REQUEST_UID]),
		.cgroup_id = get_u64(tb[OVLTREE_A_REQUEST_CGROUP_ID]),
		.userns_id = get_u32(tb[OVLTREE_A_REQUEST_USERNS_ID]),
		.age_ns = get_u64(tb[OVLTREE_A_REQUEST_AGE]),
		.error = get_u32(tb[OVLTREE_A_REQUEST_ERROR]),
		.queued_ns = get_u64(tb[OVLTREE_A_REQUEST_QUEUED]),
		.wait_ns = get_u64(tb[OVLTREE_A_REQUEST_WAIT]),
		.hold_ns = get_u64(tb[OVLTREE_A_REQUEST_HOLD]),
		.committed_by = by ? nla_get_u32(by) : OVLT_NOT_COMMITTED,
	};
	get_string(tb[OVLTREE_A_REQUEST_NAME], request->name,
		   sizeof(request->name));
	get_string(tb[OVLTREE_A_REQUEST_MESSAGE], request->message,
		   sizeof(request->message));
	if (seq)
		*seq = get_u64(tb[OVLTREE_A_REQUEST_SEQ]);
	return 0;
}

int ovlt_nl_parse_stats(struct nlmsghdr *hdr, struct ovlt_stats *stats)
{
	static const struct nla_policy policy[OVLTREE_A_STATS_MAX + 1] = {
		[OVLTREE_A_STATS_SUBMITTED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_ATTACHED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_DETACHED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_FAILED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_CANCELLED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_REFUSED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_EXPIRED] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_BATCHES] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_BATCH_MAX] = { .type = NLA_U32 },
		[OVLTREE_A_STATS_QUEUED] = { .type = NLA_U32 },
		[OVLTREE_A_STATS_QUEUE_MAX] = { .type = NLA_U32 },
		[OVLTREE_A_STATS_QUEUE_MAX_USERNS] = { .type = NLA_U32 },
		[OVLTREE_A_STATS_HOLD_MAX] = { .type = NLA_U64 },
		[OVLTREE_A_STATS_DAEMON_PID] = { .type = NLA_U32 },
		[OVLTREE_A_STATS_SEQ] = { .type = NLA_U64 },
	};
	struct nlattr *tb[OVLTREE_A_STATS_MAX + 1];

	if (genlmsg_parse(hdr, 0, tb, OVLTREE_A_STATS_MAX, policy))
		return -EPROTO;
	*stats = (struct ovlt_stats){
		.submitted = get_u64(tb[OVLTREE_A_STATS_SUBMITTED]),
		.attached = get_u64(tb[OVLTREE_A_STATS_ATTACHED]),
		.detached = get_u64(tb[OVLTREE_A_STATS_DETACHED]),
		.failed = get_u64(tb[OVLTREE_A_STATS_FAILED]),
		.cancelled = get_u64(tb[OVLTREE_A_STATS_CANCELLED]),
		.refused = get_u64(tb[OVLTREE_A_STATS_REFUSED]),
		.expired = get_u64(tb[OVLTREE_A_STATS_EXPIRED]),
		.batches = get_u64(tb[OVLTREE_A_STATS_BATCHES]),
		.hold_max_ns = get_u64(tb[OVLTREE_A_STATS_HOLD_MAX]),
		.seq = get_u64(tb[OVLTREE_A_STATS_SEQ]),
		.batch_max = get_u32(tb[OVLTREE_A_STATS_BATCH_MAX]),
		.queued = get_u32(tb[OVLTREE_A_STATS_QUEUED]),
		.queue_max = get_u32(tb[OVLTREE_A_STATS_QUEUE_MAX]),
		.queue_max_userns =
			get_u32(tb[OVLTREE_A_STATS_QUEUE_MAX_USERNS]),
		.daemon_pid = get_u32(tb[OVLTREE_A_STATS_DAEMON_PID]),
		.has_daemon = tb[OVLTREE_A_STATS_DAEMON_PID] != NULL,
	};
	return 0;
}

int ovlt_nl_parse_layerset(struct nlmsghdr *hdr,
			   struct ovlt_layerset_info *info)
{
	static const struct nla_policy policy[OVLTREE_A_LAYERSET_MAX + 1] = {
		[OVLTREE_A_LAYERSET_ID] = { .type = NLA_U64 },
		[OVLTREE_A_LAYERSET_LAYERS] = { .type = NLA_U32 },
		[OVLTREE_A_LAYERSET_PID] = { .type = NLA_U32 },
		[OVLTREE_A_LAYERSET_UID] = { .type = NLA_U32 },
		[OVLTREE_A_LAYERSET_CGROUP_ID] = { .type = NLA_U64 },
		[OVLTREE_A_LAYERSET_AGE] = { .type = NLA_U64 },
	};
	struct nlattr *tb[OVLTREE_A_LAYERSET_MAX + 1];

	if (genlmsg_parse(hdr, 0, tb, OVLTREE_A_LAYERSET_MAX, policy))
		return -EPROTO;
	*info = (struct ovlt_layerset_info){
		.id = get_u64(tb[OVLTREE_A_LAYERSET_ID]),
		.cgroup_id = get_u64(tb[OVLTREE_A_LAYERSET_CGROUP_ID]),
		.age_ns = get_u64(tb[OVLTREE_A_LAYERSET_AGE]),
		.layers = get_u32(tb[OVLTREE_A_LAYERSET_LAYERS]),
		.pid = get_u32(tb[OVLTREE_A_LAYERSET_PID]),
		.uid = get_u32(tb[OVLTREE_A_LAYERSET_UID]),
	};
	return 0;
}
