/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ovltree.yaml */
/* YNL-GEN kernel header */

#ifndef _LINUX_OVLTREE_GEN_H
#define _LINUX_OVLTREE_GEN_H

#include <net/netlink.h>
#include <net/genetlink.h>

#include <uapi/linux/ovltree_netlink.h>

int ovltree_nl_pre_doit(const struct genl_split_ops *ops, struct sk_buff *skb,
			struct genl_info *info);
int ovltree_nl_pre_dumpit(struct netlink_callback *cb);

int ovltree_nl_submit_doit(struct sk_buff *skb, struct genl_info *info);
int ovltree_nl_cancel_doit(struct sk_buff *skb, struct genl_info *info);
int ovltree_nl_serve_doit(struct sk_buff *skb, struct genl_info *info);
int ovltree_nl_request_get_dumpit(struct sk_buff *skb,
				  struct netlink_callback *cb);
int ovltree_nl_stats_get_doit(struct sk_buff *skb, struct genl_info *info);
int ovltree_nl_layerset_get_dumpit(struct sk_buff *skb,
				   struct netlink_callback *cb);

enum {
	OVLTREE_NLGRP_READY,
	OVLTREE_NLGRP_MONITOR,
};

extern struct genl_family ovltree_nl_family;

#endif /* _LINUX_OVLTREE_GEN_H */
