// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests in words.
 */
#include "common.h"

/* Those of a newer kernel are unknown. */
const char *common_kind_name(unsigned int kind)
{
	switch (kind) {
	case OVLTREE_KIND_ATTACH:
		return "attach";
	case OVLTREE_KIND_DETACH:
		return "detach";
	}
	return "unknown";
}
