/* SPDX-License-Identifier: MIT */
/* Whether the host has the memory that a replay takes. If it has not, it may kill other processes,
 * virtual machines first, because they are the largest. */
#ifndef PLUGMAP_SRC_REPLAY_HOST_MEMORY_H
#define PLUGMAP_SRC_REPLAY_HOST_MEMORY_H

#include <plugmap/plugmap.h>

#include "trace/trace.h"

/*
 * For a replay that brings in what it plugs. What the host does not say is taken for enough.
 * @kind: what backs the regions: hugetlb pages come from the host's pool, all others from what the
 * host and the process's cgroups have left.
 * @root: as in memory_room.h.
 * Errors: PM_ERROR_MEMORY, with the numbers.
 */
bool pm_host_memory_check(const PmTrace *trace, PmRamKind kind, const char *root, GError **error);

#endif
