/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The netlink family: messages and the attributes in them, a client, a daemon.
 */
#ifndef OVLT_GENL_H
#define OVLT_GENL_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/ovltree.h>
#include <linux/ovltree_netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

struct request {
	struct nlmsghdr nlh;
	struct genlmsghdr genl;
	char attrs[1024];
};

static inline struct request request_new(__u8 cmd)
{
	return (struct request) {
		.nlh.nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN),
		.nlh.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.genl.cmd = cmd,
		.genl.version = OVLTREE_FAMILY_VERSION,
	};
}

/* Copied, since a compiler may take for granted that no attribute is in an array. */
static inline void put(struct request *request, int type, const void *data, size_t len)
{
	const struct nlattr attr = { .nla_len = NLA_HDRLEN + len, .nla_type = type };
	char *at = (char *)request + request->nlh.nlmsg_len;

	memcpy(at, &attr, sizeof(attr));
	memcpy(at + NLA_HDRLEN, data, len);
	request->nlh.nlmsg_len += NLA_ALIGN(attr.nla_len);
}

static inline void put_u8(struct request *request, int type, __u8 value)
{
	put(request, type, &value, sizeof(value));
}

static inline void put_u32(struct request *request, int type, __u32 value)
{
	put(request, type, &value, sizeof(value));
}

static inline void put_u64(struct request *request, int type, __u64 value)
{
	put(request, type, &value, sizeof(value));
}

static inline void put_string(struct request *request, int type, const char *value)
{
	put(request, type, value, strlen(value) + 1);
}

/* Attributes, one after another */
struct attrs {
	const void *at;
	const void *end;
};

static inline struct attrs attrs_in(const void *start, size_t len)
{
	return (struct attrs) { start, start + len };
}

static inline const struct nlattr *attr_next(struct attrs *attrs)
{
	const struct nlattr *attr = attrs->at;

	if (attrs->end - attrs->at < NLA_HDRLEN || attr->nla_len < NLA_HDRLEN)
		return NULL;
	attrs->at += NLA_ALIGN(attr->nla_len);
	return attr;
}

static inline const void *attr_data(const struct nlattr *attr)
{
	return (const void *)attr + NLA_HDRLEN;
}

static inline int attr_type(const struct nlattr *attr)
{
	return attr->nla_type & NLA_TYPE_MASK;
}

static inline __u64 attr_number(const struct nlattr *attr)
{
	__u64 value = 0;

	memcpy(&value, attr_data(attr), attr->nla_len - NLA_HDRLEN);
	return value;
}

/*
 * A client
 */

#define MAX_ATTR 32
#define LONG 60000		/* a deadline that no test lives to see */

/* A message that has come, its numbers by attribute */
struct msg {
	__u8 cmd;
	__u32 has;
	__u64 value[MAX_ATTR];
	char name[OVLTREE_NAME_MAX + 1];
	char message[OVLTREE_MESSAGE_MAX];
};

struct nl {
	int fd;
	__u32 seq;
	__u16 family;
	__u32 groups[2];
	/* The last error: its text, the attribute that is wrong or missing */
	char text[128];
	int bad_attr;
	int missing_attr;
	/* Events that came before an answer */
	unsigned int nr_events;
	struct msg events[128];
};

void nl_open(struct nl *nl);
void nl_close(struct nl *nl);
int nl_join(struct nl *nl, bool monitor);
void nl_send(struct nl *nl, struct request *request);
int nl_answer(struct nl *nl, const struct request *request, struct msg *reply,
	      unsigned int nr);
int nl_call(struct nl *nl, struct request *request, struct msg *reply,
	    unsigned int nr);
int nl_event_flags(struct nl *nl, struct msg *msg, int flags);
struct msg nl_event(struct nl *nl);
int nl_no_event(struct nl *nl);

/* The commands: 0 or more, or -errno */
int nl_simple(struct nl *nl, __u8 cmd);
int nl_serve(struct nl *nl);
struct request attach_request(int mnt_fd, int target_fd);
struct request detach_request(__u64 mnt_id, __u32 flags);
int nl_submit(struct nl *nl, struct request *request, __u64 *id);
int nl_cancel(struct nl *nl, __u64 id);
int nl_attach(struct nl *nl, const char *target, __u32 deadline, __u64 *id);
int nl_detach(struct nl *nl, __u64 mnt_id, __u32 flags, __u32 deadline, __u64 *id);
int commit_attach(int dev, __u64 id);
int commit_detach(int dev, __u64 id);

/* Entries of a batch that commit a request */
static inline struct ovltree_attach attach_entry(__u64 id)
{
	return (struct ovltree_attach) { .flags = OVLTREE_ATTACH_REQUEST, .id = id };
}

static inline struct ovltree_detach detach_entry(__u64 id)
{
	return (struct ovltree_detach) { .flags = OVLTREE_DETACH_REQUEST, .mnt_id = id };
}

#define EXPECT_DONE(error_, id_, done) do { \
	const struct msg __msg = (done); \
	EXPECT_EQ(OVLTREE_CMD_DONE, __msg.cmd); \
	EXPECT_EQ(error_, (__s32)__msg.value[OVLTREE_A_REQUEST_ERROR]) \
		TH_LOG("message: %s", __msg.message); \
	EXPECT_EQ(id_, __msg.value[OVLTREE_A_REQUEST_ID]); \
} while (0)

/*
 * A daemon in a process of its own, for those who lose the rights to be one
 */

#define DAEMON_MAX 8

struct daemon {
	pid_t pid;
	int sock;
};

void daemon_start(struct daemon *daemon, int dev);
int daemon_serve(const struct daemon *daemon);
int daemon_attach(const struct daemon *daemon, __u32 flags, const __u64 *ids,
		  unsigned int nr, struct ovltree_result *results);
int daemon_detach(const struct daemon *daemon, const __u64 *ids, unsigned int nr,
		  struct ovltree_result *results);
void daemon_end(const struct daemon *daemon);

#endif /* OVLT_GENL_H */
