/* SPDX-License-Identifier: MIT */
/* A RAM of a dirty log: what is populated in it, and what changed otherwise than by a device's
 * write. */
#ifndef PLUGMAP_SRC_MIGRATION_LOGGED_RAM_H
#define PLUGMAP_SRC_MIGRATION_LOGGED_RAM_H

#include <plugmap/ram.h>

#include "iommu/watch.h"

typedef struct PmLoggedRam PmLoggedRam;

/* Errors: those of pm_dirty_log_add_ram(). */
PmLoggedRam *pm_logged_ram_new(PmRam *ram, GError **error);
void pm_logged_ram_free(PmLoggedRam *logged);

const PmRam *pm_logged_ram_get_ram(const PmLoggedRam *logged);

/* All of a range changed. Any thread. */
void pm_logged_ram_mark(PmLoggedRam *logged, PmRamOffset offset, uint64_t size);

/* Sets the bits of pages in which something populated has changed since the last call. Returns
 * whether it is the first one. */
bool pm_logged_ram_take(PmLoggedRam *logged, uint64_t page_size, uint64_t *bitmap);

/* Clears the bits of pages in which nothing is populated. */
void pm_logged_ram_clear_discarded(const PmLoggedRam *logged, uint64_t page_size, uint64_t *bitmap);

#endif
