/* SPDX-License-Identifier: MIT */
/* Checks that the host has enough memory for a replay. Otherwise the OOM killer may kill other
 * processes, starting with the largest, usually VMs. */
#ifndef PLUGMAP_SRC_REPLAY_HOST_MEMORY_H
#define PLUGMAP_SRC_REPLAY_HOST_MEMORY_H

#include <plugmap/plugmap.h>

#include "trace/trace.h"

/*
 * For a replay that faults in plugged memory. Unknown limits are ignored.
 * @kind: backing of the regions: hugetlb pages are limited by the host's pool, others by
 * MemAvailable and the process's cgroups.
 * @root: as in memory_room.h.
 * Errors: PM_ERROR_MEMORY, with the numbers.
 */
bool pm_host_memory_check(const PmTrace *trace, PmRamKind kind, const char *root, GError **error);

#endif
