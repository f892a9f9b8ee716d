/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where everything is in the structures of the UAPI, the same for programs of 32
 * and of 64 bits, and for ever. This includes nothing but the UAPI, so that
 * scripts/lint can have it read as 32-bit code without a 32-bit C library.
 */
#ifndef OVLT_LAYOUT_H
#define OVLT_LAYOUT_H

#include <linux/ovltree.h>

#define SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size) && \
		       _Alignof(struct type) == 8, #type)
#define AT(type, member, offset) \
	_Static_assert(__builtin_offsetof(struct type, member) == (offset), \
		       #type "." #member)

SIZE(ovltree_path, 16);
AT(ovltree_path, fd, 0);
AT(ovltree_path, flags, 4);
AT(ovltree_path, path, 8);

SIZE(ovltree_tree, 72);
AT(ovltree_tree, flags, 0);
AT(ovltree_tree, nr_lower, 4);
AT(ovltree_tree, lower, 8);
AT(ovltree_tree, upper, 16);
AT(ovltree_tree, work, 32);
AT(ovltree_tree, options, 48);
AT(ovltree_tree, options_size, 56);
AT(ovltree_tree, userns_fd, 60);
AT(ovltree_tree, attr, 64);
AT(ovltree_tree, layerset_fd, 68);

SIZE(ovltree_layerset, 16);
AT(ovltree_layerset, flags, 0);
AT(ovltree_layerset, nr_lower, 4);
AT(ovltree_layerset, lower, 8);

SIZE(ovltree_attach, 48);
AT(ovltree_attach, flags, 0);
AT(ovltree_attach, mnt_fd, 4);
AT(ovltree_attach, tree, 8);
AT(ovltree_attach, target, 16);
AT(ovltree_attach, mntns_fd, 32);
AT(ovltree_attach, propagation, 36);
AT(ovltree_attach, id, 40);

SIZE(ovltree_detach, 32);
AT(ovltree_detach, flags, 0);
AT(ovltree_detach, __reserved, 4);
AT(ovltree_detach, mnt_id, 8);
AT(ovltree_detach, target, 16);

SIZE(ovltree_result, 160);
AT(ovltree_result, error, 0);
AT(ovltree_result, fd, 4);
AT(ovltree_result, mnt_id, 8);
AT(ovltree_result, dev_major, 16);
AT(ovltree_result, dev_minor, 20);
AT(ovltree_result, field, 24);
AT(ovltree_result, index, 28);
AT(ovltree_result, message, 32);

SIZE(ovltree_batch, 56);
AT(ovltree_batch, size, 0);
AT(ovltree_batch, flags, 4);
AT(ovltree_batch, entries, 8);
AT(ovltree_batch, results, 16);
AT(ovltree_batch, nr, 24);
AT(ovltree_batch, entry_size, 28);
AT(ovltree_batch, result_size, 32);
AT(ovltree_batch, tree_size, 36);
AT(ovltree_batch, wait_ns, 40);
AT(ovltree_batch, hold_ns, 48);

SIZE(ovltree_info, 40);
AT(ovltree_info, size, 0);
AT(ovltree_info, flags, 4);
AT(ovltree_info, version, 8);
AT(ovltree_info, max_entries, 12);
AT(ovltree_info, max_lower, 16);
AT(ovltree_info, max_options, 20);
AT(ovltree_info, features, 24);
AT(ovltree_info, nr_layersets, 32);
AT(ovltree_info, __reserved, 36);

#undef SIZE
#undef AT

#endif /* OVLT_LAYOUT_H */
