/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket of the generic netlink family "ovltree".
 */
#ifndef OVLT_NETLINK_H
#define OVLT_NETLINK_H

#include <stdbool.h>

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <linux/ovltree_netlink.h>

#include "libovltree.h"

/**
 * typedef ovlt_nl_fn - takes a message of the family
 * @data: as given to the function that receives
 * @hdr: the message
 *
 * Return: 0, or a negative errno that ends the receiving.
 */
typedef int (*ovlt_nl_fn)(void *data, struct nlmsghdr *hdr);

/**
 * struct ovlt_nl - socket
 * @sock: libnl's part of it
 * @family: number of the family, which changes when the module is loaded anew
 * @buffer: what has been received
 * @unasked: takes messages that answer nothing
 * @data: its first argument
 * @lost: messages were lost
 * @message: what the kernel said to explain the last error
 */
struct ovlt_nl {
	struct nl_sock *sock;
	int family;
	char *buffer;
	ovlt_nl_fn unasked;
	void *data;
	bool lost;
	char message[OVLTREE_MESSAGE_MAX];
};

int ovlt_nl_open(struct ovlt_nl *nl, ovlt_nl_fn unasked, void *data);
void ovlt_nl_close(struct ovlt_nl *nl);
int ovlt_nl_fd(const struct ovlt_nl *nl);
int ovlt_nl_join(struct ovlt_nl *nl, struct ovlt_nl *quiet, const char *group);
int ovlt_nl_set_buffer(struct ovlt_nl *nl, unsigned int bytes);
struct nl_msg *ovlt_nl_new(struct ovlt_nl *nl, int command, int flags);
int ovlt_nl_read(struct ovlt_nl *nl);
int ovlt_nl_call(struct ovlt_nl *nl, struct nl_msg *msg, ovlt_nl_fn reply,
		 void *data);

int ovlt_nl_parse_request(struct nlmsghdr *hdr, struct ovlt_request *request,
			  uint64_t *seq);
int ovlt_nl_parse_stats(struct nlmsghdr *hdr, struct ovlt_stats *stats);
int ovlt_nl_parse_layerset(struct nlmsghdr *hdr,
			   struct ovlt_layerset_info *info);

#endif /* OVLT_NETLINK_H */
