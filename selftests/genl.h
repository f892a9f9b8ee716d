/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Messages of the netlink family, and the attributes in them.
 */
#ifndef OVLT_GENL_H
#define OVLT_GENL_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/ovltree_netlink.h>
#include <stdbool.h>
#include <string.h>

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

#endif /* OVLT_GENL_H */
