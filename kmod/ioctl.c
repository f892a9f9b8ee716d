// SPDX-License-Identifier: GPL-2.0-only
#include <linux/build_bug.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "internal.h"

/* A structure of the UAPI never shrinks: these are the sizes of version 1. */
static void build_check_abi(void)
{
	BUILD_BUG_ON(sizeof(struct ovltree_path) != 16);
	BUILD_BUG_ON(sizeof(struct ovltree_tree) != 72);
	BUILD_BUG_ON(sizeof(struct ovltree_attach) != 48);
	BUILD_BUG_ON(sizeof(struct ovltree_layerset) != 16);
	BUILD_BUG_ON(sizeof(struct ovltree_detach) != 32);
	BUILD_BUG_ON(sizeof(struct ovltree_result) != 160);
	BUILD_BUG_ON(sizeof(struct ovltree_batch) != 56);
	BUILD_BUG_ON(sizeof(struct ovltree_info) != 40);
}

static long ovlt_info(void __user *uarg, size_t usize)
{
	struct ovltree_info info;
	int err;

	err = copy_struct_from_user(&info, sizeof(info), uarg, usize);
	if (err)
		return err;
	if (info.flags)
		return -EINVAL;

	info = (struct ovltree_info) {
		.size		= sizeof(info),
		.version	= OVLTREE_UAPI_VERSION,
		.max_entries	= MNT_BATCH_MAX,
		.max_lower	= OVLT_MAX_LOWER,
		.max_options	= OVLT_MAX_OPTIONS,
		.features	= OVLTREE_FEATURE_BATCH |
				  OVLTREE_FEATURE_SHARED_LOWER |
				  OVLTREE_FEATURE_LAYERSET |
				  OVLTREE_FEATURE_NETLINK,
		.nr_layersets	= ovlt_layerset_count(),
	};
	if (copy_to_user(uarg, &info, min(usize, sizeof(info))))
		return -EFAULT;
	return 0;
}

static const struct {
	size_t size;
	long (*run)(void __user *uarg, size_t usize);
	const struct ovlt_batch_op *batch;
} ovlt_ops[] = {
	[_IOC_NR(OVLTREE_IOC_INFO)]	= { 40, .run = ovlt_info },
	[_IOC_NR(OVLTREE_IOC_PREPARE)]	= { 56, .batch = &ovlt_prepare_op },
	[_IOC_NR(OVLTREE_IOC_ATTACH)]	= { 56, .batch = &ovlt_attach_op },
	[_IOC_NR(OVLTREE_IOC_DETACH)]	= { 56, .batch = &ovlt_detach_op },
	[_IOC_NR(OVLTREE_IOC_LAYERSET)]	= { 56, .batch = &ovlt_layerset_op },
};

long ovlt_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;
	unsigned int nr = _IOC_NR(cmd);
	u32 usize;

	build_check_abi();

	if (nr >= ARRAY_SIZE(ovlt_ops) || cmd != _IO(OVLTREE_IOC_TYPE, nr))
		return -ENOTTY;
	if (get_user(usize, (u32 __user *)uarg))
		return -EFAULT;
	if (usize < ovlt_ops[nr].size)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	if (ovlt_ops[nr].batch)
		return ovlt_batch_run(ovlt_ops[nr].batch, uarg, usize);
	return ovlt_ops[nr].run(uarg, usize);
}
