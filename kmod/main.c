// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltree - attach and detach batches of overlay trees
 *
 * A request enters in ioctl.c, is read and answered by batch.c, and done by
 * layerset.c, prepare.c, attach.c or detach.c. tree.c builds an overlay, layers.c
 * what it is stacked on, and shutdown.c ends what is detached. Nothing of the module
 * is left in a mount that it has made.
 *
 * Requests of processes that don't know of one another enter in netlink.c and wait
 * in queue.c until an ioctl, or their deadline, commits them; commit.c does what no
 * caller waits for.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <net/genetlink.h>

#include "internal.h"
#include "queue.h"

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

static int __init ovltree_init(void)
{
	int err;

	err = ovlt_shutdown_init();
	if (err)
		return err;
	err = ovlt_netlink_init();
	if (err)
		goto err_shutdown;
	err = misc_register(&ovltree_dev);
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	ovlt_netlink_exit();
err_shutdown:
	ovlt_shutdown_exit();
	return err;
}

static void __exit ovltree_exit(void)
{
	misc_deregister(&ovltree_dev);
	ovlt_netlink_exit();
	ovlt_shutdown_exit();
}

module_init(ovltree_init);
module_exit(ovltree_exit);

MODULE_DESCRIPTION("Attach and detach batches of overlay trees");
MODULE_AUTHOR("The ovltree authors");
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(OVLTREE_FAMILY_NAME);
MODULE_IMPORT_NS(VFS_MOUNT_BATCH);
