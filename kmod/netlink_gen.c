// SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause)
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/ovltree.yaml */
/* YNL-GEN kernel source */

#include <net/netlink.h>
#include <net/genetlink.h>

#include "netlink_gen.h"

#include <uapi/linux/ovltree_netlink.h>

/* Integer value ranges */
static const struct netlink_range_validation ovltree_a_request_deadline_ms_range = {
	.min	= 1ULL,
	.max	= 60000ULL,
};

/* OVLTREE_CMD_SUBMIT - do */
static const struct nla_policy ovltree_submit_nl_policy[OVLTREE_A_REQUEST_DEADLINE_MS + 1] = {
	[OVLTREE_A_REQUEST_KIND] = NLA_POLICY_MAX(NLA_U32, 1),
	[OVLTREE_A_REQUEST_MNT_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[OVLTREE_A_REQUEST_TARGET_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[OVLTREE_A_REQUEST_MNTNS_FD] = NLA_POLICY_MIN(NLA_S32, 0),
	[OVLTREE_A_REQUEST_PROPAGATION] = { .type = NLA_U32, },
	[OVLTREE_A_REQUEST_MNT_ID] = { .type = NLA_U64, },
	[OVLTREE_A_REQUEST_DETACH_FLAGS] = NLA_POLICY_MASK(NLA_U32, 0x6),
	[OVLTREE_A_REQUEST_NAME] = { .type = NLA_NUL_STRING, .len = OVLTREE_NAME_MAX, },
	[OVLTREE_A_REQUEST_PRIORITY] = { .type = NLA_U8, },
	[OVLTREE_A_REQUEST_DEADLINE_MS] = NLA_POLICY_FULL_RANGE(NLA_U32, &ovltree_a_request_deadline_ms_range),
};

/* OVLTREE_CMD_CANCEL - do */
static const struct nla_policy ovltree_cancel_nl_policy[OVLTREE_A_REQUEST_ID + 1] = {
	[OVLTREE_A_REQUEST_ID] = { .type = NLA_U64, },
};

/* Ops table for ovltree */
static const struct genl_split_ops ovltree_nl_ops[] = {
	{
		.cmd		= OVLTREE_CMD_SUBMIT,
		.pre_doit	= ovltree_nl_pre_doit,
		.doit		= ovltree_nl_submit_doit,
		.policy		= ovltree_submit_nl_policy,
		.maxattr	= OVLTREE_A_REQUEST_DEADLINE_MS,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= OVLTREE_CMD_CANCEL,
		.pre_doit	= ovltree_nl_pre_doit,
		.doit		= ovltree_nl_cancel_doit,
		.policy		= ovltree_cancel_nl_policy,
		.maxattr	= OVLTREE_A_REQUEST_ID,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd		= OVLTREE_CMD_SERVE,
		.pre_doit	= ovltree_nl_pre_doit,
		.doit		= ovltree_nl_serve_doit,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= OVLTREE_CMD_REQUEST_GET,
		.start	= ovltree_nl_pre_dumpit,
		.dumpit	= ovltree_nl_request_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
	{
		.cmd		= OVLTREE_CMD_STATS_GET,
		.pre_doit	= ovltree_nl_pre_doit,
		.doit		= ovltree_nl_stats_get_doit,
		.flags		= GENL_CMD_CAP_DO,
	},
	{
		.cmd	= OVLTREE_CMD_LAYERSET_GET,
		.start	= ovltree_nl_pre_dumpit,
		.dumpit	= ovltree_nl_layerset_get_dumpit,
		.flags	= GENL_CMD_CAP_DUMP,
	},
};

static const struct genl_multicast_group ovltree_nl_mcgrps[] = {
	[OVLTREE_NLGRP_READY] = { "ready", },
	[OVLTREE_NLGRP_MONITOR] = { "monitor", },
};

struct genl_family ovltree_nl_family __ro_after_init = {
	.name		= OVLTREE_FAMILY_NAME,
	.version	= OVLTREE_FAMILY_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.split_ops	= ovltree_nl_ops,
	.n_split_ops	= ARRAY_SIZE(ovltree_nl_ops),
	.mcgrps		= ovltree_nl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(ovltree_nl_mcgrps),
};
