/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ovltreed and ovltreectl share.
 */
#ifndef PROMETHEUS_H
#define PROMETHEUS_H

#include <stdio.h>

#include "libovltree.h"

void metrics_print_stats(FILE *file, const struct ovlt_stats *stats);

#endif /* PROMETHEUS_H */
