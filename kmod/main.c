// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltree - attach and detach batches of overlay trees
 *
 * A request enters in ioctl.c, is read and answered by batch.c, and done by
 * layerset.c, prepare.c, attach.c or detach.c. tree.c builds an overlay, layers.c
 * what it is stacked on. Nothing of the module is left in a mount that it has made.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "internal.h"

static const struct file_operations ovltree_fops = {
	.owner		= THIS_MODULE,
	.open		= nonseekable_open,
	.unlocked_ioctl	= ovlt_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice ovltree_dev = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ovltree",
	.mode	= 0600,
	.fops	= &ovltree_fops,
};
module_misc_device(ovltree_dev);

MODULE_DESCRIPTION("Attach and detach batches of overlay trees");
MODULE_AUTHOR("The ovltree authors");
MODULE_LICENSE("GPL");
MODULE_ALIAS("devname:ovltree");
MODULE_IMPORT_NS(VFS_MOUNT_BATCH);
